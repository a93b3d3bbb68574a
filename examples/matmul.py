"""Matrix product in float32, float16 or int8, accumulated in float32 or int32."""

import triton
import triton.language as tl


@triton.jit
def matmul_kernel(
    a_ptr,
    b_ptr,
    c_ptr,
    m,
    n,
    k,
    stride_am,
    stride_ak,
    stride_bk,
    stride_bn,
    stride_cm,
    stride_cn,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
    ACC: tl.constexpr,
):
    """One program computes one BLOCK_M x BLOCK_N block of c = a @ b.

    Programs walk down groups of GROUP_M block rows, so that neighbours share what they read.
    """
    pid = tl.program_id(0)
    blocks_m = tl.cdiv(m, BLOCK_M)
    blocks_n = tl.cdiv(n, BLOCK_N)
    group = pid // (GROUP_M * blocks_n)
    first = group * GROUP_M
    rows = min(blocks_m - first, GROUP_M)
    pid_m = first + (pid % (GROUP_M * blocks_n)) % rows
    pid_n = (pid % (GROUP_M * blocks_n)) // rows

    # Rows and columns beyond the edge wrap around: they read something valid, and are not stored.
    offs_m = (pid_m * BLOCK_M + tl.arange(0, BLOCK_M)) % m
    offs_n = (pid_n * BLOCK_N + tl.arange(0, BLOCK_N)) % n
    offs_k = tl.arange(0, BLOCK_K)
    a_ptrs = a_ptr + offs_m[:, None] * stride_am + offs_k[None, :] * stride_ak
    b_ptrs = b_ptr + offs_k[:, None] * stride_bk + offs_n[None, :] * stride_bn
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=ACC)
    for step in range(0, tl.cdiv(k, BLOCK_K)):
        left = k - step * BLOCK_K
        a = tl.load(a_ptrs, mask=offs_k[None, :] < left, other=0)
        b = tl.load(b_ptrs, mask=offs_k[:, None] < left, other=0)
        acc = tl.dot(a, b, acc, out_dtype=ACC, input_precision="ieee")
        a_ptrs += BLOCK_K * stride_ak
        b_ptrs += BLOCK_K * stride_bk

    offs_m = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
    c_ptrs = c_ptr + offs_m[:, None] * stride_cm + offs_n[None, :] * stride_cn
    tl.store(c_ptrs, acc, mask=(offs_m[:, None] < m) & (offs_n[None, :] < n))


def matmul(a, b, c, block=(64, 64, 64), group=8):
    """c = a @ b

    a: (M, K)    b: (K, N)    both float32, float16 or int8, any strides
    c: (M, N) float32 or float16; int32 where a and b are int8
    """
    (m, k), n = a.shape, b.shape[1]
    block_m, block_n, block_k = block
    acc = tl.int32 if "int8" in str(a.dtype) else tl.float32
    # Not triton.cdiv, whose two calls take as long as all else that launches a kernel.
    grid = (-(-m // block_m) * -(-n // block_n),)
    matmul_kernel[grid](
        a,
        b,
        c,
        m,
        n,
        k,
        *a.stride(),
        *b.stride(),
        *c.stride(),
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        BLOCK_K=block_k,
        GROUP_M=group,
        ACC=acc,
    )
    return c
