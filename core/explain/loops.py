"""The loop in which a kernel most likely spends its time, as its assembly text shows it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from vertebra.core.explain.places import Line
from vertebra.core.instruction import Instruction
from vertebra.core.roofline import machine_code
from vertebra.core.roofline.machine_code import Kind, Reader

_LABEL = re.compile(r"([.\w$]+):")
_CODE = re.compile(r"\s+(?:\.insn|[a-z])")
_MOVES = Kind.LOAD | Kind.STORE
# In order of weight: of two loops the one with more of the first is the hotter one.
KINDS = (
    ("matrix instructions", lambda step: step.matrix is not None and not step.kind & _MOVES),
    ("vector multiply-adds", lambda step: bool(step.kind & Kind.MULTIPLY_ADD)),
    ("other vector arithmetic", lambda step: bool(step.kind & Kind.VECTOR)),
    ("loads", lambda step: bool(step.kind & Kind.LOAD)),
    ("stores", lambda step: bool(step.kind & Kind.STORE)),
    ("branches", lambda step: bool(step.kind & (Kind.BRANCH | Kind.JUMP | Kind.LEAVE))),
    ("scalar and other", lambda step: True),
)


@attrs.frozen
class Loop:
    """Lines first to last of the text, inside of `depth` - 1 other loops.

    kinds: how many instructions of each kind one iteration has; each is counted once, as the first
    kind that it is of.  mnemonics: likewise, by name.
    """

    label: str
    first: int
    last: int
    depth: int
    kinds: dict[str, int]
    mnemonics: dict[str, int]

    @property
    def instructions(self) -> int:
        return sum(self.kinds.values())


def hot_loop(lines: Sequence[Line], reader: Reader, records: Mapping[str, Instruction]) -> Loop | None:
    """The innermost loop that lies deepest; of several, the one with the most arithmetic of the widest kind.

    Where there are matrix instructions, one that has some: copies of edges lie deeper than products.
    None where no instruction jumps back.
    """
    found = []
    for loop in machine_code.innermost_loops("\n".join(line.text for line in lines), reader, records):
        kinds = Counter(_kind(step) for step in loop.steps)
        mnemonics = Counter(step.mnemonic for step in loop.steps)
        ordered = {name: kinds[name] for name, _ in KINDS if kinds[name]}
        found.append(
            Loop(loop.label, *_span(loop, lines), loop.depth, ordered, dict(mnemonics.most_common()))
        )
    return max(found, key=_weight, default=None)


def _kind(step) -> str:
    return next(name for name, is_one in KINDS if is_one(step))


def _weight(loop: Loop) -> tuple:
    return KINDS[0][0] in loop.kinds, loop.depth, *(loop.kinds.get(name, 0) for name, _ in KINDS)


def _span(loop: machine_code.Loop, lines: Sequence[Line]) -> tuple[int, int]:
    """From the label above its first instruction to the last one; what lies between may be others'."""
    numbers = [step.line for step in loop.steps]
    first = above = min(numbers)
    while above and not _CODE.match(lines[above - 1].text):
        above -= 1
        if _LABEL.match(lines[above].text.strip()):
            first = above
    return first, max(numbers)
