"""A product whose K is split over programs, on packed tiles: producers pack blocks of b, consumers multiply.

The sub-blocks of a program run at once.  The first of them pack b, block after block, into two
buffers in turn; each of the others multiplies rows of its own by what it finds there.  A buffer is
full when all producers have arrived at its barrier, and free again when all consumers have.
"""

import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def packed_split_k_kernel(
    a_ptr,
    b_ptr,
    out_ptr,
    M,
    N,
    K,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    SUB_M: tl.constexpr,
    SUB_N: tl.constexpr,
    MICRO_M: tl.constexpr,
    MICRO_N: tl.constexpr,
    MICRO_K: tl.constexpr,
):
    """Program (i, j, p) adds the products of every so many blocks along K to block (i, j) of out."""
    PRODUCERS: tl.constexpr = BLOCK_N // SUB_N
    CONSUMERS: tl.constexpr = BLOCK_M // SUB_M
    row, column = tl.program_id(0) * BLOCK_M, tl.program_id(1) * BLOCK_N
    part, parts = tl.program_id(2), tl.num_programs(2)
    steps = tl.cdiv(tl.cdiv(K, BLOCK_K) - part, parts)
    a_block = tl.make_block_ptr(a_ptr, (M, K), (K, 1), (row, 0), (SUB_M, BLOCK_K), (1, 0))
    b_block = tl.make_block_ptr(b_ptr, (K, N), (N, 1), (0, column), (BLOCK_K, SUB_N), (1, 0))
    buffers = smt.alloc_copies((BLOCK_K, BLOCK_N), b_ptr.dtype.element_ty, copies=2)
    full = smt.mbarrier_copies(expect_count=PRODUCERS, copies=2)
    free = smt.mbarrier_copies(expect_count=CONSUMERS, copies=2)
    for s in smt.parallel(0, PRODUCERS + CONSUMERS):
        if s < PRODUCERS:
            for step in range(steps):
                turn, phase = step % 2, step // 2
                k = (part + step * parts) * BLOCK_K
                b = smt.descriptor_load(b_block, (k, s * SUB_N))
                packed = smt.view(buffers[turn], (0, 0), (BLOCK_K, BLOCK_N), (MICRO_K, MICRO_N))
                place = smt.view(packed, (0, s * SUB_N), (BLOCK_K, SUB_N))
                if phase > 0:
                    smt.barrier_wait(free[turn], flag=phase % 2)
                tl.store(place, smt.view(b, (0, 0), (BLOCK_K, SUB_N), (MICRO_K, MICRO_N)))
                smt.barrier_arrive(full[turn])
        else:
            first = (s - PRODUCERS) * SUB_M
            acc = tl.zeros((SUB_M // MICRO_M, BLOCK_N // MICRO_N, MICRO_M, MICRO_N), tl.float32)
            for step in range(steps):
                turn, phase = step % 2, step // 2
                k = (part + step * parts) * BLOCK_K
                a = smt.descriptor_load(a_block, (first, k))
                a = smt.view(a, (0, 0), (SUB_M, BLOCK_K), (MICRO_M, MICRO_K))
                packed = smt.view(buffers[turn], (0, 0), (BLOCK_K, BLOCK_N), (MICRO_K, MICRO_N))
                smt.barrier_wait(full[turn], flag=(phase + 1) % 2)
                acc = smt.dot(a, tl.load(packed), acc)
                smt.barrier_arrive(free[turn])
            sums = smt.view(acc, (0, 0), (SUB_M, BLOCK_N), (1, 1))
            rows, columns = row + first + tl.arange(0, SUB_M), column + tl.arange(0, BLOCK_N)
            inside = (rows < M)[:, None] & (columns < N)[None, :]
            tl.atomic_add(out_ptr + rows[:, None] * N + columns[None, :], sums, mask=inside)


def packed_split_k(a, b, out, splits=3, block=(64, 64, 32), sub=(16, 32), micro=(8, 16, 8)):
    """a: (M, K), b: (K, N) of one float dtype, out: (M, N) float32; contiguous.

    splits: programs that share the sum over K of one block.  sub: rows of a consumer, columns of a producer.
    """
    (m, k), n = a.shape, b.shape[1]
    out.zero_()
    packed_split_k_kernel[(triton.cdiv(m, block[0]), triton.cdiv(n, block[1]), splits)](
        a,
        b,
        out,
        m,
        n,
        k,
        BLOCK_M=block[0],
        BLOCK_N=block[1],
        BLOCK_K=block[2],
        SUB_M=sub[0],
        SUB_N=sub[1],
        MICRO_M=micro[0],
        MICRO_N=micro[1],
        MICRO_K=micro[2],
    )
    return out
