"""Kernels for the instructions that do more than a plain product: convolutions, scales, sparse weights."""

import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def conv1d(
    x,
    w,
    out,
    n,
    c,
    f,
    ROWS: tl.constexpr,
    C: tl.constexpr,
    F: tl.constexpr,
    TAPS: tl.constexpr,
    ACC: tl.constexpr,
):
    """out (n - TAPS + 1, f) = sum over t of x[t : t + n - TAPS + 1] @ w[t]; x (n, c), w (TAPS, c, f)"""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    filters = tl.program_id(1) * F + tl.arange(0, F)
    acc = tl.zeros((ROWS, F), ACC)
    for start in range(0, c, C):
        channels = start + tl.arange(0, C)
        for t in tl.static_range(TAPS):
            at = rows[:, None] + t
            a = tl.load(x + at * c + channels[None, :], (at < n) & (channels[None, :] < c), other=0)
            inside = (channels[:, None] < c) & (filters[None, :] < f)
            b = tl.load(w + (t * c + channels[:, None]) * f + filters[None, :], inside, other=0)
            acc = tl.dot(a, b, acc, out_dtype=ACC)
    inside = (rows[:, None] < n - TAPS + 1) & (filters[None, :] < f)
    tl.store(out + rows[:, None] * f + filters[None, :], acc, inside)


@triton.jit
def conv2d(x, w, out, width, C: tl.constexpr, F: tl.constexpr, COLUMNS: tl.constexpr, TAPS: tl.constexpr):
    """out (h - TAPS + 1, width - TAPS + 1, F), x (h, width, C), w (TAPS, TAPS, C, F); a row per program"""
    row = tl.program_id(1)
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    channels, filters = tl.arange(0, C), tl.arange(0, F)
    acc = tl.zeros((COLUMNS, F), tl.int32)
    for dy in range(TAPS):
        for dx in tl.static_range(TAPS):
            at = columns[:, None] + dx
            a = tl.load(x + ((row + dy) * width + at) * C + channels[None, :], at < width, other=0)
            b = tl.load(w + ((dy * TAPS + dx) * C + channels[:, None]) * F + filters[None, :])
            acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    place = out + (row * (width - TAPS + 1) + columns[:, None]) * F + filters[None, :]
    tl.store(place, acc, columns[:, None] < width - TAPS + 1)


@triton.jit
def masked_alike(x, w, out, n, ROWS: tl.constexpr, C: tl.constexpr, F: tl.constexpr, TAPS: tl.constexpr):
    """As conv1d, but rows of x are left out where their results are: the taps see different rows."""
    rows = tl.arange(0, ROWS)
    channels, filters = tl.arange(0, C), tl.arange(0, F)
    acc = tl.zeros((ROWS, F), tl.int32)
    for t in tl.static_range(TAPS):
        a = tl.load(x + (rows[:, None] + t) * C + channels[None, :], rows[:, None] < n, other=1)
        b = tl.load(w + (t * C + channels[:, None]) * F + filters[None, :])
        acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    tl.store(out + rows[:, None] * F + filters[None, :], acc)


@triton.jit
def written_between(x, w, out, ROWS: tl.constexpr, C: tl.constexpr, F: tl.constexpr):
    """Two taps, and a store to the rows of the second one between them."""
    rows = tl.arange(0, ROWS)
    channels, filters = tl.arange(0, C), tl.arange(0, F)
    a = tl.load(x + rows[:, None] * C + channels[None, :])
    b = tl.load(w + channels[:, None] * F + filters[None, :])
    acc = tl.dot(a, b, out_dtype=tl.int32)
    tl.store(x + (rows[:, None] + 1) * C + channels[None, :], a)
    a = tl.load(x + (rows[:, None] + 1) * C + channels[None, :])
    acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    tl.store(out + rows[:, None] * F + filters[None, :], acc)


@triton.jit
def blocks(
    a, b, scales, out, m, n, k,
    M: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr, PARTS: tl.constexpr, BITS: tl.constexpr,
    TYPE: tl.constexpr,
):  # fmt: skip
    """out (m, n) += (a block @ b block) * its scales, all in TYPE; a block is PARTS products of BLOCK deep

    a (m, k), b (k, n) i8, of which the lower BITS bits count; scales (k / (BLOCK * PARTS), n)
    """
    rows, columns = tl.program_id(0) * M + tl.arange(0, M), tl.program_id(1) * N + tl.arange(0, N)
    acc = tl.zeros((M, N), TYPE)
    for block in range(0, k // (BLOCK * PARTS)):
        scale = tl.load(scales + block * n + columns, columns < n, other=0)
        for part in tl.static_range(PARTS):
            inner = (block * PARTS + part) * BLOCK + tl.arange(0, BLOCK)
            x = tl.load(a + rows[:, None] * k + inner[None, :], rows[:, None] < m, other=0)
            y = tl.load(b + inner[:, None] * n + columns[None, :], columns[None, :] < n, other=0)
            if BITS == 4:
                x, y = (x << 4) >> 4, (y << 4) >> 4
            acc += tl.dot(x, y, out_dtype=tl.int32).to(TYPE) * scale[None, :]
    inside = (rows[:, None] < m) & (columns[None, :] < n)
    tl.store(out + rows[:, None] * n + columns[None, :], acc, inside)


@triton.jit
def sparse(
    a, values, mask, out, m, n, k, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr
):
    """out (m, n) = a (m, k) @ the expansion of values (k / 2, n) and mask (k / 4, n)"""
    rows, columns = tl.program_id(0) * M + tl.arange(0, M), tl.program_id(1) * N + tl.arange(0, N)
    acc = tl.zeros((M, N), tl.int32)
    for start in range(0, k, K):
        inner = start + tl.arange(0, K)
        x = tl.load(
            a + rows[:, None] * k + inner[None, :], (rows[:, None] < m) & (inner[None, :] < k), other=0
        )
        two, four = start // 2 + tl.arange(0, K // 2), start // 4 + tl.arange(0, K // 4)
        inside = columns[None, :] < n
        v = tl.load(values + two[:, None] * n + columns[None, :], inside & (two[:, None] < k // 2), other=0)
        bits = tl.load(
            mask + four[:, None] * n + columns[None, :], inside & (four[:, None] < k // 4), other=0
        )
        if BITS == 4:
            x, v = (x << 4) >> 4, (v << 4) >> 4
        acc = tl.dot(x, smt.expand(v, bits), acc, out_dtype=tl.int32)
    tl.store(out + rows[:, None] * n + columns[None, :], acc, (rows[:, None] < m) & (columns[None, :] < n))


@triton.jit
def row_by_matrix(x, weight, out, n, k, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, ACC: tl.constexpr):
    """out (n,) = x (k,) @ weight (k, n)"""
    columns = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros((1, BLOCK_N), ACC)
    for start in range(0, k, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        piece = tl.load(x + inner, inner < k, other=0)[None, :]
        inside = (inner[:, None] < k) & (columns[None, :] < n)
        block = tl.load(weight + inner[:, None] * n + columns[None, :], inside, other=0)
        acc = tl.dot(piece, block, acc, out_dtype=ACC)
    tl.store(out + columns[None, :], acc, columns[None, :] < n)
