"""The operations on packed matrices: text there and back, and what the verifiers refuse."""

import re

import pytest

from vertebra.core import assembly
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects import xsmt, xsmt_barrier
from vertebra.dialects.xsmt import Xsmt


@pytest.fixture(scope="module")
def context():
    context = ir.Context()
    with context:
        Xsmt.load()
    return context


ARGUMENTS = """%i: i32, %m: tensor<64x30xf32>, %p: tensor<8x2x8x16xf32>, %b: tensor<3x2x4x16xf32>,
    %c: tensor<8x3x8x4xf32>, %ptr: !tt.ptr<tensor<32x32xf16>>, %one: !tt.ptr<f16>, %n: tensor<8x2x8x16xi8>,
    %k: tensor<3x3x4x16xf32>, %d: tensor<3x2x4x16xf64>, %bit: i1,
    %w: tensor<64xf32>, %kept: tensor<32x6xi8>, %h: tensor<16x6xi8>,
    %tiles: !tt.ptr<tensor<4x8x8x4xf16>>"""


def module_of(line: str) -> str:
    first = "%q = xsmt.alloc_copies : !tt.ptr<tensor<2x8x16xf16>>\n%five = arith.constant 5 : i32"
    return f"tt.func @f({ARGUMENTS}) {{\n{first}\n{line}\ntt.return\n}}"


def parsed(line: str, context):
    """The operation of `line`, and the module that keeps it."""
    module = assembly.parse(module_of(line), context)
    return module.body.operations[0].regions[0].blocks[0].operations[2], module


LINES = {
    xsmt.PackOp: """%r = xsmt.pack %m[%i, %i] shape [60, 30] packed_size [8, 16]
        : tensor<64x30xf32> -> tensor<8x2x8x16xf32>""",
    xsmt.UnpackOp: "%r = xsmt.unpack %p[%i, %i] shape [64, 30] : tensor<8x2x8x16xf32> -> tensor<64x30xf32>",
    xsmt.RepackOp: """%r = xsmt.repack %p[%i, %i] shape [64, 32] packed_size [4, 8]
        : tensor<8x2x8x16xf32> -> tensor<16x4x4x8xf32>""",
    xsmt.DescriptorLoadViewOp: """%r = xsmt.descriptor_load_view %ptr[%i, %i] shape [64, 32]
        packed_size [16, 8] : !tt.ptr<tensor<32x32xf16>> -> tensor<4x4x16x8xf16>""",
    xsmt.Mmt4dOp: """%r = xsmt.mmt4d %p, %b, %c
        : tensor<8x2x8x16xf32>, tensor<3x2x4x16xf32> -> tensor<8x3x8x4xf32>""",
    xsmt.InsertOp: """%r = xsmt.insert %p, %m[%i, %i] shape [60, 30]
        : tensor<8x2x8x16xf32> -> tensor<64x30xf32>""",
    xsmt.AllocOp: "%r = xsmt.alloc : !tt.ptr<tensor<8x16xf16>>",
    xsmt.AllocCopiesOp: '%u = xsmt.alloc_copies {storage = "l1"} : !tt.ptr<tensor<3x8xf32>>',
    xsmt.BufferTensorViewOp: """%r = xsmt.buffer_tensor_view %q[%i] : !tt.ptr<tensor<2x8x16xf16>>
        -> !tt.ptr<tensor<8x16xf16>>""",
    xsmt.SubviewPackOp: """%r = xsmt.subview_pack %ptr[%i, %i] shape [16, 32] packed_size [8, 4]
        : !tt.ptr<tensor<32x32xf16>> -> !tt.ptr<tensor<2x8x8x4xf16>>""",
    xsmt.SubviewOp: """%r = xsmt.subview %tiles[%i, %i] shape [16, 8]
        : !tt.ptr<tensor<4x8x8x4xf16>> -> !tt.ptr<tensor<2x2x8x4xf16>>""",
    xsmt.ExpandOp: "%r = xsmt.expand %kept, %h : tensor<32x6xi8>, tensor<16x6xi8> -> tensor<64x6xi8>",
    xsmt.AnnotationOp: "xsmt.annotation %m {depth = 2 : i32, fast} : tensor<64x30xf32>",
    xsmt.GetNumOfThreadOp: "%r = xsmt.get_num_of_thread : i32",
}


def without_values(line: str) -> str:
    return " ".join(re.sub(r"%\w+", "%", line).split())


def test_every_operation_has_a_line():
    barriers = {op for op in Xsmt.operations if op.__module__ == xsmt_barrier.__name__}
    assert set(LINES) == set(Xsmt.operations) - barriers


@pytest.mark.parametrize("op", LINES, ids=lambda op: op.__name__)
def test_round_trip(op, context):
    found, module = parsed(LINES[op], context)
    assert isinstance(found, op)
    printed = assembly.print_module(module)
    line = printed.splitlines()[4]
    assert without_values(line) == without_values(LINES[op])
    assert assembly.print_module(assembly.parse(printed, context)) == printed


def test_mmt4d_without_accumulator(context):
    found, _ = parsed(LINES[xsmt.Mmt4dOp].replace(", %c", ""), context)
    assert found.acc is None
    assert list(found.result.type.shape) == [8, 3, 8, 4]


def test_buffers_have_a_type_of_their_own(context):
    kind = "!xsmt.buffer<tensor<3x8xf32>>"
    line = f"""%u = xsmt.alloc_copies : {kind}
    %v = xsmt.buffer_tensor_view %u[%i] : {kind} -> !tt.ptr<tensor<8xf32>>"""
    found, module = parsed(line, context)
    assert isinstance(found.result.type, xsmt.BufferType)
    assert list(found.result.type.pointee.shape) == [3, 8]
    printed = assembly.print_module(module)
    assert f"xsmt.alloc_copies : {kind}" in printed
    assert assembly.print_module(assembly.parse(printed, context)) == printed


def test_helpers_of_packed_shapes():
    assert xsmt.tiles_of([60, 30], [8, 16]) == [8, 2, 8, 16]
    assert xsmt.matrix_of([8, 2, 8, 16]) == [64, 32]


VIEW = LINES[xsmt.BufferTensorViewOp]
SUBVIEW, SUBVIEW_PACK = LINES[xsmt.SubviewOp], LINES[xsmt.SubviewPackOp]
EXPAND = LINES[xsmt.ExpandOp]
REFUSED = [
    (SUBVIEW.replace("[%i, %i]", "[%i, %five]"), "offset 5 is inside a tile of 4\nfix: use a multiple of 4"),
    (SUBVIEW.replace("[16, 8]", "[12, 8]"), "12 elements in tiles of 8 leave 4, .* 0\nfix: use 8 or 16;"),
    (SUBVIEW.replace("2x2x8x4", "2x2x4x8"), "fix: use !tt.ptr<tensor<2x2x8x4xf16>>"),
    (SUBVIEW.replace("%tiles", "%ptr").replace("4x8x8x4", "32x32"), "block of rank 4\nfix: use subview_pack"),
    (SUBVIEW_PACK.replace("[16, 32]", "[16, 2]"), "2 elements in tiles of 4 leave 2, .* 1\nfix: use 4;"),
    (SUBVIEW_PACK.replace("%ptr", "%tiles").replace("32x32", "4x8x8x4"), "block of rank 2\nfix: make one"),
    (
        EXPAND.replace("%h", "%kept").replace("16x6", "32x6"),
        "mask is 32x6, .*\nfix: .* 64x6",
    ),
    (EXPAND.replace("64x6", "32x6"), "fix: use tensor<64x6xi8>"),
    ("%r = xsmt.alloc : !tt.ptr<f16>", "does not point to a block\nfix: use !tt.ptr<tensor<1xf16>>"),
    ("%r = xsmt.alloc_copies : !tt.ptr<tensor<8xf16>>", "no dimension of copies"),
    ("%r = xsmt.alloc_copies : !xsmt.buffer<tensor<8xf16>>", "no dimension of copies"),
    ("%r = xsmt.alloc_copies : i64", "result is i64"),
    (VIEW.replace("%i", "%five"), "block 5 of 2\nfix: use 0 to 1"),
    (VIEW.replace("ptr<tensor<8x16", "ptr<tensor<4x16"), "fix: use !tt.ptr<tensor<8x16xf16>>"),
    (VIEW.replace("%q", "%one").replace("ptr<tensor<2x8x16xf16>>", "ptr<f16>"), "fix: index what alloc_c"),
    (
        LINES[xsmt.AllocCopiesOp].replace("copies {", "copies {copies = 2 : i32, "),
        "2 copies, and the result has 3\nfix: use copies = 3",
    ),
    (
        LINES[xsmt.PackOp].replace("tensor<8x2", "tensor<4x2"),
        r"the result is tensor<4x2x8x16xf32>\nfix: use tensor<8x2x8x16xf32>",
    ),
    (LINES[xsmt.PackOp].replace("x16xf32>", "x16xf16>"), "the result is .*\nfix: use tensor<8x2x8x16xf32>"),
    (LINES[xsmt.PackOp].replace("[%i, %i]", "[%i]"), "1 offsets for a matrix\nfix: give 2"),
    (LINES[xsmt.PackOp].replace("[8, 16]", "[8, 0]"), r"packed_size is \[8, 0\]\nfix: .* at least 1"),
    (LINES[xsmt.PackOp].replace("[60, 30]", "[60]"), r"shape is \[60\]\nfix: give two sizes"),
    (
        "%r = xsmt.pack %p[%i, %i] shape [64, 32] packed_size [4, 8]"
        " : tensor<8x2x8x16xf32> -> tensor<16x4x4x8xf32>",
        "the source is 8x2x8x16, rank 4\nfix: use a matrix",
    ),
    (
        "%r = xsmt.repack %m[%i, %i] shape [64, 32] packed_size [4, 8]"
        " : tensor<64x30xf32> -> tensor<16x4x4x8xf32>",
        "the source is 64x30, rank 2\nfix: pack it first",
    ),
    (
        "%r = xsmt.unpack %m[%i, %i] shape [64, 30] : tensor<64x30xf32> -> tensor<64x30xf32>",
        "the source is 64x30, rank 2\nfix: pack it first",
    ),
    (
        LINES[xsmt.UnpackOp].replace("-> tensor<64x30", "-> tensor<64x32"),
        "the result is .*\nfix: use tensor<64x30xf32>",
    ),
    (
        "%r = xsmt.descriptor_load_view %one[%i, %i] shape [64, 32] packed_size [16, 8]"
        " : !tt.ptr<f16> -> tensor<4x4x16x8xf16>",
        "does not point to a block of rank 2",
    ),
    (
        "%r = xsmt.mmt4d %p, %k : tensor<8x2x8x16xf32>, tensor<3x3x4x16xf32> -> tensor<8x3x8x4xf32>",
        "K differs, a is 8x2x8x16, with 2 tiles of 16, and b is 3x3x4x16, with 3 of 16"
        "\nfix: pack b as Nx2xnx16",
    ),
    (
        "%r = xsmt.mmt4d %p, %b : tensor<8x2x8x16xf32>, tensor<3x2x4x16xf32> -> tensor<8x3x4x8xf32>",
        "fix: use tensor<8x3x8x4xf32>",
    ),
    (
        "%r = xsmt.mmt4d %p, %d : tensor<8x2x8x16xf32>, tensor<3x2x4x16xf64> -> tensor<8x3x8x4xi32>",
        "f32 times f64 gives i32\nfix: use f16, bf16",
    ),
    (
        "%r = xsmt.mmt4d %n, %b : tensor<8x2x8x16xi8>, tensor<3x2x4x16xf32> -> tensor<8x3x8x4xf32>",
        "i8 times f32 gives f32\nfix: use f16, bf16",
    ),
    (
        """%r = "xsmt.mmt4d"(%p, %b, %p) : (tensor<8x2x8x16xf32>, tensor<3x2x4x16xf32>, tensor<8x2x8x16xf32>)
        -> tensor<8x3x8x4xf32>""",
        "acc is tensor<8x2x8x16xf32>\nfix: use tensor<8x3x8x4xf32>",
    ),
    (
        "%r = xsmt.insert %p, %m[%i, %i] shape [65, 30] : tensor<8x2x8x16xf32> -> tensor<64x30xf32>",
        r"shape is \[65, 30\], and the source has 64x32 elements" "\nfix: use at most",
    ),
    (
        "%r = xsmt.insert %p, %w[%i, %i] shape [8, 8] : tensor<8x2x8x16xf32> -> tensor<64xf32>",
        "the destination is 64, rank 1",
    ),
    (
        "%r = xsmt.insert %n, %m[%i, %i] shape [8, 8] : tensor<8x2x8x16xi8> -> tensor<64x30xf32>",
        "fix: use tensor<64x30xi8>",
    ),
]


@pytest.mark.parametrize("line, message", REFUSED)
def test_refused(line, message, context):
    with pytest.raises(CompileError, match=message):
        parsed(line, context)
