"""What each pass did to a kernel: the lines that it made, and those that it did away with.

Lines count as the same where they differ in the names of values only, which change with every printing.
"""

import functools
import io
import re
from collections import Counter

import attrs

from vertebra.core.explain.places import Line, assembly_lines, llvm_lines, mlir_lines
from vertebra.core.watch import Watch

_VALUE = re.compile(r"%[\w$.#]+(?::\d+)?|\^bb\d+")


@attrs.frozen
class Step:
    """A pass.  new, gone: lines that it made and removed, in order, whatever their values are called."""

    stage: str
    name: str
    seconds: float
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@attrs.frozen
class Stage:
    """lines and, for each, the number of the pass that made it, or -1 for what was there before."""

    name: str
    lines: tuple[Line, ...]
    made: tuple[int, ...]


@functools.lru_cache(1 << 14)  # most lines are there after most passes
def _nameless(text: str) -> str:
    return _VALUE.sub("%", text.strip())


def _key(line: Line) -> tuple:
    return _nameless(line.text), line.places


class Recorder(Watch):
    """Keeps every stage and every change on the way to it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.stages: list[Stage] = []
        self.modules: dict[str, object] = {}
        self._code = b""
        self._lines: list[Line] = []
        self._keys: list[tuple] = []
        self._makers: dict[tuple, list[int]] = {}
        self._llir = ""

    def passed(self, stage, name, seconds, module):
        new, gone = self._look(module, len(self.steps))
        self.steps.append(Step(stage, name, seconds, new, gone))

    def reached(self, stage, result):
        if stage == "llir":
            self._llir = result
            self._keep(stage, llvm_lines(result), "translation to LLVM IR")
        elif stage == "asm":
            self._keep(stage, assembly_lines(result, self._llir), "LLVM's passes and code generation")
        elif stage in ("ttir", "linalg", "vector"):
            self._look(result, -1)
            queues = {key: list(makers) for key, makers in self._makers.items()}
            made = tuple(queues[key].pop(0) for key in self._keys)
            self.stages.append(Stage(stage, tuple(self._lines), made))

    def _keep(self, stage: str, lines: list[Line], by: str) -> None:
        self.steps.append(Step(stage, by, 0.0))
        self.stages.append(Stage(stage, tuple(lines), (len(self.steps) - 1,) * len(lines)))

    def _look(self, module, step: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The lines that are new in `module`, and those that are gone from it."""
        from vertebra.core import assembly

        code = io.BytesIO()
        module.operation.write_bytecode(code)  # ten times as fast as the text
        if code.getvalue() == self._code:
            return (), ()
        before_lines, before_keys = self._lines, self._keys
        self._code = code.getvalue()
        self._lines = mlir_lines(assembly.print_module(module, locations=True))
        self._keys = [_key(line) for line in self._lines]
        before, after = Counter(before_keys), Counter(self._keys)
        more, fewer = after - before, before - after
        for key, count in fewer.items():
            makers = self._makers[key]
            del makers[len(makers) - count :]
        for key, count in more.items():
            self._makers.setdefault(key, []).extend([step] * count)
        return _picked(self._lines, self._keys, more), _picked(before_lines, before_keys, fewer)


def _picked(lines: list[Line], keys: list[tuple], counts: Counter) -> tuple[str, ...]:
    """The last `counts[key]` lines of each key, in order."""
    left = Counter(counts)
    found = []
    for line, key in zip(reversed(lines), reversed(keys), strict=True):
        if left[key] > 0:
            left[key] -= 1
            found.append(line.text)
    return tuple(reversed(found))
