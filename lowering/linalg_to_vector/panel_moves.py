"""Panels filled and emptied by what an engine has for it, where matrices lie in memory as that wants."""

from typing import NamedTuple

from vertebra.core.mlir import ir
from vertebra.core.target import Moves
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.lanes import Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop
from vertebra.lowering.linalg_to_vector.panel_operands import Side
from vertebra.lowering.linalg_to_vector.panel_places import loaded_view

_BYTE = 8
_EQ = 0  # an arith.cmpi predicate


def fill(moves: Moves | None, side: Side, buffer, otherwise) -> bool:
    """Fills panels from rows in memory; False where they do not lie there whole.

    otherwise: emits what fills them in any case, for addresses that turn out not to be aligned.
    """
    if moves is None or (moves.turn if side.outer == -1 else moves.lay) is None:
        return False
    if side.value.type.element_type.width != side.bits:
        return False
    if side.depth % side.k or side.size % side.tile:
        return False
    if (found := loaded_view(side.scope, side.value)) is None:
        return False
    view, order = found
    *_, outer, inner = order
    if view.strides[inner].const != 1:
        return False
    b = side.scope.builder(1)
    size = b.const(side.bits // _BYTE)
    places = [*side.prefix, b.const(0), b.const(0)]
    start = view.linear(b, [places[order.index(d)] for d in range(len(order))])
    source = _Rows(view.base, start, size, b.mul(view.strides[outer], size))
    if side.outer == -1:
        for run in side.runs:
            spreads = moves.spread and side.own_steps == 1 and run[1] - run[0] >= moves.least
            (_spread if spreads else _turn)(moves, side, buffer, source, run)
    else:
        _if_aligned(b, source, moves.alignment, lambda: _lay(moves, side, buffer, source), otherwise)
    return True


class _Rows(NamedTuple):
    """Rows in memory: the base's element `start` is the first one, of `size` bytes; bytes between rows."""

    base: object
    start: Uniform
    size: Uniform
    stride: Uniform

    def address(self, b: Builder, element: Uniform, row: Uniform):
        at = b.add(b.mul(b.add(self.start, element), self.size), b.mul(row, self.stride))
        return panel_buffers.address(b, self.base, at)


def _turn(moves: Moves, side: Side, buffer, source: _Rows, run: tuple) -> None:
    """Panels of B, tile by tile."""
    b, tile = side.scope.builder(1), side.tile * side.k * side.bits // _BYTE
    stride, (first, stop, tiles) = _i64(b, source.stride), run

    def panel(q: Uniform, _carried: list) -> list:
        for j in range(tiles):
            column = b.mul(b.add(q, b.const(j)), b.const(side.tile))
            place = (side.first * tiles + j) * tile
            at = b.add(b.mul(q, b.const(tile * side.steps)), b.const(place))
            target = panel_buffers.address(b, buffer, at)
            begin = source.address(b, column, b.const(0))
            moves.turn(begin, target, stride, steps=side.own_steps, step_bytes=tiles * tile)
        return []

    loop(b, first, stop, tiles, [], panel)


def _spread(moves: Moves, side: Side, buffer, source: _Rows, run: tuple) -> None:
    """Panels of B of a single step, as many side by side as it takes."""
    b, tile = side.scope.builder(1), side.tile * side.k * side.bits // _BYTE
    stride, (first, stop, tiles) = _i64(b, source.stride), run
    most = max(1, moves.wide // tiles)
    whole = first + (stop - first) // (most * tiles) * most * tiles
    for start, end, panels in ((first, whole, most), (whole, stop, (stop - whole) // tiles)):

        def group(q: Uniform, _carried: list, panels=panels) -> list:
            at = b.mul(q, b.const(tile * side.steps))
            at = b.add(at, b.const(side.first * tiles * tile))
            target = panel_buffers.address(b, buffer, at)
            begin = source.address(b, b.mul(q, b.const(side.tile)), b.const(0))
            sizes = {"tiles": tiles, "panels": panels, "panel_bytes": tiles * tile * side.steps}
            moves.spread(begin, target, stride, **sizes)
            return []

        if start < end:
            loop(b, start, end, panels * tiles, [], group)


def _lay(moves: Moves, side: Side, buffer, source: _Rows) -> None:
    """Panels of A, as many tiles at once as it takes."""
    b, tile = side.scope.builder(1), side.tile * side.k * side.bits // _BYTE
    stride = _i64(b, source.stride)
    for first, stop, tiles in side.runs:
        # The panel of a window ends with a tile of other rows.
        own = min(tiles, side.size // side.tile - first) if stop - first == tiles else tiles

        def panel(p: Uniform, _carried: list, tiles=tiles, own=own) -> list:
            for j in range(0, own, moves.rows):
                row = b.mul(b.add(p, b.const(j)), b.const(side.tile))
                place = (side.first * tiles + j) * tile
                at = b.add(b.mul(p, b.const(tile * side.steps)), b.const(place))
                target = panel_buffers.address(b, buffer, at)
                begin = source.address(b, b.const(0), row)
                sizes = {"tiles": min(moves.rows, own - j), "steps": side.own_steps}
                moves.lay(begin, target, stride, **sizes, step_bytes=tiles * tile)
            return []

        loop(b, first, stop, tiles, [], panel)


def _if_aligned(b: Builder, source: _Rows, alignment: int, fast, otherwise) -> None:
    """fast() where all rows begin at multiples of `alignment` bytes, a power of two, else otherwise()."""
    i64 = ir.IntegerType.get_signless(64)
    first = source.address(b, b.const(0), b.const(0))
    bits = create("arith.ori", i64, [first, _i64(b, source.stride)])
    low, zero = (
        create("arith.constant", i64, [], {"value": ir.IntegerAttr.get(i64, n)}) for n in (alignment - 1, 0)
    )
    bits = create("arith.andi", i64, [bits, low])
    equal = create("arith.cmpi", b.constants.i1, [bits, zero], {"predicate": ir.IntegerAttr.get(i64, _EQ)})
    branch = ir.Operation.create("scf.if", [], [equal], regions=2)
    for region, emit in zip(branch.regions, (fast, otherwise), strict=True):
        with ir.InsertionPoint(region.blocks.append()):
            emit()
            ir.Operation.create("scf.yield", [], [])


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
