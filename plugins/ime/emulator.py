"""IME instructions in software, for processors and emulators that lack them: see emulate_ime.c."""

from pathlib import Path

from vertebra.core.instruction import Instruction, c_initializer
from vertebra.core.runtime import Emulator
from vertebra.plugins.ime.geometry import WIDTHS, tile_of
from vertebra.plugins.ime.instructions import INSTRUCTIONS, MCPM, MatrixInstruction

# The order of the operands in the C program (enum operand there).
_OPERANDS = ("vd", "vs1", "vs2", "selector", "immediate")
_OPERATIONS = {"base": "dot", "slide": "dot", "float": "float_dot", "float_slide": "float_dot"}
_OPERATIONS |= {"sparse": "sparse_dot", "scaled": "scaled_dot"}


def _parameters(instruction: Instruction) -> str:
    if isinstance(instruction, MatrixInstruction):
        return (
            f".run = {_OPERATIONS[instruction.family]}, .slide = {instruction.slide}, "
            f".kind = {{{instruction.element_bits}, {int(not instruction.a.startswith('u'))}, "
            f"{int(not instruction.b.startswith('u'))}}}"
        )
    return (
        f".run = {instruction.kind}, .kind.bits = {instruction.element_bits}, "
        f".saturating = {int(instruction.saturating)}"
    )


def _geometries() -> str:
    """What `struct geometry` holds of every width of registers: bytes, side and bytes of a row of A."""
    tiles = {vlen: tile_of(vlen, 32, 8) for vlen in WIDTHS}
    return ", ".join(f"{{{vlen // 8}, {tile.m}, {tile.k}}}" for vlen, tile in tiles.items())


def table() -> str:
    """All instructions, as the C program includes them in an array, and what else it takes from here."""
    definitions = f"#define MCPM {MCPM:#x}\n#define GEOMETRIES {_geometries()}\n"
    return definitions + "".join(
        f"{{.form = {{{c_initializer(record, _OPERANDS)}}}, {_parameters(record)}}},\n"
        for record in INSTRUCTIONS.values()
    )


EMULATOR = Emulator(
    "emulate_ime",
    Path(__file__).parent / "emulate_ime.c",
    frozenset().union(*(record.requires for record in INSTRUCTIONS.values())),
    table=table,
    headers=(Path(__file__).parent / "ime_products.h",),
)
