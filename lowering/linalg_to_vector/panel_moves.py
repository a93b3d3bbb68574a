"""Panels filled and emptied by what an engine has for it, where matrices lie in memory as that wants."""

from vertebra.core.mlir import ir
from vertebra.core.target import Moves
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.lanes import Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop
from vertebra.lowering.linalg_to_vector.panel_operands import Side
from vertebra.lowering.linalg_to_vector.panel_places import loaded_view

_BYTE = 8


def turn(moves: Moves | None, side: Side, buffer) -> bool:
    """Fills panels of B from rows in memory; False where they do not lie there whole, or it is not B."""
    if moves is None or moves.turn is None or side.outer != -1:
        return False
    if side.value.type.element_type.width != side.bits or side.depth % side.k or side.size % side.tile:
        return False
    if (found := loaded_view(side.scope, side.value)) is None:
        return False
    view, order = found
    *_, k, n = order
    if view.strides[n].const != 1:
        return False
    b = side.scope.builder(1)
    size = b.const(side.bits // _BYTE)
    stride = _i64(b, b.mul(view.strides[k], size))
    tile = side.tile * side.k * side.bits // _BYTE
    places = [*side.prefix, b.const(0), b.const(0)]
    start = view.linear(b, [places[order.index(d)] for d in range(len(order))])
    for first, stop, tiles in side.runs:

        def panel(q: Uniform, _carried: list, tiles=tiles) -> list:
            for j in range(tiles):
                column = b.mul(b.add(q, b.const(j)), b.const(side.tile))
                source = panel_buffers.address(b, view.base, b.mul(b.add(start, column), size))
                at = b.add(b.mul(q, b.const(tile * side.steps)), b.const(j * tile))
                target = panel_buffers.address(b, buffer, at)
                moves.turn(source, target, stride, steps=side.steps, step_bytes=tiles * tile)
            return []

        loop(b, first, stop, tiles, [], panel)
    return True


def untile(b: Builder, moves: Moves, panels, at: Uniform, into, places: list) -> None:
    """Writes tiles side by side, from sum `at` on, to `places` of the matrix `into`, all inside of it."""
    size = b.const(into.type.element_type.width // _BYTE)
    *_, columns = into.type.shape
    place = b.const(0)
    for extent, index in zip(into.type.shape, places, strict=True):
        place = b.add(b.mul(place, b.const(extent)), index)
    source = panel_buffers.address(b, panels, b.mul(at, size))
    target = panel_buffers.address(b, into, b.mul(place, size))
    moves.untile(source, target, _i64(b, b.mul(b.const(columns), size)))


def _i64(b: Builder, value: Uniform):
    return create("arith.index_cast", ir.IntegerType.get_signless(64), [b.scalar(value)])
