"""tle -> tensor: tiles are slices."""

from math import prod

from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir
from vertebra.dialects import tle
from vertebra.dialects.constants import constant_of
from vertebra.dialects.tle import grid_of
from vertebra.lowering.tt_to_linalg import build


@pattern(tle.ExtractTileOp)
def extract_tile_to_extract_slice(op):
    return build.extract_slice(op.src, _offsets(op, op.result), list(op.result.type.shape))


@pattern(tle.InsertTileOp)
def insert_tile_to_insert_slice(op):
    return build.insert_slice(op.tile, op.src, _offsets(op, op.tile), list(op.tile.type.shape))


def _offsets(op, tile) -> list[int | ir.Value]:
    """Where the tile starts; a number known at run time only is taken modulo the number of tiles."""
    sizes, grid = list(tile.type.shape), grid_of(op.src, tile)
    index = constant_of(op.index)
    place = _static_place(index, grid) if index is not None else _dynamic_place(op.index, grid)
    return [
        p * size if isinstance(p, int) else arith.MulIOp(p, build.index(size)).result
        for p, size in zip(place, sizes, strict=True)
    ]


def _static_place(index: int, grid: list[int]) -> list[int]:
    return [index // prod(grid[d + 1 :]) % grid[d] for d in range(len(grid))]


def _dynamic_place(index: ir.Value, grid: list[int]) -> list[int | ir.Value]:
    at = arith.IndexCastUIOp(ir.IndexType.get(), index).result
    place: list[int | ir.Value] = [0] * len(grid)
    for d in reversed(range(len(grid))):
        if grid[d] > 1:
            count = build.index(grid[d])
            place[d] = arith.RemUIOp(at, count).result
            at = arith.DivUIOp(at, count).result
    return place


PATTERNS = (extract_tile_to_extract_slice, insert_tile_to_insert_slice)


def lower_tiles(module, core=None, options=None) -> None:
    """Replaces the operations of tle by upstream ones."""
    apply(module.operation, PATTERNS)
