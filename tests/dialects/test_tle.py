"""Tiles by number: text there and back, and what the verifiers refuse."""

import pytest

from vertebra.core import assembly
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects import tle
from vertebra.dialects.constants import constant_of
from vertebra.dialects.tle import Tle
from vertebra.dialects.tt import Tt


@pytest.fixture(scope="module")
def context():
    context = ir.Context()
    with context:
        Tt.load()
        Tle.load()
    return context


def parsed(line: str, context, index: int = 0):
    """The last operation but the return, and the module that keeps it."""
    module = assembly.parse(
        f"""tt.func @f(%x: tensor<8x6xf32>, %t: tensor<4x2xf32>, %i: i64, %r: f32) {{
        %c = arith.constant {index} : i32
        {line}
        tt.return
        }}""",
        context,
    )
    return module.body.operations[0].regions[0].blocks[0].operations[1], module


EXTRACT = "%y = tle.extract_tile %x[%i] : tensor<8x6xf32>, i64 -> tensor<4x2xf32>"
INSERT = "%y = tle.insert_tile %x[%i] = %t : tensor<8x6xf32>, i64, tensor<4x2xf32> -> tensor<8x6xf32>"


@pytest.mark.parametrize("line, op", [(EXTRACT, tle.ExtractTileOp), (INSERT, tle.InsertTileOp)])
def test_round_trip(line, op, context):
    found, module = parsed(line, context)
    assert isinstance(found, op)
    printed = assembly.print_module(module)
    (shown,) = [x for x in printed.splitlines() if "tle." in x]
    assert shown.split(" : ")[1] == line.split(" : ")[1]
    assert assembly.print_module(assembly.parse(printed, context)) == printed


@pytest.mark.parametrize("index", [0, 5])
def test_every_constant_in_range_is_legal(index, context):
    found, _ = parsed(EXTRACT.replace("%i", "%c").replace("i64", "i32"), context, index)
    assert constant_of(found.index) == index


@pytest.mark.parametrize("index", [-1, 6])
@pytest.mark.parametrize("line", [EXTRACT, INSERT])
def test_a_constant_out_of_range_is_refused(index, line, context):
    with pytest.raises(CompileError, match=f"tile {index} of 6, 8x6 in tiles of 4x2\nfix: use 0 to 5"):
        parsed(line.replace("%i", "%c").replace("i64", "i32"), context, index)


REFUSED = [
    (EXTRACT.replace("4x2", "3x2"), "dimension 0 leaves 2 of 8\nfix: use 2 or 4 in dimension 0"),
    (EXTRACT.replace("4x2", "4x12"), "tiles of 4x12 do not divide 8x6: dimension 1 leaves 6 of 6"),
    (EXTRACT.replace("4x2xf32", "4xf32"), "tile 4 has rank 1, tensor 8x6 rank 2\nfix: give 2 sizes"),
    (EXTRACT.replace("4x2xf32", "4x2xf16"), "elements of f32, the tile of f16\nfix: convert to f32 first"),
    (EXTRACT.replace("%i", "%r").replace("i64", "f32"), "the index is f32\nfix: use one integer"),
]


@pytest.mark.parametrize("line, message", REFUSED)
def test_refused(line, message, context):
    with pytest.raises(CompileError, match=message):
        parsed(line, context)
