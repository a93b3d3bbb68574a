"""The remainder of a division, exactly."""

import math

from vertebra.core.mlir import arith, ir, scf, vector
from vertebra.lowering.math_to_arith.emit import Expr, power_of_two, scale, select

_STEP = 48  # bits of the quotient that one step finds
_MOST = 2098  # bits of the longest quotient, of the largest number by the smallest


def remf(x: Expr, y: Expr) -> Expr:
    """x - trunc(x / y) * y, exactly, as C's fmod; the sign is that of x.

    NaN where x is infinite or y is 0; x where y is infinite.
    """
    if x.format.name == "f32":
        return _remainder(x.to("f64"), y.to("f64"), subnormals=False).to("f32")
    return _remainder(x, y, subnormals=True)


def remainder(x: Expr, y: Expr) -> Expr:
    """x - n * y, exactly, with n the integer nearest to x / y, ties to even, as C's remainder.

    NaN where x is infinite or y is 0; x where y is infinite.
    """
    a, b = x.abs(), y.abs()
    r = a._make("arith.remf", b + b)  # an even n is taken off
    # b - r and r - b are exact where they matter.
    above = r > b - r
    r = select(above, r - b, r)
    r = select(above & (r >= b - r), r - b, r)
    return (r.bits() ^ (x.bits() & -1 << (x.format.bits - 1))).from_bits()


def _remainder(x: Expr, y: Expr, *, subnormals: bool) -> Expr:
    """Long division of the significands, `_STEP` bits of the quotient at a time."""
    a, b = x.abs(), y.abs()
    defined = (a < math.inf) & (b > 0.0)
    m, exponent = _significand(a, subnormals)
    d, scaled_by = _significand(b, subnormals)
    bits = select(defined & (b <= a), exponent - scaled_by, 0)
    r = _reduce(select(m < d, m, m - d), d, bits)
    r = select(r < 0.0, r + d, r)
    r = select(a < b, a, scale(r, scaled_by)).copysign(x)
    return select(defined, r, math.nan)


def _significand(a: Expr, subnormals: bool) -> tuple[Expr, Expr]:
    """(m, n) with a = m * 2**n and m an integer, 2**52 <= m < 2**53, for a > 0 finite."""
    form = a.format
    shift = None
    if subnormals:
        tiny = a < form.tiny
        a = select(tiny, a * 2.0 ** (form.fraction_bits + 2), a)
        shift = select(tiny, a.bits().const(form.fraction_bits + 2), 0)
    word = a.bits()
    one = form.bias + form.fraction_bits  # the exponent field where a unit of the fraction is 1
    m = ((word & ((1 << form.fraction_bits) - 1)) | (one << form.fraction_bits)).from_bits()
    n = (word >> form.fraction_bits) - one
    return m, n - shift if subnormals else n


def _reduce(r: Expr, d: Expr, bits: Expr) -> Expr:
    """A number congruent to r * 2**bits modulo d, its magnitude below d; r and d are integers, |r| < d.

    The reciprocal is rounded up by more than all roundings together, so a quotient is exact or one too
    large, never too small, and no remainder reaches d: each is an integer below 2**53, an exact fma.
    """
    inverse = 1.0 / d * (1.0 + 2.0**-51)
    form, most = d.format, bits.const(_STEP)
    # What the loop uses has to exist before it.
    bits.const(form.bias), bits.const(form.fraction_bits)
    loop = scf.ForOp(index_constant(0), largest(bits), index_constant(_STEP), [r.value, bits.value])
    with ir.InsertionPoint(loop.body):
        r, bits = (Expr(v, x.kind) for v, x in zip(loop.inner_iter_args, (r, bits), strict=True))
        now = bits._make("arith.minsi", most)
        wide = r * power_of_two(now)
        quotient = (wide * inverse)._make("math.trunc")
        scf.YieldOp([(-quotient).fma(d, wide).value, (bits - now).value])
    return Expr(loop.results[0], d.kind)


def index_constant(number: int) -> ir.Value:
    return arith.ConstantOp(ir.IndexType.get(), number).result


def largest(bits: Expr) -> ir.Value:
    """The largest element, or what none exceeds, as an index."""
    value = bits.value
    if isinstance(value.type, ir.RankedTensorType):
        return index_constant(_MOST)
    if isinstance(value.type, ir.VectorType):
        if value.type.rank != 1:
            flat = ir.VectorType.get([math.prod(value.type.shape)], bits.kind.element)
            value = vector.shape_cast(flat, value)
        value = vector.reduction(bits.kind.element, vector.CombiningKind.MAXSI, value)
    return arith.index_cast(ir.IndexType.get(), value)
