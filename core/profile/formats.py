"""A session as files that other programs read, and as a table.

Hatchet: the literal form of hatchet.GraphFrame, a list of the tree and of the devices.
Chrome trace: the JSON of the Trace Event Format, which Perfetto and chrome://tracing open.
"""

import json
from pathlib import Path

from vertebra.core.errors import ConfigError
from vertebra.core.profile.session import COUNT, INSTRUCTIONS, TIME, Node, Session

# Format -> the ending of its files.
ENDINGS = {"hatchet": ".hatchet", "chrome_trace": ".chrome_trace"}
DEFAULT = {"tree": "hatchet", "trace": "chrome_trace"}


def write(session: Session, core: str, form: str = "") -> Path:
    """Writes the session's file, and returns its name.

    form: a key of ENDINGS, or "" for what suits the session's data.  Raises ConfigError for another, OSError.
    """
    form = form or DEFAULT[session.data]
    if form not in ENDINGS:
        raise ConfigError(f"there is no profile format {form!r}", fix=f"use {' or '.join(ENDINGS)}")
    path = Path(f"{session.name}{ENDINGS[form]}")
    content = hatchet(session, core) if form == "hatchet" else chrome_trace(session, core)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def hatchet(session: Session, core: str) -> list:
    """[tree, devices]; kernels have the core as their device."""

    def literal(node: Node) -> dict:
        metrics: dict[str, object] = dict(node.metrics)
        if COUNT in metrics:
            metrics |= {"device_id": "0", "device_type": core}
        return {
            "frame": {"name": node.name, "type": "function"},
            "metrics": metrics,
            "children": [literal(child) for child in node.children.values()],
        }

    tree = literal(session.root)
    measured = INSTRUCTIONS if session.root.total(INSTRUCTIONS) else TIME
    tree["metrics"] = {COUNT: 0, TIME: 0, measured: 0}
    return [tree, {core: {"0": {"arch": core}}}]


def chrome_trace(session: Session, core: str) -> dict:
    """Complete events, in microseconds; each thread has a track, and each program with scopes inside."""
    threads = {ident: number for number, ident in enumerate(dict.fromkeys(e.thread for e in session.events))}
    events: list[dict] = [
        {"ph": "M", "name": "process_name", "pid": 0, "tid": 0, "args": {"name": core}},
        *(
            {"ph": "M", "name": "thread_name", "pid": 0, "tid": n, "args": {"name": _track(thread, n)}}
            for thread, n in threads.items()
        ),
    ]
    for event in sorted(session.events, key=lambda e: (e.start, -e.end)):
        events.append(
            {
                "ph": "X",
                "name": event.name,
                "cat": event.kind,
                "pid": 0,
                "tid": threads[event.thread],
                "ts": event.start / 1e3,
                "dur": (event.end - event.start) / 1e3,
                "args": dict(event.metrics),
            }
        )
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def _track(thread, number: int) -> str:
    return f"thread {number}" if isinstance(thread, int) else f"program {thread}"


def read_tree(path: str) -> Node:
    """The tree in a Hatchet file.  Raises ConfigError where it is none, OSError."""

    def node(literal: dict) -> Node:
        numbers = {k: v for k, v in literal["metrics"].items() if isinstance(v, int | float)}
        children = [node(child) for child in literal["children"]]
        return Node(literal["frame"]["name"], numbers, {child.name: child for child in children})

    try:
        return node(json.loads(Path(path).read_text())[0])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is no profile: {type(error).__name__}: {error}", fix="give a .hatchet file"
        ) from None


def table(root: Node) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(head, rows): scopes and kernels, indented, those that took most first.

    Time is shown with its share of the whole; under emulation instructions are, labelled as such.
    """
    emulated = root.total(INSTRUCTIONS) > 0
    metric = INSTRUCTIONS if emulated else TIME
    whole = root.total(metric) or 1
    others = sorted(_metrics(root) - {COUNT, metric, TIME})
    rows = []

    def add(node: Node, depth: int) -> None:
        amount, count = node.total(metric), node.total(COUNT)
        each = amount / count if count else 0
        shown = (f"{amount:.0f}", f"{each:.0f}") if emulated else (_time(amount), _time(each))
        more = [f"{node.metrics[name]:g}" if name in node.metrics else "" for name in others]
        rows.append(("  " * depth + node.name, f"{100 * amount / whole:.1f} %", *shown, f"{count:g}", *more))
        for child in sorted(node.children.values(), key=lambda c: -c.total(metric)):
            add(child, depth + 1)

    for child in sorted(root.children.values(), key=lambda c: -c.total(metric)):
        add(child, 0)
    names = (INSTRUCTIONS, "each") if emulated else ("time", "each")
    return ("scope or kernel", "share", *names, "launches", *others), rows


def _metrics(node: Node) -> set[str]:
    return set(node.metrics).union(*(_metrics(child) for child in node.children.values()))


def _time(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"
