"""Order of loads and stores: arrays that overlap, or are read and written in one program."""

import numpy as np
import triton
import triton.language as tl

from .arrays import normal, output
from .case import Case


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
def spread_row(x, out, n, BLOCK: tl.constexpr):
    """out[2 * k] = x[k]: loaded as a row of rank 1, stored as a block of rank 2."""
    row = tl.expand_dims(tl.load(x + tl.arange(0, BLOCK)), 0)
    to = tl.arange(0, 1)[:, None] + tl.arange(0, BLOCK)[None, :] * 2
    tl.store(out + to, row, mask=to < n)


def spread_reference(x, n, out, **_):
    spread = out.copy()
    spread[:n:2] = x[: len(spread[:n:2])]
    return {"out": spread}


CASES = [
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
        id="spread-row",
        kernel=spread_row,
        args={"x": normal("f32", 16), "out": normal("f32", 40), "n": 23},
        meta={"BLOCK": 16},
        expect=spread_reference,
        ulps=0,
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
]
