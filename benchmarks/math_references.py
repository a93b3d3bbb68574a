"""References for elementary and special functions, arguments to test them on, and their errors in ULP."""

import functools
import math
from collections.abc import Callable

import mpmath
import numpy as np

DTYPES = {"f32": np.float32, "f64": np.float64}
INF, NAN = math.inf, math.nan
OVERFLOW = "1e400"  # what mpmath says for a result beyond f64's range


def _edges(
    at: dict, low: float = -INF, high: float = INF, whole: Callable[[float], float] | None = None
) -> Callable:
    """Values where they are special, 1 elsewhere.

    at: argument -> value, or function of the argument.  Outside of low..high: NaN.  whole: for integers.
    """

    def value(x: float) -> float:
        if math.isnan(x) or not low <= x <= high:
            return NAN
        found = at.get(x)
        if found is None and math.isinf(x):
            return NAN
        if found is None and whole and x == int(x):
            found = whole
        return 1.0 if found is None else found(x) if callable(found) else found

    return np.vectorize(value, otypes=[np.float64])


def _zero(x: float) -> float:
    return math.copysign(0.0, x)


def _infinity(x: float) -> float:
    return math.copysign(INF, x)


def _norm(x) -> mpmath.mpf:
    return mpmath.sqrt(sum(v * v for v in x))


def _norm_f64(x) -> np.ndarray:
    return functools.reduce(np.hypot, x)


def _erfcx(x):
    if x > 1e5:
        return (1 - 1 / (2 * x * x)) / (x * mpmath.sqrt(mpmath.pi))
    return mpmath.exp(x * x) * mpmath.erfc(x) if x > -30 else mpmath.mpf(OVERFLOW)


def _erfcinv(q):
    """Newton's method on the logarithm of erfc."""
    if q > 1:
        return -_erfcinv(2 - q)
    log = mpmath.log(q)
    y = mpmath.sqrt(-log) if q < 0.1 else mpmath.erfinv(1 - q)
    for _ in range(20):
        step = (mpmath.log(mpmath.erfc(y)) - log) * mpmath.erfc(y) * mpmath.exp(y * y)
        y += step * mpmath.sqrt(mpmath.pi) / 2
        if abs(step) < mpmath.mpf(2) ** -120 * y:
            break
    return y


def _erfinv(x):
    return mpmath.erfinv(x) if abs(x) < 0.5 else mpmath.sign(x) * _erfcinv(1 - abs(x))


def _normcdf(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2 if abs(x) < 1e3 else mpmath.mpf(1 if x > 0 else "1e-400")


def _below(x):
    """What silu and gelu are where mpmath would be slow: nothing, from below."""
    return mpmath.mpf("-1e-400") if x < -1e3 else None


def _gelu_tanh(x):
    return x / (1 + mpmath.exp(-mpmath.sqrt(8 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)))


def _gamma(x):
    if x < -250:
        return mpmath.mpf(("" if mpmath.floor(x) % 2 == 0 else "-") + "1e-400")
    return mpmath.gamma(x) if x < 200 else mpmath.mpf(OVERFLOW)


def _besseli(order, x):
    return mpmath.besseli(order, x) if abs(x) < 720 else mpmath.sign(x) ** order * mpmath.mpf(OVERFLOW)


def _c(function: Callable) -> Callable:
    """`function` of Python's math module on arrays of f64."""
    return np.vectorize(function, otypes=[np.float64])


# name -> (reference in f64 for f32, reference in mpmath, NumPy's own function or None)
FUNCTIONS: dict[str, tuple[Callable | None, Callable, Callable | None]] = {
    "exp": (np.exp, mpmath.exp, np.exp),
    "exp2": (np.exp2, lambda x: mpmath.power(2, x), np.exp2),
    "expm1": (np.expm1, mpmath.expm1, np.expm1),
    "log": (np.log, mpmath.log, np.log),
    "log2": (np.log2, lambda x: mpmath.log(x) / mpmath.log(2), np.log2),
    "log10": (np.log10, mpmath.log10, np.log10),
    "log1p": (np.log1p, mpmath.log1p, np.log1p),
    "sin": (np.sin, mpmath.sin, np.sin),
    "cos": (np.cos, mpmath.cos, np.cos),
    "tan": (np.tan, mpmath.tan, np.tan),
    "asin": (np.arcsin, mpmath.asin, np.arcsin),
    "acos": (np.arccos, mpmath.acos, np.arccos),
    "atan": (np.arctan, mpmath.atan, np.arctan),
    "sinh": (np.sinh, mpmath.sinh, np.sinh),
    "cosh": (np.cosh, mpmath.cosh, np.cosh),
    "tanh": (np.tanh, mpmath.tanh, np.tanh),
    "asinh": (np.arcsinh, mpmath.asinh, np.arcsinh),
    "acosh": (np.arccosh, mpmath.acosh, np.arccosh),
    "atanh": (np.arctanh, mpmath.atanh, np.arctanh),
    "erf": (_c(math.erf), mpmath.erf, None),
    "erfc": (_c(math.erfc), mpmath.erfc, None),
    "cbrt": (np.cbrt, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), np.cbrt),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda x: 1 / mpmath.sqrt(x), lambda x: 1 / np.sqrt(x)),
    "powf": (np.power, mpmath.power, np.power),
    "atan2": (np.arctan2, mpmath.atan2, np.arctan2),
    "hypot": (np.hypot, lambda *x: _norm(x), np.hypot),
    "rhypot": (lambda *x: 1 / np.hypot(*x), lambda *x: 1 / _norm(x), None),
    **{f"norm{n}d": (lambda *x: _norm_f64(x), lambda *x: _norm(x), None) for n in (3, 4)},
    **{f"rnorm{n}d": (lambda *x: 1 / _norm_f64(x), lambda *x: 1 / _norm(x), None) for n in (3, 4)},
    "exp10": (lambda x: np.power(10.0, x), lambda x: mpmath.power(10, x), None),
}
# The same for functions that NumPy lacks: what stands first gives the values where mpmath is of no use.
SPECIAL = {
    "rcbrt": (
        _edges({0: _infinity, INF: _zero, -INF: _zero}), lambda x: mpmath.sign(x) / mpmath.cbrt(abs(x)), None,
    ),
    "sinpi": (_edges({0: _zero}, whole=_zero), mpmath.sinpi, None),
    "cospi": (_edges({0: 1.0}), mpmath.cospi, None),
    "erfcx": (_edges({0: 1.0, INF: 0.0, -INF: INF}), _erfcx, None),
    "normcdf": (_edges({0: 0.5, INF: 1.0, -INF: 0.0}), _normcdf, None),
    "erfinv": (_edges({0: _zero, 1: INF, -1: -INF}, -1, 1), _erfinv, None),
    "erfcinv": (_edges({0: INF, 1: 0.0, 2: -INF}, 0, 2), _erfcinv, None),
    "normcdfinv": (
        _edges({0: -INF, 0.5: 0.0, 1: INF}, 0, 1), lambda x: -mpmath.sqrt(2) * _erfcinv(2 * x), None,
    ),
    "tgamma": (_edges({0: _infinity, INF: INF}, whole=lambda x: 1.0 if x > 0 else NAN), _gamma, None),
    "lgamma": (
        _edges({0: INF, 1: 0.0, 2: 0.0, INF: INF, -INF: INF}, whole=lambda x: 1.0 if x > 0 else INF),
        lambda x: mpmath.re(mpmath.loggamma(x)),
        None,
    ),
    "j0": (_edges({0: 1.0, INF: 0.0, -INF: 0.0}), lambda x: mpmath.besselj(0, x), None),
    "j1": (_edges({0: _zero, INF: 0.0, -INF: -0.0}), lambda x: mpmath.besselj(1, x), None),
    "y0": (_edges({0: -INF, INF: 0.0}, 0), lambda x: mpmath.bessely(0, x), None),
    "y1": (_edges({0: -INF, INF: 0.0}, 0), lambda x: mpmath.bessely(1, x), None),
    "silu": (_edges({0: _zero, INF: INF, -INF: -0.0}), lambda x: _below(x) or x / (1 + mpmath.exp(-x)), None),
    "gelu_tanh": (_edges({0: _zero, INF: INF, -INF: -0.0}), lambda x: _below(x) or _gelu_tanh(x), None),
    "gelu_none": (_edges({0: _zero, INF: INF, -INF: -0.0}), lambda x: _below(x) or x * _normcdf(x), None),
    "cyl_bessel_i0": (_edges({0: 1.0, INF: INF, -INF: INF}), lambda x: _besseli(0, x), None),
    "cyl_bessel_i1": (_edges({0: _zero, INF: INF, -INF: -INF}), lambda x: _besseli(1, x), None),
}  # fmt: skip
FUNCTIONS |= SPECIAL
# Where most of the samples lie; the rest are spread over all bit patterns.
RANGES = {
    "exp": (-104, 89), "exp2": (-151, 129), "expm1": (-20, 89), "sin": (-40, 40), "cos": (-40, 40),
    "tan": (-40, 40), "asin": (-1, 1), "acos": (-1, 1), "atan": (-5, 5), "sinh": (-90, 90), "cosh": (-90, 90),
    "tanh": (-10, 10),
    "asinh": (-5, 5), "acosh": (1, 5), "atanh": (-1, 1), "erf": (-4, 4), "erfc": (-4, 10.5), "cbrt": (-8, 8),
    "log1p": (-1, 3), "powf": (0, 4), "atan2": (-3, 3), "exp10": (-45, 38.6), "rcbrt": (-8, 8),
    "sinpi": (-10, 10), "cospi": (-10, 10), "erfcx": (-9, 30), "normcdf": (-14, 6), "erfinv": (-1, 1),
    "erfcinv": (0, 2), "normcdfinv": (0, 1), "tgamma": (-20, 25), "lgamma": (-8, 20), "j0": (-20, 20),
    "j1": (-20, 20), "y0": (0, 20), "y1": (0, 20), "cyl_bessel_i0": (-90, 90), "cyl_bessel_i1": (-90, 90),
    "silu": (-110, 20), "gelu_tanh": (-13, 6), "gelu_none": (-14, 6),
}  # fmt: skip


# Fast variant -> its bound in ULP, and where it holds.
FAST_BOUNDS = {
    "exp": (4.0, -86.0, 89.0),
    "exp2": (3.0, -124.0, 129.0),
    "log": (4.0, 1e-3, 1e3),
    "log2": (4.0, 1e-3, 1e3),
    "sin": (2.0, -1000.0, 1000.0),
    "cos": (2.0, -1000.0, 1000.0),
    "tanh": (4.0, -20.0, 20.0),
    "erf": (4.0, -6.0, 6.0),
}
# Functions of more than one operand.
OPERANDS = {"powf": 2, "atan2": 2, "ipowi": 2}
OPERANDS |= {"hypot": 2, "rhypot": 2, "norm3d": 3, "rnorm3d": 3, "norm4d": 4, "rnorm4d": 4}


def samples(name: str, dtype: type, count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """`count` arguments each: specials, numbers from the interesting range, and random bit patterns."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    integers = np.uint32 if dtype is np.float32 else np.uint64
    specials = [
        0.0,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        10.0,
        math.pi,
        math.e,
        info.tiny,
        info.smallest_subnormal,
        info.max,
    ]
    specials += [
        info.tiny * (1 - info.eps),
        1 - info.epsneg,
        1 + info.eps,
        np.inf,
        np.nan,
        math.sqrt(0.5),
        math.sqrt(2),
    ]
    specials += [
        math.log(info.max),
        -math.log(info.tiny),
        -math.log(info.smallest_subnormal),
        *np.arange(1, 50) * math.pi / 2,
    ]
    specials += [
        math.log2(info.max),
        -math.log2(info.tiny),
        88.72284,
        89.41599,
        710.47586,
        1024.0,
        128.0,
        2.0**30,
        2.0**84,
    ]
    specials += [
        16367173 * 2.0**72,
        6381956970095103 * 2.0**797,
    ]  # nearest to multiples of pi/2, in f32 and f64
    with np.errstate(over="ignore"):
        one_sided = np.array(specials).astype(dtype)
    fixed = np.concatenate([one_sided, -one_sided])
    low, high = RANGES.get(name, (0, 10))
    if dtype is np.float64 and abs(high) > 50:
        low, high = low * 8, high * 8

    def column() -> np.ndarray:
        bits = rng.integers(0, np.iinfo(integers).max, count, dtype=integers, endpoint=True).view(dtype)
        near = rng.uniform(low, high, count).astype(dtype)
        small = (rng.uniform(-1, 1, count) * 2.0 ** rng.uniform(-20, 0, count)).astype(dtype)
        return np.choose(rng.integers(0, 4, count), [near, near, small, bits])

    x = column()
    operands = OPERANDS.get(name, 1)
    if operands == 1:
        n = min(fixed.size, count)
        x[:n] = fixed[:n]
        return (x,)
    y = column()
    if name == "powf":
        y = np.where(
            rng.random(count) < 0.5, rng.uniform(-60, 60, count), rng.integers(-30, 31, count)
        ).astype(dtype)
    pairs = np.array(np.meshgrid(fixed[:19], fixed[:19])).reshape(2, -1)
    signs = rng.choice(np.array([-1, 1], dtype), pairs.shape)
    n = min(pairs.shape[1], count)
    x[:n], y[:n] = (pairs * signs)[:, :n]
    return x, y, *(column() for _ in range(operands - 2))


def reference(name: str, arrays: tuple[np.ndarray, ...], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """The function's values in f64, as a sum of two; specials by NumPy, which follows IEEE 754."""
    in_f64, in_mp, _ = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        wide = [x.astype(np.float64) for x in arrays]
        high = np.array(in_f64(*wide))
    low = np.zeros_like(high)
    if dtype is np.float32 and name not in SPECIAL:
        return high, low
    with mpmath.workprec(200):
        ordinary = (np.isfinite(high) & (high != 0)) if name not in SPECIAL else high == 1
        for x in wide:
            ordinary &= np.isfinite(x) & (x != 0)  # mpmath has no signed zeros
        for i in np.flatnonzero(ordinary):
            exact = mpmath.mpf(in_mp(*(mpmath.mpf(float(x[i])) for x in wide)))
            high[i] = float(exact)
            low[i] = float(exact - mpmath.mpf(high[i])) if math.isfinite(high[i]) else 0.0
    return high, low


def ulp_errors(got: np.ndarray, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """|got - (high + low)| in ULP; infinite where NaN, infinity or the sign of a zero is wrong."""
    info = np.finfo(got.dtype)
    limit = 2.0 ** (info.maxexp - 1) * 2.0 if info.maxexp < 1024 else info.max
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(high)
        ulp = np.ldexp(1.0, np.maximum(exponent, info.minexp + 1) - info.nmant - 1)
        wide = np.clip(
            got.astype(np.float64), -limit, limit
        )  # the step from the largest number to infinity is one ULP
        error = np.abs((wide - np.clip(high, -limit, limit)) - low) / ulp
        rounded = high.astype(got.dtype)
    error[np.isnan(high) != np.isnan(got)] = np.inf
    error[np.isnan(high) & np.isnan(got)] = 0
    error[(high == 0) & (got == 0) & (np.signbit(high) != np.signbit(got))] = np.inf
    error[np.isinf(high) & (got != rounded)] = np.inf
    error[np.isinf(got) & ~np.isinf(rounded) & (np.abs(rounded) < info.max)] = np.inf
    return error
