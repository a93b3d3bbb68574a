"""Addresses computed in many ways: quotients and remainders, indices of indices, uneven strides."""

from itertools import pairwise

import numpy as np
import triton
import triton.language as tl

from .arrays import given, integers, normal, output, permutation
from .case import Case


@triton.jit
def narrowed(x, out, start, N: tl.constexpr):
    """Offsets of 64 bits whose upper half is dropped."""
    i = tl.arange(0, N)
    tl.store(out + i, tl.load(x + (i.to(tl.int64) + start).to(tl.int32)))


@triton.jit
def flat_transpose(x, out, m, n, BLOCK: tl.constexpr):
    """A transpose by // and % of a flat index, with run-time sizes."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < m * n
    row = i // n
    column = i % n
    tl.store(out + column * m + row, tl.load(x + i, mask=mask), mask=mask)


@triton.jit
def flat_constant(x, out, N: tl.constexpr, BLOCK: tl.constexpr):
    """// and % by constants, some of them powers of two."""
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + (i % N) * 8 + i // N))
    tl.store(out + BLOCK + i, tl.load(x + (i % 8) * 8 + i // 8))
    tl.store(out + 2 * BLOCK + i, tl.load(x + (i ^ 5)))
    tl.store(out + 3 * BLOCK + i, tl.load(x + (i & 7)))


def flat_reference(x, N, **_):
    i = np.arange(64)
    return {"out": np.stack([x[(i % N) * 8 + i // N], x[(i % 8) * 8 + i // 8], x[i ^ 5], x[i & 7]])}


@triton.jit
def convolution(x, weight, out, height, width, BLOCK: tl.constexpr, K: tl.constexpr):
    """A K x K convolution, each row of pixels by // and %, zero outside the image."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = i // width
    column = i % width
    total = tl.zeros((BLOCK,), tl.float32)
    for k in range(K * K):
        r = row + k // K - K // 2
        c = column + k % K - K // 2
        inside = (i < height * width) & (r >= 0) & (r < height) & (c >= 0) & (c < width)
        total += tl.load(x + r * width + c, mask=inside, other=0.0) * tl.load(weight + k)
    tl.store(out + i, total, mask=i < height * width)


def convolution_reference(x, weight, **_):
    (h, w), k = x.shape, len(weight)
    padded = np.pad(x, k // 2)
    return {"out": sum(weight[a, b] * padded[a : a + h, b : b + w] for a in range(k) for b in range(k))}


@triton.jit
def two_levels(x, first, second, out, n, BLOCK: tl.constexpr):
    """x[first[second[i]]]"""
    i = tl.arange(0, BLOCK)
    j = tl.load(second + i, mask=i < n, other=0)
    k = tl.load(first + j, mask=i < n, other=0)
    tl.store(out + i, tl.load(x + k, mask=i < n), mask=i < n)


@triton.jit
def embedding(table, index, out, width, tokens, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows that an index array picks, in a loop over pieces of their columns; padding tokens give zero."""
    t = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    row = tl.load(index + t, mask=t < tokens, other=-1)
    for start in range(0, width, COLUMNS):
        j = start + tl.arange(0, COLUMNS)
        mask = (row >= 0)[:, None] & (j < width)[None, :]
        a = tl.load(table + row[:, None] * width + j[None, :], mask=mask, other=0.0)
        tl.store(out + t[:, None] * width + j[None, :], a, mask=(t < tokens)[:, None] & (j < width)[None, :])


def embedding_reference(table, index, **_):
    return {"out": np.where((index >= 0)[:, None], table[np.maximum(index, 0)], 0)}


@triton.jit
def diagonal(x, out, n, N: tl.constexpr):
    """Both indices move together; and a band beside the diagonal."""
    i = tl.arange(0, N)
    tl.store(out + i, tl.load(x + i * n + i))
    band = tl.load(x + i[:, None] * n + i[:, None] + tl.arange(0, 4)[None, :])
    tl.store(out + N + tl.arange(0, N), tl.sum(band, 1))


def diagonal_reference(x, out, **_):
    n = out.shape[1]
    band = [x[i, i : i + 4].sum() for i in range(n)]
    return {"out": np.stack([x.diagonal()[:n], band])}


@triton.jit
def batched_strides(x, out, sb, sm, sn, B: tl.constexpr, M: tl.constexpr, N: tl.constexpr):
    """out[b, m] = max over n of x at strides of their own, from a pointer moved by the program's id."""
    x += tl.program_id(0).to(tl.int64) * sb
    m = tl.arange(0, M)
    n = tl.arange(0, N)
    a = tl.load(x + m[:, None] * sm + n[None, :] * sn)
    tl.store(out + tl.program_id(0) * M + m, tl.max(a, 1))


@triton.jit
def ragged(x, offsets, out, BLOCK: tl.constexpr):
    """Rows of different lengths, one after another in memory; one program sums up one of them."""
    row = tl.program_id(0)
    start = tl.load(offsets + row)
    end = tl.load(offsets + row + 1)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in range(start, end, BLOCK):
        i = k + tl.arange(0, BLOCK)
        total += tl.load(x + i, mask=i < end, other=0.0)
    tl.store(out + row, tl.sum(total))


ENDS = np.array([0, 3, 3, 40, 41, 57, 90])


CASES = [
    Case(
        id="index-flat-transpose",
        kernel=flat_transpose,
        grid=(5,),
        args={"x": normal("f32", 11, 13), "out": output("f32", 13, 11), "m": 11, "n": 13},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"out": x.T},
        ulps=0,
    ),
    Case(
        id="index-flat-constants",
        kernel=flat_constant,
        args={"x": normal("f32", 128), "out": output("f32", 4, 64)},
        meta={"N": 12, "BLOCK": 64},
        expect=lambda x, **_: flat_reference(x, 12),
        ulps=0,
    ),
    Case(
        id="index-convolution",
        kernel=convolution,
        grid=(5,),
        args={
            "x": normal("f32", 9, 14),
            "weight": normal("f32", 3, 3),
            "out": output("f32", 9, 14),
            **{"height": 9, "width": 14},
        },
        meta={"BLOCK": 32, "K": 3},
        expect=convolution_reference,
        ulps=8,
        atol=1e-5,
    ),
    Case(
        id="index-of-index",
        kernel=two_levels,
        args={
            "x": normal("f32", 40),
            "first": permutation("i32", 40),
            "second": permutation("i64", 40),
            "out": output("f32", 40),
            "n": 40,
        },
        meta={"BLOCK": 64},
        expect=lambda x, first, second, **_: {"out": x[first[second]]},
        ulps=0,
    ),
    Case(
        id="index-embedding",
        kernel=embedding,
        grid=(2,),
        args={
            "table": normal("f32", 10, 37),
            "index": integers("i32", 13, low=-1, high=9),
            "out": output("f32", 13, 37),
            **{"width": 37, "tokens": 13},
        },
        meta={"ROWS": 8, "COLUMNS": 16},
        expect=embedding_reference,
        ulps=0,
    ),
    Case(
        id="index-diagonal",
        kernel=diagonal,
        args={"x": normal("f32", 16, 21), "out": output("f32", 2, 16), "n": 21},
        meta={"N": 16},
        expect=diagonal_reference,
        ulps=4,
        atol=1e-6,
    ),
    *(
        Case(
            id=f"index-strides-{name}",
            kernel=batched_strides,
            grid=(3,),
            args={
                "x": normal("f32", *shape, view=lambda a, axes=axes: a.transpose(axes)),
                "out": output("f32", 3, 8),
                **dict(zip(("sb", "sm", "sn"), strides, strict=True)),
            },
            meta={"B": 3, "M": 8, "N": 16},
            expect=lambda x, **_: {"out": x.max(2)},
            ulps=0,
        )
        for name, shape, axes, strides in (
            ("bmn", (3, 8, 16), (0, 1, 2), (128, 16, 1)),
            ("nmb", (16, 8, 3), (2, 1, 0), (1, 3, 24)),
            ("mbn", (8, 3, 16), (1, 0, 2), (16, 48, 1)),
        )
    ),
    *(
        Case(
            id=f"index-cut-to-32-bits-{start}",
            kernel=narrowed,
            args={"x": normal("f32", 64), "out": output("f32", 32), "start": start},
            meta={"N": 32},
            expect=lambda x, **_: {"out": x[3:35]},
            ulps=0,
            interpretable=False,  # the interpreter converts without wrapping
        )
        for start in (3, 2**32 + 3)
    ),
    Case(
        id="index-ragged-rows",
        kernel=ragged,
        grid=(6,),
        args={
            "x": normal("f32", 90),
            "offsets": given("i32", ENDS),
            "out": output("f32", 6),
        },
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"out": [x[a:b].sum() for a, b in pairwise(ENDS)]},
        ulps=8,
        atol=1e-5,
    ),
]
