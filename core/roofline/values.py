"""What is known of a value while a kernel's `linalg` stage is followed: sizes and addresses, no data."""

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

LINE = 64  # bytes of a line of cache
_MOST_LINES = 1 << 30  # of an argument, to keep account of


@attrs.frozen
class Unknown:
    """A number that is not known.  names: arguments without a value on which it depends."""

    names: frozenset[str] = frozenset()


DATA = Unknown()


def joined(values) -> Unknown:
    """What is known of a number that depends on all of `values`."""
    return Unknown(frozenset().union(*(v.names for v in values if isinstance(v, Unknown))))


@attrs.frozen
class Shape:
    """A tensor."""

    sizes: tuple


@attrs.frozen
class View:
    """Memory with a shape.  argument: which one it belongs to, None for a kernel's own memory.

    offset, sizes, strides: in elements of `size` bytes.
    """

    argument: str | None
    offset: object
    sizes: tuple
    strides: tuple
    size: int

    @property
    def elements(self) -> int:
        return math.prod(self.sizes)


class Touched:
    """Which lines of an argument's memory a launch touches."""

    def __init__(self):
        self._lines = np.zeros(1 << 12, bool)
        self._seen: set[tuple] = set()
        self.end = 0  # the first byte after what it touches
        self.unknown = False  # some of its addresses depend on data, or are out of all bounds

    def add(self, view: View) -> None:
        """Marks what `view` covers.  Negative addresses are another array's and are left out."""
        numbers = (view.offset, *view.sizes, *view.strides)
        if any(isinstance(n, Unknown) for n in numbers):
            self.unknown = True
            return
        if numbers in self._seen or not view.elements:
            return
        self._seen.add(numbers)
        starts, run = _runs(view)
        starts = starts[starts >= 0]
        if not starts.size:
            return
        first, last = starts // LINE, (starts + run - 1) // LINE
        if int(last.max()) >= _MOST_LINES:
            self.unknown = True
            return
        self.end = max(self.end, int(starts.max()) + run)
        if int(last.max()) >= self._lines.size:
            self._lines = np.pad(self._lines, (0, 2 * int(last.max()) - self._lines.size + 2))
        if starts.size > run // LINE:
            for step in range(int((last - first).max()) + 1):
                self._lines[np.minimum(first + step, last)] = True
        else:
            for begin, stop in zip(first.tolist(), last.tolist(), strict=True):
                self._lines[begin : stop + 1] = True

    @property
    def bytes(self) -> int:
        """Of all lines that were touched."""
        return LINE * int(np.count_nonzero(self._lines))


def _runs(view: View) -> tuple[np.ndarray, int]:
    """(first byte of every run, bytes of one): the dimensions that lie one after the other are one run."""
    order = sorted(zip(view.strides, view.sizes, strict=True), key=lambda pair: abs(pair[0]))
    length = 1
    outer: list[tuple] = []
    for stride, size in order:
        if size == 1 or stride == 0:
            continue
        if stride == length and not outer:
            length *= size
        else:
            outer.append((stride, size))
    starts = np.array([view.offset], np.int64)
    for stride, size in outer:
        starts = (starts[:, None] + stride * np.arange(size)).reshape(-1)
    return starts * view.size, length * view.size


@attrs.define
class Traffic:
    """What a launch moves between one argument and the kernel's own memory.

    read, written: bytes, as often as they are moved.  touched: bytes of different lines.  end: how
    many bytes the argument has at least, None where addresses depend on data.
    """

    read: float = 0
    written: float = 0
    touched: float = 0
    end: int | None = 0

    @property
    def reuse(self) -> float:
        """How often its lines are moved."""
        return (self.read + self.written) / self.touched if self.touched else 0.0


@attrs.frozen
class Product:
    """Matrix products of one kind.

    a, b, acc: element types, as in `vertebra.core.tiles.MatrixTile`.  operations: a multiplication
    and an addition count as two.  shape: the sizes of one product's loops.
    """

    a: str
    b: str
    acc: str
    operations: float
    shape: tuple[int, ...] = attrs.field(eq=False, default=())

    def __str__(self) -> str:
        return f"{self.a} x {self.b} -> {self.acc}"


@attrs.frozen
class Work:
    """What one launch does.

    programs: of the grid.  followed: how many of them were followed; the others are taken to do
    the same on average.  vector_operations: arithmetic on single elements outside of products, with
    the math functions written out.  vector_results: how many results they have; a multiply-add has
    one for two operations.  vector_bits: of these results.
    notes: what had to be taken for granted.
    """

    programs: int
    followed: int
    products: tuple[Product, ...]
    vector_operations: float
    vector_results: float
    vector_bits: float
    traffic: Mapping[str, Traffic]
    notes: Sequence[str] = ()

    @property
    def operations(self) -> float:
        """Of all products."""
        return sum(product.operations for product in self.products)

    @property
    def moved(self) -> float:
        """Bytes that loads and stores move between arguments and the kernel's own memory."""
        return sum(t.read + t.written for t in self.traffic.values())

    @property
    def touched(self) -> float:
        """Bytes of different lines of the arguments."""
        return sum(t.touched for t in self.traffic.values())

    def kept(self, cache: int) -> frozenset[str]:
        """Arguments that stay in a cache of `cache` bytes: those that are used most often, while they fit."""
        kept: set[str] = set()
        room: float = cache
        often = sorted(self.traffic.items(), key=lambda item: -item[1].reuse)
        for name, traffic in often:
            if traffic.reuse > 1 and traffic.touched <= room:
                kept.add(name)
                room -= traffic.touched
        return frozenset(kept)

    def from_memory(self, cache: int) -> float:
        """Bytes between main memory and the last cache, of `cache` bytes.

        Arguments that stay there cross once; of the others everything that the kernel moves does.
        """
        kept = self.kept(cache)
        return sum(
            t.touched if name in kept else max(t.touched, t.read + t.written)
            for name, t in self.traffic.items()
        )
