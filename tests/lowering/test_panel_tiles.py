"""Matrices in the order of panels: orders from layouts, and what they make of operations on matrices."""

import itertools
import random

import numpy as np
import pytest

from vertebra.core import assembly
from vertebra.core.context import context
from vertebra.core.layout import panels
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.panel_tiles import Axis, Order, Tiles, reduce_rows
from vertebra.lowering.relayouts import into_layout
from vertebra.lowering.tt_to_linalg.shape import reshape

from .evaluate import evaluate


def test_an_order_has_a_dimension_for_each_level_of_tiles():
    sums = Order.of(panels.sums((8, 4), (2, 3), (5, 7)))
    assert sums.shape == [5, 7, 2, 3, 32]
    assert sums.axes == (Axis(0, 5, 16), Axis(1, 7, 12), Axis(0, 2, 8), Axis(1, 3, 4))
    factor = Order.of(panels.factor((8, 4), 2, 21, 5))
    assert factor.shape == [5, 21, 2, 32]
    assert factor.axes == (Axis(0, 5, 16), Axis(1, 21, 4), Axis(0, 2, 8))


def test_levels_of_one_tile_have_no_dimension():
    assert Order.of(panels.sums((8, 4), (1, 3), (5, 1))).shape == [5, 3, 32]
    assert Order.of(panels.factor((4, 4), 1, 1)).shape == [16]


def test_sums_are_seen_as_a_factor_by_a_transposition():
    sums, factor = Order.of(panels.sums((8, 4), (2, 3), (5, 7))), Order.of(panels.factor((8, 4), 2, 21, 5))
    assert factor.seen_from(sums) == ([0, 1, 3, 2, 4], [5, 21, 2, 32])


def test_what_is_spread_reaches_from_its_dimensions_to_the_elements_of_a_tile():
    order = Order.of(panels.sums((8, 4), (2, 3), (5, 7)))
    assert (order.dims(0), order.dims(1)) == ([0, 2, 4], [1, 3, 4])
    assert (order.spread_dims(0, 64), order.spread_dims(1, 64)) == ([0, 2, 3, 4], [1, 3, 4])


FUNCTION = """func.func @f(%x: {x}, %y: {x}, %row: {row}, %column: {column}) -> {x} {{
  %e = tensor.empty() : {x}
  %low = arith.constant dense<-999> : tensor<{m}xi32>
  %r = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, 0)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]}} ins(%row : {row}) outs(%e : {x}) {{
    ^bb0(%in: i32, %out: i32):
      linalg.yield %in : i32
  }} -> {x}
  %c = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (0, j)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]}} ins(%column : {column}) outs(%e : {x}) {{
    ^bb0(%in: i32, %out: i32):
      linalg.yield %in : i32
  }} -> {x}
  %two = arith.constant dense<2> : {x}
  %a = arith.muli %x, %two : {x}
  %b = arith.addi %a, %r : {x}
  %d = arith.subi %b, %c : {x}
  %z = arith.addi %d, %y : {x}
  %top = linalg.reduce {{ arith.maxsi }} ins(%z : {x}) outs(%low : tensor<{m}xi32>) dimensions = [1]
  return %z : {x}
}}"""


def computed(layout, shape, inputs, reduced: bool):
    """%z of the function above in the order of a layout, or the maxima of its rows found in that order."""
    (m, n), out = shape, Order.of(layout).shape
    types = {"x": f"tensor<{m}x{n}xi32>", "row": f"tensor<{m}x1xi32>", "column": f"tensor<1x{n}xi32>", "m": m}
    with context(), ir.Location.unknown(context()):
        module = assembly.parse(FUNCTION.format(**types), context(), name="-")
        (func,) = module.body.operations
        block = func.regions[0].blocks[0]
        *_, top, end = block.operations
        tiles = Tiles(Order.of(layout), 64)
        with ir.InsertionPoint(next(iter(block.operations))):
            flat = into_layout(block.arguments[0], layout)
            tiles.remember(block.arguments[0], reshape(flat, out))
        made = tiles.of(end.operands[0])
        if reduced:
            with ir.InsertionPoint(top):
                made = reduce_rows(top.operation, made, Order.of(layout))
            out = [m]
        end.operation.operands[0] = made
        kind = ir.FunctionType.get([a.type for a in block.arguments], [made.type])
        func.attributes["function_type"] = ir.TypeAttr.get(kind)
        return evaluate(module, "f", *inputs, out=[(tuple(out), np.int32)])[0]


CASES = [("factor", seed) for seed in range(3)] + [("sums", seed) for seed in range(3)]


@pytest.mark.parametrize("kind, seed", CASES)
def test_operations_in_an_order_are_those_on_the_matrix(kind, seed):
    rng = random.Random(seed)
    (a, b, c, d), tile = (rng.randint(1, 3) for _ in range(4)), (rng.choice([2, 4]), rng.choice([2, 3, 4]))
    layout = panels.factor(tile, a, b * c, d) if kind == "factor" else panels.sums(tile, (a, b), (d, c))
    m, n = shape = [mode.size for mode in layout.modes]
    numbers = np.random.default_rng(seed)
    x, y, row, column = (
        numbers.integers(-50, 51, size).astype(np.int32) for size in ((m, n), (m, n), (m, 1), (1, n))
    )
    z = 2 * x + row - column + y
    lying = np.empty(m * n, np.int32)
    for i, j in itertools.product(range(m), range(n)):
        lying[layout(i, j)] = z[i, j]
    found = computed(layout, shape, (x, y, row, column), reduced=False)
    np.testing.assert_array_equal(found.reshape(-1), lying)
    maxima = computed(layout, shape, (x, y, row, column), reduced=True)
    np.testing.assert_array_equal(maxima, z.max(1))
