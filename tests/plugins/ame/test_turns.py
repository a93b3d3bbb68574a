"""Loops over K: the sums stay in the accumulators from the first turn to the last."""

import attrs
import numpy as np
import pytest

from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry

from .launches import launch, small

BLOCK = {"BM": 32, "BN": 32, "BK": 32}
CORES = [AME_GENERIC] + [
    attrs.evolve(AME_GENERIC, name=f"turns-n{g.n}u{g.u}m{g.m}a{g.acc}", ame=g)
    for g in (Geometry(n=4, u=16, m=32, acc=16), Geometry(n=4, u=64, acc=8), Geometry(n=4, u=8))
]
WIDE = {np.int8: np.int32, np.float16: np.float32, np.float32: np.float32}


def tiles(*sizes: int) -> int:
    """Squares of 8 in blocks of 32."""
    return int(np.prod([-(-size // 32) * 4 for size in sizes]))


def check(kind, m, n, k, start=0, core=AME_GENERIC, block=BLOCK):
    rng = np.random.default_rng(m + n + k)
    wide = WIDE[kind]
    a, b = small(rng, (m, k), kind), small(rng, (k, n), kind)
    x = small(rng, (m, n) if start == 2 else n, wide)
    c = np.full((m, n), 99, wide)
    acc = "tl.int32" if wide is np.int32 else "tl.float32"
    grid = (-(-m // block["BM"]), -(-n // block["BN"]))
    counts = launch("starts", grid, [a, b, x, c, m, n, k], core, KIND=start, ACC=acc, **block)
    np.testing.assert_array_equal(c, a.astype(wide) @ b.astype(wide) + (3 if start == 0 else x))
    return counts


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
@pytest.mark.parametrize("kind", [np.int8, np.float16, np.float32])
@pytest.mark.parametrize("m, n, k", [(64, 32, 128), (33, 40, 100), (5, 70, 7), (32, 32, 0)])
def test_numbers(core, kind, m, n, k):
    check(kind, m, n, k, 3, core)


@pytest.mark.parametrize("start", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", [np.int8, np.float16])
@pytest.mark.parametrize("m, n, k", [(64, 64, 96), (33, 40, 100), (20, 20, 0)])
def test_starts(start, kind, m, n, k):
    check(kind, m, n, k, start)


@pytest.mark.parametrize("m, n, k", [(64, 64, 256), (40, 33, 1000)])
def test_accumulators_are_filled_and_read_once(m, n, k):
    """From integers, where a row is what the sums begin at: nothing else comes near them."""
    counts = check(np.int8, m, n, k, 3)
    assert counts["mmov.m.a"] == counts["mmov.a.m"] == tiles(m, n)
    assert "mls.rm" not in counts
    steps = -(-k // 32)
    assert counts["mmulbtacc.2d"] == tiles(m, n) * steps + -(-m // 32) * -(-n // 32)  # and one on entering


def test_what_follows_in_memory_is_one_run():
    """With two steps in every turn and none but the last one at an edge, a turn needs no loop of its own."""
    counts = check(np.int8, 32, 32, 256, block={"BM": 32, "BN": 32, "BK": 64})
    panels, row = 4, 2  # tiles of the row at which the sums of a panel begin
    assert counts["mls.st"] + counts["mls.tst"] == panels * (4 * 8 + row)  # 4 tiles, 8 steps


def test_several_products_in_one_loop():
    rng = np.random.default_rng(1)
    a, b = small(rng, (40, 100), np.float16), small(rng, (100, 64), np.float16)
    c, d = np.zeros((40, 64), np.float32), np.zeros((40, 64), np.float32)
    counts = launch("pairs", (2, 2), [a, b, c, d, 40, 64, 100], **BLOCK)
    want = a.astype(np.float32) @ b.astype(np.float32)
    np.testing.assert_array_equal(c, 2 * want)
    np.testing.assert_array_equal(d, want)
    assert counts["mzero.2d.acc"] == 2 * tiles(40, 64) and "mls.rm" not in counts


@pytest.mark.parametrize("stride", [1, 3, 69])
def test_more_runs_than_are_remembered(stride):
    """70 blocks of K, of which hardly any two are neighbours: the sums leave the unit once, and come back."""
    rng = np.random.default_rng(stride)
    a, b = small(rng, (32, 70 * 16), np.float16), small(rng, (70 * 16, 32), np.float16)
    c = np.zeros((32, 32), np.float32)
    counts = launch("scattered", (1, 1), [a, b, c, 32, 32, 70 * 16, stride], BM=32, BN=32, BK=16)
    np.testing.assert_array_equal(c, a.astype(np.float32) @ b.astype(np.float32))
    assert counts.get("mls.rm", 0) == (0 if stride == 1 else 16)


def test_more_copies_than_there_is_room_for():
    counts = check(np.int8, 30, 32, 70 * 32)
    assert counts["mls.rm"] == 16


@pytest.mark.parametrize("parts", [1, 3])
def test_loops_in_loops(parts):
    rng = np.random.default_rng(parts)
    a, b = small(rng, (64, 192), np.float16), small(rng, (192, 40), np.float16)
    c = np.zeros((64, 40), np.float32)
    launch("nested", (2, 2), [a, b, c, 64, 40, 192, parts], **BLOCK)
    np.testing.assert_array_equal(c, a.astype(np.float32) @ b.astype(np.float32))


def test_operands_that_a_turn_overwrites_are_read_before():
    rng = np.random.default_rng(5)
    a, b = small(rng, (32, 96), np.float16), small(rng, (96, 32), np.float16)
    first = a[:, :32].astype(np.float32)
    want = sum(2**turn * first @ b[32 * turn : 32 * turn + 32].astype(np.float32) for turn in range(3))
    c = np.zeros((32, 32), np.float32)
    launch("changing", (1, 1), [a, b, c, 32, 32, 96], **BLOCK)
    np.testing.assert_array_equal(c, want)
    np.testing.assert_array_equal(a[:, :32], 8 * first)


def test_operands_that_stay_and_that_are_computed():
    rng = np.random.default_rng(6)
    a, b = small(rng, (32, 96), np.float16), small(rng, (96, 64), np.float16)
    c = np.zeros((32, 64), np.float32)
    counts = launch("widened", (1, 2), [a, b, c, 32, 64, 96], **BLOCK)
    want = sum(a[:, :32].astype(np.float32) @ b[k : k + 32].astype(np.float32) for k in (0, 32, 64))
    np.testing.assert_array_equal(c, 2 * want)
    assert "mls.rm" not in counts


def test_programs_that_call_the_runtime():
    """They have the unit for one panel of sums at a time, all turns of it."""
    rng = np.random.default_rng(7)
    a, b = small(rng, (40, 100), np.float16), small(rng, (100, 32), np.float16)
    c = np.zeros((40, 32), np.float32)
    counts = launch("watched", (2, 1), [a, b, c, 40, 32, 100], **BLOCK)
    np.testing.assert_array_equal(c, a.astype(np.float32) @ b.astype(np.float32))
    assert counts["ame.acquire"] == counts["ame.release"] == tiles(40, 32) / 4
    assert counts["mzero.2d.acc"] == tiles(40, 32)
