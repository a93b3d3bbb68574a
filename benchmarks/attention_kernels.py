"""Attention on integers, as quantised models compute it, and attention's products by themselves."""

import triton
import triton.language as tl


@triton.jit
def attention_i8(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    stride_row,
    length,
    scale_log2e,
    HEAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """One head in 8-bit integers; the weights become 8-bit integers of a scale of 1/127.

    The scale of q and k is part of `scale_log2e`; the output has that of v.
    """
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.arange(0, BLOCK_N)
    d = tl.arange(0, HEAD)
    q = tl.load(q_ptr + rows[:, None] * stride_row + d[None, :], mask=rows[:, None] < length, other=0)
    k_ptrs = k_ptr + columns[None, :] * stride_row + d[:, None]
    v_ptrs = v_ptr + columns[:, None] * stride_row + d[None, :]
    row_max = tl.full((BLOCK_M,), -float("inf"), dtype=tl.float32)
    row_sum = tl.zeros((BLOCK_M,), dtype=tl.float32)
    acc = tl.zeros((BLOCK_M, HEAD), dtype=tl.float32)
    for first in range(0, length, BLOCK_N):
        inside = first + columns < length
        k = tl.load(k_ptrs, mask=inside[None, :], other=0)
        v = tl.load(v_ptrs, mask=inside[:, None], other=0)
        scores = tl.dot(q, k).to(tl.float32) * scale_log2e
        scores = tl.where(inside[None, :], scores, -float("inf"))
        new_max = tl.maximum(row_max, tl.max(scores, 1))
        p = tl.exp2(scores - new_max[:, None])
        correction = tl.exp2(row_max - new_max)
        row_sum = row_sum * correction + tl.sum(p, 1)
        weights = (p * 127.0 + 0.5).to(tl.int8)
        acc = acc * correction[:, None] + tl.dot(weights, v).to(tl.float32)
        row_max = new_max
        k_ptrs += BLOCK_N * stride_row
        v_ptrs += BLOCK_N * stride_row
    out_ptrs = out_ptr + rows[:, None] * stride_row + d[None, :]
    tl.store(out_ptrs, acc / (127.0 * row_sum[:, None]), mask=rows[:, None] < length)


@triton.jit
def products(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    stride_row,
    length,
    scale_log2e,
    HEAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """The sums over blocks of keys of q @ k.T and of w @ v, w the first rows of k: nothing lies between."""
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.arange(0, BLOCK_N)
    d = tl.arange(0, HEAD)
    q = tl.load(q_ptr + rows[:, None] * stride_row + d[None, :], mask=rows[:, None] < length, other=0)
    weights = tl.load(k_ptr + rows[:, None] * stride_row + d[None, :], mask=rows[:, None] < length, other=0)
    k_ptrs = k_ptr + columns[None, :] * stride_row + d[:, None]
    v_ptrs = v_ptr + columns[:, None] * stride_row + d[None, :]
    total: tl.constexpr = tl.int32 if q_ptr.dtype.element_ty == tl.int8 else tl.float32
    scores = tl.zeros((BLOCK_M, BLOCK_N), dtype=total)
    acc = tl.zeros((BLOCK_M, HEAD), dtype=total)
    for first in range(0, length, BLOCK_N):
        inside = first + columns < length
        k = tl.load(k_ptrs, mask=inside[None, :], other=0)
        v = tl.load(v_ptrs, mask=inside[:, None], other=0)
        scores = tl.dot(q, k, scores, out_dtype=total)
        acc = tl.dot(weights, v, acc, out_dtype=total)
        k_ptrs += BLOCK_N * stride_row
        v_ptrs += BLOCK_N * stride_row
    out_ptrs = out_ptr + rows[:, None] * stride_row + d[None, :]
    tl.store(out_ptrs, (scores + acc).to(tl.float32), mask=rows[:, None] < length)
