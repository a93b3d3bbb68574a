"""Software for matrix instructions that are declared by their tiles and types alone: see emulate_dot.c."""

from pathlib import Path

from vertebra.core import hooks
from vertebra.core.instruction import c_initializer
from vertebra.core.matrix import BITS, FLOATS, DotInstruction, run_dot
from vertebra.core.runtime import Emulator

_OPERANDS = ("vd", "vs1", "vs2")


def emulators() -> tuple[Emulator, ...]:
    """One for all such instructions of all plugins; none where there are none."""
    records = [record for record in hooks.instructions().values() if _is_plain(record)]
    if not records:
        return ()
    serves = frozenset().union(*(record.requires for record in records))
    source = Path(__file__).parent / "emulate_dot.c"
    return (Emulator("emulate_dot", source, serves, table=lambda: table(records)),)


def _is_plain(record) -> bool:
    """Whether the declaration says all: its semantics are those that follow from it."""
    return isinstance(record, DotInstruction) and record.semantics is run_dot


def table(records: list[DotInstruction]) -> str:
    """A line for each instruction and width of registers."""
    lines: list[str] = []
    for record in records:
        for vlen, tile in record.tiles.items():
            numbers = [len(lines), vlen // 8, *tile, *_types(record), c_initializer(record, _OPERANDS)]
            kind = "FLOATS" if record.acc in FLOATS else "INTEGERS"
            lines.append(f"{kind}({', '.join(map(str, numbers))})\n")
    return "".join(lines)


def _types(record: DotInstruction) -> list:
    if record.acc in FLOATS:
        return [record.a.upper(), record.b.upper()]
    signs = [(BITS[kind], int(not kind.startswith("u"))) for kind in (record.a, record.b)]
    return [*signs[0], *signs[1], BITS[record.acc] // 8]
