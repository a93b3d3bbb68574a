"""The parameters of an implementation of the attached matrix extension, and how cores state them."""

import re
from collections.abc import Iterable

import attrs

from vertebra.core.errors import ConfigError

EXTENSION = "ame"
# The widest type that registers hold, in bits, and hence the largest group.
WIDEST = 32
_POWERS = tuple(1 << n for n in range(11))
# The draft leaves side and unit to the implementation (powers of two) and enumerates the register counts.
# The upper bounds of the first two are ours: state of at most 16 MiB.
LIMITS = {
    "n": tuple(p for p in _POWERS if 2 <= p <= 256),
    "u": tuple(p for p in _POWERS if 8 <= p <= 64),
    "m": (16, 32),
    "acc": (1, 2, 4, 8, 16),
}
MOST_SHARED = 16  # units that harts have to acquire from one another
_WORDS = {"n": "side N", "u": "unit width U", "m": "matrix registers", "acc": "accumulators"}
_FORM = re.compile(rf"{EXTENSION}_(n|u|m|acc)(\d+)")


@attrs.frozen
class Geometry:
    """n: side of a square, of n * n elements.  u: bits of the unit type.  m, acc: registers of each kind.

    A matrix register holds n * n elements of u bits; types that are narrower are packed, several
    squares in a register, and wider ones take a group of registers.  Raises ConfigError for what the draft
    does not allow.
    """

    n: int = 8
    u: int = 32
    m: int = 16
    acc: int = 4

    def __attrs_post_init__(self) -> None:
        for name, legal in LIMITS.items():
            value = getattr(self, name)
            if value not in legal:
                raise ConfigError(
                    f"the attached matrix extension has no implementation with {_WORDS[name]} {value}",
                    fix=f"use one of {', '.join(map(str, legal))}",
                )
        if (squares := self.pack(WIDEST)) > self.acc:
            raise ConfigError(
                f"with {_WORDS['u']} {self.u}, one register has {squares} squares of {WIDEST}-bit sums, "
                f"which come from as many accumulators, and there is {self.acc}",
                fix=f"use {_WORDS['u']} {WIDEST}, or {squares} accumulators",
            )

    @property
    def register_bytes(self) -> int:
        return self.n * self.n * self.u // 8

    def pack(self, bits: int) -> int:
        """Squares of a type of `bits` bits in one register."""
        return self.u // bits if bits < self.u else 1

    def group(self, bits: int) -> int:
        """Registers that one square of a type of `bits` bits takes."""
        return max(1, bits // self.u)

    @property
    def extensions(self) -> frozenset[str]:
        """The names by which a core's extensions state the parameters."""
        return frozenset({EXTENSION, *(f"{EXTENSION}_{name}{getattr(self, name)}" for name in LIMITS)})


def parameter_names() -> frozenset[str]:
    """All names that `Geometry.extensions` and `shared_units` may hold."""
    return frozenset(
        {
            EXTENSION,
            *(f"{EXTENSION}_{name}{v}" for name, legal in LIMITS.items() for v in legal),
            *map(_shared_name, range(MOST_SHARED + 1)),
        }
    )


def _shared_name(units: int) -> str:
    return f"{EXTENSION}_shared{units}"


def shared_units(units: int | None) -> frozenset[str]:
    """How a core's extensions state that its machine's harts share `units` units; None: each has its own."""
    if units is None:
        return frozenset()
    if not 0 <= units <= MOST_SHARED:
        raise ConfigError(
            f"the harts of a machine cannot share {units} matrix units",
            fix=f"use 0 to {MOST_SHARED}, or None for one each",
        )
    return frozenset({_shared_name(units)})


def geometry_of(extensions: Iterable[str]) -> Geometry | None:
    """The parameters among a core's extensions; None where it has no matrix unit."""
    extensions = frozenset(extensions)
    if EXTENSION not in extensions:
        return None
    found = dict(match.groups() for name in extensions if (match := _FORM.fullmatch(name)))
    return Geometry(**{name: int(value) for name, value in found.items()})
