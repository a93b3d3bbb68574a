"""Packed products in linalg whose tiles a core's instructions can express, and those that they cannot."""

import pytest

from vertebra.core import assembly, hooks
from vertebra.core.context import context
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.check_tiles import check_tiles


def checked(core: str, tile: tuple[int, int, int], types=("i8", "i8", "i32"), counts=(2, 2, 2)) -> None:
    (m, n, k), (rows, columns, steps), (a, b, acc) = tile, counts, types
    left, right = f"tensor<{rows}x{steps}x{m}x{k}x{a}>", f"tensor<{columns}x{steps}x{n}x{k}x{b}>"
    sums = f"tensor<{rows}x{columns}x{m}x{n}x{acc}>"
    text = (
        f"func.func @product(%a: {left}, %b: {right}, %c: {sums}) -> {sums} {{\n"
        f"%d = linalg.mmt4d ins(%a, %b : {left}, {right}) outs(%c : {sums}) -> {sums}\n"
        f"return %d : {sums}\n}}"
    )
    with context(), ir.Location.unknown(context()):
        check_tiles(assembly.parse(text, context(), name="-"), hooks.cores()[core])


@pytest.mark.parametrize(
    "core, tile, types",
    [
        ("spacemit-a60", (12, 16, 8), ("i8", "i8", "i32")),
        ("spacemit-a60", (5, 7, 3), ("f16", "f16", "f32")),  # no instruction: vector registers
        ("spacemit-a60", (5, 7, 3), ("i16", "i16", "i32")),
        ("spacemit-a100", (16, 8, 32), ("f16", "f16", "f32")),
        ("spacemit-a100", (5, 7, 3), ("f16", "bf16", "f32")),
        ("spacemit-a100", (5, 7, 3), ("f32", "f32", "f32")),
        ("spacemit-x60", (5, 7, 3), ("i8", "i8", "i32")),
        ("host", (5, 7, 3), ("i8", "i8", "i32")),
        ("ame-generic", (5, 7, 3), ("i8", "i8", "i32")),
    ],
)
def test_legal(core, tile, types):
    checked(core, tile, types)


@pytest.mark.parametrize(
    "core, tile, types, legal",
    [
        ("spacemit-a60", (4, 4, 4), ("i8", "i8", "i32"), "4x4x8 (smt.vmadot.i8), here 4x4x8"),
        ("spacemit-a100", (12, 16, 16), ("i8", "i8", "i32"), "8x8x16 (smt.vmadot.i8), here 16x16x16"),
        ("spacemit-a100", (8, 16, 4), ("bf16", "bf16", "f32"), "8x8x8 (smt.vfwmadot), here 8x16x8"),
    ],
)
def test_illegal(core, tile, types, legal):
    with pytest.raises(CompileError) as raised:
        checked(core, tile, types)
    error = raised.value
    assert error.kernel == "product" and error.place.line == 2
    assert f"tile {tile[0]}x{tile[1]}x{tile[2]} (MxNxK)" in error.message and core in error.message
    assert legal in error.fix


def test_a_single_tile_is_an_edge():
    checked("spacemit-a60", (1, 16, 8), counts=(1, 4, 4))
    with pytest.raises(CompileError, match="M = 1 is no multiple of 4"):
        checked("spacemit-a60", (1, 16, 8), counts=(2, 4, 4))
