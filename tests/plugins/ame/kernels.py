"""Kernels with loops over K, and with what comes behind them."""

import triton
import triton.language as tl
from triton.language.extra import libdevice


@triton.jit
def blocks(a_ptr, b_ptr, row, column, step, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """The blocks of a (M, K) and b (K, N) at block row `row`, block column `column`, elements `step` of K."""
    m, n = row * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN)
    k = step + tl.arange(0, BK)
    a = tl.load(a_ptr + m[:, None] * K + k[None, :], mask=(m[:, None] < M) & (k[None, :] < K), other=0)
    b = tl.load(b_ptr + k[:, None] * N + n[None, :], mask=(k[:, None] < K) & (n[None, :] < N), other=0)
    return a, b


@triton.jit
def put(c_ptr, value, row, column, M, N, BM: tl.constexpr, BN: tl.constexpr):
    m, n = row * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN)
    tl.store(c_ptr + m[:, None] * N + n[None, :], value, mask=(m[:, None] < M) & (n[None, :] < N))


@triton.jit
def starts(
    a_ptr,
    b_ptr,
    x_ptr,
    c_ptr,
    M,
    N,
    K,
    KIND: tl.constexpr,
    ACC: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """c = start + a @ b; the start is 3 (KIND 0), row x (1), matrix x (2), or row x added behind (3)."""
    row, column = tl.program_id(0), tl.program_id(1)
    m, n = row * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN)
    acc = tl.zeros((BM, BN), ACC)
    if KIND == 0:
        acc += 3
    if KIND == 1:
        acc += tl.load(x_ptr + n, mask=n < N, other=0)[None, :]
    if KIND == 2:
        acc += tl.load(x_ptr + m[:, None] * N + n[None, :], mask=(m[:, None] < M) & (n[None, :] < N), other=0)
    for step in range(0, K, BK):
        a, b = blocks(a_ptr, b_ptr, row, column, step, M, N, K, BM, BN, BK)
        acc = tl.dot(a, b, acc, out_dtype=ACC, input_precision="ieee")
    if KIND == 3:
        acc += tl.load(x_ptr + n, mask=n < N, other=0)[None, :]
    put(c_ptr, acc, row, column, M, N, BM, BN)


@triton.jit
def pairs(a_ptr, b_ptr, c_ptr, d_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = 2 a @ b, by two products into the same sums, and d = a @ b beside it, all in one loop."""
    row, column = tl.program_id(0), tl.program_id(1)
    one, two = tl.zeros((BM, BN), tl.float32), tl.zeros((BM, BN), tl.float32)
    for step in range(0, K, BK):
        a, b = blocks(a_ptr, b_ptr, row, column, step, M, N, K, BM, BN, BK)
        one = tl.dot(a, b, one, input_precision="ieee")
        two = tl.dot(a, b, two, input_precision="ieee")
        one = tl.dot(a, b, one, input_precision="ieee")
    put(c_ptr, one, row, column, M, N, BM, BN)
    put(d_ptr, two, row, column, M, N, BM, BN)


@triton.jit
def scattered(a_ptr, b_ptr, c_ptr, M, N, K, stride, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = a @ b with the blocks of K in the order 0, stride, 2 stride, and so on, modulo their number."""
    row, column = tl.program_id(0), tl.program_id(1)
    m, n = row * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN)
    acc = tl.zeros((BM, BN), tl.float32)
    count = K // BK
    for turn in range(0, count):
        k = (turn * stride % count) * BK + tl.arange(0, BK)
        a = tl.load(a_ptr + m[:, None] * K + k[None, :])
        b = tl.load(b_ptr + k[:, None] * N + n[None, :])
        acc = tl.dot(a, b, acc, input_precision="ieee")
    tl.store(c_ptr + m[:, None] * N + n[None, :], acc)


@triton.jit
def nested(a_ptr, b_ptr, c_ptr, M, N, K, parts, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = a @ b with K in `parts` parts, each of which has a loop of its own."""
    row, column = tl.program_id(0), tl.program_id(1)
    acc = tl.zeros((BM, BN), tl.float32)
    size = K // parts
    for part in range(0, parts):
        for step in range(part * size, (part + 1) * size, BK):
            a, b = blocks(a_ptr, b_ptr, row, column, step, M, N, K, BM, BN, BK)
            acc = tl.dot(a, b, acc, input_precision="ieee")
    put(c_ptr, acc, row, column, M, N, BM, BN)


@triton.jit
def changing(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = (first BK columns of a) @ (a's b blocks), where every turn doubles those columns of a in memory."""
    m, n, k = tl.arange(0, BM), tl.arange(0, BN), tl.arange(0, BK)
    acc = tl.zeros((BM, BN), tl.float32)
    place = a_ptr + m[:, None] * K + k[None, :]
    for step in range(0, K, BK):
        a = tl.load(place)
        b = tl.load(b_ptr + (step + k)[:, None] * N + n[None, :])
        acc = tl.dot(a, b, acc, input_precision="ieee")
        tl.store(place, a * 2)
    tl.store(c_ptr + m[:, None] * N + n[None, :], acc)


@triton.jit
def widened(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = (a's first BK columns) @ b's blocks, doubled: one operand stays the same, the other is computed."""
    row, column = tl.program_id(0), tl.program_id(1)
    m, n, k = row * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN), tl.arange(0, BK)
    a = tl.load(a_ptr + m[:, None] * K + k[None, :])
    acc = tl.zeros((BM, BN), tl.float32)
    for step in range(0, K, BK):
        b = tl.load(b_ptr + (step + k)[:, None] * N + n[None, :])
        acc = tl.dot(a, b + b, acc, input_precision="ieee")
    tl.store(c_ptr + m[:, None] * N + n[None, :], acc)


@triton.jit
def layer(
    a_ptr,
    b_ptr,
    bias_ptr,
    r_ptr,
    c_ptr,
    M,
    N,
    K,
    scale,
    KIND: tl.constexpr,
    MASKED: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """c = f(a @ b * scale + bias), stored as c's type.

    KIND 0: max(x, 0); 1: min(max(x + r, -6), 6); 2: like 0, stored transposed; 3: like 0, in a matrix that
    lies column by column; 4: max and min with 1.5 and 40, NaN where there is one; 5: x * r, half as much;
    6: x times the first M numbers of r, one for each row, and these added.
    """
    row, column = tl.program_id(0), tl.program_id(1)
    m, n = row * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN)
    acc = tl.zeros((BM, BN), tl.float32)
    for step in range(0, K, BK):
        a, b = blocks(a_ptr, b_ptr, row, column, step, M, N, K, BM, BN, BK)
        acc += tl.dot(a, b, input_precision="ieee")
    if MASKED:
        inside = (m[:, None] < M) & (n[None, :] < N)
        acc = acc * scale + tl.load(bias_ptr + n, mask=n < N, other=0.0)[None, :]
    else:
        inside = None
        acc = acc * scale + tl.load(bias_ptr + n)[None, :]
    matrix = m[:, None] * N + n[None, :]
    if KIND == 1:
        acc = tl.minimum(tl.maximum(acc + tl.load(r_ptr + matrix, mask=inside), -6.0), 6.0)
    elif KIND == 4:
        nan: tl.constexpr = tl.PropagateNan.ALL
        acc = tl.minimum(tl.maximum(acc, 1.5, propagate_nan=nan), 40.0, propagate_nan=nan)
    elif KIND == 5:
        acc = acc * tl.load(r_ptr + matrix, mask=inside) * 0.5
    elif KIND == 6:
        line = tl.load(r_ptr + m, mask=m < M, other=0.0)[:, None]
        acc = acc * line + line
    else:
        acc = tl.maximum(acc, 0.0)
    if KIND == 2:
        mask = None if inside is None else (n[:, None] < N) & (m[None, :] < M)
        tl.store(c_ptr + n[:, None] * M + m[None, :], tl.trans(acc).to(c_ptr.dtype.element_ty), mask=mask)
    elif KIND == 3:
        tl.store(c_ptr + n[None, :] * M + m[:, None], acc.to(c_ptr.dtype.element_ty), mask=inside)
    else:
        tl.store(c_ptr + matrix, acc.to(c_ptr.dtype.element_ty), mask=inside)


@triton.jit
def requantised(
    a_ptr,
    b_ptr,
    bias_ptr,
    scale_ptr,
    c_ptr,
    M,
    N,
    K,
    ROUND: tl.constexpr,
    MASKED: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """c = (a @ b + bias) * scale as c's type; ROUND 1: to the nearest whole number, halves up, 2: to even."""
    row, column = tl.program_id(0), tl.program_id(1)
    m, n = row * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN)
    acc = tl.zeros((BM, BN), tl.int32)
    for step in range(0, K, BK):
        a, b = blocks(a_ptr, b_ptr, row, column, step, M, N, K, BM, BN, BK)
        acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    acc += tl.load(bias_ptr + n, mask=n < N, other=0)[None, :]
    x = acc.to(tl.float32) * tl.load(scale_ptr + n, mask=n < N, other=0)[None, :]
    if ROUND == 1:
        x = tl.floor(x + 0.5)
    if ROUND == 2:
        x = libdevice.rint(x)
    if c_ptr.dtype.element_ty == tl.int8:
        x = tl.clamp(x, -128.0, 127.0)
    mask = (m[:, None] < M) & (n[None, :] < N) if MASKED else None
    tl.store(c_ptr + m[:, None] * N + n[None, :], x.to(c_ptr.dtype.element_ty), mask=mask)


@triton.jit
def watched(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = a @ b, with a call of the runtime behind it, which runs where K is negative."""
    row, column = tl.program_id(0), tl.program_id(1)
    acc = tl.zeros((BM, BN), tl.float32)
    for step in range(0, K, BK):
        a, b = blocks(a_ptr, b_ptr, row, column, step, M, N, K, BM, BN, BK)
        acc = tl.dot(a, b, acc, input_precision="ieee")
    if K < 0:
        tl.device_print("no product", K)
    put(c_ptr, acc, row, column, M, N, BM, BN)
