"""What float32 cannot do for float16 and bfloat16: their neighbours, and rounding in a direction.

A float's bits, without the sign, count up with its magnitude.
"""

import functools

from vertebra.core.mlir import arith, ir, math
from vertebra.lowering.tt_to_linalg import build

_LESS, _GREATER = arith.CmpFPredicate.OLT, arith.CmpFPredicate.OGT
_EQUAL, _UNORDERED = arith.CmpFPredicate.OEQ, arith.CmpFPredicate.UNO


def is_narrow(type_: ir.Type) -> bool:
    element = build.element_of(type_)
    return isinstance(element, (ir.F16Type, ir.BF16Type))


def _bits(x):
    return arith.bitcast(build.like(x.type, build.integer(16)), x)


def _is_negative(bits):
    return arith.cmpi(arith.CmpIPredicate.slt, bits, build.constant(bits.type, 0))


def narrow(result, x, *, mode: str):
    """x, a float32, as float16 or bfloat16 `result`, rounded towards zero (rz), down (rd) or up (ru)."""
    nearest = arith.truncf(result, x)
    back, bits = arith.extf(x.type, nearest), _bits(nearest)
    one, minus = build.constant(bits.type, 1), build.constant(bits.type, -1)
    # Where it was rounded to the wrong side, the neighbour on the other one.
    if mode == "rz":
        wrong, step = arith.cmpf(_GREATER, math.absf(back), math.absf(x)), minus
    elif mode == "rd":
        wrong = arith.cmpf(_GREATER, back, x)
        step = arith.select(_is_negative(bits), one, minus)
    else:
        wrong = arith.cmpf(_LESS, back, x)
        step = arith.select(_is_negative(bits), minus, one)
    return arith.bitcast(result, arith.select(wrong, arith.addi(bits, step), bits))


def next_after(result, x, y):
    """The neighbour of x on the way to y, y where they are equal; NaN where one of them is."""
    bits, other = _bits(x), _bits(y)
    one, minus = build.constant(bits.type, 1), build.constant(bits.type, -1)
    # Away from zero where x is not negative and below y, or negative and above.
    outwards = arith.select(_is_negative(bits), arith.cmpf(_GREATER, x, y), arith.cmpf(_LESS, x, y))
    moved = arith.addi(bits, arith.select(outwards, one, minus))
    is_zero = arith.cmpf(_EQUAL, x, build.constant(x.type, 0.0))
    sign = arith.andi(other, build.constant(bits.type, -(2**15)))
    moved = arith.select(is_zero, arith.ori(sign, one), moved)
    moved = arith.select(arith.cmpf(_EQUAL, x, y), other, moved)
    unordered = arith.cmpf(_UNORDERED, x, y)
    return arith.select(unordered, arith.addf(x, y), arith.bitcast(result, moved))


FUNCTIONS = {
    f"float2{kind}_{mode}": functools.partial(narrow, mode=mode)
    for kind in ("half", "bfloat16")
    for mode in ("rz", "rd", "ru")
}
