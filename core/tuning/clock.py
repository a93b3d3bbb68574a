"""Calls, timed one by one."""

import time
from collections.abc import Callable


def repeat(
    call: Callable[[], object],
    milliseconds: float,
    *,
    least: int = 1,
    before: Callable[[], object] = lambda: None,
) -> list[float]:
    """The milliseconds of each call, of which there are at least `least` and as many as begin in time.

    before: what precedes each call, and is not timed.
    """
    times: list[float] = []
    stop = time.perf_counter() + milliseconds * 1e-3
    while True:
        before()
        began = time.perf_counter()
        call()
        ended = time.perf_counter()
        times.append((ended - began) * 1e3)
        if ended >= stop and len(times) >= least:
            return times
