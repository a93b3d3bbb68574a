"""Machine instructions as data: bits, operands and meaning in one place.

Emitters, emulators, tables and tests all read the records; nothing repeats an encoding.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import attrs

from vertebra.core.errors import ConfigError

if TYPE_CHECKING:
    from vertebra.core.trial import Trial

WORD_BITS = 32


class Piece(NamedTuple):
    """Neighbouring bits of a value, from its bit `value_low`, that stand in the word from bit `low`."""

    low: int
    width: int
    value_low: int


@attrs.frozen
class Operand:
    """What one field of an instruction names.

    letter: stands for the field's bits in the encoding, the highest bit first.  file: the letter of
    the register file ("v"), or "" for an immediate.  group: how many registers, one after the other
    from the one that is named.  multiple: the number must be a multiple of it, and its low bits
    are not in the word.
    """

    name: str
    letter: str
    file: str = "v"
    group: int = 1
    multiple: int = 1
    written: bool = False
    read: bool = True

    def registers(self, number: int) -> frozenset[tuple[str, int]]:
        """(file, number) of every register that is meant; none for an immediate."""
        return frozenset((self.file, number + i) for i in range(self.group)) if self.file else frozenset()

    def text(self, number: int) -> str:
        return f"{self.file}{number}"


@attrs.frozen
class Instruction:
    """One form of an instruction: a mnemonic together with one choice of types.

    name: unique among all.  mnemonic, suffix: what stands before and after the operands in assembler
    text.  encoding: 32 characters, bit 31 first: 0, 1, or the letter of an operand (white space does
    not count).  operands: in the order of assembler text.  requires: names of instruction
    sub-extensions of which a core must have one.  disjoint: no register that it writes may be one of
    another operand.  semantics: (instruction, state, **numbers) -> None changes `state`, the
    registers as NumPy arrays, as the instruction does; numbers are the operands' values by name.
    state: in which state of the processor it is legal, for people.  modes: the states
    (`vertebra.core.target.Mode`) in which it means something else, which semantics see as `state.mode`.
    trials: (instruction, core, random generator) -> endlessly many `vertebra.core.trial.Trial`s of it, or
    none where no word of it is legal on that core; for registers other than v0 to v31, which the kit knows.
    """

    name: str
    mnemonic: str
    encoding: str = attrs.field(converter=lambda text: re.sub(r"\s", "", text))
    operands: tuple[Operand, ...]
    requires: frozenset[str]
    semantics: Callable[..., None] = attrs.field(eq=False)
    suffix: str = ""
    disjoint: bool = True
    state: str = ""
    modes: tuple = ()
    trials: "Callable[..., Iterator[Trial]] | None" = attrs.field(default=None, eq=False, kw_only=True)

    @encoding.validator
    def _check_encoding(self, _, encoding: str) -> None:
        letters = "".join(operand.letter for operand in self.operands)
        if len(encoding) != WORD_BITS or set(encoding) - set("01") != set(letters):
            raise ConfigError(
                f"the encoding of {self.name} has {len(encoding)} bits and the letters "
                f"{', '.join(sorted(set(encoding) - set('01')))}: {encoding}",
                fix=f"write {WORD_BITS} bits: 0, 1 and {', '.join(letters)}",
            )

    @property
    def mask(self) -> int:
        """1 where the word's bit is fixed."""
        return int("".join("1" if bit in "01" else "0" for bit in self.encoding), 2)

    @property
    def match(self) -> int:
        """The fixed bits; 0 elsewhere."""
        return int("".join(bit if bit in "01" else "0" for bit in self.encoding), 2)

    def operand(self, name: str) -> Operand:
        return next(operand for operand in self.operands if operand.name == name)

    def pieces(self, operand: Operand) -> tuple[Piece, ...]:
        """Where the bits of an operand's value stand, from its lowest."""
        found: list[Piece] = []
        value_low = operand.multiple.bit_length() - 1
        for low, letter in enumerate(reversed(self.encoding)):
            if letter != operand.letter:
                continue
            if found and found[-1].low + found[-1].width == low:
                found[-1] = found[-1]._replace(width=found[-1].width + 1)
            else:
                found.append(Piece(low, 1, value_low))
            value_low += 1
        return tuple(found)

    def limit(self, operand: Operand) -> int:
        """All values of `operand` are below this."""
        return operand.multiple << self.encoding.count(operand.letter)

    def check(self, **numbers: int) -> None:
        """Raises ConfigError where the operands are illegal: names, ranges, alignment, overlap."""
        names = [operand.name for operand in self.operands]
        if set(numbers) != set(names):
            raise ConfigError(f"{self.name} has operands {', '.join(names)}, not {', '.join(numbers)}")
        for operand in self.operands:
            number, limit = numbers[operand.name], self.limit(operand)
            if not 0 <= number < limit or number % operand.multiple or number + operand.group > limit:
                even = f", a multiple of {operand.multiple}" if operand.multiple > 1 else ""
                raise ConfigError(
                    f"{self.name}: {operand.name} cannot be {operand.text(number)}",
                    fix=f"use one from {operand.text(0)} to {operand.text(limit - operand.group)}{even}",
                )
        if self.disjoint and (shared := self._overlap(numbers)):
            file, number = min(shared)
            raise ConfigError(
                f"{self.text(**numbers)}: {file}{number} is both the destination and a source",
                fix="use other registers for the destination",
            )

    def _overlap(self, numbers: dict[str, int]) -> set[tuple[str, int]]:
        shared: set[tuple[str, int]] = set()
        for written in (o for o in self.operands if o.written):
            others = (o for o in self.operands if o is not written)
            mine = written.registers(numbers[written.name])
            shared.update(*(mine & other.registers(numbers[other.name]) for other in others))
        return shared

    def encode(self, **numbers: int) -> int:
        """The word.  Raises ConfigError for illegal operands."""
        self.check(**numbers)
        word = self.match
        for operand in self.operands:
            for low, width, value_low in self.pieces(operand):
                word |= (numbers[operand.name] >> value_low & ((1 << width) - 1)) << low
        return word

    def decode(self, word: int) -> dict[str, int] | None:
        """The operands' values by name, or None where `word` is another instruction.

        Words with illegal operands decode too; `check` tells them.
        """
        if word & self.mask != self.match:
            return None
        return {
            operand.name: sum(
                (word >> low & ((1 << width) - 1)) << value_low
                for low, width, value_low in self.pieces(operand)
            )
            for operand in self.operands
        }

    def text(self, **numbers: int) -> str:
        """Assembler text, for a reader or for an assembler that knows the mnemonic."""
        parts = [operand.text(numbers[operand.name]) for operand in self.operands]
        return f"{self.mnemonic} {', '.join([*parts, *filter(None, [self.suffix])])}"

    def directive(self, **numbers: int) -> str:
        """Assembler text for any assembler.  Raises ConfigError for illegal operands."""
        return f".insn 4, {self.encode(**numbers):#010x}"

    def needs(self, core, **numbers: int) -> str:
        """What these operands need on `core` to be legal, for people; `state` where no more is known."""
        return self.state

    def run(self, state, **numbers: int) -> None:
        """Changes `state` as the instruction does.  Raises ConfigError for illegal operands."""
        self.check(**numbers)
        self.semantics(self, state, **numbers)


@functools.cache
def _by_fixed_bits(instructions: tuple[Instruction, ...]) -> dict[tuple[int, int], Instruction]:
    return {(instruction.mask, instruction.match): instruction for instruction in instructions}


def find(instructions: Sequence[Instruction], word: int) -> tuple[Instruction, dict[str, int]] | None:
    """The instruction that `word` is, with its operands, or None."""
    table = _by_fixed_bits(tuple(instructions))
    for mask in {mask for mask, _ in table}:
        instruction = table.get((mask, word & mask))
        numbers = instruction.decode(word) if instruction else None
        if instruction and numbers is not None:
            return instruction, numbers
    return None


def why_illegal(instructions: Sequence[Instruction], word: int, core) -> str:
    """Why `core` did not execute `word`, as far as the word and the core tell."""
    found = find(instructions, word)
    if found is None:
        return f"there is no instruction {word:#010x}"
    instruction, numbers = found
    text = f"{word:#010x} is {instruction.text(**numbers)}"
    if instruction.requires.isdisjoint(core.extensions):
        needed = " or ".join(sorted(instruction.requires))
        return f"{text}, which core {core.name} does not have (it needs {needed})"
    try:
        instruction.check(**numbers)
    except ConfigError as error:
        return f"{word:#010x} is illegal: {error.message}"
    needed = instruction.needs(core, **numbers)
    return f"{text}, which is illegal in this state{f': it needs {needed}' if needed else ''}"


def c_initializer(instruction: Instruction, names: Iterable[str]) -> str:
    """`instruction` as fields of `struct vertebra_form` (core/native/form.h).

    names: which operands come in which place; one that the instruction lacks is empty.
    """
    by_name = {operand.name: operand for operand in instruction.operands}
    operands = []
    for name in names:
        operand = by_name.get(name)
        if operand is None:
            operands.append("{0}")
            continue
        pieces = ", ".join(f"{{{p.low}, {p.width}, {p.value_low}}}" for p in instruction.pieces(operand))
        use = int(operand.read) | int(operand.written) << 1 if operand.file else 0
        operands.append(f"{{{{{pieces}}}, {operand.group}, {use}}}")
    requires = " ".join(sorted(instruction.requires))
    return (
        f'.name = "{instruction.name}", .requires = " {requires} ", .mask = {instruction.mask:#010x}, '
        f".match = {instruction.match:#010x}, .disjoint = {int(instruction.disjoint)}, "
        f".operands = {{{', '.join(operands)}}}"
    )
