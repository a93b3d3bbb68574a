"""The state of a matrix unit, and what instructions may run into."""

import enum

import attrs
import numpy as np

from vertebra.core.errors import ConfigError
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.types import Type, type_of

UNSUPPORTED = 1  # amestatus.UN
NV, DZ, OF, UF, NX = 16, 8, 4, 2, 1  # amefflags


class Grant(enum.IntEnum):
    """What ame.acquire answers, in bits 7:1 of its result; bit 0 is set where the unit was granted."""

    GRANTED = 0
    BUSY = 1
    UNSUPPORTED = 2
    DISABLED = 3
    BAD_DESCRIPTOR = 4
    TIMEOUT = 5
    INTERRUPTED = 6
    DENIED = 7

    @property
    def words(self) -> str:
        return {
            Grant.BUSY: "busy (another context has it)",
            Grant.UNSUPPORTED: "unsupported (this processor has none, or cannot wait for it)",
            Grant.DISABLED: "disabled (the system does not give it to programs)",
            Grant.TIMEOUT: "timeout (another context has it)",
        }.get(self, self.name.lower().replace("_", " "))


class Illegal(ConfigError):
    """The word is an illegal instruction in this state; nothing has changed."""


class Misaligned(ConfigError):
    """The base address is no multiple of the element's size; nothing has changed."""


class Unsupported(Exception):
    """The unit does not do this with these types: it sets amestatus.UN and changes nothing else."""


@attrs.define
class State:
    """One hart's registers and the memory it sees.

    m: (registers, bytes) uint8; registers that belong together hold one string of bits, square after
    square and row by row.  md, ad: codes of the types.  acc: (accumulators, n, n) uint64, the bits of
    elements.  x: 32 integers modulo 2**64.  csr: the control registers that programs write.
    memory: bytes from address `base` on.  owned: whether this hart has the unit.  taken: whether others have
    all units, for ever.
    """

    geometry: Geometry
    m: np.ndarray
    md: list[int]
    acc: np.ndarray
    ad: list[int]
    x: list[int]
    csr: dict[str, int]
    memory: np.ndarray
    base: int = 0
    owned: bool = True
    taken: bool = False

    @classmethod
    def zeros(cls, geometry: Geometry, memory: np.ndarray | None = None, base: int = 0) -> "State":
        g = geometry
        return cls(
            g,
            np.zeros((g.m, g.register_bytes), np.uint8),
            [0] * g.m,
            np.zeros((g.acc, g.n, g.n), np.uint64),
            [0] * g.acc,
            [0] * 32,
            dict.fromkeys(("amestype", "amefflags", "amexsat", "amestatus"), 0),
            np.zeros(0, np.uint8) if memory is None else memory,
            base,
        )

    def clear(self) -> None:
        """What a new owner finds."""
        self.m[:], self.acc[:] = 0, 0
        self.md[:], self.ad[:] = [0] * self.geometry.m, [0] * self.geometry.acc
        self.csr.update(dict.fromkeys(self.csr, 0))

    def set_x(self, number: int, value: int) -> None:
        if number:
            self.x[number] = value & (1 << 64) - 1

    def matrix_type(self, number: int) -> Type:
        return supported(self.md[number])

    def accumulator_type(self, number: int) -> Type:
        return supported(self.ad[number])

    def span(self, number: int, type: Type, squares: int) -> slice:
        """The registers that `squares` squares of `type` take from `number` on.  Raises Illegal."""
        g = self.geometry
        group, pack = g.group(type.bits), g.pack(type.bits)
        count = squares // pack if pack > 1 else squares * group
        if number % group or number + count > g.m:
            raise Illegal(
                f"m{number} cannot begin an operand of {count} registers, in groups of {group}",
                fix=f"use a multiple of {group} up to {g.m - count}",
            )
        return slice(number, number + count)

    def read(self, span: slice, type: Type) -> np.ndarray:
        """The bits of the elements as uint64, one after the other."""
        return split(self.m[span].reshape(-1), type.bits)

    def write(self, span: slice, type: Type, bits: np.ndarray) -> None:
        self.m[span] = joined(bits, type.bits).reshape(self.m[span].shape)

    def bytes_at(self, addresses: np.ndarray) -> np.ndarray:
        """Where `addresses` (uint64) are in `memory`.  Raises IndexError for one outside."""
        at = addresses - np.uint64(self.base)
        if (at >= self.memory.size).any():
            raise IndexError("an address outside of the memory")
        return at.astype(np.int64)


def supported(code: int, *, scalar: bool = False) -> Type:
    found = type_of(code, scalar=scalar)
    if found is None:
        raise Unsupported
    return found


def split(data: np.ndarray, bits: int) -> np.ndarray:
    """Fields of `bits` bits of a string of bytes, the low one first, as uint64."""
    if bits >= 8:
        return np.ascontiguousarray(data).view(f"<u{bits // 8}").astype(np.uint64)
    return np.stack([data & 15, data >> 4], axis=-1).reshape(-1).astype(np.uint64)


def joined(fields: np.ndarray, bits: int) -> np.ndarray:
    """Undoes `split`; a byte that is not full has zeros above."""
    if bits >= 8:
        return fields.astype(f"<u{bits // 8}").view(np.uint8)
    nibbles = np.append(fields, [np.uint64(0)] * (fields.size % 2)).astype(np.uint8)
    return nibbles[0::2] | nibbles[1::2] << 4
