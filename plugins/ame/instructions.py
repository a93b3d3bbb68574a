"""The attached matrix extension: 101 instructions of the task group's draft, as data.

Source: draft "Ztt" of the RISC-V attached matrix extension task group, commit 8d27acdcee7a of
2026-08-16, unratified: encodings and numbers of control registers are provisional, and stand nowhere but
here.  The words have three register fields: dest [11:7], src1 [19:15] and src2 [24:20]; where a form
needs fewer, the others hold more of its function.
"""

from collections.abc import Iterator

import attrs

from vertebra.core.instruction import Instruction, Operand
from vertebra.plugins.ame import elementwise, semantics
from vertebra.plugins.ame.geometry import EXTENSION, geometry_of

_OPCODE = "0101011"  # custom-1
_FUNCT3 = "000"
# Control registers.
CSRS = {
    "amenlen": 0xCC0,
    "ameudsz": 0xCC1,
    "amestype": 0xCC2,
    "ameown": 0xCC3,
    "amefflags": 0xCC4,
    "amexsat": 0xCC5,
    "amestatus": 0x800,
}
READ_ONLY = ("amenlen", "ameudsz", "ameown")
_REQUIRES = frozenset({EXTENSION})
# Family -> what it does.
_SEMANTICS = {**vars(semantics), **vars(elementwise)}
_STATE = (
    "the unit to be acquired (ame.acquire), registers that exist, and groups that are aligned to "
    "the size of their type"
)


@attrs.frozen(kw_only=True)
class UnitInstruction(Instruction):
    """family: which function carries it out, here and in the emulator.  what: the choices of the form.

    Every choice is a name.  strided: the address operand has brackets.
    """

    family: str
    what: tuple[str, ...] = ()
    strided: bool = False

    @property
    def scalar(self) -> bool:
        """Whether the first factor or operand is a scalar in an X register."""
        return any(operand.name == "rs1" for operand in self.operands)

    def needs(self, core, **numbers: int) -> str:
        """Registers that the unit of `core` lacks, where that is the reason."""
        g = geometry_of(core.extensions)
        there = {} if g is None else {"m": g.m, "acc": g.acc, "ad": g.acc}
        for operand in self.operands:
            number, count = numbers[operand.name], there.get(operand.file, 32)
            if number >= count:
                return (
                    f"{operand.text(number)}, and the unit of core {core.name} has {count} of these registers"
                )
        return self.state

    def text(self, **numbers: int) -> str:
        shown = []
        for operand in self.operands:
            text = operand.text(numbers[operand.name])
            shown.append(f"({text})" if self.strided and operand.name == "rs1" else text)
        return f"{self.mnemonic} {', '.join(shown)}".strip()


_FILES = {"m": "m", "a": "acc", "r": "x"}  # by the first letter of an operand's name
_LETTERS = "dab"


def _operand(name: str, letter: str, written: bool) -> Operand:
    file = "ad" if name == "ad" else _FILES[name[0]]
    return Operand(name, letter, file, written=written)


def _trials(record: UnitInstruction, core, random):
    from vertebra.plugins.ame.trials import trials

    return trials(record, core, random)


def _form(name: str, fixed: str, operands: str, family: str, *what: str, writes: bool = True, **fields):
    """fixed: the fields from bit 31 on; operands: names in the order dest, src1, src2."""
    names = operands.split()
    return UnitInstruction(
        name=name,
        mnemonic=name,
        encoding=fixed,
        operands=tuple(
            _operand(operand, letter, writes and letter == "d")
            for operand, letter in zip(names, _LETTERS, strict=False)
        ),
        requires=_REQUIRES,
        semantics=_SEMANTICS[family],
        trials=_trials,
        disjoint=False,
        state=_STATE,
        family=family,
        what=what,
        **fields,
    )


def _three(name: str, funct7: int, operands: str, family: str, *what: str, **fields):
    return _form(
        name, f"{funct7:07b} bbbbb aaaaa {_FUNCT3} ddddd {_OPCODE}", operands, family, *what, **fields
    )


def _two(name: str, funct: tuple[int, int], operands: str, family: str, *what: str, **fields):
    fixed = f"{funct[0]:07b} {funct[1]:05b} aaaaa {_FUNCT3} ddddd {_OPCODE}"
    return _form(name, fixed, operands, family, *what, **fields)


def _one(name: str, function: int, operands: str, family: str, *what: str):
    fixed = f"{0x53:07b} {function:010b} {_FUNCT3} ddddd {_OPCODE}"
    return _form(name, fixed, operands, family, *what)


def _management() -> Iterator[UnitInstruction]:
    yield _two("ame.acquire", (0x52, 0x09), "rd rs1", "acquire")
    yield _form("ame.release", f"{0x52:07b} 01010 00000 {_FUNCT3} 00000 {_OPCODE}", "", "release")
    for kind, function in (("a", 0x00), ("m", 0x02)):
        yield _two(
            f"{kind}gettyp", (0x51, function), f"rd {'ad' if kind == 'a' else 'ms1'}", "get_type", kind
        )
        registers = "ad" if kind == "a" else "md"
        yield _two(f"{kind}settyp", (0x51, function + 1), f"{registers} rs1", "set_type", kind)
    yield _one("mzero.2d.acc", 0, "acc", "zero", "acc")
    yield _one("mzero.2d.m", 1, "md", "zero", "m")
    yield _one("mcolid.ew", 2, "md", "index", "col")
    yield _one("mrowid.ew", 3, "md", "index", "row")


def _transfers() -> Iterator[UnitInstruction]:
    for family, prefix, register, first, strided in (
        ("load", "mls", "md", 0x16, 0x54),
        ("store", "mss", "ms1", 0x19, 0x56),
    ):
        for at, layout in enumerate(("1r", "cm", "rm")):
            yield _two(
                f"{prefix}.{layout}",
                (0x51, first + at),
                f"{register} rs1",
                family,
                layout,
                writes=family == "load",
            )
        for at, layout in enumerate(("st", "tst")):
            yield _three(
                f"{prefix}.{layout}",
                strided + at,
                f"{register} rs1 rs2",
                family,
                layout,
                writes=family == "load",
                strided=True,
            )
    yield _two("mmov.m.a", (0x51, 0x1C), "md acc", "move", "m.a")
    yield _two("mmov.a.m", (0x51, 0x1D), "acc ms", "move", "a.m")
    yield _two("mmov.m.m", (0x51, 0x1E), "md ms", "move", "m.m")
    yield _three("mbcast.m.x", 0x58, "md rs1 rs2", "broadcast_scalar")
    for at, bits in enumerate((8, 16, 32, 64)):
        yield _three(f"mmove{bits}.m.x", 0x59 + at, "md rs2 rs1", "element", "m.x", str(bits))
        yield _three(f"mmove{bits}.x.m", 0x5D + at, "rd ms2 rs1", "element", "x.m", str(bits))


def _products() -> Iterator[UnitInstruction]:
    for side, funct7 in (("", 0x4A), ("at", 0x4D), ("bt", 0x4F)):
        for sign, more in (("plus", 0), ("minus", 1)):
            name = f"mmul{side}acc{'neg' if sign == 'minus' else ''}.2d"
            yield _three(name, funct7 + more, "acc ms1 ms2", "multiply", side or "plain", sign)


# D = sign x * y + z, where a, b, d are the operands.
_ARITHMETIC = {
    "madd": (0x02, "plus", "a", "one", "b"),
    "mmul": (0x0C, "plus", "a", "b", "zero"),
    "mmulacc": (0x0E, "plus", "a", "b", "d"),
    "mmulaccneg": (0x10, "minus", "a", "b", "d"),
    "mmuladd": (0x12, "plus", "b", "d", "a"),
    "mmulneg": (0x14, "minus", "a", "b", "zero"),
    "mmulsub": (0x16, "minus", "b", "d", "a"),
    "msub": (0x18, "minus", "a", "one", "b"),
}
_PAIRS = {
    "mmax": (0x06, "extreme", "max"),
    "mmin": (0x0A, "extreme", "min"),
    "mand": (0x1A, "bits", "and"),
    "mor": (0x1E, "bits", "or"),
    "mxor": (0x28, "bits", "xor"),
    "msll": (0x22, "shift", "sll"),
    "msra": (0x24, "shift", "sra"),
    "msrl": (0x26, "shift", "srl"),
    "mcmpge": (0x2C, "compare", "ge"),
    "mcmplt": (0x2E, "compare", "lt"),
    "mldexp": (0x3F, "scale"),
}
# In (funct7 0x51, function), except for reductions.
_UNARY = {
    "mabs": (0x04, "absolute"),
    "mfrintm": (0x05, "math", "floor"),
    "mfrintn": (0x06, "math", "rint"),
    "mfrintp": (0x07, "math", "ceil"),
    "mfrintz": (0x08, "math", "trunc"),
    "mconv": (0x0D, "convert"),
    "mexp2": (0x0F, "math", "exp2"),
    "mlog2": (0x10, "math", "log2"),
    "mrec": (0x11, "math", "rec"),
    "mrsqrt": (0x12, "math", "rsqrt"),
    "msqrt": (0x14, "math", "sqrt"),
    "mtanh": (0x15, "math", "tanh"),
}


def _elements() -> Iterator[UnitInstruction]:
    pairs = {name: (funct7, "arithmetic", *what) for name, (funct7, *what) in _ARITHMETIC.items()} | _PAIRS
    for name, (funct7, family, *what) in pairs.items():
        yield _three(f"{name}.ew", funct7, "md ms1 ms2", family, *what)
        yield _three(f"{name}.ew.x", funct7 + 1, "md rs1 ms2", family, *what)
    for name, funct7, what in (
        ("mcmovge", 0x2A, ("ge", "d")),
        ("mcmovlt", 0x2B, ("lt", "d")),
        ("mselge", 0x30, ("ge", "zero")),
    ):
        yield _three(f"{name}.ew", funct7, "md ms1 ms2", "select", *what)
    for name, (function, family, *what) in _UNARY.items():
        yield _two(f"{name}.ew", (0x51, function), "md ms1", family, *what)


def _structure() -> Iterator[UnitInstruction]:
    yield _three("mcolbcast.ew.x", 0x32, "md rs1 ms2", "broadcast", "col")
    yield _three("mrowbcast.ew.x", 0x35, "md rs1 ms2", "broadcast", "row")
    yield _three("mpack.ew.x", 0x3D, "md rs1 ms2", "pack_square")
    yield _three("munpack.ew.x", 0x3E, "md rs1 ms2", "unpack_square")
    for at, what in enumerate(("add", "max", "min")):
        for more, along in enumerate(("col", "row")):
            yield _two(f"mreduce{what}.{along}", (0x52, 3 + 2 * at + more), "md ms1", "reduce", what, along)


INSTRUCTIONS: dict[str, UnitInstruction] = {
    record.name: record
    for group in (_management, _transfers, _products, _elements, _structure)
    for record in group()
}
