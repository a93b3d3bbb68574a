"""`vertebra tiles`: what the matrix engine of each core multiplies, and how fast."""

import argparse
from collections.abc import Sequence

from vertebra.core.command import Command, print_table
from vertebra.core.tiles import MatrixTile

_HEAD = (
    "instruction",
    "types",
    "tile MxNxK",
    "registers A+B+C",
    "grid",
    "grid MxNxK",
    "registers",
    "legal MICRO_M, MICRO_N, MICRO_K",
    "ops/cycle",
)


def _row(tile: MatrixTile) -> tuple[str, ...]:
    other = f"+{tile.other_registers}" if tile.other_registers else ""
    return (
        tile.instruction,
        f"{tile.a} x {tile.b} -> {tile.acc}",
        f"{tile.m}x{tile.n}x{tile.k}",
        f"{tile.a_registers}+{tile.b_registers}+{tile.acc_registers}{other}",
        "x".join(map(str, tile.grid)),
        "x".join(map(str, tile.block)),
        str(tile.registers),
        "any" if tile.strided else f"multiples of {tile.m}, {tile.n}, {tile.k}",
        f"{tile.peak:g}",
    )


def _show(core, tiles: Sequence[MatrixTile]) -> None:
    arch_id = "" if core.arch_id is None else f", arch id {core.arch_id:#x}"
    print(f"{core.name} ({core.isa}{arch_id}, {core.vlen}-bit vector registers)")
    if tiles:
        print_table(_HEAD, map(_row, tiles))
    else:
        print("no matrix instructions; products run on vector registers, any tile is legal")


def _run(args) -> None:
    from vertebra.core import hooks, select

    chosen = [select.find_core(name) for name in args.core] if args.core else hooks.cores().values()
    shown = False
    for core in chosen:
        tiles = hooks.matrix_tiles(core)
        if not tiles and not args.core:
            continue
        if shown:
            print()
        _show(core, tiles)
        shown = True
    if not shown:
        print("no installed core has matrix instructions")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--core",
        action="append",
        metavar="NAME",
        help="this core only, by name or arch id (repeatable); default: all that have matrix instructions",
    )


COMMAND = Command("tiles", "show what each core's matrix engine multiplies, and how fast", _configure, _run)
