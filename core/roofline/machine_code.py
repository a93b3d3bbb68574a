"""Assembler text as basic blocks and loops.

What a mnemonic does is the target's to say (`Target.assembly`); matrix instructions are found in the
records of `vertebra.core.instruction`, as words (`.insn`) or by their mnemonics.
"""

import enum
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from vertebra.core.instruction import Instruction, find

_LABEL = re.compile(r"([\w.$]+):")
_COMMENT = re.compile(r"(?:^|\s)#(?=[\s=>#A-Z]|$).*|//.*")
_LOCAL = re.compile(r"(\d+)([bf])")


class Kind(enum.Flag):
    """What an instruction does, as far as a count needs it."""

    OTHER = 0
    LOAD = enum.auto()
    STORE = enum.auto()
    VECTOR = enum.auto()  # arithmetic of vectors
    MULTIPLY_ADD = enum.auto()  # of vectors too
    BRANCH = enum.auto()  # goes to its last operand, or on
    JUMP = enum.auto()  # goes to its last operand
    LEAVE = enum.auto()  # goes where the text does not say


class Reader(Protocol):
    """Knows one machine's assembler text.  It is asked line by line, and may remember what lines set."""

    def read(self, mnemonic: str, operands: str) -> tuple[Kind, int]:
        """What the instruction does, and how many bits of vectors it computes or moves."""

    def word(self, operands: str) -> int | None:
        """The machine word of a raw instruction, `.insn` and these operands; None where it is no word."""


@attrs.frozen
class Step:
    """One instruction.  bits: of vectors, computed or moved.  matrix: its record, where it has one.

    line: of the text, from 0.
    """

    mnemonic: str
    operands: str
    kind: Kind
    bits: int
    matrix: Instruction | None = None
    line: int = 0


@attrs.frozen
class Loop:
    """A loop, named after the label of its head, with the instructions of all its blocks in order.

    depth: how many loops it is inside of, itself included.
    """

    label: str
    steps: tuple[Step, ...]
    depth: int = 1

    def count(self, kind: Kind) -> int:
        return sum(bool(step.kind & kind) for step in self.steps)

    def bits(self, kind: Kind) -> int:
        return sum(step.bits for step in self.steps if step.kind & kind)


@attrs.define
class _Block:
    labels: list[str] = attrs.field(factory=list)
    steps: list[Step] = attrs.field(factory=list)
    goes_to: str | None = None
    falls_through: bool = True


def instructions(text: str, reader: Reader, records: Mapping[str, Instruction]) -> tuple[Step, ...]:
    """All of assembler `text`, in order."""
    return tuple(step for block in _blocks(text, reader, records) for step in block.steps)


def innermost_loops(text: str, reader: Reader, records: Mapping[str, Instruction]) -> tuple[Loop, ...]:
    """The loops of assembler `text` that have no loop inside, in the order of the text."""
    blocks = _blocks(text, reader, records)
    successors = _successors(blocks)
    loops = _natural_loops(successors)
    inner = [
        (head, body)
        for head, body in sorted(loops.items())
        if not any(other != head and other in body for other in loops)
    ]
    return tuple(
        Loop(
            _name(blocks, head),
            tuple(s for block in sorted(body) for s in blocks[block].steps),
            sum(head in around for around in loops.values()),
        )
        for head, body in inner
    )


def _name(blocks: Sequence[_Block], number: int) -> str:
    """The label next to the block, or to the last one before it that has any."""
    return next((b.labels[-1] for b in reversed(blocks[: number + 1]) if b.labels), "the entry")


def _blocks(text: str, reader: Reader, records: Mapping[str, Instruction]) -> list[_Block]:
    words = tuple(records.values())
    by_mnemonic = {record.mnemonic: record for record in words}
    blocks = [_Block()]
    local: dict[str, int] = {}
    for number, line in enumerate(text.splitlines()):
        line = _COMMENT.sub("", line).strip()
        if found := _LABEL.match(line):
            name = found[1]
            if name.isdecimal():  # a label that inline assembly may use again
                local[name] = local.get(name, 0) + 1
                name = f"{name}.{local[name]}"
            if blocks[-1].steps:
                blocks.append(_Block())
            blocks[-1].labels.append(name)
            line = line[found.end() :].strip()
        if not line or (line.startswith(".") and not line.startswith(".insn")):
            continue
        step = attrs.evolve(_step(line, reader, words, by_mnemonic), line=number)
        blocks[-1].steps.append(step)
        if step.kind & (Kind.BRANCH | Kind.JUMP | Kind.LEAVE):
            if not step.kind & Kind.LEAVE:
                blocks[-1].goes_to = _target(step.operands, local)
            blocks[-1].falls_through = bool(step.kind & Kind.BRANCH)
            blocks.append(_Block())
    return blocks


def _step(line: str, reader: Reader, words, by_mnemonic) -> Step:
    mnemonic, operands = (*line.split(None, 1), "")[:2]
    record = by_mnemonic.get(mnemonic)
    if mnemonic == ".insn":
        word = reader.word(operands)
        known = None if word is None else find(words, word)
        if known is None:
            return Step(mnemonic, operands, Kind.OTHER, 0)
        record, numbers = known
        mnemonic, _, operands = record.text(**numbers).partition(" ")
    kind, bits = reader.read(mnemonic, operands)
    return Step(mnemonic, operands, kind, bits, record)


def _target(operands: str, local: Mapping[str, int]) -> str:
    label = operands.rpartition(",")[2].strip().split(" ")[0]
    if found := _LOCAL.fullmatch(label):
        number = local.get(found[1], 0) + (found[2] == "f")
        return f"{found[1]}.{number}"
    return label


def _successors(blocks: Sequence[_Block]) -> list[list[int]]:
    place = {label: number for number, block in enumerate(blocks) for label in block.labels}
    successors = []
    for number, block in enumerate(blocks):
        found = [place[block.goes_to]] if block.goes_to in place else []
        if block.falls_through and number + 1 < len(blocks):
            found.append(number + 1)
        successors.append(found)
    return successors


def _natural_loops(successors: Sequence[Sequence[int]]) -> dict[int, set[int]]:
    """head -> blocks; loops with one head are one."""
    predecessors: list[list[int]] = [[] for _ in successors]
    for number, found in enumerate(successors):
        for other in found:
            predecessors[other].append(number)
    loops: dict[int, set[int]] = {}
    for tail, head in _back_edges(successors):
        body, todo = loops.setdefault(head, {head}), [tail]
        while todo:
            block = todo.pop()
            if block not in body:
                body.add(block)
                todo += predecessors[block]
    return loops


def _back_edges(successors: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Edges to a block that the walk is inside of, from every block that nothing else leads to."""
    found, seen = [], set()
    for root in range(len(successors)):
        if root in seen:
            continue
        seen.add(root)
        path, todo = {root}, [(root, iter(successors[root]))]
        while todo:
            block, rest = todo[-1]
            following = next(rest, None)
            if following is None:
                path.discard(block)
                todo.pop()
            elif following in path:
                found.append((block, following))
            elif following not in seen:
                seen.add(following)
                path.add(following)
                todo.append((following, iter(successors[following])))
    return found
