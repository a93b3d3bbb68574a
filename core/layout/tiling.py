"""Dividing layouts into tiles, repeating them, and packed tensors as layouts."""

from vertebra.core.layout import tree
from vertebra.core.layout.algebra import (
    coalesce,
    complement,
    composition,
    from_modes,
)
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.inverse import left_inverse
from vertebra.core.layout.layout import Layout, join
from vertebra.core.layout.swizzle import Composed
from vertebra.core.layout.symbol import divide_exactly


def logical_divide(layout, tiler):
    """(within a tile, between tiles): layout o (tiler, complement of tiler).

    tiler: a layout, a size, or a tuple of them and of None, one per mode.
    """
    if isinstance(tiler, tuple):
        return _per_mode(logical_divide, layout, tiler)
    tiler = _layout(tiler)
    try:
        rest = complement(tiler, layout.size)
    except LayoutError as error:
        raise LayoutError(f"{layout} divided by {tiler}: {error.message}", fix=error.fix) from None
    return composition(layout, join(tiler, rest))


def zipped_divide(layout, tiler):
    """((tile modes), (rest modes))."""
    return _zip(logical_divide(layout, tiler), tiler)


def tiled_divide(layout, tiler):
    """((tile modes), rest mode, rest mode, ...)."""
    tiles, *rest = zipped_divide(layout, tiler).modes
    return join(tiles, *rest[0].modes)


def flat_divide(layout, tiler):
    """(tile mode, ..., rest mode, ...)."""
    tiles, rest = zipped_divide(layout, tiler).modes
    return join(*tiles.modes, *rest.modes)


def logical_product(block, tiler):
    """(block, repetitions of it in the order of tiler), without overlap.

    tiler: a layout, a size, None (once) or a tuple of them, one per mode.
    """
    if tiler is None:
        return block
    if isinstance(tiler, tuple):
        return _per_mode(logical_product, block, tiler)
    tiler = _layout(tiler)
    room = complement(block, block.size * tiler.cosize)
    return join(block, composition(room, tiler))


def zipped_product(block, tiler):
    return _zip(logical_product(block, tiler), tiler)


def tiled_product(block, tiler):
    tiles, rest = zipped_product(block, tiler).modes
    return join(tiles, *rest.modes)


def blocked_product(block: Layout, tiler: Layout) -> Layout:
    """Mode by mode (block, repetitions): neighbours within the block stay neighbours."""
    return _woven(block, tiler, block_first=True)


def raked_product(block: Layout, tiler: Layout) -> Layout:
    """Mode by mode (repetitions, block): the block's elements are dealt out cyclically."""
    return _woven(block, tiler, block_first=False)


def _woven(block, tiler, block_first):
    rank = max(block.rank, tiler.rank)
    block, tiler = _padded(block, rank), _padded(tiler, rank)
    inner, outer = logical_product(block, tiler).modes
    pairs = zip(inner.modes, outer.modes, strict=True)
    order = (lambda a, b: (a, b)) if block_first else (lambda a, b: (b, a))
    return join(*(join(*order(coalesce(a), coalesce(b))) for a, b in pairs))


def _padded(layout, rank):
    modes = layout.modes
    return join(*modes, *(Layout(1, 0) for _ in range(rank - len(modes))))


def _layout(tiler) -> Layout:
    return Layout(tiler) if isinstance(tiler, int) else tiler


def _per_mode(operation, layout, tiler):
    if len(tiler) > layout.rank:
        raise LayoutError(f"{len(tiler)} tiles for the {layout.rank} modes of {layout}")
    if isinstance(layout, Composed):
        return Composed(layout.outer, layout.offset, _per_mode(operation, layout.layout, tiler))
    modes = layout.modes
    done = [m if t is None else operation(m, t) for m, t in zip(modes, tiler, strict=False)]
    return join(*done, *modes[len(tiler) :])


def _zip(divided, tiler):
    if isinstance(divided, Composed):
        return Composed(divided.outer, divided.offset, _zip(divided.layout, tiler))
    if not isinstance(tiler, tuple):
        return divided
    tiles, rest = [], []
    for i, mode in enumerate(divided.modes):
        if i < len(tiler) and tiler[i] is not None:
            tiles.append(mode.mode(0))
            rest.append(mode.mode(1))
        else:
            rest.append(mode)
    return join(join(*tiles), join(*rest))


def whole_tiles(name: str, shape, tile) -> list[int]:
    """How many tiles cover `shape` along each mode.  name: of the operand, for errors.

    Raises LayoutError, with the mode and the sizes, where they do not.
    """
    counts = []
    for i, (extent, step) in enumerate(zip(shape, tile, strict=True)):
        if extent % step:
            raise LayoutError(
                f"{name}: mode {i} has {extent} elements, and its tile has {step}",
                fix=f"pad mode {i} to {-(-extent // step) * step}",
            )
        counts.append(extent // step)
    return counts


def tile_to_shape(block, shape, order=None):
    """Repeats `block` until it covers `shape`, mode `order[0]` first; one mode per mode of shape.

    Raises LayoutError, with the mode and the sizes, where the block does not divide the shape.
    """
    if isinstance(block, Composed):
        return Composed(block.outer, block.offset, tile_to_shape(block.layout, shape, order))
    rank = len(shape)
    if block.rank > rank:
        raise LayoutError(f"block {block} has {block.rank} modes, and shape {tree.show(shape)} has {rank}")
    block = _padded(block, rank)
    counts = []
    for i, (mode, wanted) in enumerate(zip(block.modes, shape, strict=True)):
        count = divide_exactly(tree.size(wanted), mode.size)
        if count is None:
            raise LayoutError(
                f"mode {i}: a block of {mode.size} does not divide {tree.size(wanted)}",
                fix=f"pad mode {i} to a multiple of {mode.size}",
            )
        counts.append(count)
    order = tuple(range(rank)) if order is None else order
    if sorted(order) != list(range(rank)):
        raise LayoutError(f"order {order} does not name each of the {rank} modes once")
    strides, current = [0] * rank, 1
    for axis in order:
        strides[axis] = current
        current = current * counts[axis]
    made = blocked_product(block, Layout(tuple(counts), tuple(strides)))
    return join(*(coalesce(m) for m in made.modes))


def as_pack(shape, tiles, *, inner=None, outer=None) -> Layout:
    """The offsets that `linalg.pack` gives the elements of a tensor: one mode per dimension.

    shape: the tensor's sizes.  tiles: the inner tile sizes.  inner: the dimension that each tile
    divides (`inner_dims_pos`).  outer: the order of the outer dimensions (`outer_dims_perm`).
    The packed tensor is row-major; sizes are padded up to whole tiles, and coordinates at or past
    the extent are padding (see `within`).
    Raises LayoutError for dimensions that are not there or named twice.
    """
    rank = len(shape)
    inner = tuple(range(len(tiles))) if inner is None else tuple(inner)
    outer = tuple(range(rank)) if outer is None else tuple(outer)
    if len(set(inner)) != len(tiles) or not all(0 <= d < rank for d in inner):
        raise LayoutError(f"inner dimensions {inner} do not name {len(tiles)} different ones of {rank}")
    if sorted(outer) != list(range(rank)):
        raise LayoutError(f"outer permutation {outer} does not name each of the {rank} dimensions once")
    if any(isinstance(n, int) and n < 1 for n in (*tiles, *shape)):
        raise LayoutError(
            f"a tensor of {tree.show(shape)} in tiles of {tree.show(tiles)}: sizes are at least 1"
        )
    tile_of = dict(zip(inner, tiles, strict=True))
    counts = []
    for d, extent in enumerate(shape):
        tile = tile_of.get(d, 1)
        count = divide_exactly(extent, tile)
        if count is None and isinstance(extent, int):
            count = -(-extent // tile)
        if count is None:
            raise LayoutError(f"dimension {d}: {extent} is not known to be a multiple of tile {tile}")
        counts.append(count)
    strides = tree.suffix_products((*(counts[d] for d in outer), *tiles))
    outer_stride = dict(zip(outer, strides[:rank], strict=True))
    inner_stride = dict(zip(inner, strides[rank:], strict=True))
    modes = []
    for d in range(rank):
        if d in tile_of:
            modes.append(Layout((tile_of[d], counts[d]), (inner_stride[d], outer_stride[d])))
        else:
            modes.append(Layout(counts[d], outer_stride[d]))
    return join(*modes)


def within(layout, extents):
    """Which linear indices of `layout` lie inside a tensor of `extents`: the rest is padding.

    A bool array of shape (size,).
    """
    import numpy as np

    inside = np.ones(1, bool)
    for mode, extent in zip(layout.modes, extents, strict=True):
        inside = (np.arange(mode.size)[:, None] < extent) & inside[None, :]
        inside = inside.reshape(-1)
    return inside


def subview(layout: Layout, origin, sizes) -> tuple[Layout, int]:
    """(layout of the part, its offset): `sizes` coordinates of each mode from `origin` on.

    Raises LayoutError, with the mode and the sizes, for a part that leaves the layout and for one
    that is no layout of its own, because it starts within a tile that it does not stay in.
    """
    parts, offset = [], 0
    for i, (mode, start, count) in enumerate(zip(layout.modes, origin, sizes, strict=True)):
        if start + count > mode.size:
            raise LayoutError(f"mode {i}: {count} from {start} on leaves its {mode.size} elements")
        try:
            part = composition(mode, Layout(count))
        except LayoutError:
            part = None
        if part is None or any(mode(start + c) - mode(start) != part(c) for c in range(count)):
            raise LayoutError(
                f"mode {i}: {count} elements from {start} on cross the tiles of {mode} unevenly",
                fix="start at a multiple of the tile, and take whole tiles or a part of one",
            )
        parts.append(part)
        offset += mode(start)
    return join(*parts), offset


def from_pack(layout: Layout) -> tuple[tuple, tuple, tuple, tuple]:
    """(shape, tiles, inner, outer) of a layout that `as_pack` can make, with the fewest tiles.

    Raises LayoutError for any other layout.
    """
    shape = tuple(tree.size(m.shape) for m in layout.modes)
    plain = [coalesce(m).flat_modes for m in layout.modes]
    for d, modes in enumerate(plain):
        if len(modes) > 2:
            raise LayoutError(f"mode {d} of {layout} has {len(modes)} levels; a pack has two")
    tiled = [d for d, modes in enumerate(plain) if len(modes) == 2]
    tiled.sort(key=lambda d: -plain[d][0][1])
    tiles = tuple(plain[d][0][0] for d in tiled)
    outer = tuple(sorted(range(len(shape)), key=lambda d: -plain[d][-1][1] if shape[d] > 1 else 0))
    made = as_pack(shape, tiles, inner=tiled, outer=outer)
    same = [coalesce(a) == coalesce(b) for a, b in zip(made.modes, layout.modes, strict=True)]
    if not all(same):
        raise LayoutError(f"{layout} is no packed tensor: mode {same.index(False)} would be {made}")
    return shape, tiles, tuple(tiled), outer


def repack(source: Layout, destination: Layout) -> Layout:
    """destination o source^-1: where the element at each offset of `source` goes.

    Raises LayoutError where the sizes differ, by mode.
    """
    if source.size != destination.size:
        for i, (a, b) in enumerate(zip(source.modes, destination.modes, strict=False)):
            if a.size != b.size:
                raise LayoutError(f"mode {i} has {a.size} elements in {source} and {b.size} in {destination}")
        raise LayoutError(f"{source} has {source.size} elements and {destination} has {destination.size}")
    return composition(from_modes(coalesce(destination).flat_modes), left_inverse(source))
