"""`tle`: tiles of tensors in Triton kernels: taking one out, and putting one in.

    import triton.language.extra.tle as tle

A tensor whose sizes the tile divides is a grid of tiles, numbered row by row, the last
dimension fastest.
"""

import math

import triton.language as tl
from triton.language.core import _unwrap_if_constexpr as plain
from triton.language.core import base_value, builtin

from vertebra.lowering.leave_call import leave_call


@builtin
def extract_tile(x, index, tile_shape, _semantic=None, _generator=None):
    """Tile `index` of `x`.

    x: a tensor; tile_shape: a compile-time size for each of its dimensions, which it divides.
    index: the tile's number, or its place along each dimension; of run time or not.  One of
    compile time outside the grid is an error; one of run time is not checked.
    """
    shape = _shape("extract_tile", "x", x)
    tile = tuple(_size(v) for v in _items(tile_shape))
    grid = _grid("extract_tile", shape, tile)
    handle = _index("extract_tile", _semantic, index, grid)
    kind = tl.block_type(x.type.element_ty, list(tile))
    operands = {"src": x.handle, "index": handle}
    result = [kind.to_ir(_semantic.builder)]
    (made,) = leave_call(_generator, "tle.extract_tile", operands, result)
    return tl.tensor(made, kind)


@builtin
def insert_tile(x, tile, index, _semantic=None, _generator=None):
    """`x` with `tile` in place of its tile `index`; x itself stays as it is.

    x, tile: tensors of one element type and rank, the sizes of x multiples of those of tile.
    index: as in `extract_tile`.
    """
    shape, small = _shape("insert_tile", "x", x), _shape("insert_tile", "tile", tile)
    if x.type.element_ty != tile.type.element_ty:
        raise ValueError(
            f"tle.insert_tile: x is of {x.type.element_ty} and the tile of {tile.type.element_ty};"
            f" convert it: tile.to(tl.{x.type.element_ty})"
        )
    handle = _index("insert_tile", _semantic, index, _grid("insert_tile", shape, small))
    operands = {"src": x.handle, "tile": tile.handle, "index": handle}
    result = [x.type.to_ir(_semantic.builder)]
    (made,) = leave_call(_generator, "tle.insert_tile", operands, result)
    return tl.tensor(made, x.type)


def _items(value) -> list:
    value = plain(value)
    if isinstance(value, tl.tuple):
        value = value.values
    return [plain(v) for v in value] if isinstance(value, list | tuple) else [value]


def _shown(shape) -> str:
    return "x".join(str(s) for s in shape)


def _shape(function: str, name: str, value) -> tuple[int, ...]:
    if not isinstance(value, tl.tensor) or not value.type.is_block():
        kind = value.type if isinstance(value, base_value) else repr(plain(value))
        raise TypeError(f"tle.{function}: {name} is {kind}; give a tensor with dimensions")
    return tuple(plain(s) for s in value.type.shape)


def _size(value) -> int:
    if isinstance(value, base_value):
        raise TypeError("tle.extract_tile: tile_shape holds a run-time value; make it a tl.constexpr")
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"tle.extract_tile: tile_shape holds {value!r}; sizes are integers above 0")
    return value


def _grid(function: str, shape, tile) -> tuple[int, ...]:
    """Tiles along each dimension.  Raises ValueError where the tile does not divide, with sizes that do."""
    if len(tile) != len(shape):
        raise ValueError(
            f"tle.{function}: the tile {_shown(tile)} has {len(tile)} dimensions and the tensor"
            f" {_shown(shape)} {len(shape)}; give one size for each"
        )
    for i, (size, step) in enumerate(zip(shape, tile, strict=True)):
        if size % step:
            legal = [n for n in range(1, size + 1) if size % n == 0]
            near = sorted(sorted(legal, key=lambda n: abs(n - step))[:2])
            raise ValueError(
                f"tle.{function}: dimension {i} of the tensor is {size}, which the tile's {step} does not"
                f" divide; the nearest sizes that do are {' and '.join(map(str, near))}"
            )
    return tuple(size // step for size, step in zip(shape, tile, strict=True))


def _index(function: str, semantic, index, grid):
    """The IR handle of the tile's number, i32."""
    places = _items(index)
    single = not isinstance(plain(index), list | tuple | tl.tuple)
    limits = (math.prod(grid),) if single else grid
    if len(places) != len(limits):
        raise ValueError(
            f"tle.{function}: the index has {len(places)} members for a grid of {_shown(grid)} tiles; give"
            f" {len(grid)}, or a single number"
        )
    for i, (place, limit) in enumerate(zip(places, limits, strict=True)):
        if isinstance(place, tl.tensor) and not place.type.is_block() and place.dtype.is_int():
            continue
        if not isinstance(place, int) or isinstance(place, bool):
            kind = place.type if isinstance(place, base_value) else repr(place)
            raise TypeError(f"tle.{function}: member {i} of the index is {kind}; it has to be an integer")
        if not 0 <= place < limit:
            raise ValueError(
                f"tle.{function}: index {place} of {limit} tiles in a grid of {_shown(grid)};"
                f" use 0 to {limit - 1}"
            )
    number = 0
    for place, limit in zip(places, limits, strict=True):
        place = semantic.cast(place, tl.int32) if isinstance(place, tl.tensor) else place
        if isinstance(number, int) and isinstance(place, int):
            number = number * limit + place
        else:
            number = semantic.add(
                semantic.mul(_scalar(semantic, number), _scalar(semantic, limit), False),
                _scalar(semantic, place),
                False,
            )
    return _scalar(semantic, number).handle


def _scalar(semantic, value) -> tl.tensor:
    return value if isinstance(value, tl.tensor) else tl.tensor(semantic.builder.get_int32(value), tl.int32)
