import importlib
import re
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.math_to_arith import EXPANSIONS, FAST_EXPANSIONS, LIBRARY, expand_math

# The benchmark measures the same things on more points; it lends its compiler and its references.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
math_ulp = importlib.import_module("math_ulp")

FUNCTIONS = [name for name in math_ulp.FUNCTIONS if name not in LIBRARY]
# Largest error allowed, in ULP of the result.
F32_BOUNDS = dict.fromkeys(FUNCTIONS, 2.0) | dict.fromkeys(("exp", "exp2", "log", "log2"), 1.0)
F64_BOUNDS = dict.fromkeys(FUNCTIONS, 2.0) | {"tan": 3.0, "erfc": 4.0}


def worst(name, element, arrays, kernel):
    dtype = math_ulp.DTYPES[element]
    errors = math_ulp.ulp_errors(kernel(*arrays), *math_ulp.reference(name, arrays, dtype))
    at = int(np.argmax(errors))
    return errors[at], tuple(float(x[at]) for x in arrays)


@pytest.mark.parametrize("native", [False, True], ids=["any", "native"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_f32_vectors(name, native):
    kernel = math_ulp.Jit(math_ulp.source(name, "f32"), np.float32, native=native)
    error, at = worst(name, "f32", math_ulp.samples(name, np.float32, 2 * math_ulp.BLOCK), kernel)
    assert error <= F32_BOUNDS[name], f"{error} ULP at {at}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_f64_scalars(name):
    kernel = math_ulp.Jit(math_ulp.source(name, "f64", lanes=1), np.float64)
    error, at = worst(name, "f64", math_ulp.samples(name, np.float64, 800), kernel)
    assert error <= F64_BOUNDS[name], f"{error} ULP at {at}"


@pytest.mark.parametrize("name", math_ulp.FAST_BOUNDS)
def test_fast_variants(name):
    bound, low, high = math_ulp.FAST_BOUNDS[name]
    kernel = math_ulp.Jit(math_ulp.source(name, "f32"), np.float32, fast=True)
    rng = np.random.default_rng(0)
    x = rng.uniform(low, high, 2 * math_ulp.BLOCK).astype(np.float32)
    if low > 0:
        x = np.geomspace(low, high, 2 * math_ulp.BLOCK, dtype=np.float32)
    error, at = worst(name, "f32", (x,), kernel)
    assert error <= bound, f"{error} ULP at {at}"


@pytest.mark.parametrize("name", ["exp", "exp2"])
def test_fast_exponentials_keep_the_edges(name):
    kernel = math_ulp.Jit(math_ulp.source(name, "f32"), np.float32, fast=True)
    got = kernel(np.array([-np.inf, -1000, 0, 1000, np.inf, np.nan], np.float32))
    np.testing.assert_array_equal(got, np.array([0, 0, 1, np.inf, np.inf, np.nan], np.float32))


def test_every_fast_expansion_is_an_expansion():
    assert set(FAST_EXPANSIONS) <= set(EXPANSIONS)
    assert {f"math.{name}" for name in math_ulp.FAST_BOUNDS} | {"math.sincos"} == set(FAST_EXPANSIONS)


def test_ipowi():
    kernel = math_ulp.Jit(math_ulp.source("ipowi", "i32"), np.int32)
    cases = [
        (b, e) for b in (-7, -2, -1, 0, 1, 2, 3, 46341) for e in (-5, -2, -1, 0, 1, 2, 3, 30, 31, 2**31 - 1)
    ]
    x, n = np.array(cases, np.int32).T.copy()

    def power(base, exponent):
        if exponent < 0:
            return {1: 1, -1: -1 if exponent % 2 else 1}.get(base, 0)
        return (pow(base, exponent, 2**32) + 2**31) % 2**32 - 2**31

    np.testing.assert_array_equal(kernel(x, n), [power(b, e) for b, e in cases])


def test_fpowi_keeps_every_bit_of_the_exponent():
    kernel = math_ulp.Jit(math_ulp.source("fpowi", "f32", integer="i32"), np.float32)
    x = np.array([-1, -1, 2, -2, 0.5, 0, -0.0, np.nan], np.float32)
    n = np.array([2**24 + 1, 2**24 + 2, -3, 3, 149, -1, -1, 0], np.int32)
    expected = np.array([-1, 1, 0.125, -8, 2.0**-149, np.inf, -np.inf, 1], np.float32)
    np.testing.assert_array_equal(kernel(x, n), expected)


SHAPES = """
func.func @kernel(%rounds: index, %p: memref<4096xf32>, %out: memref<4096xf32>) {
  %zero = arith.constant 0 : index
  %step = arith.constant 16 : index
  %end = arith.constant 4096 : index
  scf.for %i = %zero to %end step %step {
    %x = vector.load %p[%i] : memref<4096xf32>, vector<16xf32>
    BODY
    vector.store %y, %out[%i] : memref<4096xf32>, vector<16xf32>
  }
  return
}
"""
MATRIX = """
    %m = vector.shape_cast %x : vector<16xf32> to vector<2x8xf32>
    %r = math.OP %m : vector<2x8xf32>
    %y = vector.shape_cast %r : vector<2x8xf32> to vector<16xf32>"""
SINCOS = """
    %s, %c = math.sincos %x : vector<16xf32>
    %y = arith.addf %s, %c : vector<16xf32>"""


@pytest.mark.parametrize("name", ["exp", "log", "sin", "cbrt"])
def test_matrices_give_what_vectors_give(name):
    (x,) = math_ulp.samples(name, np.float32, math_ulp.BLOCK)
    matrix = math_ulp.Jit(SHAPES.replace("BODY", MATRIX.replace("OP", name)), np.float32)
    vector = math_ulp.Jit(math_ulp.source(name, "f32"), np.float32)
    np.testing.assert_array_equal(matrix(x), vector(x))


@pytest.mark.parametrize("fast", [False, True])
def test_sincos(fast):
    x = np.linspace(-100, 100, math_ulp.BLOCK, dtype=np.float32)
    got = math_ulp.Jit(SHAPES.replace("BODY", SINCOS), np.float32, fast=fast)(x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(got, np.sin(wide) + np.cos(wide), rtol=0, atol=3e-7)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_vectors_without_large_arguments_take_a_path_of_their_own(name):
    kernel = math_ulp.Jit(math_ulp.source(name, "f32"), np.float32)
    multiples = (np.arange(math_ulp.BLOCK) * 10 * (np.pi / 2)).astype(np.float32)
    moderate = np.random.default_rng(0).uniform(-65535, 65535, 3 * math_ulp.BLOCK).astype(np.float32)
    small = np.geomspace(1e-40, 1, math_ulp.BLOCK).astype(np.float32)
    error, at = worst(name, "f32", (np.concatenate([multiples, moderate, small]),), kernel)
    assert error <= F32_BOUNDS[name], f"{error} ULP at {at}"
    # One large argument among others that are not.
    mixed = np.where(np.arange(math_ulp.BLOCK) % 16 == 5, np.float32(1e9), moderate[: math_ulp.BLOCK])
    error, at = worst(name, "f32", (mixed,), kernel)
    assert error <= F32_BOUNDS[name], f"{error} ULP at {at}"


HALVES = """
    %h = arith.truncf %x : vector<16xf32> to vector<16xTYPE>
    %r = math.exp %h : vector<16xTYPE>
    %y = arith.extf %r : vector<16xTYPE> to vector<16xf32>"""


def test_f16_is_rounded_once():
    x = np.linspace(-18, 12, math_ulp.BLOCK).astype(np.float16)
    got = math_ulp.Jit(SHAPES.replace("BODY", HALVES.replace("TYPE", "f16")), np.float32)(
        x.astype(np.float32)
    )
    with np.errstate(over="ignore"):
        expected = np.exp(x.astype(np.float64)).astype(np.float16)
    np.testing.assert_array_equal(got.astype(np.float16), expected)


def expanded(body, **options):
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(body)
        count = expand_math(module, **options)
        module.operation.verify()
        return count, str(module)


@pytest.mark.parametrize(
    "type_",
    ["f32", "f64", "bf16", "vector<[4]xf32>", "vector<2x8xf32>", "vector<2x3x4xf64>", "tensor<4x8xf32>"],
)
@pytest.mark.parametrize("name", sorted({*FUNCTIONS} - {"powf", "atan2"}))
def test_every_shape_verifies(name, type_):
    count, text = expanded(
        f"func.func @f(%x: {type_}) -> {type_} {{ %r = math.{name} %x : {type_} return %r : {type_} }}"
    )
    assert count == 1
    assert f"math.{name} " not in text


def test_unknown_shapes_are_refused():
    with pytest.raises(CompileError, match="unknown shape") as caught:
        expanded("func.func @f(%x: tensor<?xf32>) { %r = math.exp %x : tensor<?xf32> return }")
    assert "vectorising" in caught.value.fix


def test_instructions_stay():
    names = ["sqrt", "absf", "floor", "ceil", "trunc", "round", "roundeven"]
    ops = "\n".join(f"%{name} = math.{name} %x : f32" for name in names)
    count, text = expanded(f"func.func @f(%x: f32) {{ {ops} return }}")
    assert count == 0
    assert all(f"math.{name} " in text for name in names)


def test_afn_chooses_the_fast_variant():
    text = "func.func @f(%x: f32) -> f32 {{ %r = math.exp %x {} : f32 return %r : f32 }}"
    assert expanded(text.format("fastmath<afn>")) == expanded(text.format(""), fast=True)
    assert expanded(text.format("fastmath<contract>")) == expanded(text.format(""))
    assert expanded(text.format(""), fast=True) != expanded(text.format(""))


@pytest.fixture(scope="module")
def riscv():
    """Emits RISC-V assembly with vectors of LLVM IR, optimised as a kernel would be."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("riscv64-unknown-linux-gnu")
    machine = target.create_target_machine(
        cpu="generic-rv64", features="+m,+a,+f,+d,+c,+v,+zvl256b", opt=3, abiname="lp64d"
    )

    def emit(text):
        module = llvm.parse_assembly(text)
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        tuning = llvm.create_pipeline_tuning_options(speed_level=3)
        tuning.loop_vectorization = True
        builder = llvm.create_pass_builder(machine, tuning)
        builder.getModulePassManager().run(module, builder)
        return machine.emit_assembly(module)

    return emit


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_scalar_loops_become_vector_code_without_calls(name, element, riscv):
    text = riscv(math_ulp.lower(math_ulp.source(name, element, lanes=1)))
    assert not re.search(r"^\s*(call|tail)\b", text, re.MULTILINE)
    assert re.search(r"^\s*vf\w+\.v", text, re.MULTILINE)
