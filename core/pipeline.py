"""The way of a kernel: named stages, and the passes between them.

    ttir --lowerings of dialect plugins--> linalg --passes of the target--> vector --> llir --> asm|obj --> so

`linalg` holds upstream dialects only.  Each stage can be printed and can start a run.
"""

import functools
import time
from collections.abc import Callable, Iterable

import attrs

from vertebra.core import hooks
from vertebra.core.errors import CompileError, ConfigError, VertebraError
from vertebra.core.mlir import ir, passmanager
from vertebra.core.target import Core, MicroKernel, PanelKernel, Pass, Target
from vertebra.core.watch import Watch

MODULE_STAGES = ("ttir", "linalg", "vector", "llvm")
STAGES = ("ttir", "linalg", "vector", "llir", "asm", "obj", "so")


@attrs.frozen
class Options:
    """What a user may choose about the code of a kernel.

    fast_math: looser bounds for math functions.  bounds_check: every access to the memory of an
    argument is checked (see `core/bounds.py`).
    """

    fast_math: bool = False
    bounds_check: bool = False

    def flags(self) -> list[str]:
        """What sets them on the command line of `vertebra opt`."""
        chosen = [field.name for field in attrs.fields(Options) if getattr(self, field.name)]
        return [f"--{name.replace('_', '-')}" for name in chosen]


def target_of(core: Core) -> Target:
    """The core's target with every stage filled in from those it extends."""
    return _resolve(core.target, ())


def _resolve(name: str, seen: tuple[str, ...]) -> Target:
    known = hooks.targets()
    if name not in known or name in seen:
        chain = " -> ".join((*seen, name))
        raise ConfigError(
            f"target {chain} {'extends itself' if name in seen else 'does not exist'}",
            fix=f"install the plugin that declares it; installed targets: {', '.join(sorted(known))}",
        )
    target = known[name]
    if target.extends is None:
        return target
    base = _resolve(target.extends, (*seen, name))
    return attrs.evolve(target, stages={**base.stages, **target.stages}, ldexp=target.ldexp or base.ldexp)


def micro_kernels_of(core: Core) -> tuple[MicroKernel, ...]:
    """The matrix micro-kernels of the core's target, then those of the targets that it extends."""
    return _kernels_of(core, "micro_kernels")


def panel_kernels_of(core: Core) -> tuple[PanelKernel, ...]:
    """The inner loops of the core's matrix engine, likewise; none where it has no engine."""
    return _kernels_of(core, "panel_kernels")


def _kernels_of(core: Core, kind: str) -> tuple:
    found: tuple = ()
    known, name = hooks.targets(), target_of(core).name
    while name is not None:
        target = known[name]
        kernels = getattr(target, kind)
        found += kernels(core) if kernels else ()
        name = target.extends
    return found


def passes_to(stage: str, core: Core) -> tuple[Pass, ...]:
    """The passes that make `stage` of the stage before it."""
    if stage == "linalg":
        return tuple(Pass(step.name, step.run) for step in hooks.lowerings())
    target = target_of(core)
    if stage not in target.stages:
        raise ConfigError(
            f"target {target.name} of core {core.name} has no passes for stage {stage}",
            fix="its plugin must give them, or extend a target that has them",
        )
    return target.stages[stage]


@functools.lru_cache(maxsize=64)
def _parsed(pipeline: str, context):
    return passmanager.PassManager.parse(f"builtin.module({pipeline})", context)


def run_pass(step: Pass, module, core: Core, options: Options) -> None:
    """Runs one pass; what upstream reports becomes a CompileError naming the pass."""
    try:
        if isinstance(step.run, str):
            _parsed(step.run, module.context).run(module.operation)
        else:
            step.run(module, core, options)
    except VertebraError as error:
        error.kernel_name = error.kernel_name or _kernel_name(module)
        raise
    except ir.MLIRError as error:
        raise _unexpected(
            f"pass {step.name} failed: {_first_diagnostic(error)}",
            at=_blame(error),
            kernel=_kernel_name(module),
        ) from error
    except Exception as error:
        raise _unexpected(
            f"internal error in pass {step.name}: {type(error).__name__}: {error}",
            kernel=_kernel_name(module),
            fix="this is a bug in vertebra or in a plugin; please report it with the kernel",
        ) from error


def _unexpected(message: str, **details) -> CompileError:
    error = CompileError(message, **details)
    error.unexpected, error.kernel_name = True, error.kernel
    return error


def _first_diagnostic(error) -> str:
    found = getattr(error, "error_diagnostics", ())
    return found[0].message if found else str(error)


def _blame(error):
    found = getattr(error, "error_diagnostics", ())
    return found[0].location if found else None


def _kernel_name(module) -> str | None:
    for op in module.body.operations:
        if op.operation.name.endswith(".func") and "sym_name" in op.operation.attributes:
            return op.operation.attributes["sym_name"].value
    return None


def lower(
    module,
    start: str,
    stop: str,
    core: Core,
    options: Options,
    *,
    observe: Callable[[str, str, float], None] | None = None,
    watch: Watch | None = None,
) -> None:
    """Brings `module` from stage `start` to stage `stop` (both of MODULE_STAGES), in place.

    observe: called after each pass with (stage, pass name, seconds).  watch: told of passes and stages.
    """
    watch = watch or Watch()
    first, last = MODULE_STAGES.index(start), MODULE_STAGES.index(stop)
    with ir.Location.unknown(module.context):
        for stage in MODULE_STAGES[first + 1 : last + 1]:
            for step in passes_to(stage, core):
                watch.passing(stage, step.name)
                began = time.perf_counter()
                try:
                    run_pass(step, module, core, options)
                except VertebraError as error:
                    error.step = (stage, step.name)
                    raise
                seconds = time.perf_counter() - began
                if observe:
                    observe(stage, step.name, seconds)
                watch.passed(stage, step.name, seconds, module)
            watch.reached(stage, module)


def plan(core: Core) -> Iterable[tuple[str, str]]:
    """(stage, pass name) for every pass on the way of a kernel to `core`."""
    for stage in MODULE_STAGES[1:]:
        for step in passes_to(stage, core):
            yield stage, step.name
