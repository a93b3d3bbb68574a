"""Formulas over IR values: what the expansions are written in.

An `Expr` is one IR value (scalar, vector or tensor, floating point or integer) that
computes with Python's operators; numbers beside it become constants of its shape.
Making an operation by name costs 1.3 us, a third of what the generated builders cost.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from vertebra.core.mlir import ir, scf, vector

# Predicates of arith.cmpf: all false on NaN, except une.
_CMPF = {"eq": 1, "gt": 2, "ge": 3, "lt": 4, "le": 5, "une": 13}
# Predicates of arith.cmpi, signed.
_CMPI = {"eq": 0, "ne": 1, "lt": 2, "le": 3, "gt": 4, "ge": 5}


class Format(NamedTuple):
    """A binary floating-point format."""

    name: str
    bits: int
    fraction_bits: int
    bias: int
    round_magic: float  # adding it leaves the integer nearest to x in the low bits of the sum

    @property
    def tiny(self) -> float:
        """The smallest positive normal number."""
        return 2.0 ** (1 - self.bias)

    @property
    def huge(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0**-self.fraction_bits) * 2.0**self.bias


F32 = Format("f32", 32, 23, 127, 1.5 * 2.0**23)
F64 = Format("f64", 64, 52, 1023, 1.5 * 2.0**52)
FORMATS = {"f32": F32, "f64": F64}


class Shape:
    """The types of one shape, one for each element type, and the constants made so far.

    ldexp: the target's instruction that multiplies by powers of two (`core.target.Target.ldexp`), or None.
    """

    def __init__(self, like: ir.Type, ldexp: Callable | None = None):
        self.ldexp = ldexp
        self.like = like if isinstance(like, ir.ShapedType) else None
        self.kinds: dict[str, Kind] = {}

    def kind(self, name: str) -> "Kind":
        found = self.kinds.get(name)
        if found is None:
            found = self.kinds[name] = Kind(self, name)
        return found

    def type_of(self, element: ir.Type) -> ir.Type:
        like = self.like
        if like is None:
            return element
        if isinstance(like, ir.VectorType):
            return ir.VectorType.get(
                like.shape, element, scalable=like.scalable_dims if like.scalable else None
            )
        return ir.RankedTensorType.get(like.shape, element, like.encoding)


class Kind:
    """One shape with one element type."""

    __slots__ = ("constants", "element", "format", "name", "shape", "type")

    def __init__(self, shape: Shape, name: str):
        self.shape = shape
        self.name = name
        self.element = ir.Type.parse(name)
        self.type = shape.type_of(self.element)
        self.format = FORMATS.get(name)
        self.constants: dict[str, Expr] = {}

    def constant(self, number: float | int) -> "Expr":
        """A constant; made once per expansion, so it must first be used where it dominates its users."""
        key = repr(number)  # keeps 0.0 and -0.0 apart, and NaN equal to itself
        found = self.constants.get(key)
        if found is None:
            if self.name[0] == "i":
                attr = ir.IntegerAttr.get(self.element, _signed(int(number), int(self.name[1:])))
            else:
                attr = ir.FloatAttr.get(self.element, number)
            if self.shape.like is not None:
                attr = ir.DenseElementsAttr.get_splat(self.type, attr)
            op = ir.Operation.create("arith.constant", results=[self.type], attributes={"value": attr})
            found = self.constants[key] = Expr(op.result, self)
        return found


def _signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def wrap(value: ir.Value, shape: Shape | None = None) -> "Expr":
    """`value` as an expression; values that meet in a formula must share one `shape`."""
    type_ = value.type
    element = type_.element_type if isinstance(type_, ir.ShapedType) else type_
    return Expr(value, (shape or Shape(type_)).kind(str(element)))


class Expr:
    """A value in a formula.  Comparisons give i1 values, for `select`; they are false on NaN.

    number: of an integer that came from rounding, the same as a floating-point number; else None.
    """

    __slots__ = ("kind", "number", "value")

    def __init__(self, value: ir.Value, kind: Kind, number: "Expr | None" = None):
        self.value = value
        self.kind = kind
        self.number = number

    def _make(
        self, name: str, *operands: "Expr | float | int", kind: Kind | None = None, **attributes
    ) -> "Expr":
        own = self.kind
        kind = kind or own
        values = [self.value]
        values += [(x if isinstance(x, Expr) else own.constant(x)).value for x in operands]
        op = ir.Operation.create(name, results=[kind.type], operands=values, attributes=attributes or None)
        return Expr(op.result, kind)

    @property
    def format(self) -> Format:
        assert self.kind.format is not None, f"{self.kind.name} is no float"
        return self.kind.format

    def const(self, number: float | int) -> "Expr":
        """`number` in this value's type."""
        return self.kind.constant(number)

    # arithmetic, by the kind of the left operand

    def _arith(self, name: str, other, flip: bool = False) -> "Expr":
        suffix = "i" if self.kind.format is None else "f"
        if flip:
            return self.const(other)._make(f"arith.{name}{suffix}", self)
        return self._make(f"arith.{name}{suffix}", other)

    def __add__(self, other):
        return self._arith("add", other)

    def __sub__(self, other):
        return self._arith("sub", other)

    def __mul__(self, other):
        return self._arith("mul", other)

    def __truediv__(self, other):
        return self._arith("div", other)

    def __radd__(self, other):
        return self._arith("add", other, True)

    def __rsub__(self, other):
        return self._arith("sub", other, True)

    def __rmul__(self, other):
        return self._arith("mul", other, True)

    def __rtruediv__(self, other):
        return self._arith("div", other, True)

    def __neg__(self):
        return self._make("arith.negf") if self.kind.format else 0 - self

    def fma(self, b, c) -> "Expr":
        """self * b + c, rounded once."""
        return self._make("math.fma", b, c)

    # integers and truth values

    def __and__(self, other):
        return self._make("arith.andi", other)

    def __or__(self, other):
        return self._make("arith.ori", other)

    def __xor__(self, other):
        return self._make("arith.xori", other)

    def __lshift__(self, other):
        return self._make("arith.shli", other)

    def __rshift__(self, other):
        return self._make("arith.shrsi", other)

    def shift_right_unsigned(self, other) -> "Expr":
        return self._make("arith.shrui", other)

    def __invert__(self):
        return self ^ -1

    # comparisons

    def _compare(self, predicate: str, other) -> "Expr":
        if self.kind.format is None:
            name, number = "arith.cmpi", _CMPI[predicate]
        else:
            name, number = "arith.cmpf", _CMPF[predicate]
        attr = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), number)
        return self._make(name, other, kind=self.kind.shape.kind("i1"), predicate=attr)

    def __lt__(self, other):
        return self._compare("lt", other)

    def __le__(self, other):
        return self._compare("le", other)

    def __gt__(self, other):
        return self._compare("gt", other)

    def __ge__(self, other):
        return self._compare("ge", other)

    def eq(self, other) -> "Expr":
        return self._compare("eq", other)

    def is_nan(self) -> "Expr":
        return self._compare("une", self)

    # floating-point functions that are one instruction, or a few, everywhere

    def abs(self) -> "Expr":
        return self._make("math.absf")

    def sqrt(self) -> "Expr":
        return self._make("math.sqrt")

    def rint(self) -> "Expr":
        """The nearest integer, ties to even."""
        return self._make("math.roundeven")

    def floor(self) -> "Expr":
        return self._make("math.floor")

    def ceil(self) -> "Expr":
        return self._make("math.ceil")

    def trunc(self) -> "Expr":
        return self._make("math.trunc")

    def copysign(self, sign: "Expr") -> "Expr":
        return self._make("math.copysign", sign)

    def at_most(self, limit: float) -> "Expr":
        """min(self, limit); NaN stays NaN."""
        return select(self > limit, limit, self)

    def at_least(self, limit: float) -> "Expr":
        """max(self, limit); NaN stays NaN."""
        return select(self < limit, limit, self)

    # conversions

    def bits(self) -> "Expr":
        """The integer with the same bits."""
        return self._make("arith.bitcast", kind=self.kind.shape.kind(f"i{self.format.bits}"))

    def from_bits(self) -> "Expr":
        """The floating-point number with the same bits."""
        return self._make("arith.bitcast", kind=self.kind.shape.kind("f" + self.kind.name[1:]))

    def to(self, name: str) -> "Expr":
        """This value as element type `name`; integers are signed."""
        if name == self.kind.name:
            return self
        kind = self.kind.shape.kind(name)
        old, new = self.kind.element.width, kind.element.width
        match self.kind.name[0] == "i", name[0] == "i":
            case True, True:
                step = "extsi" if new > old else "trunci"
            case True, False:
                step = "sitofp"
            case False, True:
                step = "fptosi"
            case _:
                step = "extf" if new > old else "truncf"
        return self._make(f"arith.{step}", kind=kind)


def select(condition: Expr, yes, no) -> Expr:
    """`yes` where `condition` holds, else `no`; one of them at least is an expression."""
    kind = yes.kind if isinstance(yes, Expr) else no.kind
    return condition._make(
        "arith.select", *(x if isinstance(x, Expr) else kind.constant(x) for x in (yes, no)), kind=kind
    )


def branch(condition: Expr, rare: Callable, common: Callable, *operands: Expr) -> tuple[Expr, ...]:
    """rare(*operands) where `condition` holds in any lane of a vector, else common(*operands).

    Both return tuples of values of the same kinds, `common` only has to be right where the condition
    does not hold.  Scalars and tensors always take `rare`: a branch would keep loops over them from
    becoming vector code.
    """
    value = condition.value
    if not isinstance(value.type, ir.VectorType):
        return rare(*operands)
    if value.type.rank != 1:
        flat = ir.VectorType.get([math.prod(value.type.shape)], condition.kind.element)
        value = vector.shape_cast(flat, value)
    any_lane = vector.reduction(condition.kind.element, vector.CombiningKind.OR, value)
    chosen = ir.Operation.create("scf.if", results=[], operands=[any_lane], regions=2)
    kinds: list[Kind] = []
    for region, compute in zip(chosen.regions, (rare, common), strict=True):
        # Constants made in one region are unknown outside.
        shape = Shape(operands[0].value.type, operands[0].kind.shape.ldexp)
        with ir.InsertionPoint(region.blocks.append()):
            results = compute(*(wrap(x.value, shape) for x in operands))
            scf.YieldOp([x.value for x in results])
        kinds = [x.kind for x in results]
    # The results' types are known only now.
    final = ir.Operation.create("scf.if", results=[k.type for k in kinds], operands=[any_lane], regions=2)
    for old, new in zip(chosen.regions, final.regions, strict=True):
        old.blocks[0].append_to(new)
    chosen.erase()
    own = operands[0].kind.shape
    return tuple(Expr(v, own.kind(k.name)) for v, k in zip(final.results, kinds, strict=True))


def horner(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    """sum(c[i] * x**i), one fused multiply-add a term."""
    total = x.const(coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total.fma(x, c)
    return total


def power_of_two(n: Expr) -> Expr:
    """2**n for an integer n between the exponents of the smallest and the largest normal number."""
    form = FORMATS["f" + n.kind.name[1:]]
    return ((n + form.bias) << form.fraction_bits).from_bits()


def scale(x: Expr, n: Expr) -> Expr:
    """x * 2**n, rounded once, for x near 1 and n within twice the exponent range.

    By the target's instruction for it, or by two factors, because 2**n itself may be out of range where
    the product is subnormal or finite.
    """
    if (ldexp := x.kind.shape.ldexp) is not None:
        number = n.number if n.number is not None else n.to(x.kind.name)
        if (scaled := ldexp(x.value, number.value)) is not None:
            return Expr(scaled, x.kind)
    half = n >> 1
    return x * power_of_two(half) * power_of_two(n - half)


def round_to_int(x: Expr) -> tuple[Expr, Expr]:
    """The integer nearest to x, as a float and as an integer, for |x| < 2**(fraction_bits - 2)."""
    magic = x.format.round_magic
    return split_rounded(x + magic, magic)


def round_product(x: Expr, factor: float) -> tuple[Expr, Expr]:
    """The integer nearest to x * factor, as `round_to_int`."""
    magic = x.format.round_magic
    return split_rounded(x.fma(factor, magic), magic)


def split_rounded(shifted: Expr, magic: float) -> tuple[Expr, Expr]:
    """The integer in the low bits of `shifted`, which is magic + n."""
    k = shifted - magic
    n = shifted.bits() - magic_bits(shifted.format)
    n.number = k
    return k, n


def magic_bits(form: Format) -> int:
    """The bits of `form.round_magic`: 1.5 at exponent fraction_bits."""
    return ((form.bias + form.fraction_bits) << form.fraction_bits) | 1 << (form.fraction_bits - 1)


def two_sum(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """a + b as its rounded value and the exact rest (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def fast_two_sum(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """a + b as its rounded value and the exact rest, for |a| >= |b| (Dekker)."""
    s = a + b
    return s, b - (s - a)


def two_product(a: Expr, b) -> tuple[Expr, Expr]:
    """a * b as its rounded value and the exact rest."""
    p = a * b
    return p, a.fma(b, -p)


def horner_double(
    x: Expr, x_low: Expr, coefficients: tuple[float, ...], low: tuple[float, ...]
) -> tuple[Expr, Expr]:
    """sum((c[i] + low[i]) * (x + x_low)**i) in two doubles, but for the terms that `low` leaves out.

    What those add up to has to be small beside the others.
    """
    count = len(low)
    total, rest = horner(x, coefficients[count:]), x.const(0.0)
    for c, c_low in zip(coefficients[count - 1 :: -1], low[::-1], strict=True):
        product, lost = two_product(total, x)
        lost = total.fma(x_low, rest.fma(x, lost))
        total, rest = two_sum(product, x.const(c))
        rest = rest + (lost + c_low)
    return total, rest
