"""Sums that the unit finishes: bias, activation, scale, narrower types and the store."""

from pathlib import Path

import numpy as np
import pytest

from vertebra.core import compile as stages
from vertebra.core.select import runtime_for
from vertebra.plugins.ame.codegen.finish import finishes
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.types import NAMED
from vertebra.plugins.triton.aot import compile_file

from ..ime.products import product
from .launches import kernel_for, launch, small

KERNELS = Path(__file__).parents[3] / "benchmarks" / "ame_kernels.py"
SCALE = 0.25


def linear(m, n, k, *, half=True, masked=False, block=(32, 32), kind="fp16", alias=None, values=None):
    """(what the kernel stores, what it should, how many unit instructions ran, by mnemonic)."""
    rng = np.random.default_rng(m + n + k)
    dtype = {"fp16": np.float16, "fp32": np.float32}[kind]
    a, b = (rng.integers(-4, 5, s).astype(dtype) for s in ((m, k), (k, n)))
    if values is not None:
        a[0, : len(values)] = values
    bias = rng.integers(-8, 9, n).astype(np.float32)
    out = np.full((m + 4, n), 99, np.float16 if half else np.float32)
    if alias == "a":
        out = a
    constants = {
        "scale": SCALE,
        "K": k,
        "BLOCK_M": block[0],
        "BLOCK_N": block[1],
        "BLOCK_K": k,
        "HALF": half,
        "MASKED": masked,
    }
    made = compile_file(
        str(KERNELS),
        "linear",
        signature=f"*{kind}:16,*{kind}:16,*fp32:16,*{'fp16' if half else 'fp32'}:16,i32,i32",
        constexpr=",".join(f"{name}={value}" for name, value in constants.items()),
        core=AME_GENERIC.name,
        emit="llir",
    )
    binary = stages.compile(made.data, AME_GENERIC, name="linear", signature=made.signature, start="llir")
    with np.errstate(invalid="ignore"):
        total = a.astype(np.float32) @ b.astype(np.float32) + bias
        want = np.where(total > 0, total, np.float32(0)) * np.float32(SCALE)
    kernel = runtime_for(AME_GENERIC).load(binary)
    counts = kernel.count_emulated((-(-m // block[0]), n // block[1], 1), [a, b, bias, out, m, n])
    if alias is None:
        assert (out[m:] == 99).all()
    return out[:m], want.astype(out.dtype), counts


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("kind", ["fp16", "fp32"])
@pytest.mark.parametrize(
    "m, n, k, block", [(32, 32, 32, (32, 32)), (64, 64, 128, (32, 64)), (64, 32, 16, (64, 16))]
)
def test_numbers(m, n, k, block, kind, half):
    got, want, counts = linear(m, n, k, half=half, kind=kind, block=block)
    np.testing.assert_array_equal(got, want)
    tiles = m * n // 64
    assert counts["mselge.ew"] == counts["madd.ew"] == counts["mmul.ew.x"] == tiles
    assert counts.get("mconv.ew", 0) == (tiles // 2 if half else 0)
    assert "mss.rm" not in counts  # no sums in memory
    assert counts["mss.st"] == (tiles // 2 if half else tiles)


@pytest.mark.parametrize("m", [32, 50, 64, 1])
def test_blocks_at_the_edge_take_the_other_way(m):
    got, want, counts = linear(m, 32, 32, masked=True)
    np.testing.assert_array_equal(got, want)
    assert ("mss.rm" in counts) == bool(m % 32)
    assert ("mconv.ew" in counts) == (m >= 32)


def test_results_that_overwrite_an_operand():
    """Blocks are read as a whole before any of the result is stored, also where both lie in one place."""
    got, want, counts = linear(32, 32, 32, alias="a", block=(32, 32))
    np.testing.assert_array_equal(got, want)
    assert "mss.rm" in counts


def test_integers_go_to_their_place_at_once():
    rng = np.random.default_rng(4)
    a, b = (rng.integers(-128, 128, s).astype(np.int8) for s in ((64, 96), (96, 40)))
    out = np.zeros((64, 40), np.int32)
    text = product(a.shape, b.shape, out.shape, ("i8", "i8"), "i32", wide="i32")
    zeros = "%zeros = arith.constant dense<0> : tensor<64x40xi32>\n"
    text = text.replace("outs(%ct", "outs(%zeros").replace("%r = linalg", zeros + "%r = linalg")
    types = ("*i8", "*i8", "*i32", "*i32")
    binary = stages.compile(text, AME_GENERIC, name="k", signature=types, start="linalg")
    arrays = [a, b, np.zeros_like(out), out]
    counts = runtime_for(AME_GENERIC).load(binary).count_emulated((1, 1, 1), arrays)
    np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))
    assert counts["mss.st"] == 8 * 5 and "mss.rm" not in counts


def test_what_is_no_number_becomes_zero():
    """As tl.maximum has it, which prefers numbers to NaN."""
    got, want, counts = linear(32, 32, 32, values=[np.nan, np.inf])
    np.testing.assert_array_equal(got, want)
    assert counts["mselge.ew"] and (got[0] == 0).all()


@pytest.mark.parametrize(
    "kinds, names, element, beside",
    [
        (("f16", "f16"), ("add row", "relu"), "f16", 2),
        (("f32", "f32"), ("add row", "relu"), "f32", 1),
        (("f32", "f32"), ("sqrt",), "f32", 0),
        (("bf16", "bf16"), ("add", "scale", "max", "min"), "bf16", 2),
        (("f16", "f16"), ("add f32", "maxnum", "minnum", "round"), "i8", 4),
        (("f16", "f16"), ("add f32",) * 6, "f32", 0),
        (("f16", "f16"), ("add f16",), "f32", 2),
        (("bf16", "bf16"), ("scale f16", "add bf16"), "bf16", 2),
        (("f16", "f16"), ("add f16", "maxnum", "minnum"), "i8", 0),
        (("i8", "i8"), (), "i32", 1),
        (("i8", "i8"), (), "i8", 0),
        (("i8", "i8"), ("add",), "i32", 0),
        (("i8", "i8"), ("convert", "scale row", "trunc"), "i8", 4),
        (("ui8", "i8"), ("convert",), "i8", 4),
        (("ui8", "ui8"), ("convert",), "i8", 0),
        (("ui8", "ui8"), ("convert",), "bf16", 2),
    ],
)
def test_what_the_unit_can_finish(kinds, names, element, beside):
    types = NAMED[kinds[0]], NAMED[kinds[1]]
    acc = NAMED["f32" if types[0].float else "i32"]
    assert finishes(Geometry(), types, acc, names, element) == beside
    assert finishes(Geometry(acc=1), types, acc, names, element) == (beside if beside < 2 else 0)


# -- behind loops over K, and everything that a step can be

TYPES = {"f16": np.float16, "f32": np.float32}
BLOCK = {"BM": 32, "BN": 32, "BK": 32}


def layer(
    kind, m, n, k, *, out="f16", masked=False, block=BLOCK, dtype=np.float16, values=None, into=None, r="f32"
):
    """(what the kernel stores, what it should, instructions)."""
    rng = np.random.default_rng(m + n + k + kind)
    a, b = small(rng, (m, k), dtype), small(rng, (k, n), dtype)
    bias, r = small(rng, n, np.float32), small(rng, (m, n), TYPES[r])
    if values is not None:
        a[0, : len(values)] = values
    c = np.full((n, m) if kind in (2, 3) else (m, n), 99, TYPES[out])
    if into is not None:
        c = {"a": a, "r": r}[into]
    with np.errstate(invalid="ignore"):
        want = a.astype(np.float32) @ b.astype(np.float32) * np.float32(0.25) + bias
        if kind == 1:
            want = np.fmin(np.fmax(want + r, -6), 6)
        elif kind == 4:
            want = np.minimum(np.maximum(want, np.float32(1.5)), 40)
        elif kind == 5:
            want = want * r * np.float32(0.5)
        elif kind == 6:
            want = (want + 1) * r.reshape(-1)[:m, None]
        else:
            want = np.fmax(want, 0)
    want = (want.T if kind in (2, 3) else want).astype(c.dtype)
    grid = (-(-m // block["BM"]), -(-n // block["BN"]))
    counts = launch("layer", grid, [a, b, bias, r, c, m, n, k, 0.25], KIND=kind, MASKED=masked, **block)
    return c, want, counts


@pytest.mark.parametrize("kind", range(7))
@pytest.mark.parametrize("out", ["f16", "f32"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("m, n, k", [(32, 64, 32), (64, 32, 96)])
def test_steps(kind, out, dtype, m, n, k):
    got, want, counts = layer(kind, m, n, k, out=out, dtype=dtype)
    np.testing.assert_array_equal(got, want)
    stores = m * n // 64 // (2 if out == "f16" else 1)
    assert counts["mss.tst" if kind in (2, 3) else "mss.st"] == stores
    assert "mss.rm" not in counts and counts["mzero.2d.acc"] == counts["mmov.m.a"] == m * n // 64


def bf16(x: np.ndarray) -> np.ndarray:
    """The bits of numbers rounded to bfloat16, to even."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_bfloat16(dtype):
    rng = np.random.default_rng(9)
    a, b = small(rng, (32, 96), np.float32), small(rng, (96, 32), np.float32)
    bias, r = small(rng, 32, np.float32), small(rng, (32, 32), np.float32)
    c = np.zeros((32, 32), np.uint16)
    given = [bf16(x) if dtype == "bf16" else x.astype(np.float16) for x in (a, b)]
    args = [*given, bias, bf16(r), c, 32, 32, 96, 0.25]
    counts = launch("layer", (1, 1), args, KIND=5, MASKED=False, **BLOCK)
    np.testing.assert_array_equal(c, bf16((a @ b * np.float32(0.25) + bias) * r * np.float32(0.5)))
    assert "mss.rm" not in counts and counts["mconv.ew"] == 8 + 8


@pytest.mark.parametrize("kind", [1, 5])
@pytest.mark.parametrize("out", ["f16", "f32"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_matrices_of_half_precision_meet_the_sums(kind, out, dtype):
    got, want, counts = layer(kind, 64, 32, 64, out=out, dtype=dtype, r="f16")
    np.testing.assert_array_equal(got, want)
    assert "mss.rm" not in counts and counts["mconv.ew"] == (32 if out == "f16" else 16)


def test_no_sum_is_in_memory():
    """All that is stored is half precision by the unit; on vectors a copy of the row, and what LLVM joins."""
    rng = np.random.default_rng(2)
    a, b = small(rng, (64, 96), np.float16), small(rng, (96, 64), np.float16)
    bias, c = small(rng, 64, np.float32), np.zeros((64, 64), np.float16)
    args = [a, b, bias, np.zeros((1, 1), np.float32), c, 64, 64, 96, 1.0]
    kernel = kernel_for("layer", args, KIND=0, MASKED=False, **BLOCK)
    unit, classes = kernel.count_emulated((2, 2, 1), args), kernel.count((2, 2, 1), args)
    np.testing.assert_array_equal(c, np.maximum(a.astype(np.float32) @ b.astype(np.float32) + bias, 0))
    stores = {name: count for name, count in unit.items() if name.startswith("mss")}
    assert stores == {"mss.st": 64 // 2} and unit["mconv.ew"] == 64 // 2
    assert classes["vector_store"] < 32 * 32 // 64  # what the sums of one of four programs would take


@pytest.mark.parametrize("kind", range(7))
@pytest.mark.parametrize("m, n, k", [(40, 50, 70), (3, 33, 31), (64, 64, 0)])
def test_steps_where_blocks_are_cut_off(kind, m, n, k):
    """Whole blocks among them are finished on the unit."""
    got, want, counts = layer(kind, m, n, k, masked=True)
    np.testing.assert_array_equal(got, want)
    assert ("mss.rm" in counts) == (k > 0)
    assert ("mss.st" in counts or "mss.tst" in counts) == (m > 32 and n > 32 and k > 0)


@pytest.mark.parametrize("kind", [0, 1, 4])
def test_what_is_no_number(kind):
    """The extremes of kinds 0 and 1 prefer numbers, those of kind 4 do not."""
    got, want, counts = layer(kind, 32, 32, 32, out="f32", values=[np.nan])
    np.testing.assert_array_equal(got, want)
    assert "mss.rm" not in counts and np.isnan(got[0]).all() == (kind == 4)
    got, want, _ = layer(kind, 32, 32, 64, out="f32", values=[np.inf])
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kind, into", [(1, "r"), (5, "r"), (0, "a"), (1, "a")])
@pytest.mark.parametrize("out", ["f16", "f32"])
def test_results_that_overwrite_what_is_read(kind, into, out):
    """A matrix that meets the sums is read tile by tile before they are stored over it; operands are not."""
    dtype = TYPES[out] if into == "a" else np.float16
    got, want, counts = layer(kind, 32, 32, 32, out=out, into=into, r=out, dtype=dtype)
    np.testing.assert_array_equal(got, want)
    assert ("mss.rm" in counts) == (into == "a")


def requantised(m, n, k, dtype, rounded=1, masked=False):
    rng = np.random.default_rng(m + n)
    a, b = (rng.integers(-128, 128, s).astype(np.int8) for s in ((m, k), (k, n)))
    bias = rng.integers(-(2**30), 2**30, n).astype(np.int32)
    bias[: n // 2] >>= 14
    scale = (rng.random(n) * 0.002).astype(np.float32)
    c = np.full((m, n), 99, dtype)
    wide = (a.astype(np.int32) @ b.astype(np.int32) + bias).astype(np.float32) * scale
    want = (wide, np.floor(wide + np.float32(0.5)), np.rint(wide))[rounded]
    want = (np.clip(want, -128, 127) if dtype is np.int8 else want).astype(dtype)
    args = [a, b, bias, scale, c, m, n, k]
    counts = launch("requantised", (-(-m // 32), -(-n // 32)), args, ROUND=rounded, MASKED=masked, **BLOCK)
    np.testing.assert_array_equal(c, want)
    return counts


@pytest.mark.parametrize("rounded", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize("m, n, k", [(32, 32, 32), (64, 32, 96)])
def test_integers_are_scaled_and_become_narrow(m, n, k, dtype, rounded):
    counts = requantised(m, n, k, dtype, rounded)
    tiles = m * n // 64
    assert counts["mss.st"] == (tiles // 4 if dtype is np.int8 else tiles)
    assert counts["mmov.a.m"] == counts["mmov.m.a"] == tiles  # from the bias, and to be finished
    assert "mss.rm" not in counts and "mzero.2d.acc" not in counts


@pytest.mark.parametrize("m, n, k", [(40, 50, 70), (1, 33, 32)])
def test_integers_at_the_edge(m, n, k):
    counts = requantised(m, n, k, np.int8, masked=True)
    assert "mss.rm" in counts and ("mss.st" in counts) == (m > 32)
