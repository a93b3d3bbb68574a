"""Vectors of a loop into memory, tensors from order to order, sums to the next product: plans on bytes."""

import itertools
import random

import numpy as np
import pytest

from vertebra.core.layout import Layout, panels, placements, planner, row_major
from vertebra.core.layout.dtype import bits_of, encode
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.lanes import LANES, vectors
from vertebra.core.layout.mapping import tensor
from vertebra.core.layout.names import MEMORY
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.plan import footprint, write
from vertebra.core.layout.swizzle import Xor
from vertebra.core.layout.tiling import as_pack, subview
from vertebra.plugins.ime.layouts import SPACES


def bytes_of(operand: Operand, numbers) -> np.ndarray:
    """What the layout says, element by element."""
    bits = bits_of(operand.dtype)
    memory = np.zeros(footprint(operand, bits), np.uint8)
    write(memory, operand.bit_addresses(bits), encode(numbers.reshape(-1, order="F"), operand.dtype), bits)
    return memory


def numbers_of(shape) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 100, shape)


def held(shape, axis: int, kind: str) -> Operand:
    return Operand("vectors", shape, kind, LANES, owners=vectors(shape, axis))


@pytest.mark.parametrize("kind", ["u8", "f16", "f32"])
@pytest.mark.parametrize("seed", range(40))
def test_every_way_into_a_panel_stores_every_element(seed, kind):
    rng = random.Random(seed)
    tile = (rng.choice([1, 2, 4, 8]), rng.choice([1, 2, 4, 8, 16]))
    layout = panels.factor(tile, rng.choice([1, 2, 3]), rng.choice([1, 2, 4]), 2)
    steps = layout.mode(1).size // tile[1]
    for axis, shape in ((0, tile), (1, (1, tile[1] * steps)), (1, (tile[0], tile[1]))):
        part = Operand("panel", shape, kind, MEMORY, subview(layout, (0, 0), shape)[0])
        for plan in planner.plans(held(shape, axis, kind), part):
            np.testing.assert_array_equal(plan.run(numbers_of(shape)), bytes_of(part, numbers_of(shape)))


def test_the_ways_are_those_that_the_places_allow():
    def method(layout, shape, axis, bits=8):
        return placements.stores(layout, (0, 0), shape, axis, bits).method

    panel = panels.factor((4, 8), 2, 4)
    assert method(panel, (1, 8), 1) == "direct"
    assert method(panel, (4, 8), 0) == "woven"
    assert method(panel, (1, 32), 1) == "scattered"
    plan = placements.stores(panel, (0, 0), (1, 32), 1, 8)
    assert (plan.body.run, plan.body.pitch, plan.body.moved) == (8, 64, 64)
    # A run of 16 bytes is two words; one of 6 bytes is three of 2.
    assert placements.stores(panels.factor((8, 16), 1, 2), (0, 0), (1, 32), 1, 8).body.moved == 64
    assert placements.stores(panels.factor((4, 6), 1, 2), (0, 0), (1, 12), 1, 8).body.moved == 16
    # Squares of words whose rows go far apart are turned in registers.
    source = held((4, 4), 1, "f32")
    ways = planner.plans(source, Operand("columns", (4, 4), "f32", MEMORY, Layout((4, 4), (1, 9))))
    assert {plan.method for plan in ways} == {"turned", "scattered"}
    for plan in ways:
        np.testing.assert_array_equal(
            plan.run(numbers_of((4, 4))), bytes_of(plan.destination, numbers_of((4, 4)))
        )
    # A part that begins inside of a row of a tile.
    assert placements.stores(panel, (0, 4), (1, 4), 1, 8).method == "direct"


def test_a_matrix_is_read_along_its_own_direction():
    panel = panels.factor((8, 16), 2, 8)
    assert placements.walk(panel, 128, 0, 8)[:2] == (0, 16)
    assert placements.walk(panel, 128, 1, 8)[:2] == (1, 1)
    # Five steps of eight: no vector of 32 lanes covers them, one of eight does, five times.
    assert placements.walk(panels.factor((4, 8), 2, 5), 32, 1, 8)[:2] == (1, 1)
    for running in (0, 1):
        for tile, steps in itertools.product(((4, 8), (8, 16), (8, 8), (4, 2)), range(1, 9)):
            assert placements.walk(panels.factor(tile, 3, steps), 64, running, 16).axis == running
    assert placements.walk(panels.factor((4, 1), 3, 8), 8, 0, 32).plan.method == "direct"


@pytest.mark.parametrize(
    "source, destination, message",
    [
        (held((4, 8), 0, "f32"), ("f16", (4, 8), (8, 1)), "elements of 32 bits and panels of 16"),
        (held((4, 8), 0, "i4"), ("i4", (4, 8), (8, 1)), "elements of 4 bits share bytes"),
        (held((1, 6), 1, "u8"), ("u8", (1, (3, 2)), (1, (1, 100))), None),
        (held((1, 8), 1, "u8"), ("u8", (1, (2, 2, 2)), (1, (1, 5, 30))), "runs of 2 elements of vectors lie"),
        (held((4, 8), 0, "f32"), ("f32", (4, 7), (8, 1)), "mode 1 has 8 elements in the source and 7"),
        (held((4, 8), 0, "f32"), ("f32", (4, 8), (7, 1)), "not injective: \\(1, 0\\) and \\(0, 7\\)"),
    ],
)
def test_what_no_store_does_is_said(source, destination, message):
    kind, shape, stride = destination
    layout = Layout(shape, stride)
    sizes = tuple(mode.size for mode in layout.modes)
    panel = Operand("panels", sizes, kind, MEMORY, layout)
    if message is None:
        assert planner.plan(source, panel).method == "scattered"
        return
    with pytest.raises(LayoutError, match=message):
        planner.plans(source, panel)


def test_swizzled_memory_is_not_for_vectors_of_a_loop():
    panel = Operand("panels", (64, 64), "f16", MEMORY, row_major(64, 64), swizzle=Xor(3, 4, 3))
    with pytest.raises(LayoutError, match="panels has a swizzle"):
        planner.plans(held((64, 64), 1, "f16"), panel)


@pytest.mark.parametrize("seed", range(30))
def test_tensors_change_their_order_by_as_few_transpositions_as_can_be(seed):
    rng = random.Random(seed)
    shape = tuple(rng.choice([6, 8, 12, 24]) for _ in range(rng.choice([1, 2, 3])))
    rank = len(shape)

    def some():
        tiles = [rng.choice([t for t in (1, 2, 3, 4, 6) if n % t == 0]) for n in shape]
        orders = [rng.sample(range(rank), rank) for _ in range(2)]
        return rng.choice([row_major(*shape), as_pack(shape, [tiles[d] for d in orders[0]], inner=orders[0])])

    a, b = tensor(some()), tensor(some())
    plan, x = planner.plan(a, b), numbers_of(shape)
    np.testing.assert_array_equal(plan.run(x), bytes_of(b, x))
    assert plan.method in ("identity", "transposition", "two transpositions")
    assert planner.plan(a, a).method == "identity"


def test_a_tensor_with_empty_places_has_no_order():
    with pytest.raises(LayoutError, match="leaves places empty"):
        planner.plan(tensor(Layout((4, 4), (5, 1))), tensor(row_major(4, 4)))


# core, types of the sums and of the factor, tile of sums, how many of them make one of the factor, and
# whether a program of the core's own operations takes fewer instructions for one tile
HANDOVERS = [
    ("a100", "f32", "f16", (8, 8), 1, False),
    ("a100", "f32", "bf16", (8, 8), 1, False),
    ("a100", "i32", "i8", (8, 8), 2, True),
    ("a60", "i32", "i8", (4, 4), 2, True),
]


@pytest.mark.parametrize("height", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("core, acc, kind, tile, wide, _", HANDOVERS)
def test_sums_reach_the_next_product_s_panel_from_registers(core, acc, kind, tile, wide, _, height):
    """Every way on bytes; the one that lowerings take is among them, and woven where tiles are narrower."""
    (m, n), k = tile, tile[1] * wide
    plan = placements.handover(SPACES[core], (m, n, acc), (m, k, kind), height)
    found = planner.plans(plan.source, plan.destination)
    x = numbers_of(plan.source.shape)
    for way in found:
        np.testing.assert_array_equal(way.run(x), bytes_of(plan.destination, x))
    assert plan in found and found[-1].method == "store"
    assert plan.method == "conversion in place" + ", woven by the store" * (wide > 1)
    assert len(plan.body.stores.groups[0]) == wide


@pytest.mark.parametrize("core, acc, kind, tile, wide, own", HANDOVERS)
def test_own_operations_win_for_single_tiles_and_groups_of_registers_for_many(
    core, acc, kind, tile, wide, own
):
    (m, n), k = tile, tile[1] * wide

    def best(height):
        plan = placements.handover(SPACES[core], (m, n, acc), (m, k, kind), height)
        return planner.plan(plan.source, plan.destination).method

    assert (best(1) == "registers, then stores") == own
    assert best(4).startswith("conversion in place")


def test_tiles_that_are_no_part_of_the_factor_s_are_not_handed_over():
    assert placements.handover(SPACES["a60"], (4, 4, "i32"), (4, 6, "i8"), 2) is None
    assert placements.handover(SPACES["a60"], (4, 4, "i32"), (8, 8, "i8"), 2) is None
