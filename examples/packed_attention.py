"""Flash attention, forward, on packed tiles: softmax(q @ k.T * scale) @ v with both products by `smt.dot`.

The scores of a block of rows come out of the first product packed, and are seen plainly for the
softmax; one `view` packs the weights again, as the left operand of the second product.  That
one adds to `acc`, a plain tensor, through a view of it.
"""

import math

import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def packed_attention_kernel(
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
    MICRO_M: tl.constexpr,
    MICRO_N: tl.constexpr,
    MICRO_K: tl.constexpr,
    CAUSAL: tl.constexpr,
    HYBRID: tl.constexpr,
):
    """One program computes BLOCK_M rows of one head.

    The softmax is computed on line (Milakov and Gimelshein, 2018).  HYBRID takes `tl.dot` for the
    second product, on plain weights.
    """
    start = tl.program_id(0) * BLOCK_M
    base = tl.program_id(1) * stride_head
    rows = start + tl.arange(0, BLOCK_M)
    columns = tl.arange(0, BLOCK_N)
    size, steps = (length, HEAD), (stride_row, 1)
    q_block = tl.make_block_ptr(q_ptr + base, size, steps, (start, 0), (BLOCK_M, HEAD), (1, 0))
    # K's transpose: the same memory, read the other way.
    k_block = tl.make_block_ptr(
        k_ptr + base, (HEAD, length), (1, stride_row), (0, 0), (HEAD, BLOCK_N), (0, 1)
    )
    v_block = tl.make_block_ptr(v_ptr + base, size, steps, (0, 0), (BLOCK_N, HEAD), (1, 0))
    q = smt.view(smt.descriptor_load(q_block, (0, 0)), (0, 0), (BLOCK_M, HEAD), (MICRO_M, MICRO_K))

    row_max = tl.full((BLOCK_M,), -float("inf"), dtype=tl.float32)
    row_sum = tl.zeros((BLOCK_M,), dtype=tl.float32)
    acc = tl.zeros((BLOCK_M, HEAD), dtype=tl.float32)
    end = min(start + BLOCK_M, length) if CAUSAL else length
    for first in range(0, end, BLOCK_N):
        k = smt.view(smt.descriptor_load(k_block, (0, first)), (0, 0), (HEAD, BLOCK_N), (MICRO_K, MICRO_N))
        v = smt.descriptor_load(v_block, (first, 0))
        scores = smt.dot(q, k, out_dtype=tl.float32)
        scores = smt.view(scores, (0, 0), (BLOCK_M, BLOCK_N), (1, 1)) * scale_log2e
        keep = (first + columns < length)[None, :]
        if CAUSAL:
            keep = keep & (rows[:, None] >= (first + columns)[None, :])
        scores = tl.where(keep, scores, -float("inf"))
        new_max = tl.maximum(row_max, tl.max(scores, 1))
        p = tl.exp2(scores - new_max[:, None])
        correction = tl.exp2(row_max - new_max)
        row_sum = row_sum * correction + tl.sum(p, 1)
        acc = acc * correction[:, None]
        if HYBRID:
            acc = tl.dot(p.to(v.dtype), v, acc, input_precision="ieee")
        else:
            weights = smt.view(p.to(v.dtype), (0, 0), (BLOCK_M, BLOCK_N), (MICRO_M, MICRO_K))
            values = smt.view(v, (0, 0), (BLOCK_N, HEAD), (MICRO_K, MICRO_N))
            smt.dot(weights, values, smt.view(acc, (0, 0), (BLOCK_M, HEAD), (MICRO_M, MICRO_N)))
        row_max = new_max

    out_ptrs = out_ptr + base + rows[:, None] * stride_row + tl.arange(0, HEAD)[None, :]
    tl.store(out_ptrs, (acc / row_sum[:, None]).to(out_ptr.dtype.element_ty), mask=rows[:, None] < length)


def packed_attention(q, k, v, out, causal=False, hybrid=False, block=(64, 64), micro=(8, 16, 8)):
    """q, k, v, out: (heads, length, head size), contiguous, of one float dtype; head size: a power of 2.

    block: rows of q and of k that a program takes at once.  micro: sizes M, N, K of a tile of a product.
    """
    heads, length, head = q.shape
    block_m, block_n = block
    packed_attention_kernel[(triton.cdiv(length, block_m), heads)](
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
        MICRO_M=micro[0],
        MICRO_N=micro[1],
        MICRO_K=micro[2],
        CAUSAL=causal,
        HYBRID=hybrid,
    )
    return out
