"""What viewers of the Trace Event Format need of a file: complete events, each inside of or after the last.

Source: the Trace Event Format document of the Chromium project, and what Perfetto's importer of JSON does
with it: events of one track that overlap in part are dropped.
"""

import math


def check(trace: dict) -> list[dict]:
    """The complete events of `trace`, after every one has been looked at."""
    assert isinstance(trace["traceEvents"], list)
    assert trace.get("displayTimeUnit", "ms") in ("ms", "ns")
    complete, processes, threads = [], {}, {}
    for event in trace["traceEvents"]:
        assert isinstance(event["name"], str)
        assert all(type(event[key]) is int and event[key] >= 0 for key in ("pid", "tid"))
        assert isinstance(event["args"], dict)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            known = processes if event["name"] == "process_name" else threads
            key = (event["pid"], event["tid"]) if known is threads else event["pid"]
            assert key not in known, f"{key} has two names"
            known[key] = event["args"]["name"]
            continue
        assert event["ph"] == "X" and isinstance(event["cat"], str)
        for key in ("ts", "dur"):
            assert isinstance(event[key], int | float) and math.isfinite(event[key])
        assert event["dur"] >= 0
        assert event["pid"] in processes and (event["pid"], event["tid"]) in threads
        complete.append(event)
    assert [e["ts"] for e in complete] == sorted(e["ts"] for e in complete)
    tracks: dict[tuple, list[int]] = {}
    for event in complete:  # in whole nanoseconds, as viewers have them
        start, length = (round(event[key] * 1000) for key in ("ts", "dur"))
        around = tracks.setdefault((event["pid"], event["tid"]), [])
        while around and around[-1] <= start:
            around.pop()
        assert not around or start + length <= around[-1], f"{event} ends after what is around it"
        around.append(start + length)
    assert len(set(threads.values())) == len(threads) or len(processes) > 1
    return complete
