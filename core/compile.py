"""From text at any stage to any later stage, and to a binary that a runtime can load."""

import re
from collections.abc import Callable
from typing import Any

from vertebra.core import assembly, bounds, cache, dump, hooks, llvm, pipeline, reproducer, toolchain
from vertebra.core.buffers import Arguments
from vertebra.core.context import context
from vertebra.core.errors import ConfigError, VertebraError
from vertebra.core.mlir import llvm as llvm_dialect
from vertebra.core.pipeline import STAGES, Options
from vertebra.core.runtime import Binary
from vertebra.core.target import Core
from vertebra.core.watch import Watch

_DEFINED = re.compile(r"(?:\b(?:tt|func|llvm)\.func (?:public |private )?|^@)@?([A-Za-z_]\w*)", re.MULTILINE)
_ARGUMENTS = re.compile(r'^@(\S+)_arguments = internal constant \[\d+ x i8\] c"([^"]*)"', re.MULTILINE)
_SCRATCH = re.compile(r"^@(\S+)_scratch_bytes = .*\bi64 (\d+)", re.MULTILINE)


def render(
    text: str,
    stop: str,
    core: Core,
    options: Options | None = None,
    *,
    start: str = "ttir",
    observe: Callable | None = None,
    watch: Watch | None = None,
    filename: str = "-",
) -> Any:
    """The kernel `text`, given at stage `start`, as it is at stage `stop`.

    observe, watch: as of `pipeline.lower`; without a watch, what the environment asks for (see
    `core/dump.py`).  filename: what errors call the text.
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
    watch = watch or dump.watch(text, _name_in(text), core, options, start=start)
    llir = text
    if start != "llir":
        with context():
            module = assembly.parse(text, context(), name=filename)
            if watch:
                watch.reached(start, module)
            last = stop if stop in ("ttir", "linalg", "vector") else "llvm"
            try:
                pipeline.lower(module, start, last, core, options, observe=observe, watch=watch)
            except VertebraError as error:
                reproducer.leave(error, text, start, core, options, filename)
                raise
            if stop in ("ttir", "linalg", "vector"):
                return assembly.print_module(module)
            llir = llvm.downgrade(llvm_dialect.translate_module_to_llvmir(module.operation))
        if watch:
            watch.reached("llir", llir)
    if stop == "llir":
        return llir
    if stop == "asm":
        asm = llvm.emit_assembly(llvm.optimize(llir, core), core)
        if watch:
            watch.reached("asm", asm)
        return asm
    obj = emit_object(llir, core, watch)
    return obj if stop == "obj" else toolchain.link_shared([obj], core, lines=True)


def emit_object(llir: str, core: Core, watch: Watch | None = None) -> bytes:
    """The object made of `llir`; `watch` is told of stages asm and obj."""
    module = llvm.optimize(llir, core)
    obj = llvm.emit_object(module, core)
    if watch:  # the text costs as much as the object
        watch.reached("asm", llvm.emit_assembly(module, core))
        watch.reached("obj", obj)
    return obj


def _name_in(text: str) -> str:
    """The first function that a text at any stage defines, for the name of a folder."""
    found = _DEFINED.search(text)
    return found[1] if found else "module"


def compile(
    text: str,
    core: Core,
    options: Options | None = None,
    *,
    name: str,
    signature: tuple[str, ...],
    start: str = "ttir",
    watch: Watch | None = None,
) -> Binary:
    """Machine code of the kernel `name` in `text`, from the artifact cache where it is there already.

    A kernel that is watched (`watch`, or as the environment asks) is always made anew.

    signature: Triton's type names of the run-time arguments, in order ('*fp32', 'i32', ...).
    """
    options = options or Options()
    key = cache.key(text, start, name, options, core, hooks.fingerprint())
    watch = watch or dump.watch(text, name, core, options, start=start)
    found = None if watch else cache.load(key)
    if found is None:
        llir = render(text, "llir", core, options, start=start, watch=watch)
        assert isinstance(llir, str)
        scratch = {symbol: int(size) for symbol, size in _SCRATCH.findall(llir)}
        if name not in scratch:
            raise ConfigError(
                f"there is no kernel {name!r} in the text", fix=f"it has {', '.join(scratch) or 'none'}"
            )
        said = dict(_ARGUMENTS.findall(llir)).get(name, Arguments().text)
        obj = emit_object(llir, core, watch)
        found = {"object": obj, "scratch_bytes": scratch[name], "arguments": said}
        cache.store(key, found)
    return Binary(
        name=name,
        object=found["object"],
        scratch_bytes=found["scratch_bytes"],
        signature=(*signature, *(bounds.hidden_types(signature) if options.bounds_check else ())),
        core=core,
        bounds=options.bounds_check,
        arguments=Arguments.parse(found["arguments"]),
    )
