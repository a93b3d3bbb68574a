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
    HALF: tl.constexpr,
    MASKED: tl.constexpr,
):
    """c (M, N) = relu(a (M, K) @ b (K, N) + bias (N,)) * scale in float32, stored in float16 or float32.

    Blocks of b divide it; those of a and c do where not MASKED.
    """
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, K)
    if MASKED:
        a = tl.load(a_ptr + rows[:, None] * K + inner[None, :], mask=rows[:, None] < M, other=0.0)
    else:
        a = tl.load(a_ptr + rows[:, None] * K + inner[None, :])
    b = tl.load(b_ptr + inner[:, None] * N + columns[None, :])
    acc = tl.dot(a, b, out_dtype=tl.float32, input_precision="ieee")
    acc += tl.load(bias_ptr + columns)[None, :]
    acc = tl.maximum(acc, 0.0) * scale
    place = c_ptr + rows[:, None] * N + columns[None, :]
    value = acc.to(tl.float16) if HALF else acc
    if MASKED:
        tl.store(place, value, mask=rows[:, None] < M)
    else:
        tl.store(place, value)
