"""Kernels in which a shortcut of the vectoriser would be wrong: aliases, wrapping integers, guarded lanes."""

import numpy as np
import pytest
from test_linalg_to_vector import load, run, store, view

ID = "affine_map<(d0) -> (d0)>"
CONSTANTS = "%c0 = arith.constant 0 : index\n%c1 = arith.constant 1 : index\n"


def arange(n: int) -> str:
    """%n = 0, 1, 2, ..."""
    return f"""%ne = tensor.empty() : tensor<{n}xi32>
    %n = linalg.generic {{indexing_maps = [{ID}], iterator_types = ["parallel"]}} outs(%ne : tensor<{n}xi32>) {{
    ^bb0(%o: i32): %i = linalg.index 0 : index
      %k = arith.index_cast %i : index to i32
      linalg.yield %k : i32 }} -> tensor<{n}xi32>\n"""


def test_a_narrow_integer_wraps_within_the_lanes_of_a_vector():
    out = np.zeros(64, np.int32)
    run(
        arange(64)
        + """%f = arith.constant dense<120> : tensor<64xi32>
        %a = arith.addi %n, %f : tensor<64xi32>
        %b = arith.trunci %a : tensor<64xi32> to tensor<64xi8>
        %c = arith.extsi %b : tensor<64xi8> to tensor<64xi32>\n"""
        + store("c", "a0", (64,), "i32"),
        out,
    )
    np.testing.assert_array_equal(out, (np.arange(64) + 120).astype(np.int8))


def test_the_lowest_bit_of_a_range_selects():
    out = np.zeros(64, np.int32)
    run(
        arange(64)
        + """%b = arith.trunci %n : tensor<64xi32> to tensor<64xi1>
        %z = arith.constant dense<7> : tensor<64xi32>
        %c = arith.select %b, %n, %z : tensor<64xi1>, tensor<64xi32>\n"""
        + store("c", "a0", (64,), "i32"),
        out,
    )
    n = np.arange(64)
    np.testing.assert_array_equal(out, np.where(n & 1, n, 7))


@pytest.mark.parametrize("offset", [0, 1, 5, 16])
def test_a_slice_of_joined_rows_starts_anywhere(offset):
    """Chunks cross the ends of rows that are not neighbours in memory."""
    x, out = np.arange(128, dtype=np.float32).reshape(4, 32), np.zeros(32, np.float32)
    run(
        f"""%v = memref.reinterpret_cast %a0 to offset: [0], sizes: [4, 16], strides: [32, 1]
          : memref<?xf32> to memref<4x16xf32, strided<[32, 1]>>
        %b = memref.alloc() : memref<4x16xf32>
        memref.copy %v, %b : memref<4x16xf32, strided<[32, 1]>> to memref<4x16xf32>
        %x = bufferization.to_tensor %b restrict writable : memref<4x16xf32> to tensor<4x16xf32>
        %f = tensor.collapse_shape %x [[0, 1]] : tensor<4x16xf32> into tensor<64xf32>
        %s = tensor.extract_slice %f[{offset}] [32] [1] : tensor<64xf32> to tensor<32xf32>\n"""
        + store("s", "a1", (32,), "f32"),
        x,
        out,
    )
    np.testing.assert_array_equal(out, x[:, :16].ravel()[offset : offset + 32])


def test_a_tensor_is_not_overwritten_while_its_transpose_is_read():
    n = 16
    a = np.random.default_rng(0).integers(-3, 3, (n, n)).astype(np.float32)
    out, t = np.zeros((n, n), np.float32), f"tensor<{n}x{n}xf32>"
    run(
        CONSTANTS
        + load("a", "a0", (n, n), "f32")
        + f"""%z = arith.constant dense<0.0> : {t}
        %p = linalg.matmul ins(%a, %a : {t}, {t}) outs(%z : {t}) -> {t}
        %e = tensor.empty() : {t}
        %q = linalg.transpose ins(%p : {t}) outs(%e : {t}) permutation = [1, 0]
        %s = arith.addf %p, %q : {t}
        %r = scf.for %i = %c0 to %c1 step %c1 iter_args(%k = %s) -> {t} {{
          %w = arith.addf %k, %k : {t}
          scf.yield %w : {t} }}\n"""
        + store("r", "a1", (n, n), "f32"),
        a,
        out,
    )
    product = a @ a
    np.testing.assert_array_equal(out, 2 * (product + product.T))


@pytest.mark.parametrize("by", [1, 7, 16, 99])
def test_a_store_may_overlap_what_it_loads(by):
    x = np.arange(200, dtype=np.float32)
    expected = x.copy()
    expected[by : by + 100] = x[:100]
    run(
        load("x", "a0", (100,), "f32")
        + f"""%t = memref.reinterpret_cast %a0 to offset: [{by}], sizes: [100], strides: [1]
          : memref<?xf32> to memref<100xf32, strided<[1], offset: {by}>>
        bufferization.materialize_in_destination %x in writable %t
          : (tensor<100xf32>, memref<100xf32, strided<[1], offset: {by}>>) -> ()""",
        x,
    )
    np.testing.assert_array_equal(x, expected)


def test_a_matrix_is_transposed_in_place():
    n = 16
    x = np.arange(n * n, dtype=np.float32).reshape(n, n)
    expected, t = x.T.copy(), f"tensor<{n}x{n}xf32>"
    run(
        load("x", "a0", (n, n), "f32")
        + f"%e = tensor.empty() : {t}\n"
        + f"%t = linalg.transpose ins(%x : {t}) outs(%e : {t}) permutation = [1, 0]\n"
        + store("t", "a0", (n, n), "f32"),
        x,
    )
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("condition, guarded", [("eq", True), ("ne", False)])
def test_one_guard_for_all_lanes_chooses_between_a_scalar_and_a_tensor(condition, guarded):
    x, y, out = np.full(1, 5, np.float32), np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    run(
        CONSTANTS
        + load("y", "a1", (64,), "f32")
        + f"""%e = tensor.empty() : tensor<64xf32>
        %take = arith.cmpi {condition}, %px, %py : i32
        %g = linalg.generic {{indexing_maps = [{ID}, {ID}], iterator_types = ["parallel"]}}
          ins(%y : tensor<64xf32>) outs(%e : tensor<64xf32>) {{
          ^bb0(%i: f32, %o: f32):
            %v = scf.if %take -> f32 {{ %l = memref.load %a0[%c0] : memref<?xf32>
              scf.yield %l : f32 }} else {{ scf.yield %i : f32 }}
            linalg.yield %v : f32 }} -> tensor<64xf32>\n"""
        + store("g", "a2", (64,), "f32"),
        x,
        y,
        out,
    )
    np.testing.assert_array_equal(out, np.full(64, 5) if guarded else y)


@pytest.mark.parametrize("op", ["divsi", "divui", "remsi", "remui"])
def test_a_guarded_division_by_zero_ends_no_process(op):
    x, out = np.arange(16, dtype=np.int32) // 2, np.zeros(16, np.int32)
    run(
        load("x", "a0", (16,), "i32")
        + f"""%e = tensor.empty() : tensor<16xi32>
        %h = arith.constant 100 : i32
        %z = arith.constant 0 : i32
        %g = linalg.generic {{indexing_maps = [{ID}, {ID}], iterator_types = ["parallel"]}}
          ins(%x : tensor<16xi32>) outs(%e : tensor<16xi32>) {{
          ^bb0(%i: i32, %o: i32):
            %c = arith.cmpi ne, %i, %z : i32
            %v = scf.if %c -> i32 {{ %l = arith.{op} %h, %i : i32
              scf.yield %l : i32 }} else {{ scf.yield %z : i32 }}
            linalg.yield %v : i32 }} -> tensor<16xi32>\n"""
        + store("g", "a1", (16,), "i32"),
        x,
        out,
    )
    function = np.floor_divide if op.startswith("div") else np.remainder
    np.testing.assert_array_equal(out, function(100, x, out=np.zeros_like(x), where=x != 0))


INDEX_MAPS = {
    "floordiv 2": lambda i: i // 2,
    "ceildiv 3": lambda i: -(-i // 3),
    "mod 16": lambda i: i % 16,
}


@pytest.mark.parametrize("expression", INDEX_MAPS)
def test_an_index_map_may_divide(expression):
    x, out = np.arange(16, dtype=np.float32) + 1, np.zeros(32, np.float32)
    run(
        load("x", "a0", (16,), "f32")
        + f"""%e = tensor.empty() : tensor<32xf32>
        %g = linalg.generic {{indexing_maps = [affine_map<(d0) -> (d0 {expression})>, {ID}],
          iterator_types = ["parallel"]}} ins(%x : tensor<16xf32>) outs(%e : tensor<32xf32>) {{
          ^bb0(%i: f32, %o: f32): linalg.yield %i : f32 }} -> tensor<32xf32>\n"""
        + store("g", "a1", (32,), "f32"),
        x,
        out,
    )
    np.testing.assert_array_equal(out, x[INDEX_MAPS[expression](np.arange(32))])


@pytest.mark.parametrize("stride, offset, size", [(-1, 39, 40), (-3, 59, 20), (0, 5, 20), (2, 1, 21)])
def test_a_load_with_any_stride(stride, offset, size):
    x, out = np.arange(60, dtype=np.float32), np.zeros(size, np.float32)
    layout = f"memref<{size}xf32, strided<[{stride}], offset: {offset}>>"
    run(
        f"""%v = memref.reinterpret_cast %a0 to offset: [{offset}], sizes: [{size}], strides: [{stride}]
          : memref<?xf32> to {layout}
        %b = memref.alloc() : memref<{size}xf32>
        memref.copy %v, %b : {layout} to memref<{size}xf32>
        %x = bufferization.to_tensor %b restrict writable : memref<{size}xf32> to tensor<{size}xf32>\n"""
        + store("x", "a1", (size,), "f32"),
        x,
        out,
    )
    np.testing.assert_array_equal(out, x[offset + stride * np.arange(size)])


@pytest.mark.parametrize("low, size", [(0, 40), (3, 20), (17, 1), (39, 1), (40, 0), (0, 0), (16, 16)])
def test_a_load_that_starts_late_and_ends_early(low, size):
    x, bounds, out = (
        np.arange(40, dtype=np.float32) + 1,
        np.array([low, size], np.int32),
        np.zeros(40, np.float32),
    )
    run(
        CONSTANTS
        + view("v", "a0", (40,), "f32")
        + """%l32 = memref.load %a1[%c0] : memref<?xi32>
        %s32 = memref.load %a1[%c1] : memref<?xi32>
        %l = arith.index_cast %l32 : i32 to index
        %s = arith.index_cast %s32 : i32 to index
        %f = arith.constant 9.0 : f32
        %sv = memref.subview %v[0][%s][1] : memref<40xf32, strided<[1]>> to memref<?xf32, strided<[1]>>
        %b = memref.alloc() : memref<40xf32>
        linalg.fill ins(%f : f32) outs(%b : memref<40xf32>)
        %d = memref.subview %b[%l][%s][1] : memref<40xf32> to memref<?xf32, strided<[1], offset: ?>>
        memref.copy %sv, %d : memref<?xf32, strided<[1]>> to memref<?xf32, strided<[1], offset: ?>>
        %x = bufferization.to_tensor %b restrict writable : memref<40xf32> to tensor<40xf32>\n"""
        + store("x", "a2", (40,), "f32"),
        x,
        bounds,
        out,
    )
    expected = np.full(40, 9, np.float32)
    expected[low : low + size] = x[:size]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    "shape, order",
    [
        ((4, 6, 5), (2, 0, 1)),
        ((3, 7), (1, 0)),
        ((2, 3, 4, 5), (3, 1, 0, 2)),
        ((16, 1, 16), (2, 1, 0)),
        ((64, 2), (1, 0)),
    ],
    ids=str,
)
def test_split_permute_join(shape, order):
    n = int(np.prod(shape))
    x, out = np.arange(n, dtype=np.float32), np.zeros(n, np.float32)
    split, permuted = ("x".join(map(str, s)) for s in (shape, [shape[d] for d in order]))
    group = list(range(len(shape)))
    run(
        load("x", "a0", (n,), "f32")
        + f"""%y = tensor.expand_shape %x [{group}] output_shape {list(shape)}
          : tensor<{n}xf32> into tensor<{split}xf32>
        %e = tensor.empty() : tensor<{permuted}xf32>
        %t = linalg.transpose ins(%y : tensor<{split}xf32>) outs(%e : tensor<{permuted}xf32>)
          permutation = {list(order)}
        %z = tensor.collapse_shape %t [{group}] : tensor<{permuted}xf32> into tensor<{n}xf32>\n"""
        + store("z", "a1", (n,), "f32"),
        x,
        out,
    )
    np.testing.assert_array_equal(out, x.reshape(shape).transpose(order).ravel())


def test_widening_after_a_wrap():
    """Lanes that wrap in 32 bits have wrapped before they become 64 bits wide."""
    out = np.zeros(64, np.int32)
    run(
        """%e = tensor.empty() : tensor<64xi32>
        %big = arith.constant dense<2147483600> : tensor<64xi32>
        %n = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
          outs(%e : tensor<64xi32>) { ^bb0(%o: i32): %i = linalg.index 0 : index
          %k = arith.index_cast %i : index to i32
          linalg.yield %k : i32 } -> tensor<64xi32>
        %s = arith.addi %n, %big : tensor<64xi32>
        %w = arith.extsi %s : tensor<64xi32> to tensor<64xi64>
        %c = arith.constant dense<4> : tensor<64xi64>
        %h = arith.shrsi %w, %c : tensor<64xi64>
        %t = arith.trunci %h : tensor<64xi64> to tensor<64xi32>\n"""
        + store("t", "a0", (64,), "i32"),
        out,
    )
    wrapped = (np.arange(64) + 2147483600).astype(np.int64).astype(np.int32)
    np.testing.assert_array_equal(out, wrapped >> 4)


def test_a_store_between_the_copy_and_its_use_changes_nothing():
    x, out = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    late = load("x", "a0", (64,), "f32").splitlines(keepends=True)
    run(
        "".join(late[:-1])
        + "%z = arith.constant dense<0.0> : tensor<64xf32>\n"
        + store("z", "a0", (64,), "f32")
        + late[-1]
        + store("x", "a1", (64,), "f32"),
        x,
        out,
    )
    np.testing.assert_array_equal(out, np.arange(64, dtype=np.float32))
