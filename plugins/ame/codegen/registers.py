"""Which matrix registers and accumulators a product uses, and the grid of tiles that they make."""

import functools

import attrs

from vertebra.core.errors import ConfigError
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.types import BF16, FP16, FP32, INT8, INT32, Type

_TYPICAL_STEPS = 16  # of K, over which the way of the sums in and out is spread
_SUMS = 6  # instructions for the sums of one tile, in and out
_FINISHING = 8  # matrix registers that sums take which are finished
_MOST_POINTERS = 12  # X registers that hold addresses of tiles


@attrs.frozen
class Plan:
    """Registers of a product of `rows` x `columns` tiles, whose accumulators are 0, 1, ... row by row.

    buffers: 1, or 2 that take turns, so that a step's operands are loaded during the one before.
    tile: registers of one operand tile.  Tiles of A and B take turns, so that the type of a register is the
    same in every plan.  operands: how many registers tiles of A and B may take.  sums: the first register of
    one tile of sums, on its way between an accumulator and memory.  squares: accumulators that such a tile
    comes from, side by side; `columns` counts each of them.
    """

    rows: int
    columns: int
    buffers: int
    tile: int
    operands: int
    sums: int
    squares: int = 1

    def operand(self, number: int, step: int) -> int:
        """The first register of tile `number`, of A's tiles and then B's, in `step`."""
        side, of_side = (0, self.rows) if number < self.rows else (1, self.columns)
        place = step % self.buffers * of_side + number - side * self.rows
        return (2 * place + side) * self.tile


def shape_of(g: Geometry, kind: Type) -> tuple[int, int, int]:
    """M, N, K of one multiplication."""
    return g.n, g.n, g.n * g.pack(kind.bits)


def finishing(g: Geometry, kinds: tuple[Type, Type], acc: Type) -> dict[str, int]:
    """The registers with which the sums of products of `kinds` are finished, by what they hold.

    "sums": the first of as many tiles in f32 as the narrowest register holds.  "row": numbers to meet them.
    "whole": one tile of integers.  Names of types: what is narrower, on its way.  Operands that are of the
    type lend theirs.  Only of units whose unit type is as wide as the sums: there every type takes one
    register.
    """
    if g.u != acc.bits:
        return {}
    lent = {kinds[1]: 1, kinds[0]: 0}
    found = {"sums": g.m - g.pack(INT8.bits)}
    free = iter(range(found["sums"] - 1, g.m - _FINISHING - 1, -1))
    for name, type in (("row", FP32), ("whole", INT32), ("f16", FP16), ("bf16", BF16), ("i8", INT8)):
        register = lent[type] if type in lent else next(free, None)
        if register is not None:
            found[name] = register
    return found


def types(g: Geometry, kinds: tuple[Type, Type], acc: Type) -> dict[int, Type]:
    """The type of every matrix register on which products of `kinds` work."""
    rows, columns = largest(g, kinds[0], acc)
    made = needed(g, kinds[0], acc, rows, columns * g.pack(acc.bits))
    found = {}
    for side, kind in enumerate(kinds):
        found |= dict.fromkeys(range(side * made.tile, made.operands - made.tile + 1, 2 * made.tile), kind)
    if finish := finishing(g, kinds, acc):
        wide = {"row": FP32, "whole": INT32, "f16": FP16, "bf16": BF16, "i8": INT8}
        found |= dict.fromkeys(range(finish["sums"], g.m), FP32)
        found |= {number: wide[name] for name, number in finish.items() if name in wide}
    elif made.sums:
        found[made.sums] = acc
    return found


def plan(g: Geometry, kind: Type, acc: Type, rows: int, columns: int) -> Plan | None:
    """None where the registers do not hold so many tiles."""
    squares = g.pack(acc.bits)
    tile, sums = g.group(kind.bits), g.group(acc.bits)
    if rows * columns > g.acc or rows + columns > _MOST_POINTERS:
        return None

    def fits(buffers: int, registers: int) -> bool:
        """A has every second place for a tile from the first on, B from the second on."""
        places = registers // tile
        return buffers * rows <= -(-places // 2) and buffers * columns <= places // 2

    finish = finishing(g, (kind, kind), acc)
    last = finish["sums" if acc.float else "whole"] if finish else g.m - sums
    operands = g.m - _FINISHING if finish else last
    for buffers in (2, 1):
        if fits(buffers, operands):
            return Plan(rows, columns, buffers, tile, operands, last, squares)
    if (
        not finish and kind == acc and fits(1, g.m)
    ):  # then operands and sums share registers, one after the other
        return Plan(rows, columns, 1, tile, g.m, 0, squares)
    return None


def needed(g: Geometry, kind: Type, acc: Type, rows: int, columns: int) -> Plan:
    """The plan.  Raises ConfigError where there are not registers enough."""
    if found := plan(g, kind, acc, rows, columns):
        return found
    matrix = 2 * max(rows, columns) * g.group(kind.bits) + (0 if kind == acc else g.group(acc.bits))
    raise ConfigError(
        f"a product of {rows} x {columns} tiles needs {rows * columns} accumulators and {matrix} matrix "
        f"registers, the unit has {g.acc} and {g.m}",
        fix=f"use a grid of {largest(g, kind, acc)[0]} x {largest(g, kind, acc)[1]} tiles",
    )


def _cost(rows: int, columns: int) -> float:
    """Instructions of one step: a load with its address for each operand tile, and the multiplications."""
    return 2 * (rows + columns) + rows * columns + _SUMS * rows * columns / _TYPICAL_STEPS


def largest(g: Geometry, kind: Type, acc: Type) -> tuple[int, int]:
    """The grid with the fewest instructions per multiplication."""
    return grid(g, kind, acc, g.acc, g.acc)


@functools.cache
def grid(g: Geometry, kind: Type, acc: Type, down: int, across: int, beside: int = 1) -> tuple[int, int]:
    """The (rows, columns) that cover `down` x `across` tiles of sums; columns: a multiple of `beside`."""
    squares = g.pack(acc.bits)
    shapes = [
        (r, c)
        for r in range(1, min(down, g.acc) + 1)
        for c in range(beside, min(across, g.acc) + 1, beside)
        if plan(g, kind, acc, r, c * squares)
    ]

    def whole(shape: tuple[int, int]) -> float:
        """Runs of nearly equal sizes cover each side."""
        (r, c) = shape
        runs = [-(-down // r), -(-across // c)]
        return runs[0] * runs[1] * _cost(down / runs[0], squares * across / runs[1])

    return min(shapes, key=lambda shape: (whole(shape), -shape[0] * shape[1], -shape[1]))
