"""Numbers of the unit's types: exact values, and their conversion to a type with one rounding.

Integers are Python's own (arrays of objects), floats are float64: each type's numbers are exact there,
products of two are too, and sums that are not are made odd, so that a second rounding cannot tie.
"""

import attrs
import numpy as np

from vertebra.plugins.ame.state import DZ, NV, NX, OF, UF
from vertebra.plugins.ame.types import FP16, FP32, RDN, RNE, RNU, Type

_CANONICAL = {16: {5: 0x7E00, 8: 0x7FC0}, 32: {8: 0x7FC00000}}
_FAR = 600  # a power of two by which any number of ours over- or underflows
_WIDE = 64  # a shift that leaves nothing of an integer


@attrs.define
class Flags:
    """What an instruction adds to amefflags and amexsat."""

    float: int = 0
    saturated: bool = False

    def raise_where(self, flag: int, where) -> None:
        if np.any(where):
            self.float |= flag


@attrs.frozen
class Numbers:
    """value: exact, or odd in its last bit where `inexact`.  signalling: NaNs that raise NV when used."""

    value: np.ndarray
    inexact: np.ndarray | bool = False
    signalling: np.ndarray | bool = False

    @property
    def float(self) -> bool:
        return self.value.dtype != object


def decode(bits: np.ndarray, type: Type) -> Numbers:
    """bits: uint64."""
    if not type.float:
        value = bits.astype(object)
        if type.signed:
            half = 1 << (type.bits - 1)
            value = (value ^ half) - half
        return Numbers(value)
    signalling = np.zeros(bits.shape, bool)
    raw = bits.astype(f"<u{type.bits // 8}")
    with np.errstate(invalid="ignore"):
        if type == FP32:
            value = raw.view(np.float32).astype(np.float64)
        elif type == FP16:
            value = raw.view(np.float16).astype(np.float64)
        else:
            value = (raw.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    quiet = np.uint64(1 << (type.bits - type.exponent - 2))
    signalling = np.isnan(value) & (bits & quiet == 0)
    return Numbers(value, False, signalling)


def nan_of(type: Type) -> int:
    return _CANONICAL[type.bits][type.exponent]


def encode(numbers: Numbers, type: Type, flags: Flags) -> np.ndarray:
    """The bits of `numbers` in `type`, rounded once; uint64."""
    flags.raise_where(NV, numbers.signalling)
    if type.float:
        value, inexact = numbers.value, numbers.inexact
        if not numbers.float:
            value, inexact = _odd_doubles(value)
        return _round(value, inexact, type, flags)
    if numbers.float:
        return _integers(numbers, type, flags)
    return _narrow(numbers.value, type, flags)


def _odd_doubles(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers as float64, made odd where there are more than 53 bits."""

    def one(v: int) -> tuple[float, bool]:
        extra = max(0, abs(v).bit_length() - 53)
        kept = abs(v) >> extra
        lost = kept << extra != abs(v)
        result = float((kept | lost) << extra)
        return (result if v >= 0 else -result), lost

    pairs = [one(int(v)) for v in value.reshape(-1)]
    return tuple(np.array([p[i] for p in pairs], (float, bool)[i]).reshape(value.shape) for i in range(2))


def _round(value: np.ndarray, inexact, type: Type, flags: Flags) -> np.ndarray:
    precision = type.bits - type.exponent  # significant bits, the hidden one too
    bias = (1 << (type.exponent - 1)) - 1
    finite = np.where(np.isfinite(value), value, 0.0)
    exponent = np.frexp(finite)[1]
    free = np.ldexp(1.0, exponent - precision)  # the last place, were the exponent not bounded
    step = np.maximum(free, np.ldexp(1.0, 2 - bias - precision))
    rounded = np.rint(finite / step) * step
    over = np.abs(rounded) >= np.ldexp(1.0, bias + 1)
    lost = ((rounded != finite) | inexact) & np.isfinite(value)
    tiny = np.abs(np.rint(finite / free) * free) < np.ldexp(1.0, 1 - bias)
    flags.raise_where(NX, lost | over)
    flags.raise_where(OF, over)
    flags.raise_where(UF, lost & tiny)
    with np.errstate(over="ignore"):
        single = np.where(np.isfinite(value) & ~over, rounded, np.copysign(np.inf, value)).astype(np.float32)
    if type == FP16:
        bits = single.astype(np.float16).view(np.uint16)
    else:
        bits = single.view(np.uint32) >> (32 - type.bits)
    return np.where(np.isnan(value), np.uint64(nan_of(type)), bits.astype(np.uint64))


def _integers(numbers: Numbers, type: Type, flags: Flags) -> np.ndarray:
    """NaN becomes the largest integer, infinities the one of their sign; NV and no NX where out of range."""
    low, high = type.limits
    result = np.zeros(numbers.value.shape, np.uint64)
    mask = (1 << type.bits) - 1
    pairs = np.broadcast_arrays(numbers.value, numbers.inexact)
    for at, (value, inexact) in enumerate(zip(*(p.reshape(-1) for p in pairs), strict=True)):
        if not np.isfinite(value):
            whole = low if value < 0 else high
            flags.float |= NV
            flags.saturated |= type.saturating
        else:
            numerator, denominator = float(value).as_integer_ratio()
            whole = shifted(numerator, -(denominator.bit_length() - 1), type.rounding, sticky=bool(inexact))
            if not low <= whole <= high:
                flags.float |= NV
                flags.saturated |= type.saturating
                whole = min(max(whole, low), high) if type.saturating else whole
            elif whole * denominator != numerator or inexact:
                flags.float |= NX
        result.reshape(-1)[at] = whole & mask
    return result


def shifted(value: int, power: int, rounding: int, *, sticky: bool = False) -> int:
    """value * 2**power as an integer, by a rounding mode; sticky: a bit more than `value` was there."""
    if power >= 0:
        return value << power
    power = -power
    floor = value >> power
    rest, half = value - (floor << power), 1 << (power - 1)
    if rounding == RNU:
        return floor + (rest >= half)
    if rounding == RNE:
        return floor + (rest > half or (rest == half and (sticky or bool(floor & 1))))
    if rounding == RDN:
        return floor
    return floor | (rest != 0 or sticky)


def _narrow(value: np.ndarray, type: Type, flags: Flags) -> np.ndarray:
    low, high = type.limits
    if type.saturating:
        clamped = np.minimum(np.maximum(value, low), high)
        flags.saturated |= bool(np.any(clamped != value))
        value = clamped
    return (value & (1 << type.bits) - 1).astype(np.uint64)


# --- Arithmetic -------------------------------------------------------------------------------


def fused(x: Numbers, y: Numbers, z: Numbers | None, *, minus: bool, flags: Flags) -> Numbers:
    """x * y + z, or z - x * y, exact.  z: None for nothing, which keeps the sign of a zero."""
    if not x.float:
        product = x.value * y.value
        product = -product if minus else product
        return Numbers(product if z is None else product + z.value)
    with np.errstate(invalid="ignore", over="ignore"):
        product = x.value * y.value
        product = -product if minus else product
        addend = np.float64(-0.0) if z is None else z.value
        total = product + addend
        part = total - product
        lost = (product - (total - part)) + (addend - part)
    inexact = np.isfinite(total) & (lost != 0)
    even = inexact & (total.view(np.int64) & 1 == 0)
    total = np.where(even, np.nextafter(total, np.where(lost > 0, np.inf, -np.inf)), total)
    given = [n for n in (x, y, z) if n is not None]
    unknown = np.any(np.broadcast_arrays(*(np.isnan(n.value) for n in given)), axis=0)
    flags.raise_where(NV, np.isnan(total) & ~unknown)
    signalling = np.any(np.broadcast_arrays(*(np.asarray(n.signalling) for n in given)), axis=0)
    return Numbers(total, inexact, signalling)


def scaled(x: Numbers, power: np.ndarray, type: Type) -> Numbers:
    """x * 2**power; integers are rounded by the mode of `type`, to which they go."""
    if x.float:
        clamped = np.clip(power.astype(object), -_FAR, _FAR).astype(np.int64)
        return attrs.evolve(x, value=np.ldexp(x.value, clamped))
    pairs = zip(x.value.reshape(-1), np.broadcast_to(power, x.value.shape).reshape(-1), strict=True)
    done = [shifted(int(v), max(-2 * _WIDE, min(_WIDE, int(p))), type.rounding) for v, p in pairs]
    return Numbers(np.array(done, object).reshape(x.value.shape))


def function(name: str, x: Numbers, flags: Flags) -> Numbers:
    """Functions in float64; the draft leaves the error of all but sqrt and the integral ones open."""
    v = x.value
    with np.errstate(all="ignore"):
        if name in ("floor", "rint", "ceil", "trunc"):
            return attrs.evolve(x, value=getattr(np, name)(v))
        value = {
            "exp2": lambda: np.exp2(v),
            "log2": lambda: np.log2(v),
            "tanh": lambda: np.tanh(v),
            "sqrt": lambda: np.sqrt(v),
            "rec": lambda: 1.0 / v,
            "rsqrt": lambda: 1.0 / np.sqrt(v),
        }[name]()
    if name in ("log2", "rec", "rsqrt"):
        flags.raise_where(DZ, v == 0)
    if name in ("log2", "sqrt", "rsqrt"):
        flags.raise_where(NV, v < 0)
    if name == "sqrt":  # the square of the root, in parts, tells whether it is exact
        return Numbers(value, _inexact_root(v, value), x.signalling)
    return attrs.evolve(x, value=value)


def _inexact_root(v: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Whether `root` squared is not `v`.  v has 24 significant bits, hence an exact root has 12."""
    short = np.ldexp(np.rint(np.ldexp(np.frexp(root)[0], 26)), np.frexp(root)[1] - 26)
    return np.isfinite(root) & ((short != root) | (short * short != v))
