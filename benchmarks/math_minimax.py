"""Finds the polynomials of `lowering/math_to_arith/coefficients.py` and prints that file.

    python benchmarks/math_minimax.py > lowering/math_to_arith/coefficients.py

Weighted Remez exchange at 60 digits.  Coefficients are rounded to their type one after
the other, and those that follow are fitted anew to what is left, as far as `refit` says.
Takes half a minute.
"""

import sys
from collections.abc import Callable

import mpmath as mp
import numpy as np

mp.mp.dps = 60
PRECISIONS = {"f32": np.float32, "fast": np.float32, "f64": np.float64, "mid": np.float64}


def evaluate(coefficients: list, x, first: int = 0):
    """sum(c[i] * x**(first + i))."""
    total = mp.mpf(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total * x**first


def remez(xs: list, values: list, weights: list, first: int, count: int) -> list:
    """Coefficients of x**first .. x**(first + count - 1) with the smallest weighted error on `xs`."""
    last = len(xs) - 1
    extrema = [round(last * (1 - float(mp.cos(mp.pi * i / count))) / 2) for i in range(count + 1)]
    for _ in range(12):
        system = mp.matrix(count + 1, count + 1)
        right = mp.matrix(count + 1, 1)
        for row, at in enumerate(extrema):
            for column in range(count):
                system[row, column] = xs[at] ** (first + column)
            system[row, count] = (-1) ** row / weights[at]
            right[row] = values[at]
        found = list(mp.lu_solve(system, right))[:count]
        errors = [(v - evaluate(found, x, first)) * w for x, v, w in zip(xs, values, weights, strict=True)]
        moved = _alternation(errors, count + 1)
        if len(moved) < count + 1 or moved == extrema:
            break
        extrema = moved
    return found


def _alternation(errors: list, wanted: int) -> list[int]:
    """Where the error is extreme, with alternating signs, thinned out to `wanted` places."""
    places: list[int] = []
    for i, error in enumerate(errors):
        if places and (errors[places[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[places[-1]]):
                places[-1] = i
        else:
            places.append(i)
    while len(places) > wanted:
        size = [abs(errors[i]) for i in places]
        low = size.index(min(size))
        if len(places) == wanted + 1 or low in (0, len(places) - 1):
            places.pop(0 if size[0] < size[-1] else -1)
        else:  # a neighbour goes too, or the signs would no longer alternate
            low -= size[low - 1] < size[low + 1]
            del places[low : low + 2]
    return places


def fit(
    function: Callable,
    weight: Callable,
    interval: tuple,
    count: int,
    variant: str,
    refit: int = 99,
    start: tuple = (),
):
    """`count` rounded coefficients of `function`, and log2 of the largest weighted error.

    refit: how many of them are rounded one by one; the others are rounded together.
    start: coefficients that are given.
    """
    low, high = map(mp.mpf, interval)
    points = 40 * count
    xs = [(low + high - (high - low) * mp.cos(mp.pi * (2 * i + 1) / (2 * points))) / 2 for i in range(points)]
    rest = [function(x) - evaluate(list(start), x) for x in xs]
    weights = [weight(x) for x in xs]
    done = list(start)
    while len(done) < count:
        first = len(done)
        found = remez(xs, rest, weights, first, count - first)
        for c in found[:1] if first < refit else found:
            rounded = PRECISIONS[variant](float(c))
            rest = [r - mp.mpf(float(rounded)) * x ** len(done) for r, x in zip(rest, xs, strict=True)]
            done.append(rounded)
    error = max(abs(r * w) for r, w in zip(rest, weights, strict=True))
    return done, float(mp.log(error, 2))


LN2_HALF = mp.log(2) / 2
ZERO = mp.mpf(10) ** -14  # the formulas are 0/0 at 0 itself
SMALL = mp.mpf(10) ** -6  # and their weights 0
EIGHTH = (mp.pi / 4 * mp.mpf("1.01")) ** 2


def _exp(r):
    return (mp.expm1(r) - r) / r**2


def _erfc(k: float) -> Callable:
    def scaled(t):
        x = k * (1 + t) / (1 - t)
        return mp.exp(x * x) * mp.erfc(x) * (x + k)

    return scaled


def _odd(function: Callable) -> tuple[Callable, Callable]:
    """(f(s)/s - 1) / z with z = s*s, for an odd f, and the weight for errors relative to f."""

    def quotient(z):
        return (function(mp.sqrt(z)) / mp.sqrt(z) - 1) / z

    return quotient, lambda z: z * mp.sqrt(z) / function(mp.sqrt(z))


def _erfc_interval(k: float, high: float) -> tuple:
    return (mp.mpf(0.5) - k) / (0.5 + k), (mp.mpf(high) - k) / (high + k)


def tables():
    """(name, comment, [(variant or None, fit)]) for each table."""
    narrow = (-LN2_HALF * mp.mpf("1.002"), LN2_HALF * mp.mpf("1.002"))
    wide = (-LN2_HALF * mp.mpf("1.001"), LN2_HALF * mp.mpf("1.001"))
    of_exp = _exp, lambda r: r * r / mp.exp(r) + SMALL
    of_expm1 = _exp, lambda r: max(abs(r * r / mp.expm1(r)), SMALL)
    of_exp2 = lambda r: (mp.power(2, r) - 1) / r, lambda r: max(abs(r / mp.power(2, r)), SMALL)
    of_log = lambda f: (mp.log1p(f) - f) / f**2, lambda f: max(abs(f * f / mp.log1p(f)), SMALL)
    of_cos = (
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
        lambda z: z * z / mp.cos(mp.sqrt(z)),
    )
    of_atanh = (
        lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1 - z / 3) / z**2,
        lambda z: z * z,
    )
    of_erf = (
        lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1,
        lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)),
    )
    of_tail = lambda x: -mp.log(mp.erfc(x)), lambda x: mp.erfc(x) / mp.erf(x)
    of_sin, of_atan, of_asin = _odd(mp.sin), _odd(mp.atan), _odd(mp.asin)
    octave = (mp.sqrt(mp.mpf(0.5)) - 1, mp.sqrt(2) - 1)
    half = (mp.mpf("-0.501"), mp.mpf("0.501"))
    eighth = (ZERO, EIGHTH)
    yield "EXP", "(exp(r) - 1 - r) / r**2; errors relative to exp(r).", [
        ("f32", fit(*of_exp, narrow, 5, "f32")),
        ("f64", fit(*of_exp, wide, 11, "f64", 1)),
        ("mid", fit(*of_exp, wide, 6, "mid", 0)),
        ("fast", fit(*of_exp, narrow, 4, "fast")),
    ]  # fmt: skip
    yield "EXPM1", "The same; errors relative to exp(r) - 1.", [
        ("f32", fit(*of_expm1, narrow, 6, "f32")),
        ("f64", fit(*of_expm1, wide, 11, "f64", 3)),
    ]  # fmt: skip
    yield "EXP2", "(2**r - 1) / r; errors relative to 2**r.", [
        ("f32", fit(*of_exp2, half, 6, "f32")),
        ("f64", fit(*of_exp2, half, 11, "f64")),
        ("mid", fit(*of_exp2, half, 7, "mid", 0)),
        ("fast", fit(*of_exp2, half, 5, "fast")),
    ]  # fmt: skip
    yield "LOG", "(log(1 + f) - f) / f**2; errors relative to log(1 + f).", [
        ("f32", fit(*of_log, octave, 10, "f32", start=(-0.5,))),
        ("f64", fit(*of_log, octave, 20, "f64", 3, (-0.5,))),
        ("mid", fit(*of_log, octave, 14, "mid", 0)),
        ("fast", fit(*of_log, octave, 8, "fast")),
    ]  # fmt: skip
    yield "ATANH_TAIL", "(atanh(s) / s - 1 - z/3) / z**2, z = s*s; errors relative to atanh(s).", [
        (None, fit(*of_atanh, (ZERO, mp.mpf("0.0296")), 7, "f64", 0)),
    ]  # fmt: skip
    yield "SIN", "(sin(r) / r - 1) / z, z = r*r; errors relative to sin(r).", [
        (v, fit(*of_sin, eighth, n, v)) for v, n in (("f32", 3), ("f64", 6), ("mid", 4))
    ]  # fmt: skip
    yield "COS", "(cos(r) - 1 + z/2) / z**2, z = r*r; errors relative to cos(r).", [
        (v, fit(*of_cos, eighth, n, v)) for v, n in (("f32", 3), ("f64", 6), ("mid", 4))
    ]  # fmt: skip
    yield "ATAN", "(atan(t) / t - 1) / z, z = t*t; errors relative to atan(t).", [
        ("f32", fit(*of_atan, (ZERO, 1), 9, "f32")),
        ("f64", fit(*of_atan, (ZERO, 1), 21, "f64", 2)),
    ]  # fmt: skip
    yield "ASIN", "(asin(s) / s - 1) / z, z = s*s; errors relative to asin(s).", [
        ("f32", fit(*of_asin, (ZERO, 0.25), 5, "f32")),
        ("f64", fit(*of_asin, (ZERO, 0.25), 12, "f64", 3)),
    ]  # fmt: skip
    yield "ERF", "erf(x) / x - 1 in z = x*x; errors relative to erf(x).", [
        ("f32", fit(*of_erf, (ZERO, 1), 7, "f32")),
        ("f64", fit(*of_erf, (ZERO, 1), 12, "f64", 2)),
        ("mid", fit(*of_erf, (ZERO, mp.mpf("0.26")), 6, "mid", 0)),
        ("fast", fit(*of_erf, (ZERO, 1), 6, "fast")),
    ]  # fmt: skip
    yield "ERF_TAIL", "-log(erfc(x)); errors relative to erf(x).", [
        ("f32", fit(*of_tail, (1, 4), 7, "f32")),
        ("fast", fit(*of_tail, (1, 4), 6, "fast")),
    ]  # fmt: skip
    yield "ERFC", "exp(x*x) * erfc(x) * (x + K), t = (x - K) / (x + K), K = 2.5 (mid) and 3.25 (f64).", [
        (v, fit(f := _erfc(k), lambda t, f=f: 1 / f(t), _erfc_interval(k, high), n, v, 0))
        for v, k, high, n in (("mid", 2.5, 10.5, 11), ("f64", 3.25, 27.5, 22))
    ]  # fmt: skip


HEADER = '''"""Minimax coefficients, lowest order first, as benchmarks/math_minimax.py prints them.

Keys: "f32" and "f64" are for results of that type; "mid" is for f64 arithmetic with an
f32 result; "fast" is for the looser f32 variants.  The largest error on the interval
where the polynomial is used stands beside each.
"""

# fmt: off'''


def print_tables(header: str, tables) -> None:
    """Prints a module with the coefficients of `tables`, as of `tables()`."""
    print(header)
    for name, comment, variants in tables:
        print(f"\n# {comment}")
        nested = variants[0][0] is not None
        if nested:
            print(f"{name} = {{")
        for variant, (coefficients, error) in variants:
            opening = f'    "{variant}": (' if nested else f"{name} = ("
            print(f"{opening}  # 2**{error:.1f}")
            indent = "        " if nested else "    "
            texts = [
                np.format_float_scientific(c, trim="0") if abs(c) < 1e-3 else str(c) for c in coefficients
            ]
            for start in range(0, len(texts), 4):
                print(indent + ", ".join(texts[start : start + 4]) + ",")
            print("    )," if nested else ")")
        if nested:
            print("}")
        sys.stdout.flush()


if __name__ == "__main__":
    print_tables(HEADER, tables())
