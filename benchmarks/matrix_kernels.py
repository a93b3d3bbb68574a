"""Kernels that benchmarks measure on matrix engines."""

import triton
import triton.language as tl


@triton.jit
def gemv(x, weight, out, n, k, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """out (n,) i32 = weight (n, k) @ x (k,), both i8; blocks divide n and k."""
    rows = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    acc = tl.zeros((1, BLOCK_N), tl.int32)
    for start in range(0, k, BLOCK_K):
        piece = tl.load(x + start + inner)[None, :]
        columns = tl.load(weight + rows[None, :] * k + start + inner[:, None])
        acc = tl.dot(piece, columns, acc, out_dtype=tl.int32)
    tl.store(out + rows[None, :], acc)


@triton.jit
def matmul4(a, b, out, n, k, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """out (m, n) i32 = a @ b of signed 4-bit integers, two in a byte; blocks divide m, n and k.

    a: (m, k) bytes, b: (k, n) bytes.  Lower halves meet lower halves, and upper ones upper ones.
    """
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.int32)
    for start in range(0, k, BLOCK_K):
        x = tl.load(a + rows[:, None] * k + start + inner[None, :])
        y = tl.load(b + (start + inner[:, None]) * n + columns[None, :])
        acc = tl.dot((x << 4) >> 4, (y << 4) >> 4, acc, out_dtype=tl.int32)
        acc = tl.dot(x >> 4, y >> 4, acc, out_dtype=tl.int32)
    tl.store(out + rows[:, None] * n + columns[None, :], acc)


@triton.jit
def gemv_rows(x, weight, out, n, k, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """out (n,) i32 = x (k,) @ weight (k, n), both i8; blocks divide n and k."""
    columns = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    acc = tl.zeros((1, BLOCK_N), tl.int32)
    for start in range(0, k, BLOCK_K):
        piece = tl.load(x + start + inner)[None, :]
        block = tl.load(weight + (start + inner[:, None]) * n + columns[None, :])
        acc = tl.dot(piece, block, acc, out_dtype=tl.int32)
    tl.store(out + columns[None, :], acc)
