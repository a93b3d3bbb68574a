"""Cores with a matrix unit, and what they may be combined with."""

import attrs

from vertebra.core import hooks
from vertebra.core.errors import ConfigError
from vertebra.core.riscv import vector_core
from vertebra.core.target import Core, Throughput
from vertebra.plugins.ame.geometry import Geometry, parameter_names, shared_units

# Encodings of the draft that lie outside of the 101 instructions, and that other extensions have taken:
# name -> (mask, match).  A unit that follows the draft executes them, whether we use them or not.
TAKEN = {
    "mcolgather.ew": (0xFE00707F, 0x6600002B),
    "mcolunzip.ew": (0xFE007FFF, 0xC200002B),
    "mornot.ew.x": (0xFE00707F, 0x4200002B),
    "msellt.ew": (0xFE00707F, 0x6200002B),
}


@attrs.frozen(kw_only=True)
class MatrixCore(Core):
    """A core with a matrix unit of the parameters `ame`, which its extensions state too.

    shared: how many units the machine has for all of its harts together, so that one may find them busy (0:
    other programs never give them back); None where every hart has one.
    Raises ConfigError where another of its extensions has taken encodings of the unit's.
    """

    ame: Geometry = attrs.field(factory=Geometry)
    shared: int | None = None

    def __attrs_post_init__(self) -> None:
        others = self.extensions - parameter_names()
        object.__setattr__(self, "extensions", others | self.ame.extensions | shared_units(self.shared))
        if others:
            _refuse_collisions(self.name, others)


def _refuse_collisions(name: str, extensions: frozenset[str]) -> None:
    from vertebra.plugins.ame.instructions import INSTRUCTIONS

    ours = {record.name: (record.mask, record.match) for record in INSTRUCTIONS.values()} | TAKEN
    found = [
        (mine, record.name, sorted(record.requires & extensions))
        for record in hooks.instructions().values()
        if record.name not in INSTRUCTIONS and record.requires & extensions
        for mine, (mask, match) in ours.items()
        if not (match ^ record.match) & mask & record.mask
    ]
    if found:
        pairs = ", ".join(f"{mine} = {other}" for mine, other, _ in found)
        needed = sorted({extension for *_, names in found for extension in names})
        raise ConfigError(
            f"core {name} cannot have the attached matrix extension beside {', '.join(needed)}: "
            f"they give {len({mine for mine, *_ in found})} encodings two meanings ({pairs})",
            fix=f"leave out {', '.join(needed)}, or the attached matrix extension",
        )


AME_GENERIC = vector_core(
    "ame-generic",
    isa="rv64gcv_zvl256b with the attached matrix extension (draft Ztt)",
    target="ame",
    kind=MatrixCore,
    caches=(32 << 10, 512 << 10),
    clock=2.0,
    description="attached matrix unit, squares of 8, units of 32 bits, 16 + 4 registers",
    throughput=Throughput(
        issue=2,
        vector_bits=256,
        load_bits=2048,
        memory=25.6,
        source="there is no such core, all numbers are guesses: two instructions, one multiplication of the "
        "unit, 256 bits of vectors and one matrix register of loads per cycle",
    ),
)
