"""8-bit floats: conversions with every rounding, storage, movement and products."""

import numpy as np
import triton
import triton.language as tl

from .arrays import Array, given, integers, normal, output
from .case import Case

# Triton's type -> bits of mantissa, bias, code of the largest number, and whether -0 is the only NaN.
# fp8e5 alone has infinities, from code 0x7C on.
FORMATS = {
    tl.float8e4nv: (3, 7, 0x7E, False),
    tl.float8e5: (2, 15, 0x7B, False),
    tl.float8e4b8: (3, 8, 0x7F, True),
    tl.float8e5b16: (2, 16, 0x7F, True),
    tl.float8e4b15: (3, 15, 0x7F, False),
}
OCP = (tl.float8e4nv, tl.float8e5, tl.float8e4b8, tl.float8e5b16)


def table(kind) -> np.ndarray:
    """The value of each of the 256 codes."""
    mantissa, bias, largest, unsigned_zero = FORMATS[kind]
    code = np.arange(128)
    exponent, fraction = code >> mantissa, code & ((1 << mantissa) - 1)
    normal_part = np.where(exponent > 0, 1.0, 0.0) + fraction / (1 << mantissa)
    values = normal_part * 2.0 ** (np.maximum(exponent, 1) - bias)
    values[largest + 1 :] = np.nan
    if kind is tl.float8e5:
        values[0x7C] = np.inf
    both = np.concatenate([values, -values])
    if unsigned_zero:
        both[0x80] = np.nan
    return both


def rounded(kind, x: np.ndarray, towards_zero: bool) -> np.ndarray:
    """The values of `kind` that `x` becomes; beyond the largest one that one."""
    positive = table(kind)[: FORMATS[kind][2] + 1]
    magnitude = np.abs(x)
    below = np.maximum(np.searchsorted(positive, magnitude, "right") - 1, 0)
    above = np.minimum(below + 1, len(positive) - 1)
    low, high = positive[below], positive[above]
    up = (magnitude - low > high - magnitude) | ((magnitude - low == high - magnitude) & (below % 2 == 1))
    chosen = np.where(up & (not towards_zero), high, low)
    return np.where(np.isnan(x), np.nan, np.copysign(chosen, x))


def difficult(rng) -> np.ndarray:
    """Numbers of many sizes, every code of every format, the middles between two, and their neighbours."""
    codes = np.concatenate([np.sort(table(kind)[np.isfinite(table(kind))]) for kind in OCP])
    middles = (codes[1:] + codes[:-1]) / 2
    near = np.concatenate([middles * (1 + 2.0**-45), middles * (1 - 2.0**-45)])
    spread = rng.standard_normal(700) * 2.0 ** rng.integers(-20, 20, 700)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 464.0, 465.0, 61440.0, 1e30, -1e-30]
    values = np.concatenate([codes, middles, near, spread, special])
    return np.resize(values, 8192)


@triton.jit
def narrow(x, out, KIND: tl.constexpr, ROUNDING: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i).to(KIND, fp_downcast_rounding=ROUNDING).to(tl.float32))


def narrow_case(kind, dtype, rounding):
    return Case(
        id=f"to-{kind}-from-{dtype}-{rounding or 'default'}",
        kernel=narrow,
        grid=(32,),
        args={"x": Array(dtype, (8192,), difficult), "out": output("f32", 8192)},
        meta={"KIND": kind, "ROUNDING": rounding, "BLOCK": 256},
        expect=lambda x, **_: {"out": rounded(kind, x, rounding == "rtz")},
        ulps=0,
        interpretable=False,  # the interpreter does not saturate
    )


@triton.jit
def widen(x, out, KIND: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i).to(KIND, bitcast=True).to(out.dtype.element_ty))


def widen_case(kind, dtype):
    def expect(x, **_):
        return {"out": table(kind)[x]}

    return Case(
        id=f"{dtype}-from-{kind}",
        kernel=widen,
        args={"x": given("u8", np.arange(256)), "out": output(dtype, 256)},
        meta={"KIND": kind, "BLOCK": 256},
        expect=expect,
        ulps=0,
        interpretable=False,  # the interpreter cannot cast bits to these types
    )


@triton.jit
def moved(x, y, out, n, KIND: tl.constexpr, M: tl.constexpr, N: tl.constexpr):
    """Loads with a mask, a choice, a transposition and a store, all of 8-bit floats."""
    at = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    kind = tl.pointer_type(KIND)
    a = tl.load(x.to(kind, bitcast=True) + at, mask=at < n, other=1.0)
    b = tl.load(y.to(kind, bitcast=True) + at)
    chosen = tl.where(a.to(tl.float32) > b.to(tl.float32), a, b)
    back = tl.arange(0, N)[:, None] * M + tl.arange(0, M)[None, :]
    tl.store(out.to(kind, bitcast=True) + back, tl.trans(chosen))


def moved_case(kind):
    def expect(x, y, n, **_):
        values = table(kind)
        one = int(np.flatnonzero(values == 1.0)[0])
        a = np.where(np.arange(128).reshape(8, 16) < n, x, one)
        return {"out": np.where(values[a] > values[y], a, y).T}

    return Case(
        id=f"moved-{kind}",
        kernel=moved,
        args={
            "x": integers("u8", 8, 16, low=1, high=0x70),
            "y": integers("u8", 8, 16, low=1, high=0x70),
            "out": output("u8", 16, 8),
            "n": 100,
        },
        meta={"KIND": kind, "M": 8, "N": 16},
        expect=expect,
        interpretable=False,  # it stores the value of a pointer that was cast, not its bits
    )


@triton.jit
def product(
    a, b, c, out, A: tl.constexpr, B: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr
):
    m, n, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    x = tl.load(a + m[:, None] * K + k[None, :]).to(A, bitcast=True)
    y = tl.load(b + k[:, None] * N + n[None, :]).to(B, bitcast=True)
    at = m[:, None] * N + n[None, :]
    tl.store(out + at, tl.dot(x, y, tl.load(c + at)))


def product_case(kind_a, kind_b):
    def expect(a, b, c, **_):
        return {"out": table(kind_a)[a] @ table(kind_b)[b] + c}

    return Case(
        id=f"dot-{kind_a}-{kind_b}",
        kernel=product,
        args={
            "a": integers("u8", 16, 32, low=0, high=0x5F),
            "b": integers("u8", 32, 16, low=0, high=0x5F),
            "c": normal("f32", 16, 16),
            "out": output("f32", 16, 16),
        },
        meta={"A": kind_a, "B": kind_b, "M": 16, "N": 16, "K": 32},
        expect=expect,
        ulps=64,
        interpretable=False,
    )


CASES = [
    *(
        narrow_case(kind, dtype, rounding)
        for kind in OCP
        for dtype, rounding in (
            ("f32", "rtne"), ("f32", "rtz"), ("f64", "rtne"), ("f64", "rtz"), ("f16", None), ("bf16", "rtz")
        )
    ),
    *(widen_case(kind, "f32") for kind in FORMATS),
    *(widen_case(kind, "f16") for kind in (tl.float8e4nv, tl.float8e5)),
    *(widen_case(kind, "f64") for kind in (tl.float8e4b8, tl.float8e5b16)),
    *(moved_case(kind) for kind in OCP),
    *(product_case(kind, kind) for kind in FORMATS),
    product_case(tl.float8e4nv, tl.float8e5),
]  # fmt: skip
