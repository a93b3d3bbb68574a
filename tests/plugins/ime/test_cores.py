"""The cores and their tables of tiles."""

import pytest

from vertebra.core import hooks
from vertebra.core.matrix import table_row
from vertebra.core.select import find_core
from vertebra.plugins.ime.instructions import MATRIX, instruction
from vertebra.plugins.rvv.matrix import blocking


@pytest.mark.parametrize(
    "number, name, vlen",
    [
        ("0xA03C", "spacemit-a60", 256),
        ("0xa064", "spacemit-a100", 1024),
        ("0x503C", "spacemit-x60", 256),
        ("0x5064", "spacemit-x100", 256),
    ],
)
def test_cores_are_found_by_number_and_name(number, name, vlen):
    assert find_core(number) is find_core(name) is find_core(name.split("-")[1])
    assert find_core(name).vlen == vlen


def test_general_cores_have_no_matrix_instructions():
    for name in ("spacemit-x60", "spacemit-x100", "host"):
        assert hooks.matrix_tiles(find_core(name)) == ()


@pytest.mark.parametrize(
    "core, name, expected",
    [
        ("spacemit-a60", "smt.vmadot", (3, 4)),
        ("spacemit-a100", "smt.vmadot", (3, 4)),
        ("spacemit-a100", "smt.vmadot.hp", (4, 4)),
        ("spacemit-a100", "smt.vfwmadot", (3, 4)),
    ],
)
def test_grids(core, name, expected):
    found = find_core(core)
    assert table_row(found, instruction(name)).grid == expected


@pytest.mark.parametrize("core", ["spacemit-a60", "spacemit-a100"])
def test_table_has_a_row_for_every_form_of_the_core(core):
    found = find_core(core)
    rows = {row.instruction: row for row in hooks.matrix_tiles(found)}
    assert set(rows) == {record.name for record in MATRIX if record.requires & found.extensions}
    for row in rows.values():
        assert row.registers <= found.vector.registers
        assert row.legal(row.m, row.n, row.k) and row.legal(*row.block)


def test_peaks_are_the_published_ones():
    """K1: 2 TOPS for four cores at 2 GHz; K3's are the tile's at one instruction per cycle."""
    peak = {
        core: {row.instruction: row.peak for row in hooks.matrix_tiles(find_core(core))}
        for core in ("spacemit-a60", "spacemit-a100")
    }
    assert peak["spacemit-a60"]["smt.vmadot.i8"] == 256
    assert peak["spacemit-a100"]["smt.vmadot.i8"] == 2048
    assert peak["spacemit-a100"]["smt.vmadot.i4"] == 4096
    assert peak["spacemit-a100"]["smt.vmadot.sp.i4"] == 8192
    assert peak["spacemit-a100"]["smt.vfwmadot"] == 1024


@pytest.mark.parametrize("core", ["spacemit-a60", "spacemit-a100"])
def test_grids_are_those_of_large_products(core):
    """What the code generator chooses where nothing but the registers limits it."""
    found = find_core(core)
    for record in MATRIX:
        if record.family in ("base", "float") and record.tile(found):
            assert table_row(found, record).grid == blocking.grid(120, 120, record.operand("vd").group)
