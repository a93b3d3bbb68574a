"""Kernels that the benchmark and the tests of the matrix unit measure."""

import triton
import triton.language as tl


@triton.jit
def linear(
    a_ptr,
    b_ptr,
    bias_ptr,
    c_ptr,
    M,
    N,
    scale: tl.constexpr,
    K: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    HALF: tl.constexpr,
    MASKED: tl.constexpr,
):
    """c (M, N) = relu(a (M, K) @ b (K, N) + bias (N,)) * scale in float32, stored in float16 or float32.

    Blocks divide b; they do a and c where not MASKED.
    """
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, K, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        if MASKED:
            a = tl.load(a_ptr + rows[:, None] * K + inner[None, :], mask=rows[:, None] < M, other=0.0)
        else:
            a = tl.load(a_ptr + rows[:, None] * K + inner[None, :])
        b = tl.load(b_ptr + inner[:, None] * N + columns[None, :])
        acc = tl.dot(a, b, acc, input_precision="ieee")
    acc += tl.load(bias_ptr + columns)[None, :]
    acc = tl.maximum(acc, 0.0) * scale
    place = c_ptr + rows[:, None] * N + columns[None, :]
    value = acc.to(tl.float16) if HALF else acc
    if MASKED:
        tl.store(place, value, mask=rows[:, None] < M)
    else:
        tl.store(place, value)
