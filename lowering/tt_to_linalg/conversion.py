"""Conversions between float types, 8-bit ones included."""

import struct

import attrs

from vertebra.core.errors import CompileError
from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, ir, math
from vertebra.dialects import tt
from vertebra.lowering.tt_to_linalg import build

_IGT, _IEQ = arith.CmpIPredicate.ugt, arith.CmpIPredicate.eq
_ILT, _IGE = arith.CmpIPredicate.ult, arith.CmpIPredicate.uge


@attrs.frozen
class Float8:
    """An 8-bit float format: sign, exponent, mantissa.

    mantissa: its bits.  bias: of the exponent.  largest, nan: codes without the sign, except that
    `nan` is the whole byte where `unsigned_zero`: then the code of -0 is the only NaN.
    infinity: its code without the sign, where there is one.
    Source: OCP 8-bit floating point specification 1.0; the FNUZ formats, arXiv:2206.02915.
    """

    mantissa: int
    bias: int
    largest: int
    nan: int
    infinity: int | None = None
    unsigned_zero: bool = False


FORMATS = {
    "f8E5M2": Float8(mantissa=2, bias=15, largest=0x7B, nan=0x7F, infinity=0x7C),
    "f8E4M3FN": Float8(mantissa=3, bias=7, largest=0x7E, nan=0x7F),
    "f8E5M2FNUZ": Float8(mantissa=2, bias=16, largest=0x7F, nan=0x80, unsigned_zero=True),
    "f8E4M3FNUZ": Float8(mantissa=3, bias=8, largest=0x7F, nan=0x80, unsigned_zero=True),
}


@pattern(tt.FpToFpOp)
def fp_to_fp_to_arith(op):
    rounding = "rtne" if op.rounding is None else op.rounding.keyword
    if rounding not in ("rtne", "rtz"):
        raise CompileError(
            f"tt.fp_to_fp: rounding {rounding} is not supported", at=op, fix="round by rtne or rtz"
        )
    for side in (op.src.type, op.result.type):
        element = build.element_of(side)
        if element.width < 16 and not is_float8(element):
            raise CompileError(
                f"tt.fp_to_fp: type {element} is not supported",
                at=op,
                fix=f"convert through one of {', '.join(FORMATS)}, f16, bf16, f32, f64",
            )
    return convert_float(op.src, op.result.type, rounding)


def is_float8(element: ir.Type) -> bool:
    return str(element) in FORMATS


def convert_float(x: ir.Value, to: ir.Type, rounding: str = "rtne") -> ir.Value:
    """`x` as type `to`, a float or a tensor of floats of the same shape.

    rounding: "rtne" (to nearest, ties to even) or "rtz" (towards zero).
    Values beyond an 8-bit format's range become its largest finite value, infinities too, as
    the saturating conversions of GPUs do; beyond the range of wider formats they become
    infinities under rtne.
    """
    have, want = build.element_of(x.type), build.element_of(to)
    if have == want:
        return x
    if is_float8(have):
        return convert_float(_decode(x, FORMATS[str(have)]), to, rounding)
    if is_float8(want):
        single = _to_single(x, build.like(to, ir.F32Type.get()), rounding)
        return _encode(single, to, FORMATS[str(want)], rounding)
    if want.width > have.width:
        return arith.extf(to, x)
    if want.width == have.width:  # f16 and bf16: through the type that holds both
        return convert_float(arith.extf(build.like(to, ir.F32Type.get()), x), to, rounding)
    return arith.truncf(to, x) if rounding == "rtne" else _truncate_towards_zero(x, to)


def _to_single(x: ir.Value, to: ir.Type, rounding: str) -> ir.Value:
    """f32 of `x` for another rounding after this one.

    An f64 is rounded to odd: what is not exact gets a last bit of one, so that it is neither taken
    for a number of the narrow format nor for the middle between two.
    """
    if build.element_of(x.type).width <= 32:
        return convert_float(x, to)
    rounded = _truncate_towards_zero(x, to)
    if rounding == "rtz":
        return rounded
    bits = _integers(to, 32)
    inexact = arith.cmpf(arith.CmpFPredicate.UNE, arith.extf(x.type, rounded), x)
    return arith.bitcast(to, arith.ori(arith.bitcast(bits, rounded), arith.extui(bits, inexact)))


def _truncate_towards_zero(x: ir.Value, to: ir.Type) -> ir.Value:
    """Rounds to nearest, then steps back by one where that went away from zero.

    Machines round by a mode that is not ours to change, so the direction cannot be asked for.
    """
    rounded = arith.truncf(to, x)
    back = arith.extf(x.type, rounded)
    beyond = arith.cmpf(arith.CmpFPredicate.OGT, math.absf(back), math.absf(x))
    bits = _integers(to, build.element_of(to).width)
    code = arith.bitcast(bits, rounded)
    stepped = arith.subi(code, build.constant(bits, 1))
    return arith.bitcast(to, arith.select(beyond, stepped, code))


def _integers(type: ir.Type, width: int) -> ir.Type:
    return build.like(type, build.integer(width))


def _bits_of(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def magnitude_bits(code: ir.Value, mantissa: int, bias: int) -> ir.Value:
    """The bits of the f32 that an unsigned code of exponent and mantissa stands for, as i32.

    The code moves under f32's exponent and the difference of the biases is multiplied back.
    """
    i32, f32 = code.type, build.like(code.type, ir.F32Type.get())
    moved = arith.bitcast(f32, arith.shli(code, build.constant(i32, 23 - mantissa)))
    return arith.bitcast(i32, arith.mulf(moved, build.constant(f32, 2.0 ** (127 - bias))))


def _decode(x: ir.Value, form: Float8) -> ir.Value:
    """f32 of the same value."""
    i32, f32 = _integers(x.type, 32), build.like(x.type, ir.F32Type.get())

    def c(value):
        return build.constant(i32, value)

    byte = arith.extui(i32, arith.bitcast(_integers(x.type, 8), x))
    code = arith.andi(byte, c(0x7F))
    bits = magnitude_bits(code, form.mantissa, form.bias)
    if form.infinity is not None:
        special = arith.ori(bits, c(0x7F800000))  # keeps the mantissa, so NaN stays NaN
        bits = arith.select(arith.cmpi(_IGE, code, c(form.infinity)), special, bits)
    else:
        is_nan = arith.cmpi(_IEQ, byte if form.unsigned_zero else code, c(form.nan))
        bits = arith.select(is_nan, c(0x7FC00000), bits)
    sign = arith.shli(arith.andi(byte, c(0x80)), c(24))
    return arith.bitcast(f32, arith.ori(bits, sign))


def _encode(x: ir.Value, to: ir.Type, form: Float8, rounding: str) -> ir.Value:
    """The format's code of f32 `x`, saturating."""
    i32, f32 = _integers(x.type, 32), x.type

    def c(value):
        return build.constant(i32, value)

    bits = arith.bitcast(i32, x)
    magnitude = arith.andi(bits, c(0x7FFFFFFF))
    drop = 23 - form.mantissa
    kept = magnitude
    if rounding == "rtne":
        odd = arith.andi(arith.shrui(magnitude, c(drop)), c(1))
        kept = arith.addi(arith.addi(magnitude, c((1 << (drop - 1)) - 1)), odd)
    normal = arith.subi(arith.shrui(kept, c(drop)), c((127 - form.bias) << form.mantissa))
    # Below the smallest normal the step is constant: adding a number whose own last bit is
    # one step rounds to it, and multiplying by the inverse of a step counts the whole ones.
    step = 2.0 ** (1 - form.bias - form.mantissa)
    positive = arith.bitcast(f32, magnitude)
    if rounding == "rtne":
        anchor = step * 2.0**23
        shifted = arith.addf(positive, build.constant(f32, anchor))
        small = arith.subi(arith.bitcast(i32, shifted), c(_bits_of(anchor)))
    else:
        tiny_only = arith.minimumf(positive, build.constant(f32, 2.0 ** (1 - form.bias)))
        small = arith.fptosi(i32, arith.mulf(tiny_only, build.constant(f32, 1 / step)))
    is_small = arith.cmpi(_ILT, magnitude, c(_bits_of(2.0 ** (1 - form.bias))))
    code = arith.minui(arith.select(is_small, small, normal), c(form.largest))
    sign = arith.andi(arith.shrui(bits, c(24)), c(0x80))
    is_nan = arith.cmpi(_IGT, magnitude, c(0x7F800000))
    if form.unsigned_zero:
        sign = arith.select(arith.cmpi(_IEQ, code, c(0)), c(0), sign)
        code = arith.select(is_nan, c(form.nan), arith.ori(code, sign))
    else:
        code = arith.ori(arith.select(is_nan, c(form.nan), code), sign)
    return arith.bitcast(to, arith.trunci(_integers(to, 8), code))


PATTERNS = (fp_to_fp_to_arith,)
