"""Bessel functions of orders 0 and 1, of both kinds and modified, in f64 arithmetic.

J and Y up to 5: polynomials, with the zeros split off.  From there on J + iY = amplitude * e**(i theta),
with polynomials in 1/x**2 for the amplitude and for the phase theta - x + (2 order + 1) pi / 4, which is
small.  The phase is added in two doubles, so that the zeros are where they should be.
"""

import math

from vertebra.lowering.math_to_arith import coefficients_special as table
from vertebra.lowering.math_to_arith.coefficients import COS, EXP, SIN
from vertebra.lowering.math_to_arith.emit import (
    Expr,
    horner,
    horner_double,
    scale,
    select,
    two_product,
    two_sum,
)
from vertebra.lowering.math_to_arith.exponential import exp_parts
from vertebra.lowering.math_to_arith.logarithm import log_sum
from vertebra.lowering.math_to_arith.trigonometric import cos_of, kernels, reduce_f64, sin_of

INF = float("inf")
NAN = float("nan")
FAR = 5.0  # from here on, J and Y have amplitude and phase
LOW = 2.5  # up to here, Y has a logarithm
NEAR = 8.0  # up to here, I is a polynomial
TWO_OVER_PI = 2 / math.pi
QUARTER_PI = (0.7853981633974483, 3.061616997868383e-17)
# In two doubles each: the squares of the lowest zeros of J0 and J1; the lowest zeros of Y0 and Y1, their
# squares; the second zero of Y0.
J_ZEROS_SQUARED = ((5.783185962946784, 4.123247343506204e-16), (14.681970642123893, -9.858177825793294e-17))
Y_ZEROS = ((0.8935769662791675, 2.6596231539720385e-17), (2.197141326031017, -4.8259835876454966e-17))
Y_ZEROS_SQUARED = ((0.7984797946646804, 4.7669625702155175e-17), (4.827430006553336, -3.103816863372602e-16))
Y0_SECOND = (3.957678419314858, -1.0764340697562706e-16)


def _less_square(a: Expr, square: tuple[float, float]) -> Expr:
    """a * a - square, accurate where it is small, too."""
    return a.fma(a, -square[0]) - square[1]


def _near_j(a: Expr, order: int) -> Expr:
    """J(a) for 0 <= a <= 5: the polynomial times a * a - zero * zero, both in two doubles."""
    high, low = ((table.J0, table.J0_LOW), (table.J1, table.J1_LOW))[order]
    square, square_low = two_product(a, a)
    t, t_low = two_sum(a.const(FAR**2), -square)
    value, value_low = horner_double(t, t_low - square_low, high, low)
    zero, zero_low = J_ZEROS_SQUARED[order]
    factor, factor_low = two_sum(square, a.const(-zero))
    factor_low = factor_low + (square_low - zero_low)
    value = value.fma(factor, value.fma(factor_low, value_low * factor))
    return value * a if order else value


def _phase(a: Expr, order: int, *, double: bool) -> tuple[Expr, Expr]:
    """theta - a + (2 order + 1) pi / 4 for a >= 5, in two doubles; the second is 0 unless `double`."""
    high, low = ((table.PHASE0, table.PHASE0_LOW), (table.PHASE1, table.PHASE1_LOW))[order]
    v = FAR / a
    if not double:
        return v * horner((v * v).fma(2.0, -1.0), high), v.const(0.0)
    v_low = v.fma(-a, FAR) / a
    square, square_low = two_product(v, v)
    square_low = (v + v).fma(v_low, square_low)
    t, t_low = two_sum(square + square, v.const(-1.0))
    value, value_low = horner_double(t, t_low + (square_low + square_low), high, low)
    phase, phase_low = two_product(v, value)
    return phase, phase_low + v.fma(value_low, v_low * value)


def _far(a: Expr, order: int, *, double: bool) -> tuple[Expr, Expr]:
    """J and Y of a >= 5: the angle is a multiple of pi/2 and t, |t| <= pi/4."""
    phase, phase_low = _phase(a, order, double=double)
    r, r_low, n = reduce_f64(a)
    negative = r + phase < 0.0
    high, low = (select(negative, part, r.const(-part)) for part in QUARTER_PI)
    first, lost = two_sum(r, high)
    second, lost_too = two_sum(first, phase)
    t, t_low = two_sum(second, (lost + lost_too) + ((r_low + phase_low) + low))
    n = n - select(negative, n.const(order + 1), n.const(order))
    v = FAR / a
    amplitude = horner(v * v, (table.AMPLITUDE0, table.AMPLITUDE1)[order]) / a.sqrt()
    s, c = kernels(t, t_low, SIN["f64"], COS["f64"])
    at_infinity = a.eq(INF)
    j, y = (select(at_infinity, 0.0, amplitude * f) for f in (cos_of(s, c, n), sin_of(a, s, c, n)))
    return j, y


def _j(x: Expr, order: int) -> Expr:
    a = x.to("f64").abs()
    near = _near_j(a.at_most(FAR), order)
    far = _far(a.at_least(FAR), order, double=x.kind.name == "f64")[0]
    result = select(a < FAR, near, far).to(x.kind.name)
    return select(x.bits() < 0, -result, result) if order else result


def j0(x: Expr) -> Expr:
    """J0(x).  f32: 2 ULP, f64: 4 ULP.

    f64: beside a zero z > 5 the error is 2**-76 in absolute terms where that is more.
    """
    return _j(x, 0)


def j1(x: Expr) -> Expr:
    """J1(x), as `j0`."""
    return _j(x, 1)


def _log_ratio(b: Expr, zero: tuple[float, float]) -> Expr:
    """log(b / zero), accurate beside the zero, too."""
    low = b < zero[0] / 2
    ratio = ((b - zero[0]) - zero[1]) * (1 / zero[0])
    u, lost = two_sum(b.const(1.0), ratio)
    logarithm = log_sum(select(low, b, u), select(low, 0.0, lost))
    return logarithm + select(low, b.const(-math.log(zero[0])), b.const(0.0))


def _near_y(b: Expr, order: int) -> Expr:
    """Y(b) for 0 < b <= 2.5."""
    regular = horner((b * b).fma(-1 / LOW**2, 1.0), (table.Y0, table.Y1)[order])
    regular = regular * _less_square(b, Y_ZEROS_SQUARED[order])
    logarithm = _log_ratio(b, Y_ZEROS[order]) * TWO_OVER_PI
    return logarithm.fma(_near_j(b, order), regular / b if order else regular)


def _middle_y(b: Expr, order: int) -> Expr:
    """Y(b) for 2.5 <= b <= 5."""
    t = (b - (FAR + LOW) / 2) * (2 / (FAR - LOW))
    if order:
        return horner(t, table.Y1_MIDDLE)
    return horner(t, table.Y0_MIDDLE) * ((b - Y0_SECOND[0]) - Y0_SECOND[1])


def _y(x: Expr, order: int) -> Expr:
    a = x.to("f64")
    near = _near_y(a.at_most(LOW), order)
    middle = _middle_y(a.at_least(LOW).at_most(FAR), order)
    far = _far(a.at_least(FAR), order, double=x.kind.name == "f64")[1]
    result = select(a < LOW, near, select(a < FAR, middle, far)).to(x.kind.name)
    return select(x < 0.0, NAN, select(x.eq(0.0), -INF, result))


def y0(x: Expr) -> Expr:
    """Y0(x); -inf at 0, NaN below.  As `j0`."""
    return _y(x, 0)


def y1(x: Expr) -> Expr:
    """Y1(x); -inf at 0, NaN below.  As `j0`."""
    return _y(x, 1)


def _i(x: Expr, order: int) -> Expr:
    variant = "mid" if x.kind.name == "f32" else "f64"
    a = x.to("f64").abs()
    b = a.at_most(NEAR)
    near = horner(b * b, (table.I0, table.I1)[order][variant])
    if order:
        near = near * b
    c = a.at_most(720.0)
    p, n = exp_parts(c, EXP[variant])
    root = (1.0 / c).sqrt()
    far = scale(p * (horner((16.0 / c) - 1.0, (table.I0_FAR, table.I1_FAR)[order][variant]) * root), n)
    result = select(a < NEAR, near, far).to(x.kind.name)
    return result.copysign(x) if order else result


def cyl_bessel_i0(x: Expr) -> Expr:
    """I0(x).  f32: 1 ULP, f64: 4 ULP."""
    return _i(x, 0)


def cyl_bessel_i1(x: Expr) -> Expr:
    """I1(x).  f32: 1 ULP, f64: 4 ULP."""
    return _i(x, 1)
