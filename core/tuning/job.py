"""A measurement that another process can make: code, and arguments with memory of their own.

Memory is described, not shared.  Integers are sent as they are, since they may be places or lengths, on which
it depends what a kernel reads and how long it runs.  Floats are made up, unless every launch has to
begin with the memory that this one would see.
"""

import ctypes
import platform
import signal
import statistics
from collections.abc import Callable, Sequence, Set

import attrs
import numpy as np

from vertebra.core import bounds, cache, select
from vertebra.core.errors import LaunchError
from vertebra.core.runtime import Binary, Storage, address_of, merge, num_threads, storage_of
from vertebra.core.target import Core
from vertebra.core.tuning.clock import repeat
from vertebra.core.tuning.launch import Launch
from vertebra.core.tuning.records import INSTRUCTIONS, MILLISECONDS, Conditions

_FLOATS = {"fp16": np.float16, "bf16": None, "fp32": np.float32, "fp64": np.float64}
_ALIGNMENT = 64
# Milliseconds: how long a kernel runs before it is timed, and how long at least while it is.
_WARMUP, _REPEAT = 5, 50


@attrs.frozen
class Memory:
    """A block of memory.

    residue: its address modulo `_ALIGNMENT`.  content: its bytes; None where numbers of the type `element`
    are made up.  fresh: the same before every launch.
    """

    nbytes: int
    residue: int
    content: bytes | None
    element: str = ""
    fresh: bool = False


@attrs.frozen
class Place:
    """A pointer argument: `offset` bytes into a block."""

    memory: int
    offset: int


@attrs.frozen
class Arguments:
    """The blocks that all jobs of one tuning use.  digest: tells them from others'."""

    memories: tuple[Memory, ...]
    digest: str


@attrs.frozen
class Job:
    """values: of the arguments, in slot order; a pointer is a `Place`.  core: its name."""

    name: str
    object: bytes
    scratch_bytes: int
    signature: tuple[str, ...]
    core: str
    bounds: bool
    grid: tuple[int, int, int]
    values: tuple


def describe(launches: Sequence[Launch], fresh: Callable[[object], bool]) -> tuple[Arguments, list[Job]]:
    """The jobs that measure `launches`, in order, and their memory.

    fresh: whether a pointer argument's memory must be the same before every launch.  Raises LaunchError for
    an address whose extent nobody knows, and for memory that holds addresses.
    """
    for launch in launches:
        for name, kind in zip(launch.names, launch.visible, strict=True):
            if kind.startswith("**"):
                raise LaunchError(
                    f"kernel {launch.binary.name}: argument {name} points to addresses, which are this "
                    "process's, and it is to be measured in another one",
                    fix="tune it where it is called, without workers",
                )
    pointers = [
        (kind, value, storage_of(value))
        for launch in launches
        for kind, value in zip(launch.visible, launch.args, strict=True)
        if kind.startswith("*")
    ]
    blocks = merge([storage for _, _, storage in pointers])
    kinds: list[set[str]] = [set() for _ in blocks]
    kept: set[int] = set()
    for kind, value, storage in pointers:
        if storage.nbytes:
            number = _block_of(blocks, storage.address)
            kinds[number].add(kind[1:])
            if fresh(value):
                kept.add(number)
    memories = tuple(_memory(b, kinds[i], i in kept) for i, b in enumerate(blocks))
    return Arguments(memories, cache.key(memories)), [_job(launch, blocks) for launch in launches]


def _memory(block: Storage, kinds: Set[str], fresh: bool) -> Memory:
    residue = block.address % _ALIGNMENT
    if not fresh and len(kinds) == 1 and (element := next(iter(kinds))) in _FLOATS:
        return Memory(block.nbytes, residue, None, element)
    return Memory(block.nbytes, residue, ctypes.string_at(block.address, block.nbytes), fresh=fresh)


def _block_of(blocks: Sequence[Storage], address: int) -> int:
    """The number of the block around `address`; blocks are in order, and do not overlap."""
    return next(number for number, block in enumerate(blocks) if address < block.end)


def _job(launch: Launch, blocks: Sequence[Storage]) -> Job:
    values = []
    for kind, value in zip(launch.visible, launch.args, strict=True):
        if kind.startswith("*"):
            storage, address = storage_of(value), address_of(value)
            number = _block_of(blocks, storage.address) if storage.nbytes else -1
            value = Place(number, address - blocks[number].address if storage.nbytes else 0)
        values.append(value)
    binary = launch.binary
    return Job(
        binary.name,
        binary.object,
        binary.scratch_bytes,
        binary.signature,
        binary.core.name,
        binary.bounds,
        launch.grid,
        tuple(values),
    )


class Blocks:
    """The memory of `Arguments`, in this process."""

    def __init__(self, arguments: Arguments):
        random = np.random.default_rng(0)
        self.digest = arguments.digest
        self._memories = arguments.memories
        self._arrays = [_filled(memory, random) for memory in arguments.memories]
        self._empty = np.zeros(0, np.uint8)

    def argument(self, value):
        """What a kernel is given for a value of a job."""
        if not isinstance(value, Place):
            return value
        return self._empty if value.memory < 0 else self._arrays[value.memory][value.offset :]

    def renew(self) -> None:
        """Brings back what has to be the same before every launch."""
        for memory, array in zip(self._memories, self._arrays, strict=True):
            if memory.fresh:
                array[:] = np.frombuffer(memory.content or b"", np.uint8)


def _filled(memory: Memory, random: np.random.Generator) -> np.ndarray:
    space = np.zeros(memory.nbytes + 2 * _ALIGNMENT, np.uint8)
    start = (memory.residue - space.ctypes.data) % _ALIGNMENT
    array = space[start : start + memory.nbytes]
    if memory.content is not None:
        array[:] = np.frombuffer(memory.content, np.uint8)
    else:
        numbers = made_up(memory.element, memory.nbytes, random)
        array[: numbers.nbytes] = numbers.view(np.uint8)
    return array


def made_up(element: str, nbytes: int, random: np.random.Generator) -> np.ndarray:
    """As many numbers between -1 and 1 as fit: bfloat16 as its bits."""
    if element == "bf16":
        numbers = random.uniform(-1, 1, nbytes // 2).astype(np.float32)
        return (numbers.view(np.uint32) >> 16).astype(np.uint16)
    dtype = np.dtype(_FLOATS[element])
    return random.uniform(-1, 1, nbytes // dtype.itemsize).astype(dtype)


def digest_of(core: Core) -> str:
    """Tells cores apart whose code or speed may differ, the hosts of different machines for one."""
    return cache.key(core)[:16]


def conditions_for(core: str) -> Conditions:
    """What measurements for a core stand on in this process.  Raises ConfigError, LaunchError."""
    found = select.find_core(core)
    emulated = hasattr(select.runtime_for(found), "counting")
    return Conditions(
        found.name,
        digest_of(found),
        INSTRUCTIONS if emulated else MILLISECONDS,
        1 if emulated else num_threads(),
        platform.node(),
    )


def measure(job: Job, blocks: Blocks, seconds: float) -> float:
    """The median milliseconds of a launch, or the instructions of one, as `conditions_for` says.

    A kernel that runs in this process for more than `seconds` ends the process by SIGALRM; for one that is
    emulated $VERTEBRA_TIMEOUT holds.  Raises LaunchError, ToolError.
    """
    core = select.find_core(job.core)
    binary = Binary(job.name, job.object, job.scratch_bytes, job.signature, core, job.bounds)
    kernel = select.runtime_for(core).load(binary)
    args = [blocks.argument(value) for value in job.values]
    if job.bounds:
        pointers = (arg for arg, kind in zip(args, job.signature, strict=False) if kind.startswith("*"))
        args = [*args, *(n for pointer in list(pointers) for n in bounds.extent(pointer))]
    count = getattr(kernel, "count", None)
    if count is not None:
        blocks.renew()
        return float(count(job.grid, args)["all"])

    def launch() -> None:
        kernel.launch(job.grid, args)

    signal.setitimer(signal.ITIMER_REAL, seconds)
    repeat(launch, _WARMUP, before=blocks.renew)
    times = repeat(launch, _REPEAT, least=3, before=blocks.renew)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return statistics.median(times)
