"""The lowerings of xsmt, tle, ttx and of marks on loads, as text: what goes in, and what comes out."""

import pytest
from pass_text import after, normal
from plugged import plugged

from vertebra.lowering.load_paddings import read_marks
from vertebra.lowering.tle_to_linalg import lower_tiles
from vertebra.lowering.ttx_to_tt import lower_scans
from vertebra.lowering.xsmt_to_linalg import lower_values
from vertebra.lowering.xsmt_to_tt import lower_pointers


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("xsmt", "tle", "ttx"):
        yield


# name: (step, arguments, before, after); arguments are %arg0, %arg1, ... afterwards, before the grid's six
CASES = {
    "pack-whole": (
        lower_values,
        "%x: tensor<32x64xf32>, %n: i32",
        """
        %z = arith.constant 0 : i32
        %y = xsmt.pack %x[%z, %z] shape [32, 64] packed_size [8, 16]
          : tensor<32x64xf32> -> tensor<4x4x8x16xf32>
        """,
        """
        %c0_i32 = arith.constant 0 : i32
        %0 = tensor.empty() : tensor<4x4x8x16xf32>
        %pack = linalg.pack %arg0 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %0 : tensor<32x64xf32> -> tensor<4x4x8x16xf32>
        """,
    ),
    "pack-part-with-a-tail": (
        lower_values,
        "%x: tensor<32x64xf32>, %n: i32",
        """
        %a = arith.constant 8 : i32
        %b = arith.constant 16 : i32
        %y = xsmt.pack %x[%a, %b] shape [12, 32] packed_size [8, 16]
          : tensor<32x64xf32> -> tensor<2x2x8x16xf32>
        """,
        """
        %c8_i32 = arith.constant 8 : i32
        %c16_i32 = arith.constant 16 : i32
        %extracted_slice = tensor.extract_slice %arg0[8, 16] [12, 32] [1, 1] : tensor<32x64xf32> to tensor<12x32xf32>
        %cst = arith.constant 0.000000e+00 : f32
        %0 = tensor.empty() : tensor<2x2x8x16xf32>
        %pack = linalg.pack %extracted_slice padding_value(%cst : f32) inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %0 : tensor<12x32xf32> -> tensor<2x2x8x16xf32>
        """,
    ),
    "pack-over-the-end": (
        lower_values,
        "%x: tensor<32x64xf32>, %n: i32",
        """
        %a = arith.constant 24 : i32
        %y = xsmt.pack %x[%a, %n] shape [16, 16] packed_size [8, 16]
          : tensor<32x64xf32> -> tensor<2x1x8x16xf32>
        """,
        """
        %c24_i32 = arith.constant 24 : i32
        %c24 = arith.constant 24 : index
        %0 = arith.index_cast %arg1 : i32 to index
        %1 = tensor.empty() : tensor<16x16xf32>
        %2 = linalg.generic {indexing_maps = [#map], iterator_types = ["parallel", "parallel"]} outs(%1 : tensor<16x16xf32>) {
        ^bb0(%out: f32):
        %4 = linalg.index 0 : index
        %5 = linalg.index 1 : index
        %6 = arith.addi %4, %c24 : index
        %7 = arith.addi %5, %0 : index
        %c32 = arith.constant 32 : index
        %8 = arith.cmpi ult, %6, %c32 : index
        %c64 = arith.constant 64 : index
        %9 = arith.cmpi ult, %7, %c64 : index
        %10 = arith.andi %8, %9 : i1
        %11 = scf.if %10 -> (f32) {
        %extracted = tensor.extract %arg0[%6, %7] : tensor<32x64xf32>
        scf.yield %extracted : f32
        } else {
        %cst = arith.constant 0.000000e+00 : f32
        scf.yield %cst : f32
        }
        linalg.yield %11 : f32
        } -> tensor<16x16xf32>
        %3 = tensor.empty() : tensor<2x1x8x16xf32>
        %pack = linalg.pack %2 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %3 : tensor<16x16xf32> -> tensor<2x1x8x16xf32>
        """,
    ),
    "unpack-whole": (
        lower_values,
        "%x: tensor<4x4x8x16xf32>, %n: i32",
        """
        %z = arith.constant 0 : i32
        %y = xsmt.unpack %x[%z, %z] shape [32, 64] : tensor<4x4x8x16xf32> -> tensor<32x64xf32>
        """,
        """
        %c0_i32 = arith.constant 0 : i32
        %0 = tensor.empty() : tensor<32x64xf32>
        %unpack = linalg.unpack %arg0 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %0 : tensor<4x4x8x16xf32> -> tensor<32x64xf32>
        """,
    ),
    "unpack-part": (
        lower_values,
        "%x: tensor<4x4x8x16xf32>, %n: i32",
        """
        %a = arith.constant 8 : i32
        %y = xsmt.unpack %x[%a, %a] shape [8, 16] : tensor<4x4x8x16xf32> -> tensor<8x16xf32>
        """,
        """
        %c8_i32 = arith.constant 8 : i32
        %0 = tensor.empty() : tensor<32x64xf32>
        %unpack = linalg.unpack %arg0 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %0 : tensor<4x4x8x16xf32> -> tensor<32x64xf32>
        %extracted_slice = tensor.extract_slice %unpack[8, 8] [8, 16] [1, 1] : tensor<32x64xf32> to tensor<8x16xf32>
        """,
    ),
    "repack": (
        lower_values,
        "%x: tensor<4x4x8x16xf32>, %n: i32",
        """
        %z = arith.constant 0 : i32
        %y = xsmt.repack %x[%z, %z] shape [32, 64] packed_size [4, 4]
          : tensor<4x4x8x16xf32> -> tensor<8x16x4x4xf32>
        """,
        """
        %c0_i32 = arith.constant 0 : i32
        %0 = tensor.empty() : tensor<32x64xf32>
        %unpack = linalg.unpack %arg0 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %0 : tensor<4x4x8x16xf32> -> tensor<32x64xf32>
        %1 = tensor.empty() : tensor<8x16x4x4xf32>
        %pack = linalg.pack %unpack inner_dims_pos = [0, 1] inner_tiles = [4, 4] into %1 : tensor<32x64xf32> -> tensor<8x16x4x4xf32>
        """,
    ),
    "insert": (
        lower_values,
        "%x: tensor<32x64xf32>, %p: tensor<2x2x8x16xf32>",
        """
        %a = arith.constant 16 : i32
        %y = xsmt.insert %p, %x[%a, %a] shape [16, 32]
          : tensor<2x2x8x16xf32> -> tensor<32x64xf32>
        """,
        """
        %c16_i32 = arith.constant 16 : i32
        %0 = tensor.empty() : tensor<16x32xf32>
        %unpack = linalg.unpack %arg1 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %0 : tensor<2x2x8x16xf32> -> tensor<16x32xf32>
        %inserted_slice = tensor.insert_slice %unpack into %arg0[16, 16] [16, 32] [1, 1] : tensor<16x32xf32> into tensor<32x64xf32>
        """,
    ),
    "insert-into-tiles": (
        lower_values,
        "%x: tensor<4x4x8x16xf32>, %p: tensor<2x2x8x16xf32>",
        """
        %a = arith.constant 16 : i32
        %y = xsmt.insert %p, %x[%a, %a] shape [16, 32]
          : tensor<2x2x8x16xf32> -> tensor<4x4x8x16xf32>
        """,
        """
        %c16_i32 = arith.constant 16 : i32
        %0 = tensor.empty() : tensor<16x32xf32>
        %unpack = linalg.unpack %arg1 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %0 : tensor<2x2x8x16xf32> -> tensor<16x32xf32>
        %1 = tensor.empty() : tensor<32x64xf32>
        %unpack_0 = linalg.unpack %arg0 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %1 : tensor<4x4x8x16xf32> -> tensor<32x64xf32>
        %inserted_slice = tensor.insert_slice %unpack into %unpack_0[16, 16] [16, 32] [1, 1] : tensor<16x32xf32> into tensor<32x64xf32>
        %2 = tensor.empty() : tensor<4x4x8x16xf32>
        %pack = linalg.pack %inserted_slice inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %2 : tensor<32x64xf32> -> tensor<4x4x8x16xf32>
        """,
    ),
    "mmt4d-of-halves": (
        lower_values,
        "%a: tensor<2x4x8x8xf16>, %b: tensor<3x4x16x8xf16>",
        """
        %y = xsmt.mmt4d %a, %b : tensor<2x4x8x8xf16>, tensor<3x4x16x8xf16> -> tensor<2x3x8x16xf16>
        """,
        """
        %0 = tensor.empty() : tensor<2x3x8x16xf32>
        %cst = arith.constant 0.000000e+00 : f32
        %1 = linalg.fill ins(%cst : f32) outs(%0 : tensor<2x3x8x16xf32>) -> tensor<2x3x8x16xf32>
        %2 = linalg.mmt4d ins(%arg0, %arg1 : tensor<2x4x8x8xf16>, tensor<3x4x16x8xf16>) outs(%1 : tensor<2x3x8x16xf32>) -> tensor<2x3x8x16xf32>
        %3 = arith.truncf %2 : tensor<2x3x8x16xf32> to tensor<2x3x8x16xf16>
        """,
    ),
    "mmt4d-adds-bytes-in-words": (
        lower_values,
        "%a: tensor<2x4x8x8xi8>, %b: tensor<3x4x16x8xi8>, %c: tensor<2x3x8x16xi32>",
        """
        %y = xsmt.mmt4d %a, %b, %c : tensor<2x4x8x8xi8>, tensor<3x4x16x8xi8> -> tensor<2x3x8x16xi32>
        """,
        """
        %0 = linalg.mmt4d ins(%arg0, %arg1 : tensor<2x4x8x8xi8>, tensor<3x4x16x8xi8>) outs(%arg2 : tensor<2x3x8x16xi32>) -> tensor<2x3x8x16xi32>
        """,
    ),
    "get-num-of-thread": (
        lower_values,
        "%n: i32",
        """
        %t = xsmt.get_num_of_thread : i32
        """,
        """
        %0 = call @vertebra_stream_threads() : () -> i32
        """,
    ),
    "descriptor-load-view": (
        lower_pointers,
        "%p: !tt.ptr<tensor<32x64xf32>>, %n: i32",
        """
        %y = xsmt.descriptor_load_view %p[%n, %n] shape [32, 64] packed_size [8, 16]
          : !tt.ptr<tensor<32x64xf32>> -> tensor<4x4x8x16xf32>
        """,
        """
        %0 = tt.advance %arg0, [%arg1, %arg1] : <tensor<32x64xf32>>
        %1 = tt.load %0 {boundaryCheck = array<i32: 0, 1>, padding = 1 : i32} : !tt.ptr<tensor<32x64xf32>>
        %c0_i32 = arith.constant 0 : i32
        %2 = xsmt.pack %1[%c0_i32, %c0_i32] shape [32, 64] packed_size [8, 16] : tensor<32x64xf32> -> tensor<4x4x8x16xf32>
        """,
    ),
    "alloc": (
        lower_pointers,
        "%n: i32",
        """
        %m = xsmt.alloc : !tt.ptr<tensor<32x64xf32>>
        """,
        """
        %alloc = memref.alloc() : memref<32x64xf32>
        %intptr = memref.extract_aligned_pointer_as_index %alloc : memref<32x64xf32> -> index
        %0 = arith.index_cast %intptr : index to i64
        %1 = tt.int_to_ptr %0 : i64 -> !tt.ptr<f32>
        %c32_i64 = arith.constant 32 : i64
        %c64_i64 = arith.constant 64 : i64
        %c64_i64_0 = arith.constant 64 : i64
        %c1_i64 = arith.constant 1 : i64
        %c0_i32 = arith.constant 0 : i32
        %2 = tt.make_tensor_ptr %1, [%c32_i64, %c64_i64], [%c64_i64_0, %c1_i64], [%c0_i32, %c0_i32] {order = array<i32: 1, 0>} : <tensor<32x64xf32>>
        """,
    ),
    "alloc-copies-and-one-of-them": (
        lower_pointers,
        "%n: i32",
        """
        %m = xsmt.alloc_copies : !tt.ptr<tensor<3x32x64xf32>>
        %v = xsmt.buffer_tensor_view %m[%n] : !tt.ptr<tensor<3x32x64xf32>> -> !tt.ptr<tensor<32x64xf32>>
        """,
        """
        %alloc = memref.alloc() : memref<3x32x64xf32>
        %intptr = memref.extract_aligned_pointer_as_index %alloc : memref<3x32x64xf32> -> index
        %0 = arith.index_cast %intptr : index to i64
        %1 = tt.int_to_ptr %0 : i64 -> !tt.ptr<f32>
        %c3_i64 = arith.constant 3 : i64
        %c32_i64 = arith.constant 32 : i64
        %c64_i64 = arith.constant 64 : i64
        %c2048_i64 = arith.constant 2048 : i64
        %c64_i64_0 = arith.constant 64 : i64
        %c1_i64 = arith.constant 1 : i64
        %c0_i32 = arith.constant 0 : i32
        %2 = tt.make_tensor_ptr %1, [%c3_i64, %c32_i64, %c64_i64], [%c2048_i64, %c64_i64_0, %c1_i64], [%c0_i32, %c0_i32, %c0_i32] {order = array<i32: 2, 1, 0>} : <tensor<3x32x64xf32>>
        %c3_i32 = arith.constant 3 : i32
        %3 = arith.remui %arg0, %c3_i32 : i32
        %4 = arith.extui %3 : i32 to i64
        %5 = arith.muli %4, %c2048_i64 : i64
        %6 = tt.addptr %1, %5 : !tt.ptr<f32>, i64
        %c32_i64_1 = arith.constant 32 : i64
        %c64_i64_2 = arith.constant 64 : i64
        %c64_i64_3 = arith.constant 64 : i64
        %c1_i64_4 = arith.constant 1 : i64
        %c0_i32_5 = arith.constant 0 : i32
        %7 = tt.make_tensor_ptr %6, [%c32_i64_1, %c64_i64_2], [%c64_i64_3, %c1_i64_4], [%c0_i32_5, %c0_i32_5] {order = array<i32: 1, 0>} : <tensor<32x64xf32>>
        """,
    ),
    "subview-pack-and-subview": (
        lower_pointers,
        "%b: !tt.ptr<f32>, %n: i32",
        """
        %r = arith.constant 32 : i64
        %c = arith.constant 64 : i64
        %t = arith.constant 16 : i32
        %s = arith.muli %n, %t : i32
        %p = tt.make_tensor_ptr %b, [%r, %c], [%c, %r], [%s, %s] {order = array<i32: 1, 0>} : !tt.ptr<tensor<32x64xf32>>
        %v = xsmt.subview_pack %p[%s, %s] shape [32, 64] packed_size [8, 16] : !tt.ptr<tensor<32x64xf32>> -> !tt.ptr<tensor<4x4x8x16xf32>>
        %w = xsmt.subview %v[%s, %s] shape [8, 16] : !tt.ptr<tensor<4x4x8x16xf32>> -> !tt.ptr<tensor<1x1x8x16xf32>>
        """,
        """
        %c32_i64 = arith.constant 32 : i64
        %c64_i64 = arith.constant 64 : i64
        %c16_i32 = arith.constant 16 : i32
        %0 = arith.muli %arg1, %c16_i32 : i32
        %1 = tt.make_tensor_ptr %arg0, [%c32_i64, %c64_i64], [%c64_i64, %c32_i64], [%0, %0] {order = array<i32: 1, 0>} : <tensor<32x64xf32>>
        %c4_i64 = arith.constant 4 : i64
        %c4_i64_0 = arith.constant 4 : i64
        %c8_i64 = arith.constant 8 : i64
        %2 = arith.muli %c64_i64, %c8_i64 : i64
        %c16_i64 = arith.constant 16 : i64
        %3 = arith.muli %c32_i64, %c16_i64 : i64
        %4 = arith.addi %0, %0 : i32
        %5 = arith.addi %0, %0 : i32
        %c8_i64_1 = arith.constant 8 : i64
        %c16_i64_2 = arith.constant 16 : i64
        %c8_i32 = arith.constant 8 : i32
        %6 = arith.divsi %4, %c8_i32 : i32
        %c16_i32_3 = arith.constant 16 : i32
        %7 = arith.divsi %5, %c16_i32_3 : i32
        %c0_i32 = arith.constant 0 : i32
        %c0_i32_4 = arith.constant 0 : i32
        %8 = tt.make_tensor_ptr %arg0, [%c4_i64, %c4_i64_0, %c8_i64_1, %c16_i64_2], [%2, %3, %c64_i64, %c32_i64], [%6, %7, %c0_i32, %c0_i32_4] {order = array<i32: 3, 2, 1, 0>} : <tensor<4x4x8x16xf32>>
        %c8_i32_5 = arith.constant 8 : i32
        %9 = arith.divsi %0, %c8_i32_5 : i32
        %c16_i32_6 = arith.constant 16 : i32
        %10 = arith.divsi %0, %c16_i32_6 : i32
        %11 = arith.addi %6, %9 : i32
        %12 = arith.addi %7, %10 : i32
        %13 = tt.make_tensor_ptr %arg0, [%c4_i64, %c4_i64_0, %c8_i64_1, %c16_i64_2], [%2, %3, %c64_i64, %c32_i64], [%11, %12, %c0_i32, %c0_i32_4] {order = array<i32: 3, 2, 1, 0>} : <tensor<1x1x8x16xf32>>
        """,
    ),
    "subview-pack-of-sizes-unknown": (
        lower_pointers,
        "%b: !tt.ptr<f32>, %m: i64, %n: i32",
        """
        %p = tt.make_tensor_ptr %b, [%m, %m], [%m, %m], [%n, %n] {order = array<i32: 1, 0>} : !tt.ptr<tensor<32x64xf32>>
        %v = xsmt.subview_pack %p[%n, %n] shape [32, 64] packed_size [8, 16] : !tt.ptr<tensor<32x64xf32>> -> !tt.ptr<tensor<4x4x8x16xf32>>
        %y = tt.load %v : !tt.ptr<tensor<4x4x8x16xf32>>
        tt.store %v, %y : !tt.ptr<tensor<4x4x8x16xf32>>
        """,
        """
        %0 = tt.make_tensor_ptr %arg0, [%arg1, %arg1], [%arg1, %arg1], [%arg2, %arg2] {order = array<i32: 1, 0>} : <tensor<32x64xf32>>
        %c8_i64 = arith.constant 8 : i64
        %1 = arith.remsi %arg1, %c8_i64 : i64
        %c0_i64 = arith.constant 0 : i64
        %2 = arith.cmpi eq, %1, %c0_i64 : i64
        tt.assert %2, "xsmt.subview_pack: the tensor's size in dimension 0 is no multiple of 8; load the block and view what was loaded, which is padded" : i1
        %c8_i64_0 = arith.constant 8 : i64
        %3 = arith.divsi %arg1, %c8_i64_0 : i64
        %c16_i64 = arith.constant 16 : i64
        %4 = arith.remsi %arg1, %c16_i64 : i64
        %c0_i64_1 = arith.constant 0 : i64
        %5 = arith.cmpi eq, %4, %c0_i64_1 : i64
        tt.assert %5, "xsmt.subview_pack: the tensor's size in dimension 1 is no multiple of 16; load the block and view what was loaded, which is padded" : i1
        %c16_i64_2 = arith.constant 16 : i64
        %6 = arith.divsi %arg1, %c16_i64_2 : i64
        %c8_i64_3 = arith.constant 8 : i64
        %7 = arith.muli %arg1, %c8_i64_3 : i64
        %c16_i64_4 = arith.constant 16 : i64
        %8 = arith.muli %arg1, %c16_i64_4 : i64
        %9 = arith.addi %arg2, %arg2 : i32
        %10 = arith.addi %arg2, %arg2 : i32
        %c8_i64_5 = arith.constant 8 : i64
        %c16_i64_6 = arith.constant 16 : i64
        %c8_i32 = arith.constant 8 : i32
        %11 = arith.remsi %9, %c8_i32 : i32
        %c0_i32 = arith.constant 0 : i32
        %12 = arith.cmpi eq, %11, %c0_i32 : i32
        tt.assert %12, "xsmt.subview_pack: the offset in dimension 0 is inside of a tile of 8; use a multiple of 8" : i1
        %c16_i32 = arith.constant 16 : i32
        %13 = arith.remsi %10, %c16_i32 : i32
        %c0_i32_7 = arith.constant 0 : i32
        %14 = arith.cmpi eq, %13, %c0_i32_7 : i32
        tt.assert %14, "xsmt.subview_pack: the offset in dimension 1 is inside of a tile of 16; use a multiple of 16" : i1
        %c8_i32_8 = arith.constant 8 : i32
        %15 = arith.divsi %9, %c8_i32_8 : i32
        %c16_i32_9 = arith.constant 16 : i32
        %16 = arith.divsi %10, %c16_i32_9 : i32
        %c0_i32_10 = arith.constant 0 : i32
        %c0_i32_11 = arith.constant 0 : i32
        %17 = tt.make_tensor_ptr %arg0, [%3, %6, %c8_i64_5, %c16_i64_6], [%7, %8, %arg1, %arg1], [%15, %16, %c0_i32_10, %c0_i32_11] {order = array<i32: 3, 2, 1, 0>} : <tensor<4x4x8x16xf32>>
        %18 = tt.load %17 {boundaryCheck = array<i32: 0, 1>, padding = 1 : i32} : !tt.ptr<tensor<4x4x8x16xf32>>
        tt.store %17, %18 {boundaryCheck = array<i32: 0, 1>} : !tt.ptr<tensor<4x4x8x16xf32>>
        """,
    ),
    "buffers": (
        lower_pointers,
        "%n: i32",
        """
        %m = xsmt.alloc_copies : !xsmt.buffer<tensor<3x8x16xf32>>
        %v = xsmt.buffer_tensor_view %m[%n] : !xsmt.buffer<tensor<3x8x16xf32>> -> !tt.ptr<tensor<8x16xf32>>
        """,
        """
        %alloc = memref.alloc() : memref<3x8x16xf32>
        %intptr = memref.extract_aligned_pointer_as_index %alloc : memref<3x8x16xf32> -> index
        %0 = arith.index_cast %intptr : index to i64
        %1 = tt.int_to_ptr %0 : i64 -> !tt.ptr<f32>
        %c3_i64 = arith.constant 3 : i64
        %c8_i64 = arith.constant 8 : i64
        %c16_i64 = arith.constant 16 : i64
        %c128_i64 = arith.constant 128 : i64
        %c16_i64_0 = arith.constant 16 : i64
        %c1_i64 = arith.constant 1 : i64
        %c0_i32 = arith.constant 0 : i32
        %2 = tt.make_tensor_ptr %1, [%c3_i64, %c8_i64, %c16_i64], [%c128_i64, %c16_i64_0, %c1_i64], [%c0_i32, %c0_i32, %c0_i32] {order = array<i32: 2, 1, 0>} : <tensor<3x8x16xf32>>
        %c3_i32 = arith.constant 3 : i32
        %3 = arith.remui %arg0, %c3_i32 : i32
        %4 = arith.extui %3 : i32 to i64
        %5 = arith.muli %4, %c128_i64 : i64
        %6 = tt.addptr %1, %5 : !tt.ptr<f32>, i64
        %c8_i64_1 = arith.constant 8 : i64
        %c16_i64_2 = arith.constant 16 : i64
        %c16_i64_3 = arith.constant 16 : i64
        %c1_i64_4 = arith.constant 1 : i64
        %c0_i32_5 = arith.constant 0 : i32
        %7 = tt.make_tensor_ptr %6, [%c8_i64_1, %c16_i64_2], [%c16_i64_3, %c1_i64_4], [%c0_i32_5, %c0_i32_5] {order = array<i32: 1, 0>} : <tensor<8x16xf32>>
        """,
    ),
    "hint": (
        lower_pointers,
        "%n: i32",
        """
        xsmt.annotation %n {fast} : i32
        """,
        """
        """,
    ),
    "tile-known": (
        lower_tiles,
        "%x: tensor<32x64xf32>, %n: i32",
        """
        %k = arith.constant 5 : i32
        %y = tle.extract_tile %x[%k] : tensor<32x64xf32>, i32 -> tensor<8x16xf32>
        """,
        """
        %c5_i32 = arith.constant 5 : i32
        %extracted_slice = tensor.extract_slice %arg0[8, 16] [8, 16] [1, 1] : tensor<32x64xf32> to tensor<8x16xf32>
        """,
    ),
    "tile-of-run-time": (
        lower_tiles,
        "%x: tensor<32x64xf32>, %n: i32",
        """
        %y = tle.extract_tile %x[%n] : tensor<32x64xf32>, i32 -> tensor<8x16xf32>
        """,
        """
        %0 = arith.index_castui %arg1 : i32 to index
        %c4 = arith.constant 4 : index
        %1 = arith.remui %0, %c4 : index
        %2 = arith.divui %0, %c4 : index
        %c4_0 = arith.constant 4 : index
        %3 = arith.remui %2, %c4_0 : index
        %4 = arith.divui %2, %c4_0 : index
        %c8 = arith.constant 8 : index
        %5 = arith.muli %3, %c8 : index
        %c16 = arith.constant 16 : index
        %6 = arith.muli %1, %c16 : index
        %extracted_slice = tensor.extract_slice %arg0[%5, %6] [8, 16] [1, 1] : tensor<32x64xf32> to tensor<8x16xf32>
        """,
    ),
    "tile-put-in": (
        lower_tiles,
        "%x: tensor<32x64xf32>, %t: tensor<8x16xf32>",
        """
        %k = arith.constant 5 : i32
        %y = tle.insert_tile %x[%k] = %t
          : tensor<32x64xf32>, i32, tensor<8x16xf32> -> tensor<32x64xf32>
        """,
        """
        %c5_i32 = arith.constant 5 : i32
        %inserted_slice = tensor.insert_slice %arg1 into %arg0[8, 16] [8, 16] [1, 1] : tensor<8x16xf32> into tensor<32x64xf32>
        """,
    ),
    "cumsum": (
        lower_scans,
        "%x: tensor<32x64xf32>, %n: i32",
        """
        %y = ttx.cumsum {axis = 1 : ui32} ins(%x : tensor<32x64xf32>) outs(%x : tensor<32x64xf32>)
          -> tensor<32x64xf32>
        """,
        """
        %0 = "tt.scan"(%arg0) <{axis = 1 : i32, reverse = false}> ({
        ^bb0(%arg8: f32, %arg9: f32):
        %1 = arith.addf %arg8, %arg9 : f32
        tt.scan.return %1 : f32
        }) : (tensor<32x64xf32>) -> tensor<32x64xf32>
        """,
    ),
    "cumsum-of-integers": (
        lower_scans,
        "%x: tensor<64xi8>",
        """
        %y = ttx.cumsum {axis = 0 : ui32} ins(%x : tensor<64xi8>) outs(%x : tensor<64xi8>) -> tensor<64xi8>
        """,
        """
        %0 = "tt.scan"(%arg0) <{axis = 0 : i32, reverse = false}> ({
        ^bb0(%arg7: i8, %arg8: i8):
        %1 = arith.addi %arg7, %arg8 : i8
        tt.scan.return %1 : i8
        }) : (tensor<64xi8>) -> tensor<64xi8>
        """,
    ),
    "cumprod-from-the-other-end": (
        lower_scans,
        "%x: tensor<64xf32>",
        """
        %y = ttx.cumprod {axis = 0 : ui32, reverse = true} ins(%x : tensor<64xf32>) outs(%x : tensor<64xf32>)
          -> tensor<64xf32>
        """,
        """
        %0 = "tt.scan"(%arg0) <{axis = 0 : i32, reverse = true}> ({
        ^bb0(%arg7: f32, %arg8: f32):
        %1 = arith.mulf %arg7, %arg8 : f32
        tt.scan.return %1 : f32
        }) : (tensor<64xf32>) -> tensor<64xf32>
        """,
    ),
    "padding": (
        read_marks,
        "%p: !tt.ptr<tensor<32x64xf32>>",
        """
        %y = tt.load %p {boundaryCheck = array<i32: 0>, padding = 2 : i32,
          vertebra.padding = dense<4> : tensor<1xi32>} : !tt.ptr<tensor<32x64xf32>>
        """,
        """
        %0 = tt.load %arg0 {boundaryCheck = array<i32: 0>, padding = 4 : i32} : !tt.ptr<tensor<32x64xf32>>
        """,
    ),
}


@pytest.mark.parametrize("step, arguments, before, wanted", CASES.values(), ids=CASES)
def test_text(step, arguments, before, wanted):
    assert after(step, before, arguments) == normal(wanted)
