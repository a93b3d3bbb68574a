"""Scores of attention, q @ k.T * scale, on packed tiles: k packed once and used by several blocks of rows."""

import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def packed_scores_kernel(
    q_ptr,
    k_ptr,
    out_ptr,
    rows,
    columns,
    scale,
    HEAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SUB_M: tl.constexpr,
    MICRO_M: tl.constexpr,
    MICRO_N: tl.constexpr,
    MICRO_K: tl.constexpr,
):
    """One program computes BLOCK_M x BLOCK_N scores, SUB_M rows at a time.

    The sums of all sub-blocks are parts of one `acc`; `scale` is known at run time only.
    """
    row, column = tl.program_id(0) * BLOCK_M, tl.program_id(1) * BLOCK_N
    q_block = tl.make_block_ptr(q_ptr, (rows, HEAD), (HEAD, 1), (row, 0), (BLOCK_M, HEAD), (1, 0))
    k_block = tl.make_block_ptr(k_ptr, (columns, HEAD), (HEAD, 1), (column, 0), (BLOCK_N, HEAD), (1, 0))
    q = smt.descriptor_load(q_block, (0, 0))
    k = smt.view(smt.descriptor_load(k_block, (0, 0)), (0, 0), (BLOCK_N, HEAD), (MICRO_N, MICRO_K))
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for s in smt.parallel(0, BLOCK_M // SUB_M):
        part = smt.view(q, (s * SUB_M, 0), (SUB_M, HEAD), (MICRO_M, MICRO_K))
        smt.dot(part, k, smt.view(acc, (s * SUB_M, 0), (SUB_M, BLOCK_N), (MICRO_M, MICRO_N)))
    out = tl.make_block_ptr(out_ptr, (rows, columns), (columns, 1), (row, column), (BLOCK_M, BLOCK_N), (1, 0))
    tl.store(out, acc * scale, boundary_check=(0, 1))


def packed_scores(q, k, out, scale, block=(64, 64), sub=16, micro=(8, 16, 8)):
    """q: (rows, head), k: (columns, head), out: (rows, columns), contiguous; head: a power of 2."""
    (rows, head), columns = q.shape, k.shape[0]
    grid = triton.cdiv(rows, block[0]), triton.cdiv(columns, block[1])
    packed_scores_kernel[grid](
        q,
        k,
        out,
        rows,
        columns,
        scale,
        HEAD=head,
        BLOCK_M=block[0],
        BLOCK_N=block[1],
        SUB_M=sub,
        MICRO_M=micro[0],
        MICRO_N=micro[1],
        MICRO_K=micro[2],
    )
    return out
