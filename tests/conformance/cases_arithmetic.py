"""Elementwise arithmetic: per element type, comparisons, divisions, shifts."""

import numpy as np
import triton
import triton.language as tl

from .arrays import (
    DTYPES,
    FLOATS,
    INTEGERS,
    SIGNED,
    STORAGE,
    given,
    integers,
    normal,
    output,
    uniform,
)
from .case import Case
from .elementwise import N, elementwise, two


@triton.jit
def basic(x, y, out, n, BLOCK: tl.constexpr):
    """Rows of out: x + y, x - y, x * y, -x."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask)
    tl.store(out + i, a + b, mask=mask)
    tl.store(out + n + i, a - b, mask=mask)
    tl.store(out + 2 * n + i, a * b, mask=mask)
    tl.store(out + 3 * n + i, 0 - a, mask=mask)


def basic_reference(x, y, **_):
    return {"out": np.stack([x + y, x - y, x * y, 0 - x])}


@triton.jit
def integer_only(x, y, shift, out, n, BLOCK: tl.constexpr):
    """Rows of out: x // y, x % y, x & y, x | y, x ^ y, ~x, x << shift, x >> shift."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask)
    s = tl.load(shift + i, mask=mask, other=0)
    # Beyond the mask b is zero: dividing by it must not end the process.
    tl.store(out + i, a // b, mask=mask)
    tl.store(out + n + i, a % b, mask=mask)
    tl.store(out + 2 * n + i, a & b, mask=mask)
    tl.store(out + 3 * n + i, a | b, mask=mask)
    tl.store(out + 4 * n + i, a ^ b, mask=mask)
    tl.store(out + 5 * n + i, ~a, mask=mask)
    tl.store(out + 6 * n + i, a << s, mask=mask)
    tl.store(out + 7 * n + i, a >> s, mask=mask)


def truncated_division(x, y):
    """C's division: towards zero; the remainder has the sign of `x`."""
    quotient = x // y
    inexact = quotient * y != x
    quotient = quotient + (inexact & ((x < 0) != (y < 0))).astype(x.dtype)
    return quotient, x - quotient * y


def integer_reference(x, y, shift, **_):
    quotient, remainder = truncated_division(x, y)
    rows = [quotient, remainder, x & y, x | y, x ^ y, ~x, np.left_shift(x, shift), np.right_shift(x, shift)]
    return {"out": np.stack(rows)}


def divisors(dtype):
    """Values of every size and sign, without zero and without the overflowing pair (lowest, -1)."""
    limits = np.iinfo(STORAGE[dtype])
    small = [1, 2, 3, 5, 7, 100, limits.max, limits.max // 2] + [-2, -3, -7, -100] * (limits.min < 0)
    return given(dtype, np.resize(np.array(small, STORAGE[dtype]), N))


def shifts(dtype):
    return given(dtype, np.arange(N) % (8 * STORAGE[dtype].itemsize))


@triton.jit
def float_division(x, y, out, n, BLOCK: tl.constexpr):
    """Rows of out: x / y, x % y."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask, other=1)
    tl.store(out + i, a / b, mask=mask)
    tl.store(out + n + i, a % b, mask=mask)


@triton.jit
def extremes(x, y, out, n, BLOCK: tl.constexpr):
    """Rows of out: minimum, maximum, clamp(x, -1 or 1, 50), abs."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask)
    tl.store(out + i, tl.minimum(a, b), mask=mask)
    tl.store(out + n + i, tl.maximum(a, b), mask=mask)
    tl.store(out + 2 * n + i, tl.where(a < b, a, b), mask=mask)
    tl.store(out + 3 * n + i, tl.abs(a), mask=mask)


def extremes_reference(x, y, **_):
    return {"out": np.stack([np.fmin(x, y), np.fmax(x, y), np.where(x < y, x, y), np.abs(x)])}


@triton.jit
def compare(x, y, out, n, BLOCK: tl.constexpr):
    """Rows of out: <, <=, >, >=, ==, !=, and combinations of them, as 0 or 1."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask)
    tl.store(out + i, a < b, mask=mask)
    tl.store(out + n + i, a <= b, mask=mask)
    tl.store(out + 2 * n + i, a > b, mask=mask)
    tl.store(out + 3 * n + i, a >= b, mask=mask)
    tl.store(out + 4 * n + i, a == b, mask=mask)
    tl.store(out + 5 * n + i, a != b, mask=mask)
    tl.store(out + 6 * n + i, (a < b) | (a == b), mask=mask)
    tl.store(out + 7 * n + i, ((a <= b) & (a >= b)) ^ (a > b), mask=mask)


def compare_reference(x, y, **_):
    rows = [x < y, x <= y, x > y, x >= y, x == y, x != y, (x < y) | (x == y)]
    return {"out": np.stack([*rows, ((x <= y) & (x >= y)) ^ (x > y)])}


def comparable(dtype):
    """Two arrays with equal, smaller and larger neighbours, and extreme values."""
    if dtype in FLOATS:
        special = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, -2.5]
    else:
        limits = np.iinfo(STORAGE[dtype])
        special = [0, 1, limits.min, limits.max, limits.max // 2 + 1, 5, 17]
    pairs = np.array(
        [(a, b) for a in special for b in special], np.float64 if dtype in FLOATS else STORAGE[dtype]
    )
    return [given(dtype, np.resize(column, N)) for column in pairs.T]


@triton.jit
def masked_zero_division(x, y, out, n, BLOCK: tl.constexpr):
    """x / y only where y is not zero, but computed everywhere."""
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i)
    b = tl.load(y + i)
    tl.store(out + i, a // b, mask=b != 0)
    tl.store(out + n + i, a % b, mask=b != 0)


def masked_zero_reference(x, y, out, **_):
    quotient, remainder = truncated_division(x, np.where(y == 0, 1, y))
    return {"out": np.where(y == 0, out, np.stack([quotient, remainder]))}


CASES = [
    *(
        elementwise(f"arithmetic-{d}", basic, basic_reference, two(d), 4, d, interpretable=d != "bf16")
        for d in DTYPES
    ),
    *(
        elementwise(
            f"integer-operators-{d}",
            integer_only,
            integer_reference,
            {"x": integers(d, N, low=np.iinfo(STORAGE[d]).min + 1), "y": divisors(d), "shift": shifts(d)},
            8,
            d,
            interpretable=d in SIGNED,  # the interpreter has no ~ of unsigned integers
        )
        for d in INTEGERS
    ),
    *(
        elementwise(
            f"division-{d}",
            float_division,
            lambda x, y, **_: {"out": np.stack([x / y, np.fmod(x, y)])},
            {"x": normal(d, N, scale=9), "y": uniform(d, N, low=0.5, high=3)},
            2,
            d,
        )
        for d in ("f32", "f64")
    ),
    *(
        elementwise(f"extremes-{d}", extremes, extremes_reference, two(d), 4, d)
        for d in ("i8", "u16", "i64", "f16", "f32")
    ),
    *(
        elementwise(
            f"compare-{d}",
            compare,
            compare_reference,
            dict(zip("xy", comparable(d), strict=True)),
            8,
            "i8",
            interpretable=d != "bf16",
        )
        for d in ("i8", "u8", "i32", "u32", "u64", "f16", "bf16", "f32", "f64")
    ),
    *(
        Case(
            id=f"masked-division-by-zero-{d}",
            kernel=masked_zero_division,
            args={
                "x": integers(d, 32, low=np.iinfo(STORAGE[d]).min + 1),
                "y": given(d, np.arange(32) % 5),
                "out": output(d, 2, 32),
                "n": 32,
            },
            meta={"BLOCK": 32},
            expect=masked_zero_reference,
        )
        for d in ("i32", "u64")
    ),
]
