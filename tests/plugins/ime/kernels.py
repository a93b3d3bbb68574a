"""Kernels whose blocks reach beyond their matrices."""

import triton
import triton.language as tl


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
