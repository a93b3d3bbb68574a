"""Functions of the exponent and the bits of a number; all are exact."""

from vertebra.lowering.math_to_arith.emit import Expr, power_of_two, scale, select

INF = float("inf")


def one_and_exponent(x: Expr) -> tuple[Expr, Expr]:
    """(m, e), |x| = m * 2**e with 1 <= m < 2, of a finite x other than 0; e is an integer value."""
    form = x.format
    a = x.abs()
    small = a < form.tiny
    lift = form.fraction_bits + 1
    word = select(small, a * 2.0**lift, a).bits()
    e = (word >> form.fraction_bits) - form.bias
    m = ((word & ((1 << form.fraction_bits) - 1)) | (form.bias << form.fraction_bits)).from_bits()
    return m, e - select(small, e.const(lift), e.const(0))


def ldexp(x: Expr, n: Expr) -> Expr:
    """x * 2**n, rounded once; any integer n."""
    limit = 400 if x.kind.name == "f32" else 2200
    n = select(n > limit, limit, select(n < -limit, -limit, n)).to("i64")
    if x.kind.name == "f32":
        return (x.to("f64") * power_of_two(n)).to("f32")
    m, e = one_and_exponent(x)
    total = e + n
    total = select(total > 1100, 1100, select(total < -1100, -1100, total))
    a = x.abs()
    return select((a > 0.0) & (a < INF), scale(m, total).copysign(x), x)


def ilogb(x: Expr) -> Expr:
    """The exponent as i32; the smallest integer for 0 and NaN, the largest for an infinity."""
    _, e = one_and_exponent(x)
    a = x.abs()
    e = e.to("i32")
    return select((a > 0.0) & (a < INF), e, select(a.eq(INF), e.const(2**31 - 1), e.const(-(2**31))))


def logb(x: Expr) -> Expr:
    """The exponent as a number; -inf for 0, inf for an infinity."""
    _, e = one_and_exponent(x)
    a = x.abs()
    return select(a > 0.0, select(a < INF, e.to(x.kind.name), a), select(a.is_nan(), a, -INF))


def nextafter(x: Expr, y: Expr) -> Expr:
    """The number next to x on the way to y."""
    word = x.bits()
    away = (y > x).eq(x > 0.0)  # where x is not 0: does the magnitude grow?
    moved = select(away, word + 1, word - 1)
    moved = select(x.eq(0.0), y.bits() & (-1 << (x.format.bits - 1)) | 1, moved)
    result = select(x.eq(y), y, moved.from_bits())
    return select(x.is_nan(), x, select(y.is_nan(), y, result))
