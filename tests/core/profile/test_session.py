"""Trees, traces and tables of made-up launches."""

import json
import threading
from types import SimpleNamespace

import pytest
import trace_format

from vertebra.core import cli
from vertebra.core.errors import ConfigError
from vertebra.core.profile import formats
from vertebra.core.profile.records import Record
from vertebra.core.profile.session import (
    COUNT,
    ENTRIES,
    INSTRUCTIONS,
    SCOPE_CYCLES,
    SCOPE_EMULATED,
    SCOPE_TIME,
    TIME,
    Session,
)
from vertebra.core.profile.table import table


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
    events = trace_format.check(json.loads(path.read_text()))
    assert {(e["name"], e["cat"]) for e in events} == {
        ("outer", "scope"),
        ("inner", "scope"),
        ("add", "kernel"),
        ("mul", "kernel"),
    }
    inner, outer = (next(e for e in events if e["name"] == name) for name in ("inner", "outer"))
    assert outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    assert [e["dur"] for e in events if e["name"] == "mul"] == [2.0]


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
    head, rows = table(session.root)
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


def record(start, nanoseconds, name, program=(0, 0, 0), **counts):
    return Record(bool(start), nanoseconds, program, name, **counts)


def two_programs(**counts):
    """Two programs at once in scope a, the first also in b; counts: per record, as functions of its time."""
    other = (1, 0, 0)
    moves = [
        (1, 10, "a"),
        (1, 11, "a", other),
        (1, 20, "b"),
        (0, 25, "b"),
        (1, 30, "b"),
        (0, 31, "b"),
        (0, 40, "a", other),
        (0, 50, "a"),
    ]
    found = [record(*move, **{name: f(move[1]) for name, f in counts.items()}) for move in moves]
    return tuple(found)


def recording(records, lost=0):
    return SimpleNamespace(records=records, ended=60, lost=lost, clock="a clock")


def test_scopes_inside_of_kernels_nest_by_program():
    session = Session("s")
    session.launched("k", 0, 100, recordings=[recording(two_programs())])
    session.settle()
    kernel = session.root.children["k"]
    assert kernel.metrics == {COUNT: 1, TIME: 60}  # what comes after is the telling
    outer = kernel.children["a"]
    assert outer.metrics == {ENTRIES: 2, SCOPE_TIME: 40 + 29}
    assert outer.children["b"].metrics == {ENTRIES: 2, SCOPE_TIME: 5 + 1}
    assert session.root.total(TIME) == 60
    assert session.notes == ["scopes inside of kernels: a clock"]
    trace = formats.chrome_trace(session, "host")
    events = trace_format.check(trace)
    names = {e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"}
    assert names == {"host", "thread 0", "programs of k", "program (0, 0, 0)", "program (1, 0, 0)"}
    assert {e["pid"] for e in events if e["cat"] == "program"} == {1}
    assert trace["otherData"] == {"core": "host", "note 1": session.notes[0]}


def test_a_processors_counters_are_shown_where_they_can_be_read():
    session = Session("s")
    records = two_programs(cycles=lambda time: 3 * time, hart=lambda time: int(time == 50))
    session.launched("k", 0, 100, recordings=[recording(records)])
    session.settle()
    outer = session.root.children["k"].children["a"]
    assert outer.metrics == {ENTRIES: 2, SCOPE_TIME: 69, SCOPE_CYCLES: 87}  # one has changed its hart
    assert outer.children["b"].metrics == {ENTRIES: 2, SCOPE_TIME: 6, SCOPE_CYCLES: 18}


def test_under_emulation_scopes_have_instructions_and_no_time(capsys):
    session = Session("s")
    records = two_programs(instructions=lambda time: time**2)
    session.launched("k", 0, 100, {INSTRUCTIONS: 2500}, [recording(records)])
    session.settle()
    outer = session.root.children["k"].children["a"]
    assert outer.metrics == {ENTRIES: 2, SCOPE_EMULATED: 50**2 - 10**2 + 40**2 - 11**2}
    head, rows = table(session.root)
    assert head[-2:] == (ENTRIES, SCOPE_EMULATED) and rows[1] == ("  a", "", "", "", "", "2", "3879")
    assert len(session.notes) == 1 and "emulator counted" in session.notes[0]
    events = trace_format.check(formats.chrome_trace(session, "core"))
    lengths = [e["dur"] for e in events if e["name"] == "b"]
    assert lengths[0] / lengths[1] == pytest.approx((25**2 - 20**2) / (31**2 - 30**2), rel=0.3)


def test_what_did_not_fit_is_told(tmp_path, capsys):
    session = Session(str(tmp_path / "out"))
    for lost in (0, 5, 7):
        session.launched("k", 0, 100, recordings=[recording(two_programs(), lost)])
    formats.write(session, "host")
    assert cli.main(["profile", f"{session.name}.hatchet"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("kernel k: 12 records of scopes inside of it did not fit and are missing; profile")


def test_threads_that_launch_at_once_share_no_track():
    session = Session("s")

    def launch():
        session.launched("k", 0, 100, recordings=[recording(two_programs())])

    launch()
    thread = threading.Thread(target=launch)
    thread.start()
    thread.join()
    session.settle()
    events = trace_format.check(formats.chrome_trace(session, "host"))
    assert len({(e["pid"], e["tid"]) for e in events if e["cat"] == "program"}) == 4
