"""Arithmetic rounded towards zero ("rz"), down ("rd") or up ("ru"), without changing the machine's mode.

An operation is rounded to nearest first.  The sign of what that lost is known exactly, from
error-free transformations, and says whether the result has to move by one place.
"""

from vertebra.lowering.math_to_arith.emit import Expr, fast_two_sum, scale, select, two_product, two_sum
from vertebra.lowering.math_to_arith.representation import one_and_exponent

INF = float("inf")
# f64 products below this lose bits of their rounding error to underflow.
UNSAFE = 2.0**-900
LIFT = 2.0**540


def _up(t: Expr) -> Expr:
    """The next number above t."""
    word = t.bits()
    return select(t.eq(0.0), 1, select(word < 0, word - 1, word + 1)).from_bits()


def _down(t: Expr) -> Expr:
    return -_up(-t)


def _move(t: Expr, error: Expr, mode: str) -> Expr:
    """What t + error rounds to, where t is the nearest; only the sign of `error` counts."""
    if mode == "ru":
        return select(error > 0.0, _up(t), t)
    if mode == "rd":
        return select(error < 0.0, _down(t), t)
    outside = ((error < 0.0) & (t > 0.0)) | ((error > 0.0) & (t < 0.0))
    return select(outside, (t.bits() - 1).from_bits(), t)


def _narrow(high: Expr, low: Expr | None, mode: str) -> Expr:
    """high + low as f32, for f64 with |low| below half a place of `high`."""
    t = high.to("f32")
    error = high - t.to("f64")
    if low is not None:
        error = select(error.eq(0.0), low, error)
    return _move(t, error, mode)


def _overflowed(t: Expr, error: Expr, *operands: Expr) -> Expr:
    """`error`, or that of an infinity that finite operands made."""
    finite = operands[0].abs() < INF
    for x in operands[1:]:
        finite = finite & (x.abs() < INF)
    return select(finite & t.abs().eq(INF), -t, error)


def _zero_of_sum(t: Expr, exact: Expr, mode: str, *words: Expr) -> Expr:
    """t, or -0 where terms of opposite signs cancelled exactly while rounding down.

    exact: 0 where they did.  words: bits whose signs tell, taken together, whether the terms' differ.
    """
    if mode != "rd":
        return t
    word = words[0]
    for other in words[1:]:
        word = word ^ other
    return select(t.eq(0.0) & exact.eq(0.0) & (word < 0), -0.0, t)


def add(a: Expr, b: Expr, mode: str) -> Expr:
    """a + b."""
    t, error = two_sum(a, b)
    return _zero_of_sum(_move(t, _overflowed(t, error, a, b), mode), t, mode, a.bits(), b.bits())


def sub(a: Expr, b: Expr, mode: str) -> Expr:
    """a - b."""
    return add(a, -b, mode)


def mul(a: Expr, b: Expr, mode: str) -> Expr:
    """a * b."""
    if a.kind.name == "f32":
        return _narrow(a.to("f64") * b.to("f64"), None, mode)
    t = a * b
    small = t.abs() < UNSAFE
    lifted = [select(small, x * LIFT, x) for x in (a, b)]
    error = lifted[0].fma(lifted[1], -select(small, t * LIFT * LIFT, t))
    return _move(t, _overflowed(t, error, a, b), mode)


def div(a: Expr, b: Expr, mode: str) -> Expr:
    """a / b."""
    if a.kind.name == "f32":
        a, b = a.to("f64"), b.to("f64")
        t = (a / b).to("f32")
        error = t.to("f64").fma(-b, a)
        return _move(t, select(b.bits() < 0, -error, error), mode)
    t = a / b
    (m, e), (d, f) = one_and_exponent(a), one_and_exponent(b)
    quotient = scale(t.abs(), f - e)
    error = quotient.fma(-d, m)
    error = select(t.bits() < 0, -error, error)
    exact = a.eq(0.0) | a.abs().eq(INF) | b.eq(0.0) | b.abs().eq(INF)
    return _move(t, _overflowed(t, select(exact, 0.0, error), a, select(b.eq(0.0), INF, b)), mode)


def rcp(x: Expr, mode: str) -> Expr:
    """1 / x."""
    return div(x.const(1.0), x, mode)


def sqrt(x: Expr, mode: str) -> Expr:
    if x.kind.name == "f32":
        wide = x.to("f64")
        t = wide.sqrt().to("f32")
        root = t.to("f64")
        return _move(t, root.fma(-root, wide), mode)
    t = x.sqrt()
    small = x < UNSAFE
    root = select(small, t * 2.0**300, t)
    return _move(t, root.fma(-root, select(small, x * 2.0**600, x)), mode)


def fma(a: Expr, b: Expr, c: Expr, mode: str) -> Expr:
    """a * b + c.

    Source of the error's three terms in f64: Boldo, Muller, "Some functions computable with a
    fused-mac", ARITH 2005.
    """
    words = a.bits(), b.bits(), c.bits()
    if a.kind.name == "f32":
        high, low = two_sum(a.to("f64") * b.to("f64"), c.to("f64"))
        return _zero_of_sum(_narrow(high, low, mode), high, mode, *words)
    t = a.fma(b, c)
    product = a * b
    tiny = product.abs() < 2.0**-960
    low = tiny & (c.abs() < UNSAFE)
    high = (product.abs() > 2.0**1000) | (c.abs() > 2.0**1000)
    # One factor for the product and c: 2**1080 where all is small, 2**-100 where a sum may overflow.
    a_scaled = select(low, a * LIFT, select(high & (a.abs() > 1.0), a * 2.0**-100, a))
    b_scaled = select(low, b * LIFT, select(high & ~(a.abs() > 1.0), b * 2.0**-100, b))
    c_scaled, t_scaled = (select(low, x * LIFT * LIFT, select(high, x * 2.0**-100, x)) for x in (c, t))
    p, p_low = two_product(a_scaled, b_scaled)
    # Beside a large c the size of a tiny product does not matter, and the other way round.
    stand_in = p.const(2.0**-1000)
    beside = tiny & ~low
    nothing = a.eq(0.0) | b.eq(0.0)
    p = select(nothing, product, select(beside, stand_in.copysign(p), p))
    p_low = select(beside | nothing, 0.0, p_low)
    lost = high & (c.abs() < UNSAFE) & ~c.eq(0.0)
    c_scaled = select(lost, stand_in.copysign(c), c_scaled)
    first, first_low = two_sum(c_scaled, p_low)
    second, second_low = two_sum(p, first)
    error, _ = fast_two_sum((second - t_scaled) + second_low, first_low)
    return _zero_of_sum(_move(t, _overflowed(t, error, a, b, c), mode), error, mode, *words)


def narrow(x: Expr, mode: str) -> Expr:
    """An f64 as f32."""
    return _narrow(x, None, mode)


def from_integer(x: Expr, to: str, mode: str, *, signed: bool) -> Expr:
    """An i32 or i64 as float type `to`."""
    if x.kind.name == "i32":
        wide = x.to("f64") if signed else (x.to("i64") & 0xFFFFFFFF).to("f64")
        return _narrow(wide, None, mode) if to == "f32" else wide
    upper = x >> 32 if signed else x.shift_right_unsigned(32)
    high, low = fast_two_sum(upper.to("f64") * 2.0**32, (x & 0xFFFFFFFF).to("f64"))
    return _narrow(high, low, mode) if to == "f32" else _move(high, low, mode)
