"""Operations on single elements, compared with NumPy."""

import numpy as np
import pytest
from evaluate import floats, lowered, run

from vertebra.core.context import context
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir

RNG = np.random.default_rng(0)


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


LIBDEVICE = {
    "__nv_log2f": (("f32",), "f32", np.log2),
    "__ocml_exp_f32": (("f32",), "f32", np.exp),
    "__nv_fabsf": (("f32",), "f32", np.abs),
    "__nv_rintf": (("f32",), "f32", np.rint),
    "__nv_fdimf": (("f32", "f32"), "f32", lambda x, y: np.maximum(x - y, 0)),
    "__nv_hypotf": (("f32", "f32"), "f32", np.hypot),
    "__nv_fmaxf": (("f32", "f32"), "f32", np.fmax),
    "__nv_frcp_rn": (("f32",), "f32", lambda x: 1 / x),
    "__nv_saturatef": (("f32",), "f32", lambda x: np.where(np.isnan(x), 0, np.clip(x, 0, 1))),
    "__nv_isinff": (("f32",), "i32", np.isinf),
    "__nv_isnanf": (("f32",), "i32", np.isnan),
    "__nv_finitef": (("f32",), "i32", np.isfinite),
    "__nv_signbitf": (("f32",), "i32", np.signbit),
    "__nv_float_as_int": (("f32",), "i32", lambda x: x.view(np.int32)),
    "__nv_clz": (("i32",), "i32", lambda x: [32 - (v & 0xFFFFFFFF).bit_length() for v in x.tolist()]),
    "__nv_popc": (("i32",), "i32", lambda x: [(v & 0xFFFFFFFF).bit_count() for v in x.tolist()]),
    "__nv_ffs": (("i32",), "i32", lambda x: [(v & -v & 0xFFFFFFFF).bit_length() for v in x.tolist()]),
    "__nv_mulhi": (("i32", "i32"), "i32", lambda x, y: (x.astype(np.int64) * y) >> 32),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("symbol", LIBDEVICE)
def test_libdevice_names(symbol):
    kinds, result, want = LIBDEVICE[symbol]
    special = {"f32": [0, -0.0, np.inf, -np.inf, np.nan, 2.5], "i32": [0, 1, -1, -(2**31), 6, 2**30]}
    operands = []
    for turn, kind in enumerate(kinds):
        body = np.abs(floats(10)) * 3 if kind == "f32" else RNG.integers(-(2**31), 2**31, 10, dtype=np.int64)
        value = np.concatenate([np.roll(special[kind], turn), body])
        operands.append(value.astype(np.float32 if kind == "f32" else np.int32))
    arguments = ", ".join(f"%x{i}: tensor<16x{kind}>" for i, kind in enumerate(kinds))
    names, types = ", ".join(f"%x{i}" for i in range(len(kinds))), ", ".join(f"tensor<16x{k}>" for k in kinds)
    dtype = np.float32 if result == "f32" else np.int32
    got = run(
        f"""
        func.func @f({arguments}) -> tensor<16x{result}> {{
          %a = tt.extern_elementwise {names} {{
              libname = "", libpath = "", symbol = "{symbol}", pure = true
          }} : ({types}) -> tensor<16x{result}>
          return %a : tensor<16x{result}>
        }}""",
        *operands,
        out=[((16,), dtype)],
    )
    np.testing.assert_allclose(got, np.asarray(want(*operands)).astype(dtype), rtol=1e-6)


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


@pytest.mark.parametrize(
    "op, message",
    [
        (
            '"tt.map_elementwise"(%x) <{pack = 3 : i32}> ({ ^bb0(%a: i32, %b: i32, %c: i32):'
            ' "tt.map_elementwise.return"(%a, %b, %c) : (i32, i32, i32) -> () })'
            " : (tensor<4xi32>) -> tensor<4xi32>",
            "4 elements in groups of 3",
        ),
        (
            'tt.extern_elementwise %x {libname = "", libpath = "", symbol = "__nv_fast_bogusf", pure = true} :'
            " (tensor<4xi32>) -> tensor<4xi32>",
            "__nv_fast_bogusf",
        ),
    ],
)
def test_what_cannot_run_is_refused(op, message):
    text = f"func.func @f(%x: tensor<4xi32>) {{\n %y = {op}\n return }}"
    with context(), ir.Location.unknown(), pytest.raises(CompileError, match=message) as caught:
        lowered(text)
    assert caught.value.fix


def test_barriers_vanish():
    x = floats(16)
    text = """
        func.func @f(%x: tensor<16xf32>) -> tensor<16xf32> {
          ttg.barrier all
          %y = arith.addf %x, %x : tensor<16xf32>
          ttg.barrier local|global_write
          return %y : tensor<16xf32>
        }"""
    np.testing.assert_array_equal(run(text, x, out=[((16,), np.float32)]), x + x)
