"""The emulated process that runs kernels, and how to talk to it (plugins/qemu/runner.c)."""

import functools
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from vertebra.core import abi, toolchain
from vertebra.core.errors import ConfigError, ToolError
from vertebra.core.profile import records
from vertebra.core.runtime import Emulator, show
from vertebra.plugins.qemu.counters import Counters
from vertebra.plugins.qemu.memory import SharedMemory

LOAD, UNLOAD, LAUNCH, PING, COUNTS = range(1, 6)
_OK, _FAILED, _FAULT, _PRINTED, _COUNTED, _RECORDED = range(1, 7)
_WITH_BYTES = (_FAILED, _PRINTED, _COUNTED, _RECORDED)
_REQUEST = struct.Struct("<II")
_REPLY = struct.Struct("<Ii5Q208s")

HERE = Path(__file__).parent
_NATIVE = Path(toolchain.__file__).parent / "native"
_SOURCES = (
    *(HERE / name for name in ("runner.c", "loader.c", "traps.c", "thunks.c")),
    *(_NATIVE / name for name in abi.SERVICE_SOURCES),
)
HEADERS = (
    *(HERE / name for name in ("loader.h", "traps.h", "thunks.h")),
    *(_NATIVE / name for name in (*abi.SERVICE_HEADERS, "emulate.h", "form.h", "half.h")),
)
# The runner serves every core, also those without vectors, and must not trap in its own trap handler.
_FLAGS = ("-static", "-mcpu=generic_rv64+m+a+f+d+c", "-DVERTEBRA_EMULATED")


@functools.cache
def emulator_program() -> str:
    """Path of QEMU's user-mode emulator.  Raises ToolError where it is missing."""
    for name in ("qemu-riscv64", "qemu-riscv64-static"):
        if path := shutil.which(name):
            return path
    raise ToolError(
        "the RISC-V emulator qemu-riscv64 is not installed",
        fix="apt-get install qemu-user (or qemu-user-static)",
    )


@functools.cache
def emulator_version() -> tuple[int, int]:
    """(major, minor) of the emulator."""
    done = subprocess.run([emulator_program(), "--version"], capture_output=True, text=True, timeout=60)
    found = re.search(r"version (\d+)\.(\d+)", done.stdout)
    if not found:
        raise ToolError(
            f"{emulator_program()} --version says {done.stdout.strip()!r}, which names no version"
        )
    return int(found[1]), int(found[2])


def build_runner(emulators: Sequence[Emulator]) -> Path:
    """The runner with `emulators` compiled in."""
    table = " ".join(f"X({emulator.name})" for emulator in emulators)
    tables = [
        toolchain.keep(f"{emulator.name}_table.h", emulator.table())
        for emulator in emulators
        if emulator.table
    ]
    return toolchain.build(
        "runner",
        [*_SOURCES, *(emulator.source for emulator in emulators)],
        "exe",
        headers=[*HEADERS, *tables, *(path for emulator in emulators for path in emulator.headers)],
        triple="riscv64-linux-musl",
        flags=[*_FLAGS, f"-DEMULATORS={table}"],
    )


def time_limit() -> float:
    """$VERTEBRA_TIMEOUT, the seconds that a launch may take; 300 where it is not set."""
    text = os.environ.get("VERTEBRA_TIMEOUT", "300")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(
            f"VERTEBRA_TIMEOUT is {text!r}", fix="set it to a number of seconds above 0, or unset it"
        )
    return seconds


@attrs.frozen
class Fault:
    """A signal that ended a kernel.  Addresses are the emulated process's."""

    signal: int
    pc: int
    address: int
    word: int
    base: int
    memory: int
    kernel: str


class RunnerDied(Exception):
    """The emulated process has ended; `fault` is what it said last, if anything."""

    def __init__(self, reason: str, fault: Fault | None = None):
        super().__init__(reason)
        self.reason = reason
        self.fault = fault


class RequestFailed(Exception):
    """The runner refused a request; it still lives."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.reason = reason
        self.status = status


class RunnerProcess:
    """One emulated process.

    options: the emulator's own.  emulators: what to compile in.  enabled: those to use, each by its name,
    a colon and what it serves.  thunks: whether instructions that they serve become jumps, which are
    faster than traps and for tools outside no longer the instructions that they were.
    counters: what counts instructions as they are executed, None where nobody does.
    """

    def __init__(
        self,
        options: Sequence[str],
        emulators: Sequence[Emulator],
        enabled: Sequence[str],
        *,
        thunks: bool = True,
        counters: Counters | None = None,
    ):
        self.counters = counters
        options = [*options, *(counters.options(emulator_version()) if counters else ())]
        command = [emulator_program(), *options, str(build_runner(emulators))]
        counts = counters.file if counters else -1
        self.memory = SharedMemory()
        self.loaded: dict[object, int] = {}  # kernel's key -> module
        self.discarded: list[object] = []  # keys of kernels to unload; appended to by finalizers
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as the process
        ours, theirs = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                [
                    *command,
                    *map(str, (theirs.fileno(), self.memory.file, ",".join(enabled), int(thunks), counts)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(theirs.fileno(), self.memory.file, *((counts,) if counters else ())),
                start_new_session=True,  # an interrupt from the keyboard is the caller's to handle
            )
        except OSError as error:
            ours.close()
            self._close_memory()
            raise ToolError(f"{command[0]} does not start: {error}") from None
        finally:
            theirs.close()
        self._socket = ours
        try:
            self.request(PING, timeout=60)
        except RunnerDied as died:
            raise ToolError(f"the emulator did not start ({' '.join(command)}): {died.reason}") from None

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def unload_discarded(self) -> None:
        """Unloads the kernels that nobody holds any more."""
        while self.discarded:
            module = self.loaded.pop(self.discarded.pop(), None)
            if module is not None:
                self.request(UNLOAD, module.to_bytes(8, "little"), timeout=time_limit())

    def request(self, kind: int, payload: bytes = b"", *, timeout: float) -> int:
        """Sends one request and returns its value; what kernels print meanwhile is shown.

        Raises RequestFailed, or RunnerDied after which the process is gone.
        """
        deadline = time.monotonic() + timeout
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(_REQUEST.pack(kind, len(payload)) + payload)
            kind = _PRINTED
            while kind in (_PRINTED, _RECORDED):
                answer = self._receive(_REPLY.size, deadline)
                kind, status, value, address, word, base, memory, kernel = _REPLY.unpack(answer)
                text = self._receive(value, deadline) if kind in _WITH_BYTES else b""
                if kind == _PRINTED:
                    show(text)
                elif kind == _RECORDED:
                    records.keep(text)
        except TimeoutError:
            self.kill()
            raise RunnerDied(f"it ran for more than {timeout:g} s") from None
        except OSError:
            raise self._died() from None
        except BaseException:  # an interrupt: the answer that is still to come belongs to no one
            self.kill()
            raise
        if kind == _FAULT:
            name = kernel.rstrip(b"\0").decode(errors="replace")
            self.kill()
            raise RunnerDied(
                signal.Signals(status).name, Fault(status, value, address, word, base, memory, name)
            )
        if kind == _FAILED:
            raise RequestFailed(text.decode(errors="replace"), status)
        if kind == _COUNTED:
            self._counts = text.decode()
        return value

    def emulated_counts(self) -> dict[str, int]:
        """How many instructions its emulators have carried out until now, by mnemonic, without zeros."""
        self.request(COUNTS, timeout=60)
        return {name: int(count) for name, count in map(str.split, self._counts.splitlines())}

    def _receive(self, count: int, deadline: float) -> bytes:
        """The next `count` bytes.  Raises TimeoutError, RunnerDied or OSError."""
        received = bytearray()
        while len(received) < count:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            part = self._socket.recv(count - len(received))
            if not part:
                raise self._died()
            received += part
        return bytes(received)

    def _died(self) -> RunnerDied:
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            status = None
        self.kill()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        if status is not None and status < 0:
            how = f"the emulator was killed by {signal.Signals(-status).name}"
        else:
            how = f"the emulator ended with status {status}"
        return RunnerDied(f"{how}: {said}" if said else how)

    def finish(self, timeout: float = 10.0) -> None:
        """Ends the process in order and waits for it."""
        self._socket.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close_memory()

    def kill(self) -> None:
        """Ends the process at once."""
        self.process.kill()
        self.process.wait()
        self._socket.close()
        self._close_memory()

    def _close_memory(self) -> None:
        self.memory.close()
        if self.counters:
            self.counters.close()

    def abandon(self) -> None:
        """Lets go of a process that belongs to the parent of this one."""
        self._socket.close()
        self._close_memory()
        self.process.returncode = 0  # it is not ours to wait for
