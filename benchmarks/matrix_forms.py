"""Kernels that benchmarks measure on what matrix engines do beside plain products; blocks divide sizes."""

import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def conv(x, w, out, ROWS: tl.constexpr, C: tl.constexpr, F: tl.constexpr, TAPS: tl.constexpr):
    """out (n - TAPS + 1, F) i32 = sum over t of x[t : t + n - TAPS + 1] @ w[t]; x (n, C), w (TAPS, C, F)"""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channels, filters = tl.arange(0, C), tl.arange(0, F)
    acc = tl.zeros((ROWS, F), tl.int32)
    for t in tl.static_range(TAPS):
        a = tl.load(x + (rows[:, None] + t) * C + channels[None, :])
        b = tl.load(w + (t * C + channels[:, None]) * F + filters[None, :])
        acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    tl.store(out + rows[:, None] * F + filters[None, :], acc)


@triton.jit
def blocks(a, b, scales, out, n, k, M: tl.constexpr, N: tl.constexpr, AT_ONCE: tl.constexpr):
    """out (M, n) f16 = a (M, k) i8 @ b (k, n) i8 times a scale (k / 32, n) f16 for 32 rows of a column

    AT_ONCE: blocks in a turn of the loop.
    """
    rows, columns = tl.arange(0, M), tl.program_id(0) * N + tl.arange(0, N)
    acc = tl.zeros((M, N), tl.float16)
    for first in range(0, k // 32, AT_ONCE):
        for number in tl.static_range(AT_ONCE):
            block = first + number
            scale = tl.load(scales + block * n + columns)
            for half in tl.static_range(2):
                inner = (2 * block + half) * 16 + tl.arange(0, 16)
                x = tl.load(a + rows[:, None] * k + inner[None, :])
                y = tl.load(b + inner[:, None] * n + columns[None, :])
                acc += tl.dot(x, y, out_dtype=tl.int32).to(tl.float16) * scale[None, :]
    tl.store(out + rows[:, None] * n + columns[None, :], acc)


@triton.jit
def sparse(a, values, mask, out, n, k, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """out (M, n) i32 = a (M, k) i8 @ the expansion of values (k / 2, n) i8 and mask (k / 4, n)"""
    rows, columns = tl.arange(0, M), tl.program_id(0) * N + tl.arange(0, N)
    acc = tl.zeros((M, N), tl.int32)
    for start in range(0, k, K):
        x = tl.load(a + rows[:, None] * k + start + tl.arange(0, K)[None, :])
        v = tl.load(values + (start // 2 + tl.arange(0, K // 2)[:, None]) * n + columns[None, :])
        bits = tl.load(mask + (start // 4 + tl.arange(0, K // 4)[:, None]) * n + columns[None, :])
        acc = tl.dot(x, smt.expand(v, bits), acc, out_dtype=tl.int32)
    tl.store(out + rows[:, None] * n + columns[None, :], acc)
