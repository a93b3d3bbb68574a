"""Kernels for libraries that C programs link."""

import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def scale(x, out, n, factor, step, BLOCK: tl.constexpr, KIND: tl.constexpr = tl.float32):
    """out[i] = x[i * step] * factor for i < n."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, (tl.load(x + i * step, mask=i < n) * factor).to(KIND), mask=i < n)


@triton.jit
def talk(x, limit, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    value = tl.load(x + BLOCK * tl.program_id(1) + i)
    tl.device_print("x", value)
    tl.device_assert(value < limit, "too large")


@triton.jit
def meet(out, EXPECTED: tl.constexpr):
    bar = smt.mbarrier(flag=0, expect_count=EXPECTED)
    for s in smt.parallel(0, 3):
        smt.barrier_arrive(bar)
        smt.barrier_wait(bar, flag=1)
        tl.store(out + s, s + 1)


@triton.jit
def through_descriptor(source, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i[:, None] * N + i[None, :], source.load([0, 0]))
