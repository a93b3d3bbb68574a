"""From what runtimes tell of scopes inside of kernels to records and intervals."""

import json
import struct
import threading

import pytest

from vertebra.core.profile.records import Record, keep, take
from vertebra.core.profile.scopes import by_instructions, intervals


def told(*records, ended=500, lost=0, clock="the clock") -> bytes:
    """As core/native/record.h has it.  records: (start, nanoseconds, name, and any of the other fields)."""
    names = list(dict.fromkeys(json.dumps(name) for _, _, name, _ in records))
    texts = b"".join(name.encode() + b"\0" for name in (clock, *names))
    head = struct.pack("<4q", ended, lost, len(records), len(texts))
    rows = []
    for start, time, name, fields in records:
        has = {
            "cycles": -1,
            "instructions": -1,
            "hart": -1,
            "thread": 1,
            "depth": 0,
            "program": (0, 0, 0),
        } | fields
        wide = (time, has["cycles"], has["instructions"], 1 + names.index(json.dumps(name)))
        narrow = (has["hart"], start, has["thread"], has["depth"], *has["program"], 0)
        rows.append(struct.pack("<4q8i", *wide, *narrow))
    return head + b"".join(rows) + texts


def record(start, nanoseconds, name, program=(0, 0, 0), thread=1, **others):
    return Record(bool(start), nanoseconds, program, name, thread, **others)


def test_what_a_launch_tells_in_pieces_comes_back_in_order_of_time():
    take()
    second = {"hart": 3, "cycles": 0, "instructions": 9}
    data = told((1, 200, "a scope", {"program": (3, 2, -1)}), (0, 100, "b", second), lost=4)
    for at in range(0, len(data), 50):
        keep(data[at : at + 50])
    (found,) = take()
    assert found.records == [
        record(0, 100, "b", hart=3, cycles=0, instructions=9),
        record(1, 200, "a scope", (3, 2, -1)),
    ]
    assert (found.ended, found.lost, found.clock) == (500, 4, "the clock")
    assert take() == []


def test_every_launch_is_a_recording():
    take()
    keep(told((1, 5, "a", {}), lost=3) + told(lost=4) + told((1, 7, "b", {})))
    found = take()
    assert [(r.lost, [each.name for each in r.records]) for r in found] == [(3, ["a"]), (4, []), (0, ["b"])]


def test_what_another_thread_launched_is_its_own():
    take()
    keep(told((1, 1, "mine", {})))
    theirs = []

    def other():
        keep(told((1, 2, "theirs", {})))
        theirs.extend(take())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert [r.name for each in theirs for r in each.records] == ["theirs"]
    assert [r.name for each in take() for r in each.records] == ["mine"]


@pytest.mark.parametrize("name", ["", "a b", 'say "x"', "two\nlines", "tab\tand \\", "Ω\u2028\x0c"])
def test_any_name_comes_back(name):
    take()
    keep(told((1, 5, name, {})))
    assert take()[0].records == [record(1, 5, name)]


def test_scopes_nest_by_program():
    other = (1, 0, 0)
    found = intervals(
        [
            record(1, 10, "a"),
            record(1, 11, "a", other),
            record(1, 20, "b"),
            record(0, 25, "b"),
            record(0, 40, "a", other),
            record(0, 50, "a"),
        ]
    )
    assert [(i.path, i.program, i.nanoseconds) for i in found] == [
        (("a", "b"), (0, 0, 0), 5),
        (("a",), other, 29),
        (("a",), (0, 0, 0), 40),
    ]
    assert {i.lane for i in found} == {0}


def test_one_scope_in_itself():
    found = intervals([record(1, 1, "a"), record(1, 2, "a"), record(0, 3, "a"), record(0, 9, "a")])
    assert [(i.path, i.nanoseconds) for i in found] == [(("a", "a"), 1), (("a",), 8)]


def test_scopes_that_do_not_match_are_left_out():
    records = [record(0, 5, "never entered"), record(1, 6, "never left")]
    assert intervals(records) == []
    records = [record(1, 1, "a"), record(1, 2, "left open"), record(0, 9, "a")]
    assert [(i.path, i.nanoseconds) for i in intervals(records)] == [(("a",), 8)]


def test_iterations_on_other_threads_are_inside_of_what_their_program_has_open():
    records = [
        record(1, 1, "loop", thread=4),
        record(1, 2, "turn", thread=4, depth=1),
        record(1, 3, "turn", thread=9, depth=1),
        record(1, 4, "part", thread=9, depth=1),
        record(0, 5, "turn", thread=4, depth=1),
        record(0, 6, "part", thread=9, depth=1),
        record(0, 7, "turn", thread=9, depth=1),
        record(0, 8, "loop", thread=4),
    ]
    found = {(i.path, i.lane): i.nanoseconds for i in intervals(records)}
    assert found == {
        (("loop", "turn"), 0): 3,
        (("loop", "turn", "part"), 1): 2,
        (("loop", "turn"), 1): 4,
        (("loop",), 0): 7,
    }


def test_counters_of_two_harts_are_not_compared():
    def between(hart, leave):
        enter = record(1, 0, "a", hart=hart, cycles=100, instructions=None)
        (found,) = intervals([enter, leave])
        return found.cycles, found.instructions

    assert between(2, record(0, 9, "a", hart=2, cycles=130, instructions=7)) == (30, None)
    assert between(2, record(0, 9, "a", hart=1, cycles=130, instructions=7)) == (None, None)


def test_lengths_by_instructions_stay_between_the_first_and_the_last():
    counted = [(100, 1000), (900, 1010), (950, 1030), (1100, 1050)]
    records = [record(1, time, "a", instructions=count) for time, count in counted]
    assert [by_instructions(records)(r) for r in records] == [100, 300, 700, 1100]
    assert by_instructions([])(records[0]) == 100
    plain = [record(1, 5, "a"), record(0, 8, "a")]
    assert [by_instructions(plain)(r) for r in plain] == [5, 8]
