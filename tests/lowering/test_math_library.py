"""The functions that `math` has no operation for: bounds, special values, directed rounding."""

import importlib
import math
import sys
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest

from vertebra.core.mlir import ir
from vertebra.lowering.math_to_arith import LIBRARY

# The benchmark measures the same things on more points; it lends its compiler and its references.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
math_ulp = importlib.import_module("math_ulp")

FUNCTIONS = [name for name in math_ulp.FUNCTIONS if name in LIBRARY]


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bounds(name, element):
    dtype = math_ulp.DTYPES[element]
    kernel = math_ulp.Jit(math_ulp.source(name, element), dtype)
    arrays = math_ulp.samples(name, dtype, 240 if name in ("y0", "y1") else 500)
    errors = math_ulp.errors(name, kernel, arrays)
    at = int(np.argmax(errors))
    bound = 2.0 if element == "f32" else 4.0
    assert errors[at] <= bound, f"{errors[at]} ULP at {tuple(float(x[at]) for x in arrays)}"


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("name", ["j0", "j1", "y0", "y1", "lgamma"])
def test_beside_zeros(name, element):
    """From the number next to a zero on, the error is small relative to the result."""
    dtype = math_ulp.DTYPES[element]
    if name == "lgamma":
        guesses = [-2.457, -2.748, -3.1436, -3.9553, -4.0392, -4.9915, -5.0083, -5.9986, -7.0002, -9.0000028]
        zeros = [float(mpmath.findroot(lambda x: mpmath.re(mpmath.loggamma(x)), guess)) for guess in guesses]
    else:
        kind = mpmath.besseljzero if name[0] == "j" else mpmath.besselyzero
        zeros = [float(kind(int(name[1]), k)) for k in (*range(1, 9), 40)]
    away = np.array([0, *(sign * 10.0**-k for k in range(2, 9) for sign in (1, -1))])
    x = (np.array(zeros)[:, None] * (1 + away)).ravel().astype(dtype)
    kernel = math_ulp.Jit(math_ulp.source(name, element), dtype)
    if element == "f64":  # the very next one may be nearer than two doubles tell
        with mpmath.workprec(200):
            reference = math_ulp.FUNCTIONS[name][1]
            x = x[[abs(reference(mpmath.mpf(v))) > 2.0**-35 for v in x.tolist()]]
    errors = math_ulp.errors(name, kernel, (x,))
    at = int(np.argmax(errors))
    assert errors[at] <= (1.0 if element == "f32" else 4.0), f"{errors[at]} ULP at {x[at]!r}"


def specials(dtype) -> list[float]:
    info = np.finfo(dtype)
    return [0, -0.0, 1, -1, 3, math.inf, -math.inf, math.nan, info.max, -info.max, info.tiny,
            info.smallest_subnormal, -info.smallest_subnormal]  # fmt: skip


def column(rng, dtype, count: int) -> np.ndarray:
    """All bit patterns, moderate numbers, the smallest and the largest ones."""
    info = np.finfo(dtype)
    word = np.uint32 if dtype is np.float32 else np.uint64
    bits = rng.integers(0, np.iinfo(word).max, count, dtype=word, endpoint=True).view(dtype)
    near = rng.uniform(-4, 4, count)
    small = rng.integers(-8, 8, count) * info.smallest_subnormal
    large = rng.uniform(0.4, 1, count) * rng.choice([-1, 1], count) * info.max
    with np.errstate(invalid="ignore"):
        return np.choose(rng.integers(0, 4, count), [bits, near, small, large]).astype(dtype)


def operands(name: str, dtype, count: int, number: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    columns = [column(rng, dtype, count) for _ in range(number)]
    grid = np.array(np.meshgrid(*[specials(dtype)] * number)).reshape(number, -1)
    if number == 3:
        grid = rng.permutation(grid, axis=1)[:, : count // 2]
        with np.errstate(all="ignore"):  # sums that cancel
            columns[2][-count // 4 :] = -(columns[0] * columns[1])[-count // 4 :]
    for x, special in zip(columns, grid, strict=True):
        x[: special.size] = special
    return columns


def directed(value: Fraction, mode: str, info) -> float:
    """`value` other than 0, rounded to the format of `info`."""
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    exponent -= magnitude < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, info.minexp) - info.nmant)
    away = mode == ("ru" if value > 0 else "rd")
    places = -(-magnitude // unit) if away else magnitude // unit
    rounded = places * unit
    sign = 1 if value > 0 else -1
    if rounded > Fraction(float(info.max)):
        return sign * (math.inf if away else float(info.max))
    return sign * float(rounded)


def expected(name: str, mode: str, numbers: list[float], dtype) -> float:
    """The exact result by rational numbers; what involves no finite rounding by NumPy."""
    x = [dtype(v) for v in numbers]
    with np.errstate(all="ignore"):
        nearest = {
            "add": lambda a, b: a + b,
            "sub": lambda a, b: a - b,
            "mul": lambda a, b: a * b,
            "div": lambda a, b: a / b,
            "rcp": lambda a: dtype(1) / a,
            "sqrt": np.sqrt,
            # Finite factors make no infinity of their own beside an infinite or missing c.
            "fma": lambda a, b, c: c if math.isfinite(a) and math.isfinite(b) else a * b + c,
        }[name](*x)
        divisor = {"div": numbers[-1], "rcp": numbers[0]}.get(name, 1)
        if not all(map(math.isfinite, numbers)) or divisor == 0:
            return nearest
        if name == "sqrt":
            square = Fraction(float(nearest)) ** 2 if numbers[0] >= 0 else None
            if square is None or square == Fraction(numbers[0]):
                return nearest
            below = nearest if square < numbers[0] else np.nextafter(nearest, dtype(0))
            return np.nextafter(below, dtype(np.inf)) if mode == "ru" else below
    f = [Fraction(v) for v in numbers]
    negative = [math.copysign(1, v) < 0 for v in numbers]
    exact = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "rcp": lambda a: 1 / a,
        "fma": lambda a, b, c: a * b + c,
    }[name](*f)
    if exact:
        return directed(exact, mode, np.finfo(dtype))
    if name in ("mul", "div"):
        return -0.0 if negative[0] != negative[1] else 0.0
    first, second = negative[0], negative[1] != (name == "sub")
    if name == "fma":
        first, second = negative[0] != negative[1], negative[2]
    return -0.0 if (first and second) or (first != second and mode == "rd") else 0.0


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("mode", ["rz", "rd", "ru"])
@pytest.mark.parametrize(
    "name, number", [("add", 2), ("sub", 2), ("mul", 2), ("div", 2), ("rcp", 1), ("sqrt", 1), ("fma", 3)]
)
def test_directed_rounding(name, number, mode, element, monkeypatch):
    dtype = math_ulp.DTYPES[element]
    monkeypatch.setitem(math_ulp.OPERANDS, f"{name}_{mode}", number)
    columns = operands(name, dtype, 600, number)
    got = math_ulp.Jit(math_ulp.source(f"{name}_{mode}", element), dtype)(*columns)
    for i, value in enumerate(got):
        numbers = [float(x[i]) for x in columns]
        want = expected(name, mode, numbers, dtype)
        same = value == want and np.signbit(value) == np.signbit(want)
        assert same or (np.isnan(value) and np.isnan(want)), f"{numbers}: got {value!r}, want {want!r}"


@pytest.mark.parametrize("mode", ["rz", "rd", "ru"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("integer, element", [("i32", "f32"), ("i64", "f32"), ("i64", "f64"), ("i32", "f64")])
def test_directed_conversion_of_integers(integer, element, signed, mode):
    bits = int(integer[1:])
    kind = np.dtype(f"i{bits // 8}").type
    rng = np.random.default_rng(0)
    x = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 500, dtype=kind) >> rng.integers(0, bits, 500)
    x[:5] = [0, -1, 1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
    x = x.astype(kind)
    name = f"{'signed' if signed else 'unsigned'}_to_{element}_{mode}"
    dtype = math_ulp.DTYPES[element]
    got = math_ulp.Jit(math_ulp.source(name, integer, lanes=1, out=element), dtype)(x)
    numbers = (x if signed else x.view(f"u{bits // 8}")).tolist()
    assert got.tolist() == [directed(Fraction(v), mode, np.finfo(dtype)) if v else 0 for v in numbers]


@pytest.mark.parametrize("mode", ["rz", "rd", "ru"])
def test_directed_narrowing(mode):
    rng = np.random.default_rng(0)
    x = (rng.uniform(-1, 1, 500) * 2.0 ** rng.integers(-160, 140, 500)).astype(np.float64)
    got = math_ulp.Jit(math_ulp.source(f"narrow_{mode}", "f64", out="f32"), np.float32)(x)
    assert got.tolist() == [directed(Fraction(v), mode, np.finfo(np.float32)) for v in x.tolist()]


@pytest.mark.parametrize("element", ["f32", "f64"])
def test_nextafter(element, monkeypatch):
    dtype = math_ulp.DTYPES[element]
    monkeypatch.setitem(math_ulp.OPERANDS, "nextafter", 2)
    x, y = operands("nextafter", dtype, 600, 2)
    got = math_ulp.Jit(math_ulp.source("nextafter", element), dtype)(x, y)
    with np.errstate(all="ignore"):
        want = np.nextafter(x, y)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(got)], np.signbit(want)[~np.isnan(got)])


@pytest.mark.parametrize("element", ["f32", "f64"])
def test_remainder(element, monkeypatch):
    dtype = math_ulp.DTYPES[element]
    monkeypatch.setitem(math_ulp.OPERANDS, "remainder", 2)
    x, y = operands("remainder", dtype, 1000, 2)
    with np.errstate(over="ignore"):
        x[900:] = y[900:] * np.arange(-25, 25, 0.5, dtype=dtype)  # ties
    got = math_ulp.Jit(math_ulp.source("remainder", element), dtype)(x, y)
    defined = np.isfinite(x) & ~np.isnan(y) & (y != 0)
    want = [
        math.remainder(a, b) if d else math.nan
        for a, b, d in zip(x.tolist(), y.tolist(), defined, strict=True)
    ]
    np.testing.assert_array_equal(got, np.array(want, dtype))
    np.testing.assert_array_equal(np.signbit(got)[defined], np.signbit(want)[defined])


@pytest.mark.parametrize("element", ["f32", "f64"])
def test_ldexp_rounds_once(element):
    dtype = math_ulp.DTYPES[element]
    rng = np.random.default_rng(0)
    x = column(rng, dtype, 600)
    x[:13] = specials(dtype)
    n = rng.integers(-2200, 2200, 600).astype(np.int32)
    n[:4] = [2**31 - 1, -(2**31), 1, -1]
    n[100:300] = -np.frexp(x[100:300])[1] - (126 if element == "f32" else 1022) - rng.integers(0, 60, 200)
    got = math_ulp.Jit(math_ulp.source("ldexp", element, lanes=1, integer="i32"), dtype)(x, n)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(got, np.ldexp(x, n))


@pytest.mark.parametrize("element", ["f32", "f64"])
def test_exponents(element):
    dtype = math_ulp.DTYPES[element]
    x = column(np.random.default_rng(0), dtype, 500)
    x[:13] = specials(dtype)
    finite = np.isfinite(x) & (x != 0)
    exponent = np.frexp(np.where(finite, x, 1))[1] - 1
    got = math_ulp.Jit(math_ulp.source("ilogb", element, lanes=1, out="i32"), np.int32)(x)
    other = np.where(np.isinf(x), 2**31 - 1, -(2**31))
    np.testing.assert_array_equal(got, np.where(finite, exponent, other))
    got = math_ulp.Jit(math_ulp.source("logb", element), dtype)(x)
    other = np.where(x == 0, -np.inf, np.abs(x))
    np.testing.assert_array_equal(got, np.where(finite, exponent, other))


@pytest.mark.parametrize("type_", ["f16", "bf16", "f64", "vector<[4]xf32>", "tensor<4x8xf32>"])
@pytest.mark.parametrize("name", ["tgamma", "erfcinv", "y1", "ilogb", "add_rz", "hypot"])
def test_every_shape_verifies(name, type_):
    number = 2 if name in ("add_rz", "hypot") else 1
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(
            f"func.func @f({', '.join(f'%x{i}: {type_}' for i in range(number))}) {{ return }}"
        )
        block = module.body.operations[0].regions[0].blocks[0]
        with ir.InsertionPoint(block.operations[0]):
            value = LIBRARY[name](*block.arguments, type=block.arguments[0].type)
        module.operation.verify()
        if name == "ilogb":
            assert "i32" in str(value.type)
        else:
            assert value.type == block.arguments[0].type


BESSEL = """
func.func @kernel(%rounds: index, %n: memref<4096xi32>, %x: memref<4096xf64>, %out: memref<4096xf64>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %end = arith.constant 4096 : index
  scf.for %i = %zero to %end step %one {
    %a = memref.load %n[%i] : memref<4096xi32>
    %b = memref.load %x[%i] : memref<4096xf64>
    %r = func.call @NAME(%a, %b) : (i32, f64) -> f64
    memref.store %r, %out[%i] : memref<4096xf64>
  }
  return
}
func.func private @NAME(i32, f64) -> f64
"""


@pytest.mark.parametrize("name", ["jn", "yn"])
def test_bessel_functions_of_integer_order(name):
    function = getattr(mpmath, {"jn": "besselj", "yn": "bessely"}[name])
    rng = np.random.default_rng(0)
    n = rng.integers(-12, 60, 240).astype(np.int32)
    x = np.concatenate([rng.uniform(0, 5, 80), rng.uniform(5, 90, 160)])
    x *= rng.choice([-1, 1], 240) if name == "jn" else 1
    got = math_ulp.Jit(BESSEL.replace("NAME", name), np.float64)(n, x)
    want = np.array([float(function(int(order), v)) for order, v in zip(n, x.tolist(), strict=True)])
    amplitude = np.where(np.abs(x) > np.abs(n), np.sqrt(2 / np.pi / np.abs(x)), 0)
    amplitude = np.where(np.abs(x) < np.abs(n), np.abs(want), np.maximum(np.abs(want), amplitude))
    bound = (np.abs(n) + 6) * 2.0**-52 * np.maximum(amplitude, 1e-300)
    assert np.max(np.abs(got - want) / bound) <= 1


def test_bessel_functions_of_integer_order_at_the_ends():
    n, x = np.meshgrid(np.arange(-3, 4, dtype=np.int32), [0.0, np.inf, np.nan, 1e-300, 1e300])
    n, x = n.ravel(), x.ravel()
    got = math_ulp.Jit(BESSEL.replace("NAME", "jn"), np.float64)(n, x)
    assert np.isnan(got[np.isnan(x)]).all()
    assert (got[x == 0] == (n[x == 0] == 0)).all()
    assert (got[np.isinf(x)] == 0).all()
    assert np.max(np.abs(got[x == 1e300])) < 1e-150
    tiny = x == 1e-300
    np.testing.assert_allclose(
        got[tiny], np.select([n[tiny] == 0, n[tiny] == 1, n[tiny] == -1], [1, 5e-301, -5e-301])
    )
    got = math_ulp.Jit(BESSEL.replace("NAME", "yn"), np.float64)(n, x)
    assert (np.abs(got[x == 0]) == np.inf).all()
