"""Bessel functions of orders 0 and 1, of both kinds and modified, in f64 arithmetic.

Up to 8: polynomials, with the zeros of J split off.  From 8 on: Hankel's expansion,
J = sqrt(2 / (pi x)) * (P cos(chi) - Q sin(chi)) and Y with sin and cos in place of cos and -sin,
chi = x - (2 order + 1) pi / 4.
"""

import math

from vertebra.lowering.math_to_arith import coefficients_special as table
from vertebra.lowering.math_to_arith.coefficients import EXP
from vertebra.lowering.math_to_arith.emit import Expr, horner, scale, select
from vertebra.lowering.math_to_arith.exponential import exp_parts
from vertebra.lowering.math_to_arith.logarithm import log
from vertebra.lowering.math_to_arith.trigonometric import sincos

INF = float("inf")
NAN = float("nan")
NEAR = 8.0
TWO_OVER_PI = 2 / math.pi
# The two lowest positive zeros of J0 and J1, in two doubles each.
ZEROS = (
    ((2.404825557695773, -1.176691651530894e-16), (5.520078110286311, 8.088597146146722e-17)),
    ((3.8317059702075125, -1.5269184090088067e-16), (7.015586669815619, -9.414165653410389e-17)),
)


def _j_near(a: Expr, order: int) -> Expr:
    """J(a) for 0 <= a <= 8."""
    value = horner((a * a).fma(-1 / 64, 1.0), (table.J0, table.J1)[order])
    for high, low in ZEROS[order]:
        value = value * (((a - high) - low) * (a + high))
    return value * a if order else value


def _hankel(a: Expr, order: int) -> tuple[Expr, Expr]:
    """J and Y of a >= 8."""
    inverse = 1.0 / a
    u = (inverse * 8.0) * (inverse * 8.0)
    p = horner(u, (table.P0, table.P1)[order])
    q = horner(u, (table.Q0, table.Q1)[order]) * inverse
    s, c = sincos(a)
    cos_chi, sin_chi = (c + s, s - c) if order == 0 else (s - c, -(s + c))  # times sqrt(2)
    amplitude = (inverse * (1 / math.pi)).sqrt()
    j = amplitude * p.fma(cos_chi, -(q * sin_chi))
    y = amplitude * p.fma(sin_chi, q * cos_chi)
    at_infinity = a.eq(INF)
    return select(at_infinity, 0.0, j), select(at_infinity, 0.0, y)


def _j(x: Expr, order: int) -> Expr:
    a = x.to("f64").abs()
    near = _j_near(a.at_most(NEAR), order)
    result = select(a < NEAR, near, _hankel(a, order)[0]).to(x.kind.name)
    return select(x.bits() < 0, -result, result) if order else result


def j0(x: Expr) -> Expr:
    """J0(x).  f64: 6 ULP up to 8; from there the error is 6 ULP of sqrt(2 / (pi x)), in absolute terms.

    f32: 2 ULP, except beside the zeros beyond 8, where the error is that of f64.
    """
    return _j(x, 0)


def j1(x: Expr) -> Expr:
    """J1(x), as `j0`."""
    return _j(x, 1)


def _y(x: Expr, order: int) -> Expr:
    a = x.to("f64")
    b = a.at_most(NEAR)
    regular = horner((b * b).fma(1 / 32, -1.0), (table.Y0, table.Y1)[order])
    j = _j_near(b, order)
    logarithm = log(b)
    if order:
        inner = logarithm.fma(j, -1.0 / b)
        near = inner.fma(TWO_OVER_PI, b * regular)
    else:
        near = (logarithm * TWO_OVER_PI).fma(j, regular)
    result = select(a < NEAR, near, _hankel(a, order)[1]).to(x.kind.name)
    return select(x < 0.0, NAN, select(x.eq(0.0), -INF, result))


def y0(x: Expr) -> Expr:
    """Y0(x); -inf at 0, NaN below.

    f64: the error is 8 ULP of the larger of |Y0(x)| and min(1, sqrt(2 / (pi x))).
    f32: 2 ULP, except beside the zeros, where the error is that of f64.
    """
    return _y(x, 0)


def y1(x: Expr) -> Expr:
    """Y1(x), as `y0`."""
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
