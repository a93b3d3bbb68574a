"""asin, acos, atan, atan2: odd polynomials after one reflection."""

from vertebra.lowering.math_to_arith.coefficients import ASIN, ATAN
from vertebra.lowering.math_to_arith.emit import Expr, fast_two_sum, horner, select

NAN = float("nan")
# pi/2 and pi in two parts.
HALF_PI = {
    "f32": (1.5707963705062866, -4.371138828673793e-08),
    "f64": (1.5707963267948966, 6.123233995736766e-17),
}
PI = {"f32": (3.1415927410125732, -8.742277657347586e-08), "f64": (3.141592653589793, 1.2246467991473532e-16)}


def _asin_half(s: Expr, z: Expr) -> Expr:
    """asin(s) - s for 0 <= s <= 1/2, z = s*s."""
    return (s * z) * horner(z, ASIN[s.kind.name])


def _reflected(a: Expr) -> tuple[Expr, Expr, Expr]:
    """(outer, s, asin(s) - s): s is a up to 1/2, and sqrt((1 - a) / 2) in the outer half."""
    outer = a > 0.5
    z = select(outer, (1.0 - a) * 0.5, a * a)
    s = select(outer, z.sqrt(), a)
    return outer, s, _asin_half(s, z)


def asin(x: Expr) -> Expr:
    """pi/2 - 2 asin(sqrt((1 - |x|) / 2)) for |x| > 1/2.  f32: 2 ULP, f64: 2 ULP."""
    high, low = HALF_PI[x.kind.name]
    outer, s, rest = _reflected(x.abs())
    lead, lost = fast_two_sum(s.const(high), s * -2.0)
    far = lead + (lost + (low - (rest + rest)))
    return select(outer, far, s + rest).copysign(x)


def acos(x: Expr) -> Expr:
    """2 asin(sqrt((1 - |x|) / 2)), or pi less that, for |x| > 1/2; else pi/2 - asin(x).

    f32: 2 ULP, f64: 2 ULP.
    """
    name = x.kind.name
    a = x.abs()
    outer, s, rest = _reflected(a)
    positive = x > 0.0
    double, double_rest = s + s, rest + rest
    far = select(positive, double + double_rest, (PI[name][0] - double) + (PI[name][1] - double_rest))
    s, rest = s.copysign(x), rest.copysign(x)
    near = HALF_PI[name][0] - (s + (rest - HALF_PI[name][1]))
    return select(outer, far, near)


def _atan_unit(t: Expr) -> Expr:
    """atan(t) for 0 <= t <= 1."""
    z = t * t
    return (t * z).fma(horner(z, ATAN[t.kind.name]), t)


def atan(x: Expr) -> Expr:
    """pi/2 - atan(1/|x|) for |x| > 1.  f32: 2 ULP, f64: 2 ULP."""
    high, low = HALF_PI[x.kind.name]
    a = x.abs()
    steep = a > 1.0
    p = _atan_unit(select(steep, 1.0 / a, a))
    return select(steep, high - (p - low), p).copysign(x)


def atan2(y: Expr, x: Expr) -> Expr:
    """The angle of the point (x, y), with the special cases of IEEE 754.  f32: 2 ULP, f64: 2 ULP."""
    name = x.kind.name
    ax, ay = x.abs(), y.abs()
    steep = ay > ax
    small, large = select(steep, ax, ay), select(steep, ay, ax)
    # Two infinities count as a diagonal; beside two zeros any divisor but zero will do.
    quotient = select(ax.eq(ay), 1.0, small / large)
    p = _atan_unit(select(large.eq(0.0), small, quotient))
    p = select(steep, HALF_PI[name][0] - (p - HALF_PI[name][1]), p)
    p = select(x.bits() < 0, PI[name][0] - (p - PI[name][1]), p).copysign(y)
    return select(x.is_nan(), x, select(y.is_nan(), y, p))
