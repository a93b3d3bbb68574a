"""Kernels for RISC-V cores, run by QEMU's user-mode emulator on any other machine."""

import atexit
import contextlib
import itertools
import os
import threading
import weakref
from collections.abc import Iterator, MutableSequence, Sequence

from vertebra.core import hooks, toolchain
from vertebra.core.buffers import overlap_check
from vertebra.core.errors import LaunchError, ToolError
from vertebra.core.instruction import find, why_illegal
from vertebra.core.profile.session import INSTRUCTIONS
from vertebra.core.runtime import (
    Binary,
    Emulation,
    Emulator,
    LoadedKernel,
    Slots,
    address_of,
    name_kernel,
    num_threads,
    storage_of,
)
from vertebra.core.target import Core
from vertebra.plugins.qemu import dots, emulation, process, rtz
from vertebra.plugins.qemu.counters import Counters
from vertebra.plugins.qemu.memory import Placement
from vertebra.plugins.qemu.process import RequestFailed, RunnerDied, RunnerProcess

MAX_VLEN = 1024
# Extensions that the emulator can switch on and off.
_SWITCHES = ("v", "zba", "zbb", "zbc", "zbs", "zfh")
# struct launch in runner.c, without the slots.
_LAUNCH = "QQQqiiii"
# A fault up to this far beyond the shared memory is told as one of the last argument.
_NEAR = 16 << 20
_MASKS = "mask the loads and stores of programs that reach over the edge"
_keys = itertools.count()


def cpu_option(core: Core) -> str:
    """QEMU's -cpu for `core`: the extensions that it has, as far as QEMU can tell them apart.

    Before version 8 QEMU runs half-precision vectors (zvfh) on every core with vectors; the
    property has that name since 8.2, as `zfh` and others lost their capitals.
    """
    version = process.emulator_version()
    has = {feature[1:] for feature in core.features if feature.startswith("+")}
    options = {name: str(name in has).lower() for name in _SWITCHES}
    if version < (8, 2):
        options["Zfh"] = options.pop("zfh")
    if "v" in has:
        options |= {"vlen": str(core.vlen), "elen": "64", "vext_spec": "v1.0"}
        if version >= (8, 0):
            prefix = "x-" if version < (8, 2) else ""
            options |= {prefix + name: str(name in has).lower() for name in ("zvfh", "zvfhmin")}
    options |= core.emulator
    return ",".join(["rv64", *(f"{name}={value}" for name, value in options.items())])


class QemuKernel:
    """A kernel that the emulated process loads when it first runs there."""

    def __init__(self, runtime: "QemuRuntime", binary: Binary):
        self.name = binary.name
        self.binary = binary
        self.shared_object = toolchain.link_shared([binary.object], binary.core)
        if rtz.needed():
            self.shared_object = rtz.replace(self.shared_object)
        self.nanoseconds: int | None = None  # what the last launch took, by the emulated clock
        self.counted: dict[str, int] | None = None  # what the last launch took, where the runtime counts
        self._runtime = runtime
        self._slots = Slots.of(binary)
        self._check_apart = overlap_check(binary)
        self._pack = self._slots.packer(_LAUNCH, int)
        self._threads = num_threads()
        self._key = next(_keys)
        weakref.finalize(self, runtime.discard, binary.core, self._key)

    def launch(self, grid: tuple[int, int, int], args: Sequence) -> None:
        if self._runtime.is_counting:
            counts = self.count(grid, args)
            self.counted = {INSTRUCTIONS: counts["all"]}
            self._runtime.tell(counts)
            return
        self.counted = None
        with self._runtime.lock:
            self.launch_on(self._runtime.runner(self.binary.core), grid, args, self._threads)

    def start_process(self) -> RunnerProcess:
        """A process of its own for this kernel's core, which replaces no instruction; the caller ends it."""
        return self._runtime.start(self.binary.core, thunks=False)

    def launch_on(
        self, runner: RunnerProcess, grid: tuple[int, int, int], args: Sequence, threads: int
    ) -> None:
        """`launch` in a process of the caller's choice, on `threads` threads."""
        try:
            pointers = {i: args[i] for i in sorted(self._slots.pointers) if i < len(args)}
            self._slots.check_aligned({i: address_of(pointer) for i, pointer in pointers.items()})
            if self._check_apart:
                self._check_apart(grid, args)
            placement = Placement({i: storage_of(pointer) for i, pointer in pointers.items()})
            values = [
                placement.offset_of(address_of(arg)) if i in pointers else arg for i, arg in enumerate(args)
            ]
        except LaunchError as error:
            raise name_kernel(error, self.name) from None
        where = f"kernel {self.name} on grid {tuple(grid)}"
        mapped = 0
        try:
            module = self._load_on(runner)
            placement.copy_in(runner.memory)
            mapped = runner.memory.nbytes
            payload = self._pack(module, mapped, 0, self.binary.scratch_bytes, *grid, threads, values)
            self.nanoseconds = runner.request(process.LAUNCH, payload, timeout=process.time_limit())
        except RequestFailed as failed:
            errno = os.strerror(failed.status) if failed.status else ""
            why = ": ".join(filter(None, (failed.reason, errno)))
            raise LaunchError(f"{where}: {why}") from None
        except RunnerDied as died:
            raise self._explain(where, died, placement, mapped) from None
        placement.copy_out(runner.memory)
        if stray := placement.stray_write(runner.memory):
            raise LaunchError(f"{where} {stray}", fix=_MASKS)

    def count(self, grid: tuple[int, int, int], args: Sequence) -> dict[str, int]:
        """Launches once, on one thread, and counts the instructions of the kernel's own code.

        The arguments change as in any launch.  Returns 'all' and, out of these, 'vector_load',
        'vector_store', 'vector_set' (vsetvl and its like), 'vector_arithmetic' and 'custom1' (the opcode
        of IME); see `Counters` for what counts.  Raises LaunchError, or ToolError where the emulator
        loads no plugins.
        """
        with self._runtime.lock:
            runner = self._runtime.runner(self.binary.core, counting=True)
            counters = runner.counters
            assert counters is not None, "the runner counts"
            before = counters.read()
            self.launch_on(runner, grid, args, threads=1)
            return counters.since(before)

    def count_emulated(self, grid: tuple[int, int, int], args: Sequence) -> dict[str, int]:
        """Launches once and counts what software carried out, by the instructions' names.

        The arguments change as in any launch.  Raises LaunchError.
        """
        runner = self.start_process()
        try:
            self.launch_on(runner, grid, args, num_threads())
            return runner.emulated_counts()
        finally:
            runner.finish()

    def _load_on(self, runner: RunnerProcess) -> int:
        module = runner.loaded.get(self._key)
        if module is None:
            count = len(self._slots.signature)
            payload = count.to_bytes(8, "little") + bytes(i in self._slots.pointers for i in range(count))
            payload += self.name.encode() + b"\0" + self.shared_object
            module = runner.request(process.LOAD, payload, timeout=process.time_limit())
            runner.loaded[self._key] = module
        return module

    def _explain(self, where: str, died: RunnerDied, placement: Placement, mapped: int) -> LaunchError:
        message = f"{where} died in the emulator: {died.reason}"
        fault = died.fault
        if fault is None:
            fix = "raise VERTEBRA_TIMEOUT (seconds)" if "ran for more than" in died.reason else None
            return LaunchError(message, fix=fix)
        at = f"{fault.kernel}+{fault.pc - fault.base:#x}" if fault.base else f"{fault.pc:#x}"
        if died.reason == "SIGILL":
            core = self.binary.core
            why = why_illegal(tuple(hooks.instructions().values()), fault.word, core)
            return LaunchError(
                f"{message} at {at}: {why}",
                fix=f"check the features of core {core.name}, and that an emulator serves them",
            )
        if fault.word:  # an instruction that was carried out in software
            found = find(tuple(hooks.instructions().values()), fault.word)
            at += f" in {found[0].text(**found[1])}" if found else f" in {fault.word:#010x}"
        offset = fault.address - fault.memory
        what = f"address {fault.address:#x}"
        if placement.storages and 0 <= offset < mapped + _NEAR:
            what = placement.describe(offset)
        if died.reason == "SIGBUS":
            what += ", whose address is misaligned"
            return LaunchError(
                f"{message} at {at}, accessing {what}", fix="align it to the size of the elements"
            )
        return LaunchError(f"{message} at {at}, accessing {what}", fix=_MASKS)


class QemuRuntime:
    """Runs kernels for riscv64 cores in processes of the emulator, one for each kind of core.

    emulators: software for instructions that QEMU lacks, beside that for dot instructions and those of
    other plugins; a core gets what serves its features and extensions.
    """

    name = "qemu"

    def __init__(self, emulators: Sequence[Emulator] = (rtz.EMULATOR,)):
        self.emulators = list(emulators)
        self.lock = threading.RLock()
        self._runners: dict[tuple, RunnerProcess] = {}
        self._counts: list[MutableSequence[dict[str, int]]] = []
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._after_fork)

    def supports(self, core: Core) -> str | None:
        if core.arch != "riscv64":
            return f"core {core.name} is {core.arch}, the emulator is for riscv64"
        try:
            process.emulator_version()
        except ToolError as error:
            return str(error)
        if core.vlen > MAX_VLEN and "+v" in core.features:
            return (
                f"core {core.name} has vector registers of {core.vlen} bits, the emulator {MAX_VLEN} at most"
            )
        return None

    @contextlib.contextmanager
    def counting(
        self, counts: MutableSequence[dict[str, int]] | None = None
    ) -> Iterator[MutableSequence[dict[str, int]]]:
        """Meanwhile launches count instructions, as `QemuKernel.count` does; emulators' time says nothing.

        counts: what receives those of every launch; a new list where it is None.
        """
        counts = [] if counts is None else counts
        self._counts = [*self._counts, counts]
        try:
            yield counts
        finally:
            self._counts = [other for other in self._counts if other is not counts]

    @property
    def is_counting(self) -> bool:
        return bool(self._counts)

    def tell(self, counts: dict[str, int]) -> None:
        """Of a launch, to all who asked."""
        for found in self._counts:
            found.append(counts)

    def load(self, binary: Binary) -> LoadedKernel:
        return QemuKernel(self, binary)

    def start(self, core: Core, *, thunks: bool = True, counters: Counters | None = None) -> RunnerProcess:
        """A new process for `core`; the caller ends it.  Arguments as of `RunnerProcess`."""
        emulators = self._all_emulators()
        serving = emulation.serving(core, emulators)
        options = ["-cpu", cpu_option(core)]
        return RunnerProcess(options, emulators, serving, thunks=thunks, counters=counters)

    def _all_emulators(self) -> list[Emulator]:
        return [*self.emulators, *dots.emulators(), *hooks.emulators().values()]

    def emulation(self, core: Core) -> Emulation:
        """As of `Runtime`."""
        return emulation.emulation(core, self._all_emulators())

    def _start_counting(self, core: Core) -> RunnerProcess:
        counters = Counters()
        try:
            return self.start(core, thunks=False, counters=counters)
        except ToolError as error:
            counters.close()
            raise ToolError(
                f"instructions cannot be counted: {error.message}",
                fix="use an emulator that is built with plugins",
            ) from None

    def runner(self, core: Core, *, counting: bool = False) -> RunnerProcess:
        """The living process for `core`, or the one that counts.  Hold `lock` while using it."""
        key = self._key(core, counting)
        runner = self._runners.get(key)
        if runner is not None:
            try:
                runner.unload_discarded()
            except RunnerDied:
                runner.kill()
            if runner.alive:
                return runner
            runner.kill()
        runner = self._runners[key] = self._start_counting(core) if counting else self.start(core)
        return runner

    def emulated_counts(self, core: Core) -> dict[str, int]:
        """How many instructions the process for `core` has carried out in software, by mnemonic.

        Counted over all threads and launches of the process; nothing where it has not started.
        """
        with self.lock:
            runner = self._runners.get(self._key(core))
            return runner.emulated_counts() if runner is not None and runner.alive else {}

    def _after_fork(self) -> None:
        """The parent's processes are not the child's, and another thread may have held the lock."""
        self.lock = threading.RLock()
        for runner in self._runners.values():
            runner.abandon()
        self._runners = {}

    def discard(self, core: Core, kernel: object) -> None:
        """Marks a kernel that nobody holds any more; it is unloaded before the next launch."""
        for counting in (False, True):
            runner = self._runners.get(self._key(core, counting))
            if runner is not None:
                runner.discarded.append(kernel)

    def _key(self, core: Core, counting: bool = False) -> tuple:
        return core.features, core.extensions, core.vlen, tuple(sorted(core.emulator.items())), counting

    def close(self) -> None:
        """Ends all processes.  The next launch starts new ones."""
        while self._runners:
            _, runner = self._runners.popitem()
            runner.finish()


RUNTIME = QemuRuntime()
