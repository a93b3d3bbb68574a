"""A launch with made-up arguments: how long it takes, or how many instructions."""

import time
from collections.abc import Mapping

import attrs
import numpy as np

from vertebra.core import compile as stages
from vertebra.core import hooks, select
from vertebra.core.errors import ConfigError
from vertebra.core.pipeline import Options
from vertebra.core.roofline.model import Prediction
from vertebra.core.runtime import num_threads

_FLOATS = {"*fp16": np.float16, "*fp32": np.float32, "*fp64": np.float64}
_LEAST_SECONDS, _LEAST_LAUNCHES = 0.2, 5


@attrs.frozen
class Measurement:
    """What a launch took.

    how: in words.  seconds: where it ran on the core itself.  counts: instructions by class, where it
    ran on an emulated one.  engine: matrix instructions, None where they were not counted.
    threads: on how many it ran.
    """

    how: str
    seconds: float | None = None
    counts: Mapping[str, int] = attrs.field(factory=dict)
    engine: int | None = None
    threads: int = 1


def measure(
    ttir: str, found: Prediction, options: Options, *, names, signature: tuple[str, ...], values
) -> Measurement:
    """Runs the launch that `found` is about, on arrays of ones (floats) and zeros (everything else).

    signature: Triton's type names of the run-time arguments.  Raises ConfigError where it is not known how
    large an argument is, LaunchError.
    """
    args = [_argument(name, kind, found, values) for name, kind in zip(names, signature, strict=True)]
    binary = stages.compile(ttir, found.core, options, name=found.kernel, signature=signature)
    kernel = select.runtime_for(found.core).load(binary)
    count = getattr(kernel, "count", None)
    if count is None:
        threads = num_threads()
        on = "one thread" if threads == 1 else f"{threads} threads"
        how = f"the best of several launches, on {on}, with data in caches where they fit"
        return Measurement(how, seconds=_fastest(kernel, found.grid, args), threads=threads)
    counts = count(found.grid, args)
    by_name = getattr(kernel, "count_emulated", None)
    tiles = {tile.instruction for tile in hooks.matrix_tiles(found.core)}
    emulated = by_name(found.grid, args) if by_name is not None and tiles else {}
    engine = sum(number for name, number in emulated.items() if name in tiles)
    return Measurement("instructions, counted by the emulator", counts=counts, engine=engine)


def _argument(name: str, kind: str, found: Prediction, values: Mapping[str, int]):
    if not kind.startswith("*"):
        return values.get(name, 1 if kind.startswith(("i", "u")) else 1.0)
    traffic = found.work.traffic.get(name)
    if traffic is not None and traffic.end is None:
        raise ConfigError(
            f"kernel {found.kernel}: which elements of {name} it takes depends on data, so that made-up "
            "arguments cannot be measured",
            fix="leave out --measure",
        )
    size = (traffic.end or 0) if traffic else 0
    if kind in _FLOATS:
        kind_of = np.dtype(_FLOATS[kind])
        return np.ones(-(-size // kind_of.itemsize) or 1, kind_of)
    return np.zeros(-(-size // 8) or 1, np.int64)


def _fastest(kernel, grid, args) -> float:
    kernel.launch(grid, args)
    best, until, launches = float("inf"), time.perf_counter() + _LEAST_SECONDS, 0
    while launches < _LEAST_LAUNCHES or time.perf_counter() < until:
        began = time.perf_counter()
        kernel.launch(grid, args)
        best = min(best, time.perf_counter() - began)
        launches += 1
    return best
