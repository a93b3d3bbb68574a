"""The matrix unit in software, for processors and emulators that lack it: see emulate_ame.c."""

from pathlib import Path

from vertebra.core.instruction import c_initializer
from vertebra.core.runtime import Emulator
from vertebra.plugins.ame import types
from vertebra.plugins.ame.geometry import parameter_names
from vertebra.plugins.ame.instructions import CSRS, INSTRUCTIONS, UnitInstruction
from vertebra.plugins.ame.state import Grant

_HERE = Path(__file__).parent
# C has some of the names already.
_FUNCTIONS = {"index": "index_", "bits": "bits_", "select": "select_"}
# Bits of a type's code; what is left of an integer's is reserved.
_TYPE_BITS = {
    "FLOAT": 1 << 8,
    "SIGNED": 1 << 30,
    "SATURATE": 1 << 29,
    "MODES": 7 << 27,
    "RESERVED": ~(0xF << 27 | 1 << 30 | 0xFF) & 0xFFFFFFFF,
}


def _choice(name: str) -> str:
    return f"WHAT_{name.replace('.', '_')}"


def _form(record: UnitInstruction) -> str:
    names = [operand.name for operand in record.operands]
    what = ", ".join(map(_choice, record.what)) or "0"
    files = ", ".join(f"'{operand.file[0]}'" for operand in record.operands) or "0"
    # In these the first source is a number, which takes the place of an element.
    scalar = record.scalar and len(names) == 3 and record.operands[2].file == "m"
    run = _FUNCTIONS.get(record.family, record.family)
    return (
        f"{{.form = {{{c_initializer(record, names)}}}, .run = {run}, "
        f".what = {{{what}}}, .scalar = {int(scalar)}, .files = {{{files}}}}},\n"
    )


def table() -> str:
    """All instructions as an array, and the numbers that the C program takes from here."""
    choices = dict.fromkeys(what for record in INSTRUCTIONS.values() for what in record.what)
    definitions = [f"{_choice(what)} = {number}" for number, what in enumerate(choices)]
    definitions += [f"CSR_{name} = {number:#x}" for name, number in CSRS.items()]
    definitions += [f"GRANT_{grant.name} = {grant:d}" for grant in Grant]
    enums = f"enum {{ {', '.join(definitions)} }};\n"
    codes = {name: getattr(types, name).code for name in ("FP16", "BF16", "FP32", "INT32", "INT32_SAT")}
    codes |= {f"TYPE_{name}": value for name, value in _TYPE_BITS.items()}
    defines = "".join(f"#define {name} {value:#x}u\n" for name, value in codes.items())
    forms = "".join(map(_form, INSTRUCTIONS.values()))
    return f"{enums}{defines}static const struct ame_form forms[] = {{\n{forms}}};\n"


EMULATOR = Emulator(
    "emulate_ame",
    _HERE / "emulate_ame.c",
    parameter_names(),
    table=table,
    headers=tuple(_HERE / f"ame_{part}.h" for part in ("unit", "numbers", "products", "elements")),
)
