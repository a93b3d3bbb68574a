"""Finds the polynomials of `lowering/math_to_arith/coefficients_special.py` and prints that file.

    python benchmarks/math_minimax_special.py > lowering/math_to_arith/coefficients_special.py

Chebyshev series at 60 digits: within a small factor of the best, and stable where the functions
are smooth enough for two dozen terms.  Takes half a minute.
"""

from collections.abc import Callable

import mpmath as mp
from math_minimax import evaluate, print_tables

mp.mp.dps = 60
TARGETS = {
    "f64": mp.mpf(2) ** -57,
    "mid": mp.mpf(2) ** -33,
    "double": mp.mpf(2) ** -60,
    "gamma": mp.mpf(2) ** -98,
    "phase": mp.mpf(2) ** -76,
}
DOUBLED = {"double": 4, "phase": 6, "gamma": 14}  # how many coefficients are in two doubles
FAR = mp.mpf(5)  # from here on, J and Y have amplitude and phase
LOW = FAR / 2  # up to here, Y has a logarithm
J_ZEROS = [mp.besseljzero(order, 1) for order in (0, 1)]
Y_ZEROS = [mp.besselyzero(order, 1) for order in (0, 1)]
Y0_SECOND = mp.besselyzero(0, 2)
TINY = mp.mpf(10) ** -20
NODES = 48  # more than a table of doubles needs


def approximate(
    function: Callable, interval: tuple, variant: str, weight: Callable | None = None, nodes: int = NODES
):
    """Rounded coefficients whose error is small relative to `function`, or by `weight`, and its log2.

    The Chebyshev series up to where the rest is below the target, in powers of the variable; not
    rounded for a variant of DOUBLED.
    """
    low, high = map(mp.mpf, interval)
    weight = weight or (lambda x: 1 / abs(function(x)))
    angles = [mp.pi * (k + mp.mpf(0.5)) / nodes for k in range(nodes)]
    points = [(low + high + (high - low) * mp.cos(a)) / 2 for a in angles]
    values = [function(x) for x in points]
    series = [
        2 * sum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) / nodes for j in range(nodes)
    ]
    series[0] /= 2
    heaviest = max(weight(x) for x in points)
    count = nodes
    while sum(abs(c) for c in series[count - 1 :]) * heaviest < TARGETS[variant]:
        count -= 1
    rounded = _powers(series[:count], 2 / (high - low), -(high + low) / (high - low))
    if variant not in DOUBLED:
        rounded = [float(c) for c in rounded]
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


def _near_j(order: int) -> Callable:
    """J / x**order without its zero in t = FAR**2 - x**2."""

    def function(t):
        x = mp.sqrt(FAR**2 - t)
        return mp.besselj(order, x) / x**order / (x * x - J_ZEROS[order] ** 2)

    return function


def _near_y(order: int) -> Callable:
    """What the logarithm leaves of Y, without the zero, in t = 1 - (x / LOW)**2."""
    zero = Y_ZEROS[order]

    def function(t):
        x = LOW * mp.sqrt(1 - t)
        rest = mp.bessely(order, x) - 2 / mp.pi * mp.log(x / zero) * mp.besselj(order, x)
        return rest * x**order / (x * x - zero * zero)

    return function


def _middle_y0(t):
    x = (3 + t) * LOW / 2
    return mp.bessely(0, x) / (x - Y0_SECOND)


def _middle_y1(t):
    return mp.bessely(1, (3 + t) * LOW / 2)


def _amplitude(order: int) -> Callable:
    def function(u):
        x = FAR / mp.sqrt(u)
        return mp.sqrt(x) * abs(mp.mpc(mp.besselj(order, x), mp.bessely(order, x)))

    return function


def _phase(order: int) -> Callable:
    """(theta(x) - x + (2 order + 1) pi / 4) * x / FAR, J + iY = amplitude * e**(i theta)."""

    def function(t):
        x = FAR / mp.sqrt((t + 1) / 2)
        turned = mp.mpc(mp.besselj(order, x), mp.bessely(order, x)) * mp.expj(
            -x + (2 * order + 1) * mp.pi / 4
        )
        return mp.arg(turned) * x / FAR

    return function


def _doubled(name: str, comment: str, variant: str, coefficients: list, error: float):
    """The tables of a polynomial whose first coefficients are in two doubles."""
    yield name, comment, [(None, ([float(c) for c in coefficients], error))]
    low = [float(c - mp.mpf(float(c))) for c in coefficients[: DOUBLED[variant]]]
    yield f"{name}_LOW", "The second doubles of the first of these.", [(None, (low, error))]


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
    fit = approximate(lambda t: mp.rgamma(t + mp.mpf(1.5)), (mp.mpf(-0.5), mp.mpf(0.5)), "gamma")
    yield from _doubled("RGAMMA", "1 / gamma(x), t = x - 1.5; relative errors.", "gamma", *fit)
    near = (TINY, 1 - TINY)
    for order in (0, 1):
        comment = f"J{order}(x) / x**{order} / (x*x - z*z), z its lowest zero, t = 25 - x*x; relative errors."
        interval = TINY, FAR**2 - TINY
        yield from _doubled(f"J{order}", comment, "double", *approximate(_near_j(order), interval, "double"))
    for order in (0, 1):
        comment = (
            f"(Y{order}(x) - 2/pi * log(x/z) * J{order}(x)) * x**{order} / (x*x - z*z), "
            "t = 1 - (x/2.5)**2; relative errors."
        )
        yield f"Y{order}", comment, [(None, approximate(_near_y(order), near, "f64"))]
    yield "Y0_MIDDLE", "Y0(x) / (x - z), z its second zero, x = 3.75 + 1.25 t; relative errors.", [
        (None, approximate(_middle_y0, (-1, 1), "f64"))
    ]  # fmt: skip
    yield "Y1_MIDDLE", "Y1(x), x = 3.75 + 1.25 t; relative errors.", [
        (None, approximate(_middle_y1, (-1, 1), "f64"))
    ]  # fmt: skip
    far = (mp.mpf(10) ** -6, 1)
    for order in (0, 1):
        yield f"AMPLITUDE{order}", f"sqrt(x * (J{order}**2 + Y{order}**2)) in (5/x)**2; relative errors.", [
            (None, approximate(_amplitude(order), far, "f64"))
        ]  # fmt: skip
        comment = (
            f"The phase of J{order} + i Y{order} beyond x - {2 * order + 1}/4 pi, times x/5, "
            "t = 2 (5/x)**2 - 1; absolute errors."
        )
        interval = -1 + far[0], 1
        fit = approximate(_phase(order), interval, "phase", lambda _: mp.mpf(1), 84)
        yield from _doubled(f"PHASE{order}", comment, "phase", *fit)
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
