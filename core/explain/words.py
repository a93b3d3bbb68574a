"""Instructions that an assembler knows as words only, by their names."""

from collections.abc import Mapping, Sequence

import attrs

from vertebra.core.explain.places import Line
from vertebra.core.instruction import Instruction, find
from vertebra.core.roofline.machine_code import Reader

_WORD = ".insn "


def with_names(lines: Sequence[Line], reader: Reader, records: Mapping[str, Instruction]) -> tuple[Line, ...]:
    """`lines` of assembly text; behind each `.insn` of an instruction among `records` stands its own text."""
    known = tuple(records.values())

    def named(line: Line) -> Line:
        text = line.text.strip()
        if not text.startswith(_WORD):
            return line
        word = reader.word(text.partition("#")[0].removeprefix(_WORD).strip())
        if word is None or (found := find(known, word)) is None:
            return line
        record, numbers = found
        return attrs.evolve(line, text=f"{line.text} # {record.text(**numbers)}")

    return tuple(map(named, lines))
