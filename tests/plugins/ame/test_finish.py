"""Sums that the unit finishes: bias, activation, scale, narrower types and the store."""

from pathlib import Path

import numpy as np
import pytest

from vertebra.core import compile as stages
from vertebra.core.select import runtime_for
from vertebra.plugins.ame.codegen.finish import can_finish
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.qemu.counting import count_emulated
from vertebra.plugins.triton.aot import compile_file

from ..ime.products import product

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
    counts = count_emulated(kernel, (-(-m // block[0]), n // block[1], 1), [a, b, bias, out, m, n])
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
    counts = count_emulated(runtime_for(AME_GENERIC).load(binary), (1, 1, 1), arrays)
    np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))
    assert counts["mss.st"] == 8 * 5 and "mss.rm" not in counts


def test_what_is_no_number_becomes_zero():
    """As tl.maximum has it, which prefers numbers to NaN."""
    got, want, counts = linear(32, 32, 32, values=[np.nan, np.inf])
    np.testing.assert_array_equal(got, want)
    assert counts["mselge.ew"] and (got[0] == 0).all()


@pytest.mark.parametrize(
    "acc, names, element, columns, expected",
    [
        ("f32", ("row", "relu"), "f16", 2, True),
        ("f32", ("row", "relu"), "f16", 1, False),
        ("f32", ("row", "relu"), "f32", 1, True),
        ("f32", ("sqrt",), "f32", 1, False),
        ("f32", ("add", "scale", "max", "min"), "bf16", 4, True),
        ("i32", (), "i32", 3, True),
        ("i32", (), "i8", 4, False),
        ("i32", ("add",), "i32", 4, False),
    ],
)
def test_what_the_unit_can_finish(acc, names, element, columns, expected):
    assert can_finish(Geometry(), acc, names, element, columns) is expected
