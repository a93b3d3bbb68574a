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
_TARGET = re.compile(r"([.\w$]+)\s*(?:[#;].*)?$")
# In order of weight: of two loops the one with more of the first is the hotter one.
KINDS = (
    ("matrix instructions", lambda step: step.matrix is not None),
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

    None where no instruction jumps back.
    """
    spans = _spans(lines)
    found = []
    for loop in machine_code.innermost_loops("\n".join(line.text for line in lines), reader, records):
        if loop.label not in spans:
            continue
        span = spans[loop.label]
        depth = 1 + sum(_inside(span, other) for other in spans.values())
        kinds = Counter(_kind(step) for step in loop.steps)
        mnemonics = Counter(step.mnemonic for step in loop.steps)
        ordered = {name: kinds[name] for name, _ in KINDS if kinds[name]}
        found.append(Loop(loop.label, *span, depth, ordered, dict(mnemonics.most_common())))
    return max(found, key=_weight, default=None)


def _kind(step) -> str:
    return next(name for name, is_one in KINDS if is_one(step))


def _weight(loop: Loop) -> tuple:
    return loop.depth, *(loop.kinds.get(name, 0) for name, _ in KINDS)


def _spans(lines: Sequence[Line]) -> dict[str, tuple[int, int]]:
    """Label -> (its line, that of the farthest jump back to it).  Labels that are used again are numbered."""
    uses: Counter = Counter()
    at: dict[str, int] = {}
    spans: dict[str, tuple[int, int]] = {}
    for number, line in enumerate(lines):
        text = line.text.strip()
        if label := _LABEL.match(text):
            name = label[1]
            if name.isdecimal():
                uses[name] += 1
                name = f"{name}.{uses[name]}"
            at[name] = number
        elif target := _TARGET.search(text):
            name = target[1]
            if name[:-1].isdecimal() and name.endswith("b"):
                name = f"{name[:-1]}.{uses[name[:-1]]}"
            if name in at:
                spans[name] = (at[name], number)
    return spans


def _inside(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]
