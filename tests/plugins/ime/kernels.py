"""Kernels whose blocks reach beyond their matrices."""

import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def masked_gemv(x, weight, out, n, k, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """out (n,) = weight (n, k) @ x (k,)"""
    rows = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros((1, BLOCK_N), tl.int32)
    for start in range(0, k, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        piece = tl.load(x + inner, inner < k, other=0)[None, :]
        inside = (rows[None, :] < n) & (inner[:, None] < k)
        columns = tl.load(weight + rows[None, :] * k + inner[:, None], inside, other=0)
        acc = tl.dot(piece, columns, acc, out_dtype=tl.int32)
    tl.store(out + rows[None, :], acc, rows[None, :] < n)


@triton.jit
def masked_product(a, b, out, m, n, k, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """out (m, n) = a (m, k) @ b (k, n)"""
    left = tl.make_block_ptr(a, (m, k), (k, 1), (tl.program_id(0) * M, 0), (M, K), (1, 0))
    right = tl.make_block_ptr(b, (k, n), (n, 1), (0, tl.program_id(1) * N), (K, N), (1, 0))
    acc = tl.zeros((M, N), tl.int32)
    for _ in range(0, k, K):
        x = tl.load(left, boundary_check=(0, 1), padding_option="zero")
        y = tl.load(right, boundary_check=(0, 1), padding_option="zero")
        acc = tl.dot(x, y, acc, out_dtype=tl.int32)
        left, right = tl.advance(left, (0, K)), tl.advance(right, (K, 0))
    place = tl.make_block_ptr(
        out, (m, n), (n, 1), (tl.program_id(0) * M, tl.program_id(1) * N), (M, N), (1, 0)
    )
    tl.store(place, acc, boundary_check=(0, 1))


@triton.jit
def strided_product(
    a, b, out, row, column, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, ACC: tl.constexpr
):
    """out (M, N) = a (M, K) @ b (K, N), rows of a and b `row` and `column` elements apart"""
    rows, columns, inner = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    x = tl.load(a + rows[:, None] * row + inner[None, :])
    y = tl.load(b + inner[:, None] * column + columns[None, :])
    tl.store(out + rows[:, None] * N + columns[None, :], tl.dot(x, y, out_dtype=ACC))


@triton.jit
def scaled_chain(a, b, scales, out, K: tl.constexpr, M: tl.constexpr, N: tl.constexpr, WAY: tl.constexpr):
    """Two turns of a loop with as many products into the sums as `a` (M, K) has tiles of 16 along K.

    WAY: "apart", a result between them is stored too; "same", all have the scale of the first; or "".
    """
    rows, columns = tl.arange(0, M), tl.arange(0, N)
    acc = tl.zeros((M, N), tl.float16)
    for turn in range(2):
        for step in tl.static_range(K // 16):
            inner = step * 16 + tl.arange(0, 16)
            x = tl.load(a + rows[:, None] * K + inner[None, :])
            y = tl.load(b + inner[:, None] * N + columns[None, :])
            which = 0 if WAY == "same" else step
            scale = tl.load(scales + (turn * (K // 16) + which) * N + columns)
            acc += tl.dot(x, y, out_dtype=tl.int32).to(tl.float16) * scale[None, :]
            if WAY == "apart":
                tl.store(out + (turn * (K // 16) + step) * M * N + rows[:, None] * N + columns[None, :], acc)
    tl.store(out + rows[:, None] * N + columns[None, :], acc)


@triton.jit
def packed_product(a, b, out, TILE: tl.constexpr):
    """out (32, 32) = a (32, 32) @ b (32, 32), packed in tiles of TILE, (M, N, K)"""
    left = tl.load(tl.make_block_ptr(a, (32, 32), (32, 1), (0, 0), (32, 32), (1, 0)))
    right = tl.load(tl.make_block_ptr(b, (32, 32), (32, 1), (0, 0), (32, 32), (1, 0)))
    x = smt.view(left, (0, 0), (32, 32), (TILE[0], TILE[2]))
    y = smt.view(right, (0, 0), (32, 32), (TILE[2], TILE[1]))
    to = tl.make_block_ptr(out, (32, 32), (32, 1), (0, 0), (32, 32), (1, 0))
    tl.store(to, smt.view(smt.dot(x, y), (0, 0), (32, 32), (1, 1)))
