"""Loads and stores through pointers: masks, gathers, scalars, conversions."""

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
        id="scalar-pointers",
        kernel=scalars,
        grid=(9,),
        args={"x": normal("f32", 9, 7), "out": output("f32", 2, 9), "n": 7},
        expect=scalars_reference,
        ulps=8,
        atol=1e-6,
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
]
