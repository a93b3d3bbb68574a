"""Computing operations of tt, run by upstream passes and compared with NumPy."""

import numpy as np
import pytest
import torch
from evaluate import evaluate

from vertebra.core import assembly
from vertebra.core.context import context
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.total_arith import make_arith_total
from vertebra.lowering.tt_to_linalg import check_lowered, lower_compute
from vertebra.lowering.tt_to_linalg.shape import common_groups

RNG = np.random.default_rng(0)


def lowered(text: str):
    module = assembly.parse(text, context())
    lower_compute(module, None, None)
    make_arith_total(module, None, None)
    check_lowered(module, None, None)
    return module


def run(text: str, *inputs, out):
    with context(), ir.Location.unknown():
        results = evaluate(lowered(text), "f", *inputs, out=out)
    return results[0] if len(results) == 1 else results


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def names_in(module) -> list[str]:
    found = []

    def visit(op):
        found.append(op.name)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


def test_range_expand_broadcast():
    got = run(
        """
        func.func @f() -> tensor<4x8xi32> {
          %a = tt.make_range {start = 3 : i32, end = 7 : i32} : tensor<4xi32>
          %b = tt.make_range {start = 0 : i32, end = 8 : i32} : tensor<8xi32>
          %c = tt.expand_dims %a {axis = 1 : i32} : tensor<4xi32> -> tensor<4x1xi32>
          %d = tt.expand_dims %b {axis = 0 : i32} : tensor<8xi32> -> tensor<1x8xi32>
          %e = tt.broadcast %c : tensor<4x1xi32> -> tensor<4x8xi32>
          %g = tt.broadcast %d : tensor<1x8xi32> -> tensor<4x8xi32>
          %h = arith.muli %e, %g : tensor<4x8xi32>
          return %h : tensor<4x8xi32>
        }""",
        out=[((4, 8), np.int32)],
    )
    np.testing.assert_array_equal(got, np.arange(3, 7)[:, None] * np.arange(8))


def test_trans_of_rank_3():
    x = floats(2, 3, 4)
    got = run(
        """
        func.func @f(%x: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
          %y = tt.trans %x {order = array<i32: 2, 0, 1>} : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
          return %y : tensor<4x2x3xf32>
        }""",
        x,
        out=[((4, 2, 3), np.float32)],
    )
    np.testing.assert_array_equal(got, x.transpose(2, 0, 1))


@pytest.mark.parametrize("want", [(24,), (2, 2, 6), (3, 8), (24, 1), (1, 4, 3, 2), (8, 3)])
def test_reshape(want):
    x, shape = floats(4, 6), "x".join(map(str, want))
    got = run(
        f"""
        func.func @f(%x: tensor<4x6xf32>) -> tensor<{shape}xf32> {{
          %y = tt.reshape %x : tensor<4x6xf32> -> tensor<{shape}xf32>
          return %y : tensor<{shape}xf32>
        }}""",
        x,
        out=[(want, np.float32)],
    )
    np.testing.assert_array_equal(got, x.reshape(want))


def test_common_groups_are_the_finest():
    assert common_groups([4, 6], [2, 2, 6]) == [([0], [0, 1]), ([1], [2])]
    assert common_groups([4, 6], [3, 8]) == [([0, 1], [0, 1])]
    assert common_groups([16], [1, 16, 1]) == [([0], [0, 1, 2])]
    with pytest.raises(CompileError, match="from 24 to 25"):
        common_groups([4, 6], [25])


def test_cat_join_split():
    x, y = floats(2, 4), floats(2, 4)
    cat, joined, left, right = run(
        """
        func.func @f(%x: tensor<2x4xf32>, %y: tensor<2x4xf32>)
            -> (tensor<4x4xf32>, tensor<2x4x2xf32>, tensor<2x4xf32>, tensor<2x4xf32>) {
          %c = tt.cat %x, %y : tensor<2x4xf32> -> tensor<4x4xf32>
          %j = tt.join %x, %y : tensor<2x4xf32> -> tensor<2x4x2xf32>
          %l, %r = tt.split %j : tensor<2x4x2xf32> -> tensor<2x4xf32>
          return %c, %j, %l, %r : tensor<4x4xf32>, tensor<2x4x2xf32>, tensor<2x4xf32>, tensor<2x4xf32>
        }""",
        x,
        y,
        out=[((4, 4), np.float32), ((2, 4, 2), np.float32), ((2, 4), np.float32), ((2, 4), np.float32)],
    )
    np.testing.assert_array_equal(cat, np.concatenate([x, y]))
    np.testing.assert_array_equal(joined, np.stack([x, y], -1))
    np.testing.assert_array_equal(left, x)
    np.testing.assert_array_equal(right, y)


@pytest.mark.parametrize("axis", [0, 1])
def test_gather_stays_inside(axis):
    x = floats(4, 8)
    at = RNG.integers(0, x.shape[axis], (4, 8), dtype=np.int32)
    wild = at.copy()
    wild[0, 0] = -1
    got = run(
        f"""
        func.func @f(%x: tensor<4x8xf32>, %i: tensor<4x8xi32>) -> tensor<4x8xf32> {{
          %y = tt.gather %x[%i] {{axis = {axis} : i32}} :
              (tensor<4x8xf32>, tensor<4x8xi32>) -> tensor<4x8xf32>
          return %y : tensor<4x8xf32>
        }}""",
        x,
        wild,
        out=[((4, 8), np.float32)],
    )
    at[0, 0] = x.shape[axis] - 1
    np.testing.assert_array_equal(got, np.take_along_axis(x, at.astype(np.int64), axis))


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
    with context(), ir.Location.unknown():
        module = lowered(_reduction(op, kind, axis, n))
        assert "linalg.fill" in names_in(module) and "tensor.extract_slice" not in names_in(module)
        (got,) = evaluate(module, "f", x, out=[((n,), x.dtype)])
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


def test_reduce_keeps_the_order_of_a_combiner_that_has_one():
    x = floats(4, 8)
    got = run(_reduction("arith.subf", "f32", 1, 4), x, out=[((4,), np.float32)])
    np.testing.assert_allclose(got, np.subtract.reduce(x, axis=1), rtol=1e-6)


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


@pytest.mark.parametrize(
    "side, acc",
    [(np.float32, np.float32), (np.float16, np.float32), (np.int8, np.int32), (np.float16, np.float16)],
)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_dot(side, acc, batch):
    mlir = {np.float32: "f32", np.float16: "f16", np.int8: "i8", np.int32: "i32"}
    a = (RNG.integers(-8, 8, (*batch, 4, 8))).astype(side)
    b = (RNG.integers(-8, 8, (*batch, 8, 16))).astype(side)
    c = (RNG.integers(-8, 8, (*batch, 4, 16))).astype(acc)
    x = "".join(f"{n}x" for n in batch)
    ta, tb, tc = (
        f"tensor<{x}4x8x{mlir[side]}>",
        f"tensor<{x}8x16x{mlir[side]}>",
        f"tensor<{x}4x16x{mlir[acc]}>",
    )
    got = run(
        f"""
        func.func @f(%a: {ta}, %b: {tb}, %c: {tc}) -> {tc} {{
          %d = tt.dot %a, %b, %c, inputPrecision = tf32 : {ta} * {tb} -> {tc}
          return %d : {tc}
        }}""",
        a,
        b,
        c,
        out=[((*batch, 4, 16), acc)],
    )
    np.testing.assert_array_equal(got, a.astype(acc) @ b.astype(acc) + c)


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


def test_elementwise():
    x, y = floats(64), np.abs(floats(64)) + 0.1
    x[3] = np.nan
    clamped, passed, root, quotient = run(
        """
        func.func @f(%x: tensor<64xf32>, %y: tensor<64xf32>)
            -> (tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>) {
          %low = arith.constant dense<-0.5> : tensor<64xf32>
          %high = arith.constant dense<0.5> : tensor<64xf32>
          %a = tt.clampf %x, %low, %high, propagateNan = none : tensor<64xf32>
          %b = tt.clampf %x, %low, %high, propagateNan = all : tensor<64xf32>
          %c = tt.precise_sqrt %y : tensor<64xf32>
          %d = tt.precise_divf %x, %y : tensor<64xf32>
          return %a, %b, %c, %d : tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>
        }""",
        x,
        y,
        out=[((64,), np.float32)] * 4,
    )
    np.testing.assert_array_equal(passed, np.clip(x, -0.5, 0.5))
    np.testing.assert_array_equal(clamped, np.where(np.isnan(x), np.float32(-0.5), np.clip(x, -0.5, 0.5)))
    np.testing.assert_array_equal(root, np.sqrt(y))
    np.testing.assert_array_equal(quotient, x / y)


def test_mulhiui():
    x, y = (RNG.integers(0, 2**32, 64, dtype=np.uint64).astype(np.uint32).view(np.int32) for _ in range(2))
    got = run(
        """
        func.func @f(%x: tensor<64xi32>, %y: tensor<64xi32>) -> tensor<64xi32> {
          %z = tt.mulhiui %x, %y : tensor<64xi32>
          return %z : tensor<64xi32>
        }""",
        x,
        y,
        out=[((64,), np.int32)],
    )
    want = (x.view(np.uint32).astype(np.uint64) * y.view(np.uint32).astype(np.uint64)) >> np.uint64(32)
    np.testing.assert_array_equal(got.view(np.uint32), want.astype(np.uint32))


def test_libdevice_names():
    x = np.abs(floats(16)) + np.float32(0.5)
    x[2] = np.inf
    got = run(
        """
        func.func @f(%x: tensor<16xf32>) -> tensor<16xf32> {
          %a = tt.extern_elementwise %x {libname = "", libpath = "", symbol = "__nv_log2f", pure = true} :
              (tensor<16xf32>) -> tensor<16xf32>
          %b = tt.extern_elementwise %x {libname = "", libpath = "", symbol = "__nv_isinff", pure = true} :
              (tensor<16xf32>) -> tensor<16xi32>
          %c = arith.sitofp %b : tensor<16xi32> to tensor<16xf32>
          %d = arith.subf %a, %c : tensor<16xf32>
          return %d : tensor<16xf32>
        }""",
        x,
        out=[((16,), np.float32)],
    )
    np.testing.assert_allclose(got, np.log2(x) - np.isinf(x), rtol=1e-6)


F8 = {
    "f8E5M2": torch.float8_e5m2,
    "f8E4M3FN": torch.float8_e4m3fn,
    "f8E5M2FNUZ": torch.float8_e5m2fnuz,
    "f8E4M3FNUZ": torch.float8_e4m3fnuz,
}


@pytest.mark.parametrize("name", F8)
@pytest.mark.parametrize("wide", ["f32", "f16"])
def test_every_code_of_8_bit_floats(name, wide):
    codes = np.arange(256, dtype=np.uint8)
    dtype = {"f32": np.float32, "f16": np.float16}[wide]
    got = run(
        f"""
        func.func @f(%x: tensor<256xi8>) -> tensor<256x{wide}> {{
          %a = tt.bitcast %x : tensor<256xi8> -> tensor<256x{name}>
          %b = tt.fp_to_fp %a : tensor<256x{name}> -> tensor<256x{wide}>
          return %b : tensor<256x{wide}>
        }}""",
        codes,
        out=[((256,), dtype)],
    )
    want = torch.from_numpy(codes).view(F8[name]).to(torch.float32).numpy().astype(dtype)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(
        np.signbit(got), np.signbit(want) & ~np.isnan(want) | np.signbit(got) & np.isnan(want)
    )


def _encode(x, name, rounding):
    return run(
        f"""
        func.func @f(%x: tensor<{len(x)}xf32>) -> tensor<{len(x)}xi8> {{
          %a = tt.fp_to_fp %x, rounding = {rounding} : tensor<{len(x)}xf32> -> tensor<{len(x)}x{name}>
          %b = tt.bitcast %a : tensor<{len(x)}x{name}> -> tensor<{len(x)}xi8>
          return %b : tensor<{len(x)}xi8>
        }}""",
        x,
        out=[((len(x),), np.uint8)],
    )


@pytest.mark.parametrize("name", F8)
def test_encoding_8_bit_floats_rounds_to_nearest_even(name):
    """Every representable value, the middle between neighbours, and both sides of it."""
    values = torch.arange(256, dtype=torch.uint8).view(F8[name]).to(torch.float64).numpy()
    values = np.unique(values[np.isfinite(values)])
    middles = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    sides = [np.nextafter(middles, np.float32(far)) for far in (-9e9, 9e9)]
    special = np.array([np.nan, 0.0, -0.0], np.float32)
    x = np.concatenate([values.astype(np.float32), middles, *sides, special])
    got = _encode(x, name, "rtne")
    want = torch.from_numpy(x).to(F8[name]).view(torch.uint8).numpy()
    nan = np.isnan(x)
    np.testing.assert_array_equal(got[~nan], want[~nan])
    assert np.isnan(torch.from_numpy(got[nan]).view(F8[name]).to(torch.float32).numpy()).all()


@pytest.mark.parametrize("name", F8)
def test_encoding_8_bit_floats_saturates_and_truncates(name):
    values = torch.arange(256, dtype=torch.uint8).view(F8[name]).to(torch.float32).numpy()
    values = np.unique(values[np.isfinite(values)])
    largest = values[-1]
    big = np.array([largest * 1.5, np.inf, -np.inf, -3e38], np.float32)
    decode = lambda codes: torch.from_numpy(codes).view(F8[name]).to(torch.float32).numpy()  # noqa: E731
    for rounding in ("rtne", "rtz"):
        np.testing.assert_array_equal(
            decode(_encode(big, name, rounding)), [largest, largest, -largest, -largest]
        )
    x = RNG.uniform(-1, 1, 512).astype(np.float32) * np.float32(2.0) ** RNG.integers(-20, 5, 512)
    x = x.astype(np.float32)
    at = np.searchsorted(values, np.abs(x), side="right") - 1
    want = np.copysign(values[at], x)
    np.testing.assert_array_equal(decode(_encode(x, name, "rtz")), want)


@pytest.mark.parametrize("to", ["f16", "bf16"])
def test_rounding_towards_zero(to):
    x = np.concatenate([floats(64), [np.inf, -np.inf, np.nan, 65519, 70000, -3.4e38, 1e-7, 0]]).astype(
        np.float32
    )
    n = len(x)
    got = run(
        f"""
        func.func @f(%x: tensor<{n}xf32>) -> tensor<{n}xf32> {{
          %a = tt.fp_to_fp %x, rounding = rtz : tensor<{n}xf32> -> tensor<{n}x{to}>
          %b = tt.fp_to_fp %a : tensor<{n}x{to}> -> tensor<{n}xf32>
          return %b : tensor<{n}xf32>
        }}""",
        x,
        out=[((n,), np.float32)],
    )
    bits = x.view(np.uint32) & 0xFFFF0000
    if to == "bf16":
        want = bits.view(np.float32)
    else:
        near = x.astype(np.float16)
        want = np.where(np.abs(near.astype(np.float64)) > np.abs(x), np.nextafter(near, np.float16(0)), near)
        want = want.astype(np.float32)
    np.testing.assert_array_equal(got, want)


def test_integers_that_would_trap():
    low = -(2**31)
    x = np.array([7, -7, low, 5, low, 0], np.int32)
    y = np.array([2, 2, -1, 0, 0, 0], np.int32)
    quotient, remainder, unsigned, rest = run(
        """
        func.func @f(%x: tensor<6xi32>, %y: tensor<6xi32>)
            -> (tensor<6xi32>, tensor<6xi32>, tensor<6xi32>, tensor<6xi32>) {
          %a = arith.divsi %x, %y : tensor<6xi32>
          %b = arith.remsi %x, %y : tensor<6xi32>
          %c = arith.divui %x, %y : tensor<6xi32>
          %d = arith.remui %x, %y : tensor<6xi32>
          return %a, %b, %c, %d : tensor<6xi32>, tensor<6xi32>, tensor<6xi32>, tensor<6xi32>
        }""",
        x,
        y,
        out=[((6,), np.int32)] * 4,
    )
    np.testing.assert_array_equal(quotient, [3, -3, low, 5, low, 0])
    np.testing.assert_array_equal(remainder, [1, -1, 0, 0, 0, 0])
    np.testing.assert_array_equal(unsigned.view(np.uint32), [3, (2**32 - 7) // 2, 0, 5, 2**31, 0])
    np.testing.assert_array_equal(rest, [1, 1, low, 0, 0, 0])


def test_division_by_a_repeated_scalar_is_guarded_on_the_scalar():
    text = """
        func.func @f(%x: tensor<4xi32>, %n: i32) -> (tensor<4xi32>, tensor<4xi32>) {
          %y = tt.splat %n : i32 -> tensor<4xi32>
          %a = arith.divsi %x, %y : tensor<4xi32>
          %b = arith.remsi %x, %y : tensor<4xi32>
          return %a, %b : tensor<4xi32>, tensor<4xi32>
        }"""
    x = np.array([7, -7, -(2**31), 0], np.int32)
    for n, quotient, remainder in (
        (2, [3, -3, -(2**30), 0], [1, -1, 0, 0]),
        (0, x, [0] * 4),
        (-1, -x, [0] * 4),
    ):
        got = run(text, x, n, out=[((4,), np.int32)] * 2)
        np.testing.assert_array_equal(got[0], quotient)
        np.testing.assert_array_equal(got[1], remainder)
    with context(), ir.Location.unknown():
        module = lowered(text)
        types = []
        module.operation.walk(
            lambda op: (
                (types.append(str(op.operands[0].type)) if op.name == "arith.cmpi" else None)
                or ir.WalkResult.ADVANCE
            )
        )
    assert set(types) == {"i32"}


def test_division_by_a_constant_is_left_alone():
    text = """
        func.func @f(%x: tensor<4xi32>) -> tensor<4xi32> {
          %y = arith.constant dense<3> : tensor<4xi32>
          %a = arith.divsi %x, %y : tensor<4xi32>
          %b = arith.shli %a, %y : tensor<4xi32>
          return %b : tensor<4xi32>
        }"""
    with context(), ir.Location.unknown():
        assert "arith.select" not in names_in(lowered(text))


def test_shifts_beyond_the_width():
    x = np.array([-8, -8, -8, 5], np.int32)
    s = np.array([1, 31, 32, 100], np.int32)
    left, logical, arithmetic = run(
        """
        func.func @f(%x: tensor<4xi32>, %s: tensor<4xi32>) -> (tensor<4xi32>, tensor<4xi32>, tensor<4xi32>) {
          %a = arith.shli %x, %s : tensor<4xi32>
          %b = arith.shrui %x, %s : tensor<4xi32>
          %c = arith.shrsi %x, %s : tensor<4xi32>
          return %a, %b, %c : tensor<4xi32>, tensor<4xi32>, tensor<4xi32>
        }""",
        x,
        s,
        out=[((4,), np.int32)] * 3,
    )
    np.testing.assert_array_equal(left, [-16, 0, 0, 0])
    np.testing.assert_array_equal(logical, [0x7FFFFFFC, 1, 0, 0])
    np.testing.assert_array_equal(arithmetic, [-4, -1, -1, 0])


@pytest.mark.parametrize(
    "op, message",
    [
        ('tt.print "x: " {hex = false, isSigned = array<i32: 1>} : %x : tensor<4xi32>', "tt.print"),
        (
            'tt.extern_elementwise %x {libname = "", libpath = "", symbol = "__nv_j0f", pure = true} :'
            " (tensor<4xi32>) -> tensor<4xi32>",
            "__nv_j0f",
        ),
    ],
)
def test_what_cannot_run_is_refused(op, message):
    prefix = "" if op.startswith("tt.print") else "%y = "
    text = f"func.func @f(%x: tensor<4xi32>) {{\n {prefix}{op}\n return }}"
    with context(), ir.Location.unknown(), pytest.raises(CompileError, match=message) as caught:
        lowered(text)
    assert caught.value.fix


E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
E2M1 = np.concatenate([E2M1, -E2M1])


def _two_in_a_byte(codes, axis):
    low, high = (np.take(codes, range(half, codes.shape[axis], 2), axis) for half in (0, 1))
    return (low | high << 4).astype(np.uint8)


@pytest.mark.parametrize("k_pack", [True, False])
def test_dot_scaled(k_pack):
    """e2m1 on the left, packed either way, with scales in groups of 32; f8E5M2 on the right, with scales."""
    m, n, k = 4, 8, 64
    a = RNG.integers(0, 16, (m, k)).astype(np.uint8)
    b = RNG.integers(0, 0x7C, (k, n)).astype(np.uint8) | RNG.integers(0, 2, (k, n)).astype(np.uint8) << 7
    b &= 0xBF
    sa = RNG.integers(120, 130, (m, k // 32)).astype(np.uint8)
    sb = RNG.integers(120, 130, (n, k // 32)).astype(np.uint8)
    sb[0, 0] = 0
    c = floats(m, n)
    shape = f"{m}x{k // 2}" if k_pack else f"{m // 2}x{k}"
    got = run(
        f"""
        func.func @f(%a: tensor<{shape}xi8>, %sa: tensor<4x2xi8>, %b: tensor<64x8xi8>, %sb: tensor<8x2xi8>,
                     %c: tensor<4x8xf32>) -> tensor<4x8xf32> {{
          %e = tt.bitcast %b : tensor<64x8xi8> -> tensor<64x8xf8E5M2>
          %d = tt.dot_scaled %a scale %sa, %e scale %sb, %c lhs = e2m1 rhs = e5m2
              {{fastMath = false, lhs_k_pack = {str(k_pack).lower()}}} :
              tensor<{shape}xi8>, tensor<4x2xi8> * tensor<64x8xf8E5M2>, tensor<8x2xi8> -> tensor<4x8xf32>
          return %d : tensor<4x8xf32>
        }}""",
        _two_in_a_byte(a, 1 if k_pack else 0),
        sa,
        b,
        sb,
        c,
        out=[((m, n), np.float32)],
    )
    left = E2M1[a].astype(np.float64) * np.exp2(sa.astype(np.float64) - 127).repeat(32, 1)
    right = torch.from_numpy(b).view(torch.float8_e5m2).to(torch.float64).numpy()
    right *= np.exp2(sb.astype(np.float64) - 127).repeat(32, 1).T
    np.testing.assert_allclose(got, left @ right + c, rtol=1e-5, atol=1e-5)


def test_map_elementwise():
    x, y = RNG.integers(-9, 9, 16).astype(np.int32), RNG.integers(-9, 9, 16).astype(np.int32)
    low, high = run(
        """
        func.func @f(%x: tensor<16xi32>, %y: tensor<16xi32>) -> (tensor<16xi32>, tensor<16xi32>) {
          %r:2 = "tt.map_elementwise"(%x, %y) <{pack = 1 : i32}> ({
          ^bb0(%a: i32, %b: i32):
            %less = arith.cmpi slt, %a, %b : i32
            %p:2 = scf.if %less -> (i32, i32) {
              scf.yield %a, %b : i32, i32
            } else {
              scf.yield %b, %a : i32, i32
            }
            tt.map_elementwise.return %p#0, %p#1 : i32, i32
          }) : (tensor<16xi32>, tensor<16xi32>) -> (tensor<16xi32>, tensor<16xi32>)
          return %r#0, %r#1 : tensor<16xi32>, tensor<16xi32>
        }""",
        x,
        y,
        out=[((16,), np.int32)] * 2,
    )
    np.testing.assert_array_equal(low, np.minimum(x, y))
    np.testing.assert_array_equal(high, np.maximum(x, y))


def test_assert_traps_where_one_element_is_false():
    text = """
        func.func @f(%c: tensor<4x8xi1>, %s: i1) {
          tt.assert %c, "in bounds" : tensor<4x8xi1>
          tt.assert %s, "positive" : i1
          return
        }"""
    with context(), ir.Location.unknown():
        module = lowered(text)
        module.operation.verify()
        names = names_in(module)
    assert names.count("llvm.intr.trap") == 2 and names.count("linalg.reduce") == 1
