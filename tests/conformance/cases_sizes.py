"""Blocks from one element to many registers' worth, for operations that are made for vectors."""

import numpy as np
import triton
import triton.language as tl

from .arrays import integers, normal, output
from .case import Case


@triton.jit
def everything(x, out, rows, columns, scanned, M: tl.constexpr, N: tl.constexpr):
    """A map, both reductions and a scan of an M x N block."""
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    at = i[:, None] * N + j[None, :]
    a = tl.load(x + at)
    tl.store(out + at, a * 2 + i[:, None] - j[None, :])
    tl.store(rows + i, tl.sum(a, 1))
    tl.store(columns + j, tl.max(a, 0))
    tl.store(scanned + at, tl.cumsum(a, 1))


def everything_reference(x, **_):
    m, n = x.shape
    index = np.arange(m)[:, None] - np.arange(n)
    return {"out": 2 * x + index, "rows": x.sum(1), "columns": x.max(0), "scanned": np.cumsum(x, 1)}


def everything_case(m, n, dtype):
    is_float = dtype.startswith("f")
    return Case(
        id=f"size-{m}x{n}-{dtype}",
        kernel=everything,
        args={
            "x": normal(dtype, m, n) if is_float else integers(dtype, m, n, low=-99, high=99),
            "out": output(dtype, m, n),
            "rows": output(dtype, m),
            "columns": output(dtype, n),
            "scanned": output(dtype, m, n),
        },
        meta={"M": m, "N": n},
        expect=everything_reference,
        ulps=16,
        atol={"f64": 1e-13, "f32": 1e-4, "f16": 0.1}.get(dtype, 0),
    )


@triton.jit
def products(a, b, c, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    k = tl.arange(0, K)
    x = tl.load(a + i[:, None] * K + k[None, :])
    y = tl.load(b + k[:, None] * N + j[None, :])
    tl.store(c + i[:, None] * N + j[None, :], tl.dot(x, y, input_precision="ieee"))


def product_case(m, n, k, dtype="f32"):
    def expect(a, b, **_):
        return {"c": a @ b if a.dtype == np.float64 else a.astype(np.int32) @ b.astype(np.int32)}

    def values(*shape):
        return integers(dtype, *shape) if dtype == "i8" else normal(dtype, *shape)

    return Case(
        id=f"dot-size-{m}x{n}x{k}-{dtype}",
        kernel=products,
        args={"a": values(m, k), "b": values(k, n), "c": output("i32" if dtype == "i8" else "f32", m, n)},
        meta={"M": m, "N": n, "K": k},
        expect=expect,
        ulps=16,
        atol=1e-4,
    )


@triton.jit
def long_vector(x, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i, mask=i < n, other=0.0)
    a = tl.where(i < n, a - tl.sum(a) / n, 0.0)
    tl.store(out + i, a / tl.sqrt(tl.sum(a * a) / n), mask=i < n)


CASES = [
    *(
        everything_case(m, n, dtype)
        for m, n, dtype in (
            (1, 1, "f32"),
            (1, 2, "f32"),
            (2, 1, "f32"),
            (1, 64, "f32"),
            (64, 1, "f32"),
            (2, 4, "f32"),
            (4, 2, "i32"),
            (16, 128, "f32"),
            (128, 16, "f32"),
            (32, 32, "i64"),
            (4, 256, "i32"),
            (8, 8, "f64"),
            (2, 64, "f16"),
        )
    ),
    *(
        product_case(m, n, k, dtype)
        for m, n, k, dtype in (
            (1, 1, 1, "f32"),
            (1, 32, 8, "f32"),
            (32, 1, 8, "f32"),
            (4, 4, 64, "f32"),
            (8, 16, 1, "f32"),
            (64, 64, 64, "f32"),
            (16, 256, 32, "f32"),
            (128, 16, 16, "f16"),
            (2, 8, 4, "i8"),
            (1, 16, 32, "i8"),
            (64, 32, 64, "i8"),
        )
    ),
    Case(
        id="size-long-vector",
        kernel=long_vector,
        args={"x": normal("f32", 7001), "out": output("f32", 7001), "n": 7001},
        meta={"BLOCK": 8192},
        expect=lambda x, **_: {"out": (x - x.mean()) / x.std()},
        ulps=16,
        atol=1e-5,
    ),
]
