"""Block pointers and tensor descriptors."""

import numpy as np
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from .arrays import integers, normal, numbers, output
from .case import Case

M, N = 13, 21


@triton.jit
def block_copy(
    x,
    out,
    m,
    n,
    xm,
    xn,
    om,
    on,
    row,
    column,
    BM: tl.constexpr,
    BN: tl.constexpr,
    ORDER: tl.constexpr,
    CHECK: tl.constexpr,
    PADDING: tl.constexpr,
):
    """One block of x at (row, column) to the start of out, which is as large as the block."""
    source = tl.make_block_ptr(x, (m, n), (xm, xn), (row, column), (BM, BN), ORDER)
    a = tl.load(source, boundary_check=CHECK, padding_option=PADDING)
    target = tl.make_block_ptr(out, (BM, BN), (om, on), (0, 0), (BM, BN), ORDER)
    tl.store(target, a)


PADDINGS = {"nan": np.nan, "inf": np.inf, "neg_inf": -np.inf}


def padded_block(x, row, column, shape, value):
    """The block of `x` at (row, column), with `value` for what lies outside."""
    block = np.full(shape, value, x.dtype)
    for i in range(shape[0]):
        for j in range(shape[1]):
            if 0 <= row + i < x.shape[0] and 0 <= column + j < x.shape[1]:
                block[i, j] = x[row + i, column + j]
    return block


def block_case(id, row, column, order=(1, 0), check=(0, 1), padding="", dtype="f32", transposed=False):
    shape = (8, 16)

    def view(a):
        return a.T if transposed else a

    base = (N, M) if transposed else (M, N)
    xm, xn = (1, M) if transposed else (N, 1)
    return Case(
        id=id,
        kernel=block_copy,
        args={
            "x": numbers(dtype, *base, view=view),
            "out": output(dtype, *shape),
            **{"m": M, "n": N, "xm": xm, "xn": xn, "om": shape[1], "on": 1, "row": row, "column": column},
        },
        meta={"BM": 8, "BN": 16, "ORDER": order, "CHECK": check, "PADDING": padding},
        expect=lambda x, **_: {"out": padded_block(x, row, column, shape, PADDINGS.get(padding, 0))},
        ulps=0,
        interpretable=not padding.endswith("inf"),
    )


@triton.jit
def block_transpose(x, out, m, n, BM: tl.constexpr, BN: tl.constexpr):
    """Every program transposes its block; loads and stores are checked."""
    i = tl.program_id(0) * BM
    j = tl.program_id(1) * BN
    source = tl.make_block_ptr(x, (m, n), (n, 1), (i, j), (BM, BN), (1, 0))
    target = tl.make_block_ptr(out, (n, m), (m, 1), (j, i), (BN, BM), (1, 0))
    tl.store(target, tl.trans(tl.load(source, boundary_check=(0, 1))), boundary_check=(0, 1))


@triton.jit
def row_sums(x, out, m, n, BM: tl.constexpr, BN: tl.constexpr):
    """A block pointer that advances over the columns in a loop."""
    row = tl.program_id(0) * BM
    block = tl.make_block_ptr(x, (m, n), (n, 1), (row, 0), (BM, BN), (1, 0))
    total = tl.zeros((BM,), tl.float32)
    for _ in range(0, tl.cdiv(n, BN)):
        total += tl.sum(tl.load(block, boundary_check=(0, 1), padding_option="zero"), 1)
        block = tl.advance(block, (0, BN))
    sums = tl.make_block_ptr(out, (m,), (1,), (row,), (BM,), (0,))
    tl.store(sums, total, boundary_check=(0,))


@triton.jit
def block_matmul(a, b, c, m, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = a @ b with block pointers; the blocks divide no size."""
    left = tl.make_block_ptr(a, (m, k), (k, 1), (tl.program_id(0) * BM, 0), (BM, BK), (1, 0))
    right = tl.make_block_ptr(b, (k, n), (n, 1), (0, tl.program_id(1) * BN), (BK, BN), (1, 0))
    acc = tl.zeros((BM, BN), tl.float32)
    for _ in range(0, k, BK):
        x = tl.load(left, boundary_check=(0, 1), padding_option="zero")
        y = tl.load(right, boundary_check=(0, 1), padding_option="zero")
        acc = tl.dot(x, y, acc, input_precision="ieee")
        left = tl.advance(left, (0, BK))
        right = tl.advance(right, (BK, 0))
    out = tl.make_block_ptr(
        c, (m, n), (n, 1), (tl.program_id(0) * BM, tl.program_id(1) * BN), (BM, BN), (1, 0)
    )
    tl.store(out, acc, boundary_check=(0, 1))


@triton.jit
def zigzag(x, out, m, n, steps, BM: tl.constexpr, BN: tl.constexpr):
    """Nested loops move a block pointer right and down, back again, and out of the array."""
    block = tl.make_block_ptr(x, (m, n), (n, 1), (-4, -8), (BM, BN), (1, 0))
    total = tl.zeros((BM, BN), tl.float32)
    for _ in range(steps):
        for _ in range(3):
            total += tl.load(block, boundary_check=(0, 1), padding_option="zero")
            block = tl.advance(block, (0, 5))
        block = tl.advance(block, (3, -13))
    i = tl.arange(0, BM)
    j = tl.arange(0, BN)
    tl.store(out + i[:, None] * BN + j[None, :], total)


def zigzag_reference(x, out, steps, **_):
    total = np.zeros(out.shape)
    row, column = -4, -8
    for _ in range(steps):
        for _ in range(3):
            total += padded_block(x, row, column, out.shape, 0)
            column += 5
        row, column = row + 3, column - 13
    return {"out": total}


@triton.jit
def before_the_start(x, out, n, AT: tl.constexpr, B: tl.constexpr):
    """A block that begins before its array, by a number that the compiler knows."""
    source = tl.make_block_ptr(x, (n,), (1,), (AT,), (B,), (0,))
    tl.store(out + tl.arange(0, B), tl.load(source, boundary_check=(0,), padding_option="zero"))
    target = tl.make_block_ptr(out + B, (n,), (1,), (AT,), (B,), (0,))
    tl.store(target, tl.load(source, boundary_check=(0,), padding_option="nan"), boundary_check=(0,))


def before_the_start_reference(x, out, AT, **_):
    out[0, :-AT], out[0, -AT:] = 0, x[: out.shape[1] + AT]
    out[1, : out.shape[1] + AT] = out[0, -AT:]
    return {"out": out}


@triton.jit
def descriptor_copy(x, out, m, n, xm, om, row, column, BM: tl.constexpr, BN: tl.constexpr):
    """Tensor descriptors check every dimension, on loads and on stores."""
    source = tl.make_tensor_descriptor(x, [m, n], [xm, 1], [BM, BN])
    target = tl.make_tensor_descriptor(out, [m, n], [om, 1], [BM, BN])
    a = source.load([row, column])
    target.store([row, column], a + 1)


def descriptor_case(id, row, column, dtype="f32"):
    shape = (8, 16)

    def expect(x, out, **_):
        out = out.copy()
        for i in range(max(row, 0), min(row + shape[0], M)):
            for j in range(max(column, 0), min(column + shape[1], N)):
                out[i, j] = x[i, j] + 1
        return {"out": out}

    return Case(
        id=id,
        kernel=descriptor_copy,
        args={
            "x": numbers(dtype, M, 32, view=lambda a: a[:, :N]),
            "out": output(dtype, M, 48, view=lambda a: a[:, :N]),
            **{"m": M, "n": N, "xm": 32, "om": 48, "row": row, "column": column},
        },
        meta={"BM": shape[0], "BN": shape[1]},
        expect=expect,
    )


@triton.jit
def descriptor_matmul(a, b, c, m, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    left = tl.make_tensor_descriptor(a, [m, k], [k, 1], [BM, BK])
    right = tl.make_tensor_descriptor(b, [n, k], [k, 1], [BN, BK])
    out = tl.make_tensor_descriptor(c, [m, n], [n, 1], [BM, BN])
    i = tl.program_id(0) * BM
    j = tl.program_id(1) * BN
    acc = tl.zeros((BM, BN), tl.float32)
    for kk in range(0, k, BK):
        acc = tl.dot(left.load([i, kk]), right.load([j, kk]).T, acc, input_precision="ieee")
    out.store([i, j], acc)


@triton.jit
def descriptor_padding_sum(x, out, m, n, BM: tl.constexpr, BN: tl.constexpr):
    """A descriptor of three dimensions; what lies outside reads as zero."""
    source = tl.make_tensor_descriptor(x, [2, m, n], [m * n, n, 1], [1, BM, BN])
    batch = tl.program_id(0)
    total = tl.sum(source.load([batch, m - 3, n - 4]).reshape(BM, BN))
    tl.store(out + batch, total)


@triton.jit
def given_descriptor(source, target, BM: tl.constexpr, BN: tl.constexpr):
    """Descriptors that the host made."""
    i = tl.program_id(0) * BM
    target.store([i, 0], source.load([i, 0]) * 2)


CASES = [
    block_case("block-inside", 2, 3, check=()),
    block_case("block-checked-inside", 2, 3),
    block_case("block-bottom-right", 9, 10),
    block_case("block-bottom-right-nan", 9, 10, padding="nan"),
    block_case("block-bottom-right-inf", 9, 10, padding="inf"),
    block_case("block-negative-offset-neg-inf", -3, 4, padding="neg_inf"),
    block_case("block-outside-neg-inf", 40, 0, padding="neg_inf"),
    block_case("block-f16-neg-inf", 9, 10, dtype="f16", padding="neg_inf"),
    block_case("block-f64-inf", 9, 10, dtype="f64", padding="inf"),
    block_case("block-order-0-1", 9, 10, order=(0, 1), padding="zero"),
    block_case("block-transposed-strides", 9, 10, order=(0, 1), transposed=True),
    block_case("block-transposed-strides-order-1-0", 9, 10, transposed=True, padding="nan"),
    block_case("block-rows-checked", 9, 2, check=(0,)),
    block_case("block-columns-checked", 4, 12, check=(1,)),
    block_case("block-negative-offset", -3, -5),
    block_case("block-negative-offset-nan", -3, 4, padding="nan"),
    block_case("block-wholly-below", 13, 0),
    block_case("block-wholly-left", 0, -16),
    block_case("block-f16", 9, 10, dtype="f16", padding="nan"),
    block_case("block-i8", 9, 10, dtype="i8"),
    Case(
        id="block-transpose",
        kernel=block_transpose,
        grid=(2, 2),
        args={"x": normal("f32", M, N), "out": output("f32", N, M), "m": M, "n": N},
        meta={"BM": 8, "BN": 16},
        expect=lambda x, **_: {"out": x.T},
        ulps=0,
    ),
    Case(
        id="block-advance-in-loop",
        kernel=row_sums,
        grid=(2,),
        args={"x": normal("f32", M, 50), "out": output("f32", M), "m": M, "n": 50},
        meta={"BM": 8, "BN": 16},
        expect=lambda x, **_: {"out": x.sum(1)},
        ulps=8,
        atol=1e-5,
    ),
    Case(
        id="block-advance-nested",
        kernel=zigzag,
        args={"x": normal("f32", M, N), "out": output("f32", 8, 16), "m": M, "n": N, "steps": 5},
        meta={"BM": 8, "BN": 16},
        expect=zigzag_reference,
        ulps=8,
        atol=1e-5,
    ),
    *(
        Case(
            id=f"block-starts-at-{at}",
            kernel=before_the_start,
            args={"x": normal("f32", 16), "out": output("f32", 2, 16), "n": 16},
            meta={"AT": at, "B": 16},
            expect=lambda at=at, **given: before_the_start_reference(AT=at, **given),
            ulps=0,
        )
        for at in (-1, -3)
    ),
    Case(
        id="block-matmul",
        kernel=block_matmul,
        grid=(2, 2),
        args={
            "a": normal("f32", M, 37),
            "b": normal("f32", 37, N),
            "c": output("f32", M, N),
            **{"m": M, "n": N, "k": 37},
        },
        meta={"BM": 8, "BN": 16, "BK": 16},
        expect=lambda a, b, **_: {"c": a @ b},
        ulps=16,
        atol=1e-5,
    ),
    descriptor_case("descriptor-inside", 2, 4),
    descriptor_case("descriptor-bottom-right", 9, 12),
    descriptor_case("descriptor-negative-offset", -3, -8),
    descriptor_case("descriptor-outside", 20, 0),
    descriptor_case("descriptor-f16", 9, 8, dtype="f16"),
    descriptor_case("descriptor-i32", 9, 8, dtype="i32"),
    Case(
        id="descriptor-matmul",
        kernel=descriptor_matmul,
        grid=(2, 2),
        args={
            "a": normal("f32", M, 36),
            "b": normal("f32", 20, 36),
            "c": output("f32", M, 20),
            **{"m": M, "n": 20, "k": 36},
        },
        meta={"BM": 8, "BN": 16, "BK": 16},
        expect=lambda a, b, **_: {"c": a @ b.T},
        ulps=16,
        atol=1e-5,
    ),
    Case(
        id="descriptor-three-dimensions",
        kernel=descriptor_padding_sum,
        grid=(2,),
        args={"x": integers("i32", 2, 6, 8, low=-99, high=99), "out": output("i32", 2), "m": 6, "n": 8},
        meta={"BM": 4, "BN": 8},
        expect=lambda x, **_: {"out": x[:, 3:, 4:].sum((1, 2))},
    ),
    Case(
        id="descriptor-from-host",
        kernel=given_descriptor,
        grid=(2,),
        args={
            "x": normal("f32", M, 20),
            "out": output("f32", M, 20),
        },
        prepare=lambda args: {
            "source": TensorDescriptor.from_tensor(args["x"], [8, 32]),
            "target": TensorDescriptor.from_tensor(args["out"], [8, 32]),
        },
        meta={"BM": 8, "BN": 32},
        expect=lambda x, **_: {"out": 2 * x},
    ),
]
