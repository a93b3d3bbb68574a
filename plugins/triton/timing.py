"""Timing on the CPU, behind the interfaces by which Triton times GPUs."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


class Event:
    """A moment; what `torch.cuda.Event` is to a GPU."""

    def __init__(self, enable_timing: bool = True, **_):
        self.nanoseconds = 0

    def record(self, stream=None) -> None:
        self.nanoseconds = time.perf_counter_ns()

    def elapsed_time(self, end: "Event") -> float:
        """Milliseconds from this event to `end`, never 0."""
        return max(1, end.nanoseconds - self.nanoseconds) * 1e-6

    def synchronize(self) -> None:
        """Every launch has ended when it returns."""


class DeviceInterface:
    """The part of `torch.cuda` that Triton's own tools use."""

    Event = Event

    @staticmethod
    def synchronize(device=None) -> None:
        """Every launch has ended when it returns."""

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True


def cache_flusher() -> np.ndarray:
    """A buffer that fills this machine's last-level cache (between 4 and 64 MiB)."""
    sizes = [4 << 20]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        if text.endswith("K") and text[:-1].isdecimal():
            sizes.append(int(text[:-1]) << 10)
    return np.zeros(min(max(sizes), 64 << 20) // 4, np.int32)


def do_bench(
    fn: Callable[[], object],
    warmup: float = 5,
    rep: float = 50,
    grad_to_none=None,
    quantiles: Sequence[float] | None = None,
    return_mode: str = "median",
):
    """How long `fn` takes, in milliseconds.

    warmup, rep: how long to run before and while measuring, in ms; at least one call each.
    grad_to_none: tensors whose gradient is dropped before each call.  quantiles: which ones to
    return (a list, or a number for one).  return_mode: "min", "max", "mean", "median" or "all",
    where `quantiles` is None.
    """
    if return_mode not in ("min", "max", "mean", "median", "all"):
        raise ValueError(f"return_mode is {return_mode!r}; it is min, max, mean, median or all")
    _repeat(fn, warmup)
    times = _repeat(fn, rep, grad_to_none or ())
    if quantiles is not None:
        found = [float(value) for value in np.quantile(times, quantiles)]
        return found[0] if len(found) == 1 else found
    return times if return_mode == "all" else float(getattr(np, return_mode)(times))


def _repeat(fn, milliseconds: float, grad_to_none=()) -> list[float]:
    times = []
    stop = time.perf_counter() + milliseconds * 1e-3
    while True:
        for tensor in grad_to_none:
            tensor.grad = None
        began = time.perf_counter()
        fn()
        ended = time.perf_counter()
        times.append((ended - began) * 1e3)
        if ended >= stop:
            return times
