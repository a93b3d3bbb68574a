"""Elementary functions, and operations that round once."""

import math

import numpy as np
import triton
import triton.language as tl

from .arrays import given, normal, output, uniform
from .case import Case
from .elementwise import N, elementwise, two


@triton.jit
def nan_aware(x, y, out, n, BLOCK: tl.constexpr):
    """Rows of out: minimum and maximum that propagate NaN, clamp with NaN."""
    i = tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask)
    tl.store(out + i, tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL), mask=mask)
    tl.store(out + n + i, tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL), mask=mask)
    tl.store(out + 2 * n + i, tl.clamp(a, -1.0, 1.0, propagate_nan=tl.PropagateNan.ALL), mask=mask)


@triton.jit
def unary(x, out, n, BLOCK: tl.constexpr):
    """Rows of out: exp, exp2, sin, cos, erf, floor, ceil, sigmoid."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    tl.store(out + i, tl.exp(a), mask=mask)
    tl.store(out + n + i, tl.exp2(a), mask=mask)
    tl.store(out + 2 * n + i, tl.sin(a), mask=mask)
    tl.store(out + 3 * n + i, tl.cos(a), mask=mask)
    tl.store(out + 4 * n + i, tl.erf(a), mask=mask)
    tl.store(out + 5 * n + i, tl.floor(a), mask=mask)
    tl.store(out + 6 * n + i, tl.ceil(a), mask=mask)
    tl.store(out + 7 * n + i, tl.sigmoid(a), mask=mask)


erf = np.vectorize(math.erf, otypes=[np.float64])


def unary_reference(x, **_):
    rows = [
        np.exp(x),
        np.exp2(x),
        np.sin(x),
        np.cos(x),
        erf(x),
        np.floor(x),
        np.ceil(x),
        1 / (1 + np.exp(-x)),
    ]
    return {"out": np.stack(rows)}


@triton.jit
def unary_positive(x, out, n, BLOCK: tl.constexpr):
    """Rows of out: log, log2, sqrt, rsqrt."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask, other=1.0)
    tl.store(out + i, tl.log(a), mask=mask)
    tl.store(out + n + i, tl.log2(a), mask=mask)
    tl.store(out + 2 * n + i, tl.sqrt(a), mask=mask)
    tl.store(out + 3 * n + i, tl.rsqrt(a), mask=mask)


def unary_positive_reference(x, **_):
    return {"out": np.stack([np.log(x), np.log2(x), np.sqrt(x), 1 / np.sqrt(x)])}


@triton.jit
def rounded(x, y, z, out, n, BLOCK: tl.constexpr):
    """Rows of out: the correctly rounded x / y and sqrt(y), and fma(x, y, z)."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask, other=1.0)
    c = tl.load(z + i, mask=mask)
    tl.store(out + i, tl.div_rn(a, b), mask=mask)
    tl.store(out + n + i, tl.sqrt_rn(b), mask=mask)
    tl.store(out + 2 * n + i, tl.fma(a, b, c), mask=mask)


@triton.jit
def quotients(x, y, out, n, BLOCK: tl.constexpr):
    """Rows of out: fdiv, x / y, abs(x), rsqrt(abs(y)), tanh by sigmoid."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask, other=1.0)
    tl.store(out + i, tl.fdiv(a, b), mask=mask)
    tl.store(out + n + i, a / b, mask=mask)
    tl.store(out + 2 * n + i, tl.abs(a), mask=mask)
    tl.store(out + 3 * n + i, tl.rsqrt(tl.abs(b)), mask=mask)
    tl.store(out + 4 * n + i, 2 * tl.sigmoid(2 * a) - 1, mask=mask)


def quotients_reference(x, y, **_):
    return {"out": np.stack([x / y, x / y, np.abs(x), 1 / np.sqrt(np.abs(y)), np.tanh(x)])}


@triton.jit
def high_product(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    tl.store(out + i, tl.umulhi(tl.load(x + i, mask=mask), tl.load(y + i, mask=mask)), mask=mask)


def high_product_reference(x, y, **_):
    bits = 8 * x.dtype.itemsize
    product = x.astype(object) * y.astype(object)
    return {"out": np.array([int(p) >> bits for p in product], x.dtype)}


def edges(dtype: str) -> list[float]:
    """Zeros, infinities, NaN, the ends of the ranges, and numbers about which functions change their form."""
    info = np.finfo(dtype.replace("f", "float"))
    positive = [0, 1, 0.5, 2, 700, 88, 104, 1e4, 7e4, 1e30, info.tiny, info.smallest_subnormal, info.max]
    positive += [info.tiny / 4, np.inf, 1 + info.eps, 1 - info.epsneg, np.pi / 2, np.pi, 11 * np.pi / 2]
    return [*positive, *(-v for v in positive), np.nan]


CASES = [
    Case(
        id="nan-propagation",
        kernel=nan_aware,
        args={
            "x": given("f32", [1, np.nan, -np.inf, np.nan, -5, 0.5]),
            "y": given("f32", [np.nan, 1, 2, np.nan, -4, np.inf]),
            "out": output("f32", 3, 6),
            "n": 6,
        },
        meta={"BLOCK": 8},
        expect=lambda x, y, **_: {"out": np.stack([np.minimum(x, y), np.maximum(x, y), np.clip(x, -1, 1)])},
    ),
    *(
        elementwise(f"math-{d}", unary, unary_reference, {"x": normal(d, N, scale=4)}, 8, d, ulps=4)
        for d in ("f32", "f64")
    ),
    *(
        elementwise(
            f"math-positive-{d}",
            unary_positive,
            unary_positive_reference,
            {"x": uniform(d, N, low=1e-3, high=50)},
            4,
            d,
            ulps=4,
        )
        for d in ("f32", "f64")
    ),
    *(
        elementwise(
            f"{name}-edges-{d}", kernel, reference, {"x": given(d, np.resize(edges(d), N))}, rows, d, ulps=2
        )
        for name, kernel, reference, rows in (
            ("math", unary, unary_reference, 8),
            ("math-positive", unary_positive, unary_positive_reference, 4),
        )
        for d in ("f32", "f64")
    ),
    *(
        elementwise(
            f"quotients-{d}",
            quotients,
            quotients_reference,
            {"x": normal(d, N), "y": given(d, np.resize(edges(d), N))},
            5,
            d,
            ulps=2,
            atol=atol,
        )
        for d, atol in (("f32", 2e-7), ("f64", 4e-16))
    ),
    elementwise(
        "round-to-nearest-f32",
        rounded,
        lambda x, y, z, **_: {"out": np.stack([x / y, np.sqrt(y), x * y + z])},
        {"x": normal("f32", N), "y": uniform("f32", N, low=0.5, high=3), "z": normal("f32", N)},
        3,
        ulps=0.5,
        interpretable=False,  # the interpreter's fma rounds twice
    ),
    *(
        elementwise(f"umulhi-{d}", high_product, high_product_reference, two(d), None, d)
        for d in ("u32", "u64")
    ),
]
