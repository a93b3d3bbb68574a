"""Objects, runtime and dispatching code, linked into one library."""

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from vertebra.core import abi, elf, hooks, llvm, toolchain
from vertebra.core.errors import ConfigError
from vertebra.core.library.dispatch import source, symbol
from vertebra.core.library.header import header
from vertebra.core.library.model import Kernel, check_names
from vertebra.core.runtime import Emulation
from vertebra.core.target import Core

KINDS = ("so", "archive")
LIBCS = ("gnu", "musl")
_NATIVE = Path(toolchain.__file__).parent / "native"
_RUNTIME = (*abi.SERVICE_SOURCES, "library.c", "processor.c")
_HEADERS = (*abi.SERVICE_HEADERS, "library.h", "status.h")
# Arithmetic on the arguments wraps.
_FLAGS = (
    "-fPIC",
    "-fvisibility=hidden",
    "-fwrapv",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Werror",
)
# The vector extensions among LLVM's features of x86-64: what code is made of, and processors lack.
_TOLD = re.compile(r"\+((?:avx|amx|fma|f16c|bmi2)\S*)")


@attrs.frozen
class Library:
    """A library.  name: the prefix of what belongs to all kernels.  header: its text."""

    name: str
    kind: str
    data: bytes
    header: str


def name_of(path: str) -> str:
    """`kernels` for /a/libkernels.so.  Raises ConfigError where the file's name makes no name in C."""
    stem = Path(path).name.split(".")[0].removeprefix("lib")
    name = re.sub(r"[-+ ]", "_", stem)
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ConfigError(
            f"{path}: C takes no function called {name}_message, as one of this library would be",
            fix="write for instance -o libkernels.so",
        )
    return name


def build(
    name: str,
    kind: str,
    kernels: tuple[Kernel, ...],
    core: Core,
    *,
    libc: str | None = None,
    emulate: bool = False,
) -> Library:
    """The library `name` of `kernels`, all compiled for `core`.

    kind: of KINDS.  libc: the C library of the programs that link it, of LIBCS; by default that of the
    core's triple.  emulate: bring software along for what an emulated processor lacks of the core.
    Raises ConfigError for kernels that contradict each other, ToolError.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no kind of library {kind!r}", fix=f"use {' or '.join(KINDS)}")
    check_names(kernels)
    target = target_for(core, libc)
    emulation = emulation_for(core) if emulate else None
    declarations = header(name, kernels, core.name, target)
    dispatch = source(name, kernels, _processor(core), emulation.start if emulation else None)
    code = "\n".join([declarations, (_NATIVE / "library.h").read_text(), dispatch])
    flags = [*toolchain.baseline(target), *_FLAGS]
    members = {"launch.o": toolchain.compile_source(code, triple=target, flags=flags)}
    for kernel in kernels:
        for number, which in enumerate(kernel.specialisations, 1):
            prefix = symbol(name, kernel, number)
            obj = which.binary.object
            if emulation and emulation.adapt:
                obj = emulation.adapt(obj)
            members[f"{prefix}o"] = elf.prefix_symbols(obj, prefix)
    headers = tuple(_NATIVE / file for file in _HEADERS)
    members |= _compiled([_NATIVE / file for file in _RUNTIME], headers, flags, target)
    if emulation:
        flags += emulation.flags
        members |= _compiled(emulation.sources, (*headers, *emulation.headers), flags, target)
    if kind == "so":
        return Library(name, kind, _shared(name, members, target), declarations)
    helpers = llvm.helpers_of(members.values())
    if helpers:
        members["vertebra_helpers.o"] = toolchain.helper_object(helpers, target)
    return Library(name, kind, toolchain.archive(members), declarations)


def _compiled(
    sources: Iterable[Path], headers: Sequence[Path], flags: Sequence[str], target: str
) -> dict[str, bytes]:
    """Our own C files, each an object by its name."""
    found = {}
    for path in sources:
        made = toolchain.build(path.stem, [path], "obj", headers=headers, triple=target, flags=flags)
        found[f"vertebra_{path.stem}.o"] = made.read_bytes()
    return found


def emulation_for(core: Core) -> Emulation:
    """Software for what emulated processors lack of `core`.  Raises ConfigError where no runtime has any."""
    for runtime in hooks.runtimes().values():
        if hasattr(runtime, "emulation") and runtime.supports(core) is None:
            return runtime.emulation(core)
    raise ConfigError(
        f"nothing here emulates core {core.name}", fix="leave --emulate out, or install an emulator for it"
    )


def target_for(core: Core, libc: str | None) -> str:
    """The compiler's name of the machine and C library.  Raises ConfigError."""
    arch, system, default = toolchain.zig_triple(core.triple).split("-")
    if libc is not None and libc not in LIBCS:
        raise ConfigError(f"there is no C library {libc!r}", fix=f"use {' or '.join(LIBCS)}")
    if libc is None and core.name == "host":
        default = toolchain.host_triple().split("-")[2]
    return f"{arch}-{system}-{libc or default}"


def _processor(core: Core) -> str:
    """What the library checks before its first launch."""
    if core.arch == "riscv64":
        return f"vlen={core.vlen}" if "+v" in core.features else ""
    return " ".join(found[1] for feature in core.features if (found := _TOLD.fullmatch(feature)))


def _shared(name: str, members: dict[str, bytes], target: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="vertebra-") as folder:
        for member, data in members.items():
            (Path(folder) / member).write_bytes(data)
        out = Path(folder) / f"lib{name}.so"
        options = ["-target", target, *toolchain.baseline(target), "-shared", "-fPIC", "-O2", "-lpthread"]
        # Its threads stay, and so it does: dlclose() must not take the code from under them.
        options += [
            f"-Wl,-soname,lib{name}.so",
            "-Wl,-z,defs",
            "-Wl,-z,nodelete",
            "-Wl,--gc-sections",
            "-Wl,--hash-style=both",
        ]
        toolchain.run_compiler([*options, *(str(Path(folder) / m) for m in members), "-o", str(out)])
        return out.read_bytes()
