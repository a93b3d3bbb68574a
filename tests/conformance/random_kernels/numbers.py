"""Numbers that know how far off a right answer may be: the reference's tensors.

A `Tensor` is an array of values and, for each, a bound of the error that correct code may make.
Exact arithmetic (integers, and floats whose result is representable) has bound 0; a value that
the language leaves undefined (masked off without a replacement, division by zero, a shift beyond
the width) has bound infinity and is never compared.  So rounding, fused multiply-add, reassociated
sums and wider intermediates pass, and everything else must agree to the bit.
"""

import operator

import numpy as np

from ..arrays import STORAGE, TINY

BITS = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53}  # precision with the leading one
LARGEST = {
    "f16": 65504.0,
    "bf16": 3.3895313892515355e38,
    "f32": 3.4028234663852886e38,
    "f64": 1.7976931348623157e308,
}
FLOATS = tuple(BITS)
REAL = np.longdouble  # holds every float64 and int64, so rounding is seen


class Undecided(Exception):
    """What the kernel does depends on a value that is not known well enough."""


def is_float(dtype: str) -> bool:
    return dtype in BITS


def is_unsigned(dtype: str) -> bool:
    return dtype[0] == "u"


def width(dtype: str) -> int:
    """Bits of an integer type."""
    return int(dtype[1:])


def promote(a: str, b: str) -> str:
    """Triton's type of an operation between tensors."""
    if a == b:
        return a
    if is_float(a) or is_float(b):
        return next((t for t in ("f64", "f32", "f16") if t in (a, b)), "f32")
    if is_unsigned(a) == is_unsigned(b):
        return max(a, b, key=width)
    unsigned, signed = (a, b) if is_unsigned(a) else (b, a)
    return unsigned if width(unsigned) >= width(signed) else signed


def to_precision(values: np.ndarray, dtype: str) -> np.ndarray:
    """REAL numbers rounded to `dtype`, ties to even; beyond its range they become infinite."""
    _, exponent = np.frexp(values)
    finite = np.isfinite(values)
    lowest = int(np.log2(TINY[dtype])) + 1
    quantum = np.ldexp(REAL(1), np.maximum(np.where(finite, exponent, 0), lowest) - BITS[dtype])
    with np.errstate(all="ignore"):
        rounded = np.where(finite, np.rint(values / quantum) * quantum, values)
    return np.where(np.abs(rounded) > LARGEST[dtype], np.copysign(REAL(np.inf), rounded), rounded)


def rounded(dtype: str, values, error, ulps: float = 1.0) -> "Tensor":
    """The tensor of floats that a correctly rounded operation with this exact result makes.

    error: what the operands' errors amount to.  ulps: what the operation itself may be off.
    """
    values = np.asarray(values, REAL)
    error = np.broadcast_to(np.asarray(error, REAL), values.shape)
    near = to_precision(values, dtype)
    with np.errstate(all="ignore"):
        unit = np.ldexp(REAL(1), 1 - BITS[dtype]) * np.maximum(np.abs(values), TINY[dtype])
        near_miss = np.where((near != values) | (error > 0), error + ulps * unit, error)
        near_miss = np.where(np.abs(values) + near_miss > LARGEST[dtype], np.inf, near_miss)
    return Tensor(dtype, near, np.where(np.isfinite(values), near_miss, _special(error)))


def _special(error):
    """An infinity or NaN is right or wrong, never near."""
    return np.where(error > 0, np.inf, 0)


class Tensor:
    """values: REAL for floats, else the storage dtype.  error: a bound for each, 0 or inf for integers."""

    def __init__(self, dtype: str, values, error=0):
        self.dtype = dtype
        self.values = np.asarray(values, REAL if is_float(dtype) else STORAGE[dtype])
        self.error = np.broadcast_to(np.asarray(error, np.float64), self.values.shape)

    @property
    def shape(self):
        return self.values.shape

    def like(self, constant) -> "Tensor":
        """A Python number as a tensor of this type, or `constant` itself."""
        if isinstance(constant, Tensor):
            return constant
        if isinstance(constant, float) and not is_float(self.dtype):
            return Tensor("f32", to_precision(REAL(constant), "f32"))
        if is_float(self.dtype):
            return Tensor(self.dtype, to_precision(REAL(constant), self.dtype))
        return Tensor(self.dtype, np.array(constant).astype(STORAGE[self.dtype]))

    def map(self, function) -> "Tensor":
        """The same numbers in another arrangement."""
        return Tensor(self.dtype, function(self.values), function(self.error))

    def decided(self) -> np.ndarray:
        """The values, where the way on depends on them."""
        if self.error.any():
            raise Undecided
        return self.values

    def __index__(self):
        return int(self.decided())

    def __bool__(self):
        return bool(self.decided())

    def __getitem__(self, key):
        return self.map(lambda a: a[key])

    def to(self, dtype, bitcast: bool = False) -> "Tensor":
        name = str(dtype)
        return bits_as(self, name) if bitcast else cast(self, name)

    def __neg__(self):
        return Tensor(self.dtype, -self.values, self.error)

    def __invert__(self):
        return Tensor(self.dtype, ~self.values, self.error)


def cast(x: Tensor, dtype: str) -> Tensor:
    if dtype == x.dtype:
        return x
    with np.errstate(all="ignore"):
        if is_float(dtype):
            return rounded(dtype, x.values.astype(REAL), x.error)
        if dtype == "i1":
            doubtful = (x.error > 0) & ~(np.abs(x.values) > x.error)
            return Tensor(dtype, x.values != 0, np.where(doubtful, np.inf, 0))
        if not is_float(x.dtype):
            return Tensor(dtype, x.values.astype(STORAGE[dtype]), x.error)
        whole = np.trunc(x.values)
        limits = np.iinfo(STORAGE[dtype])
        low, high = np.trunc(x.values - x.error), np.trunc(x.values + x.error)
        sure = np.isfinite(whole) & (low == high) & (whole >= limits.min) & (whole <= limits.max)
        return Tensor(dtype, np.where(sure, whole, 0).astype(STORAGE[dtype]), np.where(sure, 0, np.inf))


def stored(x: Tensor) -> np.ndarray:
    """The values as they lie in memory."""
    from ..arrays import encode

    return encode(x.dtype, x.values) if is_float(x.dtype) else x.values


def loaded(dtype: str, data: np.ndarray) -> np.ndarray:
    """The opposite of `stored`."""
    if dtype == "bf16":
        data = (data.astype(np.uint32) << 16).view(np.float32)
    return data.astype(REAL) if is_float(dtype) else data


def bits_as(x: Tensor, dtype: str) -> Tensor:
    """The bits of `x` read as another type of the same width; NaN has many."""
    values = loaded(dtype, stored(x).view(STORAGE[dtype]))
    doubt = (x.error > 0) | (np.isnan(x.values) if is_float(x.dtype) else False)
    if is_float(x.dtype):
        doubt |= x.values == 0  # of either sign
    if is_float(dtype):
        doubt |= np.isnan(values)
    return Tensor(dtype, values, np.where(doubt, np.inf, 0))


def arrange(x, y, dtype: str | None = None) -> tuple[Tensor, Tensor]:
    """Both operands as tensors of the common type."""
    x = y.like(x) if not isinstance(x, Tensor) else x
    y = x.like(y)
    common = dtype or promote(x.dtype, y.dtype)
    return cast(x, common), cast(y, common)


def _arithmetic(function, spread):
    """An operator: `function` on values; `spread(x, ex, y, ey)` is the error that operands' errors make."""

    def apply(a, b):
        x, y = arrange(a, b)
        with np.errstate(all="ignore"):
            values = function(x.values, y.values)
            if not is_float(x.dtype):
                return Tensor(x.dtype, values, _either(x, y))
            error = spread(np.abs(x.values), x.error, np.abs(y.values), y.error)
            inexact = (x.error > 0) | (y.error > 0)
            error = np.where(inexact, np.where(np.isnan(error), np.inf, error), 0)
        return rounded(x.dtype, values, error)

    return apply


def _either(x: Tensor, y: Tensor) -> np.ndarray:
    return np.where((x.error > 0) | (y.error > 0), np.inf, 0)


add = _arithmetic(operator.add, lambda x, ex, y, ey: ex + ey)
subtract = _arithmetic(operator.sub, lambda x, ex, y, ey: ex + ey)
multiply = _arithmetic(operator.mul, lambda x, ex, y, ey: x * ey + y * ex + ex * ey)


def _wide(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The operands of a division: narrower floats, and integers, become f32 first."""
    if x.dtype in ("f32", "f64"):
        return x, y
    return cast(x, "f32"), cast(y, "f32")


def divide(a, b) -> Tensor:
    """True division."""
    x, y = _wide(*arrange(a, b))
    with np.errstate(all="ignore"):
        values = x.values / y.values
        room = np.abs(y.values) - y.error
        error = np.where(room > 0, (x.error + np.abs(values) * y.error) / room, np.inf)
    return rounded(x.dtype, values, error, 2)


def _integer_division(wanted_rest: bool):
    def apply(a, b):
        x, y = arrange(a, b)
        if is_float(x.dtype):
            x, y = _wide(x, y)
            with np.errstate(all="ignore"):
                rest = np.fmod(x.values, y.values)
            return Tensor(x.dtype, rest, np.where((x.error > 0) | (y.error > 0) | (y.values == 0), np.inf, 0))
        bad = y.values == 0
        if not is_unsigned(x.dtype):
            bad = bad | ((y.values == -1) & (x.values == np.iinfo(STORAGE[x.dtype]).min))
        divisor = np.where(bad, 1, y.values).astype(y.values.dtype)
        rest = np.fmod(x.values, divisor)
        values = rest if wanted_rest else (x.values - rest) // divisor
        return Tensor(x.dtype, values, np.where(bad, np.inf, _either(x, y)))

    return apply


floor_divide = _integer_division(False)
remainder = _integer_division(True)


def _shift(function):
    def apply(a, b):
        x, y = arrange(a, b)
        bad = (y.values < 0) | (y.values >= width(x.dtype))
        values = function(x.values, np.where(bad, 0, y.values).astype(y.values.dtype))
        return Tensor(x.dtype, values, np.where(bad, np.inf, _either(x, y)))

    return apply


def _compare(function):
    def apply(a, b):
        x, y = arrange(a, b)
        with np.errstate(all="ignore"):
            slack = x.error + y.error
            doubtful = (slack > 0) & ~(np.abs(x.values.astype(REAL) - y.values.astype(REAL)) > slack)
        return Tensor("i1", function(x.values, y.values), np.where(doubtful, np.inf, 0))

    return apply


def extremum(function, a, b) -> Tensor:
    """The larger or smaller of two; with a NaN it depends on the options."""
    x, y = arrange(a, b)
    error = np.maximum(x.error, y.error)
    if is_float(x.dtype):
        error = np.where(np.isnan(x.values) | np.isnan(y.values), np.inf, error)
    with np.errstate(all="ignore"):
        return Tensor(x.dtype, function(x.values, y.values), error)


def select(condition: Tensor, a, b) -> Tensor:
    x, y = arrange(a, b)
    error = np.where(condition.values, x.error, y.error)
    values = np.where(condition.values, x.values, y.values)
    return Tensor(x.dtype, values, np.where(condition.error > 0, np.inf, error))


OPERATORS = {
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "truediv": divide,
    "floordiv": floor_divide,
    "mod": remainder,
    "and": _arithmetic(operator.and_, None),
    "or": _arithmetic(operator.or_, None),
    "xor": _arithmetic(operator.xor, None),
    "lshift": _shift(np.left_shift),
    "rshift": _shift(np.right_shift),
}
for _name, _apply in OPERATORS.items():
    setattr(Tensor, f"__{_name}__", lambda self, other, apply=_apply: _deferred(apply, self, other))
    setattr(Tensor, f"__r{_name}__", lambda self, other, apply=_apply: apply(other, self))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _apply = _compare(getattr(operator, _name))
    setattr(Tensor, f"__{_name}__", lambda self, other, apply=_apply: apply(self, other))
Tensor.__hash__ = object.__hash__


def _deferred(apply, x: Tensor, other):
    """A pointer on the right side handles the operation itself."""
    return apply(x, other) if isinstance(other, (Tensor, int, float)) else NotImplemented
