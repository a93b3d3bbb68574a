"""The `tle` dialect: tiles of a tensor by number.

The tiles of a tensor are numbered row by row, the last dimension fastest: tile `index` of a
(8, 6) tensor in tiles of (4, 2) starts at (index // 3 * 4, index % 3 * 2).

Source: TLEOps.td of spacemit-com/spine-triton, for names and textual forms.
"""

from math import prod
from typing import Any, TypeAlias, TypeVar

from vertebra.core.dialect import Dialect
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.constants import constant_of
from vertebra.dialects.tt_types import element_of, shape_of, shown

Tensor: TypeAlias = ir.RankedTensorType
Whole = TypeVar("Whole", bound=Tensor)


class Tle(Dialect, name="tle"):
    """Parts of tensors, as values."""


def grid_of(src, tile) -> list[int]:
    """How many tiles there are in each dimension."""
    return [s // t for s, t in zip(shape_of(src), shape_of(tile), strict=True)]


def check_tile(op, tile) -> None:
    """Raises CompileError unless op.src divides into such tiles, and the index counts one of them."""
    name = op.operation.name
    whole, part = shape_of(op.src), shape_of(tile)
    if len(whole) != len(part):
        raise CompileError(
            f"{name}: tile {shown(part)} has rank {len(part)}, tensor {shown(whole)} rank {len(whole)}",
            at=op,
            fix=f"give {len(whole)} sizes",
        )
    for d, (size, step) in enumerate(zip(whole, part, strict=True)):
        if size % step:
            legal = [n for n in range(1, size + 1) if size % n == 0]
            nearest = sorted(legal, key=lambda n: abs(n - step))[:2]
            raise CompileError(
                f"{name}: tiles of {shown(part)} do not divide {shown(whole)}:"
                f" dimension {d} leaves {size % step} of {size}",
                at=op,
                fix=f"use {' or '.join(map(str, sorted(nearest)))} in dimension {d}",
            )
    if element_of(op.src) != element_of(tile):
        raise CompileError(
            f"{name}: the tensor has elements of {element_of(op.src)}, the tile of {element_of(tile)}",
            at=op,
            fix=f"convert to {element_of(op.src)} first",
        )
    if not isinstance(op.index.type, ir.IntegerType):
        raise CompileError(f"{name}: the index is {op.index.type}", at=op, fix="use one integer")
    index, grid = constant_of(op.index), grid_of(op.src, tile)
    if index is not None and not 0 <= index < prod(grid):
        raise CompileError(
            f"{name}: tile {index} of {prod(grid)}, {shown(whole)} in tiles of {shown(part)}",
            at=op,
            fix=f"use 0 to {prod(grid) - 1}",
        )


class ExtractTileOp(Tle.Operation, name="extract_tile", traits=[ext.Pure]):
    """result = tile `index` of src; of a number known at run time only, modulo the number of tiles

    src: any shape    index: an integer    result: the tile, of the same rank and element type
    Raises CompileError when the tile does not divide src, or a constant index is out of range.
    """

    src: ext.Operand[Tensor]
    index: ext.Operand[Any]
    result: ext.Result[Tensor]
    assembly = "$src `[` $index `]` attr-dict `:` type($src) `,` type($index) `->` type($result)"

    @staticmethod
    def verify_invariants(op):
        check_tile(op, op.result)
        return True


class InsertTileOp(Tle.Operation, name="insert_tile", traits=[ext.Pure]):
    """result = src with tile `index` replaced; of a number known at run time only, modulo the number of tiles

    src, result: any shape    tile: of the same rank and element type    index: an integer
    Raises CompileError when the tile does not divide src, or a constant index is out of range.
    """

    src: ext.Operand[Whole]
    tile: ext.Operand[Tensor]
    index: ext.Operand[Any]
    result: ext.Result[Whole]
    assembly = """$src `[` $index `]` `=` $tile attr-dict `:` type($src) `,` type($index) `,` type($tile)
                  `->` type($result)"""

    @staticmethod
    def verify_invariants(op):
        check_tile(op, op.tile)
        return True
