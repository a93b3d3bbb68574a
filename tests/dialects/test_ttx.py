"""The running sum: text there and back, and what its verifier refuses."""

import pytest

from vertebra.core import assembly
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects.tt import Tt
from vertebra.dialects.ttx import CumSumOp, Ttx, U32Attr


@pytest.fixture(scope="module")
def context():
    context = ir.Context()
    with context:
        Tt.load()
        Ttx.load()
    return context


def module_of(axis: int, type: str, extra: str = "") -> str:
    return f"""tt.func @f(%x: {type}, %o: {type}) {{
    %y = ttx.cumsum {{axis = {axis} : ui32{extra}}} ins(%x : {type}) outs(%o : {type}) -> {type}
    tt.return
    }}"""


@pytest.mark.parametrize("extra", ["", ", operandSegmentSizes = array<i32: 1, 1>"])
def test_round_trip(extra, context):
    module = assembly.parse(module_of(1, "tensor<4x8xf32>", extra), context)
    op = module.body.operations[0].regions[0].blocks[0].operations[0]
    assert isinstance(op, CumSumOp)
    assert op.axis.value == 1
    printed = assembly.print_module(module)
    (line,) = [x.split("= ", 1)[1] for x in printed.splitlines() if "ttx." in x]
    assert line.startswith("ttx.cumsum {axis = 1 : ui32} ins(%")
    assert line.endswith(" : tensor<4x8xf32>) -> tensor<4x8xf32>")
    assert assembly.print_module(assembly.parse(printed, context)) == printed


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_from_the_other_end(name, context):
    text = module_of(0, "tensor<4x8xf32>", ", reverse = true").replace("cumsum", name)
    module = assembly.parse(text, context)
    op = module.body.operations[0].regions[0].blocks[0].operations[0]
    assert op.operation.name == f"ttx.{name}" and op.reverse.value and op.axis.value == 0
    printed = assembly.print_module(module)
    assert assembly.print_module(assembly.parse(printed, context)) == printed


def test_the_axis_is_unsigned(context):
    with context:
        assert str(U32Attr.of(3)) == "3 : ui32"


@pytest.mark.parametrize(
    "axis, type, message",
    [
        (2, "tensor<4x8xf32>", "axis 2 of 2 dimensions\nfix: use 0 to 1"),
        (0, "tensor<4x!tt.ptr<f32>>", "!tt.ptr<f32> cannot be added\nfix: use integers or floats"),
    ],
)
def test_refused(axis, type, message, context):
    with pytest.raises(CompileError, match=message):
        assembly.parse(module_of(axis, type), context)
