"""From text at any stage to any later stage, and to a binary that a runtime can load."""

import re
from collections.abc import Callable

from vertebra.core import assembly, cache, hooks, llvm, pipeline, toolchain
from vertebra.core.context import context
from vertebra.core.errors import ConfigError
from vertebra.core.mlir import llvm as llvm_dialect
from vertebra.core.pipeline import STAGES, Options
from vertebra.core.runtime import Binary
from vertebra.core.target import Core

_SCRATCH = re.compile(r"^@(\S+)_scratch_bytes = .*\bi64 (\d+)", re.MULTILINE)


def render(
    text: str,
    stop: str,
    core: Core,
    options: Options | None = None,
    *,
    start: str = "ttir",
    observe: Callable | None = None,
    filename: str = "-",
) -> str | bytes:
    """The kernel `text`, given at stage `start`, as it is at stage `stop`.

    filename: what errors call the text.
    Returns text for the stages up to `asm`, bytes for `obj` and `so`.
    """
    options = options or Options()
    for stage in (start, stop):
        if stage not in STAGES:
            raise ConfigError(f"there is no stage {stage!r}", fix=f"the stages are {', '.join(STAGES)}")
    if STAGES.index(stop) < STAGES.index(start):
        raise ConfigError(f"stage {stop} comes before {start}", fix=f"the stages are {', '.join(STAGES)}")
    if start in ("asm", "obj", "so"):
        raise ConfigError(f"a run cannot start at {start}", fix="start at ttir, linalg, vector or llir")
    llir = text
    if start != "llir":
        with context():
            module = assembly.parse(text, context(), name=filename)
            last = stop if stop in ("ttir", "linalg", "vector") else "llvm"
            pipeline.lower(module, start, last, core, options, observe=observe)
            if stop in ("ttir", "linalg", "vector"):
                return assembly.print_module(module)
            llir = llvm.downgrade(llvm_dialect.translate_module_to_llvmir(module.operation))
    if stop == "llir":
        return llir
    if stop == "asm":
        return llvm.emit_assembly(llvm.optimize(llir, core), core)
    obj = llvm.emit_object(llvm.optimize(llir, core), core)
    return obj if stop == "obj" else toolchain.link_shared([obj], core)


def compile(
    text: str,
    core: Core,
    options: Options | None = None,
    *,
    name: str,
    signature: tuple[str, ...],
    start: str = "ttir",
) -> Binary:
    """Machine code of the kernel `name` in `text`, from the artifact cache where it is there already.

    signature: Triton's type names of the run-time arguments, in order ('*fp32', 'i32', ...).
    """
    options = options or Options()
    key = cache.key(text, start, name, options, core, hooks.fingerprint())
    found = cache.load(key)
    if found is None:
        llir = render(text, "llir", core, options, start=start)
        scratch = {symbol: int(size) for symbol, size in _SCRATCH.findall(llir)}
        if name not in scratch:
            raise ConfigError(
                f"there is no kernel {name!r} in the text", fix=f"it has {', '.join(scratch) or 'none'}"
            )
        obj = llvm.emit_object(llvm.optimize(llir, core), core)
        found = {"object": obj, "scratch_bytes": scratch[name]}
        cache.store(key, found)
    return Binary(
        name=name,
        object=found["object"],
        scratch_bytes=found["scratch_bytes"],
        signature=tuple(signature),
        core=core,
    )
