"""Loads and stores through pointers: masks, strides, wrap-around, gathers, aliasing."""

import numpy as np
import triton
import triton.language as tl

from .arrays import DTYPES, given, integers, normal, numbers, output, permutation
from .case import Case


@triton.jit
def copy(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n), mask=i < n)


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
def load_other(x, other, out, n, BLOCK: tl.constexpr):
    """Rows of out: masked-off elements are 0 by default, a scalar, a tensor."""
    i = tl.arange(0, BLOCK)
    rest = tl.load(other + i)
    tl.store(out + i, tl.load(x + i, mask=i < n, other=-1.5))
    tl.store(out + BLOCK + i, tl.load(x + i, mask=i < n, other=rest))
    tl.store(out + 2 * BLOCK + i, tl.where(i < n, tl.load(x + i, mask=i < n), 4.0))


def load_other_reference(x, other, n, **_):
    inside = np.arange(len(other)) < n
    x = np.pad(x, (0, len(other) - len(x)))
    return {"out": np.stack([np.where(inside, x, rest) for rest in (-1.5, other, 4.0)])}


@triton.jit
def irregular_mask(x, keep, out, BLOCK: tl.constexpr):
    """Masks that are no interval: every third element, and one read from memory."""
    i = tl.arange(0, BLOCK)
    mask = (i % 3 == 1) | (tl.load(keep + i) != 0)
    tl.store(out + i, tl.load(x + i, mask=mask, other=9.0), mask=i != 5)


def irregular_reference(x, keep, out, **_):
    i = np.arange(len(x))
    return {"out": np.where(i != 5, np.where((i % 3 == 1) | keep.astype(bool), x, 9.0), out)}


@triton.jit
def window(x, out, low, high, BLOCK: tl.constexpr):
    """Interval masks with a lower bound, which may be empty or reversed."""
    i = tl.arange(0, BLOCK)
    mask = (i >= low) & (i < high)
    tl.store(out + i, tl.load(x + i, mask=mask, other=-1.0), mask=(i <= high) & (low < i))


def window_reference(x, out, low, high, **_):
    i = np.arange(len(x))
    return {"out": np.where((i <= high) & (low < i), np.where((i >= low) & (i < high), x, -1.0), out)}


@triton.jit
def uniform_mask(x, out, enabled, BLOCK: tl.constexpr):
    """A mask that is one truth value for all elements."""
    i = tl.arange(0, BLOCK)
    mask = (i < BLOCK) & (enabled > 0)
    tl.store(out + i, tl.load(x + i, mask=mask, other=3.0))
    tl.store(out + BLOCK + i, tl.load(x + i), mask=enabled > 0)


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
def gather_elements(x, index, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    at = tl.load(index + i, mask=mask, other=0)
    tl.store(out + i, tl.load(x + at, mask=mask), mask=mask)


@triton.jit
def scatter_elements(x, index, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    tl.store(out + tl.load(index + i, mask=mask), tl.load(x + i, mask=mask), mask=mask)


def scatter_reference(x, index, out, **_):
    out = out.copy()
    out[index] = x
    return {"out": out}


@triton.jit
def gather_rows(x, index, out, stride, n, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows = tl.load(index + tl.arange(0, ROWS))
    j = tl.arange(0, COLUMNS)
    mask = (j < n)[None, :]
    a = tl.load(x + rows[:, None] * stride + j[None, :], mask=mask, other=-2.0)
    tl.store(out + tl.arange(0, ROWS)[:, None] * COLUMNS + j[None, :], a)


def gather_rows_reference(x, index, out, n, **_):
    return {"out": np.pad(x[index][:, :n], ((0, 0), (0, out.shape[1] - n)), constant_values=-2.0)}


@triton.jit
def scatter_rows(x, index, out, stride, n, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows = tl.load(index + tl.arange(0, ROWS))
    j = tl.arange(0, COLUMNS)
    a = tl.load(x + tl.arange(0, ROWS)[:, None] * COLUMNS + j[None, :])
    tl.store(out + rows[:, None] * stride + j[None, :], a, mask=(j < n)[None, :] & (rows >= 0)[:, None])


def scatter_rows_reference(x, index, out, n, **_):
    out = out.copy()
    for row, at in zip(x, index, strict=True):
        if at >= 0:
            out[at, :n] = row[:n]
    return {"out": out}


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
def scalars(x, out, n):
    """One program adds up its row element by element, through scalar pointers."""
    row = tl.program_id(0)
    x += row * n
    total = 0.0
    for _ in range(n):
        total += tl.load(x)
        x += 1
    tl.store(out + row, total)
    if total > 0:
        tl.store(out + tl.num_programs(0) + row, 1.0)


def scalars_reference(x, out, **_):
    total = x.sum(1)
    return {"out": np.stack([total, np.where(total > 0, 1.0, out[1])])}


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
def swap(a, b, n, BLOCK: tl.constexpr):
    """Both loads come before both stores, also where a and b overlap."""
    i = tl.arange(0, BLOCK)
    mask = i < n
    x = tl.load(a + i, mask=mask)
    y = tl.load(b + i, mask=mask)
    tl.store(a + i, y, mask=mask)
    tl.store(b + i, x, mask=mask)


@triton.jit
def reverse_in_place(x, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i, mask=i < n)
    tl.store(x + (n - 1 - i), a, mask=i < n)


@triton.jit
def shift_in_place(x, n, by, BLOCK: tl.constexpr):
    """x[by : n + by] = x[:n], overlapping."""
    i = tl.arange(0, BLOCK)
    tl.store(x + by + i, tl.load(x + i, mask=i < n), mask=i < n)


def shift_reference(x, n, by, **_):
    shifted = x.copy()
    shifted[by : n + by] = x[:n]
    return {"x": shifted}


@triton.jit
def store_then_load(x, out, BLOCK: tl.constexpr):
    """A load sees an earlier store, and not a later one."""
    i = tl.arange(0, BLOCK)
    old = tl.load(x + i)
    tl.store(x + i, old * 2)
    new = tl.load(x + (BLOCK - 1 - i))
    tl.store(x + i, old + 100)
    tl.store(out + i, old)
    tl.store(out + BLOCK + i, new)


@triton.jit
def transpose_in_place(x, N: tl.constexpr):
    i = tl.arange(0, N)
    a = tl.load(x + i[:, None] * N + i[None, :])
    tl.store(x + i[None, :] * N + i[:, None], a)


@triton.jit
def hints(x, out, n, BLOCK: tl.constexpr):
    """Cache hints and promises about pointers, which change no value."""
    i = tl.program_id(0) * BLOCK + tl.max_contiguous(tl.multiple_of(tl.arange(0, BLOCK), BLOCK), BLOCK)
    tl.assume(n > 0)
    a = tl.load(x + i, mask=i < n, other=0, eviction_policy="evict_last", cache_modifier=".cg")
    tl.store(out + i, a, mask=i < n, eviction_policy="evict_first", cache_modifier=".wb")


@triton.jit
def converting_store(x, half, byte, n, BLOCK: tl.constexpr):
    """A store converts to the pointer's element type; a scalar goes to every element."""
    i = tl.arange(0, BLOCK)
    tl.store(half + i, tl.load(x + i, mask=i < n), mask=i < n)
    tl.store(byte + i, 3, mask=i < n)


@triton.jit
def flags(x, out, n, BLOCK: tl.constexpr):
    """Booleans in memory are bytes."""
    i = tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask)
    tl.store(out + i, tl.where(a, False, True), mask=mask)


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


def copy_case(id, n, dtype="f32", block=64, grid=None, **kwargs):
    return Case(
        id=id,
        kernel=copy,
        grid=grid or (triton.cdiv(n, block),),
        args={"x": numbers(dtype, n, **kwargs), "out": output(dtype, n, fill=1, **kwargs), "n": n},
        meta={"BLOCK": block},
        expect=lambda x, **_: {"out": x},
        ulps=0,
    )


def whole(a):
    return a


CASES = [
    *(copy_case(f"copy-{n}", n) for n in (1, 2, 3, 63, 64, 65, 1000)),
    *(copy_case(f"copy-{d}", 77, d) for d in (*DTYPES, "i1") if d != "f32"),
    copy_case("copy-numpy-arrays", 77, numpy=True),
    copy_case("copy-large-block", 5000, block=4096),
    copy_case("copy-block-of-1", 5, block=1),
    Case(
        id="empty-grid",
        kernel=copy,
        grid=(0,),
        args={"x": numbers("f32", 9), "out": output("f32", 9), "n": 9},
        meta={"BLOCK": 16},
        expect=lambda **_: {},
    ),
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
    Case(
        id="masked-other",
        kernel=load_other,
        args={"x": normal("f32", 11), "other": normal("f32", 16), "out": output("f32", 3, 16), "n": 11},
        meta={"BLOCK": 16},
        expect=load_other_reference,
        ulps=0,
    ),
    Case(
        id="masked-irregularly",
        kernel=irregular_mask,
        args={"x": normal("f32", 64), "keep": integers("i8", 64, low=0, high=1), "out": output("f32", 64)},
        meta={"BLOCK": 64},
        expect=irregular_reference,
        ulps=0,
    ),
    *(
        Case(
            id=f"masked-window-{name}",
            kernel=window,
            args={"x": normal("f32", 32), "out": output("f32", 32), "low": low, "high": high},
            meta={"BLOCK": 32},
            expect=window_reference,
            ulps=0,
        )
        for name, low, high in (("inner", 5, 20), ("empty", 7, 7), ("reversed", 20, 5), ("outside", -9, 90))
    ),
    *(
        Case(
            id=f"masked-uniformly-{enabled}",
            kernel=uniform_mask,
            args={"x": normal("f32", 16), "out": output("f32", 2, 16), "enabled": enabled},
            meta={"BLOCK": 16},
            expect=lambda x, out, enabled, **_: {
                "out": np.stack([x, x] if enabled else [np.full(16, 3.0), out[1]])
            },
            ulps=0,
        )
        for enabled in (0, 5)
    ),
    wrap_case("wrap-rows", 11, 16, 7, 0, True, False),
    wrap_case("wrap-columns", 8, 23, 0, 17, False, True),
    wrap_case("wrap-both", 11, 19, 9, 12, True, True),
    wrap_case("wrap-rows-often", 3, 16, 4, 0, True, False),
    wrap_case("wrap-columns-often", 8, 5, 0, 13, False, True),
    wrap_case("wrap-not-needed", 20, 40, 3, 7, True, True),
    Case(
        id="gather-elements",
        kernel=gather_elements,
        grid=(3,),
        args={
            "x": normal("f32", 50),
            "index": integers("i32", 70, low=0, high=49),
            "out": output("f32", 70),
            "n": 70,
        },
        meta={"BLOCK": 32},
        expect=lambda x, index, **_: {"out": x[index]},
        ulps=0,
    ),
    Case(
        id="gather-elements-i64-f16",
        kernel=gather_elements,
        grid=(3,),
        args={
            "x": normal("f16", 50),
            "index": integers("i64", 70, low=0, high=49),
            "out": output("f16", 70),
            "n": 70,
        },
        meta={"BLOCK": 32},
        expect=lambda x, index, **_: {"out": x[index]},
        ulps=0,
    ),
    Case(
        id="scatter-elements",
        kernel=scatter_elements,
        grid=(3,),
        args={"x": normal("f32", 70), "index": permutation("i32", 70), "out": output("f32", 80), "n": 70},
        meta={"BLOCK": 32},
        expect=scatter_reference,
        ulps=0,
    ),
    Case(
        id="gather-rows",
        kernel=gather_rows,
        args={
            "x": normal("f32", 20, 30),
            "index": integers("i64", 8, low=0, high=19),
            "out": output("f32", 8, 32),
            "stride": 30,
            "n": 27,
        },
        meta={"ROWS": 8, "COLUMNS": 32},
        expect=gather_rows_reference,
        ulps=0,
    ),
    Case(
        id="scatter-rows",
        kernel=scatter_rows,
        args={
            "x": normal("f32", 8, 32),
            "index": given("i32", [5, -1, 19, 0, 7, -1, 2, 11]),
            "out": output("f32", 20, 30),
            "stride": 30,
            "n": 27,
        },
        meta={"ROWS": 8, "COLUMNS": 32},
        expect=scatter_rows_reference,
        ulps=0,
    ),
    Case(
        id="wide-offsets",
        kernel=wide_offsets,
        args={"x": normal("f32", 50), "out": output("f32", 16), "stride": 4, "n": 50},
        meta={"BLOCK": 16},
        expect=wide_reference,
        ulps=0,
    ),
    Case(
        id="scalar-pointers",
        kernel=scalars,
        grid=(9,),
        args={"x": normal("f32", 9, 7), "out": output("f32", 2, 9), "n": 7},
        expect=scalars_reference,
        ulps=8,
        atol=1e-6,
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
        id="swap",
        kernel=swap,
        args={"a": normal("f32", 30), "b": normal("f32", 30), "n": 30},
        meta={"BLOCK": 32},
        expect=lambda a, b, **_: {"a": b, "b": a},
        ulps=0,
    ),
    Case(
        id="swap-whole-blocks",
        kernel=swap,
        args={"a": normal("f64", 64), "b": normal("f64", 64), "n": 64},
        meta={"BLOCK": 64},
        expect=lambda a, b, **_: {"a": b, "b": a},
        ulps=0,
    ),
    Case(
        id="reverse-in-place",
        kernel=reverse_in_place,
        args={"x": normal("f32", 27), "n": 27},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"x": x[::-1]},
        ulps=0,
    ),
    *(
        Case(
            id=f"shift-in-place-by-{by}",
            kernel=shift_in_place,
            args={"x": normal("f32", 40), "n": 30, "by": by},
            meta={"BLOCK": 32},
            expect=shift_reference,
            ulps=0,
        )
        for by in (1, 5)
    ),
    Case(
        id="store-then-load",
        kernel=store_then_load,
        args={"x": normal("f32", 16), "out": output("f32", 2, 16)},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"x": x + 100, "out": np.stack([x, 2 * x[::-1]])},
        ulps=1,
    ),
    Case(
        id="transpose-in-place",
        kernel=transpose_in_place,
        args={"x": normal("f32", 16, 16)},
        meta={"N": 16},
        expect=lambda x, **_: {"x": x.T},
        ulps=0,
    ),
    Case(
        id="cache-hints",
        kernel=hints,
        grid=(3,),
        args={"x": normal("f32", 40), "out": output("f32", 40), "n": 40},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"out": x},
        ulps=0,
    ),
    Case(
        id="converting-store",
        kernel=converting_store,
        args={"x": normal("f32", 27), "half": output("f16", 27), "byte": output("i8", 27), "n": 27},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"half": x, "byte": np.int8(3)},
    ),
    Case(
        id="booleans",
        kernel=flags,
        args={"x": numbers("i1", 27), "out": output("i1", 27), "n": 27},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"out": ~x},
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
