"""Masks of every kind, and memory that masked lanes must not touch."""

import numpy as np
import triton
import triton.language as tl

from .arrays import normal, output
from .case import Case

FAR = 1 << 44  # bytes or elements away from any array, in no process's memory


@triton.jit
def triangle(x, out, n, N: tl.constexpr, STRICT: tl.constexpr):
    """The lower triangle, as causal attention masks it, within n x n."""
    i = tl.arange(0, N)[:, None]
    j = tl.arange(0, N)[None, :]
    inside = (i < n) & (j < n)
    keep = (i > j) if STRICT else (i >= j)
    a = tl.load(x + i * n + j, mask=inside & keep, other=-5.0)
    tl.store(out + i * n + j, a, mask=inside)
    tl.store(out + n * n + i * n + j, a, mask=inside & ~keep)


def triangle_reference(x, out, strict):
    below = np.tri(len(x), k=-1 if strict else 0, dtype=bool)
    kept = np.where(below, x, -5.0)
    return {"out": np.stack([kept, np.where(below, out[1], -5.0)])}


@triton.jit
def untouched(x, out, far, n, BLOCK: tl.constexpr):
    """Lanes beyond n, and whole loads that are off, point to where no memory is."""
    i = tl.arange(0, BLOCK)
    away = tl.where(i < n, 0, 1).to(tl.int64) * far
    a = tl.load(x + i + away, mask=i < n, other=1.0)
    b = tl.load(x + i.to(tl.int64) + far, mask=i < 0, other=2.0)
    c = tl.load(x + far, mask=n > BLOCK, other=3.0)
    tl.store(out + i + away, a + b + c, mask=i < n)
    tl.store(out + i.to(tl.int64) + far, a, mask=i >= BLOCK)
    tl.store(out + far, c, mask=n > BLOCK)


@triton.jit
def unsigned_bound(x, out, low, n, BLOCK: tl.constexpr):
    """One unsigned comparison in place of two signed ones."""
    i = tl.arange(0, BLOCK) - low
    mask = i.to(tl.uint32) < n.to(tl.uint32)
    tl.store(out + tl.arange(0, BLOCK), tl.load(x + i, mask=mask, other=-1.0))


def unsigned_reference(x, out, low, n, **_):
    i = np.arange(len(out)) - low
    inside = (i >= 0) & (i < n)
    return {"out": np.where(inside, x[np.clip(i, 0, len(x) - 1)], -1.0)}


@triton.jit
def combined(x, y, out, n, flag, BLOCK: tl.constexpr):
    """Masks joined by and, or, not, with scalars and with data; masks as values."""
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i, mask=i < n, other=0.0)
    b = tl.load(y + i, mask=i < n, other=0.0)
    positive = a > 0
    larger = a > b
    tl.store(out + i, a, mask=(i < n) & (positive | larger) & (flag == 1))
    tl.store(out + BLOCK + i, b, mask=(i < n) & ~(positive & larger))
    tl.store(out + 2 * BLOCK + i, (positive == larger).to(tl.float32))
    tl.store(out + 3 * BLOCK + i, tl.where(flag == 1, tl.where(positive, a, b), 0.0))
    tl.store(out + 4 * BLOCK + i, (positive ^ larger).to(tl.float32) - larger.to(tl.int32))


def combined_reference(x, y, out, n, flag, **_):
    a, b = (np.pad(v[:n], (0, out.shape[1] - n)) for v in (x, y))
    inside = np.arange(out.shape[1]) < n
    positive, larger = a > 0, a > b
    return {
        "out": np.stack(
            [
                np.where(inside & (positive | larger) & (flag == 1), a, out[0]),
                np.where(inside & ~(positive & larger), b, out[1]),
                positive == larger,
                np.where(positive, a, b) if flag == 1 else 0 * a,
                (positive ^ larger) * 1.0 - larger,
            ]
        )
    }


@triton.jit
def rows_and_columns(x, out, m, n, low, M: tl.constexpr, N: tl.constexpr):
    """Two-sided bounds in both dimensions, and one that joins rows with data."""
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    rows = (i >= low) & (i < m)
    columns = (j > low) & (j <= n)
    a = tl.load(x + i[:, None] * N + j[None, :], mask=rows[:, None] & columns[None, :], other=0.25)
    tl.store(out + i[:, None] * N + j[None, :], a, mask=(i[:, None] != 2) & (j[None, :] < N - 1))


def rows_reference(x, out, m, n, low, **_):
    i, j = np.arange(x.shape[0])[:, None], np.arange(x.shape[1])
    a = np.where((i >= low) & (i < m) & (j > low) & (j <= n), x, 0.25)
    return {"out": np.where((i != 2) & (j < x.shape[1] - 1), a, out)}


@triton.jit
def carried_mask(x, out, steps, BLOCK: tl.constexpr):
    """A loop that carries a mask: lanes drop out as they grow too large."""
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i)
    alive = a == a
    count = tl.zeros((BLOCK,), tl.int32)
    for _ in range(steps):
        a = tl.where(alive, a * 1.5, a)
        alive = alive & (tl.abs(a) < 8.0)
        count += alive.to(tl.int32)
    tl.store(out + i, count)
    tl.store(out + BLOCK + i, i, mask=alive)


def carried_reference(x, out, steps, **_):
    x = x.astype(np.float32)
    alive, count = np.ones(len(x), bool), np.zeros(len(x), int)
    for _ in range(steps):
        x = np.where(alive, x * np.float32(1.5), x)
        alive &= np.abs(x) < 8
        count += alive
    return {"out": np.stack([count, np.where(alive, np.arange(len(x)), out[1])])}


CASES = [
    *(
        Case(
            id=f"mask-triangle{'-strict' if strict else ''}-{n}",
            kernel=triangle,
            args={"x": normal("f32", n, n), "out": output("f32", 2, n, n), "n": n},
            meta={"N": 16, "STRICT": strict},
            expect=lambda x, out, strict=strict, **_: triangle_reference(x, out, strict),
            ulps=0,
        )
        for n, strict in ((16, False), (11, True))
    ),
    *(
        Case(
            id=f"mask-leaves-memory-alone-{n}",
            kernel=untouched,
            args={"x": normal("f32", n), "out": output("f32", n), "far": FAR, "n": n},
            meta={"BLOCK": 32},
            expect=lambda x, **_: {"out": x + 5},
        )
        for n in (1, 21, 32)
    ),
    Case(
        id="mask-unsigned-bound",
        kernel=unsigned_bound,
        args={"x": normal("f32", 20), "out": output("f32", 32), "low": 5, "n": 20},
        meta={"BLOCK": 32},
        expect=unsigned_reference,
        ulps=0,
    ),
    *(
        Case(
            id=f"mask-combined-{flag}",
            kernel=combined,
            args={
                "x": normal("f32", 32),
                "y": normal("f32", 32),
                "out": output("f32", 5, 32),
                **{"n": 27, "flag": flag},
            },
            meta={"BLOCK": 32},
            expect=combined_reference,
            ulps=0,
        )
        for flag in (0, 1)
    ),
    *(
        Case(
            id=f"mask-rows-and-columns-{m}-{n}-{low}",
            kernel=rows_and_columns,
            args={"x": normal("f32", 8, 16), "out": output("f32", 8, 16), "m": m, "n": n, "low": low},
            meta={"M": 8, "N": 16},
            expect=rows_reference,
            ulps=0,
        )
        for m, n, low in ((6, 11, 3), (99, 99, -4), (3, 20, 5))
    ),
    Case(
        id="mask-carried-by-loop",
        kernel=carried_mask,
        args={"x": normal("f32", 32), "out": output("i32", 2, 32), "steps": 9},
        meta={"BLOCK": 32},
        expect=carried_reference,
    ),
]
