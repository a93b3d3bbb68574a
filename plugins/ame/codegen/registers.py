"""Which matrix registers and accumulators a product uses, and the grid of tiles that they make."""

import functools
from collections.abc import Mapping

import attrs

from vertebra.core.errors import ConfigError
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.types import FP16, FP32, Type

_TYPICAL_STEPS = 16  # of K, over which the way of the sums in and out is spread
_SUMS = 6  # instructions for the sums of one tile, in and out
_MOST_POINTERS = 12  # X registers that hold addresses of tiles


@attrs.frozen
class Plan:
    """Registers of a product of `rows` x `columns` tiles, whose accumulators are 0, 1, ... row by row.

    buffers: 1, or 2 that take turns, so that a step's operands are loaded during the one before.
    tile: registers of one operand tile.  Tiles of A and B take turns, so that the type of a register is the
    same in every plan.  sums: the first register of one tile of sums, on its way between an accumulator and
    memory.  finish: the registers by which sums are finished, name -> number: "row", a row to add, and
    narrow types; then as many tiles as a narrow register holds lie one after the other from `sums` on.
    """

    rows: int
    columns: int
    buffers: int
    tile: int
    sums: int
    finish: Mapping[str, int] = attrs.field(factory=dict, hash=False)

    def operand(self, number: int, step: int) -> int:
        """The first register of tile `number`, of A's tiles and then B's, in `step`."""
        side, of_side = (0, self.rows) if number < self.rows else (1, self.columns)
        place = step % self.buffers * of_side + number - side * self.rows
        return (2 * place + side) * self.tile


def shape_of(g: Geometry, kind: Type) -> tuple[int, int, int]:
    """M, N, K of one multiplication."""
    return g.n, g.n, g.n * g.pack(kind.bits)


def finishing(g: Geometry, acc: Type) -> dict[str, int]:
    """The registers with which sums of type `acc` are finished, from the last one downwards; "sums" first.

    Only of units whose unit type is as wide as the sums: there every type takes one register.
    """
    if acc != FP32 or g.u != acc.bits:
        return {}
    pack = g.pack(FP16.bits)
    return {"sums": g.m - pack, "row": g.m - pack - 1, "f16": g.m - pack - 2, "bf16": g.m - pack - 3}


def plan(g: Geometry, kind: Type, acc: Type, rows: int, columns: int) -> Plan | None:
    """None where the registers do not hold so many tiles."""
    tile, sums = g.group(kind.bits), g.group(acc.bits)
    if rows * columns > g.acc or rows + columns > _MOST_POINTERS:
        return None

    def fits(buffers: int, registers: int) -> bool:
        """A has every second place for a tile from the first on, B from the second on."""
        places = registers // tile
        return buffers * rows <= -(-places // 2) and buffers * columns <= places // 2

    finish = finishing(g, acc)
    last = finish.get("sums", g.m - sums)
    for buffers in (2, 1):
        if fits(buffers, min(finish.values(), default=last)):
            return Plan(rows, columns, buffers, tile, last, finish)
    if (
        not finish and kind == acc and fits(1, g.m)
    ):  # then operands and sums share registers, one after the other
        return Plan(rows, columns, 1, tile, 0)
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
def grid(g: Geometry, kind: Type, acc: Type, down: int, across: int) -> tuple[int, int]:
    """The (rows, columns) in which to cover `down` x `across` tiles."""
    shapes = [
        (r, c)
        for r in range(1, min(down, g.acc) + 1)
        for c in range(1, min(across, g.acc) + 1)
        if plan(g, kind, acc, r, c)
    ]

    def whole(shape: tuple[int, int]) -> float:
        """Runs of nearly equal sizes cover each side."""
        (r, c) = shape
        runs = [-(-down // r), -(-across // c)]
        return runs[0] * runs[1] * _cost(down / runs[0], across / runs[1])

    return min(shapes, key=lambda shape: (whole(shape), -shape[0] * shape[1], -shape[1]))
