"""One profiling session: a tree of scopes and kernels with sums of metrics, and the events in order."""

import threading
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter_ns

import attrs

from vertebra.core.runtime import Record

TIME = "time (ns)"
COUNT = "count"
# What is counted where time would be that of an emulator.
INSTRUCTIONS = "instructions (emulated)"
# Of scopes inside of kernels: how often programs entered them, and the time of all programs together.
ENTRIES = "entries"
SCOPE_TIME = "time in scope (ns)"
EMULATED_SCOPE_TIME = "time in scope (ns, the emulator's)"


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
class Event:
    """Something that took time, in nanoseconds since the session began.

    kind: "scope" or "kernel", or "program" for a scope inside of one.  thread: where it ran: a thread's
    identifier, or a program's x, y, z.
    """

    name: str
    kind: str
    thread: int | tuple[int, int, int]
    start: int
    end: int
    metrics: Mapping[str, float] = attrs.field(factory=dict)


class Session:
    """Scopes nest on the thread that enters them; a kernel is counted in the scopes around its launch.

    name: of its file, without the ending.  data: "tree" or "trace", which says what file it writes
    unless told otherwise.  context: names of frames around a launch, the outermost first.
    """

    def __init__(self, name: str, data: str = "tree", context: Callable[[], list[str]] = list):
        self.name, self.data, self.active = name, data, True
        self.root = Node("ROOT")
        self.events: list[Event] = []
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

    def launched(self, kernel: str, start: int, end: int, counted: Mapping[str, float] | None = None) -> None:
        """A launch of `kernel` from `start` to `end`, by `perf_counter_ns`.

        counted: what an emulator counted; the time, its own, is then not the kernel's.
        """
        metrics = dict(counted) if counted else {TIME: end - start}
        with self._lock:
            self._node().child(kernel).add({COUNT: 1, **metrics})
        self._event(kernel, "kernel", start, end, metrics)

    def recorded(self, kernel: str, records: Iterable[Record], *, emulated: bool = False) -> None:
        """Scopes inside of a launch of `kernel`, in order of time.  One that is never left is left out."""
        clock = EMULATED_SCOPE_TIME if emulated else SCOPE_TIME
        open_scopes: dict[tuple, list[Record]] = {}
        for record in records:
            stack = open_scopes.setdefault(record.program, [])
            if record.start:
                stack.append(record)
                continue
            names = [each.name for each in stack]
            if record.name not in names:
                continue
            while stack[-1].name != record.name:
                stack.pop()
            start = stack[-1].nanoseconds
            spent = {clock: record.nanoseconds - start}
            with self._lock:
                node = self._node().child(kernel)
                for each in stack:
                    node = node.child(each.name)
                node.add({ENTRIES: 1, **spent})
            self._event(record.name, "program", start, record.nanoseconds, spent, thread=record.program)
            stack.pop()

    def _event(self, name: str, kind: str, start: int, end: int, metrics=None, *, thread=None) -> None:
        thread = threading.get_ident() if thread is None else thread
        event = Event(name, kind, thread, start - self._began, end - self._began, metrics or {})
        with self._lock:
            self.events.append(event)
