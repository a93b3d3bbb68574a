"""Conversions between element types, and what rounds."""

import numpy as np
import triton
import triton.language as tl

from .arrays import (
    DTYPES,
    FLOATS,
    SIGNED,
    STORAGE,
    UNSIGNED,
    decode,
    encode,
    given,
    integers,
    normal,
    output,
    uniform,
)
from .case import Case
from .elementwise import BLOCK, GRID, N


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


CASES = [
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
]
