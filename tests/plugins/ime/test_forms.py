"""Slides, scales and structured sparsity: kernels reach them, and every core gives the same numbers."""

import re
from pathlib import Path

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.compile import compile
from vertebra.core.instruction import find
from vertebra.core.select import runtime_for
from vertebra.plugins.triton.aot import compile_file
from vertebra.plugins.xsmt import weights

from .products import random_integers

KERNELS = str(Path(__file__).parent / "form_kernels.py")
NAMES = ("spacemit-a60", "spacemit-a100", "spacemit-x60")
cores = pytest.mark.parametrize("name", NAMES)


def run(core, kernel: str, signature: str, constants: str, grid: tuple, args: list) -> set[str]:
    """Launches a kernel; the matrix instructions in it.  core: a name, or a core."""
    core = hooks.cores()[core] if isinstance(core, str) else core
    made = compile_file(
        KERNELS, kernel, signature=signature, constexpr=constants, core=core.name, emit="llir"
    )
    text = made.data if isinstance(made.data, str) else made.data.decode()
    binary = compile(made.data, core, name=kernel, signature=made.signature, start="llir")
    runtime_for(core).load(binary).launch((*grid, 1, 1)[:3], args)
    known = tuple(hooks.instructions().values())
    words = {int(word, 16) for word in re.findall(r"\.insn 4, (0x\w+)", text)}
    return {found[0].mnemonic for word in words if (found := find(known, word))} - {"smt.vpack.vv"}


# -- convolutions


def convolved(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """In float64, or modulo 2**64."""
    kind = np.float64 if x.dtype.kind == "f" else np.int64
    rows = len(x) - len(w) + 1
    return sum(x[t : t + rows].astype(kind) @ w[t].astype(kind) for t in range(len(w)))


def slides(name: str, taps: int) -> set[str]:
    """Taps go in windows of 4 at most, as equal as can be."""
    most = -(-taps // -(-taps // 4))
    return {"smt.vmadot" + (str(t) if t else "") for t in range(most)} if name != "spacemit-x60" else set()


@cores
@pytest.mark.parametrize("taps", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("n, c, f", [(64, 64, 32), (40, 33, 45), (9, 5, 3)])
def test_convolution(name, taps, n, c, f):
    rng = np.random.default_rng(taps + n)
    x, w = random_integers(rng, "i8", (n, c)), random_integers(rng, "i8", (taps, c, f))
    rows = n - taps + 1
    out = np.full((rows + 1, f), 7, np.int32)
    constants = f'ROWS=32,C=32,F=32,TAPS={taps},ACC="tl.int32"'
    grid = (-(-rows // 32), -(-f // 32))
    found = run(name, "conv1d", "*i8:16,*i8:16,*i32:16,i32,i32,i32", constants, grid, [x, w, out, n, c, f])
    assert found == slides(name, taps)
    np.testing.assert_array_equal(out[:-1], convolved(x, w).astype(np.int32))
    assert (out[-1] == 7).all()


@pytest.mark.parametrize("name", ["spacemit-a60", "spacemit-a100"])
def test_long_convolution(name):
    """The tiles of one step of K fill more bytes than an instruction adds."""
    rng = np.random.default_rng(8)
    x, w = random_integers(rng, "i8", (300, 128)), random_integers(rng, "i8", (3, 128, 16))
    out = np.zeros((298, 16), np.int32)
    constants = 'ROWS=512,C=128,F=16,TAPS=3,ACC="tl.int32"'
    args = [x, w, out, 300, 128, 16]
    run(name, "conv1d", "*i8:16,*i8:16,*i32:16,i32,i32,i32", constants, (1, 1), args)
    np.testing.assert_array_equal(out, convolved(x, w).astype(np.int32))


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_convolution_of_floats(kind):
    """Sums of few small integers are exact in any order."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-8, 9, s).astype(np.float32) for s in ((50, 40), (3, 40, 24)))
    out = np.zeros((48, 24), np.float32)
    given = [
        a.astype(np.float16) if kind == "fp16" else (a.view(np.uint32) >> 16).astype(np.uint16)
        for a in (x, w)
    ]
    signature = f"*{kind}:16,*{kind}:16,*fp32:16,i32,i32,i32"
    constants = 'ROWS=32,C=32,F=32,TAPS=3,ACC="tl.float32"'
    found = run("spacemit-a100", "conv1d", signature, constants, (2, 1), [*given, out, 50, 40, 24])
    assert found == {"smt.vfwmadot", "smt.vfwmadot1", "smt.vfwmadot2"}
    np.testing.assert_array_equal(out, convolved(x, w))


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_convolution_of_floats_within_its_bound(kind):
    """(products + 1) roundings of a partial sum; infinities and NaN stay in the rows that see them."""
    rng = np.random.default_rng(6)
    x, w = (halves(rng.standard_normal(s).astype(np.float32), kind) for s in ((50, 40), (3, 40, 24)))
    x[7, 3], x[20, 5], x[30] = np.inf, np.nan, -0.0
    w = np.abs(w) + np.float32(2.0**-7)
    w = halves(w, kind)
    out = np.zeros((48, 24), np.float32)
    constants = 'ROWS=32,C=32,F=32,TAPS=3,ACC="tl.float32"'
    args = [stored(x, kind), stored(w, kind), out, 50, 40, 24]
    run("spacemit-a100", "conv1d", f"*{kind}:16,*{kind}:16,*fp32:16,i32,i32,i32", constants, (2, 1), args)
    assert (out[5:8] == np.inf).all() and np.isnan(out[18:21]).all()
    rows = np.setdiff1d(np.arange(48), [5, 6, 7, 18, 19, 20])
    clean = np.where(np.isfinite(x), x, 0)
    bound = 121 * 2.0**-24 * convolved(np.abs(clean), np.abs(w))
    assert (np.abs(out - convolved(clean, w)) <= bound + 2.0**-140)[rows].all()


@cores
def test_convolution_of_images(name):
    rng = np.random.default_rng(1)
    x, w = random_integers(rng, "i8", (6, 45, 32)), random_integers(rng, "i8", (3, 3, 32, 16))
    out = np.zeros((4, 43, 16), np.int32)
    constants = "C=32,F=16,COLUMNS=32,TAPS=3"
    found = run(name, "conv2d", "*i8:16,*i8:16,*i32:16,i32", constants, (2, 4), [x, w, out, 45])
    assert found == slides(name, 3)
    for row in range(4):
        want = sum(convolved(x[row + dy], w[dy]) for dy in range(3))
        np.testing.assert_array_equal(out[row], want.astype(np.int32))


@pytest.mark.parametrize("name", ["spacemit-a60", "spacemit-a100"])
def test_taps_that_see_other_rows_are_no_window(name):
    rng = np.random.default_rng(2)
    x, w = random_integers(rng, "i8", (34, 32)), random_integers(rng, "i8", (3, 32, 16))
    out = np.zeros((32, 16), np.int32)
    constants = "ROWS=32,C=32,F=16,TAPS=3"
    found = run(name, "masked_alike", "*i8:16,*i8:16,*i32:16,i32", constants, (1,), [x, w, out, 11])
    assert found == {"smt.vmadot"}
    seen = [np.where(np.arange(32)[:, None] < 11, x[t : t + 32], 1).astype(np.int64) for t in range(3)]
    np.testing.assert_array_equal(out, sum(a @ b for a, b in zip(seen, w.astype(np.int64), strict=True)))


@pytest.mark.parametrize("name", ["spacemit-a60", "spacemit-a100"])
def test_rows_written_between_taps_are_no_window(name):
    rng = np.random.default_rng(3)
    x, w = random_integers(rng, "i8", (33, 32)), random_integers(rng, "i8", (32, 16))
    out, want = np.zeros((32, 16), np.int32), 2 * (x[:32].astype(np.int32) @ w.astype(np.int32))
    found = run(name, "written_between", "*i8:16,*i8:16,*i32:16", "ROWS=32,C=32,F=16", (1,), [x, w, out])
    assert found == {"smt.vmadot"}
    np.testing.assert_array_equal(out, want)


# -- scales


def halves(x: np.ndarray, kind: str) -> np.ndarray:
    """x rounded to 16 bits, as float32 or float64."""
    if kind == "fp16":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(x.dtype)
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32)
    return rounded.view(np.float32).astype(x.dtype)


def stored(x: np.ndarray, kind: str) -> np.ndarray:
    x = x.astype(np.float32)
    return x.astype(np.float16) if kind == "fp16" else (x.view(np.uint32) >> 16).astype(np.uint16)


def numbers(bits: np.ndarray, kind: str) -> np.ndarray:
    if kind == "fp16":
        return bits.view(np.float16).astype(np.float64)
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


@pytest.mark.parametrize("name", (*NAMES, "spacemit-x100"))
@pytest.mark.parametrize("kind", ["fp16", "bf16"])
@pytest.mark.parametrize("bits, block, parts", [(8, 16, 2), (4, 32, 1)])
@pytest.mark.parametrize("m, n, k", [(32, 64, 128), (13, 35, 64)])
def test_blocks_with_scales(name, kind, bits, block, parts, m, n, k):
    """Every rounding is that of the kernel's own arithmetic, on every core, bit by bit."""
    rng = np.random.default_rng(m + bits)
    a, b = random_integers(rng, "i8", (m, k)), random_integers(rng, "i8", (k, n))
    scales = halves((rng.random((k // (block * parts), n)) * 0.02).astype(np.float32), kind)
    out = np.zeros((m, n), np.uint16)
    type = "tl.float16" if kind == "fp16" else "tl.bfloat16"
    found = run(
        name,
        "blocks",
        f"*i8:16,*i8:16,*{kind}:16,*{kind}:16,i32,i32,i32",
        f'M=16,N=32,BLOCK={block},PARTS={parts},BITS={bits},TYPE="{type}"',
        (-(-m // 16), -(-n // 32)),
        [a, b, stored(scales, kind), out.view(np.float16) if kind == "fp16" else out, m, n, k],
    )
    if name == "spacemit-a100":
        assert found == {"smt.vmadot.hp"}
    if bits == 4:
        a, b = ((x << 4).astype(np.int8) >> 4 for x in (a, b))
    want = np.zeros((m, n))
    for number in range(k // block):
        part = slice(number * block, (number + 1) * block)
        product = halves((a[:, part].astype(np.int64) @ b[part].astype(np.int64)).astype(np.float64), kind)
        with np.errstate(invalid="ignore"):
            want = halves(want + halves(product * scales[number // parts].astype(np.float64), kind), kind)
    np.testing.assert_array_equal(numbers(out, kind), want)


def test_deeper_blocks_round_less_often_and_stay_plain():
    """The instruction rounds after 16 products of 8 bits: one of 32 means other numbers."""
    rng = np.random.default_rng(4)
    a, b = random_integers(rng, "i8", (16, 64)), random_integers(rng, "i8", (64, 32))
    scales, out = np.full((2, 32), 0.001, np.float16), np.zeros((16, 32), np.float16)
    constants = 'M=16,N=32,BLOCK=32,PARTS=1,BITS=8,TYPE="tl.float16"'
    signature = "*i8:16,*i8:16,*fp16:16,*fp16:16,i32,i32,i32"
    found = run("spacemit-a100", "blocks", signature, constants, (1, 1), [a, b, scales, out, 16, 32, 64])
    assert found == {"smt.vmadot"}


# -- structured sparsity


@cores
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("m, n, k", [(32, 64, 128), (45, 71, 200), (3, 2, 4)])
def test_sparse_weights(name, bits, m, n, k):
    rng = np.random.default_rng(n)
    a, full = random_integers(rng, f"i{8}", (m, k)), random_integers(rng, "i8", (k, n))
    if bits == 4:
        a, full = ((x << 4).astype(np.int8) >> 4 for x in (a, full))
    dense = weights.prune(full)
    values, mask = weights.compress(dense)
    # Groups with other than two bits are zero; the upper half of a mask does not count.
    mask[0, 0], mask[0, 1] = 0b0111, mask[0, 1] | 0xA0
    dense[:4, 0] = 0
    out = np.zeros((m, n), np.int32)
    found = run(
        name,
        "sparse",
        "*i8:16,*i8:16,*i8:16,*i32:16,i32,i32,i32",
        f"M=32,N=32,K=64,BITS={bits}",
        (-(-m // 32), -(-n // 32)),
        [a, values, mask.view(np.int8), out, m, n, k],
    )
    if name != "spacemit-x60":
        assert found == {"smt.vmadot.sp" if name == "spacemit-a100" else "smt.vmadot"}
    np.testing.assert_array_equal(out, a.astype(np.int32) @ dense.astype(np.int32))


# -- one row, and a matrix row by row


@cores
@pytest.mark.parametrize("n, k", [(64, 256), (70, 256), (5, 300), (129, 511), (37, 128)])
def test_row_by_matrix(name, n, k):
    rng = np.random.default_rng(n + k)
    x, weight = random_integers(rng, "i8", k), random_integers(rng, "i8", (k, n))
    out = np.full(n + 3, 7, np.int32)
    constants = 'BLOCK_N=32,BLOCK_K=128,ACC="tl.int32"'
    run(
        name,
        "row_by_matrix",
        "*i8:16,*i8:16,*i32:16,i32,i32",
        constants,
        (-(-n // 32),),
        [x, weight, out, n, k],
    )
    np.testing.assert_array_equal(out[:n], x.astype(np.int32) @ weight.astype(np.int32))
    assert (out[n:] == 7).all()


def test_row_by_matrix_of_floats():
    rng = np.random.default_rng(5)
    x, weight = (rng.integers(-8, 9, s).astype(np.float16) for s in (200, (200, 50)))
    out = np.zeros(50, np.float32)
    constants = 'BLOCK_N=32,BLOCK_K=64,ACC="tl.float32"'
    args = [x, weight, out, 50, 200]
    found = run("spacemit-a100", "row_by_matrix", "*fp16:16,*fp16:16,*fp32:16,i32,i32", constants, (2,), args)
    assert found == {"smt.vfwmadot"}
    np.testing.assert_array_equal(out, x.astype(np.float64) @ weight.astype(np.float64))
