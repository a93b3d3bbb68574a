"""Matrix products on processors other than the one at hand: older x86, and AArch64 as far as its assembly."""

import attrs
import numpy as np
import pytest
from test_micro_kernels import HOST, SIZES, check_integers, product

from vertebra.core.compile import render
from vertebra.core.pipeline import micro_kernels_of
from vertebra.core.target import VectorUnit

V3 = ("+sse2", "+avx", "+avx2", "+fma", "+f16c", "+bmi", "+bmi2")
V4 = (*V3, "+avx512f", "+avx512bw", "+avx512cd", "+avx512dq", "+avx512vl")


def x86(cpu: str, features: tuple[str, ...], bits: int):
    """The record that the host plugin would make of such a machine."""
    long = bits == 512
    unit = VectorUnit(bits, registers=32 if long else 16, scalar_operand=long)
    return attrs.evolve(HOST, cpu=cpu, features=features, vector=unit)


AVX2 = x86("x86-64-v3", V3, 256)
AVX512 = x86("x86-64-v4", V4, 512)
SSE2 = x86("x86-64", ("+sse2",), 128)
AVX_VNNI = x86("x86-64-v3", (*V3, "+avxvnni"), 256)
PLAIN = x86("x86-64", (), 128)


def runs_here(core) -> bool:
    return HOST.arch == "x86_64" and set(core.features) <= set(HOST.features)


def arm(*features: str):
    return attrs.evolve(
        HOST,
        arch="aarch64",
        triple="aarch64-unknown-linux-gnu",
        cpu="generic",
        features=("+neon", *features),
        vector=VectorUnit(128, registers=32),
    )


@pytest.mark.parametrize(
    "core, used",
    [(SSE2, "pmaddwd"), (AVX2, "vpmaddwd"), (AVX512, "vpmaddwd"), (AVX_VNNI, "vpdpbusd")],
    ids=["sse2", "avx2", "avx512", "avxvnni"],
)
def test_bytes_use_what_there_is(core, used):
    text = render(product(16, 32, 16, "i8", "i32"), "asm", core, start="linalg")
    assert used in text and "pmulld" not in text
    assert ("vpdp" in text) == (used == "vpdpbusd")
    assert ("zmm" in text) == (core is AVX512)


@pytest.mark.skipif(HOST.arch != "x86_64", reason="not an x86 machine")
@pytest.mark.parametrize("core", [SSE2, AVX2, AVX512, AVX_VNNI], ids=["sse2", "avx2", "avx512", "avxvnni"])
@pytest.mark.parametrize("m, n, k", SIZES)
def test_numbers_of_older_cores(core, m, n, k):
    if not runs_here(core):
        pytest.skip("the machine lacks the instructions")
    check_integers(core, m, n, k, -128, 127)
    check_integers(core, m, n, k, -(2**15), 2**15 - 1, np.int16)


@pytest.mark.skipif(not runs_here(AVX2), reason="the machine has no AVX2")
@pytest.mark.parametrize("value", [-(2**15), 2**15 - 1])
def test_sums_of_pairs_wrap_around(value):
    """Two products of -32768 add up to 2**31, which VPMADDWD wraps around."""
    check_integers(AVX2, 6, 24, 16, value, value, np.int16)


def test_without_any_there_are_multiply_adds():
    assert micro_kernels_of(PLAIN) == ()


@pytest.mark.parametrize(
    "features, narrow, wide, used",
    [
        (("+dotprod",), "i8", "i32", "sdot"),
        (("+dotprod", "+i8mm"), "i8", "i32", "smmla"),
        (("+bf16",), "bf16", "f32", "bfmmla"),
    ],
)
def test_neon(features, narrow, wide, used):
    text = render(product(16, 16, 16, narrow, wide), "asm", arm(*features), start="linalg")
    assert f"\t{used}\t" in text and "fmla" not in text.replace("bfmla", "") and "\tmla\t" not in text


def test_neon_without_dot_products_multiplies_and_adds():
    assert "\tmla\t" in render(product(16, 16, 16, "i8", "i32"), "asm", arm(), start="linalg")


@pytest.mark.parametrize("narrow, wide, used", [("i8", "i32", "sdot"), ("bf16", "f32", "bfdot")])
def test_odd_rows_take_dot_products(narrow, wide, used):
    """The matrix instructions take two rows at a time."""
    core = arm("+dotprod", "+i8mm", "+bf16")
    text = render(product(15, 16, 16, narrow, wide), "asm", core, start="linalg")
    assert f"\t{used}\t" in text and "mmla" not in text
