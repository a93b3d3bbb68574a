"""The structured dialect: its text there and back, its mixed lists, and what the verifiers refuse."""

import pytest

from vertebra.core import assembly
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects import tts
from vertebra.dialects.tts import Tts, mixed

ARGUMENTS = (
    "%arg0: !tt.ptr<bf16>, %arg1: index, %arg2: index, %arg3: tensor<4xi32>, %arg4: tensor<4xi1>, "
    "%arg5: tensor<4x8x!tt.ptr<bf16>>, %arg6: !tt.ptr<tensor<4x8xbf16>>, %arg7: bf16, %arg8: tensor<4x8xbf16>"
)
D = tts.DYNAMIC


@pytest.fixture(scope="module")
def context():
    context = ir.Context()
    with context:
        Tts.load()
    return context


def module(line: str) -> str:
    return f"module {{\n  tt.func @f({ARGUMENTS}) {{\n    {line}\n    tt.return\n  }}\n}}\n"


def first(context, line: str):
    """The operation that `line` states."""
    parsed = assembly.parse(module(line), context)
    first.module = parsed  # operations die with it
    return parsed.body.operations[0].body.blocks[0].operations[0]


FORMS = [
    "%0 = tts.make_tptr %arg0 to sizes: [4, 8], strides: [1, %arg1], offsets: [%arg2, 0], shape: [0, %arg1],"
    " order: [] : <bf16> to tensor<4x8x!tt.ptr<bf16>>",
    "%0 = tts.make_tptr %arg0 to sizes: [4, 8], strides: [8, 1], offsets: [0, 0], shape: [%arg1, %arg2],"
    " order: [1, 0] : <bf16> to !tt.ptr<tensor<4x8xbf16>>",
    "%0 = tts.make_tptr %arg0 to sizes: [4, 8], strides: [8, 1], offsets: [%arg1, 0],"
    " originalOffsets: [%arg2, 0], shape: [64, 8], order: [1, 0] : <bf16> to !tt.ptr<tensor<4x8xbf16>>",
    "%0 = tts.make_tptr %arg0 to sizes: [], strides: [], offsets: [], shape: [], order: []"
    " : <bf16> to tensor<!tt.ptr<bf16>>",
    "%0 = tts.make_gather_scatter_tptr %arg0 to sizes: [4, 8] gather_scatter_dim: 0"
    " gather_scatter_offset: %arg3, strides: [%arg1, 1], offsets: [0, %arg2]"
    " : tensor<4xi32>  <bf16> to !tt.ptr<tensor<4x8xbf16>>",
    "%0 = tts.make_gather_scatter_tptr %arg0 to sizes: [4, 8] gather_scatter_dim: 0"
    " gather_scatter_offset: %arg3 gather_scatter_mask: %arg4, strides: [%arg1, 1], offsets: [0, %arg2]"
    " : tensor<4xi32> tensor<4xi1> <bf16> to tensor<4x8x!tt.ptr<bf16>>",
    '%0:5 = "tts.get_structured_state"(%arg5) <{resultSegmentSizes = array<i32: 1, 2, 2>}>'
    " : (tensor<4x8x!tt.ptr<bf16>>) -> (tensor<4x8x!tt.ptr<bf16>>, index, index, index, index)",
    '%0 = "tts.load"(%arg5) <{operandSegmentSizes = array<i32: 1, 0, 0>, static_mask_dims = array<i64>}>'
    " : (tensor<4x8x!tt.ptr<bf16>>) -> tensor<4x8xbf16>",
    f'%0 = "tts.load"(%arg6, %arg1, %arg7) <{{operandSegmentSizes = array<i32: 1, 1, 1>, padding = 2 : i32,'
    f" static_mask_dims = array<i64: {D}, 8>}}>"
    " : (!tt.ptr<tensor<4x8xbf16>>, index, bf16) -> tensor<4x8xbf16>",
    f'"tts.store"(%arg6, %arg8, %arg1, %arg2) <{{static_mask_dims = array<i64: {D}, {D}>}}>'
    " : (!tt.ptr<tensor<4x8xbf16>>, tensor<4x8xbf16>, index, index) -> ()",
    '"tts.store"(%arg5, %arg8) <{boundaryCheck = array<i32: 0>, static_mask_dims = array<i64>}>'
    " : (tensor<4x8x!tt.ptr<bf16>>, tensor<4x8xbf16>) -> ()",
    "%0 = tts.gather %arg0[%arg3] : (<bf16>, tensor<4xi32>) -> tensor<4xbf16>",
    "%0 = tts.gather %arg0[%arg3] mask = %arg4 default = %arg7 : (<bf16>, tensor<4xi32>) -> tensor<4xbf16>",
    "tts.scatter %arg8 into %arg0[%arg9] : tensor<4x8xbf16> into (<bf16>, tensor<4x8xi32>)",
]


@pytest.mark.parametrize(
    "line", FORMS, ids=[f"{i}-{f.split('(')[0].split()[-2:][0]}" for i, f in enumerate(FORMS)]
)
def test_a_form_reads_and_prints_the_same(line, context):
    text = module(line)
    if "%arg9" in line:
        text = text.replace(ARGUMENTS, f"{ARGUMENTS}, %arg9: tensor<4x8xi32>")
    assert assembly.print_module(assembly.parse(text, context)) == text


def shown(entries) -> list:
    return [e if isinstance(e, int) else f"%arg{ir.BlockArgument(e).arg_number}" for e in entries]


def test_mixed_lists(context):
    pointer = first(context, FORMS[0])
    assert isinstance(pointer, tts.MakeTensorPtrOp)
    assert shown(mixed(pointer, "strides")) == [1, "%arg1"]
    assert shown(mixed(pointer, "offsets")) == ["%arg2", 0]
    assert shown(mixed(pointer, "shape")) == [0, "%arg1"]
    assert mixed(pointer, "originalOffsets") == [] and list(pointer.sizes) == [4, 8]
    assert shown(mixed(first(context, FORMS[2]), "originalOffsets")) == ["%arg2", 0]


def test_gather_scatter_pointer(context):
    pointer = first(context, FORMS[5])
    assert pointer.gather_scatter_dim.value == 0
    assert str(pointer.gather_scatter_mask.type) == "tensor<4xi1>"
    assert shown(mixed(pointer, "offsets")) == [0, "%arg2"]
    assert first(context, FORMS[4]).gather_scatter_mask is None


def test_masked_access(context):
    load = first(context, FORMS[8])
    assert shown(mixed(load, "mask_dims")) == ["%arg1", 8]
    assert str(load.other.type) == "bf16" and load.padding.keyword == "nan"
    plain = first(context, FORMS[7])
    assert mixed(plain, "mask_dims") == [] and plain.other is None and plain.padding is None
    assert shown(mixed(first(context, FORMS[9]), "mask_dims")) == ["%arg1", "%arg2"]


def test_structured_state(context):
    state = first(context, FORMS[6])
    assert len(state.offsets) == 2 and len(state.strides) == 2
    assert state.structured.type == state.input.type


def test_operations_can_be_built(context):
    parsed = assembly.parse(module(""), context)
    block = parsed.body.operations[0].body.blocks[0]
    base, size, *_ = block.arguments
    with context, ir.Location.unknown(), ir.InsertionPoint.at_block_begin(block):
        kind = ir.Type.parse("tensor<4x8x!tt.ptr<bf16>>")
        value = ir.Type.parse("tensor<4x8xbf16>")
        pointer = tts.MakeTensorPtrOp(
            base, (4, 8), [size], [], [], [], (D, 1), (0, 0), (0, 0), (), kind
        ).result
        loaded = tts.LoadOp(pointer, [size], value, static_mask_dims=(D, 8)).result
        tts.StoreOp(pointer, loaded, [])
    parsed.operation.verify()
    assert assembly.print_module(parsed).splitlines()[2:5] == [
        "    %0 = tts.make_tptr %arg0 to sizes: [4, 8], strides: [%arg1, 1], offsets: [0, 0], shape: [0, 0],"
        " order: [] : <bf16> to tensor<4x8x!tt.ptr<bf16>>",
        f'    %1 = "tts.load"(%0, %arg1) <{{operandSegmentSizes = array<i32: 1, 1, 0>,'
        f" static_mask_dims = array<i64: {D}, 8>}}> : (tensor<4x8x!tt.ptr<bf16>>, index) -> tensor<4x8xbf16>",
        '    "tts.store"(%0, %1) : (tensor<4x8x!tt.ptr<bf16>>, tensor<4x8xbf16>) -> ()',
    ]


def pointer(sizes="[4, 8]", strides="[8, 1]", shape="[0, 0]", order="[]", kind="tensor<4x8x!tt.ptr<bf16>>"):
    return (
        f"%0 = tts.make_tptr %arg0 to sizes: {sizes}, strides: {strides}, offsets: [0, 0], shape: {shape},"
        f" order: {order} : <bf16> to {kind}"
    )


REFUSED = [
    (pointer(sizes="[4, 4]"), "tensor<4x8x!tt.ptr<bf16>> for sizes 4x4 of bf16"),
    (pointer(kind="tensor<4x8x!tt.ptr<f16>>"), "for sizes 4x8 of bf16"),
    (pointer(strides="[8]"), "1 strides for 2 dimensions"),
    (pointer(shape="[]"), "0 shape for 2 dimensions"),
    (pointer(order="[0, 0]"), "order [0, 0] is not a permutation of 2 dimensions"),
    (pointer(order="[1, 0]"), "with an order"),
    (pointer(kind="!tt.ptr<tensor<4x8xbf16>>"), "with no order"),
    (FORMS[4].replace("_dim: 0", "_dim: 2"), "dimension 2 of 2"),
    (FORMS[5].replace("_dim: 0", "_dim: 1"), "gather_scatter_offset is 4, dimension 1 is 8"),
    (FORMS[8].replace(", 8>", ">"), "1 mask_dims for 2 dimensions"),
    (FORMS[9].replace(f"{D}, {D}", f"{D}, 8"), "1 of the mask_dims are dynamic, there are 2 operands"),
    (FORMS[7].replace("-> tensor<4x8xbf16>", "-> tensor<8x4xbf16>"), "tts.load: tensor<8x4xbf16> through"),
    (
        FORMS[11].replace("tensor<4xbf16>", "tensor<8xbf16>"),
        "tts.gather: tensor<8xbf16> through !tt.ptr<bf16>",
    ),
    ("tts.scatter %arg8 into %arg0[%arg3] : tensor<4x8xbf16> into (<bf16>, tensor<4xi32>)", "tts.scatter"),
    (FORMS[6].replace("(tensor<4x8x!tt.ptr<bf16>>, i", "(tensor<4xi32>, i"), "tensor<4xi32> from tensor<4x8"),
]


@pytest.mark.parametrize("line, message", REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_verifiers_say_what_is_wrong(line, message, context):
    with pytest.raises(CompileError) as caught:
        first(context, line)
    assert message in caught.value.message
    assert caught.value.place.line == 3 and caught.value.kernel == "f"
