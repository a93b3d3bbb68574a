"""`from triton.language.extra import libdevice`: special functions, integers, directed rounding."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import triton
import triton.language as tl
from triton.language.extra import libdevice

from .arrays import given, integers, normal, uniform
from .elementwise import N, elementwise


@triton.jit
def special(x, out, n, BLOCK: tl.constexpr):
    """Rows of out: tgamma, lgamma, erfinv(x/8), normcdf, j0, y1, cyl_bessel_i0, sinpi, rcbrt, hypot, logb."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask, other=1.0)
    tl.store(out + i, libdevice.tgamma(a), mask=mask)
    tl.store(out + n + i, libdevice.lgamma(a), mask=mask)
    tl.store(out + 2 * n + i, libdevice.erfinv(a / 8), mask=mask)
    tl.store(out + 3 * n + i, libdevice.normcdf(a), mask=mask)
    tl.store(out + 4 * n + i, libdevice.j0(a), mask=mask)
    tl.store(out + 5 * n + i, libdevice.y1(a), mask=mask)
    tl.store(out + 6 * n + i, libdevice.cyl_bessel_i0(a), mask=mask)
    tl.store(out + 7 * n + i, libdevice.sinpi(a), mask=mask)
    tl.store(out + 8 * n + i, libdevice.rcbrt(a), mask=mask)
    tl.store(out + 9 * n + i, libdevice.hypot(a, 2 * a), mask=mask)
    tl.store(out + 10 * n + i, libdevice.logb(a), mask=mask)


def special_reference(x, **_):
    def exact(function):
        return np.array([float(function(v)) for v in x.tolist()])

    rows = [
        exact(math.gamma),
        exact(math.lgamma),
        exact(lambda v: mpmath.erfinv(v / 8)),
        exact(mpmath.ncdf),
        exact(lambda v: mpmath.besselj(0, v)),
        exact(lambda v: mpmath.bessely(1, v)),
        exact(lambda v: mpmath.besseli(0, v)),
        exact(mpmath.sinpi),
        1 / np.cbrt(x),
        np.hypot(x, 2 * x),
        np.floor(np.log2(x)),
    ]
    return {"out": np.stack(rows)}


@triton.jit
def orders(k, x, out, n, BLOCK: tl.constexpr):
    """Rows of out: jn, yn."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    order = tl.load(k + i, mask=mask, other=0)
    a = tl.load(x + i, mask=mask, other=1.0)
    tl.store(out + i, libdevice.jn(order, a), mask=mask)
    tl.store(out + n + i, libdevice.yn(order, a), mask=mask)


def orders_reference(k, x, **_):
    rows = [
        [float(f(n, v)) for n, v in zip(k.tolist(), x.tolist(), strict=True)]
        for f in (mpmath.besselj, mpmath.bessely)
    ]
    return {"out": np.array(rows)}


@triton.jit
def words(x, y, z, out, n, BLOCK: tl.constexpr):
    """Rows of out: sad, hadd, rhadd, mul24, mulhi, byte_perm, brev, clz, popc, ffs, abs."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask)
    c = tl.load(z + i, mask=mask)
    tl.store(out + i, libdevice.sad(a, b, c.to(tl.uint32)), mask=mask)
    tl.store(out + n + i, libdevice.hadd(a, b), mask=mask)
    tl.store(out + 2 * n + i, libdevice.rhadd(a, b), mask=mask)
    tl.store(out + 3 * n + i, libdevice.mul24(a, b), mask=mask)
    tl.store(out + 4 * n + i, libdevice.mulhi(a, b), mask=mask)
    tl.store(out + 5 * n + i, libdevice.byte_perm(a, b, c), mask=mask)
    tl.store(out + 6 * n + i, libdevice.brev(a), mask=mask)
    tl.store(out + 7 * n + i, libdevice.clz(a), mask=mask)
    tl.store(out + 8 * n + i, libdevice.popc(a), mask=mask)
    tl.store(out + 9 * n + i, libdevice.ffs(a), mask=mask)
    tl.store(out + 10 * n + i, libdevice.abs(a), mask=mask)


def words_reference(x, y, z, **_):
    def low_24(v):
        return (v & 0xFFFFFF ^ 0x800000) - 0x800000

    def permuted(a, b, selector):
        both = (a & 0xFFFFFFFF) | (b & 0xFFFFFFFF) << 32
        return sum((both >> 8 * (selector >> 4 * i & 7) & 0xFF) << 8 * i for i in range(4))

    rows = [
        [
            abs(a - b) + c,
            (a + b) >> 1,
            (a + b + 1) >> 1,
            low_24(a) * low_24(b),
            a * b >> 32,
            permuted(a, b, c),
            int(f"{a & 0xFFFFFFFF:032b}"[::-1], 2),
            32 - (a & 0xFFFFFFFF).bit_length(),
            (a & 0xFFFFFFFF).bit_count(),
            (a & -a).bit_length(),
            abs(a),
        ]
        for a, b, c in zip(x.tolist(), y.tolist(), z.tolist(), strict=True)
    ]
    wrapped = [[((v + 2**31) % 2**32) - 2**31 for v in row] for row in rows]
    return {"out": np.array(wrapped, np.int32).T}


@triton.jit
def directed(x, y, out, n, BLOCK: tl.constexpr):
    """Rows of out: add_rd, mul_ru, div_rz, fma_rd(x, y, x), remainder, ldexp(x, 3), nextafter."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask, other=1.0)
    tl.store(out + i, libdevice.add_rd(a, b), mask=mask)
    tl.store(out + n + i, libdevice.mul_ru(a, b), mask=mask)
    tl.store(out + 2 * n + i, libdevice.div_rz(a, b), mask=mask)
    tl.store(out + 3 * n + i, libdevice.fma_rd(a, b, a), mask=mask)
    tl.store(out + 4 * n + i, libdevice.remainder(a, b), mask=mask)
    tl.store(out + 5 * n + i, libdevice.ldexp(a, 3), mask=mask)
    tl.store(out + 6 * n + i, libdevice.nextafter(a, b), mask=mask)


def _directed_rows(x, y, dtype):
    """Exact results, rounded by a search among the neighbours of the nearest number."""

    def rounded(exact: Fraction, mode: str) -> float:
        near = dtype(float(exact))
        mode = mode if mode != "rz" else "rd" if exact > 0 else "ru"
        while mode == "rd" and Fraction(float(near)) > exact:
            near = np.nextafter(near, dtype(-np.inf))
        while mode == "ru" and Fraction(float(near)) < exact:
            near = np.nextafter(near, dtype(np.inf))
        while mode == "rd" and Fraction(float(up := np.nextafter(near, dtype(np.inf)))) <= exact:
            near = up
        while mode == "ru" and Fraction(float(down := np.nextafter(near, dtype(-np.inf)))) >= exact:
            near = down
        return float(near)

    rows = []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        p, q = Fraction(a), Fraction(b)
        rows.append([
            rounded(p + q, "rd"), rounded(p * q, "ru"), rounded(p / q, "rz"), rounded(p * q + p, "rd"),
            math.remainder(a, b), 8 * a, float(np.nextafter(dtype(a), dtype(b))),
        ])  # fmt: skip
    return np.array(rows).T


@triton.jit
def to_integers(x, out, n, BLOCK: tl.constexpr):
    """Rows of out: float2int in four directions, llround and float2uint_rn."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    tl.store(out + i, libdevice.float2int_rn(a), mask=mask)
    tl.store(out + n + i, libdevice.float2int_rz(a), mask=mask)
    tl.store(out + 2 * n + i, libdevice.float2int_rd(a), mask=mask)
    tl.store(out + 3 * n + i, libdevice.float2int_ru(a), mask=mask)
    tl.store(out + 4 * n + i, libdevice.llround(a), mask=mask)
    tl.store(out + 5 * n + i, libdevice.float2uint_rn(a), mask=mask)


def to_integers_reference(x, **_):
    def whole(values, low, high, of_nan):
        clipped = np.clip(np.nan_to_num(values, nan=0), low, high)
        return [of_nan if np.isnan(v) else int(c) for v, c in zip(values, clipped, strict=True)]

    rows = [whole(f(x), -(2**31), 2**31 - 1, 0) for f in (np.rint, np.trunc, np.floor, np.ceil)]
    away = np.copysign(np.floor(np.abs(x) + 0.5), x)
    rows.append([min(v, 2**63 - 1) for v in whole(away, -(2.0**63), 2.0**63, -(2**63))])
    rows.append([(v + 2**31) % 2**32 - 2**31 for v in whole(np.rint(x), 0, 2**32 - 1, 0)])
    return {"out": np.array(rows, np.int64)}


EDGES = [0.5, -0.5, 1.5, 2.5, -2.5, np.nan, np.inf, -np.inf, 2.0**31, -(2.0**31), 4e9, 5e9, -1, 1e30, 0.25]

CASES = [
    *(
        elementwise(
            f"libdevice-special-{d}",
            special,
            special_reference,
            {"x": uniform(d, N, low=0.25, high=7.5)},
            11,
            d,
            ulps=ulps,
            atol=atol,
            interpretable=False,
        )
        for d, ulps, atol in (("f32", 2, 0), ("f64", 8, 4e-15), ("f16", 2, 0))
    ),
    elementwise(
        "libdevice-orders",
        orders,
        orders_reference,
        {"k": integers("i32", N, low=-4, high=12), "x": uniform("f32", N, low=0.25, high=20)},
        2,
        ulps=2,
        interpretable=False,
    ),
    elementwise(
        "libdevice-integers",
        words,
        words_reference,
        {name: integers("i32", N) for name in ("x", "y")} | {"z": integers("i32", N, low=0)},
        11,
        "i32",
        interpretable=False,
    ),
    *(
        elementwise(
            f"libdevice-directed-{d}",
            directed,
            lambda x, y, kind=kind, **_: {"out": _directed_rows(x, y, kind)},
            {"x": normal(d, N), "y": normal(d, N)},
            7,
            d,
            ulps=0,
            interpretable=False,
        )
        for d, kind in (("f32", np.float32), ("f64", np.float64))
    ),
    elementwise(
        "libdevice-to-integers",
        to_integers,
        to_integers_reference,
        {"x": given("f32", np.resize(EDGES, N))},
        6,
        "i64",
        interpretable=False,
    ),
]
