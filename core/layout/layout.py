"""Layouts: functions from coordinates to offsets, written as a tree of sizes and one of strides."""

from typing import Any

from vertebra.core.layout import tree
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.symbol import Coord, Sym, known


class Layout:
    """shape:stride.  Maps a coordinate to the sum of its leaves times their strides.

    shape: a tree of positive integers or `Sym`s.  stride: a congruent tree of integers, `Sym`s or
    `Coord`s; by default compact with the leftmost leaf fastest.  A call takes a linear index, or a
    coordinate in which any subtree may be indexed linearly.
    Raises LayoutError for trees that are not congruent and for sizes below one.
    """

    __slots__ = ("_flat", "_hash", "shape", "stride")
    shape: Any
    stride: Any
    _flat: tuple[tuple, tuple]
    _hash: int

    def __init__(self, shape, stride=None):
        if stride is None:
            stride = tree.prefix_products(shape)
        flat = tree.leaves(shape), tree.leaves(stride)
        if len(flat[0]) != len(flat[1]) or not tree.congruent(shape, stride):
            tree.check_congruent(shape, stride, "shape and stride")
        for i, leaf in enumerate(flat[0]):
            if isinstance(leaf, bool) or not isinstance(leaf, int | Sym):
                raise LayoutError(f"leaf {i} of shape {tree.show(shape)} is no integer but {leaf!r}")
            if isinstance(leaf, int) and leaf < 1:
                raise LayoutError(f"leaf {i} of shape {tree.show(shape)} is {leaf}; sizes are at least 1")
        put = object.__setattr__
        put(self, "shape", shape)
        put(self, "stride", stride)
        put(self, "_flat", flat)
        put(self, "_hash", hash((shape, stride)))

    def __setattr__(self, name, value):
        raise AttributeError(f"a layout does not change; make a new one for {name} = {value!r}")

    def __reduce__(self):
        return Layout, (self.shape, self.stride)

    @property
    def flat_modes(self) -> tuple[tuple, ...]:
        """(size, stride) of every leaf, from the left."""
        return tuple(zip(*self._flat, strict=True))

    @property
    def rank(self) -> int:
        return tree.rank(self.shape)

    @property
    def modes(self) -> "tuple[Layout, ...]":
        """One layout per top-level mode."""
        if not isinstance(self.shape, tuple):
            return (self,)
        return tuple(map(Layout, self.shape, self.stride))

    def mode(self, *path: int) -> "Layout":
        """The layout of the subtree at `path`.  Raises LayoutError where there is none."""
        shape, stride = self.shape, self.stride
        for step in path:
            if not isinstance(shape, tuple):
                shape, stride = (shape,), (stride,)
            if not 0 <= step < len(shape):
                raise LayoutError(f"layout {self} has no mode {'.'.join(map(str, path))}")
            shape, stride = shape[step], stride[step]
        return Layout(shape, stride)

    @property
    def size(self):
        """How many coordinates there are."""
        return tree.size(self.shape)

    @property
    def cosize(self):
        """One more than the largest offset (for strides of either sign: the span of the offsets)."""
        span = 1
        for count, stride in self.flat_modes:
            if isinstance(stride, Coord):
                raise LayoutError(f"layout {self} gives coordinates, which have no largest offset")
            span = span + (count - 1) * (abs(stride) if isinstance(stride, int) else stride)
        return span

    def __call__(self, *coord):
        where = coord[0] if len(coord) == 1 else tuple(coord)
        return tree.dot(where, self.shape, self.stride)

    def slice(self, coord) -> "tuple[Layout, int]":
        """(what is left, its offset): `coord` has an index where a mode is fixed and None where it stays."""
        if not isinstance(self.shape, tuple):
            coord = (coord,) if not isinstance(coord, tuple) else coord
        kept, offset = _slice(coord, self.shape, self.stride)
        if not kept:
            return Layout(1, 0), offset
        if len(kept) == 1:
            return kept[0], offset
        return join(*kept), offset

    def offsets(self):
        """Every offset by linear index: an int64 NumPy array of shape (size,)."""
        import numpy as np

        table = np.zeros(1, np.int64)
        for count, stride in self.flat_modes:
            if isinstance(stride, Coord):
                raise LayoutError(f"layout {self} gives coordinates, which are no offsets")
            steps = np.arange(known(count, f"a size of {self}"), dtype=np.int64) * known(stride, "a stride")
            table = (steps[:, None] + table[None, :]).reshape(-1)
        return table

    def bind(self, **sizes: int) -> "Layout":
        """The layout with symbols replaced by the sizes given for their names."""

        def put(leaf):
            return leaf.bind(sizes) if isinstance(leaf, Sym | Coord) else leaf

        return Layout(tree.map_leaves(put, self.shape), tree.map_leaves(put, self.stride))

    def __eq__(self, other):
        return isinstance(other, Layout) and (self.shape, self.stride) == (other.shape, other.stride)

    def __hash__(self):
        return self._hash

    def __str__(self):
        return f"{tree.show(self.shape)}:{tree.show(self.stride)}"

    def __repr__(self):
        return f"Layout({self})"


def _slice(coord, shape, stride):
    if coord is None:
        return [Layout(shape, stride)], 0
    if not isinstance(coord, tuple):
        return [], tree.dot(coord, shape, stride)
    if not isinstance(shape, tuple) or len(coord) != len(shape):
        raise LayoutError(f"slice {tree.show(coord)} does not index shape {tree.show(shape)}")
    kept, offset = [], 0
    for parts in zip(coord, shape, stride, strict=True):
        more, by = _slice(*parts)
        kept += more
        offset = offset + by
    return kept, offset


def join(*parts: Layout) -> Layout:
    """One layout whose modes are `parts`."""
    return Layout(tuple(p.shape for p in parts), tuple(p.stride for p in parts))


def row_major(*shape) -> Layout:
    """Compact, with the rightmost leaf fastest."""
    return Layout(shape, tree.suffix_products(shape))


def identity(shape) -> Layout:
    """The layout whose value at a coordinate is that coordinate."""
    from vertebra.core.layout.symbol import basis

    def strides(part, path):
        if isinstance(part, tuple):
            return tuple(strides(p, (*path, i)) for i, p in enumerate(part))
        return basis(*path)

    return Layout(shape, strides(shape, ()))
