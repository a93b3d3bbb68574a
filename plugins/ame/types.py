"""Element types as the unit describes them: 32 bits that a register carries along."""

import functools

import attrs

_CUSTOM, _SIGNED, _SATURATE, _FLOAT = 1 << 31, 1 << 30, 1 << 29, 1 << 8
RNU, RNE, RDN, ROD = range(4)
_INTEGER_WIDTHS = (4, 8, 16, 32)
SCALAR_WIDTHS = (*_INTEGER_WIDTHS, 64)  # what a scalar in an X register may be


@attrs.frozen
class Type:
    """A type by its code; two types are equal where all 32 bits are.

    Integers have a rounding mode, for results with a fraction, and saturate or wrap; floats round to
    nearest even.  exponent: bits of a float's exponent.
    """

    code: int

    @property
    def bits(self) -> int:
        return self.code & 0xFF

    @property
    def float(self) -> bool:
        return bool(self.code & _FLOAT)

    @property
    def signed(self) -> bool:
        return bool(self.code & _SIGNED)

    @property
    def saturating(self) -> bool:
        return bool(self.code & _SATURATE)

    @property
    def rounding(self) -> int:
        return self.code >> 27 & 3

    @property
    def exponent(self) -> int:
        return self.code >> 26 & 31

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest integer."""
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1


def integer(bits: int, *, signed: bool = True, saturate: bool = False, rounding: int = RNU) -> Type:
    return Type(bits | signed * _SIGNED | saturate * _SATURATE | rounding << 27)


# What every implementation here knows.  Name -> type; integers with other modes besides.
FP16, BF16, FP32 = Type(0x14300110), Type(0x20300110), Type(0x20300120)
INT8, UINT8, INT32 = integer(8), integer(8, signed=False), integer(32)
INT8_SAT = integer(8, saturate=True, rounding=RNE)
INT32_SAT = integer(32, saturate=True)
FLOATS = (FP16, BF16, FP32)
# LLVM's names of element types, "ui8" for an unsigned one.
NAMED = {"i8": INT8, "ui8": UINT8, "i32": INT32, "f16": FP16, "bf16": BF16, "f32": FP32}
# What products take: integers of these widths with sums of 32 bits, and floats with sums of these types.
PRODUCT_INTEGERS = (4, 8)
PRODUCT_FLOATS = {FP16: (FP32, FP16), BF16: (FP32, BF16), FP32: (FP32,)}


@functools.cache
def type_of(code: int, *, scalar: bool = False) -> Type | None:
    """The type of a code; None where the profile does not have it.  scalar: in an X register."""
    found = Type(code & 0xFFFFFFFF)
    if found.float:
        return found if found in FLOATS else None
    widths = SCALAR_WIDTHS if scalar else _INTEGER_WIDTHS
    rest = found.code & ~(_SIGNED | _SATURATE | 3 << 27 | 0xFF)
    return found if found.bits in widths and not rest else None


def multiplies(a: Type, b: Type, acc: Type) -> bool:
    """Whether products of `a` and `b` are summed up in `acc`."""
    if a.float or b.float:
        return a == b and acc in PRODUCT_FLOATS[a]
    modes = (a, b)
    plain = all(t.bits in PRODUCT_INTEGERS and t == integer(t.bits, signed=t.signed) for t in modes)
    return plain and acc in (INT32, INT32_SAT)
