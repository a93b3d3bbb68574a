"""erf, erfc, erfcx, the normal distribution, and the inverses of these."""

import math

from vertebra.lowering.math_to_arith.coefficients import ERF, ERF_TAIL, ERFC, EXP
from vertebra.lowering.math_to_arith.coefficients_special import ERFCINV, ERFINV
from vertebra.lowering.math_to_arith.emit import (
    Expr,
    horner,
    power_of_two,
    scale,
    select,
    two_product,
    two_sum,
)
from vertebra.lowering.math_to_arith.exponential import exp_parts
from vertebra.lowering.math_to_arith.logarithm import log

INF = float("inf")

# The K of the variable (x - K) / (x + K), and where erfc has become 0.
ERFC_K = {"mid": 2.5, "f64": 3.25}
ERFC_LIMIT = {"mid": 10.5, "f64": 27.5}
# erf is 1 from here on.
ERF_LIMIT = {"f32": 3.95, "f64": 6.0}
# Up to this erfinv is a polynomial of the square.
ERFINV_CENTRE = 0.6875
# The K of the variable (s - K) / (s + K) of ERFCINV.
ERFCINV_K = {"mid": 3.0, "f64": 4.0}
# 1 / sqrt(2) in two doubles.
ROOT_HALF = (0.7071067811865476, -4.833646656726457e-17)
# The series sqrt(pi) x erfcx(x) = 1 - w/2 + 3/4 w**2 - ..., w = 1/x**2.
ERFCX_SERIES = (1.0, -1 / 2, 3 / 4, -15 / 8, 105 / 16, -945 / 32, 10395 / 64)
EXP_SQUARE_LIMIT = 27.0  # exp(x * x) is infinite there


def _erf_unit(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    """erf(x) for |x| <= 1."""
    return x.fma(horner(x * x, coefficients), x)


def _erfcx_tail(a: Expr, variant: str) -> Expr:
    """exp(a*a) * erfc(a) for 1/2 <= a <= ERFC_LIMIT."""
    k = ERFC_K[variant]
    if variant == "mid":
        reciprocal = 1.0 / (a + k)
        return horner((a - k) * reciprocal, ERFC[variant]) * reciprocal
    divisor, divisor_low = two_sum(a, a.const(k))
    reciprocal = 1.0 / divisor
    q = horner((a - k) * reciprocal, ERFC[variant]) * reciprocal
    # What the sum and its reciprocal lost.
    return q.fma(reciprocal.fma(-divisor_low, reciprocal.fma(-divisor, 1.0)), q)


def _erfc_tail(a: Expr, variant: str, a_low: Expr | None = None) -> tuple[Expr, Expr]:
    """p and n with erfc(a + a_low) = p * 2**n, for a >= 1/2.

    exp(-a*a) takes the rounding error of a*a into account.
    """
    a = a.at_most(ERFC_LIMIT[variant])
    square = a * a
    lost = a.fma(a, -square)
    if a_low is not None:
        lost = (a + a).fma(a_low, lost)
    p, n = exp_parts(-square, EXP[variant], -lost)
    return p * _erfcx_tail(a, variant), n


def _erf_f32(x: Expr, variant: str) -> Expr:
    """1 - exp(-t(|x|)) for |x| > 1, with t a polynomial."""
    a = x.abs()
    t = horner(a.at_most(ERF_LIMIT["f32"]), ERF_TAIL[variant])
    p, n = exp_parts(-t, EXP["f32" if variant == "f32" else "fast"])
    tail = (-p).fma(power_of_two(n), 1.0)
    return select(a > 1.0, tail, _erf_unit(a, ERF[variant])).copysign(x)


def erf(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 2 ULP."""
    if x.kind.name == "f32":
        return _erf_f32(x, "f32")
    a = x.abs()
    p, n = _erfc_tail(a.at_most(ERF_LIMIT["f64"]), "f64")
    return select(a > 1.0, (-p).fma(power_of_two(n), 1.0), _erf_unit(a, ERF["f64"])).copysign(x)


def erf_fast(x: Expr) -> Expr:
    """f32: 4 ULP."""
    return _erf_f32(x, "fast")


def erfc(x: Expr) -> Expr:
    """1 - erf(x) for |x| <= 1/2, else the tail, or 2 less it.  f32: 1 ULP (computed in f64), f64: 4 ULP."""
    variant = "mid" if x.kind.name == "f32" else "f64"
    wide = x.to("f64")
    a = wide.abs()
    p, n = _erfc_tail(a, variant)
    tail = p * power_of_two(n) if variant == "mid" else scale(p, n)
    tail = select(wide < 0.0, 2.0 - tail, tail)
    near = 1.0 - _erf_unit(wide, ERF[variant])
    result = select(a > 0.5, tail, near)
    return result.to(x.kind.name)


def _variant(x: Expr) -> str:
    """f32 is computed in f64, with polynomials that are just good enough."""
    return "mid" if x.kind.name == "f32" else "f64"


def erfcx(x: Expr) -> Expr:
    """exp(x*x) * erfc(x).  f32: 1 ULP (computed in f64), f64: 4 ULP."""
    variant = _variant(x)
    wide = x.to("f64")
    a = wide.abs()
    limit = ERFC_LIMIT[variant]
    inverse = 1.0 / a
    far = horner(inverse * inverse, ERFCX_SERIES) * (inverse * (1 / math.sqrt(math.pi)))
    tail = select(a < limit, _erfcx_tail(a.at_most(limit), variant), far)
    b = a.at_most(EXP_SQUARE_LIMIT)
    square = b * b
    p, n = exp_parts(square, EXP[variant], b.fma(b, -square))
    # 2 * exp(x*x) - erfcx(|x|) left of the middle, erfc(x) * exp(x*x) in it.
    inside = a <= 0.5
    factor = select(inside, 1.0 - _erf_unit(wide, ERF[variant]), 2.0)
    grown = scale(p * factor, n)
    result = select(inside, grown, select(wide < 0.0, grown - tail, tail))
    return result.to(x.kind.name)


def normcdf(x: Expr) -> Expr:
    """erfc(-x / sqrt(2)) / 2.  f32: 1 ULP (computed in f64), f64: 4 ULP."""
    wide = x.to("f64")
    return times_normcdf(wide.const(1.0), wide, _variant(x)).to(x.kind.name)


def times_normcdf(factor: Expr, wide: Expr, variant: str) -> Expr:
    """factor * normcdf(wide) in f64, subnormal only at the end."""
    t, t_low = two_product(wide, ROOT_HALF[0])
    t_low = wide.fma(ROOT_HALF[1], t_low)
    a = t.abs()
    p, n = _erfc_tail(a, variant, select(a < 40.0, select(t < 0.0, -t_low, t_low), 0.0))
    tail = select(t > 0.0, factor * (1.0 - scale(p, n - 1)), scale(p * factor, n - 1))
    near = factor * _erf_unit(t, ERF[variant]).fma(0.5, 0.5)
    return select(a > 0.5, tail, near)


def _erfinv_centre(x: Expr, variant: str) -> Expr:
    """erfinv(x) for |x| <= ERFINV_CENTRE."""
    return x * horner(x * x, ERFINV[variant])


def _erfcinv_tail(q: Expr, variant: str) -> Expr:
    """erfcinv(q) for 0 <= q <= 1 - ERFINV_CENTRE."""
    s = (-log(q)).sqrt()
    k = ERFCINV_K[variant]
    y = s * horner((s - k) / (s + k), ERFCINV[variant])
    return select(q.eq(0.0), INF, y)


def erfinv(x: Expr) -> Expr:
    """The inverse of erf, infinite at 1 and -1.  f32: 1 ULP (computed in f64), f64: 3 ULP."""
    variant = _variant(x)
    wide = x.to("f64")
    a = wide.abs()
    tail = _erfcinv_tail(1.0 - a, variant).copysign(wide)
    return select(a <= ERFINV_CENTRE, _erfinv_centre(wide, variant), tail).to(x.kind.name)


def _erfcinv(q: Expr, variant: str) -> Expr:
    upper = q > 1.0
    tail = _erfcinv_tail(select(upper, 2.0 - q, q), variant)
    tail = select(upper, -tail, tail)
    centre = 1.0 - q
    return select(centre.abs() <= ERFINV_CENTRE, _erfinv_centre(centre, variant), tail)


def erfcinv(x: Expr) -> Expr:
    """The inverse of erfc, between 0 and 2.  f32: 1 ULP (computed in f64), f64: 3 ULP."""
    return _erfcinv(x.to("f64"), _variant(x)).to(x.kind.name)


def normcdfinv(x: Expr) -> Expr:
    """-sqrt(2) * erfcinv(2x), the inverse of normcdf.  f32: 1 ULP (computed in f64), f64: 4 ULP."""
    wide = x.to("f64")
    return (_erfcinv(wide + wide, _variant(x)) * -math.sqrt(2.0) + 0.0).to(x.kind.name)
