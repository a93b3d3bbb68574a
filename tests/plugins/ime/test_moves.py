"""Tiles that the layout instructions bring into panels, wherever and however far apart rows lie."""

from pathlib import Path

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.compile import compile
from vertebra.core.select import runtime_for
from vertebra.plugins.triton.aot import compile_file

from .products import random_integers

KERNELS = str(Path(__file__).parent / "kernels.py")
A100 = "spacemit-a100"


def emulated(kernel: str, signature: str, constants: str, args: list) -> dict[str, int]:
    """Runs one program on A100; instructions of the engine by mnemonic."""
    core = hooks.cores()[A100]
    made = compile_file(KERNELS, kernel, signature=signature, constexpr=constants, core=A100, emit="llir")
    binary = compile(made.data, core, name=kernel, signature=made.signature, start="llir")
    return runtime_for(core).load(binary).count_emulated((1, 1, 1), args)


def product(kind: str, m: int, n: int, k: int, *, row: int, column: int, shift: int = 0) -> dict[str, int]:
    """Checks a product of matrices whose rows are `row` and `column` elements apart, `shift` bytes off."""
    rng = np.random.default_rng(m + n + k)
    element = np.int8 if kind == "i8" else np.float16
    size = np.dtype(element).itemsize
    sources = []
    for rows, pitch in ((m, row), (k, column)):
        raw = np.zeros(rows * pitch * size + 32, np.uint8)
        start = -raw.__array_interface__["data"][0] % 16 + shift
        found = raw[start : start + rows * pitch * size].view(element)
        found[:] = (
            random_integers(rng, "i8", found.shape) if kind == "i8" else rng.integers(-8, 9, found.shape)
        )
        sources.append(found)
    out = np.zeros((m, n), np.int32 if kind == "i8" else np.float32)
    types, acc = ("*i8,*i8,*i32", "tl.int32") if kind == "i8" else ("*fp16,*fp16,*fp32", "tl.float32")
    constants = f'M={m},N={n},K={k},ACC="{acc}"'
    counts = emulated("strided_product", f"{types},i32,i32", constants, [*sources, out, row, column])
    a, b = (
        x.reshape(-1, pitch)[:, :width].astype(np.float64)
        for x, pitch, width in zip(sources, (row, column), (k, n), strict=True)
    )
    np.testing.assert_array_equal(out, (a @ b).astype(out.dtype))
    return counts


@pytest.mark.parametrize("kind", ["i8", "f16"])
@pytest.mark.parametrize("m, n, k", [(64, 32, 64), (32, 8, 16), (8, 64, 256), (128, 16, 32)])
def test_left_rows_come_in_words_where_they_are_aligned(kind, m, n, k):
    """At places and distances of eight bytes; at others element by element, with the same numbers."""
    size = 1 if kind == "i8" else 2
    step = k + 8 // size
    aligned = product(kind, m, n, k, row=step, column=n)
    for row, shift in ((step, size), (step + 1, 0), (k + 4 // size, 4)):
        astray = product(kind, m, n, k, row=row, column=n, shift=shift)
        packs = [counts.get("smt.vpack.vv", 0) for counts in (aligned, astray)]
        tiles = m // 8 * k // (16 // size)
        assert -(-tiles // 2) <= packs[0] - packs[1] <= tiles  # one for two tiles, or an odd one
        name = "smt.vmadot.i8" if kind == "i8" else "smt.vfwmadot"
        assert aligned[name] == astray[name]


@pytest.mark.parametrize("kind, k", [("i8", 16), ("f16", 8)])
@pytest.mark.parametrize("n", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("pitch", [0, 1, 56])
def test_shallow_right_factors_at_all_widths(kind, k, n, pitch):
    """One step of K: whole rows where there are four tiles or more, else segments."""
    counts = product(kind, 16, n, k, row=k, column=n + pitch)
    tiles = n // 8
    sums = tiles // 4 * 16  # two rows of tiles, of which four side by side take eight
    packs = counts["smt.vpack.vv"] - 1 - sums  # one for the two tiles of A
    assert packs <= 4 * tiles if tiles >= 4 else packs == 7 * tiles


@pytest.mark.parametrize("way", ["", "same", "apart"])
@pytest.mark.parametrize("m, n, k", [(16, 32, 16), (32, 64, 64), (8, 16, 112), (64, 8, 32)])
def test_scaled_products_that_follow_each_other_are_one_loop(way, m, n, k):
    """The rounding is that of one after the other, and sums stay in registers where nobody asks for them."""
    rng = np.random.default_rng(m + k)
    # Small ones: sums of large ones are infinite in float16.
    a, b = random_integers(rng, "i8", (m, k)) >> 3, random_integers(rng, "i8", (k, n)) >> 3
    scales = (rng.random((2 * k // 16, n)) * 0.02).astype(np.float16)
    out = np.zeros((2 * k // 16, m, n) if way == "apart" else (1, m, n), np.float16)
    constants = f'K={k},M={m},N={n},WAY="{way}"'
    args = [a, b, scales, out]
    counts = emulated("scaled_chain", "*i8:16,*i8:16,*fp16:16,*fp16:16", constants, args)
    assert counts["smt.vmadot.hp.i8"] == 2 * (m // 8) * (n // 8) * (k // 16)
    want, steps = np.zeros((m, n), np.float16), []
    for turn in range(2):
        for step in range(k // 16):
            part = slice(16 * step, 16 * step + 16)
            total = (a[:, part].astype(np.int64) @ b[part].astype(np.int64)).astype(np.float16)
            want = want + total * scales[turn * (k // 16) + (0 if way == "same" else step)]
            steps.append(want)
    np.testing.assert_array_equal(out[0], want)
    if way == "apart":
        np.testing.assert_array_equal(out[1:], steps[1:])
