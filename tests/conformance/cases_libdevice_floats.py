"""Every function of libdevice on floats, in every type."""

import math
from collections.abc import Callable

import attrs
import mpmath
import numpy as np
import triton
import triton.language as tl
from triton.language.extra.cpu import libdevice

from .arrays import EPS, TINY, Array, given, integers, uniform
from .elementwise import N, elementwise

DTYPES = ("f16", "bf16", "f32", "f64")


@triton.jit
def one(x, out, n, FS: tl.constexpr, BLOCK: tl.constexpr):
    """Row k of out: FS[k] of row k of x."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    for k in tl.static_range(len(FS)):
        at = k * n + i
        tl.store(out + at, FS[k](tl.load(x + at, mask=i < n, other=1.0)), mask=i < n)


@triton.jit
def two(x, y, out, n, FS: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    for k in tl.static_range(len(FS)):
        at = k * n + i
        a = tl.load(x + at, mask=i < n, other=1)
        b = tl.load(y + at, mask=i < n, other=1)
        tl.store(out + at, FS[k](a, b), mask=i < n)


@triton.jit
def three(x, y, z, out, n, FS: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    for k in tl.static_range(len(FS)):
        at = k * n + i
        a = tl.load(x + at, mask=i < n, other=1.0)
        b = tl.load(y + at, mask=i < n, other=1.0)
        c = tl.load(z + at, mask=i < n, other=1.0)
        tl.store(out + at, FS[k](a, b, c), mask=i < n)


@triton.jit
def four(x, y, z, w, out, n, FS: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    for k in tl.static_range(len(FS)):
        at = k * n + i
        a = tl.load(x + at, mask=i < n, other=1.0)
        b = tl.load(y + at, mask=i < n, other=1.0)
        c = tl.load(z + at, mask=i < n, other=1.0)
        d = tl.load(w + at, mask=i < n, other=1.0)
        tl.store(out + at, FS[k](a, b, c, d), mask=i < n)


KERNELS = {1: one, 2: two, 3: three, 4: four}
OPERANDS = ("x", "y", "z", "w")
TOGETHER = 8  # functions in one kernel


def exact(function):
    """`function` of mpmath, or of Python, element by element in 120 bits."""

    def compute(*arrays):
        with mpmath.workprec(120):
            rows = zip(*(a.ravel().tolist() for a in arrays), strict=True)
            return np.array([float(function(*map(mpmath.mpf, row))) for row in rows])

    return compute


def _norm(*x):
    return mpmath.sqrt(sum(v * v for v in x))


def _round_away(x):
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


EVERYWHERE, POSITIVE, UNIT, ABOVE_1 = (-7.5, 7.5), (0.1, 7.5), (-0.97, 0.97), (1.1, 7.5)
MP = mpmath
# name -> (reference, interval of the operands)
UNARY = {
    "abs": (np.abs, EVERYWHERE),
    "acos": (np.arccos, UNIT),
    "acosh": (exact(MP.acosh), ABOVE_1),
    "asin": (np.arcsin, UNIT),
    "asinh": (exact(MP.asinh), EVERYWHERE),
    "atan": (np.arctan, EVERYWHERE),
    "atanh": (exact(MP.atanh), UNIT),
    "cbrt": (np.cbrt, EVERYWHERE),
    "ceil": (np.ceil, EVERYWHERE),
    "cos": (np.cos, EVERYWHERE),
    "cosh": (exact(MP.cosh), EVERYWHERE),
    "cospi": (exact(MP.cospi), EVERYWHERE),
    "cyl_bessel_i0": (exact(lambda x: MP.besseli(0, x)), EVERYWHERE),
    "cyl_bessel_i1": (exact(lambda x: MP.besseli(1, x)), EVERYWHERE),
    "erf": (exact(MP.erf), EVERYWHERE),
    "erfc": (exact(MP.erfc), (-3, 2.5)),
    "erfcinv": (exact(lambda x: MP.erfinv(1 - x)), (0.1, 1.9)),
    "erfcx": (exact(lambda x: MP.exp(x * x) * MP.erfc(x)), (-2, 7.5)),
    "erfinv": (exact(MP.erfinv), UNIT),
    "exp": (exact(MP.exp), EVERYWHERE),
    "exp10": (exact(lambda x: MP.power(10, x)), (-3, 4)),
    "exp2": (exact(lambda x: MP.power(2, x)), EVERYWHERE),
    "expm1": (exact(MP.expm1), EVERYWHERE),
    "floor": (np.floor, EVERYWHERE),
    "gelu_none": (exact(lambda x: x * MP.ncdf(x)), (-3, 7.5)),
    "gelu_tanh": (
        exact(lambda x: x / (1 + MP.exp(-MP.sqrt(8 / MP.pi) * (x + MP.mpf("0.044715") * x**3)))),
        (-3, 7.5),
    ),
    "j0": (exact(lambda x: MP.besselj(0, x)), EVERYWHERE),
    "j1": (exact(lambda x: MP.besselj(1, x)), EVERYWHERE),
    "lgamma": (exact(lambda x: MP.re(MP.loggamma(x))), (-1.9, 7.5)),
    "log": (np.log, POSITIVE),
    "log10": (np.log10, POSITIVE),
    "log1p": (np.log1p, POSITIVE),
    "log2": (exact(lambda x: MP.log(x, 2)), POSITIVE),
    "logb": (lambda x: np.floor(np.log2(np.abs(x))), POSITIVE),
    "nearbyint": (np.rint, EVERYWHERE),
    "normcdf": (exact(MP.ncdf), (-3, 3)),
    "normcdfinv": (exact(lambda x: -MP.sqrt(2) * MP.erfinv(1 - 2 * x)), (0.05, 0.95)),
    "rcbrt": (lambda x: 1 / np.cbrt(x), POSITIVE),
    "rcp_rn": (lambda x: 1 / x, POSITIVE),
    "rint": (np.rint, EVERYWHERE),
    "round": (_round_away, EVERYWHERE),
    "rsqrt": (lambda x: 1 / np.sqrt(x), POSITIVE),
    "silu": (exact(lambda x: x / (1 + MP.exp(-x))), EVERYWHERE),
    "sin": (np.sin, EVERYWHERE),
    "sinh": (exact(MP.sinh), EVERYWHERE),
    "sinpi": (exact(MP.sinpi), EVERYWHERE),
    "sqrt": (np.sqrt, POSITIVE),
    "sqrt_rn": (np.sqrt, POSITIVE),
    "tan": (np.tan, EVERYWHERE),
    "tanh": (exact(MP.tanh), EVERYWHERE),
    "tgamma": (exact(MP.gamma), (0.1, 6)),
    "trunc": (np.trunc, EVERYWHERE),
    "y0": (exact(lambda x: MP.bessely(0, x)), POSITIVE),
    "y1": (exact(lambda x: MP.bessely(1, x)), POSITIVE),
}
# name -> (reference, number of operands)
MORE = {
    "add_rn": (lambda x, y: x + y, 2),
    "atan2": (exact(MP.atan2), 2),
    "copysign": (np.copysign, 2),
    "div_rn": (lambda x, y: x / y, 2),
    "fdim": (lambda x, y: np.maximum(x - y, 0), 2),
    "fma": (exact(lambda x, y, z: x * y + z), 3),
    "fma_rn": (exact(lambda x, y, z: x * y + z), 3),
    "fmod": (np.fmod, 2),
    "hypot": (exact(_norm), 2),
    "mul_rn": (lambda x, y: x * y, 2),
    "norm3d": (exact(_norm), 3),
    "norm4d": (exact(_norm), 4),
    "remainder": (np.vectorize(math.remainder, otypes=[np.float64]), 2),
    "rhypot": (exact(lambda *x: 1 / _norm(*x)), 2),
    "rnorm3d": (exact(lambda *x: 1 / _norm(*x)), 3),
    "rnorm4d": (exact(lambda *x: 1 / _norm(*x)), 4),
    "sub_rn": (lambda x, y: x - y, 2),
}
PREDICATES = {"finitef": np.isfinite, "isfinited": np.isfinite, "isinf": np.isinf, "isnan": np.isnan}
PREDICATES |= {"signbit": np.signbit}
DIRECTED = {
    "add": (lambda x, y: x + y, 2),
    "sub": (lambda x, y: x - y, 2),
    "mul": (lambda x, y: x * y, 2),
    "div": (lambda x, y: x / y, 2),
    "fma": (lambda x, y, z: x * y + z, 3),
    "rcp": (lambda x: 1 / x, 1),
    "sqrt": (MP.sqrt, 1),
}


def _number(x, dtype: str, mode: str) -> float:
    """x, of mpmath, as `dtype` by rounding towards zero (rz), down (rd) or up (ru)."""
    if x == 0:
        return 0.0
    unit = mpmath.mpf(max(2.0 ** (math.frexp(abs(float(x)))[1] - 1), TINY[dtype])) * EPS[dtype]
    towards = {"rz": mpmath.floor if x > 0 else mpmath.ceil, "rd": mpmath.floor, "ru": mpmath.ceil}[mode]
    return float(towards(x / unit) * unit)


def _rounding(function, dtype: str, mode: str):
    return exact(lambda *x: _number(function(*x), dtype, mode))


@attrs.frozen
class Function:
    """name: in libdevice.  reference: of float64 arrays.  operands: dtype -> one row of N for each."""

    name: str
    reference: Callable
    operands: Callable[[str], tuple[Array, ...]]


def _within(*intervals):
    return lambda dtype: tuple(uniform(dtype, N, low=low, high=high) for low, high in intervals)


def _rows(arrays: list[Array]) -> Array:
    """One array with a row from each."""
    dtype = arrays[0].dtype
    return Array(dtype, (len(arrays), N), lambda rng: np.stack([array.values(rng) for array in arrays]))


def _case(functions: list[Function], dtype: str, ulps: float, out: str | None = None, atol: float = 0.0):
    columns = list(zip(*(f.operands(dtype) for f in functions), strict=True))
    names = OPERANDS[: len(columns)]

    def expect(**given):
        return {
            "out": np.stack([f.reference(*(given[x][k] for x in names)) for k, f in enumerate(functions)])
        }

    title = "-".join(dict.fromkeys((functions[0].name, functions[-1].name)))
    return elementwise(
        f"libdevice-{title}-of-{'-'.join(column[0].dtype for column in columns)}",
        KERNELS[len(columns)],
        expect,
        {name: _rows(column) for name, column in zip(names, columns, strict=True)},
        len(functions),
        out or dtype,
        more={"FS": tuple(getattr(libdevice, f.name) for f in functions)},
        ulps=ulps,
        atol=atol,
        interpretable=False,
    )


def _cases(functions: list[Function], ulps: float = 2.0, f64_ulps: float = 4.0, **options) -> list:
    """All of them in every type, some in one kernel.  f64_ulps: NumPy's own errors are among these."""
    return [
        _case(chunk, dtype, f64_ulps if dtype == "f64" else ulps, **options)
        for dtype in DTYPES
        for chunk in (functions[i : i + TOGETHER] for i in range(0, len(functions), TOGETHER))
    ]


DIVISORS = (0.2, 9)  # no zeros
SPECIAL = np.resize([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 1e-8], N)


def _directed_cases(name: str, dtype: str):
    function, count = DIRECTED[name]
    found = [
        Function(f"{name}_{mode}", _rounding(function, dtype, mode), _within(*[DIVISORS] * count))
        for mode in ("rz", "rd", "ru")
    ]
    return _case(found, dtype, 0.0)


def _with_orders(dtype):
    return integers("i32", N, low=-3, high=5), uniform(dtype, N, low=0.1, high=7.5)


def _with_powers(dtype):
    return uniform(dtype, N, low=-7.5, high=7.5), integers("i32", N, low=-5, high=5)


CASES = [
    *_cases([Function(name, f, _within(interval)) for name, (f, interval) in UNARY.items()]),
    *(
        case
        for count in KERNELS
        for case in _cases(
            [Function(name, f, _within(*[DIVISORS] * count)) for name, (f, n) in MORE.items() if n == count]
        )
    ),
    *_cases([Function("pow", exact(MP.power), _within((0.2, 4), (-3, 3)))]),
    *_cases(
        [Function(name, f, lambda dtype: (given(dtype, SPECIAL),)) for name, f in PREDICATES.items()],
        out="i8",
    ),
    *(_directed_cases(name, dtype) for name in DIRECTED for dtype in DTYPES),
    # The error of the recurrences is absolute.
    *_cases(
        [Function("jn", exact(MP.besselj), _with_orders), Function("yn", exact(MP.bessely), _with_orders)],
        f64_ulps=8.0,
        atol=2e-14,
    ),
    *_cases([Function(name, np.ldexp, _with_powers) for name in ("ldexp", "scalbn")], 0.0, 0.0),
    *_cases([Function("pow", exact(MP.power), _with_powers)]),
]
