"""The C compiler and linker that come as a wheel (ziglang: clang, lld and libcs for many targets).

What it builds from our own sources is kept under `cache_dir()`/native, named after a hash of
everything that went in, and is written beside its place and renamed into it.
"""

import errno
import functools
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from vertebra.core import abi, elf
from vertebra.core.cache import cache_dir, key
from vertebra.core.errors import ToolError

# The first static link for a target also builds its libc, about half a minute of work.
TIMEOUT = 300.0

Kind = Literal["obj", "so", "exe"]
_KIND_FLAGS = {"obj": ("-c",), "so": ("-shared", "-fPIC"), "exe": ()}
_SUFFIX = {"obj": ".o", "so": ".so", "exe": ""}
# This wheel checks undefined behaviour and writes debugging information unless told not to.
_ALWAYS = ("-fno-sanitize=all", "-g0")
# What is neither a kernel nor for one core alone is built for every processor of an architecture.
_BASELINE = {"riscv64": ("-mcpu=generic_rv64+m+a+f+d+c",)}


@functools.cache
def compiler() -> str:
    """Path of the compiler driver.  Raises ToolError where the wheel is missing."""
    spec = importlib.util.find_spec("ziglang")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "zig"
        if path.exists():
            return str(path)
    raise ToolError(
        "the C compiler is missing: package ziglang is not installed", fix="pip install ziglang==0.17.*"
    )


@functools.cache
def compiler_version() -> str:
    compiler()
    return importlib.metadata.version("ziglang")


def zig_triple(triple: str) -> str:
    """`triple` (LLVM's arch-vendor-os-abi, or arch-os-abi) in the compiler's own form, arch-os-abi."""
    parts = triple.split("-")
    return "-".join([parts[0], *parts[2:]]) if len(parts) == 4 else triple


def host_triple() -> str:
    """This machine, in the compiler's form: x86_64-linux-gnu, riscv64-linux-musl, ..."""
    libc = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"
    return f"{platform.machine()}-linux-{libc}"


def baseline(target: str) -> tuple[str, ...]:
    """The compiler's options for code that runs on every processor of `target`'s architecture."""
    return _BASELINE.get(target.split("-")[0], ())


def _compilers_folder() -> Path:
    """Where the compiler keeps what it makes.  Without such a folder it would try for ever."""
    folder = cache_dir() / "zig"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ToolError(
            f"the C compiler cannot write to {folder}: {error.strerror}",
            fix="set VERTEBRA_CACHE_DIR to a folder that can be written",
        ) from None
    return folder


def run_compiler(
    arguments: Sequence[str], *, tool: Sequence[str] = ("cc", *_ALWAYS), timeout: float = TIMEOUT
) -> None:
    """Runs `cc` with `arguments`.  tool: another program of the wheel, with its first arguments.

    Raises ToolError with its own words where it fails.
    """
    environment = dict(os.environ)
    if "ZIG_GLOBAL_CACHE_DIR" not in environment:
        environment["ZIG_GLOBAL_CACHE_DIR"] = str(_compilers_folder())
    environment.setdefault("ZIG_LOCAL_CACHE_DIR", environment["ZIG_GLOBAL_CACHE_DIR"])
    command = [compiler(), *tool, *arguments]
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"the C compiler took more than {timeout:.0f} s: {' '.join(command)}") from None
    except OSError as error:
        raise ToolError(
            f"the C compiler does not start: {error}", fix="pip install --force-reinstall ziglang"
        ) from None
    if done.returncode:
        raise ToolError(
            f"the C compiler failed with status {done.returncode}: {' '.join(command)}\n{done.stderr.strip()}"
        )


def compile_source(
    source: str,
    kind: Kind = "obj",
    *,
    triple: str | None = None,
    flags: Sequence[str] = (),
    language: str = "c",
) -> bytes:
    """Machine code of `source` for `triple` (None: this machine).

    language: the name of a source file's ending: c, s or S (assembly), ll (LLVM IR).
    """
    with tempfile.TemporaryDirectory(prefix="vertebra-") as folder:
        path, out = Path(folder) / f"source.{language}", Path(folder) / "out"
        path.write_text(source)
        target = zig_triple(triple) if triple else host_triple()
        run_compiler(["-target", target, *_KIND_FLAGS[kind], "-O2", *flags, str(path), "-o", str(out)])
        return out.read_bytes()


def build(
    name: str,
    sources: Sequence[Path],
    kind: Kind,
    *,
    headers: Sequence[Path] = (),
    triple: str | None = None,
    flags: Sequence[str] = (),
) -> Path:
    """A program or library made of our own C `sources`, built once and kept.

    headers: files that `sources` include, so that a change in them builds anew; their folders are
    on the include path.  Raises ToolError, also where the cache cannot be written.
    """
    target = zig_triple(triple) if triple else host_triple()
    texts = [path.read_bytes() for path in (*sources, *headers)]
    digest = key(texts, kind, target, tuple(flags), compiler_version())[:24]
    path = cache_dir() / "native" / f"{name}-{digest}{_SUFFIX[kind]}"
    if path.exists():
        return path
    includes = [f"-I{folder}" for folder in sorted({str(header.parent) for header in headers})]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{name}-") as folder:
            out = Path(folder) / path.name
            options = ["-target", target, *_KIND_FLAGS[kind], "-O2", *includes, *flags]
            run_compiler([*options, *map(str, sources), "-o", str(out)])
            os.replace(out, path)
    except OSError as error:
        raise ToolError(
            f"{name} cannot be built under {cache_dir()}: {error.strerror or error}",
            fix="set VERTEBRA_CACHE_DIR to a folder that can be written",
        ) from None
    return path


def keep(name: str, text: str) -> Path:
    """A file `name` in the cache that holds `text`, for `build`.

    Raises ToolError where it cannot be written.
    """
    path = cache_dir() / "native" / key([text.encode()])[:24] / name
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        raise ToolError(
            f"{path} cannot be written: {error.strerror or error}",
            fix="set VERTEBRA_CACHE_DIR to a folder that can be written",
        ) from None
    return path


def link_shared(objects: Sequence[bytes], core, *, lines: bool = False, flags: Sequence[str] = ()) -> bytes:
    """A position-independent shared object of `objects` (ELF relocatable, one target).

    core: anything with `.triple`.  lines: keep what tells debuggers the lines of the source.

    It needs no other library: the compiler's helper functions and memcpy, memmove, memset are linked
    in and not exported.  Only the services of a runtime stay undefined.  Raises ToolError where
    another symbol does.
    """
    target = zig_triple(core.triple)
    # The linker knows all or nothing; of objects with services the others were checked when they were made.
    served = any(not elf.undefined_symbols(data).isdisjoint(abi.SERVICES) for data in objects)
    undefined = "undefs" if served else "defs"
    with tempfile.TemporaryDirectory(prefix="vertebra-") as folder:
        paths = []
        for number, data in enumerate(objects):
            path = Path(folder) / f"{number}.o"
            path.write_bytes(data)
            paths.append(str(path))
        out = Path(folder) / "kernel.so"
        options = ["-target", target, *baseline(target), "-shared", "-nostdlib"]
        options += ["-rtlib=compiler-rt", f"-Wl,-z,{undefined}", "-Wl,--hash-style=both", "-O2", *flags]
        options += [] if lines else ["-s"]
        run_compiler([*options, *paths, "-o", str(out)])
        return out.read_bytes()


def archive(members: Mapping[str, bytes]) -> bytes:
    """A static archive, with an index, of the objects `members`, by name."""
    with tempfile.TemporaryDirectory(prefix="vertebra-") as folder:
        out = Path(folder) / "archive.a"
        paths = [Path(folder) / name for name in members]
        for path, data in zip(paths, members.values(), strict=True):
            path.write_bytes(data)
        run_compiler([str(out), *map(str, paths)], tool=("ar", "rcsD"))
        return out.read_bytes()


def helper_object(names: Iterable[str], target: str) -> bytes:
    """An object that defines the functions `names` of compiler-rt, weak and hidden, for `target`."""
    lines = [f"extern void {name}(void);" for name in names]
    lines.append(f"void *const vertebra_helpers[] = {{{', '.join(names)}}};")
    flags = [*baseline(target), "-fPIC", "-fvisibility=hidden"]
    obj = compile_source("\n".join(lines), triple=target, flags=flags)
    with tempfile.TemporaryDirectory(prefix="vertebra-") as folder:
        path, out = Path(folder) / "names.o", Path(folder) / "helpers.o"
        path.write_bytes(obj)
        options = ["-target", target, *baseline(target), "-r", "-fPIC", "-nostdlib", "-rtlib=compiler-rt"]
        run_compiler([*options, str(path), "-o", str(out)])
        return out.read_bytes()


def disassemble(binary: bytes, arch: str) -> str:
    """The machine code in `binary` (any ELF file) as text.

    Raises ToolError where no disassembler for `arch` ('riscv64', 'x86_64', ...) is installed.
    """
    native = "objdump" if arch == platform.machine() else None
    names = ["llvm-objdump", f"{arch}-linux-gnu-objdump", native]
    program = next((path for name in names if name and (path := shutil.which(name))), None)
    if program is None:
        raise ToolError(
            f"no disassembler for {arch} is installed",
            fix=f"apt-get install llvm, or binutils-{arch}-linux-gnu",
        )
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(binary)
        file.flush()
        done = subprocess.run([program, "-d", file.name], capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise ToolError(f"{program} failed with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
