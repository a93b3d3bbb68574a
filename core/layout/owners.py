"""Who holds which element: thread-value layouts."""

from typing import NamedTuple

from vertebra.core.layout import tree
from vertebra.core.layout.algebra import coalesce, composition
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.inverse import right_inverse
from vertebra.core.layout.layout import Layout, join
from vertebra.core.layout.swizzle import Composed
from vertebra.core.layout.tiling import logical_divide, raked_product


class Owners(NamedTuple):
    """layout: (thread, value) -> logical index m + M * n of a tile of `shape` (M, N).

    values count a thread's registers, one element each.  broadcast: several threads may hold
    the same element.
    """

    layout: Layout
    shape: tuple[int, ...]
    broadcast: bool = False

    @property
    def threads(self) -> int:
        return tree.size(self.layout.shape[0])

    @property
    def values(self) -> int:
        return tree.size(self.layout.shape[1])

    def table(self):
        """Logical indices: an int64 array of shape (threads, values)."""
        return self.layout.offsets().reshape(self.values, self.threads).T

    def check(self) -> None:
        """Raises LayoutError unless every element of the tile is held, once if not broadcast."""
        import numpy as np

        if self.layout.rank != 2:
            raise LayoutError(
                f"owners have two modes, threads and values; {self.layout} has {self.layout.rank}"
            )
        held = np.bincount(self.layout.offsets(), minlength=tree.size(self.shape))
        if len(held) > tree.size(self.shape):
            raise LayoutError(
                f"owners {self.layout} reach element {len(held) - 1}, and a tile of"
                f" {'x'.join(map(str, self.shape))} has {tree.size(self.shape)}"
            )
        if not held.all():
            raise LayoutError(
                f"nobody holds element {self.coordinate(int(np.argmin(held)))} of {self.layout}"
            )
        if not self.broadcast and held.max() > 1:
            twice = int(np.argmax(held > 1))
            (t1, v1), (t2, v2) = np.argwhere(self.table() == twice)[:2].tolist()
            raise LayoutError(
                f"element {self.coordinate(twice)} is held twice: by thread {t1} value {v1} and by thread"
                f" {t2} value {v2}",
                fix="declare the owners as broadcast",
            )

    def coordinate(self, index: int) -> tuple[int, ...]:
        """The logical coordinate of a linear index."""
        found = []
        for extent in self.shape:
            found.append(index % extent)
            index //= extent
        return tuple(found)


def make_tiled_copy(threads: Layout, values: Layout) -> Owners:
    """Owners of a tile that threads of arrangement `threads` cover with `values` each.

    threads: (m, n) -> thread.  values: (m, n) -> value; each thread's block is contiguous.
    """
    placed = raked_product(threads, values)
    made = right_inverse(placed)
    split = composition(made, Layout((threads.size, values.size)))
    return Owners(split, tuple(tree.size(m.shape) for m in placed.modes))


def partition(owners: Owners, destination):
    """(thread, value) -> offset in `destination`, a layout of the same tile.

    Raises LayoutError, naming the mode, where the tiles differ in size.
    """
    check_tiles(owners.shape, tuple(tree.size(m.shape) for m in _modes(destination)))
    return composition(destination, owners.layout)


def _modes(layout):
    return layout.layout.modes if isinstance(layout, Composed) else layout.modes


def check_tiles(source: tuple[int, ...], destination: tuple[int, ...]) -> None:
    """Raises LayoutError naming the first mode in which two tiles differ."""
    if len(source) != len(destination):
        raise LayoutError(
            f"the source tile has {len(source)} modes, {'x'.join(map(str, source))}, and the destination"
            f" {len(destination)}, {'x'.join(map(str, destination))}",
            fix="group the modes by meaning: one for M, one for K",
        )
    for i, (a, b) in enumerate(zip(source, destination, strict=True)):
        if a != b:
            raise LayoutError(f"mode {i} has {a} elements in the source and {b} in the destination")


def retile(values: Layout, vector: int) -> Layout:
    """A thread's registers as (within one access, accesses): its values cut into vectors."""
    if values.size % vector:
        raise LayoutError(f"{values.size} values do not fall into vectors of {vector}")
    inner, outer = logical_divide(coalesce(values), vector).modes
    return join(inner, outer)


def single(layout) -> Owners:
    """One thread that walks a tile in the order of its linear index."""
    shape = tuple(tree.size(m.shape) for m in _modes(layout))
    return Owners(Layout((1, tree.size(shape)), (0, 1)), shape)
