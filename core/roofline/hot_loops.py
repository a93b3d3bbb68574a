"""The loops in which a kernel spends its time, and what a pass of each costs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from vertebra.core.roofline.machine_code import Kind, Loop, Step
from vertebra.core.target import Throughput
from vertebra.core.tiles import MatrixTile

# Resource -> what a loop is bound by that has too little of it, those that matter more first.
BOUNDS = {"unit": "compute", "vectors": "compute", "issue": "instruction issue", "loads": "load issue"}


@attrs.frozen
class HotLoop:
    """A loop and the cycles of a pass.

    each: what one of the instructions is that do the work.  unit: their names.  done: how many of them
    a pass has.  cycles: resource -> cycles; "unit" is the one that does the work, "vectors" what does
    all arithmetic of vectors.
    """

    label: str
    each: str
    unit: str
    done: int
    instructions: int
    loads: int
    stores: int
    cycles: Mapping[str, float]

    @property
    def per_instruction(self) -> float:
        """Instructions for each one that does the work."""
        return self.instructions / self.done

    @property
    def _slowest(self) -> str:
        return max(self.cycles, key=lambda name: (self.cycles[name], -list(BOUNDS).index(name)))

    @property
    def bound(self) -> str:
        return BOUNDS[self._slowest]

    @property
    def stretch(self) -> float:
        """How many times as long as its work alone a pass takes."""
        return self.cycles[self._slowest] / self.cycles["unit"]


def product_loop(loops: Sequence[Loop], tiles: Iterable[MatrixTile], rates: Throughput) -> HotLoop | None:
    """The loop with most operations on the matrix engine; where it is not used, with most multiply-adds."""
    by_name: dict[str, MatrixTile] = {}
    for tile in tiles:
        by_name.setdefault(tile.instruction, tile)

    def on_engine(loop: Loop) -> list[str]:
        names = [step.matrix.name for step in loop.steps if step.matrix is not None]
        return [name for name in names if name in by_name]

    def operations(loop: Loop) -> float:
        found = [by_name[name] for name in on_engine(loop)]
        return sum(tile.peak * tile.cycles for tile in found)

    engine = max(loops, key=operations, default=None)
    if engine is not None and operations(engine):
        names = on_engine(engine)
        cycles = sum(by_name[name].cycles for name in names)
        return _hot(engine, "matrix instruction", " and ".join(Counter(names)), len(names), cycles, rates)
    loop = max(loops, key=_product_share, default=None)
    if loop is not None and loop.count(Kind.MULTIPLY_ADD):
        steps = [step for step in loop.steps if step.kind & Kind.MULTIPLY_ADD]
        name = Counter(step.mnemonic for step in steps).most_common(1)[0][0]
        return _hot(loop, "multiply-add", name, len(steps), _vectors(steps, rates), rates)
    return _pairs(loops, rates)


def _pairs(loops: Sequence[Loop], rates: Throughput) -> HotLoop | None:
    """For products without multiply-adds: a multiplication and an addition do what one of them does."""
    loop = max(loops, key=lambda loop: loop.bits(Kind.VECTOR), default=None)
    if loop is None or not loop.bits(Kind.VECTOR):
        return None
    steps = [step for step in loop.steps if step.kind & Kind.VECTOR]
    name = "multiplications with additions"
    return _hot(loop, "pair", name, max(1, len(steps) // 2), _vectors(steps, rates) / 2, rates)


def vector_loop(loops: Sequence[Loop], rates: Throughput) -> HotLoop | None:
    """The loop with most arithmetic on vectors that is none of products.

    A loop over whole vectors comes before the one for what is left, which has masks besides.
    """
    others = [loop for loop in loops if loop.bits(Kind.VECTOR) and not _is_product(loop)]
    most = max((loop.bits(Kind.VECTOR) for loop in others), default=0)
    loop = next((loop for loop in others if loop.bits(Kind.VECTOR) >= 0.8 * most), None)
    if loop is None:
        return None
    steps = [step for step in loop.steps if step.kind & Kind.VECTOR]
    return _hot(loop, "vector instruction", "of arithmetic", len(steps), _vectors(steps, rates), rates)


def _product_share(loop: Loop) -> float:
    """Bits of multiply-adds, fewer where other arithmetic surrounds them, as in a math function."""
    products = loop.bits(Kind.MULTIPLY_ADD)
    return products * products / max(1, loop.bits(Kind.VECTOR))


def _is_product(loop: Loop) -> bool:
    """Whether it has matrix instructions, or hardly any arithmetic but multiply-adds."""
    if any(step.matrix is not None for step in loop.steps):
        return True
    return loop.bits(Kind.MULTIPLY_ADD) > 0.8 * loop.bits(Kind.VECTOR)


def _vectors(steps: Iterable[Step], rates: Throughput) -> float:
    return sum(step.bits for step in steps if step.kind & Kind.VECTOR) / rates.vector_bits


def _hot(loop: Loop, each: str, unit: str, done: int, cycles: float, rates: Throughput) -> HotLoop:
    loads = [step for step in loop.steps if step.kind & Kind.LOAD]
    return HotLoop(
        label=loop.label,
        each=each,
        unit=unit,
        done=done,
        instructions=len(loop.steps),
        loads=len(loads),
        stores=loop.count(Kind.STORE),
        cycles={
            "unit": cycles,
            "vectors": _vectors(loop.steps, rates),
            "issue": len(loop.steps) / rates.issue,
            "loads": sum(max(1 / rates.loads, step.bits / rates.load_bits) for step in loads),
        },
    )
