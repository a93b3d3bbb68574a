"""The panels of matrix engines as layouts, against their definition element by element."""

import random

import numpy as np
import pytest

from vertebra.core.layout import names, panels, planner
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.tiling import repack
from vertebra.plugins.ime.layouts import SPACES


def factor_by_hand(m: int, k: int, height: int, steps: int, count: int) -> dict:
    """Panel by panel, step by step, tile by tile, row by row."""
    found, at = {}, 0
    for p in range(count):
        for s in range(steps):
            for t in range(height):
                for i in range(m):
                    for j in range(k):
                        found[(p * height + t) * m + i, s * k + j] = at
                        at += 1
    return found


def sums_by_hand(m: int, n: int, rows: int, columns: int, down: int, across: int) -> dict:
    found, at = {}, 0
    for p in range(down):
        for q in range(across):
            for t in range(rows):
                for u in range(columns):
                    for i in range(m):
                        for j in range(n):
                            found[(p * rows + t) * m + i, (q * columns + u) * n + j] = at
                            at += 1
    return found


def sizes(count: int, seed: int, most: int = 5):
    rng = random.Random(seed)
    return [rng.randint(1, most) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_factors(seed):
    m, k, height, steps, count = sizes(5, seed)
    layout = panels.factor((m, k), height, steps, count)
    by_hand = factor_by_hand(m, k, height, steps, count)
    assert {at: layout(*at) for at in by_hand} == by_hand


@pytest.mark.parametrize("seed", range(20))
def test_sums(seed):
    m, n, rows, columns, down, across = sizes(6, seed, 4)
    layout = panels.sums((m, n), (rows, columns), (down, across))
    by_hand = sums_by_hand(m, n, rows, columns, down, across)
    assert {at: layout(*at) for at in by_hand} == by_hand


@pytest.mark.parametrize("seed", range(10))
def test_sums_of_one_column_of_tiles_lie_as_a_factor_does(seed):
    """So that work between two products needs no permutation."""
    m, n, rows, down, across = sizes(5, seed)
    assert np.array_equal(
        panels.sums((m, n), (rows, 1), (down, across)).offsets(),
        panels.factor((m, n), rows, across, down).offsets(),
    )


def test_tiles_of_a_factor_are_operands_of_the_instructions():
    for name, tile in (("ime.a100.A.i8", (8, 16)), ("ime.a60.A.i8", (4, 8)), ("ime.a100.A.f16", (8, 8))):
        operand = names.operand(name)
        assert operand.shape == tile
        assert np.array_equal(operand.layout.offsets(), panels.factor(tile, 1, 1).offsets())


@pytest.mark.parametrize(
    "core, sums, factor, tile, wide",
    [("a100", "f32", "f16", (8, 8), 1), ("a100", "i32", "i8", (8, 8), 2), ("a60", "i32", "i8", (4, 4), 2)],
)
def test_the_planner_takes_tiles_of_sums_to_a_tile_of_the_factor(core, sums, factor, tile, wide):
    """The layouts that the compiler uses are those between which the planner finds register programs."""
    (m, n), space = tile, SPACES[core]
    whole = (m, n * wide)
    left = Operand("sums", whole, sums, space, panels.sums(tile, (1, wide)))
    right = Operand("factor", whole, factor, space, panels.factor(whole, 1, 1))
    plan = planner.plan(left, right)
    values = np.arange(m * n * wide).reshape(whole) % 100
    held = plan.run(values).reshape(-1)
    kind = {"f16": np.float16, "i8": np.int8}[factor]
    assert np.array_equal(held.view(kind)[: values.size], values.reshape(-1).astype(kind))
    moves = repack(left.layout, right.layout).offsets().tolist()
    # A row of a tile of sums stays together: rows of the tiles are interleaved as words.
    rows = [moves[at : at + n] for at in range(0, len(moves), n)]
    assert all(row == list(range(row[0], row[0] + n)) for row in rows)
    assert [row[0] // n for row in rows] == [i * wide + t for t in range(wide) for i in range(m)]
