"""exp, exp2, expm1, sinh, cosh, tanh: x = n*ln2 + r with |r| <= ln2/2, a polynomial in r, times 2**n."""

from vertebra.lowering.math_to_arith.coefficients import EXP, EXP2, EXPM1
from vertebra.lowering.math_to_arith.emit import (
    Expr,
    horner,
    power_of_two,
    round_product,
    round_to_int,
    scale,
    select,
    two_sum,
)

LOG2E = 1.4426950408889634
# ln 2 in two parts.  n * HI is exact inside a fused multiply-add, and so is x - n * HI.
LN2 = {
    "f32": (0.6931471824645996, -1.904654299957768e-09),
    "f64": (0.6931471805599453, 2.3190468138462996e-17),
}
# Beyond these exp is 0 or infinite, and the exponents of `scale` still fit.
EXP_RANGE = {"f32": (-104.0, 89.0), "f64": (-746.0, 710.0)}
EXP2_RANGE = {"f32": (-151.0, 129.0), "f64": (-1076.0, 1025.0)}
# Beyond these expm1 is -1, or infinite.
EXPM1_RANGE = {"f32": (-20.0, 89.0), "f64": (-40.0, 710.0)}
# tanh is 1 where 2|x| is beyond these.
TANH_LIMIT = {"f32": 20.0, "f64": 44.0}
# Above these sinh and cosh are infinite, and 2**(n - 2) still is not.
SINH_LIMIT = {"f32": 89.6, "f64": 710.6}


def reduce(x: Expr) -> tuple[Expr, Expr]:
    """r and the integer n, with x = n*ln2 + r and |r| <= ln2/2."""
    high, low = LN2[x.kind.name]
    k, n = round_product(x, LOG2E)
    return k.fma(-low, k.fma(-high, x)), n


def exp_parts(x: Expr, coefficients: tuple[float, ...], low: Expr | None = None) -> tuple[Expr, Expr]:
    """p and n with exp(x + low) = p * 2**n and p between 0.7 and 1.42, for a small `low`."""
    r, n = reduce(x)
    if low is not None:
        r = r + low
    return r.fma(r.fma(horner(r, coefficients), 1.0), 1.0), n


def exp(x: Expr) -> Expr:
    """f32: 1 ULP, f64: 1 ULP."""
    low, high = EXP_RANGE[x.kind.name]
    return scale(*exp_parts(x.at_least(low).at_most(high), EXP[x.kind.name]))


def exp_fast(x: Expr) -> Expr:
    """f32: 4 ULP; below 2**-125 the result is 0."""
    p, n = exp_parts(x, EXP["fast"])
    result = p * power_of_two(n - 1) * 2.0
    return select(x < -86.6, 0.0, select(x > 88.72283, float("inf"), result))


def exp2_parts(x: Expr, coefficients: tuple[float, ...]) -> tuple[Expr, Expr]:
    """p and n with 2**x = p * 2**n and p between 0.7 and 1.42."""
    k, n = round_to_int(x)
    r = x - k
    return r.fma(horner(r, coefficients), 1.0), n


def exp2(x: Expr) -> Expr:
    """f32: 1 ULP, f64: 1 ULP."""
    low, high = EXP2_RANGE[x.kind.name]
    return scale(*exp2_parts(x.at_least(low).at_most(high), EXP2[x.kind.name]))


def exp2_fast(x: Expr) -> Expr:
    """f32: 4 ULP; below 2**-125 the result is 0."""
    p, n = exp2_parts(x, EXP2["fast"])
    result = p * power_of_two(n - 1) * 2.0
    return select(x < -125.0, 0.0, select(x >= 128.0, float("inf"), result))


def _expm1_parts(x: Expr, coefficients: tuple[float, ...]) -> tuple[Expr, Expr]:
    """q = exp(r) - 1, and n."""
    r, n = reduce(x)
    return (r * r).fma(horner(r, coefficients), r), n


def expm1(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 2 ULP."""
    low, high = EXPM1_RANGE[x.kind.name]
    q, n = _expm1_parts(x.at_least(low).at_most(high), EXPM1[x.kind.name])
    half = power_of_two(n - 1)  # 2**n itself may be out of range
    result = q.fma(half, half - 0.5) * 2.0
    return result.copysign(x)  # for -0


def _expm1_twice(a: Expr, coefficients: tuple[float, ...]) -> Expr:
    """expm1(2a) for a >= 0, large enough for tanh where that is 1."""
    q, n = _expm1_parts((a + a).at_most(TANH_LIMIT[a.kind.name]), coefficients)
    power = power_of_two(n)
    return q.fma(power, power - 1.0)


def tanh(x: Expr) -> Expr:
    """t / (t + 2) with t = expm1(2|x|).  f32: 2 ULP, f64: 2 ULP."""
    t = _expm1_twice(x.abs(), EXPM1[x.kind.name])
    divisor, lost = two_sum(t, t.const(2.0))
    y = t / divisor
    # The rounding error of the divisor matters; the divisor's reciprocal is (1 - y) / 2.
    return y.fma(-(lost * y.fma(-0.5, 0.5)), y).copysign(x)


def tanh_fast(x: Expr) -> Expr:
    """f32: 4 ULP."""
    t = _expm1_twice(x.abs(), EXP["f32"])
    return (t / (t + 2.0)).copysign(x)


def _sinh_parts(x: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    """cosh(r) - 1, sinh(r), 2**n / 4 and 2**-n / 4, of |x| = n*ln2 + r.

    exp(r) is even + odd powers of r, and so exp(-r) is even - odd.  Both functions follow
    without a division and, because n is 0 where |x| is small, without cancellation.
    """
    name = x.kind.name
    r, n = reduce(x.abs().at_most(SINH_LIMIT[name]))
    z = r * r
    coefficients = EXPM1[name]
    cosh_less_1 = z * horner(z, coefficients[0::2])
    sinh_r = (r * z).fma(horner(z, coefficients[1::2]), r)
    limit = x.format.bias - 7  # where 2**-n no longer counts
    m = select(n < limit, n, limit)
    return cosh_less_1, sinh_r, power_of_two(n - 2), power_of_two(-2 - m)


def sinh(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 2 ULP."""
    c, s, up, down = _sinh_parts(x)
    difference = up - down
    result = (difference + difference.fma(c, (up + down) * s)) * 2.0
    return result.copysign(x)


def cosh(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 2 ULP."""
    c, s, up, down = _sinh_parts(x)
    total = up + down
    return (total + total.fma(c, (up - down) * s)) * 2.0
