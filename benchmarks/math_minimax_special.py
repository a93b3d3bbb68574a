"""Finds the polynomials of `lowering/math_to_arith/coefficients_special.py` and prints that file.

    python benchmarks/math_minimax_special.py > lowering/math_to_arith/coefficients_special.py

Chebyshev series at 60 digits: within a small factor of the best, and stable where the functions
are smooth enough for two dozen terms.  Takes half a minute.
"""

from collections.abc import Callable

import mpmath as mp
from math_minimax import evaluate, print_tables

mp.mp.dps = 60
TARGETS = {"f64": mp.mpf(2) ** -57, "mid": mp.mpf(2) ** -33}
J0_ZEROS = [mp.besseljzero(0, i) for i in (1, 2)]
J1_ZEROS = [mp.besseljzero(1, i) for i in (1, 2)]
TINY = mp.mpf(10) ** -20
NODES = 48  # more than any table needs


def approximate(function: Callable, interval: tuple, variant: str, weight: Callable | None = None):
    """Rounded coefficients whose error is small relative to `function`, or by `weight`, and its log2.

    The Chebyshev series up to where the rest is below the target, in powers of the variable.
    """
    low, high = map(mp.mpf, interval)
    weight = weight or (lambda x: 1 / abs(function(x)))
    angles = [mp.pi * (k + mp.mpf(0.5)) / NODES for k in range(NODES)]
    points = [(low + high + (high - low) * mp.cos(a)) / 2 for a in angles]
    values = [function(x) for x in points]
    series = [
        2 * sum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) / NODES for j in range(NODES)
    ]
    series[0] /= 2
    heaviest = max(weight(x) for x in points)
    count = NODES
    while sum(abs(c) for c in series[count - 1 :]) * heaviest < TARGETS[variant]:
        count -= 1
    rounded = [float(c) for c in _powers(series[:count], 2 / (high - low), -(high + low) / (high - low))]
    errors = (abs(v - evaluate(rounded, x)) * weight(x) for x, v in zip(points, values, strict=True))
    return rounded, float(mp.log(max(errors), 2))


def _powers(series: list, slope, offset) -> list:
    """The coefficients in powers of x of a Chebyshev series in slope * x + offset."""

    def times_argument(p: list) -> list:
        return [offset * a + slope * b for a, b in zip([*p, mp.mpf(0)], [mp.mpf(0), *p], strict=True)]

    before, now = [mp.mpf(1)], times_argument([mp.mpf(1)])
    total = [mp.mpf(0)] * len(series)
    for c in series:
        for i, a in enumerate(before):
            total[i] += c * a
        padded = before + [mp.mpf(0)] * (len(now) + 1 - len(before))
        before, now = now, [2 * a - b for a, b in zip(times_argument(now), padded, strict=True)]
    return total


def mapped(function: Callable, k) -> Callable:
    """`function` of x in the variable t = (x - K) / (x + K)."""
    return lambda t: function(k * (1 + t) / (1 - t))


def between(low, high, k) -> tuple:
    low, high, k = mp.mpf(low), mp.mpf(high), mp.mpf(k)
    return (low - k) / (low + k), (high - k) / (high + k)


def erfcinv(q):
    """The inverse of erfc, by Newton's method on its logarithm."""
    log = mp.log(q)
    y = mp.sqrt(-log) if q < 0.1 else mp.erfinv(1 - q)
    for _ in range(80):
        step = (mp.log(mp.erfc(y)) - log) * mp.erfc(y) * mp.exp(y * y) * mp.sqrt(mp.pi) / 2
        y += step
        if abs(step) < mp.mpf(10) ** -45:
            break
    return y


def _erfinv(z):
    return mp.erfinv(mp.sqrt(z)) / mp.sqrt(z)


def _erfcinv(s):
    return erfcinv(mp.exp(-s * s)) / s


def _lgamma(x):
    return mp.loggamma(x) / ((x - 1) * (x - 2))


def _stirling(v):
    x = 1 / mp.sqrt(v)
    return (mp.loggamma(x) - (x - mp.mpf(0.5)) * mp.log(x) + x - mp.log(2 * mp.pi) / 2) * x


def _without_zeros(order: int, zeros: list) -> Callable:
    def function(t):
        x = mp.sqrt(64 * (1 - t))
        value = mp.besselj(order, x) / x**order
        for zero in zeros:
            value /= x * x - zero**2
        return value

    return function


def _y0(t):
    x = mp.sqrt(32 * (1 + t))
    return mp.bessely(0, x) - 2 / mp.pi * mp.log(x) * mp.besselj(0, x)


def _y1(t):
    x = mp.sqrt(32 * (1 + t))
    return (mp.bessely(1, x) - 2 / mp.pi * (mp.log(x) * mp.besselj(1, x) - 1 / x)) / x


def _amplitudes(order: int, which: int) -> Callable:
    """P, or Q * x, of Hankel's expansion, in u = 64 / x**2."""

    def function(u):
        x = 8 / mp.sqrt(u)
        chi = x - (2 * order + 1) * mp.pi / 4
        j, y = (f(order, x) * mp.sqrt(mp.pi * x / 2) for f in (mp.besselj, mp.bessely))
        if which == 0:
            return j * mp.cos(chi) + y * mp.sin(chi)
        return (y * mp.cos(chi) - j * mp.sin(chi)) * x

    return function


def tables():
    """(name, comment, [(variant or None, fit)]) for each table."""
    edge = mp.mpf(0.6875)  # between the two forms of erfinv
    first = mp.sqrt(-mp.log(1 - edge))
    yield "ERFINV", "erfinv(x) / x in z = x*x; relative errors.", [
        (v, approximate(_erfinv, (TINY, edge**2), v)) for v in ("f64", "mid")
    ]  # fmt: skip
    yield "ERFCINV", "erfcinv(q) / s, s = sqrt(-log(q)), t = (s - K) / (s + K), K = 4 and 3; relative.", [
        (v, approximate(mapped(_erfcinv, k), between(first, high, k), v))
        for v, k, high in (("f64", mp.mpf(4), 27.4), ("mid", mp.mpf(3), 10.3))
    ]  # fmt: skip
    yield "LGAMMA", "log(gamma(x)) / ((x - 1)(x - 2)), t = (x - 1.25) / (x + 1.25); relative errors.", [
        (None, approximate(mapped(_lgamma, mp.mpf(1.25)), between(0.5, 3, 1.25), "f64")),
    ]  # fmt: skip
    yield "STIRLING", "The rest of Stirling's series times x, in 1 / x**2 for x >= 3; absolute errors.", [
        (v, approximate(_stirling, (mp.mpf(10) ** -10, mp.mpf(1) / 9), v, lambda _: mp.mpf(1)))
        for v in ("f64", "mid")
    ]  # fmt: skip
    near = (TINY, 1 - TINY)
    for order, zeros in enumerate((J0_ZEROS, J1_ZEROS)):
        comment = f"J{order}(x) / x**{order} without its two lowest zeros, t = 1 - x*x/64; relative errors."
        yield f"J{order}", comment, [(None, approximate(_without_zeros(order, zeros), near, "f64"))]
    for order, function in enumerate((_y0, _y1)):
        comment = f"Y{order}(x) less log and pole, over x**{order}, t = x*x/32 - 1; absolute errors."
        yield f"Y{order}", comment, [
            (None, approximate(function, (-1 + TINY, 1), "f64", lambda _: mp.mpf(1)))
        ]  # fmt: skip
    for order in (0, 1):
        for which, letter in enumerate("PQ"):
            comment = f"Hankel's {letter}{order}{' * x' * which} in 64 / x**2, x >= 8; relative errors."
            yield f"{letter}{order}", comment, [
                (None, approximate(_amplitudes(order, which), (mp.mpf(10) ** -7, 1), "f64"))
            ]  # fmt: skip
    for order in (0, 1):

        def inside(z, n=order):
            return mp.besseli(n, mp.sqrt(z)) / mp.sqrt(z) ** n

        def outside(v, n=order):
            x = 16 / (1 + v)
            return mp.besseli(n, x) * mp.exp(-x) * mp.sqrt(x)

        yield f"I{order}", f"I{order}(x) / x**{order} in x*x, x <= 8; relative errors.", [
            (v, approximate(inside, (TINY, 64), v)) for v in ("f64", "mid")
        ]  # fmt: skip
        yield f"I{order}_FAR", f"I{order}(x) * sqrt(x) * exp(-x) in 16 / x - 1, x >= 8; relative errors.", [
            ("f64", approximate(outside, (mp.mpf("-0.978"), 1), "f64")),
            ("mid", approximate(outside, (mp.mpf("-0.84"), 1), "mid")),
        ]  # fmt: skip


HEADER = '''"""Minimax coefficients of special functions, as benchmarks/math_minimax_special.py prints them.

Lowest order first.  Keys: "f64" and "mid" (f64 arithmetic with an f32 result); a table without
keys serves both.  The largest error stands beside each.
"""

# fmt: off'''

if __name__ == "__main__":
    print_tables(HEADER, tables())
