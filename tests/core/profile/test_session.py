"""Trees, traces and tables of made-up launches."""

import json
import threading

import pytest

from vertebra.core import cli
from vertebra.core.errors import ConfigError
from vertebra.core.profile import formats
from vertebra.core.profile.session import (
    COUNT,
    EMULATED_SCOPE_TIME,
    ENTRIES,
    INSTRUCTIONS,
    SCOPE_TIME,
    TIME,
    Session,
)
from vertebra.core.runtime import RECORD, Record, show, take_records


@pytest.fixture
def session(tmp_path):
    found = Session(str(tmp_path / "out"))
    found.enter(1, "outer")
    found.add(1, {"flops": 40})
    found.add(1, {"flops": 2})
    found.launched("add", 1000, 4000)
    found.enter(2, "inner")
    found.launched("add", 5000, 6000)
    found.launched("mul", 6000, 8000)
    found.leave(2)
    found.leave(1)
    found.launched("add", 9000, 19000)
    return found


def test_a_kernel_is_counted_in_the_scopes_around_its_launch(session):
    outer = session.root.children["outer"]
    assert outer.metrics == {"flops": 42}
    assert outer.children["add"].metrics == {COUNT: 1, TIME: 3000}
    assert outer.children["inner"].total(TIME) == 3000
    assert (session.root.total(TIME), session.root.total(COUNT)) == (16000, 4)


def test_scopes_of_two_threads_do_not_nest(session):
    def other():
        session.enter(7, "elsewhere")
        session.launched("add", 0, 500)
        session.leave(7)

    session.enter(6, "here")
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    session.leave(6)
    assert session.root.children["elsewhere"].total(TIME) == 500
    assert not session.root.children["here"].children


def test_a_scope_that_is_left_ends_those_inside():
    session = Session("s")
    session.enter(1, "a")
    session.enter(2, "b")
    session.leave(1)
    session.leave(2)
    session.launched("k", 0, 1)
    assert set(session.root.children) == {"a", "k"}
    assert [event.name for event in session.events] == ["b", "a", "k"]


def test_hatchet_has_frames_metrics_and_devices(session):
    path = formats.write(session, "host")
    assert path.name == "out.hatchet"
    tree, devices = json.loads(path.read_text())
    assert devices == {"host": {"0": {"arch": "host"}}}
    assert tree["frame"] == {"name": "ROOT", "type": "function"}
    kernel = tree["children"][0]["children"][0]
    assert kernel["frame"]["name"] == "add"
    assert kernel["metrics"] == {COUNT: 1, TIME: 3000, "device_id": "0", "device_type": "host"}


def test_the_trace_has_complete_events_that_nest(session):
    path = formats.write(session, "host", "chrome_trace")
    events = [e for e in json.loads(path.read_text())["traceEvents"] if e["ph"] == "X"]
    assert {(e["name"], e["cat"]) for e in events} == {
        ("outer", "scope"),
        ("inner", "scope"),
        ("add", "kernel"),
        ("mul", "kernel"),
    }
    inner, outer = (next(e for e in events if e["name"] == name) for name in ("inner", "outer"))
    assert outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    assert [e["dur"] for e in events if e["name"] == "mul"] == [2.0]
    assert [e["ts"] for e in events] == sorted(e["ts"] for e in events)


def test_the_table_shows_shares_and_what_was_counted(session, capsys):
    formats.write(session, "host")
    assert cli.main(["profile", f"{session.name}.hatchet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["scope", "or", "kernel", "share", "time", "each", "launches", "flops"]
    assert lines[1].split() == ["add", "62.5", "%", "10", "us", "10", "us", "1"]
    assert lines[2].split() == ["outer", "37.5", "%", "6", "us", "2", "us", "3", "42"]


def test_emulated_instructions_are_labelled(tmp_path):
    session = Session(str(tmp_path / "out"))
    session.launched("k", 0, 999, {INSTRUCTIONS: 1200})
    session.launched("k", 0, 999, {INSTRUCTIONS: 800})
    head, rows = formats.table(session.root)
    assert INSTRUCTIONS in head and "time" not in head
    assert rows == [("k", "100.0 %", "2000", "1000", "2")]
    assert session.root.total(TIME) == 0


def test_what_is_no_profile_or_no_format_is_said_so(tmp_path, session, capsys):
    with pytest.raises(ConfigError, match="no profile format 'xml'\nfix: use hatchet or chrome_trace"):
        formats.write(session, "host", "xml")
    for text in ("", "{}", "[1]", "[]"):
        (tmp_path / "file").write_text(text)
        assert cli.main(["profile", str(tmp_path / "file")]) == 2
        assert "is no profile" in capsys.readouterr().err


def record(start, nanoseconds, name, program=(0, 0, 0)):
    return Record(bool(start), nanoseconds, program, name)


@pytest.mark.parametrize("emulated, clock", [(False, SCOPE_TIME), (True, EMULATED_SCOPE_TIME)])
def test_scopes_inside_of_kernels_nest_by_program(emulated, clock):
    session = Session("s")
    other = (1, 0, 0)
    records = [
        record(1, 10, "a"),
        record(1, 11, "a", other),
        record(1, 20, "b"),
        record(0, 25, "b"),
        record(1, 30, "b"),
        record(0, 31, "b"),
        record(0, 40, "a", other),
        record(0, 50, "a"),
    ]
    session.launched("k", 0, 100)
    session.recorded("k", records, emulated=emulated)
    outer = session.root.children["k"].children["a"]
    assert outer.metrics == {ENTRIES: 2, clock: 40 + 29}
    assert outer.children["b"].metrics == {ENTRIES: 2, clock: 5 + 1}
    assert session.root.total(TIME) == 100
    tracks = {event.thread for event in session.events if event.kind == "program"}
    assert tracks == {(0, 0, 0), other}
    names = {
        e["args"]["name"] for e in formats.chrome_trace(session, "host")["traceEvents"] if e["ph"] == "M"
    }
    assert {"program (0, 0, 0)", "program (1, 0, 0)"} <= names


def test_scopes_that_do_not_match_are_left_out():
    session = Session("s")
    session.recorded("k", [record(0, 5, "never entered"), record(1, 6, "never left")])
    session.recorded("k", [record(1, 1, "a"), record(1, 2, "left open"), record(0, 9, "a")])
    kernel = session.root.children["k"]
    assert set(kernel.children) == {"a"} and kernel.children["a"].metrics == {ENTRIES: 1, SCOPE_TIME: 8}


def test_what_kernels_record_is_kept_and_not_printed(capsys):
    take_records()
    show(RECORD + b"1 200 3 2 1 a scope\n")
    show(RECORD + b"0 100 0 0 0 b\n")
    show(RECORD + b"lost 7\n")
    show(b"seen\n")
    assert capsys.readouterr().out == "seen\n"
    assert take_records() == [record(0, 100, "b"), record(1, 200, "a scope", (3, 2, 1))]
    assert take_records() == []
