"""A session as files that other programs read.

Hatchet: the literal form of hatchet.GraphFrame, a list of the tree and of the devices.
Chrome trace: the JSON of the Trace Event Format, which Perfetto and chrome://tracing open.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import attrs

from vertebra.core.errors import ConfigError
from vertebra.core.profile.session import COUNT, INSTRUCTIONS, TIME, Event, Node, Session

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
    session.settle()
    path = Path(f"{session.name}{ENDINGS[form]}")
    if form == "hatchet":
        path.write_text(json.dumps(hatchet(session, core), indent=1) + "\n")
    else:  # an event a line, of which there may be hundreds of thousands
        trace = chrome_trace(session, core)
        events = ",\n".join(map(json.dumps, trace.pop("traceEvents")))
        path.write_text(f'{{"traceEvents": [\n{events}\n],\n{json.dumps(trace)[1:]}\n')
    return path


def hatchet(session: Session, core: str) -> list:
    """[tree, devices]; kernels have the core as their device, which has the session's notes."""

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
    device = {"arch": core, **({"notes": session.notes} if session.notes else {})}
    return [tree, {core: {"0": device}}]


def chrome_trace(session: Session, core: str) -> dict:
    """Complete events, in microseconds; inside of one another on every track.

    Process 0 has a track for each thread of the program; every kernel whose programs have scopes is a
    process of its own, with a track for each program.
    """
    events = sorted(session.events, key=lambda e: (e.start, -e.end))
    places = _places(events)
    emulated = session.root.total(INSTRUCTIONS) > 0
    time = ", emulated: lengths are the emulator's time" if emulated else ""
    inside = ": lengths are instructions (emulated)" if emulated else ""
    names: list[dict] = [_name("process_name", 0, 0, core + time)]
    seen = {0}
    for place in sorted(set(places)):
        if place.process not in seen:
            names.append(_name("process_name", place.process, 0, f"programs of {place.kernel}{inside}"))
            seen.add(place.process)
        names.append(_name("thread_name", place.process, place.track, place.label))
    shown = [
        {
            "ph": "X",
            "name": event.name,
            "cat": event.kind,
            "pid": place.process,
            "tid": place.track,
            "ts": event.start / 1e3,
            "dur": (event.end - event.start) / 1e3,
            "args": dict(event.metrics),
        }
        for event, place in zip(events, places, strict=True)
    ]
    return {
        "traceEvents": [*names, *shown],
        "displayTimeUnit": "ns",
        "otherData": {"core": core, **{f"note {n}": text for n, text in enumerate(session.notes, 1)}},
    }


def _name(what: str, process: int, track: int, name: str) -> dict:
    return {"ph": "M", "name": what, "pid": process, "tid": track, "args": {"name": name}}


@attrs.frozen(order=True)
class _Place:
    """Where an event is shown."""

    process: int
    track: int
    label: str
    kernel: str = ""


def _places(events: list[Event]) -> list[_Place]:
    """Of each event."""
    threads = _numbered(e.thread for e in events)
    kernels = _numbered((e.track.kernel for e in events if e.track), first=1)
    # Programs from the first one on; those of launches from several threads at once do not share tracks.
    programs = _numbered(sorted({_program_key(e, threads) for e in events if e.track}))
    found = []
    for event in events:
        number = threads[event.thread]
        if not event.track:
            found.append(_Place(0, number, f"thread {number}"))
            continue
        x, y, z = event.track.program
        label = f"program ({x}, {y}, {z})"
        if event.track.lane:
            label += f", thread {event.track.lane}"
        if number:
            label += f", launched by thread {number}"
        kernel = event.track.kernel
        found.append(_Place(kernels[kernel], programs[_program_key(event, threads)], label, kernel))
    return found


def _program_key(event: Event, threads: dict) -> tuple:
    assert event.track
    return event.track.kernel, threads[event.thread], event.track.program[::-1], event.track.lane


def _numbered(keys: Iterable, first: int = 0) -> dict:
    return {key: number for number, key in enumerate(dict.fromkeys(keys), first)}


def read_profile(path: str) -> tuple[Node, list[str]]:
    """The tree in a Hatchet file, and the notes.  Raises ConfigError where there is none, OSError."""

    def node(literal: dict) -> Node:
        numbers = {k: v for k, v in literal["metrics"].items() if isinstance(v, int | float)}
        children = [node(child) for child in literal["children"]]
        return Node(literal["frame"]["name"], numbers, {child.name: child for child in children})

    try:
        tree, *devices = json.loads(Path(path).read_text())
        notes = [
            note
            for kinds in devices
            for numbered in kinds.values()
            for device in numbered.values()
            for note in device.get("notes", ())
        ]
        return node(tree), notes
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is no profile: {type(error).__name__}: {error}", fix="give a .hatchet file"
        ) from None
