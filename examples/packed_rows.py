"""Softmax and layer norm on packed tiles, which are reduced as they are and unpacked for the store only."""

import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def rows_of(x, FUNCTION: tl.constexpr):
    """(R, C, r, c) -> (R, 1, r, 1): the sum or the maximum of each row of the matrix."""
    found = tl.max(tl.max(x, 3), 1) if FUNCTION == "max" else tl.sum(tl.sum(x, 3), 1)
    return found[:, None, :, None]


@triton.jit
def in_tiles(ptr, row, rows, columns, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    return tl.make_block_ptr(ptr, (rows, columns), (columns, 1), (row, 0), (BLOCK_M, BLOCK_N), (1, 0))


@triton.jit
def columns_of(BLOCK_N: tl.constexpr, MICRO_N: tl.constexpr):
    """(1, C, 1, c): the column of each element of a row of tiles."""
    tile, inside = tl.arange(0, BLOCK_N // MICRO_N), tl.arange(0, MICRO_N)
    return tile[None, :, None, None] * MICRO_N + inside[None, None, None, :]


@triton.jit
def packed_softmax_kernel(
    x_ptr,
    out_ptr,
    rows,
    columns,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    MICRO_M: tl.constexpr,
    MICRO_N: tl.constexpr,
):
    """One program takes BLOCK_M rows, all columns at once."""
    row = tl.program_id(0) * BLOCK_M
    x = smt.descriptor_load(in_tiles(x_ptr, row, rows, columns, BLOCK_M, BLOCK_N), (0, 0))
    x = smt.view(x, (0, 0), (BLOCK_M, BLOCK_N), (MICRO_M, MICRO_N))
    x = tl.where(columns_of(BLOCK_N, MICRO_N) < columns, x, -float("inf"))
    e = tl.exp(x - rows_of(x, "max"))
    y = smt.view(e / rows_of(e, "sum"), (0, 0), (BLOCK_M, BLOCK_N), (1, 1))
    tl.store(in_tiles(out_ptr, row, rows, columns, BLOCK_M, BLOCK_N), y, boundary_check=(0, 1))


@triton.jit
def packed_layer_norm_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    rows,
    columns,
    eps,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    MICRO_M: tl.constexpr,
    MICRO_N: tl.constexpr,
):
    """One program takes BLOCK_M rows, all columns at once."""
    row = tl.program_id(0) * BLOCK_M
    x = smt.descriptor_load(in_tiles(x_ptr, row, rows, columns, BLOCK_M, BLOCK_N), (0, 0))
    x = smt.view(x, (0, 0), (BLOCK_M, BLOCK_N), (MICRO_M, MICRO_N))
    column = columns_of(BLOCK_N, MICRO_N)
    weight = tl.load(weight_ptr + column, mask=column < columns, other=0.0)
    bias = tl.load(bias_ptr + column, mask=column < columns, other=0.0)
    mean = rows_of(x, "sum") / columns
    away = tl.where(column < columns, x - mean, 0.0)
    rstd = 1 / tl.sqrt(rows_of(away * away, "sum") / columns + eps)
    y = smt.view(away * rstd * weight + bias, (0, 0), (BLOCK_M, BLOCK_N), (1, 1))
    tl.store(in_tiles(out_ptr, row, rows, columns, BLOCK_M, BLOCK_N), y, boundary_check=(0, 1))


def packed_softmax(x, out, block_m=8, micro=(8, 16)):
    """x, out: (rows, columns), contiguous."""
    rows, columns = x.shape
    packed_softmax_kernel[(triton.cdiv(rows, block_m),)](
        x,
        out,
        rows,
        columns,
        BLOCK_M=block_m,
        BLOCK_N=max(micro[1], triton.next_power_of_2(columns)),
        MICRO_M=micro[0],
        MICRO_N=micro[1],
    )
    return out


def packed_layer_norm(x, weight, bias, out, eps=1e-5, block_m=8, micro=(8, 16)):
    """x, out: (rows, columns), weight, bias: (columns,), contiguous."""
    rows, columns = x.shape
    packed_layer_norm_kernel[(triton.cdiv(rows, block_m),)](
        x,
        weight,
        bias,
        out,
        rows,
        columns,
        eps,
        BLOCK_M=block_m,
        BLOCK_N=max(micro[1], triton.next_power_of_2(columns)),
        MICRO_M=micro[0],
        MICRO_N=micro[1],
    )
    return out
