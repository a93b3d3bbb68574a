"""Loads and stores with any strides, and with indices that wrap around."""

import numpy as np
import triton
import triton.language as tl

from .arrays import normal, numbers, output
from .case import Case


@triton.jit
def copy_strided(x, out, m, n, xm, xn, om, on, M: tl.constexpr, N: tl.constexpr):
    """out[i, j] = x[i, j] for any strides, in elements."""
    i = tl.program_id(0) * M + tl.arange(0, M)
    j = tl.program_id(1) * N + tl.arange(0, N)
    mask = (i[:, None] < m) & (j[None, :] < n)
    a = tl.load(x + i[:, None] * xm + j[None, :] * xn, mask=mask, other=0)
    tl.store(out + i[:, None] * om + j[None, :] * on, a, mask=mask)


def strided_case(id, x, out, dtype="f32", m=13, n=21, numpy=False):
    """A copy between two views of row-major arrays of 26 x 42 elements."""
    base = (26, 42)
    xv = x(np.empty(base))[:m, :n]
    ov = out(np.empty(base))[:m, :n]
    strides = [s // 8 for s in (*xv.strides, *ov.strides)]
    return Case(
        id=id,
        kernel=copy_strided,
        grid=(2, 3),
        args={
            "x": numbers(dtype, *base, view=lambda a: x(a)[:m, :n], numpy=numpy),
            "out": output(dtype, *base, view=lambda a: out(a)[:m, :n], numpy=numpy),
            **dict(zip(("m", "n", "xm", "xn", "om", "on"), (m, n, *strides), strict=True)),
        },
        meta={"M": 8, "N": 8},
        expect=lambda x, **_: {"out": x},
        ulps=0,
    )


@triton.jit
def wrap_around(
    x,
    out,
    m,
    n,
    start_row,
    start_column,
    M: tl.constexpr,
    N: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """A block that begins at (start_row, start_column) and wraps around in rows or columns."""
    i = start_row + tl.arange(0, M)
    j = start_column + tl.arange(0, N)
    if ROWS:
        i = i % m
    if COLUMNS:
        j = j % n
    a = tl.load(x + i[:, None] * n + j[None, :])
    tl.store(out + tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :], a)


def wrap_case(id, m, n, start_row, start_column, rows, columns):
    def expect(x, **_):
        i = start_row + np.arange(8)
        j = start_column + np.arange(16)
        return {"out": x[np.ix_(i % m if rows else i, j % n if columns else j)]}

    args = {"x": normal("f32", m, n), "out": output("f32", 8, 16), "m": m, "n": n}
    return Case(
        id=id,
        kernel=wrap_around,
        args=args | {"start_row": start_row, "start_column": start_column},
        meta={"M": 8, "N": 16, "ROWS": rows, "COLUMNS": columns},
        expect=expect,
        ulps=0,
    )


@triton.jit
def wide_offsets(x, out, stride, n, BLOCK: tl.constexpr):
    """64-bit offsets whose 32-bit products would overflow, brought back into range."""
    i = tl.arange(0, BLOCK)
    far = i.to(tl.int64) * 4_000_000_000 + 3
    near = far - i.to(tl.int64) * (4_000_000_000 - stride.to(tl.int64))
    tl.store(out + i, tl.load(x + near, mask=near < n, other=0.5))


def wide_reference(x, out, stride, n, **_):
    at = np.arange(len(out)) * stride + 3
    return {"out": np.where(at < n, x[np.minimum(at, n - 1)], 0.5)}


@triton.jit
def cube(x, out, a, b, c, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """out[k, i, j] = x[i, j, k], 3-D, with a mask in every dimension."""
    i = tl.arange(0, A)[:, None, None]
    j = tl.arange(0, B)[None, :, None]
    k = tl.arange(0, C)[None, None, :]
    mask = (i < a) & (j < b) & (k < c)
    value = tl.load(x + (i * b + j) * c + k, mask=mask)
    tl.store(out + (k * a + i) * b + j, value, mask=mask)


@triton.jit
def broadcast_row(x, bias, out, m, n, M: tl.constexpr, N: tl.constexpr):
    """A row and a column loaded as 2-D blocks with a unit dimension; a stride of zero."""
    i = tl.arange(0, M)[:, None]
    j = tl.arange(0, N)[None, :]
    mask = (i < m) & (j < n)
    column = tl.load(x + i * n, mask=i < m, other=0.0)
    row = tl.load(bias + j, mask=j < n, other=0.0)
    same = tl.load(bias + i * 0 + j, mask=mask, other=0.0)
    tl.store(out + i * n + j, column + 10 * row + 100 * same, mask=mask)


def whole(a):
    return a


CASES = [
    strided_case("strided-rows", whole, whole),
    strided_case("strided-to-transposed", whole, lambda a: a.reshape(42, 26).T),
    strided_case("strided-from-transposed", lambda a: a.reshape(42, 26).T, whole),
    strided_case("strided-every-second", lambda a: a[::2, ::2], whole),
    strided_case("strided-negative-columns", lambda a: a[:, ::-1], whole),
    strided_case("strided-negative-rows", whole, lambda a: a[::-1]),
    strided_case("strided-negative-both", lambda a: a[::-1, ::-1], lambda a: a[::-1, ::-1], numpy=True),
    strided_case("strided-negative-i8", lambda a: a[::-1, ::-2], whole, dtype="i8"),
    strided_case("strided-negative-bf16", lambda a: a[::-1, ::-1], whole, dtype="bf16"),
    strided_case(
        "strided-transposed-u16", lambda a: a.reshape(42, 26).T, lambda a: a.reshape(42, 26).T, "u16"
    ),
    wrap_case("wrap-rows", 11, 16, 7, 0, True, False),
    wrap_case("wrap-columns", 8, 23, 0, 17, False, True),
    wrap_case("wrap-both", 11, 19, 9, 12, True, True),
    wrap_case("wrap-rows-often", 3, 16, 4, 0, True, False),
    wrap_case("wrap-columns-often", 8, 5, 0, 13, False, True),
    wrap_case("wrap-not-needed", 20, 40, 3, 7, True, True),
    Case(
        id="wide-offsets",
        kernel=wide_offsets,
        args={"x": normal("f32", 50), "out": output("f32", 16), "stride": 4, "n": 50},
        meta={"BLOCK": 16},
        expect=wide_reference,
        ulps=0,
    ),
    Case(
        id="three-dimensions",
        kernel=cube,
        args={"x": normal("f32", 3, 5, 7), "out": output("f32", 7, 3, 5), "a": 3, "b": 5, "c": 7},
        meta={"A": 4, "B": 8, "C": 8},
        expect=lambda x, **_: {"out": x.transpose(2, 0, 1)},
        ulps=0,
    ),
    Case(
        id="broadcast-row-and-column",
        kernel=broadcast_row,
        args={
            "x": normal("f32", 5, 11),
            "bias": normal("f32", 11),
            "out": output("f32", 5, 11),
            "m": 5,
            "n": 11,
        },
        meta={"M": 8, "N": 16},
        expect=lambda x, bias, **_: {"out": x[:, :1] + 110 * bias},
        ulps=4,
        atol=1e-5,
    ),
]
