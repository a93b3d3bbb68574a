"""libdevice's functions of integers, and its conversions between integers and floats."""

import functools

from vertebra.core.mlir import arith, math
from vertebra.lowering.tt_to_linalg import build

_ROUNDINGS = {"rn": math.roundeven, "rz": math.trunc, "rd": math.floor, "ru": math.ceil}


def resize(result, x):
    """An unsigned integer as integer type `result`."""
    have, want = build.element_of(x.type).width, build.element_of(result).width
    if have == want:
        return x
    return arith.trunci(result, x) if have > want else arith.extui(result, x)


def high_product(x, y, extend):
    """The upper half of x * y, both brought to twice their width by `extend`."""
    width = build.element_of(x.type).width
    wide = build.like(x.type, build.integer(2 * width))
    product = arith.muli(extend(wide, x), extend(wide, y))
    return arith.trunci(x.type, arith.shrui(product, build.constant(wide, width)))


def _find_first_set(result, x):
    """One plus the place of the lowest set bit, 0 where there is none."""
    place = arith.addi(math.cttz(x), build.constant(x.type, 1))
    found = arith.cmpi(arith.CmpIPredicate.ne, x, build.constant(x.type, 0))
    return resize(result, arith.select(found, place, build.constant(x.type, 0)))


def _low_24(x, *, signed: bool):
    shift = build.constant(x.type, 8)
    return (arith.shrsi if signed else arith.shrui)(arith.shli(x, shift), shift)


def _mul24(result, x, y, *, signed: bool):
    """The product of the lower 24 bits, modulo 2**32."""
    return arith.muli(_low_24(x, signed=signed), _low_24(y, signed=signed))


def _reverse_bits(result, x):
    """Neighbours change places: bits, pairs, nibbles, and so on up to halves."""
    width = build.element_of(x.type).width
    step = 1
    while step < width:
        ones = (1 << step) - 1
        mask = build.constant(x.type, sum(ones << place for place in range(0, width, 2 * step)))
        shift = build.constant(x.type, step)
        upper = arith.andi(arith.shrui(x, shift), mask)
        x = arith.ori(upper, arith.shli(arith.andi(x, mask), shift))
        step *= 2
    return x


def _average(result, x, y, *, signed: bool, up: bool):
    """(x + y) / 2 without overflow, halves rounded down, or up."""
    one = build.constant(x.type, 1)
    shift = arith.shrsi if signed else arith.shrui
    half = shift(arith.xori(x, y), one)
    return arith.subi(arith.ori(x, y), half) if up else arith.addi(arith.andi(x, y), half)


def _sum_of_difference(result, x, y, z, *, signed: bool):
    """|x - y| + z, modulo 2**32."""
    larger = (arith.maxsi if signed else arith.maxui)(x, y)
    smaller = (arith.minsi if signed else arith.minui)(x, y)
    return arith.addi(arith.subi(larger, smaller), z)


def _permute_bytes(result, x, y, selector):
    """Byte i of the result is the byte of y:x that bits 4i..4i+2 of `selector` name."""
    wide = build.like(x.type, build.integer(64))
    both = arith.ori(arith.shli(arith.extui(wide, y), build.constant(wide, 32)), arith.extui(wide, x))
    total = build.constant(x.type, 0)
    for i in range(4):
        chosen = arith.andi(arith.shrui(selector, build.constant(x.type, 4 * i)), build.constant(x.type, 7))
        place = arith.extui(wide, arith.muli(chosen, build.constant(x.type, 8)))
        byte = arith.andi(arith.trunci(x.type, arith.shrui(both, place)), build.constant(x.type, 0xFF))
        total = arith.ori(total, arith.shli(byte, build.constant(x.type, 8 * i)))
    return total


def _upper_word(result, x):
    bits = build.like(x.type, build.integer(64))
    return arith.trunci(result, arith.shrui(arith.bitcast(bits, x), build.constant(bits, 32)))


def _lower_word(result, x):
    return arith.trunci(result, arith.bitcast(build.like(x.type, build.integer(64)), x))


def _from_words(result, upper, lower):
    bits = build.like(result, build.integer(64))
    high = arith.shli(arith.extui(bits, upper), build.constant(bits, 32))
    return arith.bitcast(result, arith.ori(high, arith.extui(bits, lower)))


def to_integer(result, x, *, round_by, signed: bool, of_nan: int):
    """x rounded to an integer; beyond the type's range its nearest end, and `of_nan` for NaN."""
    width = build.element_of(result).width
    low = -(2 ** (width - 1)) if signed else 0
    beyond = 2.0 ** (width - 1 if signed else width)  # the first number that is too large
    above = arith.cmpf(arith.CmpFPredicate.OGE, x, build.constant(x.type, beyond))
    below = arith.cmpf(arith.CmpFPredicate.OLT, x, build.constant(x.type, float(low)))
    is_nan = arith.cmpf(arith.CmpFPredicate.UNO, x, x)
    zero = build.constant(x.type, 0.0)
    outside = arith.ori(arith.ori(above, below), is_nan)
    whole = round_by(arith.select(outside, zero, x))
    # A number just below the range's end may round up to it.
    limit = arith.cmpf(arith.CmpFPredicate.OGE, whole, build.constant(x.type, beyond))
    inside = arith.select(limit, zero, whole)
    number = arith.fptosi(result, inside) if signed else arith.fptoui(result, inside)
    number = arith.select(arith.ori(above, limit), build.constant(result, int(beyond) - 1), number)
    number = arith.select(below, build.constant(result, low), number)
    return arith.select(is_nan, build.constant(result, of_nan), number)


def _conversions_to_integers() -> dict:
    """float2int_rn and its kin.  Values for NaN: CUDA Math API, "Type Casting Intrinsics"."""
    found = {}
    kinds = {"int": (32, True), "uint": (32, False), "ll": (64, True), "ull": (64, False)}
    for source in ("float", "double"):
        for target, (width, signed) in kinds.items():
            of_nan = 0 if (source, width) == ("float", 32) else 1 << (width - 1)
            for mode, round_by in _ROUNDINGS.items():
                found[f"{source}2{target}_{mode}"] = functools.partial(
                    to_integer, round_by=round_by, signed=signed, of_nan=of_nan
                )
    return found


FUNCTIONS = {
    "abs": lambda result, x: math.absi(x),
    "llabs": lambda result, x: math.absi(x),
    "clz": lambda result, x: resize(result, math.ctlz(x)),
    "popc": lambda result, x: resize(result, math.ctpop(x)),
    "ffs": _find_first_set,
    "brev": _reverse_bits,
    "byte_perm": _permute_bytes,
    "mulhi": lambda result, x, y: high_product(x, y, arith.extsi),
    "umulhi": lambda result, x, y: high_product(x, y, arith.extui),
    "mul64hi": lambda result, x, y: high_product(x, y, arith.extsi),
    "umul64hi": lambda result, x, y: high_product(x, y, arith.extui),
    "mul24": functools.partial(_mul24, signed=True),
    "umul24": functools.partial(_mul24, signed=False),
    "hadd": functools.partial(_average, signed=True, up=False),
    "uhadd": functools.partial(_average, signed=False, up=False),
    "rhadd": functools.partial(_average, signed=True, up=True),
    "urhadd": functools.partial(_average, signed=False, up=True),
    "sad": functools.partial(_sum_of_difference, signed=True),
    "usad": functools.partial(_sum_of_difference, signed=False),
    "double2hiint": _upper_word,
    "double2loint": _lower_word,
    "hiloint2double": _from_words,
    "float_as_int": arith.bitcast,
    "float_as_uint": arith.bitcast,
    "int_as_float": arith.bitcast,
    "uint_as_float": arith.bitcast,
    "double_as_longlong": arith.bitcast,
    "longlong_as_double": arith.bitcast,
    "int2float_rn": arith.sitofp,
    "int2double_rn": arith.sitofp,
    "ll2float_rn": arith.sitofp,
    "ll2double_rn": arith.sitofp,
    "uint2float_rn": arith.uitofp,
    "uint2double_rn": arith.uitofp,
    "ull2float_rn": arith.uitofp,
    "ull2double_rn": arith.uitofp,
    "llrint": functools.partial(to_integer, round_by=math.roundeven, signed=True, of_nan=-(2**63)),
    "llround": functools.partial(to_integer, round_by=math.round, signed=True, of_nan=-(2**63)),
    **_conversions_to_integers(),
}
