"""Matrix products: element types, accumulators, layouts, batches."""

import numpy as np
import triton
import triton.language as tl

from .arrays import given, integers, normal, output
from .case import Case


@triton.jit
def product(a, b, c, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, OUT: tl.constexpr):
    """c = a @ b, for one block."""
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    k = tl.arange(0, K)
    x = tl.load(a + i[:, None] * K + k[None, :])
    y = tl.load(b + k[:, None] * N + j[None, :])
    tl.store(c + i[:, None] * N + j[None, :], tl.dot(x, y, input_precision="ieee", out_dtype=OUT))


def values(dtype, *shape):
    return integers(dtype, *shape) if dtype == "i8" else normal(dtype, *shape)


def wide_product(a, b):
    """a @ b in float64, or in int32 with wrap-around."""
    return a @ b if a.dtype == np.float64 else a.astype(np.int32) @ b.astype(np.int32)


TYPES = {"f16": tl.float16, "f32": tl.float32, "f64": tl.float64, "i32": tl.int32}


def dot_case(dtype, out, m=16, n=16, k=16, ulps=8.0, atol=1e-5, **kwargs):
    size = "" if (m, n, k) == (16, 16, 16) else f"-{m}x{n}x{k}"
    return Case(
        id=f"dot-{dtype}-to-{out}{size}",
        kernel=product,
        args={"a": values(dtype, m, k), "b": values(dtype, k, n), "c": output(out, m, n)},
        meta={"M": m, "N": n, "K": k, "OUT": TYPES[out]},
        expect=lambda a, b, **_: {"c": wide_product(a, b)},
        ulps=ulps,
        atol=atol,
        **kwargs,
    )


@triton.jit
def accumulate(a, b, c, out, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """Rows of out: a given accumulator; one updated twice; one that is used again afterwards."""
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    k = tl.arange(0, K)
    x = tl.load(a + i[:, None] * K + k[None, :])
    y = tl.load(b + k[:, None] * N + j[None, :])
    at = i[:, None] * N + j[None, :]
    start = tl.load(c + at)
    once = tl.dot(x, y, start, input_precision="ieee")
    twice = tl.dot(x, y, once, input_precision="ieee")
    tl.store(out + at, once)
    tl.store(out + M * N + at, twice)
    tl.store(out + 2 * M * N + at, once - start)


@triton.jit
def layouts(a, b, c, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, A_T: tl.constexpr, B_T: tl.constexpr):
    """c = a @ b where a or b lie transposed in memory, or are transposed in registers."""
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    k = tl.arange(0, K)
    if A_T:
        x = tl.trans(tl.load(a + k[:, None] * M + i[None, :]))
    else:
        x = tl.load(a + i[:, None] * K + k[None, :])
    if B_T:  # noqa: SIM108 - a statement is what is tested
        y = tl.load(b + j[None, :] * K + k[:, None])
    else:
        y = tl.load(b + k[:, None] * N + j[None, :])
    tl.store(c + i[:, None] * N + j[None, :], tl.dot(x, y, input_precision="ieee"))


def layout_case(a_t, b_t):
    m, n, k = 16, 32, 64

    def expect(a, b, **_):
        return {"c": a @ b}

    return Case(
        id=f"dot-layout-{'t' if a_t else 'n'}{'t' if b_t else 'n'}",
        kernel=layouts,
        args={
            "a": normal("f32", *((k, m) if a_t else (m, k)), view=(lambda x: x.T) if a_t else (lambda x: x)),
            "b": normal("f32", *((n, k) if b_t else (k, n)), view=(lambda x: x.T) if b_t else (lambda x: x)),
            "c": output("f32", m, n),
        },
        meta={"M": m, "N": n, "K": k, "A_T": a_t, "B_T": b_t},
        expect=expect,
        ulps=16,
        atol=1e-5,
    )


@triton.jit
def batched(a, b, c, B: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """c[g] = a[g] @ b[g]"""
    g = tl.arange(0, B)[:, None, None]
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    k = tl.arange(0, K)
    x = tl.load(a + (g * M + i[None, :, None]) * K + k[None, None, :])
    y = tl.load(b + (g * K + k[None, :, None]) * N + j[None, None, :])
    tl.store(c + (g * M + i[None, :, None]) * N + j[None, None, :], tl.dot(x, y, input_precision="ieee"))


@triton.jit
def matmul(a, b, c, m, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, ACC: tl.constexpr):
    """The usual blocked product: wrapped rows and columns, grouped programs, masks on the last step."""
    columns = tl.cdiv(n, BN)
    pid_m = tl.program_id(0) // columns
    pid_n = tl.program_id(0) % columns
    i = (pid_m * BM + tl.arange(0, BM)) % m
    j = (pid_n * BN + tl.arange(0, BN)) % n
    kk = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), ACC)
    for start in range(0, k, BK):
        x = tl.load(a + i[:, None] * k + (start + kk)[None, :], mask=(start + kk)[None, :] < k, other=0)
        y = tl.load(b + (start + kk)[:, None] * n + j[None, :], mask=(start + kk)[:, None] < k, other=0)
        acc = tl.dot(x, y, acc, out_dtype=ACC, input_precision="ieee")
    i = pid_m * BM + tl.arange(0, BM)
    j = pid_n * BN + tl.arange(0, BN)
    tl.store(c + i[:, None] * n + j[None, :], acc, mask=(i[:, None] < m) & (j[None, :] < n))


def matmul_case(dtype, acc, out, ulps, atol, **kwargs):
    m, n, k = 45, 39, 70
    return Case(
        id=f"matmul-{dtype}-{acc}-{out}",
        kernel=matmul,
        grid=(3 * 3,),
        args={
            "a": values(dtype, m, k),
            "b": values(dtype, k, n),
            "c": output(out, m, n),
            **{"m": m, "n": n, "k": k},
        },
        meta={"BM": 16, "BN": 16, "BK": 32, "ACC": TYPES[acc]},
        expect=lambda a, b, **_: {"c": wide_product(a, b)},
        ulps=ulps,
        atol=atol,
        **kwargs,
    )


@triton.jit
def scaled(a, b, scale, bias, c, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """Quantised product with an epilogue: per-row scale, bias, clipping, back to int8."""
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    k = tl.arange(0, K)
    acc = tl.dot(tl.load(a + i[:, None] * K + k[None, :]), tl.load(b + k[:, None] * N + j[None, :]))
    real = acc.to(tl.float32) * tl.load(scale + i)[:, None] + tl.load(bias + j)[None, :]
    tl.store(c + i[:, None] * N + j[None, :], tl.clamp(tl.floor(real + 0.5), -128.0, 127.0).to(tl.int8))


CASES = [
    dot_case("f32", "f32"),
    dot_case("f32", "f32", 32, 64, 16, ulps=16),
    dot_case("f64", "f64", atol=1e-14),
    dot_case("f16", "f32"),
    dot_case("f16", "f16", ulps=4, atol=0.03),
    dot_case("bf16", "f32", interpretable=False),  # the interpreter multiplies the bits
    dot_case("i8", "i32"),
    dot_case("i8", "i32", 16, 32, 64),
    dot_case("f32", "f32", 1, 16, 16),
    dot_case("f32", "f32", 2, 4, 8),
    Case(
        id="dot-accumulators",
        kernel=accumulate,
        args={
            "a": normal("f32", 16, 32),
            "b": normal("f32", 32, 16),
            "c": normal("f32", 16, 16),
            "out": output("f32", 3, 16, 16),
        },
        meta={"M": 16, "N": 16, "K": 32},
        expect=lambda a, b, c, **_: {"out": np.stack([c + a @ b, c + 2 * a @ b, a @ b])},
        ulps=16,
        atol=2e-5,
    ),
    *(layout_case(a_t, b_t) for a_t in (False, True) for b_t in (False, True)),
    Case(
        id="dot-batched",
        kernel=batched,
        args={"a": normal("f32", 4, 16, 32), "b": normal("f32", 4, 32, 16), "c": output("f32", 4, 16, 16)},
        meta={"B": 4, "M": 16, "N": 16, "K": 32},
        expect=lambda a, b, **_: {"c": a @ b},
        ulps=16,
        atol=1e-5,
    ),
    Case(
        id="dot-batched-i8",
        kernel=batched,
        args={"a": integers("i8", 2, 16, 32), "b": integers("i8", 2, 32, 16), "c": output("i32", 2, 16, 16)},
        meta={"B": 2, "M": 16, "N": 16, "K": 32},
        expect=lambda a, b, **_: {"c": wide_product(a, b)},
    ),
    matmul_case("f32", "f32", "f32", 16, 2e-5),
    matmul_case("f16", "f32", "f16", 1, 2e-5),
    matmul_case("f16", "f32", "f32", 16, 2e-5),
    matmul_case("bf16", "f32", "bf16", 1, 2e-5, interpretable=False),
    matmul_case("i8", "i32", "i32", 0, 0),
    matmul_case("f64", "f64", "f64", 16, 1e-13),
    Case(
        id="dot-quantised-epilogue",
        kernel=scaled,
        args={
            "a": integers("i8", 16, 32),
            "b": integers("i8", 32, 16),
            # Scales that are powers of two: floor then sees the same number in float32 and float64.
            "scale": given("f32", 2.0 ** -(np.arange(16) % 4 + 9)),
            "bias": given("f32", np.arange(16) - 8),
            "c": output("i8", 16, 16),
        },
        meta={"M": 16, "N": 16, "K": 32},
        expect=lambda a, b, scale, bias, **_: {
            "c": np.clip(np.floor(wide_product(a, b) * scale[:, None] + bias + 0.5), -128, 127)
        },
    ),
]
