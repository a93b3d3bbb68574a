"""silu and the two forms of gelu: x times a number between 0 and 1, accurate where that vanishes, too."""

from vertebra.lowering.math_to_arith.coefficients import EXP
from vertebra.lowering.math_to_arith.emit import Expr, scale, select, two_product, two_sum
from vertebra.lowering.math_to_arith.error_function import times_normcdf
from vertebra.lowering.math_to_arith.exponential import exp_parts

INF = float("inf")
# 2 * sqrt(2 / pi), and 0.044715 times that, in two doubles each.
TWICE_ROOT = (1.5957691216057308, -9.96930880911092e-17)
CUBIC = (0.07135481627260025, -6.175149918155315e-19)
FLAT = 760.0  # beyond this, exp(-a) * a is 0


def _gated(x: Expr, gate: Expr, gate_low: Expr | None, name: str) -> Expr:
    """x / (1 + exp(-(gate + gate_low))) for f64 x and gate, with their signs alike; +-0 far below."""
    a = gate.abs()
    low = None
    if gate_low is not None:
        low = select(a < FLAT, select(gate < 0.0, gate_low, -gate_low), 0.0)
    p, n = exp_parts((-a).at_least(-FLAT), EXP[name], low)
    below = gate < 0.0
    # exp(-a) multiplies at the end, where it can make the result subnormal only once.
    ratio = select(below, x.at_least(-FLAT) * p, x) / (scale(p, n) + 1.0)
    return select(below, scale(ratio, n), ratio)


def silu(x: Expr) -> Expr:
    """x / (1 + exp(-x)), -0 at -inf.  f32: 1 ULP (computed in f64), f64: 3 ULP."""
    wide = x.to("f64")
    return _gated(wide, wide, None, "mid" if x.kind.name == "f32" else "f64").to(x.kind.name)


def gelu_tanh(x: Expr) -> Expr:
    """x / 2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x**3))), -0 at -inf.

    f32: 1 ULP (computed in f64), f64: 4 ULP.  The argument is computed in two doubles.
    """
    wide = x.to("f64")
    b = wide.at_least(-30.0).at_most(30.0)  # from 10 on it is x, and below -21 it is 0
    square, square_low = two_product(b, b)
    inner, inner_low = two_product(square, CUBIC[0])
    inner_low = square.fma(CUBIC[1], square_low.fma(CUBIC[0], inner_low))
    total, lost = two_sum(inner, inner.const(TWICE_ROOT[0]))
    total_low = lost + (inner_low + TWICE_ROOT[1])
    gate, gate_low = two_product(b, total)
    gate_low = b.fma(total_low, gate_low)
    name = "mid" if x.kind.name == "f32" else "f64"
    return _gated(wide, gate, gate_low, name).to(x.kind.name)


def gelu_none(x: Expr) -> Expr:
    """x * normcdf(x), gelu without approximation, -0 at -inf.

    f32: 1 ULP (computed in f64), f64: 4 ULP.
    """
    wide = x.to("f64")
    name = "mid" if x.kind.name == "f32" else "f64"
    return select(wide.eq(-INF), -0.0, times_normcdf(wide, wide, name)).to(x.kind.name)
