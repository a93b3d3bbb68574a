"""Which grid of accumulator tiles covers a product."""

import functools
import itertools
from collections.abc import Callable

from vertebra.lowering.linalg_to_vector.contract import balanced
from vertebra.plugins.rvv.matrix.schedule import REGISTERS, Group, fits, schedule

_CALL = 30  # instructions around one loop over K: addresses, and sums in and out of registers
_TYPICAL_STEPS = 16
_BUSY = 8  # independent sums that hide the latency of a matrix instruction


def least_cost(rows: int, columns: int) -> float:
    """Of a step, with one load for each operand: see `step_cost`."""
    waiting = max(0, _BUSY - rows * columns) / 2
    return rows * columns + rows + columns + 2 + waiting


def step_cost(rows: int, columns: int, span: int) -> float:
    """Cycles of a step on one issue port, on which a load takes one more for each register."""
    loads = sum(isinstance(x, Group) for x in schedule(rows, columns, span).order)
    return least_cost(rows, columns) + loads - 2


def panels(total: int, most: int) -> list[int]:
    """The sizes of the panels that cover `total` tiles, `most` in each at most."""
    return [size for start, stop, size in balanced(total, most) for _ in range(start, stop, size)]


@functools.cache
def grid(rows: int, columns: int, span: int) -> tuple[int, int]:
    """The (rows, columns) of the grid in which rows x columns tiles cost least.

    span: registers that the sums of one tile take.
    """
    sides = range(1, REGISTERS)
    shapes = [(r, c) for r in sides for c in sides if r <= rows and c <= columns and fits(r, c, span)]
    bounds = {shape: _total(rows, columns, shape, least_cost) for shape in shapes}
    best, least = (1, 1), float("inf")
    for shape in sorted(shapes, key=lambda s: (bounds[s], -s[0] * s[1])):
        if bounds[shape] >= least:
            break
        cost = _total(rows, columns, shape, lambda r, c: step_cost(r, c, span))
        if cost < least:
            best, least = shape, cost
    return best


def _total(rows: int, columns: int, shape: tuple[int, int], cost: Callable[[int, int], float]) -> float:
    """Cycles of a step in all panels of a product, whose panels are of `shape` or smaller."""
    down, across = panels(rows, shape[0]), panels(columns, shape[1])
    kinds = itertools.product(set(down), set(across))
    return sum(down.count(r) * across.count(c) * (cost(r, c) + _CALL / _TYPICAL_STEPS) for r, c in kinds)
