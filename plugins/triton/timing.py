"""Timing on the CPU, behind the interfaces by which Triton times GPUs."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vertebra.core import select
from vertebra.core.tuning.clock import repeat


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

    def before():
        for tensor in grad_to_none or ():
            tensor.grad = None

    repeat(fn, warmup)
    times = repeat(fn, rep, before=before)
    if quantiles is not None:
        found = [float(value) for value in np.quantile(times, quantiles)]
        return found[0] if len(found) == 1 else found
    return times if return_mode == "all" else float(getattr(np, return_mode)(times))


def benchmark(fn: Callable[[], object], quantiles: Sequence[float] | None = None, **options):
    """What Triton's autotuner compares: as `do_bench`, where the current core's kernels run on that core.

    Where they are emulated, the instructions of all kernels that one call of `fn` launches, as that
    many milliseconds: an emulator's time says nothing of a processor's.
    """
    runtime = select.runtime_for(select.current_core())
    if not hasattr(runtime, "counting"):
        return do_bench(fn, quantiles=quantiles, **options)
    with runtime.counting() as counts:
        fn()
    total = float(sum(count["all"] for count in counts))
    return [total] * len(quantiles) if quantiles else total
