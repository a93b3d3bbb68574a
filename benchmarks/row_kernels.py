"""Kernels of the speed table that are no examples: elementwise, row by row, and gathered.

Where a result is larger than the last cache, its store says that it streams (`.cs`).
"""

import triton
import triton.language as tl


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    total = tl.load(x + i, mask=inside) + tl.load(y + i, mask=inside)
    tl.store(out + i, total, mask=inside, cache_modifier=".cs")


@triton.jit
def gelu(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    v = tl.load(x + i, mask=inside)
    tl.store(out + i, 0.5 * v * (1 + tl.erf(v * 0.7071067811865476)), mask=inside)


@triton.jit
def cumsum(x, out, COLUMNS: tl.constexpr):
    i = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(out + i, tl.cumsum(tl.load(x + i), 0))


@triton.jit
def argmax(x, out, COLUMNS: tl.constexpr):
    row = tl.program_id(0)
    tl.store(out + row, tl.argmax(tl.load(x + row * COLUMNS + tl.arange(0, COLUMNS)), 0))


@triton.jit
def sort(x, out, COLUMNS: tl.constexpr):
    i = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(out + i, tl.sort(tl.load(x + i)))


@triton.jit
def gather(table, rows, out, n, BLOCK: tl.constexpr, COLUMNS: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    c = tl.arange(0, COLUMNS)
    at = tl.load(rows + i, mask=inside, other=0)
    found = tl.load(table + at[:, None] * COLUMNS + c[None, :], mask=inside[:, None])
    tl.store(out + i[:, None] * COLUMNS + c[None, :], found, mask=inside[:, None])
