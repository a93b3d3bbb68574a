"""What kernels record of the scopes inside of them, as it comes from the runtimes (core/native/record.h)."""

import json
import threading
from collections.abc import Iterator
from typing import NamedTuple

import attrs
import numpy as np

_HEAD = np.dtype([(name, "<i8") for name in ("ended", "lost", "count", "names_bytes")])
_RECORD = np.dtype(
    [(name, "<i8") for name in ("nanoseconds", "cycles", "instructions", "name")]
    + [(name, "<i4") for name in ("hart", "start", "thread", "depth", "x", "y", "z", "unused")]
)


class Record(NamedTuple):  # there may be hundreds of thousands
    """A program enters the scope `name`, or leaves it.

    nanoseconds: of the monotonic clock.  thread: which thread of the runtime ran it.  depth: how many of
    the program's parallel loops are around it.
    hart, cycles, instructions: a processor's counters, which mean something as differences on one hart;
    None for those that cannot be read.
    """

    start: bool
    nanoseconds: int
    program: tuple[int, int, int]
    name: str
    thread: int = 0
    depth: int = 0
    hart: int = -1
    cycles: int | None = None
    instructions: int | None = None


@attrs.frozen
class Recording:
    """Of one launch.  ended: when its programs had ended, in nanoseconds of the monotonic clock.

    lost: how many records did not fit.  clock: what time was read from, in words.  Reading `records`
    takes a while, and nothing else does.
    """

    ended: int
    lost: int
    clock: str
    _rows: np.ndarray
    _names: tuple[bytes, ...]

    @property
    def records(self) -> list[Record]:
        """In order of time."""
        names = [json.loads(name) for name in self._names]
        rows = self._rows[np.argsort(self._rows["nanoseconds"], kind="stable")]
        return [
            Record(
                bool(start),
                time,
                (x, y, z),
                names[name - 1],  # the first one is the clock's
                thread,
                depth,
                hart,
                cycles if cycles >= 0 else None,
                instructions if instructions >= 0 else None,
            )
            for time, cycles, instructions, name, hart, start, thread, depth, x, y, z, _ in rows.tolist()
        ]


class _Pieces(threading.local):
    """A launch tells its records on the thread that launched it."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []


_pieces = _Pieces()


def keep(piece: bytes) -> None:
    """Keeps a piece of what a launch tells for the calling thread's next `take`."""
    _pieces.kept.append(piece)


def take() -> list[Recording]:
    """What the calling thread's launches have recorded since the last call, a recording for each."""
    taken, _pieces.kept = _pieces.kept, []
    return list(_read(b"".join(taken))) if taken else []


def _read(data: bytes) -> Iterator[Recording]:
    at = 0
    while at < len(data):
        (head,) = np.frombuffer(data, _HEAD, 1, at).tolist()
        ended, lost, count, names_bytes = head
        at += _HEAD.itemsize
        rows = np.frombuffer(data, _RECORD, count, at)
        at += rows.nbytes
        clock, *names = data[at : at + names_bytes].split(b"\0")[:-1]
        at += names_bytes
        yield Recording(ended, lost, clock.decode(), rows, tuple(names))
