"""Operations that move elements and compute nothing."""

import numpy as np
import triton
import triton.language as tl

from .arrays import integers, normal, numbers, output
from .case import Case


@triton.jit
def transposed(x, out, M: tl.constexpr, N: tl.constexpr):
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    a = tl.load(x + i[:, None] * N + j[None, :])
    tl.store(out + j[:, None] * M + i[None, :], tl.trans(a))


@triton.jit
def permuted(
    x,
    out,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    P: tl.constexpr,
    Q: tl.constexpr,
    R: tl.constexpr,
):
    n: tl.constexpr = A * B * C
    a = tl.reshape(tl.load(x + tl.arange(0, n)), (A, B, C))
    tl.store(out + tl.arange(0, n), tl.reshape(tl.permute(a, (P, Q, R)), (n,)))


@triton.jit
def reshaped(x, out, N: tl.constexpr):
    """Through several shapes and back, with an operation in each."""
    a = tl.load(x + tl.arange(0, N))
    b = tl.reshape(a, (4, N // 4)) + tl.arange(0, 4)[:, None]
    c = tl.reshape(b, (N // 8, 2, 4)) * (1 + tl.arange(0, 2))[None, :, None]
    d = tl.sum(c, 1)
    tl.store(out + tl.arange(0, N // 2), tl.ravel(d))


def reshaped_reference(x, **_):
    b = x.reshape(4, -1) + np.arange(4)[:, None]
    return {"out": (b.reshape(-1, 2, 4) * np.array([1, 2])[:, None]).sum(1).ravel()}


@triton.jit
def broadcast(x, out, M: tl.constexpr, N: tl.constexpr):
    """Rows, columns, scalars and unit dimensions, made as large as the block."""
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    at = i[:, None] * N + j[None, :]
    column = tl.load(x + i)
    a = tl.broadcast_to(column[:, None], (M, N))
    b = tl.expand_dims(tl.load(x + j), 0)
    c = tl.full((M, N), 2.5, tl.float32) + tl.load(x)
    unit = tl.broadcast_to(tl.load(x + 1), (1, 1))
    tl.store(out + at, a + b * c + unit)


@triton.jit
def joined(a, b, out, N: tl.constexpr):
    """join, split and interleave."""
    i = tl.arange(0, N)
    x = tl.load(a + i)
    y = tl.load(b + i)
    pairs = tl.join(x, y)
    tl.store(out + tl.arange(0, 2 * N), tl.reshape(pairs, (2 * N,)))
    left, right = tl.split(tl.reshape(tl.load(out + tl.arange(0, 2 * N)), (N, 2)))
    tl.store(out + 2 * N + i, right)
    tl.store(out + 3 * N + i, left)
    tl.store(out + 4 * N + tl.arange(0, 2 * N), tl.interleave(y, x))


def joined_reference(a, b, **_):
    return {"out": np.concatenate([np.stack([a, b], 1).ravel(), b, a, np.stack([b, a], 1).ravel()])}


@triton.jit
def joined_2d(a, b, out, M: tl.constexpr, N: tl.constexpr):
    """join of matrices, transposed so that the pairs come first; then split again."""
    at = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    both = tl.permute(tl.join(tl.load(a + at), tl.load(b + at)), (2, 0, 1))
    tl.store(out + tl.arange(0, 2)[:, None, None] * M * N + at[None, :, :], both)
    x, y = tl.split(tl.permute(both * 2, (1, 2, 0)))
    tl.store(out + 2 * M * N + at, x - y)


@triton.jit
def concatenated(a, b, out, N: tl.constexpr):
    """tl.cat may put the elements in any order."""
    i = tl.arange(0, N)
    tl.store(out + tl.arange(0, 2 * N), tl.cat(tl.load(a + i), tl.load(b + i), can_reorder=True))


@triton.jit
def flipped(x, out, M: tl.constexpr, N: tl.constexpr):
    at = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    a = tl.load(x + at)
    tl.store(out + at, tl.flip(a, 1))
    tl.store(out + M * N + at, tl.flip(a, 0))


@triton.jit
def picked(x, index, out, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, AXIS: tl.constexpr):
    """tl.gather inside a block, along either axis."""
    a = tl.load(x + tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :])
    if AXIS == 1:
        at = tl.arange(0, M)[:, None] * K + tl.arange(0, K)[None, :]
    else:
        at = tl.arange(0, K)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out + at, tl.gather(a, tl.load(index + at), AXIS))


def picked_case(axis):
    m, n, k = 8, 16, 4
    shape = (m, k) if axis else (k, n)
    return Case(
        id=f"gather-in-block-axis{axis}",
        kernel=picked,
        args={
            "x": normal("f32", m, n),
            "index": integers("i32", *shape, low=0, high=(n if axis else m) - 1),
            "out": output("f32", *shape),
        },
        meta={"M": m, "N": n, "K": k, "AXIS": axis},
        expect=lambda x, index, **_: {"out": np.take_along_axis(x, index, axis)},
        ulps=0,
    )


@triton.jit
def constants(out, wide, N: tl.constexpr):
    """Tensors that come from nothing."""
    i = tl.arange(0, N)
    tl.store(out + i, tl.zeros((N,), tl.float32))
    tl.store(out + N + i, tl.full((N,), -2.5, tl.float32))
    tl.store(out + 2 * N + i, tl.zeros_like(i).to(tl.float32) + float("inf"))
    tl.store(out + 3 * N + i, tl.arange(N, 2 * N).to(tl.float32))
    tl.store(wide + i, tl.full((N,), 0x7FFF_FFFF_FFFF_FFF0, tl.int64) + i)


def constants_reference(wide, **_):
    n = len(wide)
    rows = [np.zeros(n), np.full(n, -2.5), np.full(n, np.inf), np.arange(n, 2 * n)]
    return {"out": np.stack(rows), "wide": 0x7FFF_FFFF_FFFF_FFF0 + np.arange(n)}


@triton.jit
def swizzled(out, M: tl.constexpr, N: tl.constexpr, GROUP: tl.constexpr):
    i = tl.arange(0, M)[:, None]
    j = tl.arange(0, N)[None, :]
    row, column = tl.swizzle2d(i, j, M, N, GROUP)
    tl.store(out + i * N + j, row * N + column)


def swizzled_reference(out, **_):
    """Columns first inside every group of rows; see `tl.swizzle2d`."""
    m, n = out.shape
    order = [
        (row, column)
        for start in range(0, m, 2)
        for column in range(n)
        for row in range(start, min(start + 2, m))
    ]
    return {"out": np.array([row * n + column for row, column in order]).reshape(m, n)}


CASES = [
    *(
        Case(
            id=f"transpose-{d}",
            kernel=transposed,
            args={"x": numbers(d, 8, 32), "out": output(d, 32, 8)},
            meta={"M": 8, "N": 32},
            expect=lambda x, **_: {"out": x.T},
            ulps=0,
        )
        for d in ("f32", "i8", "f16", "i64")
    ),
    *(
        Case(
            id="permute-" + "".join(map(str, p)),
            kernel=permuted,
            args={"x": normal("f32", 4, 8, 16), "out": output("f32", 512)},
            meta={"A": 4, "B": 8, "C": 16, "P": p[0], "Q": p[1], "R": p[2]},
            expect=lambda x, p=p, **_: {"out": x.transpose(p).ravel()},
            ulps=0,
        )
        for p in ((1, 2, 0), (2, 1, 0), (0, 2, 1))
    ),
    Case(
        id="reshape",
        kernel=reshaped,
        args={"x": normal("f32", 64), "out": output("f32", 32)},
        meta={"N": 64},
        expect=reshaped_reference,
        ulps=4,
        atol=1e-6,
    ),
    Case(
        id="broadcast",
        kernel=broadcast,
        args={"x": normal("f32", 16), "out": output("f32", 8, 16)},
        meta={"M": 8, "N": 16},
        expect=lambda x, **_: {"out": x[:8, None] + x * (2.5 + x[0]) + x[1]},
        ulps=4,
        atol=1e-6,
    ),
    Case(
        id="join-split-interleave",
        kernel=joined,
        args={"a": normal("f32", 16), "b": normal("f32", 16), "out": output("f32", 96)},
        meta={"N": 16},
        expect=joined_reference,
        ulps=0,
    ),
    Case(
        id="join-split-matrices",
        kernel=joined_2d,
        args={"a": normal("f32", 4, 8), "b": normal("f32", 4, 8), "out": output("f32", 3, 4, 8)},
        meta={"M": 4, "N": 8},
        expect=lambda a, b, **_: {"out": np.stack([a, b, 2 * a - 2 * b])},
    ),
    Case(
        id="concatenate",
        kernel=concatenated,
        args={"a": normal("f32", 16), "b": normal("f32", 16), "out": output("f32", 32)},
        meta={"N": 16},
        expect=lambda a, b, **_: {"out": np.concatenate([a, b])},
        canonical=np.sort,
        ulps=0,
    ),
    Case(
        id="flip",
        kernel=flipped,
        args={"x": normal("f32", 8, 16), "out": output("f32", 2, 8, 16)},
        meta={"M": 8, "N": 16},
        expect=lambda x, **_: {"out": np.stack([x[:, ::-1], x[::-1]])},
        ulps=0,
    ),
    picked_case(0),
    picked_case(1),
    Case(
        id="constants",
        kernel=constants,
        args={"out": output("f32", 4, 16), "wide": output("i64", 16)},
        meta={"N": 16},
        expect=constants_reference,
        ulps=0,
    ),
    Case(
        id="swizzle",
        kernel=swizzled,
        args={"out": output("i32", 4, 8)},
        meta={"M": 4, "N": 8, "GROUP": 2},
        expect=swizzled_reference,
    ),
]
