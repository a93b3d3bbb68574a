"""Work between products moved into the order of panels, before anything is lowered.

Sums of a product that become the left factor of another one stay where the engine leaves them: what
lies between is computed tile by tile, and its result is stored where the second product reads it.
Sums that go round a loop and are only scaled there, and matrices to which a loop adds the sums, lie in
panels all the way.
"""

import attrs

from vertebra.core.layout import panels
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.carried_products import Carried, is_zero
from vertebra.lowering.linalg_to_vector.operations import is_elementwise
from vertebra.lowering.linalg_to_vector.panel_buffers import bytes_of
from vertebra.lowering.linalg_to_vector.panel_chains import (
    Chain,
    Grid,
    find_chains,
    grid_of,
)
from vertebra.lowering.linalg_to_vector.panel_left import Left
from vertebra.lowering.linalg_to_vector.panel_loops import scaled_before, updated_after
from vertebra.lowering.linalg_to_vector.panel_tiles import (
    Order,
    Tiles,
    elements_of,
    put,
    reduce_rows,
)
from vertebra.lowering.relayouts import out_of_layout


@attrs.frozen
class Relayout:
    """How a product is computed, other than by itself.

    grid: of its sums.  sums: the buffer in which they stay.  left: its left factor, which is one tile by
    tile.  carried: the loop round which the sums go, in their buffer.
    """

    grid: Grid
    sums: object | None = None
    left: Left | None = None
    carried: Carried | None = None


def relayouts(kernels: dict) -> dict:
    """result of a product -> its `Relayout`.  kernels: result of a plain product -> what computes it."""
    found = {}
    for chain in find_chains(kernels):
        found |= _apply(chain, kernels)
    return found


def _apply(chain: Chain, kernels: dict) -> dict:
    first, second = chain.first.results[0], chain.second.results[0]
    grid = grid_of(kernels[second], chain.rows, list(second.type.shape))
    if grid is None:
        return {}
    scores, weights = _move_between(chain, first)
    acc = kernels[second].acc
    moved = _move_scaled(chain.second, grid, acc) or _move_updated(chain.second, grid, acc)
    return {
        first: Relayout(chain.grid, sums=scores),
        second: attrs.evolve(moved or Relayout(grid), left=weights),
    }


def _move_between(chain: Chain, sums) -> tuple:
    """(buffer of the sums, the left factor)"""
    grid = chain.grid
    # Of the tiles of sums: those of one row of panels column by column, as steps along K lie.
    across = grid.tiles[1] * grid.panels[1]
    factor = Order.of(panels.factor(grid.tile, grid.tiles[0], across, grid.panels[0]))
    with ir.InsertionPoint(chain.first), chain.first.location:
        scores = bytes_of(_bytes(sums.type))
    tiles = Tiles(factor, grid.longest)
    with ir.InsertionPoint.after(chain.first), chain.first.location:
        tiles.remember(sums, elements_of(scores, Order.of(chain.grid.layout), sums.type.element_type, factor))
    for op in chain.reductions:
        with ir.InsertionPoint(op), op.location:
            op.results[0].replace_all_uses_with(reduce_rows(op, tiles.of(op.operands[0]), factor))
    weights = chain.second.operands[0]
    left = Left(tiles.of(weights), factor, chain.factor, chain.plan)
    chain.second.operands[0] = left.value
    for op in chain.reductions:
        op.erase()
    _erase_unused(chain.values)
    return scores, left


def _move_scaled(second, grid: Grid, acc: str) -> Relayout | None:
    """Lets sums that are only scaled on their way round a loop stay in panels; None for others.

    acc: the type of the kernel's sums.
    """
    found, element = scaled_before(second), second.results[0].type.element_type
    if found is None or acc != str(element):
        return None
    order = Order.of(grid.layout)
    with ir.InsertionPoint(found.loop), found.loop.location:
        buffer = bytes_of(_bytes(found.argument.type))
    tiles = Tiles(order, grid.longest)
    with ir.InsertionPoint.at_block_begin(second.block), second.location:
        tiles.remember(found.argument, elements_of(buffer, order, element))
    with ir.InsertionPoint(second), second.location:
        put(tiles.of(second.operands[2]), buffer)
    second.operands[2] = found.argument
    _erase_unused(found.values)
    return Relayout(grid, buffer, carried=Carried(found.loop, found.number, is_zero(found.start)))


def _move_updated(second, grid: Grid, acc: str) -> Relayout | None:
    """Lets a matrix to which a loop adds the sums of `second` lie as they do; None where there is none."""
    (sums,) = second.results
    found = updated_after(second)
    if found is None or acc != str(sums.type.element_type):
        return None
    order, loop, element = Order.of(grid.layout), found.loop, found.argument.type.element_type
    start, inside = (Tiles(order, grid.longest) for _ in range(2))
    behind = ir.InsertionPoint.after(loop)
    with ir.InsertionPoint(loop), loop.location:
        kept, buffer = bytes_of(_bytes(sums.type)), bytes_of(_bytes(found.argument.type))
        put(start.of(found.start), buffer)
    with ir.InsertionPoint.at_block_begin(second.block), second.location:
        inside.remember(found.argument, elements_of(buffer, order, element))
    with ir.InsertionPoint.after(second), second.location:
        inside.remember(sums, elements_of(kept, order, sums.type.element_type))
    *_, last = second.block.operations
    with ir.InsertionPoint(last), second.location:
        put(inside.of(found.end), buffer)
    last.operation.operands[found.number] = found.argument
    with behind, loop.location:
        found.result.replace_all_uses_with(out_of_layout(elements_of(buffer, order, element), grid.layout))
    _erase_unused(found.values)
    return Relayout(grid, kept)


def _bytes(type) -> int:
    count = 1
    for size in type.shape:
        count *= size
    return count * type.element_type.width // 8


def _erase_unused(values: set) -> None:
    """Erases the elementwise operations among the makers of `values` that nothing uses any more."""
    left = [v for v in values if not isinstance(v.owner, ir.Block) and is_elementwise(v.owner)]
    while gone := [v for v in left if not list(v.uses)]:
        left = [v for v in left if list(v.uses)]
        for value in gone:
            value.owner.erase()
