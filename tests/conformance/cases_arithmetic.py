"""Elementwise arithmetic: per element type, between types, comparisons, divisions, shifts."""

import math

import numpy as np
import triton
import triton.language as tl

from .arrays import (
    DTYPES,
    FLOATS,
    INTEGERS,
    SIGNED,
    STORAGE,
    UNSIGNED,
    decode,
    encode,
    given,
    integers,
    normal,
    numbers,
    output,
    uniform,
)
from .case import Case

N = 75  # not a multiple of the block, so that the last program is masked
BLOCK = 32
GRID = (triton.cdiv(N, BLOCK),)


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
    pairs = np.array([(a, b) for a in special for b in special], np.float64 if dtype in FLOATS else None)
    return [
        given(dtype, np.resize(column.astype(STORAGE[dtype] if dtype in INTEGERS else None), N))
        for column in pairs.T
    ]


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
def high_product(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    tl.store(out + i, tl.umulhi(tl.load(x + i, mask=mask), tl.load(y + i, mask=mask)), mask=mask)


def high_product_reference(x, y, **_):
    bits = 8 * x.dtype.itemsize
    product = x.astype(object) * y.astype(object)
    return {"out": np.array([int(p) >> bits for p in product], x.dtype)}


@triton.jit
def cast_all(x, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64, i1, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    tl.store(i8 + i, a.to(tl.int8), mask=mask)
    tl.store(i16 + i, a.to(tl.int16), mask=mask)
    tl.store(i32 + i, a.to(tl.int32), mask=mask)
    tl.store(i64 + i, a.to(tl.int64), mask=mask)
    tl.store(f16 + i, a.to(tl.float16), mask=mask)
    tl.store(bf16 + i, a.to(tl.bfloat16), mask=mask)
    tl.store(f32 + i, a.to(tl.float32), mask=mask)
    tl.store(f64 + i, a.to(tl.float64), mask=mask)
    tl.store(i1 + i, a != 0, mask=mask)
    if x.dtype.element_ty.is_floating():
        a = tl.abs(a)  # what a negative float becomes as an unsigned integer is not defined
    tl.store(u8 + i, a.to(tl.uint8), mask=mask)
    tl.store(u16 + i, a.to(tl.uint16), mask=mask)
    tl.store(u32 + i, a.to(tl.uint32), mask=mask)
    tl.store(u64 + i, a.to(tl.uint64), mask=mask)


def cast_reference(x, **_):
    is_float = x.dtype == np.float64
    wanted = {name: x for name in FLOATS}
    for name in SIGNED:
        wanted[name] = (np.trunc(x) if is_float else x).astype(STORAGE[name])
    for name in UNSIGNED:
        wanted[name] = (np.trunc(np.abs(x)) if is_float else x).astype(STORAGE[name])
    return wanted | {"i1": x != 0}


def castable(dtype):
    """Integers over the whole range (64-bit ones up to 2**40); floats that fit every integer type."""
    if dtype in FLOATS:
        return uniform(dtype, N, low=-127, high=127)
    if dtype.endswith("64"):
        return integers(dtype, N, low=0 if dtype[0] == "u" else -(2**40), high=2**40)
    return integers(dtype, N)


@triton.jit
def narrow(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    tl.store(out + i, tl.load(x + i, mask=mask).to(out.dtype.element_ty), mask=mask)


def rounding_edges(dtype):
    """f32 values at, below and above the midpoints of neighbours in `dtype`; subnormals; overflow."""
    shift = {"f16": 13, "bf16": 16}[dtype]
    words = []
    for value in (1.0, 1.5, -3.0, 0.1, 65472.0, 2.0**-15, -(2.0**-20), 3.0e38, 6.0e-8):
        (word,) = np.array([value], np.float32).view(np.uint32)
        top = int(word) >> shift << shift
        half = 1 << (shift - 1)
        words += [top + delta for delta in (0, 1, half - 1, half, half + 1, 2 * half - 1, 3 * half)]
    special = [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        65504.0,
        65519.9,
        65520.0,
        2.0**-24,
        2.0**-25,
        3.4e38,
        1e-45,
    ]
    floats = np.concatenate([np.array(words, np.uint32).view(np.float32), np.array(special, np.float32)])
    return given("f32", floats)


def narrow_case(dtype):
    edges = rounding_edges(dtype)
    return Case(
        id=f"round-f32-to-{dtype}",
        kernel=narrow,
        grid=(1,),
        args={"x": edges, "out": output(dtype, *edges.shape), "n": edges.shape[0]},
        meta={"BLOCK": 128},
        expect=lambda x, **_: {"out": decode(dtype, encode(dtype, x))},
        ulps=0,
        interpretable=dtype != "bf16",
    )


@triton.jit
def bit_pattern(x, out, back, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    mask = i < n
    bits = tl.load(x + i, mask=mask).to(tl.uint32, bitcast=True)
    tl.store(out + i, bits, mask=mask)
    tl.store(back + i, (bits ^ 0x80000000).to(tl.float32, bitcast=True), mask=mask)


@triton.jit
def mixed(x, y, z, out, n, BLOCK: tl.constexpr):
    """Implicit promotion: i8 * i32 + f16, then a constant, into f32."""
    i = tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    b = tl.load(y + i, mask=mask)
    c = tl.load(z + i, mask=mask).to(tl.float32)
    tl.store(out + i, (a * b + 3) * 0.5 + c, mask=mask)


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


def two(dtype):
    return {"x": numbers(dtype, N), "y": numbers(dtype, N)}


def case(id, kernel, expect, args, rows=None, dtype="f32", **kwargs):
    shape = (N,) if rows is None else (rows, N)
    args = args | {"out": output(dtype, *shape), "n": N}
    kwargs.setdefault("grid", GRID)
    return Case(id=id, kernel=kernel, args=args, meta={"BLOCK": BLOCK}, expect=expect, **kwargs)


CASES = [
    *(
        case(f"arithmetic-{d}", basic, basic_reference, two(d), 4, d, interpretable=d != "bf16")
        for d in DTYPES
    ),
    *(
        case(
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
        case(
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
        case(f"extremes-{d}", extremes, extremes_reference, two(d), 4, d)
        for d in ("i8", "u16", "i64", "f16", "f32")
    ),
    *(
        case(
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
        case(f"math-{d}", unary, unary_reference, {"x": normal(d, N, scale=4)}, 8, d, ulps=4)
        for d in ("f32", "f64")
    ),
    *(
        case(
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
    case(
        "round-to-nearest-f32",
        rounded,
        lambda x, y, z, **_: {"out": np.stack([x / y, np.sqrt(y), x * y + z])},
        {"x": normal("f32", N), "y": uniform("f32", N, low=0.5, high=3), "z": normal("f32", N)},
        3,
        ulps=0.5,
        interpretable=False,  # the interpreter's fma rounds twice
    ),
    *(case(f"umulhi-{d}", high_product, high_product_reference, two(d), None, d) for d in ("u32", "u64")),
    *(
        Case(
            id=f"cast-from-{d}",
            kernel=cast_all,
            grid=GRID,
            args={"x": castable(d), **{to: output(to, N, fill=1) for to in (*DTYPES, "i1")}, "n": N},
            meta={"BLOCK": BLOCK},
            expect=cast_reference,
            ulps=0.5,
            interpretable=False,  # the interpreter truncates to bf16, or copies bits
        )
        for d in DTYPES
    ),
    narrow_case("f16"),
    narrow_case("bf16"),
    Case(
        id="bitcast",
        kernel=bit_pattern,
        args={"x": normal("f32", 20), "out": output("u32", 20), "back": output("f32", 20), "n": 20},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"out": x.astype(np.float32).view(np.uint32), "back": -x},
        ulps=0,
    ),
    Case(
        id="promotion",
        kernel=mixed,
        args={
            "x": integers("i8", 20),
            "y": integers("i32", 20, low=-1000, high=1000),
            "z": normal("f16", 20),
            "out": output("f32", 20),
            "n": 20,
        },
        meta={"BLOCK": 32},
        expect=lambda x, y, z, **_: {"out": (x * y + 3) * 0.5 + z},
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
