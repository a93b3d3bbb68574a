"""core/tiles.py, and the command that prints them."""

import attrs
import pytest

from vertebra.core import cli, hooks
from vertebra.core.errors import ConfigError
from vertebra.core.tiles import (
    MatrixTile,
    check_tile,
    grid_registers,
    largest_grid,
    tile_fault,
    whole_tile,
)

TILE = MatrixTile("x", "i8", "i8", "i32", 4, 8, 16, 1, 2, 2, grid=(3, 2))


def test_a_tile_knows_its_block_registers_and_peak():
    assert TILE.block == (12, 16, 16)
    assert TILE.registers == 2 * 6 + 3 + 2 * 2
    assert TILE.peak == 2 * 4 * 8 * 16
    assert attrs.evolve(TILE, cycles=4).peak == 256
    assert attrs.evolve(TILE, other_registers=1).registers == TILE.registers + 1


def test_legal_tiles_are_made_of_whole_ones():
    assert TILE.legal(4, 8, 16) and TILE.legal(12, 8, 160)
    assert not any(TILE.legal(*tile) for tile in [(2, 8, 16), (4, 12, 16), (4, 8, 24), (0, 8, 16)])


@pytest.mark.parametrize(
    "registers, sizes, expected",
    [
        (32, {"a": 1, "b": 1, "acc": 2}, (3, 4)),
        (32, {"a": 1, "b": 1, "acc": 1, "other": 1}, (4, 5)),
        (32, {"a": 2, "b": 1, "acc": 2}, (2, 5)),
        (16, {"a": 1, "b": 1, "acc": 1}, (3, 3)),
        (4, {"a": 1, "b": 1, "acc": 2}, (1, 1)),
    ],
)
def test_largest_grid(registers, sizes, expected):
    grid = largest_grid(registers, **sizes)
    assert grid == expected
    assert grid_registers(grid, **sizes) <= registers
    rows, columns = grid
    loads = (sizes["a"] * rows + sizes["b"] * columns) / (rows * columns)
    for other in [(r, c) for r in range(1, 33) for c in range(1, 33)]:
        if grid_registers(other, **sizes) <= registers:
            assert loads <= (sizes["a"] * other[0] + sizes["b"] * other[1]) / (other[0] * other[1])


def test_command_shows_every_tile_of_a_core(capsys):
    assert cli.main(["tiles", "--core", "a60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("spacemit-a60 (") and "0xa03c" in lines[0] and "256-bit" in lines[0]
    rows = {line.split()[0]: line for line in lines[2:]}
    assert set(rows) == {tile.instruction for tile in hooks.matrix_tiles(hooks.cores()["spacemit-a60"])}
    words = rows["smt.vmadot.i8"].split()
    for word in ("4x4x8", "1+1+2", "3x4", "12x16x8", "31", "256"):
        assert word in words
    assert "multiples of 4, 4, 8" in rows["smt.vmadot.i8"]


def test_command_without_a_core_shows_those_that_have_an_engine(capsys):
    assert cli.main(["tiles"]) == 0
    out = capsys.readouterr().out
    with_tiles = {name for name, core in hooks.cores().items() if hooks.matrix_tiles(core)}
    assert with_tiles >= {"spacemit-a60", "spacemit-a100"}
    shown = {
        line.split()[0] for line in out.splitlines() if " (rv" in line or "-bit vector registers)" in line
    }
    assert shown == with_tiles


def test_command_for_a_core_without_an_engine(capsys):
    assert cli.main(["tiles", "--core", "spacemit-x60"]) == 0
    assert "no matrix instructions" in capsys.readouterr().out


def test_command_for_an_unknown_core(capsys):
    assert cli.main(["tiles", "--core", "spacemit-a61"]) == 2
    assert "spacemit-a60" in capsys.readouterr().err


@pytest.mark.parametrize(
    "core, types, tile",
    [
        ("spacemit-a60", ("i8", "i8", "i32"), (12, 16, 8)),
        ("spacemit-a100", ("ui8", "i8", "i32"), (8, 8, 16)),
        ("spacemit-a100", ("bf16", "bf16", "f32"), (16, 8, 64)),
    ],
)
def test_legal_tiles(core, types, tile):
    check_tile(hooks.cores()[core], *types, tile)


@pytest.mark.parametrize(
    "core, types, tile, message",
    [
        (
            "spacemit-a60",
            ("i8", "i8", "i32"),
            (4, 6, 8),
            "tile 4x6x8 .* spacemit-a60: N = 6 is no multiple of 4\nfix: use multiples of 4x4x8 "
            ".smt.vmadot.i8., here 4x8x8; or tl.dot",
        ),
        (
            "spacemit-a60",
            ("f16", "f16", "f32"),
            (8, 8, 8),
            "for f16 x f16 -> f32\nfix: .*i8 x i8 -> i32, tiles of 4x4x8",
        ),
        (
            "spacemit-a100",
            ("f16", "f16", "f32"),
            (8, 8, 4),
            "fix: use multiples of 8x8x8 .smt.vfwmadot., here 8x8x8;",
        ),
        ("spacemit-x60", ("i8", "i8", "i32"), (4, 4, 8), "no instruction .*\nfix: its products are cut for"),
    ],
)
def test_illegal_tiles_name_the_rows_that_would_do(core, types, tile, message):
    with pytest.raises(ConfigError, match=message):
        check_tile(hooks.cores()[core], *types, tile)


def test_types_of_one_mode_go_together():
    either = attrs.evolve(TILE, a="f16|bf16", b="f16|bf16", acc="f32")
    assert either.takes("f16", "f16", "f32") and either.takes("bf16", "bf16", "f32")
    assert not either.takes("f16", "bf16", "f32") and not either.takes("f16|bf16", "f16|bf16", "f32")


def test_an_engine_that_reads_by_strides_takes_any_tile():
    assert attrs.evolve(TILE, strided=True).legal(1, 3, 5)
    assert not attrs.evolve(TILE, strided=True).legal(0, 3, 5)


A60 = ("spacemit-a60", "i8", "i8", "i32")


@pytest.mark.parametrize(
    "tile, counts, legal",
    [
        ((1, 16, 8), (1, 4, 4), True),  # a row: one tile along M
        ((1, 16, 8), (2, 4, 4), False),
        ((12, 2, 8), (4, 1, 4), True),
        ((12, 2, 8), (4, 3, 4), False),
        ((4, 4, 4), (4, 4, 1), True),
        ((4, 4, 4), (4, 4, 2), False),
        ((6, 4, 8), (1, 1, 1), False),  # more than one instruction, and no whole number of them
        ((8, 12, 16), (5, 5, 5), True),
    ],
)
def test_a_single_tile_may_be_smaller_than_an_instruction(tile, counts, legal):
    core, *types = A60
    assert (tile_fault(hooks.cores()[core], *types, tile, counts) is None) == legal


@pytest.mark.parametrize(
    "core, types, tile, expected",
    [
        ("spacemit-a60", ("i8", "i8", "i32"), (1, 5, 17), (4, 8, 24)),
        ("spacemit-a100", ("i8", "i8", "i32"), (4, 4, 8), (8, 8, 16)),
        ("spacemit-a100", ("f32", "f32", "f32"), (1, 5, 17), (1, 5, 17)),
        ("spacemit-x60", ("i8", "i8", "i32"), (1, 5, 17), (1, 5, 17)),
        ("ame-generic", ("i8", "i8", "i32"), (1, 5, 17), (1, 5, 17)),
    ],
)
def test_whole_tiles(core, types, tile, expected):
    assert whole_tile(hooks.cores()[core], *types, tile) == expected
