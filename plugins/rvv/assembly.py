"""What the lines of RISC-V assembler text do, vectors included."""

import re

from vertebra.core.roofline.machine_code import Kind
from vertebra.core.target import Core

_BRANCH = re.compile(r"b(eq|ne|lt|ge|gt|le)(z|u)?")
_LEAVE = re.compile(r"ret|jr|tail|mret")
_LOAD = re.compile(r"l[bhwd]u?|fl[hwd]")
_STORE = re.compile(r"s[bhwd]|fs[hwd]")
_SETTING = re.compile(r"vseti?vli?")
_TYPE = re.compile(r"\be(\d+)\s*,\s*m(f?)(\d)")
# Whole registers, elements in a row, and elements anywhere.
_WHOLE = re.compile(r"v([ls])(\d)r(?:e\d+)?\.v")
_ROW = re.compile(r"v([ls])(?:seg\d)?e(\d+)(?:ff)?\.v")
_ANYWHERE = re.compile(r"v([ls])(?:s|[uo]x)(?:seg\d)?e[i]?(\d+)\.v")
_MASK = re.compile(r"v([ls])m\.v")
_COPY = re.compile(r"vmv(\d)r\.v")
_MULTIPLY_ADD = re.compile(r"vf?w?n?m(acc|sac|add|sub)(u|us|su)?\.\w+")
_WIDE = re.compile(r"vf?w|vf?n(sr|clip|cvt)")
_MOVED = {"l": Kind.LOAD, "s": Kind.STORE}


# What the letters of `.insn r` stand for: a word of which the fields are given.
_WORD = re.compile(r"(?:(?:0x)?4\s*,\s*)?(0x[0-9a-fA-F]+|\d+)")
_FIELDS = {"r": ((0, 12, 25), (7, 15, 20))}  # places of the numbers, and of the registers
_REGISTERS = ["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", *(f"a{i}" for i in range(8))]
_REGISTERS += [*(f"s{i}" for i in range(2, 12)), *(f"t{i}" for i in range(3, 7))]
_NUMBERS = {name: i for i, name in enumerate(_REGISTERS)} | {f"x{i}": i for i in range(32)} | {"fp": 8}


class RiscvReader:
    """A group of registers counts in full, also where fewer elements are asked for."""

    def __init__(self, core: Core):
        self._register = core.vector.bits
        self._element, self._group = 8, 1.0

    def read(self, mnemonic: str, operands: str) -> tuple[Kind, int]:
        if not mnemonic.startswith("v"):
            return _scalar(mnemonic), 0
        if _SETTING.fullmatch(mnemonic):
            if found := _TYPE.search(operands):
                self._element = int(found[1])
                self._group = 1 / int(found[3]) if found[2] else int(found[3])
            return Kind.OTHER, 0
        register, group = self._register, self._group
        if found := _WHOLE.fullmatch(mnemonic):
            return _MOVED[found[1]], int(found[2]) * register
        if found := _ROW.fullmatch(mnemonic):
            return _MOVED[found[1]], int(register * group * int(found[2]) / self._element)
        if found := _ANYWHERE.fullmatch(mnemonic) or _MASK.fullmatch(mnemonic):
            return _MOVED[found[1]], int(register * group)
        if found := _COPY.fullmatch(mnemonic):
            return Kind.VECTOR, int(found[1]) * register
        # The wide side of an instruction that widens or narrows takes twice the registers.
        wide = 2 if _WIDE.match(mnemonic) else 1
        kind = Kind.VECTOR | (Kind.MULTIPLY_ADD if _MULTIPLY_ADD.fullmatch(mnemonic) else Kind.OTHER)
        return kind, int(register * group * wide)

    def word(self, operands: str) -> int | None:
        if found := _WORD.fullmatch(operands.strip()):
            return int(found[1], 0)
        form, *rest = re.split(r"[\s,]+", operands.strip())
        if form not in _FIELDS:
            return None
        numbers, registers = _FIELDS[form]
        if len(rest) != len(numbers) + len(registers):
            return None
        try:
            word = sum(int(text, 0) << at for text, at in zip(rest, numbers, strict=False))
            return word | sum(
                _NUMBERS[text] << at for text, at in zip(rest[len(numbers) :], registers, strict=True)
            )
        except (KeyError, ValueError):
            return None


def _scalar(mnemonic: str) -> Kind:
    for kind, names in (
        (Kind.LOAD, _LOAD),
        (Kind.STORE, _STORE),
        (Kind.BRANCH, _BRANCH),
        (Kind.LEAVE, _LEAVE),
    ):
        if names.fullmatch(mnemonic):
            return kind
    return Kind.JUMP if mnemonic == "j" else Kind.OTHER
