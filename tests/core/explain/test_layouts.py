"""Which element sits in which slot: against NumPy's packing, and against what the products say."""

import itertools
import re

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.context import context
from vertebra.core.explain import layouts
from vertebra.core.explain.layouts import Packing, Product
from vertebra.core.mlir import ir
from vertebra.core.roofline.machine_code import Kind, Step


@pytest.mark.parametrize("tile", [(2, 3), (4, 8), (1, 5)])
@pytest.mark.parametrize("outer", [(0, 1), (1, 0)])
@pytest.mark.parametrize("swapped", [False, True])
def test_slots_are_those_of_a_packed_array(tile, outer, swapped):
    rows, columns = 3 * tile[0], 2 * tile[1]
    matrix = np.arange(rows * columns).reshape(rows, columns)
    tiles = matrix.reshape(3, tile[0], 2, tile[1]).transpose(0, 2, 1, 3)
    axes = (*outer, *((3, 2) if swapped else (2, 3)))
    packed = tiles.transpose(axes).ravel()
    inner = tuple(zip((1, 0) if swapped else (0, 1), tile[::-1] if swapped else tile, strict=True))
    slots = Packing((rows, columns), "f32", inner, outer).slots()
    np.testing.assert_array_equal(packed[slots.ravel()], matrix.ravel())


def test_a_matrix_that_the_tiles_do_not_divide_leaves_slots_free():
    slots = Packing((5, 3), "f32", ((0, 4), (1, 2)), (0, 1)).slots()
    assert len(np.unique(slots)) == 15
    assert slots[4, 2] == 3 * 8
    assert slots.max() < 4 * 8


def test_packings_and_products_are_found_once_each():
    text = """
    func.func @k(%x: tensor<8x16xi8>, %p: tensor<2x2x4x8xi8>, %s: tensor<8x8xi32>, %y: tensor<16x8xi8>) {
      %a = linalg.pack %x inner_dims_pos = [0, 1] inner_tiles = [4, 8] into %p
          : tensor<8x16xi8> -> tensor<2x2x4x8xi8>
      %b = linalg.pack %x inner_dims_pos = [0, 1] inner_tiles = [4, 8] into %p
          : tensor<8x16xi8> -> tensor<2x2x4x8xi8>
      %c = linalg.matmul ins(%x, %y : tensor<8x16xi8>, tensor<16x8xi8>)
          outs(%s : tensor<8x8xi32>) -> tensor<8x8xi32>
      return
    }"""
    with context(), ir.Location.unknown():
        found = layouts.packings_and_products(ir.Module.parse(text))
    assert found == ([Packing((8, 16), "i8", ((0, 4), (1, 8)), (0, 1))], [Product("i8", "i8", "i32")])


ENGINES = [
    pytest.param(core, tile, id=f"{core.name}-{tile.instruction}")
    for core in hooks.cores().values()
    for tile in itertools.islice(hooks.matrix_tiles(core), 40)
    if tile.a == tile.b and not tile.other_registers
]


@pytest.mark.parametrize("core, tile", ENGINES)
def test_pictures_of_a_products_operands_have_every_element_and_register(core, tile):
    found = layouts.pictures([], [Product(tile.a, tile.b, tile.acc)], core)
    if not found:
        assert not any(layouts._matches(k, Product(tile.a, tile.b, tile.acc)) for k in _kernels(core))
        return
    for picture in found:
        height, width = map(int, re.match(r"(\d+) x (\d+) elements", picture.text).groups())
        registers = int(re.search(r"in (\d+) register", picture.text)[1])
        cells = re.findall(r"<title>.*?: slot (\d+), register (\d+)</title>", picture.svg)
        assert len(cells) == min(height, 64) * min(width, 64)
        assert len({slot for slot, _ in cells}) == len(cells)
        if height * width == len(cells):
            assert len({register for _, register in cells}) == registers


def _kernels(core):
    from vertebra.core import pipeline

    return (*pipeline.panel_kernels_of(core), *pipeline.micro_kernels_of(core))


def test_a_core_without_an_engine_has_nothing_to_draw():
    assert layouts.pictures([], [Product("f32", "f32", "f32")], hooks.cores()["spacemit-x60"]) == []


def test_the_instruction_that_the_machine_code_has_is_drawn():
    core = hooks.cores()["spacemit-a60"]
    records = hooks.instructions()
    for name in ("smt.vmadot.i8", "smt.vmadot1.i8"):
        steps = [Step("smt", "", Kind.OTHER, 0, records[name]), Step("add", "", Kind.OTHER, 0)]
        found = layouts.pictures([], [Product("i8", "i8", "i32")], core, layouts.multipliers(steps, records))
        assert [picture.title for picture in found] == [
            f"{name}: {what}" for what in ("A, i8", "B, i8", "sums, i32")
        ]
    nothing = layouts.multipliers([Step("vmacc.vv", "", Kind.OTHER, 256)], records)
    assert layouts.pictures([], [Product("i8", "i8", "i32")], core, nothing) == []


def test_instructions_without_a_record_are_known_by_their_mnemonics():
    multiplies = layouts.multipliers([Step("vdpbf16ps", "", Kind.OTHER, 512)], {})
    assert multiplies("dpbf16ps.512") and not multiplies("vpdpbusd.512")


def test_a_legend_names_the_first_owners():
    found = layouts.grid(np.arange(20).reshape(4, 5), np.arange(20).reshape(4, 5), "row", "column", "tile")
    assert re.findall(r">(tile \d+)</text>", found) == [f"tile {n}" for n in range(8)]
