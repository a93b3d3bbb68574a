"""The dialect of packed matrices itself, their shapes, and what its verifiers share.

A packed matrix [R, C, r, c] holds the tile in row i and column j of tiles at [i, j]: element (x, y)
of the matrix is [x // r, y // c, x % r, y % c].  Shapes and offsets of views count elements of the
matrix, never tiles.  Elements that a view takes from outside of its source are 0.

Source: the language of spacemit-com/spine-triton; the textual forms are ours.
"""

from vertebra.core.dialect import Dialect
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects.tt import Tt
from vertebra.dialects.tt_types import element_of, shape_of, shown


class Xsmt(Dialect, name="xsmt"):
    """Packed matrices as values."""

    dependencies = (Tt,)


def tiles_of(shape, packed) -> list[int]:
    """The shape of a packed matrix: [64, 30] in tiles of [8, 16] is [8, 2, 8, 16]."""
    return [-(-s // p) for s, p in zip(shape, packed, strict=True)] + list(packed)


def matrix_of(packed_shape) -> list[int]:
    """The sizes of the matrix in a packed shape: [8, 2, 8, 16] -> [64, 32]."""
    rows, columns, height, width = packed_shape
    return [rows * height, columns * width]


def check_rank(op, value, rank: int, what: str) -> None:
    """Raises CompileError unless `value` is a tensor of `rank` dimensions."""
    shape = shape_of(value)
    if len(shape) != rank:
        fix = "use a matrix, [rows, columns]" if rank == 2 else "pack it first, to [R, C, r, c]"
        raise CompileError(
            f"{op.operation.name}: {what} is {shown(shape)}, rank {len(shape)}", at=op, fix=fix
        )


def check_sizes(op, field: str) -> list[int]:
    """The two sizes in attribute `field`.  Raises CompileError unless they are positive."""
    sizes = list(getattr(op, field))
    if len(sizes) != 2 or min(sizes) < 1:
        raise CompileError(
            f"{op.operation.name}: {field} is {sizes}", at=op, fix="give two sizes, each at least 1"
        )
    return sizes


def check_offsets(op) -> None:
    if len(op.offsets) != 2:
        raise CompileError(
            f"{op.operation.name}: {len(op.offsets)} offsets for a matrix",
            at=op,
            fix="give 2, row and column",
        )


def check_result(op, shape, element: ir.Type) -> None:
    """Raises CompileError unless the result is a tensor of `shape` and `element`."""
    if shape_of(op.result) != list(shape) or element_of(op.result) != element:
        raise CompileError(
            f"{op.operation.name}: the result is {op.result.type}",
            at=op,
            fix=f"use tensor<{shown(shape)}x{element}>",
        )


def check_packing(op, element: ir.Type) -> None:
    """What all views that give a packed matrix have in common."""
    check_offsets(op)
    shape, packed = check_sizes(op, "shape"), check_sizes(op, "packed_size")
    check_result(op, tiles_of(shape, packed), element)


PACKING = """$src `[` $offsets `]` `shape` $shape `packed_size` $packed_size attr-dict
             `:` qualified(type($src)) `->` type($result)"""
