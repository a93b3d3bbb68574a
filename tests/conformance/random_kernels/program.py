"""A random kernel: its text, its arguments, and the builder that writes it line by line."""

import attrs
import numpy as np
from hypothesis import strategies as st

from .language import TRITON_NAMES

INTEGERS = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
FLOATS = ("f16", "bf16", "f32", "f64")
NUMBERS = INTEGERS + FLOATS


@attrs.frozen
class Region:
    """Memory behind one or more arguments.  size: elements that one program has; fill: what is in it."""

    dtype: str
    size: int
    fill: str


@attrs.frozen
class Program:
    """text: the kernel, called `kernel`.  regions: by name.  arrays: argument -> (region, first element).
    scalars: argument -> value.  programs: how many run; each has its own part of every region.
    """

    text: str
    regions: dict[str, Region]
    arrays: dict[str, tuple[str, int]]
    scalars: dict[str, int | float]
    programs: int
    seed: int

    def dtypes(self) -> set[str]:
        """The types in memory and in the text."""
        named = {short for short, name in TRITON_NAMES.items() if f"tl.{name}" in self.text}
        return named | {region.dtype for region in self.regions.values()}

    def describe(self) -> str:
        """The kernel's text, then its arguments."""
        lines = [self.text]
        for name, (region, at) in self.arrays.items():
            r = self.regions[region]
            lines.append(f"{name}: {r.dtype}, elements {at} to {r.size} of {region} ({r.fill or 'numbers'})")
        lines += [f"{name} = {value}" for name, value in self.scalars.items()]
        return "\n".join([*lines, f"grid = ({self.programs},), seed = {self.seed}"])

    def initial(self) -> dict[str, np.ndarray]:
        """Region -> its contents at the start, in the storage dtype."""
        rng = np.random.default_rng(self.seed)
        return {name: _contents(r, self.programs, rng) for name, r in self.regions.items()}


def _contents(region: Region, programs: int, rng) -> np.ndarray:
    from ..arrays import STORAGE, encode

    n = region.size * programs
    if region.dtype in FLOATS:
        values = rng.integers(-32, 33, n) / 4.0
        if region.fill == "special":
            special = np.array([np.inf, -np.inf, np.nan, -0.0])
            values = np.where(rng.random(n) < 0.1, special[rng.integers(0, 4, n)], values)
        return encode(region.dtype, values)
    kind = STORAGE[region.dtype]
    limits = np.iinfo(kind)
    low, high = (-20, 100) if region.fill == "small" else (int(limits.min), int(limits.max))
    return rng.integers(max(low, limits.min), high, n, dtype=kind, endpoint=True)


@attrs.frozen
class Variable:
    """A name in the kernel's text.  A pointer's dtype is "pointer"."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Builder:
    """Writes a kernel.  `draw` is Hypothesis's; `scope` holds the variables of the present block."""

    def __init__(self, draw):
        self.draw = draw
        self.lines: list[str] = []
        self.depth = 1
        self.scope: list[Variable] = []
        self.regions: dict[str, Region] = {}
        self.arrays: dict[str, tuple[str, int]] = {}
        self.views: dict[str, tuple[str, int]] = {}  # scalar pointer -> (dtype, elements from there on)
        self.scalars: dict[str, int | float] = {}
        self.counters: dict[str, int] = {}  # loop variable -> its largest value; its smallest is 0
        self._count = 0
        self.helpers: set[str] = set()

    def choose(self, options):
        return self.draw(st.sampled_from(list(options)))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self, percent: int) -> bool:
        """True in about that many of a hundred cases; shrinks to False."""
        return self.draw(st.integers(0, 99)) >= 100 - percent

    def fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def write(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def let(self, text: str, dtype: str, shape: tuple[int, ...], prefix: str = "v") -> Variable:
        """Writes `name = text`."""
        variable = Variable(self.fresh(prefix), dtype, tuple(shape))
        self.write(f"{variable.name} = {text}")
        self.scope.append(variable)
        return variable

    def pick(self, accepts) -> Variable | None:
        """One of the variables that `accepts` takes, late ones first."""
        found = [v for v in self.scope if accepts(v)]
        return found[-1 - self.number(0, len(found) - 1)] if found else None

    def scalar(self, value: int, percent: int = 30) -> str:
        """`value`, as a literal or as a run-time argument."""
        if not self.chance(percent):
            return str(value)
        for name, known in self.scalars.items():
            if known == value and isinstance(known, int):
                return name
        name = self.fresh("s")
        self.scalars[name] = value
        return name

    def array(self, dtype: str, size: int, fill: str = "", region: str = "", at: int = 0) -> str:
        """A new argument; its memory is new or begins at element `at` of `region`."""
        if not region:
            region = self.fresh("m")
            self.regions[region] = Region(dtype, size, fill)
        name = self.fresh("x")
        self.arrays[name] = (region, at)
        return name

    def places(self) -> list[str]:
        """All that a load or store may start from: array arguments and scalar pointers."""
        return [*self.arrays, *self.views]

    def room(self, name: str) -> int:
        """How many elements the array argument or scalar pointer may access, from its first."""
        if name in self.views:
            return self.views[name][1]
        region, at = self.arrays[name]
        return self.regions[region].size - at

    def dtype_of(self, name: str) -> str:
        if name in self.views:
            return self.views[name][0]
        return self.regions[self.arrays[name][0]].dtype


def spelt(dtype: str) -> str:
    return f"tl.{TRITON_NAMES[dtype]}"
