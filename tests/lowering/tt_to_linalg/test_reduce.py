"""Reductions, scans, assertions and histograms, compared with NumPy."""

import numpy as np
import pytest
from evaluate import floats, lowered, names_in, run

from vertebra.core.context import context
from vertebra.core.mlir import ir

RNG = np.random.default_rng(0)


REDUCTIONS = {
    "arith.addf": ("f32", np.add),
    "arith.mulf": ("f32", np.multiply),
    "arith.maxnumf": ("f32", np.fmax),
    "arith.minnumf": ("f32", np.fmin),
    "arith.maximumf": ("f32", np.maximum),
    "arith.minimumf": ("f32", np.minimum),
    "arith.addi": ("i32", np.add),
    "arith.muli": ("i32", np.multiply),
    "arith.andi": ("i32", np.bitwise_and),
    "arith.ori": ("i32", np.bitwise_or),
    "arith.xori": ("i32", np.bitwise_xor),
    "arith.maxsi": ("i32", np.maximum),
    "arith.minsi": ("i32", np.minimum),
    "arith.maxui": ("i32", lambda: np.maximum),
    "arith.minui": ("i32", lambda: np.minimum),
}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", REDUCTIONS)
def test_reduce_with_identity(op, axis):
    """Rows and columns of NaN tell a sound identity of maxnumf from -inf."""
    kind, fold = REDUCTIONS[op]
    if kind == "f32":
        x = floats(4, 8)
        x[1, :] = x[:, 2] = np.nan
    else:
        x = RNG.integers(-(2**31), 2**31, (4, 8), dtype=np.int64).astype(np.int32)
    n = (8, 4)[axis]
    text = _reduction(op, kind, axis, n)
    got = run(text, x, out=[((n,), x.dtype)])
    with context(), ir.Location.unknown():
        names = names_in(lowered(text))
    assert "linalg.fill" in names and "tensor.extract_slice" not in names
    if op.endswith("ui"):
        want = fold().reduce(x.view(np.uint32), axis=axis).view(np.int32)
    else:
        want = fold.reduce(x, axis=axis, dtype=x.dtype)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def _reduction(op, kind, axis, n):
    return f"""
        func.func @f(%x: tensor<4x8x{kind}>) -> tensor<{n}x{kind}> {{
          %y = "tt.reduce"(%x) <{{axis = {axis} : i32}}> ({{
          ^bb0(%a: {kind}, %b: {kind}):
            %c = {op} %a, %b : {kind}
            tt.reduce.return %c : {kind}
          }}) : (tensor<4x8x{kind}>) -> tensor<{n}x{kind}>
          return %y : tensor<{n}x{kind}>
        }}"""


def test_reduce_with_another_combiner():
    """(1 + a) * (1 + b) - 1, of which nothing is the identity that the lowering knows."""
    x = RNG.uniform(-0.5, 0.5, (4, 8)).astype(np.float32)
    text = _reduction("arith.addf", "f32", 1, 4).replace(
        "tt.reduce.return %c",
        "%p = arith.mulf %a, %b : f32\n%q = arith.addf %c, %p : f32\ntt.reduce.return %q",
    )
    got = run(text, x, out=[((4,), np.float32)])
    np.testing.assert_allclose(got, np.prod(1 + x, axis=1) - 1, rtol=1e-5, atol=1e-6)
    with context(), ir.Location.unknown():
        assert names_in(lowered(text)).count("tensor.extract_slice") == 2


def test_reduce_to_a_scalar_and_of_one_element():
    x = floats(8)
    got = run(
        """
        func.func @f(%x: tensor<8xf32>) -> tensor<1xf32> {
          %y = "tt.reduce"(%x) <{axis = 0 : i32}> ({
          ^bb0(%a: f32, %b: f32):
            %c = arith.addf %a, %b : f32
            tt.reduce.return %c : f32
          }) : (tensor<8xf32>) -> f32
          %z = tt.splat %y : f32 -> tensor<1x1xf32>
          %w = "tt.reduce"(%z) <{axis = 1 : i32}> ({
          ^bb0(%a: f32, %b: f32):
            %c = arith.addf %a, %b : f32
            tt.reduce.return %c : f32
          }) : (tensor<1x1xf32>) -> tensor<1xf32>
          return %w : tensor<1xf32>
        }""",
        x,
        out=[((1,), np.float32)],
    )
    np.testing.assert_allclose(got, [x.sum()], rtol=1e-6)


def test_reduce_of_pairs_finds_the_first_maximum():
    x = np.array([[1, 5, 5, 2], [7, 0, 7, 7]], np.float32)
    i = np.tile(np.arange(4, dtype=np.int32), (2, 1))
    value, place = run(
        """
        func.func @f(%x: tensor<2x4xf32>, %i: tensor<2x4xi32>) -> (tensor<2xf32>, tensor<2xi32>) {
          %y:2 = "tt.reduce"(%x, %i) <{axis = 1 : i32}> ({
          ^bb0(%a: f32, %ai: i32, %b: f32, %bi: i32):
            %same = arith.cmpf oeq, %a, %b : f32
            %before = arith.cmpi slt, %ai, %bi : i32
            %tie = arith.andi %same, %before : i1
            %more = arith.cmpf ogt, %a, %b : f32
            %left = arith.ori %more, %tie : i1
            %v = arith.select %left, %a, %b : f32
            %vi = arith.select %left, %ai, %bi : i32
            tt.reduce.return %v, %vi : f32, i32
          }) : (tensor<2x4xf32>, tensor<2x4xi32>) -> (tensor<2xf32>, tensor<2xi32>)
          return %y#0, %y#1 : tensor<2xf32>, tensor<2xi32>
        }""",
        x,
        i,
        out=[((2,), np.float32), ((2,), np.int32)],
    )
    np.testing.assert_array_equal(value, [5, 7])
    np.testing.assert_array_equal(place, [1, 0])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape, axis", [((8,), 0), ((4, 8), 0), ((4, 8), 1), ((2, 3, 4), 1)])
def test_scan(shape, axis, reverse):
    x, t = floats(*shape), "tensor<" + "x".join(map(str, shape)) + "xf32>"
    got = run(
        f"""
        func.func @f(%x: {t}) -> {t} {{
          %y = "tt.scan"(%x) <{{axis = {axis} : i32, reverse = {str(reverse).lower()}}}> ({{
          ^bb0(%a: f32, %b: f32):
            %half = arith.constant 0.5 : f32
            %c = arith.mulf %a, %half : f32
            %d = arith.addf %c, %b : f32
            tt.scan.return %d : f32
          }}) : ({t}) -> {t}
          return %y : {t}
        }}""",
        x,
        out=[(shape, np.float32)],
    )
    ordered = np.flip(x, axis) if reverse else x
    want = ordered.copy()
    for i in range(1, shape[axis]):
        at = (slice(None),) * axis
        want[(*at, i)] = want[(*at, i - 1)] * np.float32(0.5) + ordered[(*at, i)]
    np.testing.assert_allclose(got, np.flip(want, axis) if reverse else want, rtol=1e-5)


def test_scan_of_pairs_with_a_branch():
    x = RNG.integers(-9, 9, (4, 8)).astype(np.int32)
    flag = RNG.integers(0, 2, (4, 8)).astype(np.int32)
    got, _ = run(
        """
        func.func @f(%x: tensor<4x8xi32>, %s: tensor<4x8xi32>) -> (tensor<4x8xi32>, tensor<4x8xi32>) {
          %y:2 = "tt.scan"(%x, %s) <{axis = 1 : i32, reverse = false}> ({
          ^bb0(%a: i32, %as: i32, %b: i32, %bs: i32):
            %zero = arith.constant 0 : i32
            %starts = arith.cmpi ne, %bs, %zero : i32
            %v = scf.if %starts -> (i32) {
              scf.yield %b : i32
            } else {
              %sum = arith.addi %a, %b : i32
              scf.yield %sum : i32
            }
            %s1 = arith.ori %as, %bs : i32
            tt.scan.return %v, %s1 : i32, i32
          }) : (tensor<4x8xi32>, tensor<4x8xi32>) -> (tensor<4x8xi32>, tensor<4x8xi32>)
          return %y#0, %y#1 : tensor<4x8xi32>, tensor<4x8xi32>
        }""",
        x,
        flag,
        out=[((4, 8), np.int32)] * 2,
    )
    want = x.copy()
    for i in range(1, 8):
        want[:, i] = np.where(flag[:, i] != 0, x[:, i], want[:, i - 1] + x[:, i])
    np.testing.assert_array_equal(got, want)


def test_histogram_counts_what_is_inside_and_not_masked():
    x = np.array([0, 1, 1, 3, 3, 3, 7, -1], np.int32)
    mask = np.array([1, 1, 1, 1, 0, 1, 1, 1], np.int32)
    got = run(
        """
        func.func @f(%x: tensor<8xi32>, %k: tensor<8xi32>) -> tensor<4xi32> {
          %zero = arith.constant dense<0> : tensor<8xi32>
          %m = arith.cmpi ne, %k, %zero : tensor<8xi32>
          %h = tt.histogram %x, %m : tensor<8xi32> -> tensor<4xi32>
          return %h : tensor<4xi32>
        }""",
        x,
        mask,
        out=[((4,), np.int32)],
    )
    np.testing.assert_array_equal(got, [1, 2, 0, 2])
