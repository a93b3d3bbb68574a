"""`arith.remf` against NumPy's fmod, bit for bit."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from vertebra.core.mlir import ir
from vertebra.lowering.math_to_arith import expand_math

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
math_ulp = importlib.import_module("math_ulp")

COUNT = 1 << 12
WORDS = {np.float32: np.uint32, np.float64: np.uint64}


def source(element: str, lanes: int) -> str:
    return math_ulp.source("powf", element, lanes=lanes).replace("math.powf", "arith.remf")


def pairs(dtype) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of specials; all bit patterns, moderate, huge and subnormal numbers; near multiples."""
    rng = np.random.default_rng(0)
    info, word = np.finfo(dtype), WORDS[dtype]
    least = info.smallest_subnormal
    sides = [0, 1, 3, 0.5, np.pi, info.tiny, info.tiny - least, least, 3 * least, info.max, np.inf, np.nan]
    sides = np.array([*sides, 1 - info.epsneg, 1 + info.eps, 2.0**20, 3 * 2.0**-20], dtype)
    sides = np.concatenate([sides, -sides])
    bits, other = rng.integers(0, np.iinfo(word).max, (2, COUNT), dtype=word, endpoint=True).view(dtype)
    subnormal = rng.integers(1, 1 << info.nmant, COUNT, dtype=word).view(dtype)
    huge = (rng.uniform(1, 2, COUNT) * 2.0 ** (info.maxexp - 1)).astype(dtype)
    x, y = rng.uniform(-10, 10, (2, COUNT)).astype(dtype)
    product = y * rng.integers(0, 1000, COUNT).astype(dtype)
    below = np.nextafter(product, dtype(0))
    first, second = map(np.ravel, np.meshgrid(sides, sides))
    return (
        np.concatenate([first, bits, bits, x, huge, product, below, bits, subnormal]),
        np.concatenate([second, other, x, y, subnormal, y, y, subnormal, subnormal[::-1]]),
    )


def check(got: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    with np.errstate(invalid="ignore"):
        want = np.fmod(x, y)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    number = ~np.isnan(want)
    word = WORDS[got.dtype.type]
    np.testing.assert_array_equal(got[number].view(word), want[number].view(word))


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact(dtype, lanes):
    x, y = pairs(dtype)
    kernel = math_ulp.Jit(source(f"f{8 * dtype().itemsize}", lanes), dtype)
    assert "call" not in kernel.assembly
    check(kernel(x, y), x, y)


MATRIX = """
    %mx = vector.shape_cast %x0 : vector<16xf32> to vector<4x4xf32>
    %my = vector.shape_cast %x1 : vector<16xf32> to vector<4x4xf32>
    %m = arith.remf %mx, %my : vector<4x4xf32>
    %r = vector.shape_cast %m : vector<4x4xf32> to vector<16xf32>"""
HALVES = """
    %hx = arith.truncf %x0 : vector<16xf32> to vector<16xf16>
    %hy = arith.truncf %x1 : vector<16xf32> to vector<16xf16>
    %h = arith.remf %hx, %hy : vector<16xf16>
    %r = arith.extf %h : vector<16xf16> to vector<16xf32>"""


@pytest.mark.parametrize("body", [MATRIX, HALVES])
def test_other_shapes_and_types(body):
    x, y = np.random.default_rng(1).normal(0, 30, (2, COUNT)).astype(np.float16).astype(np.float32)
    text = source("f32", 16).replace("%r = arith.remf %x0, %x1 : vector<16xf32>", body)
    check(math_ulp.Jit(text, np.float32)(x, y), x, y)


@pytest.mark.parametrize(
    "type_", ["f16", "f32", "f64", "vector<[4]xf32>", "vector<2x3x4xf64>", "vector<f32>", "tensor<4x8xf32>"]
)
def test_every_shape_verifies(type_):
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(
            f"func.func @f(%x: {type_}, %y: {type_}) -> {type_} {{"
            f" %r = arith.remf %x, %y : {type_} return %r : {type_} }}"
        )
        assert expand_math(module) == 1
        assert module.operation.verify()
        assert "remf" not in str(module)
