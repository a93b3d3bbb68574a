"""Products of numbers that share a scale in groups, and reductions through tensor descriptors."""

import numpy as np
import triton
import triton.language as tl

from .arrays import integers, normal, numbers, output
from .case import Case
from .cases_float8 import table

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
GROUP = 32
BYTES = {"e4m3": tl.float8e4nv, "e5m2": tl.float8e5}


@triton.jit
def scaled(
    a, a_scale, b, b_scale, c, out,
    A: tl.constexpr, B: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr,
    A_PACK: tl.constexpr, B_PACK: tl.constexpr,
):  # fmt: skip
    m, n, g = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K // 32)
    ka, kb = tl.arange(0, K // A_PACK), tl.arange(0, K // B_PACK)
    x = tl.load(a + m[:, None] * (K // A_PACK) + ka[None, :])
    y = tl.load(b + kb[:, None] * N + n[None, :])
    s = tl.load(a_scale + m[:, None] * (K // 32) + g[None, :])
    t = tl.load(b_scale + n[:, None] * (K // 32) + g[None, :])
    at = m[:, None] * N + n[None, :]
    tl.store(out + at, tl.dot_scaled(x, s, A, y, t, B, tl.load(c + at)))


def decoded(form: str, stored: np.ndarray, axis: int) -> np.ndarray:
    """float64 of what is stored; e2m1 comes in bytes of two along `axis`, the first in the low half."""
    if form in BYTES:
        return table(BYTES[form])[stored]
    if form != "e2m1":
        return stored
    codes = np.stack([stored & 15, stored >> 4], axis + 1)
    shape = [size * (2 if d == axis else 1) for d, size in enumerate(stored.shape)]
    codes = codes.reshape(shape)
    return np.where(codes & 8, -1.0, 1.0) * E2M1[codes & 7]


def scaled_case(form_a, form_b):
    m, n, k = 16, 16, 64
    pack_a, pack_b = (2 if form == "e2m1" else 1 for form in (form_a, form_b))

    def stored(form, *shape):
        if form in BYTES:
            return integers("u8", *shape, low=0, high=0x5F)
        return integers("u8", *shape, low=0, high=255) if form == "e2m1" else normal(dtype_of(form), *shape)

    def dtype_of(form):
        return {"bf16": "bf16", "fp16": "f16"}[form]

    def expect(a, b, a_scale, b_scale, c, **_):
        x = decoded(form_a, a, 1) * np.repeat(2.0 ** (a_scale.astype(float) - 127), GROUP, 1)
        y = decoded(form_b, b, 0) * np.repeat(2.0 ** (b_scale.astype(float) - 127), GROUP, 1).T
        return {"out": x @ y + c}

    return Case(
        id=f"dot-scaled-{form_a}-{form_b}",
        kernel=scaled,
        args={
            "a": stored(form_a, m, k // pack_a),
            "b": stored(form_b, k // pack_b, n),
            "a_scale": integers("u8", m, k // GROUP, low=120, high=134),
            "b_scale": integers("u8", n, k // GROUP, low=120, high=134),
            "c": normal("f32", m, n),
            "out": output("f32", m, n),
        },
        meta={"A": form_a, "B": form_b, "M": m, "N": n, "K": k, "A_PACK": pack_a, "B_PACK": pack_b},
        expect=expect,
        ulps=64,
        atol=1e-2,  # cancellation between terms of up to 2**14
        interpretable=False,
    )


@triton.jit
def precise(a, b, out, HOW: tl.constexpr, N: tl.constexpr):
    at = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out + at, tl.dot(tl.load(a + at), tl.load(b + at), input_precision=HOW))


@triton.jit
def reduced_into(x, y, m, n, OP: tl.constexpr, BLOCK: tl.constexpr):
    """A block that reaches over the edge of both tensors."""
    source = tl.make_tensor_descriptor(x, [m, n], [n, 1], [BLOCK, BLOCK])
    target = tl.make_tensor_descriptor(y, [m, n], [n, 1], [BLOCK, BLOCK])
    a = tl.load_tensor_descriptor(source, [4, 8])
    if OP == "add":
        target.atomic_add([4, 8], a)
    elif OP == "min":
        target.atomic_min([4, 8], a)
    elif OP == "max":
        target.atomic_max([4, 8], a)
    elif OP == "and":
        target.atomic_and([4, 8], a)
    elif OP == "or":
        target.atomic_or([4, 8], a)
    elif OP == "xor":
        target.atomic_xor([4, 8], a)
    else:
        tl.store_tensor_descriptor(target, [4, 8], a)


REDUCTIONS = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "store": lambda old, new: new,
}


def reduced_case(op, dtype):
    def expect(x, y, **_):
        new = y.copy()
        new[4:, 8:] = REDUCTIONS[op](y[4:, 8:], x[4:, 8:])
        return {"y": new}

    return Case(
        id=f"descriptor-{op}-{dtype}",
        kernel=reduced_into,
        args={"x": numbers(dtype, 9, 12), "y": numbers(dtype, 9, 12), "m": 9, "n": 12},
        meta={"OP": op, "BLOCK": 8},
        expect=expect,
        interpretable=False,  # the interpreter has no reduction through descriptors
    )


CASES = [
    *(
        Case(
            id=f"dot-{how}",
            kernel=precise,
            args={"a": normal("f32", 16, 16), "b": normal("f32", 16, 16), "out": output("f32", 16, 16)},
            meta={"HOW": how, "N": 16},
            expect=lambda a, b, **_: {"out": a @ b},
            ulps=16,
            atol=1e-6,  # all of f32 counts, whatever the kernel would put up with
        )
        for how in ("ieee", "tf32", "tf32x3", "bf16x3", "bf16x6")
    ),
    *(
        scaled_case(a, b)
        for a, b in (
            ("e2m1", "e2m1"), ("e4m3", "e5m2"), ("e5m2", "e2m1"), ("bf16", "bf16"), ("fp16", "fp16"),
            ("bf16", "e4m3"),
        )
    ),
    *(reduced_case(op, dtype) for op in ("add", "min", "max") for dtype in ("i32", "u32", "u64")),
    *(reduced_case(op, dtype) for op in ("min", "max") for dtype in ("i64",)),
    *(reduced_case(op, dtype) for op in ("and", "or", "xor") for dtype in ("i32", "u32", "i64", "u64")),
    *(reduced_case("add", dtype) for dtype in ("f32", "f16", "bf16")),
    *(reduced_case("store", dtype) for dtype in ("f32", "i16", "f64")),
]  # fmt: skip
