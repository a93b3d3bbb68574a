"""Flash attention, forward, in plain Triton: softmax(q @ k.T * scale) @ v without the score matrix."""

import math

import triton
import triton.language as tl


@triton.jit
def attention_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    stride_head,
    stride_row,
    length,
    scale_log2e,
    HEAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    CAUSAL: tl.constexpr,
):
    """One program computes BLOCK_M rows of one head.

    The softmax is computed on line (Milakov and Gimelshein, 2018): the row maximum and the row sum
    are carried along, and what was summed before a new maximum is scaled down.
    """
    start = tl.program_id(0) * BLOCK_M
    base = tl.program_id(1) * stride_head
    rows = start + tl.arange(0, BLOCK_M)
    columns = tl.arange(0, BLOCK_N)
    d = tl.arange(0, HEAD)
    q = tl.load(
        q_ptr + base + rows[:, None] * stride_row + d[None, :], mask=rows[:, None] < length, other=0.0
    )
    k_ptrs = k_ptr + base + columns[None, :] * stride_row + d[:, None]
    v_ptrs = v_ptr + base + columns[:, None] * stride_row + d[None, :]

    row_max = tl.full((BLOCK_M,), -float("inf"), dtype=tl.float32)
    row_sum = tl.zeros((BLOCK_M,), dtype=tl.float32)
    acc = tl.zeros((BLOCK_M, HEAD), dtype=tl.float32)
    end = min(start + BLOCK_M, length) if CAUSAL else length
    for first in range(0, end, BLOCK_N):
        inside = first + columns < length
        k = tl.load(k_ptrs, mask=inside[None, :], other=0.0)
        v = tl.load(v_ptrs, mask=inside[:, None], other=0.0)
        scores = tl.dot(q, k, input_precision="ieee") * scale_log2e
        keep = inside[None, :]
        if CAUSAL:
            keep = keep & (rows[:, None] >= (first + columns)[None, :])
        scores = tl.where(keep, scores, -float("inf"))
        new_max = tl.maximum(row_max, tl.max(scores, 1))
        p = tl.exp2(scores - new_max[:, None])
        correction = tl.exp2(row_max - new_max)
        row_sum = row_sum * correction + tl.sum(p, 1)
        acc = acc * correction[:, None]
        acc = tl.dot(p.to(v.dtype), v, acc, input_precision="ieee")
        row_max = new_max
        k_ptrs += BLOCK_N * stride_row
        v_ptrs += BLOCK_N * stride_row

    out_ptrs = out_ptr + base + rows[:, None] * stride_row + d[None, :]
    tl.store(out_ptrs, acc / row_sum[:, None], mask=rows[:, None] < length)


def attention(q, k, v, out, causal=False, block=(64, 64)):
    """q, k, v, out: (heads, length, head size), contiguous, of one float dtype; head size: a power of 2."""
    heads, length, head = q.shape
    block_m, block_n = block
    attention_kernel[(triton.cdiv(length, block_m), heads)](
        q,
        k,
        v,
        out,
        length * head,
        head,
        length,
        math.log2(math.e) / math.sqrt(head),
        HEAD=head,
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        CAUSAL=causal,
    )
    return out
