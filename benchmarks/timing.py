"""Interleaved timing: rivals take turns, so that a change of the machine's speed meets them all."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping

from rich.console import Console


def clock_for(threads: int) -> Callable[[], float]:
    """The clock for work on `threads` threads: processor time for one, time that passes for more.

    Processor time leaves out what others take of a shared machine.
    """
    return time.process_time if threads == 1 else time.perf_counter


def medians(
    rivals: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 1.0,
    least: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Seconds per call of each rival: the median over rounds in which each is called twice, timed once.

    The first call brings back what the other rivals have pushed out of the caches: code of both sides, and
    Python's own.  Rounds go on for `seconds` seconds for each rival, and at least `least` times.
    """
    for call in rivals.values():  # whatever is compiled or allocated once
        call()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    until = time.perf_counter() + seconds * len(rivals)
    while time.perf_counter() < until or len(next(iter(times.values()))) < least:
        for name, call in rivals.items():
            call()
            start = clock()
            call()
            times[name].append(clock() - start)
    return {name: statistics.median(samples) for name, samples in times.items()}


def rivals_for(vertebra, eager, *, compiled: bool):
    """Name -> call, each of which returns its result; torch.compile is left out where it fails."""
    import torch

    calls = {"vertebra": vertebra, "torch eager": eager}
    if compiled:
        try:
            call = torch.compile(eager)
            call()
        except Exception as error:  # it needs a C++ compiler and packages that may be missing
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            print(f"torch.compile does not work here: {reason[:200]}", file=sys.stderr)
        else:
            calls["torch.compile"] = call
    return calls


def console() -> Console:
    """Where tables go; wide enough for them where the output is no terminal."""
    found = Console()
    return found if found.is_terminal else Console(width=132)
