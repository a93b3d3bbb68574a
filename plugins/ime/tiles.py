"""The matrix tiles of each core, and the accumulator grids that fill its registers."""

from vertebra.core.target import Core
from vertebra.core.tiles import MatrixTile, largest_grid
from vertebra.plugins.ime.instructions import MATRIX, MatrixInstruction


def _registers(instruction: MatrixInstruction) -> dict[str, int]:
    """What the operands of one instruction take, by the names of `largest_grid`."""
    group = {operand.name: operand.group for operand in instruction.operands if operand.file}
    return {"a": group["vs1"], "b": group["vs2"], "acc": group["vd"], "other": group.get("selector", 0)}


def grid(core: Core, instruction: MatrixInstruction) -> tuple[int, int]:
    """(rows, columns) of accumulator tiles that the registers of `core` hold beside their operands."""
    return largest_grid(core.vector.registers, **_registers(instruction))


def matrix_tile(core: Core, instruction: MatrixInstruction) -> MatrixTile | None:
    """The row of the table for `instruction`; None where `core` does not have it.

    One instruction per cycle is what the vendor's own measurement shows for K1 at 2.0 GHz (511.5 of
    512 billion operations per second), and an assumption for K3.
    """
    tile = instruction.tile(core)
    if tile is None:
        return None
    registers = _registers(instruction)
    return MatrixTile(
        instruction.name,
        *(_shown(kind) for kind in (instruction.a, instruction.b, instruction.acc)),
        *tile,
        a_registers=registers["a"],
        b_registers=registers["b"],
        acc_registers=registers["acc"],
        other_registers=registers["other"],
        grid=grid(core, instruction),
    )


def _shown(kind: str) -> str:
    """Either 16-bit float is meant where a record says f16."""
    return "f16|bf16" if kind == "f16" else kind


def matrix_tiles(core: Core) -> list[MatrixTile]:
    """All rows for `core`, in the order of the instructions."""
    return [tile for instruction in MATRIX if (tile := matrix_tile(core, instruction)) is not None]
