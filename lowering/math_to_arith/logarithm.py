"""log, log2, log10, log1p and the inverse hyperbolic functions: x = m * 2**e, sqrt(1/2) <= m < sqrt(2).

log(1 + f) = f + f*f*s(f) with f = m - 1, which is exact.
"""

import math

from vertebra.lowering.math_to_arith.coefficients import LOG
from vertebra.lowering.math_to_arith.emit import Expr, fast_two_sum, horner, power_of_two, select, two_sum

INF = float("inf")
NAN = float("nan")

# Constants in two parts; the first part of those that are multiplied by the exponent e has
# enough trailing zeros for an exact product.
LN2 = {"f32": (0.693145751953125, 1.4286068203094173e-06), "f64": (0.6931471805592082, 7.371002565167799e-13)}
LOG10_2 = {
    "f32": (0.301025390625, 4.605038981195214e-06),
    "f64": (0.30102999566361177, 3.694239077158931e-13),
}
LOG2E = {
    "f32": (1.44269502162933349609375, 1.9259629911e-08),
    "f64": (1.4426950408889634, 2.0355273740931033e-17),
}
LOG10E = {
    "f32": (0.4342944920063018798828125, -1.010304911e-08),
    "f64": (0.4342944819032518, 1.098319650216765e-17),
}
SQRT_HALF_BITS = {"f32": 0x3F3504F3, "f64": 0x3FE6A09E667F3BCD}


def split(x: Expr, *, subnormals: bool = True) -> tuple[Expr, Expr]:
    """(m, e): the mantissa and the integer exponent of positive x; `e` is an integer value."""
    form = x.format
    if subnormals:
        lift = form.fraction_bits + 1
        small = x < form.tiny
        x = select(small, x * 2.0**lift, x)
    base = SQRT_HALF_BITS[form.name]
    offset = x.bits() - base
    e = offset >> form.fraction_bits
    m = ((offset & ((1 << form.fraction_bits) - 1)) + base).from_bits()
    if subnormals:
        e = e + select(small, e.const(-lift), e.const(0))
    return m, e


def _edges(x: Expr, result: Expr) -> Expr:
    """`result` where 0 < x < inf, else the logarithm's value there."""
    result = select(x < INF, result, x)
    return select(x > 0.0, result, select(x.eq(0.0), x.const(-INF), x.const(NAN)))


def log(x: Expr) -> Expr:
    """f32: 1 ULP, f64: 1 ULP."""
    name = x.kind.name
    m, e = split(x)
    e = e.to(name)
    f = m - 1.0
    tail = (f * f) * horner(f, LOG[name])
    high, low = fast_two_sum(e * LN2[name][0], f)
    return _edges(x, high + (low + e.fma(LN2[name][1], tail)))


def log_fast(x: Expr) -> Expr:
    """f32: 4 ULP; meaningless for a positive subnormal x."""
    m, e = split(x, subnormals=False)
    f = m - 1.0
    result = e.to("f32").fma(math.log(2), (f * f).fma(horner(f, LOG["fast"]), f))
    return _edges(x, result)


def _scaled(x: Expr, factor: dict, exponent_factor: dict | None) -> Expr:
    """log(x) * factor, where ln2 * factor is exponent_factor, or 1 where that is None."""
    name = x.kind.name
    m, e = split(x)
    e = e.to(name)
    f = m - 1.0
    high, low = factor[name]
    lead = f * high
    rest = f.fma(low, f.fma(high, -lead))
    # s(f) begins with -1/2, whose product with f is exact.
    w = (f * f).fma(horner(f, LOG[name][1:]), f * -0.5)
    tail = lead.fma(w, rest.fma(w, rest))
    if exponent_factor is None:
        whole = e
    else:
        whole = e * exponent_factor[name][0]
        tail = e.fma(exponent_factor[name][1], tail)
    lead, rest = fast_two_sum(whole, lead)
    return _edges(x, lead + (rest + tail))


def log2(x: Expr) -> Expr:
    """f32: 1 ULP, f64: 1 ULP; exact at powers of two."""
    return _scaled(x, LOG2E, None)


def log2_fast(x: Expr) -> Expr:
    """As `log_fast`."""
    m, e = split(x, subnormals=False)
    f = m - 1.0
    result = ((f * f).fma(horner(f, LOG["fast"]), f)).fma(math.log2(math.e), e.to("f32"))
    return _edges(x, result)


def log10(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 2 ULP."""
    return _scaled(x, LOG10E, LOG10_2)


def log1p_core(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    """log(1 + x) for -1 < x < inf."""
    name = x.kind.name
    form = x.format
    u, lost = two_sum(x.const(1.0), x)
    m, e = split(u, subnormals=False)
    # What was lost matters only for small e.
    down = select(e < form.bias, form.bias - e, 0) << form.fraction_bits
    f, rest = fast_two_sum(m - 1.0, lost * down.from_bits())
    e = e.to(name)
    tail = (f * f).fma(horner(f, coefficients), rest)
    high, low = fast_two_sum(e * LN2[name][0], f)
    return high + (low + e.fma(LN2[name][1], tail))


def log_sum(u: Expr, lost: Expr) -> Expr:
    """log(u + lost) for positive finite f64 u; `lost` is at most an ULP of u, and 0 for a tiny or huge u."""
    m, e = split(u)
    moderate = (e > -1000) & (e < 1000)
    f, rest = fast_two_sum(m - 1.0, lost * power_of_two(select(moderate, -e, 0)))
    e = e.to("f64")
    tail = (f * f).fma(horner(f, LOG["f64"]), rest)
    high, low = fast_two_sum(e * LN2["f64"][0], f)
    return high + (low + e.fma(LN2["f64"][1], tail))


def log1p(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 2 ULP."""
    result = select(x < INF, log1p_core(x, LOG[x.kind.name]), x)
    result = select(x > -1.0, result, select(x.eq(-1.0), x.const(-INF), x.const(NAN)))
    return result.copysign(x)  # for -0


def _log1p_for(x: Expr) -> tuple[Expr, tuple[float, ...]]:
    """f32 is computed in f64, with a polynomial that is just good enough."""
    return (x.to("f64"), LOG["mid"]) if x.kind.name == "f32" else (x, LOG["f64"])


def asinh(x: Expr) -> Expr:
    """log1p(a + a*a / (1 + sqrt(1 + a*a))).  f32: 1 ULP, f64: 3 ULP."""
    a, coefficients = _log1p_for(x.abs())
    square = a * a
    t = a + square / ((square + 1.0).sqrt() + 1.0)
    if x.kind.name == "f64":
        big = a > 2.0**60  # a*a may overflow; log(2a) = log(a) + ln2 there
        result = log1p_core(select(big, a, t), coefficients) + select(big, a.const(math.log(2)), a.const(0.0))
    else:
        result = log1p_core(t, coefficients)
    result = result.to(x.kind.name)
    return select(x.abs() < INF, result.copysign(x), x)


def acosh(x: Expr) -> Expr:
    """log1p(t + sqrt(t * (t + 2))) with t = x - 1.  f32: 1 ULP, f64: 3 ULP."""
    wide, coefficients = _log1p_for(x)
    t = wide - 1.0
    if x.kind.name == "f64":
        big = wide > 2.0**60
        t = select(big, t.const(1.0), t)
        sum_ = t + (t * (t + 2.0)).sqrt()
        result = log1p_core(select(big, wide, sum_), coefficients)
        result = result + select(big, t.const(math.log(2)), t.const(0.0))
    else:
        result = log1p_core(t + (t * (t + 2.0)).sqrt(), coefficients)
    result = select(x < INF, result.to(x.kind.name), x)
    return select(x < 1.0, NAN, result)


def atanh(x: Expr) -> Expr:
    """log1p(2a / (1 - a)) / 2.  f32: 1 ULP, f64: 3 ULP."""
    a, coefficients = _log1p_for(x.abs())
    t = (a + a) / (1.0 - a)
    result = (log1p_core(t, coefficients) * 0.5).to(x.kind.name)
    a = x.abs()
    result = select(a < 1.0, result, select(a.eq(1.0), a.const(INF), a.const(NAN)))
    return result.copysign(x)
