"""From records of scopes that programs enter and leave to what was spent between."""

from collections.abc import Iterable, Sequence

import attrs

from vertebra.core.profile.records import Record


@attrs.frozen
class Interval:
    """A program's way through a scope.

    path: names of the scopes around it and its own, the outermost first.  lane: 0 on the thread that the
    program began on, 1, 2, ... for iterations of its parallel loops on others.
    """

    path: tuple[str, ...]
    lane: int
    enter: Record
    leave: Record

    @property
    def program(self) -> tuple[int, int, int]:
        return self.enter.program

    @property
    def nanoseconds(self) -> int:
        return self.leave.nanoseconds - self.enter.nanoseconds

    @property
    def cycles(self) -> int | None:
        return self._counted(self.enter.cycles, self.leave.cycles)

    @property
    def instructions(self) -> int | None:
        return self._counted(self.enter.instructions, self.leave.instructions)

    def _counted(self, before: int | None, after: int | None) -> int | None:
        """None also where the thread has moved to another hart, which has counters of its own."""
        same = self.enter.hart == self.leave.hart
        return after - before if same and before is not None and after is not None else None


def intervals(records: Iterable[Record]) -> list[Interval]:
    """Those of `records`, in order of time, that match; by the time they end.

    A scope that is never left is left out, like an end without a start.
    """
    lanes: dict[tuple, dict[int, int]] = {}  # program -> thread -> lane
    open_scopes: dict[tuple, list[tuple[tuple[str, ...], Record]]] = {}  # by program and lane
    found = []
    for record in records:
        threads = lanes.setdefault(record.program, {})
        lane = threads.setdefault(record.thread, len(threads))
        stack = open_scopes.setdefault((record.program, lane), [])
        if record.start:
            around = stack
            if not stack and lane:  # inside of what the program has open around its parallel loop
                own = open_scopes[record.program, 0]
                around = [each for each in own if each[1].depth < record.depth]
            stack.append(((*(around[-1][0] if around else ()), record.name), record))
        elif any(enter.name == record.name for _, enter in stack):
            while stack[-1][1].name != record.name:
                stack.pop()
            path, enter = stack.pop()
            found.append(Interval(path, lane, enter, record))
    return found


def by_instructions(records: Sequence[Record]):
    """A function from records to nanoseconds that lie as far apart as instructions were executed between.

    The first and the last keep their time.  Where nothing counts instructions all do.
    """
    first, last = (records[0], records[-1]) if records else (None, None)
    if first is None or last is None or first.instructions is None or last.instructions is None:
        return lambda record: record.nanoseconds
    start, begin = first.nanoseconds, first.instructions
    scale = (last.nanoseconds - start) / max(last.instructions - begin, 1)
    return lambda record: start + round((record.instructions - begin) * scale)
