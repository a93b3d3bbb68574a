"""Tensors in the order of layouts, and packs that become them: whatever the sizes, NumPy's elements."""

import random

import numpy as np
import pytest

from vertebra.core import assembly
from vertebra.core.context import context
from vertebra.core.layout import Layout
from vertebra.core.layout.tiling import as_pack
from vertebra.core.mlir import ir
from vertebra.lowering.packs_to_matrices import packs_to_matrices
from vertebra.lowering.relayouts import into_layout, out_of_layout

from .evaluate import evaluate


def moved(shape: list[int], layout: Layout, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x in the order of the layout, flat; and taken out of it again."""
    tensor = f"tensor<{'x'.join(map(str, shape))}xi32>"
    text = f"func.func @f(%x: {tensor}) -> {tensor} {{\nreturn %x : {tensor}\n}}"
    results = []
    for both in (False, True):
        with context(), ir.Location.unknown(context()):
            module = assembly.parse(text, context(), name="-")
            (func,) = module.body.operations
            block = func.regions[0].blocks[0]
            (end,) = block.operations
            with ir.InsertionPoint(end):
                made = into_layout(block.arguments[0], layout)
                made = out_of_layout(made, layout) if both else made
            end.operation.operands[0] = made
            type = ir.FunctionType.get([block.arguments[0].type], [made.type])
            func.attributes["function_type"] = ir.TypeAttr.get(type)
            (found,) = evaluate(module, "f", x, out=[(tuple(made.type.shape), np.int32)])
        results.append(found)
    return results[0].reshape(-1), results[1]


@pytest.mark.parametrize("seed", range(8))
def test_elements_lie_at_the_layout_s_offsets(seed):
    rng = random.Random(seed)
    tiles = [rng.choice([1, 2, 3, 5, 8]) for _ in range(2)]
    shape = [t * rng.choice([1, 2, 3, 7]) for t in tiles]
    layout = as_pack(shape, tiles, outer=rng.choice([(0, 1), (1, 0)]), inner=rng.choice([(0, 1), (1, 0)]))
    if seed % 2:
        layout = as_pack(shape, [tiles[0]], inner=(0,))
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    lying, back = moved(shape, layout, x)
    by_hand = np.empty_like(lying)
    for index, value in np.ndenumerate(x):
        by_hand[layout(*index)] = value
    np.testing.assert_array_equal(lying, by_hand)
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("seed", range(8))
def test_pack_and_unpack_are_numpy_s_for_odd_sizes(seed):
    """Packed with zeros at the ends, changed tile by tile, and seen as a matrix again."""
    rng = random.Random(seed)
    tile = [rng.choice([2, 3, 4, 8]) for _ in range(2)]
    shape = [rng.randint(1, 21) for _ in range(2)]
    counts = [-(-s // t) for s, t in zip(shape, tile, strict=True)]
    whole = [c * t for c, t in zip(counts, tile, strict=True)]
    packed = f"tensor<{'x'.join(map(str, (*counts, *tile)))}xi32>"
    plain, padded = (f"tensor<{'x'.join(map(str, s))}xi32>" for s in (shape, whole))
    text = f"""func.func @f(%x: {plain}) -> ({packed}, {padded}) {{
      %zero = arith.constant 0 : i32
      %e = tensor.empty() : {packed}
      %d = tensor.empty() : {padded}
      %p = linalg.pack %x padding_value(%zero : i32) inner_dims_pos = [0, 1] inner_tiles = {tile}
        into %e : {plain} -> {packed}
      %q = arith.addi %p, %p : {packed}
      %u = linalg.unpack %q inner_dims_pos = [0, 1] inner_tiles = {tile} into %d : {packed} -> {padded}
      return %q, %u : {packed}, {padded}
    }}"""
    x = np.random.default_rng(seed).integers(-99, 100, shape).astype(np.int32)
    with context(), ir.Location.unknown(context()):
        module = assembly.parse(text, context(), name="-")
        packs_to_matrices(module)
        out = [((*counts, *tile), np.int32), (tuple(whole), np.int32)]
        tiles, matrix = evaluate(module, "f", x, out=out)
    wide = np.zeros(whole, np.int32)
    wide[: shape[0], : shape[1]] = 2 * x
    np.testing.assert_array_equal(matrix, wide)
    by_hand = wide.reshape(counts[0], tile[0], counts[1], tile[1]).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(tiles, by_hand)


@pytest.mark.parametrize(
    "tile, other, turns", [((4, 6), (8, 3), 1), ((4, 6), (6, 4), 2), ((4, 6), (4, 6), 0)]
)
def test_a_repack_goes_straight_from_tiles_to_tiles(tile, other, turns):
    """By one transposition where the tiles nest, without the matrix in between."""
    shape, names = (24, 24), []
    counts, after = ([s // t for s, t in zip(shape, way, strict=True)] for way in (tile, other))
    packed, again = (
        f"tensor<{'x'.join(map(str, (*c, *t)))}xi32>" for c, t in ((counts, tile), (after, other))
    )
    text = f"""func.func @f(%x: {packed}) -> {again} {{
      %e = tensor.empty() : {again}
      %d = tensor.empty() : tensor<24x24xi32>
      %u = linalg.unpack %x inner_dims_pos = [0, 1] inner_tiles = {list(tile)}
        into %d : {packed} -> tensor<24x24xi32>
      %p = linalg.pack %u inner_dims_pos = [0, 1] inner_tiles = {list(other)}
        into %e : tensor<24x24xi32> -> {again}
      return %p : {again}
    }}"""
    x = np.arange(24 * 24, dtype=np.int32).reshape(*counts, *tile)
    with context(), ir.Location.unknown(context()):
        module = assembly.parse(text, context(), name="-")
        packs_to_matrices(module)
        module.operation.walk(lambda op: names.append(op.name) or ir.WalkResult.ADVANCE)
        (tiles,) = evaluate(module, "f", x, out=[((*after, *other), np.int32)])
    matrix = x.transpose(0, 2, 1, 3).reshape(shape)
    by_hand = matrix.reshape(after[0], other[0], after[1], other[1]).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(tiles, by_hand)
    assert names.count("linalg.transpose") == turns
