"""One profiling session: a tree of scopes and kernels with sums of metrics, and the events in order."""

import threading
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from time import perf_counter_ns

import attrs

from vertebra.core.profile import scopes
from vertebra.core.profile.records import Recording
from vertebra.core.profile.scopes import Interval

TIME = "time (ns)"
COUNT = "count"
# What is counted where time would be that of an emulator.
INSTRUCTIONS = "instructions (emulated)"
# Of scopes inside of kernels: how often programs entered them, and what all programs together spent there.
ENTRIES = "entries"
SCOPE_TIME = "time in scope (ns)"
SCOPE_CYCLES = "cycles in scope"
SCOPE_INSTRUCTIONS = "instructions in scope"
SCOPE_EMULATED = "instructions in scope (emulated)"
# What takes the place of a clock there.
EMULATED = "instructions that an emulator counted, on one thread; a trace shows their lengths to this scale"


@attrs.define
class Node:
    """A scope or a kernel.  metrics: sums over its own launches, or what the user gave; of no child."""

    name: str
    metrics: dict[str, float] = attrs.field(factory=dict)
    children: dict[str, "Node"] = attrs.field(factory=dict)

    def child(self, name: str) -> "Node":
        if name not in self.children:
            self.children[name] = Node(name)
        return self.children[name]

    def add(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self.metrics[name] = self.metrics.get(name, 0) + value

    def total(self, metric: str) -> float:
        """Its own and its descendants'."""
        return self.metrics.get(metric, 0) + sum(c.total(metric) for c in self.children.values())


@attrs.frozen
class Track:
    """Where the scopes of a program are shown.  lane: as of `Interval`."""

    kernel: str
    program: tuple[int, int, int]
    lane: int = 0


@attrs.frozen
class Event:
    """Something that took time, in nanoseconds since the session began.

    kind: "scope" or "kernel", or "program" for a scope inside of one.  thread: identifier of the thread
    that launched or entered it.  track: where a program's is shown.
    """

    name: str
    kind: str
    thread: int
    start: int
    end: int
    metrics: Mapping[str, float] = attrs.field(factory=dict)
    track: Track | None = None


@attrs.frozen
class _Unread:
    """What the programs of a launch recorded, which goes below `node`."""

    node: Node
    kernel: str
    thread: int
    recording: Recording
    emulated: bool


class Session:
    """Scopes nest on the thread that enters them; a kernel is counted in the scopes around its launch.

    name: of its file, without the ending.  data: "tree" or "trace", which says what file it writes
    unless told otherwise.  context: names of frames around a launch, the outermost first.
    root, events: complete after `settle`.
    """

    def __init__(self, name: str, data: str = "tree", context: Callable[[], list[str]] = list):
        self.name, self.data, self.active = name, data, True
        self.root = Node("ROOT")
        self.events: list[Event] = []
        self.clocks: dict[str, None] = {}  # that scopes inside of kernels were read from
        self.lost: dict[str, int] = {}  # kernel -> records that did not fit
        self._unread: list[_Unread] = []
        self._context = context
        self._local = threading.local()
        self._lock = threading.Lock()
        self._began = perf_counter_ns()

    def _open(self) -> list[tuple[int, str, int]]:
        """(identifier, name, start) of the scopes around the calling thread, the outermost first."""
        if not hasattr(self._local, "open"):
            self._local.open = []
        return self._local.open

    def _node(self) -> Node:
        node = self.root
        for name in [*self._context(), *(name for _, name, _ in self._open())]:
            node = node.child(name)
        return node

    def enter(self, scope: int, name: str) -> None:
        self._open().append((scope, name, perf_counter_ns()))
        with self._lock:
            self._node()

    def leave(self, scope: int) -> None:
        """Ends the scope, and those that were entered since.  One that is not open is left alone."""
        stack = self._open()
        if scope not in (each for each, _, _ in stack):
            return
        end = perf_counter_ns()
        while True:
            found, name, start = stack.pop()
            self._event(name, "scope", start, end)
            if found == scope:
                return

    def add(self, scope: int, metrics: Mapping[str, float]) -> None:
        """Adds `metrics` to an open scope."""
        stack = self._open()
        depth = next((i for i, each in enumerate(stack) if each[0] == scope), None)
        if depth is None:
            return
        with self._lock:
            node = self.root
            for name in [*self._context(), *(name for _, name, _ in stack[: depth + 1])]:
                node = node.child(name)
            node.add(metrics)

    def launched(
        self,
        kernel: str,
        start: int,
        end: int,
        counted: Mapping[str, float] | None = None,
        recordings: Sequence[Recording] = (),
    ) -> None:
        """A launch of `kernel` from `start` to `end`, by `perf_counter_ns`, and what its programs recorded.

        counted: what an emulator counted; the time, its own, is then not the kernel's.
        """
        for recording in recordings[-1:]:
            end = recording.ended  # it is told afterwards
        metrics = dict(counted) if counted else {TIME: end - start}
        with self._lock:
            node = self._node().child(kernel)
            node.add({COUNT: 1, **metrics})
            self._unread += [
                _Unread(node, kernel, threading.get_ident(), recording, bool(counted))
                for recording in recordings
            ]
        self._event(kernel, "kernel", start, end, metrics)
        for recording in recordings:
            if recording.lost:
                self.lost[kernel] = self.lost.get(kernel, 0) + recording.lost
            self.clocks[EMULATED if counted else recording.clock] = None

    def settle(self) -> None:
        """Adds what programs recorded to the tree and the events; until now nobody had time for it."""
        with self._lock:
            while self._unread:
                self._read(self._unread.pop(0))

    def _read(self, unread: _Unread) -> None:
        records = unread.recording.records
        time_of = scopes.by_instructions(records) if unread.emulated else attrgetter("nanoseconds")
        for each in scopes.intervals(records):
            spent = _spent(each, emulated=unread.emulated)
            node = unread.node
            for part in each.path:
                node = node.child(part)
            node.add({ENTRIES: 1, **spent})
            start, end = (time_of(record) - self._began for record in (each.enter, each.leave))
            track = Track(unread.kernel, each.program, each.lane)
            self.events.append(Event(each.path[-1], "program", unread.thread, start, end, spent, track))

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers has to know."""
        return [*(f"scopes inside of kernels: {clock}" for clock in self.clocks), *self.losses]

    @property
    def losses(self) -> list[str]:
        return [
            f"kernel {kernel}: {lost} records of scopes inside of it did not fit and are missing; "
            "profile fewer programs or scopes at a launch"
            for kernel, lost in self.lost.items()
        ]

    def _event(self, name: str, kind: str, start: int, end: int, metrics=None) -> None:
        event = Event(
            name, kind, threading.get_ident(), start - self._began, end - self._began, metrics or {}
        )
        with self._lock:
            self.events.append(event)


def _spent(each: Interval, *, emulated: bool) -> dict[str, float]:
    """Metric -> what a program spent in a scope, of what could be read."""
    if emulated:
        found = {SCOPE_EMULATED: each.instructions}
    else:
        found = {
            SCOPE_TIME: each.nanoseconds,
            SCOPE_CYCLES: each.cycles,
            SCOPE_INSTRUCTIONS: each.instructions,
        }
    return {name: value for name, value in found.items() if value is not None}
