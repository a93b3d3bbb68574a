"""The gamma function and its logarithm: Stirling's series from 3 on, its errors in a second double."""

from vertebra.lowering.math_to_arith.bessel_orders import repeat
from vertebra.lowering.math_to_arith.coefficients import EXP2
from vertebra.lowering.math_to_arith.coefficients_special import LGAMMA, RGAMMA, RGAMMA_LOW, STIRLING
from vertebra.lowering.math_to_arith.emit import (
    Expr,
    fast_two_sum,
    horner,
    horner_double,
    scale,
    select,
    two_product,
    two_sum,
)
from vertebra.lowering.math_to_arith.exponential import exp2_parts
from vertebra.lowering.math_to_arith.logarithm import log, log_sum
from vertebra.lowering.math_to_arith.power import log2_double
from vertebra.lowering.math_to_arith.trigonometric import sinpi_f64

INF = float("inf")
NAN = float("nan")
PI = 3.141592653589793
# In two doubles each: log2(e), ln 2, log2(sqrt(2 pi)).
LOG2E = (1.4426950408889634, 2.0355273740931033e-17)
LN2 = (0.6931471805599453, 2.3190468138462996e-17)
LOG2_ROOT_TWO_PI = (1.3257480647361595, -7.153413670427599e-17)
LARGEST = 200.0  # gamma is infinite long before, and its inverse 0
DEEP = -28.0  # below, no number is so near to a zero of lgamma that terms would cancel
CENTRE = 1.25  # the K of the variable (x - K) / (x + K) of LGAMMA


def _stirling(s: Expr, s_low: Expr | None, variant: str) -> tuple[Expr, Expr]:
    """log2(gamma(s + s_low)) in two doubles, for s >= 3.

    (s - 1/2) log2(s) - s log2(e) + log2(sqrt(2 pi)) + mu(s) log2(e)
    """
    log_high, log_low = log2_double(s)
    weight = s - 0.5
    first, first_low = two_product(weight, log_high)
    first_low = weight.fma(log_low, first_low)
    if s_low is not None:
        first_low = s_low.fma(log_high, first_low)
    second, second_low = two_product(s, -LOG2E[0])
    second_low = s.fma(-LOG2E[1], second_low)
    inverse = 1.0 / s
    mu = horner(inverse * inverse, STIRLING[variant]) * inverse
    high, low = two_sum(first, second)
    high, lost = two_sum(high, high.const(LOG2_ROOT_TWO_PI[0]))
    low = (low + lost) + ((first_low + second_low) + mu.fma(LOG2E[0], LOG2_ROOT_TWO_PI[1]))
    return fast_two_sum(high, low)


def _shifted_down(p: Expr, a: Expr, variant: str) -> Expr:
    """p / (a (a+1) (a+2) (a+3)) = p / (m (m + 2)) with m = a (a + 3)."""
    if variant == "mid":
        m = a * (a + 3.0)
        return p / (m * (m + 2.0))
    sum_, sum_low = two_sum(a, a.const(3.0))
    m, m_low = two_product(a, sum_)
    m_low = a.fma(sum_low, m_low)
    t, t_low = two_sum(m, m.const(2.0))
    product, product_low = two_product(m, t)
    product_low = m.fma(t_low + m_low, t.fma(m_low, product_low))
    quotient = p / product
    residue = quotient.fma(-product_low, quotient.fma(-product, p))
    # Below 2**-900 the errors of the products underflow; they do not count there.
    return select(a.abs() < 2.0**-900, quotient, quotient + residue / product)


def tgamma(x: Expr) -> Expr:
    """gamma(x); NaN for negative integers and -inf, an infinity of its sign for 0.

    gamma(x) = gamma(x + 4) / (x (x+1) (x+2) (x+3)) below 3, and gamma(x) gamma(-x) = -pi / (x sin(pi x))
    below -1/2.  f32: 1 ULP (computed in f64), f64: 4 ULP.
    """
    variant = "mid" if x.kind.name == "f32" else "f64"
    wide = x.to("f64")
    mirrored = wide < -0.5
    a = select(mirrored, -wide, wide).at_most(LARGEST)
    small = a < 3.0
    s, s_low = two_sum(a, select(small, a.const(4.0), a.const(0.0)))
    high, low = _stirling(s, s_low, variant)
    k = high.rint()
    p, n = exp2_parts((high - k) + low, EXP2[variant])
    n = n + select(k > -1.0, k, 0.0).to("i64")  # a NaN has no integer
    p = select(small, _shifted_down(p, a, variant), p)
    # One scaling serves both: its factor is at the end.
    p = select(mirrored, -PI / (wide * sinpi_f64(wide) * p), p)
    result = scale(p, select(mirrored, -n, n))
    whole = wide.rint().eq(wide) & mirrored
    return select(whole, NAN, result).to(x.kind.name)


def _log_unit(a: Expr, near: Expr, x: Expr) -> Expr:
    """log(gamma(a)) for 1/2 <= a <= 3; where `near` holds, a is 1 + x."""
    u = select(near, x, a - 1.0)
    return u * (u - 1.0) * horner((a - CENTRE) / (a + CENTRE), LGAMMA) + 0.0  # never -0


def _log_between_poles(x: Expr) -> Expr:
    """log(|gamma(x)|) for DEEP < x < 0, between whose integers zeros lie.

    1 / gamma(x) = x (x+1) ... (x+n-1) / gamma(x+n), 1 <= x + n < 2, in two doubles: near 1 they make
    its logarithm accurate.  As many turns as the smallest x needs; 0 for other x.
    """
    inside = (x < 0.0) & (x > DEEP)
    x = select(inside, x, 1.5)
    count = 1.0 - x.floor()
    y, y_low = two_sum(x, select(inside, count, 0.0))
    t, t_low = two_sum(y, y.const(-1.5))
    high, low = horner_double(t, t_low + y_low, RGAMMA, RGAMMA_LOW)

    def step(k, product, rest, x, count):
        factor, lost = two_sum(x, k)
        new, new_rest = two_product(product, factor)
        new_rest = product.fma(lost, rest.fma(factor, new_rest))
        more = k < count
        return k + 1.0, select(more, new, product), select(more, new_rest, rest)

    state = [x.const(0.0), high, low]
    steps = select(inside, count, 0.0).to("i64")
    _, high, low = repeat(steps, step, state, [x, select(inside, count, 0.0)])
    high, low = fast_two_sum(high, low)
    negative = high < 0.0
    return -log_sum(select(negative, -high, high), select(negative, -low, low))


def lgamma(x: Expr) -> Expr:
    """log(|gamma(x)|); infinite for 0 and negative integers.

    f32: 1 ULP (computed in f64), f64: 4 ULP.  The zeros below -2 are those of an expression whose own
    error is 2**-90; where |lgamma(x)| < 2**-40, that counts in f64.  (CUDA's, by comparison, promises
    nothing from -11 to -2.26.)
    """
    wide = x.to("f64")
    a = wide.abs()
    near = a < 0.5
    mirrored = wide <= -0.5
    base = select(near, wide + 1.0, a)
    unit = _log_unit(base.at_most(3.0), near, wide)
    huge = a > 2.0**200
    high, low = _stirling(select(base > 3.0, base, 3.0).at_most(2.0**200), None, "f64")
    product, product_low = two_product(high, LN2[0])
    tail = product + high.fma(LN2[1], low.fma(LN2[0], product_low))
    # -log(a) takes the near ones from gamma(1 + x) to gamma(x).
    logarithm = log(select(mirrored & ~huge, (a * sinpi_f64(wide).abs()) * (1 / PI), a))
    tail = select(huge, a * (logarithm - 1.0), tail)
    result = select(base >= 3.0, tail, unit)
    result = select(mirrored, -logarithm - result, select(near, result - logarithm, result))
    if x.kind.name == "f64":
        result = select(mirrored & (wide > DEEP), _log_between_poles(wide), result)
    pole = (wide.rint().eq(wide) & (wide <= 0.0)) | a.eq(INF)
    return select(pole, INF, result).to(x.kind.name)
