"""Sums that become the left factor of another product, on the unit: no element changes its place."""

import itertools
import re

import attrs
import numpy as np
import pytest

from vertebra.core.compile import render
from vertebra.core.layout import Layout, names, planner, row_major
from vertebra.core.layout.names import MEMORY
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.placements import handover
from vertebra.core.pipeline import panel_kernels_of
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry

from ..ime.products import product
from ..ime.test_chains import FLOATS, INTEGERS, chain, operands, reference, run

GEOMETRIES = (Geometry(n=4, u=8), Geometry(n=4, u=16, m=32, acc=16), Geometry(n=16, u=32, acc=1))
CORES = [AME_GENERIC] + [
    attrs.evolve(AME_GENERIC, name=f"test-n{g.n}u{g.u}m{g.m}a{g.acc}", ame=g) for g in GEOMETRIES
]
PACKED_SUMS = attrs.evolve(AME_GENERIC, name="test-n4u64", ame=Geometry(n=4, u=64, acc=8))
# How words of the unit look with operands that are not known yet.
LOADS = {"rm": r"0x51, x\d+, \$\d+, x24", "st": r"0x54, x\d+, \$\d+, \$", "tst": r"0x55, x\d+, \$\d+, \$"}
PRODUCT = "insn r 0x2b, 0, 0x4f"
cores = pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
kinds = pytest.mark.parametrize("kind", [FLOATS, INTEGERS], ids=["f16", "i8"])


def stage(core, *sizes, **more) -> str:
    return render(chain(*sizes, **more), "vector", core, start="linalg")


# (sizes, turns of a loop): whole tiles, odd numbers of them, and parts of tiles.
@cores
@kinds
@pytest.mark.parametrize(
    "sizes, turns", [((64, 64, 64, 64), 3), ((16, 192, 40, 48), 0), ((80, 64, 5, 13), 0), ((13, 20, 7, 9), 3)]
)
def test_the_numbers_are_right_for_every_size(core, kind, sizes, turns):
    arrays = operands(*sizes, kind)
    want, _ = reference(*arrays, kind, turns)
    run(core, chain(*sizes, kind, turns=turns), arrays, kind)
    np.testing.assert_array_equal(arrays[-1], want)


@cores
@kinds
def test_the_compiler_s_plan_is_the_planner_s(core, kind):
    """Conversion in place: P's tiles are A's, whose squares lie one after the other."""
    text = stage(core, 64, 64, 64, 64, kind=kind)
    types = kind["type"], kind["type"], kind["sum"]
    (one,) = (found for found in panel_kernels_of(core) if (found.a, found.b, found.acc) == types)
    m, n, k = one.tile
    plan = handover(one.registers, (m, n, one.acc), (m, k, one.a), 1, one.whole)
    assert plan == planner.plan(plan.source, plan.destination) and plan.method == "conversion in place"
    assert f'vertebra.plan = "{plan.source.name} to {plan.destination.name}: {plan.method}"' in text
    assert f"memref<64x64x{kind['type']}>" not in text and "interleave" not in text


def test_squares_of_sums_side_by_side_in_a_register_go_row_by_row():
    """With units of 64 bits a tile of sums is two squares wide: not the order of a piece of A."""
    kernel = next(k for k in panel_kernels_of(PACKED_SUMS) if k.a == "f16")
    (m, n, k) = kernel.tile
    assert handover(kernel.registers, (m, n, "f32"), (m, k, "f16"), 1, kernel.whole) is None
    assert "vertebra.plan" not in stage(PACKED_SUMS, 16, 32, 16, 16, kind=FLOATS)
    sizes = (16, 32, 16, 16)
    arrays = operands(*sizes, FLOATS)
    want, _ = reference(*arrays, FLOATS, 0)
    run(PACKED_SUMS, chain(*sizes, FLOATS), arrays, FLOATS)
    np.testing.assert_array_equal(arrays[-1], want)


def test_pieces_are_loaded_by_the_form_for_them():
    """P by .rm, in one piece; A and B of the first product, and V, line by line."""
    text = stage(AME_GENERIC, 64, 64, 64, 64, kind=FLOATS)
    loads = {
        frozenset(name for name, pattern in LOADS.items() if re.search(pattern, line))
        for line in text.splitlines()
        if "inline_asm" in line and PRODUCT in line
    }
    assert loads - {frozenset()} == {frozenset({"tst", "st"}), frozenset({"tst", "rm"})}


@pytest.mark.parametrize("turned", list(itertools.product((False, True), repeat=2)), ids=str)
def test_operands_in_memory_are_read_by_the_form_that_the_planner_finds(turned):
    """From a matrix that lies line by line along either dimension: no copy, and the planner's load."""
    shapes = (16, 64), (64, 24)
    text = product(*shapes, (16, 24), ("i8", "i8"), "i32", wide="i32", turned=turned)
    planned = set()
    for role, shape, lies_turned in zip("AB", shapes, turned, strict=True):
        lines = Layout(shape, (1, shape[0])) if lies_turned else row_major(*shape)
        matrix = Operand("matrix", shape, "i8", MEMORY, lines)
        operand = names.operand(f"ame.{role}.i8@{shape[0]}x{shape[1]}")
        planned.add(planner.plan(matrix, operand).method.removeprefix("mls."))
    made = render(text, "vector", AME_GENERIC, start="linalg")
    (loads,) = {
        frozenset(name for name, pattern in LOADS.items() if re.search(pattern, line))
        for line in made.splitlines()
        if "inline_asm" in line and PRODUCT in line
    } - {frozenset()}
    assert loads == planned
