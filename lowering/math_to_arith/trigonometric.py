"""sin, cos, tan for every argument: |x| * 2/pi modulo 4 gives the quadrant and f, and r = f * pi/2.

The product with 2/pi is made of exact partial products (Payne and Hanek's method in
floating point).  x and a chunk of the digits of 2/pi multiply without rounding, and
any multiple of 4 in the product does not matter.  Digits so high that they give only
multiples of 4 are left out, so a large x uses another window of the digits.
"""

from typing import NamedTuple

from vertebra.lowering.math_to_arith.coefficients import COS, SIN
from vertebra.lowering.math_to_arith.emit import (
    Expr,
    branch,
    fast_two_sum,
    horner,
    round_product,
    round_to_int,
    select,
    two_product,
    two_sum,
)

TWO_OVER_PI_BITS = 1312
TWO_OVER_PI = int(  # floor(2/pi * 2**1312)
    "A2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163ABDEBBC561"
    "B7246E3A424DD2E006492EEA09D1921CFE1DEB1CB129A73EE88235F52EBB4484"
    "E99C7026B45F7E413991D639835339F49C845F8BBDF9283B1FF897FFDE05980F"
    "EF2F118B5A0A6D1F6D367ECF27CB09B74F463F669E5FEA2D7527BAC7EBE5F17B"
    "3D0739F78A5292EA6BFB5FB11F8D5D0856033046FC7B6BABF0CFBC209AF4361D"
    "A9E39161",
    16,
)
HALF_PI = (1.5707963267948966, 6.123233995736766e-17)


class Window(NamedTuple):
    """The digits of 2/pi that arguments of at least 2**exponent need, times 2**lift."""

    exponent: int
    lift: int
    chunks: tuple[float, ...]


def _chunk(first: int, width: int, lift: int) -> float:
    """Digits `first` .. `first + width - 1` of 2/pi (digit 1 is worth 1/2), times 2**lift."""
    digits = TWO_OVER_PI >> (TWO_OVER_PI_BITS - first - width + 1) & ((1 << width) - 1)
    return float(digits) * 2.0 ** (lift - first - width + 1)


def _window(exponent: int, precision: int, widths: tuple[int, ...]) -> Window:
    """The window for x >= 2**exponent, a multiple of 2**(exponent - precision + 1).

    Left out are the digits whose product with that is a multiple of 4.
    """
    first = max(1, exponent - precision)
    lift = 512 if exponent >= 512 else 0
    chunks = []
    for width in widths:
        chunks.append(_chunk(first, width, lift))
        first += width
    return Window(exponent, lift, tuple(chunks))


# f32 in f64 arithmetic: 24 by 29 bits are exact; the last chunk need not be.  111 digits behind the
# binary point of x * 2/pi leave 2**-27 relative to the smallest |f|, about 2**-29.
WINDOWS_F32 = tuple(_window(exponent, 24, (29, 29, 29, 53)) for exponent in (-127, 84))
# f64: products in two parts.  Six chunks, 318 digits, serve 147 exponents: 53 digits
# for x itself, 62 for the smallest |f| and 56 for its precision are taken off.
WINDOWS_F64 = tuple(_window(exponent, 53, (53,) * 6) for exponent in (-1023, 200, 347, 494, 641, 788, 935))


def _chunks(a: Expr, windows: tuple[Window, ...]) -> tuple[Expr, list[Expr]]:
    """`a`, scaled where its window is, and the chunks of its window."""
    chunks: list = [a.const(c) for c in windows[0].chunks]
    scaled = a
    for window in windows[1:]:
        far = a >= 2.0**window.exponent
        chunks = [select(far, new, old) for new, old in zip(window.chunks, chunks, strict=True)]
        if window.lift and scaled is a:
            scaled = select(far, a * 2.0**-window.lift, a)
    return scaled, chunks


def _modulo_4(p: Expr) -> Expr:
    """p less its nearest multiple of 4; exact, and NaN for an infinite p."""
    return (p * 0.25).rint().fma(-4.0, p)


def _reduce_f32(a: Expr) -> tuple[Expr, Expr]:
    """r in f64, and the quadrant as i32, of an f32 `a` >= 0."""
    a, (c0, c1, c2, c3) = _chunks(a.to("f64"), WINDOWS_F32)
    p0, p1, p2 = (_modulo_4(a * c) for c in (c0, c1, c2))
    p3 = a * c3
    k, n = round_to_int(p0 + p1 + (p2 + p3))
    return (((p0 - k) + p1) + p2 + p3) * HALF_PI[0], n.to("i32")


def reduce_f64(a: Expr) -> tuple[Expr, Expr, Expr]:
    """r in two parts, and the quadrant as i64, of an f64 `a` >= 0."""
    small, whole = a < 2.0**-30, a  # below 2**-900 or so the partial products would be subnormal
    a, chunks = _chunks(a, WINDOWS_F64)
    terms: list[Expr] = []
    for c in chunks[:-1]:
        high, low = two_product(a, c)
        terms += [_modulo_4(high), _modulo_4(low)]
    terms.append(a * chunks[-1])
    total, low = terms[0], a.const(0.0)
    for term in terms[1:]:
        total, rest = two_sum(total, term)
        low = low + rest
    k, n = round_to_int(total + low)
    f, low = fast_two_sum(total - k, low)
    r, r_low = two_product(f, HALF_PI[0])
    r_low = f.fma(HALF_PI[1], low.fma(HALF_PI[0], r_low))
    r, r_low = fast_two_sum(r, r_low)
    return select(small, whole, r), select(small, 0.0, r_low), n


def kernels(r: Expr, r_low: Expr | None, sin: tuple[float, ...], cos: tuple[float, ...]) -> tuple[Expr, Expr]:
    """sin and cos of r + r_low, |r| <= pi/4."""
    z = r * r
    tail = (r * z) * horner(z, sin)
    half = z * 0.5
    cos_1 = 1.0 - half  # its rounding error, (1 - cos_1) - half, is exact
    rest = (z * z) * horner(z, cos)
    if r_low is not None:
        tail = r_low.fma(1.0 - half, tail)
        rest = r.fma(-r_low, rest)
    return r + tail, cos_1 + (((1.0 - cos_1) - half) + rest)


# pi/2 in three parts for f32: n times the first two is exact inside a fused multiply-add.
HALF_PI_F32 = (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15)
NEAR_F32 = 2.0**16  # up to here these parts are enough


def _reduce_near(a: Expr) -> tuple[Expr, Expr]:
    """r and the quadrant of an f32 |a| <= NEAR_F32, in f32 alone."""
    k, n = round_product(a, 2 / 3.141592653589793)
    for part in HALF_PI_F32:
        a = k.fma(-part, a)
    return a, n


def _reduce_any(a: Expr) -> tuple[Expr, Expr]:
    r, n = _reduce_f32(a)
    return r.to("f32"), n


def _sin_cos(x: Expr) -> tuple[Expr, Expr, Expr]:
    """sin and cos of r, and the quadrant of |x|."""
    a = x.abs()
    if x.kind.name == "f32":
        r, n = branch(a >= NEAR_F32, _reduce_any, _reduce_near, a)
        return *kernels(r, None, SIN["f32"], COS["f32"]), n
    r, r_low, n = reduce_f64(a)
    return *kernels(r, r_low, SIN["f64"], COS["f64"]), n


def _sign_of(n: Expr) -> Expr:
    """The sign bit where bit 1 of the quadrant is set."""
    return (n & 2) << (int(n.kind.name[1:]) - 2)


def sin_of(x: Expr, s: Expr, c: Expr, n: Expr) -> Expr:
    sign = x.bits() & -1 << (x.format.bits - 1)
    return (select((n & 1).eq(0), s, c).bits() ^ _sign_of(n) ^ sign).from_bits()


def cos_of(s: Expr, c: Expr, n: Expr) -> Expr:
    return (select((n & 1).eq(0), c, s).bits() ^ _sign_of(n + 1)).from_bits()


def sin(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 1 ULP, for every x."""
    return sin_of(x, *_sin_cos(x))


def cos(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 1 ULP, for every x."""
    return cos_of(*_sin_cos(x))


def sincos(x: Expr) -> tuple[Expr, Expr]:
    """Both, for little more than one."""
    parts = _sin_cos(x)
    return sin_of(x, *parts), cos_of(*parts)


def tan(x: Expr) -> Expr:
    """sin / cos, or -cos / sin in odd quadrants.  f32: 1 ULP (computed in f64), f64: 3 ULP."""
    if x.kind.name == "f32":
        r, n = _reduce_f32(x.abs())
        s, c = kernels(r, None, SIN["mid"], COS["mid"])
    else:
        s, c, n = _sin_cos(x)
    even = (n & 1).eq(0)
    t = (select(even, s, -c) / select(even, c, s)).to(x.kind.name)
    return (t.bits() ^ (x.bits() & -1 << (x.format.bits - 1))).from_bits()


def _pi_parts(x: Expr) -> tuple[Expr, Expr, Expr]:
    """sin and cos of pi * (x - n/2) and n modulo 4, n = rint(2x), of an f64 x."""
    x = (x * 0.5).rint().fma(-2.0, x)
    k, n = round_to_int(x + x)
    f = k.fma(-0.5, x)
    r, r_low = two_product(f, 2.0 * HALF_PI[0])
    return *kernels(r, f.fma(2.0 * HALF_PI[1], r_low), SIN["f64"], COS["f64"]), n


def sinpi_f64(x: Expr) -> Expr:
    """sin(pi * x) of an f64, to 1 ULP; 0 with the sign of x for integers."""
    s, c, n = _pi_parts(x.abs())
    magnitude = sin_of(x, s, c, n)
    whole = x.rint().eq(x) & (x.abs() < float("inf"))
    return select(whole, x.const(0.0).copysign(x), magnitude)


def sinpi(x: Expr) -> Expr:
    """sin(pi * x).  f32: 1 ULP (computed in f64), f64: 1 ULP."""
    return sinpi_f64(x.to("f64")).to(x.kind.name)


def cospi(x: Expr) -> Expr:
    """cos(pi * x); +0 halfway between integers.  f32: 1 ULP (computed in f64), f64: 1 ULP."""
    s, c, n = _pi_parts(x.to("f64").abs())
    value = cos_of(s, c, n)
    return select(value.eq(0.0), 0.0, value).to(x.kind.name)


def _fast_parts(x: Expr) -> tuple[Expr, Expr, Expr]:
    r, n = _reduce_near(x)
    z = r * r
    s = (r * z).fma(horner(z, SIN["f32"]), r)
    c = z.fma(z.fma(horner(z, COS["f32"]), -0.5), 1.0)
    return s, c, n


def sin_fast(x: Expr) -> Expr:
    """f32: 2 ULP for |x| <= 1000, absolute error 2**-23 for |x| <= 2**20; meaningless beyond 2**21."""
    s, c, n = _fast_parts(x)
    return (select((n & 1).eq(0), s, c).bits() ^ _sign_of(n)).from_bits()


def cos_fast(x: Expr) -> Expr:
    """As `sin_fast`."""
    return cos_of(*_fast_parts(x))


def sincos_fast(x: Expr) -> tuple[Expr, Expr]:
    """As `sin_fast`."""
    s, c, n = _fast_parts(x)
    return (select((n & 1).eq(0), s, c).bits() ^ _sign_of(n)).from_bits(), cos_of(s, c, n)
