"""Loading into this process: LLVM's JIT linker where it serves, the system's loader otherwise."""

import ctypes
import functools
import os
import platform
import re
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from vertebra.core import abi, elf, toolchain
from vertebra.core.buffers import overlap_check
from vertebra.core.errors import LaunchError
from vertebra.core.profile import records
from vertebra.core.runtime import Binary, LoadedKernel, Slots, name_kernel, num_threads, show
from vertebra.core.target import Core

# vertebra_request in core/native/pool.h, without the slots.
_REQUEST = "Qqiiii"
_FAILED = -1  # VERTEBRA_FAILED there
# RuntimeDyld, the JIT's linker, is not complete on other machines.
_JIT_ARCHS = ("x86_64", "aarch64")


# Kept for as long as the library may call it.
_sink = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(show)
_record_sink = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(
    lambda piece, count: records.keep(ctypes.string_at(piece, count))
)


@functools.cache
def _pool() -> ctypes.CDLL:
    """The pool library, which is built on first use."""
    native = Path(toolchain.__file__).parent / "native"
    path = toolchain.build(
        "libpool",
        [native / name for name in abi.SERVICE_SOURCES],
        "so",
        headers=[native / name for name in abi.SERVICE_HEADERS],
        flags=["-lpthread"],
    )
    library = ctypes.CDLL(str(path))
    library.vertebra_launch_request.argtypes = (ctypes.c_char_p,)
    library.vertebra_launch_request.restype = ctypes.c_int
    library.vertebra_failure.restype = ctypes.c_char_p
    for name, sink in (("vertebra_print_sink", _sink), ("vertebra_record_sink", _record_sink)):
        ctypes.c_void_p.in_dll(library, name).value = ctypes.cast(sink, ctypes.c_void_p).value
    return library


@functools.cache
def _announce_services() -> None:
    """Tells LLVM's JIT linker where the services are."""
    import llvmlite.binding as llvm

    for name in abi.SERVICES:
        llvm.add_symbol(name, ctypes.cast(getattr(_pool(), name), ctypes.c_void_p).value)


@functools.cache
def _host_features() -> dict[str, bool]:
    """LLVM's features of this machine; those that it cannot find out are absent."""
    import llvmlite.binding as llvm

    try:
        return dict(llvm.get_host_cpu_features())
    except RuntimeError:  # LLVM has no detection for this machine
        return {}


_jit_lock = threading.Lock()


def _jit(binary: Binary) -> tuple[int, object]:
    """(address, what keeps it alive)"""
    import llvmlite.binding as llvm

    with _jit_lock:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        _announce_services()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(binary.object))
        engine.finalize_object()
        return engine.get_function_address(binary.name), engine


def debugged() -> bool:
    """Whether a debugger is to see the kernels: one has hold of this process, or $VERTEBRA_DEBUGGER is set.

    Debuggers see what the system's loader loads, and nothing of the JIT linker's.
    """
    if os.environ.get("VERTEBRA_DEBUGGER", "0") != "0":
        return True
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    return re.search(r"^TracerPid:\t0$", status, re.MULTILINE) is None and "TracerPid:" in status


@functools.cache
def _debugged_folder() -> tempfile.TemporaryDirectory:
    """Where libraries stay until this process ends: a debugger that comes later reads them."""
    return tempfile.TemporaryDirectory(prefix="vertebra-")


def _dlopen(binary: Binary) -> tuple[int, object]:
    """(address, what keeps it alive)"""
    ctypes.CDLL(_pool()._name, ctypes.RTLD_GLOBAL)  # where the loader looks for the services
    stays = debugged()
    shared = toolchain.link_shared([binary.object], binary.core, lines=stays)
    folder = _debugged_folder().name if stays else None
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".so", delete=not stays) as file:
        file.write(shared)
        file.flush()
        library = ctypes.CDLL(file.name)
    function = getattr(library, binary.name, None)
    return (ctypes.cast(function, ctypes.c_void_p).value or 0) if function else 0, library


class InProcessKernel:
    """A kernel in this process's memory.  `address` is where its function starts."""

    def __init__(self, binary: Binary):
        self.name = binary.name
        others = elf.undefined_symbols(binary.object).difference(abi.UNDEFINED_ALLOWED)
        jit = platform.machine() in _JIT_ARCHS and not others and not debugged()
        load = _jit if jit else _dlopen
        self.address, self._owner = load(binary)
        if not self.address:
            raise LaunchError(f"the object of kernel {binary.name} exports no function of that name")
        self._start = (self.address, binary.scratch_bytes)
        self._threads = num_threads()
        self._pack = Slots.of(binary).packer(_REQUEST)
        self._check_apart = overlap_check(binary)
        self._launch = _pool().vertebra_launch_request

    def launch(self, grid: tuple[int, int, int], args: Sequence) -> None:
        try:
            if self._check_apart:
                self._check_apart(grid, args)
            status = self._launch(self._pack(*self._start, *grid, self._threads, args))
        except LaunchError as error:
            raise name_kernel(error, self.name) from None
        if status == _FAILED:
            said = _pool().vertebra_failure().decode(errors="replace")
            raise LaunchError(f"kernel {self.name} on grid {tuple(grid)}: {said}")
        if status:
            raise LaunchError(f"kernel {self.name} on grid {tuple(grid)}: {os.strerror(status)}")


class InProcessRuntime:
    """Runs kernels for cores of this machine's own architecture, on a pool of threads."""

    name = "in-process"

    def supports(self, core: Core) -> str | None:
        if sys.platform != "linux":
            return f"the thread pool runs on Linux, this is {sys.platform}"
        machine = platform.machine()
        if core.arch != machine:
            return f"core {core.name} is {core.arch}, this machine is {machine}"
        if missing := [f for f in core.features if f[:1] == "+" and _host_features().get(f[1:]) is False]:
            return f"core {core.name} has {', '.join(missing)}, this machine has not"
        return None

    def load(self, binary: Binary) -> LoadedKernel:
        return InProcessKernel(binary)


RUNTIME = InProcessRuntime()
