"""Cores with a matrix unit: their parameters, what they may be combined with, and their table of tiles."""

import attrs
import pytest

from vertebra.core import hooks
from vertebra.core.errors import ConfigError
from vertebra.core.tiles import check_tile
from vertebra.plugins.ame.codegen import panel_kernels, registers
from vertebra.plugins.ame.cores import AME_GENERIC, TAKEN, MatrixCore
from vertebra.plugins.ame.geometry import LIMITS, Geometry, geometry_of
from vertebra.plugins.ame.instructions import INSTRUCTIONS
from vertebra.plugins.ame.types import NAMED


def beside(name: str, **fields) -> MatrixCore:
    """The generic core with the extensions of core `name` as well."""
    extensions = AME_GENERIC.extensions | hooks.cores()[name].extensions
    return attrs.evolve(AME_GENERIC, name="both", extensions=extensions, **fields)


def test_the_generic_core():
    core = hooks.cores()["ame-generic"]
    assert core.ame == Geometry(n=8, u=32, m=16, acc=4) == geometry_of(core.extensions)
    assert core.vlen == 256 and core.target == "ame"


@pytest.mark.parametrize(
    "name, value", [("n", 12), ("n", 1), ("u", 24), ("m", 24), ("m", 64), ("acc", 3), ("acc", 32)]
)
def test_limits_of_the_draft(name, value):
    with pytest.raises(ConfigError, match=f" {value}\n") as caught:
        attrs.evolve(AME_GENERIC, ame=Geometry(**{name: value}))
    assert str(LIMITS[name][0]) in caught.value.fix


def test_parameters_are_fields():
    core = attrs.evolve(AME_GENERIC, ame=Geometry(n=16, u=8, m=32, acc=8))
    assert geometry_of(core.extensions) == core.ame
    assert {k.tile for k in panel_kernels(core)} == {(16, 16, 16)}


def test_beside_the_ime_of_the_a60():
    core = beside("spacemit-a60")
    assert "xsmti8i32mm" in core.extensions and geometry_of(core.extensions) == core.ame


def test_not_beside_the_ime_of_the_a100():
    with pytest.raises(ConfigError, match="4 encodings two meanings") as caught:
        beside("spacemit-a100")
    for name in TAKEN:
        assert f"{name} = smt." in caught.value.message


def test_a_core_without_the_unit_has_none():
    assert panel_kernels(hooks.cores()["spacemit-x60"]) == ()
    assert not any(t.instruction == "mmulbtacc.2d" for t in hooks.matrix_tiles(hooks.cores()["spacemit-a60"]))


def test_table_of_tiles():
    rows = [row for row in hooks.matrix_tiles(AME_GENERIC)]
    assert {(row.a, row.m, row.n, row.k) for row in rows} == {
        ("i8", 8, 8, 32),
        ("ui8", 8, 8, 32),
        ("f16", 8, 8, 16),
        ("bf16", 8, 8, 16),
        ("f32", 8, 8, 8),
    }
    for row in rows:
        assert row.grid == (2, 2) and row.registers <= AME_GENERIC.ame.m


@pytest.mark.parametrize("u, m, acc", [(8, 16, 4), (16, 16, 8), (32, 16, 1), (32, 32, 16), (8, 32, 16)])
@pytest.mark.parametrize("kinds", [("i8", "i32"), ("f16", "f32"), ("f32", "f32")])
def test_plans_use_registers_that_exist_and_are_free(u, m, acc, kinds):
    g, (kind, sums) = Geometry(n=4, u=u, m=m, acc=acc), (NAMED[k] for k in kinds)
    for down in range(1, 9):
        for across in range(1, 9):
            rows, columns = registers.grid(g, kind, sums, down, across)
            assert rows <= down and columns <= across and rows * columns <= acc
            plan = registers.needed(g, kind, sums, rows, columns)
            tiles = range(rows + columns)
            used = {plan.operand(t, step) for t in tiles for step in range(plan.buffers)}
            assert len(used) == plan.buffers * len(tiles)
            assert all(r % g.group(kind.bits) == 0 for r in used)
            if plan.sums:
                assert max(used) + g.group(kind.bits) <= plan.sums <= m - g.group(sums.bits)


def test_types_that_no_instruction_multiplies():
    with pytest.raises(
        ConfigError, match="core ame-generic has no instruction for f64 x f64 -> f64"
    ) as caught:
        check_tile(AME_GENERIC, "f64", "f64", "f64", (8, 8, 8))
    assert "f16 x f16 -> f32" in caught.value.fix and "i8 x ui8 -> i32" in caught.value.fix


def test_more_registers_than_there_are():
    with pytest.raises(
        ConfigError, match="needs 9 accumulators and 7 matrix registers, the unit has 4 and 16"
    ) as caught:
        registers.needed(Geometry(), NAMED["i8"], NAMED["i32"], 3, 3)
    assert "2 x 2" in caught.value.fix


def test_the_taken_encodings_are_none_of_ours():
    for record in INSTRUCTIONS.values():
        for mask, match in TAKEN.values():
            assert (record.match ^ match) & mask & record.mask
