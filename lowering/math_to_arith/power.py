"""powf, fpowi, ipowi, exp10, cbrt, rcbrt, rsqrt."""

import math

from vertebra.lowering.math_to_arith.coefficients import ATANH_TAIL, EXP2, LOG
from vertebra.lowering.math_to_arith.emit import (
    Expr,
    fast_two_sum,
    horner,
    power_of_two,
    scale,
    select,
    two_product,
    two_sum,
)
from vertebra.lowering.math_to_arith.exponential import exp2_parts
from vertebra.lowering.math_to_arith.logarithm import split

INF = float("inf")
NAN = float("nan")
# 1/3 and 2*log2(e) in two doubles each.
# Bits 63..32 of the double x**(-1/3) are about this less a third of the same bits of x.
CBRT_MAGIC = 4 / 3 * 1023 * 2.0**20
THIRD = (0.3333333333333333, 1.850371707708594e-17)
TWO_LOG2E = (2.8853900817779268, 4.0710547481862066e-17)


def log2_mid(a: Expr) -> Expr:
    """log2 of a positive f64 that came from an f32, to 2**-40."""
    m, e = split(a, subnormals=False)
    f = m - 1.0
    return (f * f).fma(horner(f, LOG["mid"]), f).fma(math.log2(math.e), e.to("f64"))


def log2_double(a: Expr) -> tuple[Expr, Expr]:
    """log2 of a positive f64 in two doubles, to about 2**-64: 2*log2(e) * atanh(s), s = (m - 1) / (m + 1).

    atanh(s) = s * (1 + z/3 + z*z*t(z)) with z = s*s; the first two terms need both doubles.
    """
    m, e = split(a)
    f = m - 1.0
    d, d_low = fast_two_sum(f.const(2.0), f)
    reciprocal = 1.0 / d
    s = f * reciprocal
    s_low = s.fma(-d_low, s.fma(-d, f)) * reciprocal
    z, z_low = two_product(s, s)
    z_low = s.fma(s_low + s_low, z_low)
    w, w_low = two_product(z, THIRD[0])
    w_low = z.fma(THIRD[1], z_low.fma(THIRD[0], w_low))
    w_low = (z * z).fma(horner(z, ATANH_TAIL), w_low)
    one, one_low = fast_two_sum(z.const(1.0), w)
    one_low = one_low + w_low
    c, c_low = two_product(s, TWO_LOG2E[0])
    c_low = s.fma(TWO_LOG2E[1], s_low.fma(TWO_LOG2E[0], c_low))
    p, p_low = two_product(c, one)
    p_low = c.fma(one_low, c_low.fma(one, p_low))
    high, low = two_sum(e.to("f64"), p)
    return fast_two_sum(high, low + p_low)


def _magnitude_f32(a: Expr, y: Expr) -> Expr:
    """2**(y * log2(a)) in f64, for any a >= 0, both f64 that came from f32."""
    t = y * _log2_edges(a, log2_mid(a))
    p, n = exp2_parts(t.at_least(-200.0).at_most(200.0), EXP2["mid"])
    return p * power_of_two(n)


def _magnitude_f64(a: Expr, y: Expr) -> Expr:
    """2**(y * log2(a)) for any a >= 0."""
    high, low = log2_double(a)
    high = _log2_edges(a, high)
    t, t_low = two_product(y, high)
    t_low = y.fma(low, t_low)
    inside = t.abs() < 1100.0
    t = t.at_least(-1100.0).at_most(1100.0)
    k = t.rint()
    n = select(k > -1101.0, k, -1100.0).to("i64")  # a NaN has no integer
    r = (t - k) + select(inside, t_low, 0.0)
    return scale(r.fma(horner(r, EXP2["f64"]), 1.0), n)


def _log2_edges(a: Expr, inside: Expr) -> Expr:
    """`inside` where 0 < a < inf, else log2(a)."""
    return select(a < INF, select(a > 0.0, inside, -INF), a)


def _power(x: Expr, y: Expr) -> Expr:
    """x**y for any x, and y in f64."""
    name = x.kind.name
    a = x.abs()
    magnitude = (_magnitude_f32 if name == "f32" else _magnitude_f64)(a.to("f64"), y).to(name)
    # Where both are finite this is right already; 1**y and x**0 are 1 beside a NaN or an infinity, too.
    magnitude = select(a.eq(1.0), select(y.is_nan(), x.const(NAN), x.const(1.0)), magnitude)
    half = y * 0.5
    whole = y.rint().eq(y)
    odd = whole & ~half.rint().eq(half)
    result = select((x.bits() < 0) & odd, -magnitude, magnitude)
    result = select((x < 0.0) & (a < INF) & ~whole, NAN, result)
    return select(x.eq(1.0), 1.0, select(y.eq(0.0), 1.0, result))


def powf(x: Expr, y: Expr) -> Expr:
    """x**y with the special cases of IEEE 754's pow.  f32: 1 ULP (computed in f64), f64: 2 ULP."""
    return _power(x, y.to("f64"))


def fpowi(x: Expr, n: Expr) -> Expr:
    """x**n for an integer n of up to 53 bits.  As `powf`."""
    return _power(x, n.to("f64"))


def ipowi(x: Expr, n: Expr) -> Expr:
    """x**n in integers, modulo 2**width.  For n < 0: 1 if x is 1, 1 or -1 if x is -1, else 0."""
    width = int(x.kind.name[1:])
    result = x.const(1)
    square = x
    for bit in range(width - 1):
        result = select((n & (1 << bit)).eq(0), result, result * square)
        if bit < width - 2:
            square = square * square
    sign = select((n & 1).eq(0), x.const(1), x)
    unit = select((x * x).eq(1) & ((x.eq(1)) | (x.eq(-1))), sign, x.const(0))
    return select(n < 0, unit, result)


def rsqrt(x: Expr) -> Expr:
    """1 / sqrt(x), each rounded correctly.  1.5 ULP."""
    return 1.0 / x.sqrt()


def _inverse_cube_root(a: Expr) -> Expr:
    """a**(-1/3), nearly, of a normal positive f64."""
    # The upper halves of the bits of y and a are about linear in their logarithms; f32 divides them by 3.
    high = (a.bits() >> 32).to("i32").to("f32")
    guess = (high * (-1.0 / 3.0) + CBRT_MAGIC).to("i32").to("i64") << 32
    y = guess.from_bits()
    for coefficients in ((1 / 3, 2 / 9, 14 / 81), (1 / 3, 2 / 9)):
        error = (a * y).fma(-(y * y), 1.0)
        y = (y * error).fma(horner(error, coefficients), y)
    return y


def _normal(a: Expr, name: str) -> tuple[Expr, Expr | None]:
    """`a` times 2**54 where it is subnormal; where that is, or None for numbers that came from f32."""
    if name != "f64":
        return a, None
    small = a < a.format.tiny
    return select(small, a * 2.0**54, a), small


def cbrt(x: Expr) -> Expr:
    """x * y*y with y = |x|**(-1/3), found from the bits of x by iteration.

    f32: 1 ULP (computed in f64), f64: 1 ULP.
    """
    name = x.kind.name
    a, small = _normal(x.abs().to("f64"), name)
    y = _inverse_cube_root(a)
    root = (a * y) * y
    if small is not None:
        residue = (root * root).fma(root, -a)
        root = (residue * (y * y)).fma(-1 / 3, root)
        root = select(small, root * 2.0**-18, root)
    result = root.to(name).copysign(x)
    a = x.abs()
    return select((a > 0.0) & (a < INF), result, x)


def rcbrt(x: Expr) -> Expr:
    """x**(-1/3), as in `cbrt`.  f32: 1 ULP (computed in f64), f64: 1 ULP."""
    name = x.kind.name
    a, small = _normal(x.abs().to("f64"), name)
    y = _inverse_cube_root(a)
    if small is not None:
        # 1 - a * y**3 with the rounding errors of both products.
        square, square_low = two_product(y, y)
        cube, cube_low = two_product(square, y)
        cube_low = square_low.fma(y, cube_low)
        error = a.fma(-cube_low, a.fma(-cube, 1.0))
        y = (y * error).fma(1 / 3, y)
        y = select(small, y * 2.0**18, y)
    a = x.abs()
    y = select(a < INF, select(a > 0.0, y.to(name), INF), select(a.is_nan(), x.const(NAN), x.const(0.0)))
    return y.copysign(x)


def exp10(x: Expr) -> Expr:
    """10**x.  f32: 1 ULP (computed in f64), f64: 2 ULP."""
    return powf(x.const(10.0), x)
