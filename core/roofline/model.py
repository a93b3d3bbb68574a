"""A launch: cycles that each resource needs, and which of them there are too few of.

A launch has up to two parts, products and other arithmetic, one after the other.  The hot loop of each says
how many cycles of every resource go with one cycle of the unit that does the work.  Resources
work side by side at their best rates, and memory beside both parts; latencies, misses of
caches and what runs outside of the hot loops are left out, so that no kernel is faster than predicted.
"""

import math
from collections.abc import Sequence

import attrs

from vertebra.core import hooks, pipeline
from vertebra.core.errors import ConfigError
from vertebra.core.roofline.hot_loops import HotLoop, product_loop, vector_loop
from vertebra.core.roofline.machine_code import Loop, Reader
from vertebra.core.roofline.peaks import best_peak, reached_peak, tiles_in, vector_peak
from vertebra.core.roofline.values import Work
from vertebra.core.target import Core, Throughput

MEMORY = "memory"
NOTHING = "nothing, it does no work"


@attrs.frozen
class Part:
    """Products, or other arithmetic.

    needed: cycles of the unit that does it, on one core.  loop: None where the code has none for it.
    on_engine: whether the unit is the matrix engine.
    """

    kind: str
    needed: float
    loop: HotLoop | None
    on_engine: bool = False

    def cycles(self, sharing: float = 1.0) -> float:
        """Of one core that does all.  sharing: how many cores use one matrix engine."""
        return self.needed * self._stretch(sharing)

    def bound(self, sharing: float = 1.0) -> str:
        if self.loop is None or self._stretch(sharing) > self.loop.stretch:
            return "compute"
        return self.loop.bound

    def _stretch(self, sharing: float) -> float:
        return max(self.loop.stretch if self.loop else 1.0, sharing if self.on_engine else 1.0)


@attrs.frozen
class Prediction:
    """What a launch is bound by.

    cores: how many it runs on.  peak_of_core: operations per cycle of its best unit for the work: for
    products, where there are any; else of multiply-adds of vectors of elements as wide as these.
    best_engine: whether that unit is the matrix engine.  cache: bytes of the last one.  bytes: to and
    from main memory.
    """

    kernel: str
    core: Core
    rates: Throughput
    grid: tuple[int, int, int]
    work: Work
    parts: tuple[Part, ...]
    peak_of_core: float
    best_engine: bool
    cache: int
    bytes: float
    notes: Sequence[str] = ()
    cores: int = 1

    @property
    def operations(self) -> float:
        """Those that are held against the peak."""
        return self.work.operations or self.work.vector_operations

    @property
    def clock(self) -> float:
        """GHz."""
        return self.rates.clock or self.core.clock

    @property
    def peak(self) -> float:
        """Operations per second of all cores."""
        engines = self.rates.engines or self.cores
        return (
            self.peak_of_core
            * (min(self.cores, engines) if self.best_engine else self.cores)
            * self.clock
            * 1e9
        )

    @property
    def _sharing(self) -> float:
        """Cores that use one matrix engine."""
        working = min(self.cores, max(1, self.work.programs))
        return max(1.0, working / (self.rates.engines or working))

    @property
    def _share(self) -> float:
        """Of the programs, what the core has that has most."""
        programs = max(1, self.work.programs)
        return math.ceil(programs / self.cores) / programs

    @property
    def core_seconds(self) -> float:
        """Until the last core is done, if memory were not in the way."""
        cycles = sum(part.cycles(self._sharing) for part in self.parts) * self._share
        return cycles / (self.clock * 1e9)

    @property
    def memory_seconds(self) -> float:
        return self.bytes / (self.rates.memory * 1e9)

    @property
    def seconds(self) -> float:
        """Of the launch."""
        return max(self.core_seconds, self.memory_seconds)

    @property
    def bound(self) -> str:
        if not self.seconds:
            return NOTHING
        if not self.parts or self.memory_seconds >= self.core_seconds:
            return MEMORY
        sharing = self._sharing
        return max(self.parts, key=lambda part: part.cycles(sharing)).bound(sharing)

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def fraction(self) -> float:
        """Of peak."""
        return self.rate / self.peak if self.peak else 0.0

    @property
    def intensity(self) -> float:
        """Operations per byte to or from main memory."""
        return self.operations / self.bytes if self.bytes else math.inf

    def on(self, cores: int) -> "Prediction":
        """The same launch on so many cores."""
        return attrs.evolve(self, cores=cores)


def rates_of(core: Core) -> Throughput:
    """What the core's record says, or what a measurement finds.  Raises ConfigError where it is silent."""
    if core.throughput is None:
        raise ConfigError(
            f"core {core.name} does not say how fast it is",
            fix="its plugin must give a `throughput` (`vertebra.core.target.Throughput`)",
        )
    return core.throughput if isinstance(core.throughput, Throughput) else core.throughput()


def reader_of(core: Core) -> Reader:
    """How the assembler text of the core's target is read."""
    known, name, chain = hooks.targets(), pipeline.target_of(core).name, []
    while name is not None:
        chain.append(known[name])
        name = known[name].extends
    reader = None
    for target in reversed(chain):
        if target.assembly is not None:
            reader = target.assembly(core, reader)
    if reader is None:
        raise ConfigError(
            f"target {core.target} of core {core.name} does not say how its assembler text is read",
            fix="its plugin must give `assembly` (`vertebra.core.target.Target`)",
        )
    return reader


def predict(
    kernel: str,
    core: Core,
    grid: tuple[int, int, int],
    work: Work,
    loops: Sequence[Loop],
    rates: Throughput | None = None,
) -> Prediction:
    """What `work`, done in `loops`, is bound by on `core`.  rates: those of the core."""
    rates = rates or rates_of(core)
    tiles = hooks.matrix_tiles(core)
    present = tiles_in(loops, tiles)
    parts, notes = [], list(work.notes)
    peak, best_engine = 0.0, False
    if work.vector_bits:
        peak = 2 * rates.vector_bits * work.vector_results / work.vector_bits
        loop = vector_loop(loops, rates)
        parts.append(Part("other arithmetic", work.vector_bits / rates.vector_bits, loop))
    if work.products:
        ideal = needed = 0.0
        on_engine = False
        for product in work.products:
            best = best_peak(product, core, rates, tiles, present)
            reached, engine = reached_peak(product, core, rates, present)
            ideal += product.operations / best
            needed += product.operations / reached
            on_engine |= engine
            best_engine |= best > vector_peak(product, core, rates)
            if best > reached and not engine:
                notes.append(
                    f"products {product} run on vector registers, and the core has an engine for them"
                )
        peak = work.operations / ideal if ideal else 0.0
        parts.insert(0, Part("products", needed, product_loop(loops, present, rates), on_engine))
    cache = rates.cache or (core.caches[-1] if core.caches else 0)
    moved = work.from_memory(cache)
    return Prediction(
        kernel,
        core,
        rates,
        grid,
        work,
        parts=tuple(parts),
        peak_of_core=peak,
        best_engine=best_engine,
        cache=cache,
        bytes=moved,
        notes=tuple(notes),
    )
