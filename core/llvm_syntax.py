"""LLVM IR text of the MLIR bindings, brought down to the syntax of the LLVM that compiles it.

The bindings print floating-point constants in the notation of LLVM 24: `f0x3FB8AA3B`
(the bits), `+inf`, `-qnan`, `+nan(0x1)`, `-snan(0x2)`, and a decimal wherever the decimal,
rounded to the constant's type, gives the constant back.  LLVM 22 (llvmlite, and the
clang that assembles) knows none of the words, and takes a decimal only where it is
exact in the constant's type: `float 1.000000e-01` is an error there.
"""

import functools
import re
from fractions import Fraction
from typing import NamedTuple


class _Format(NamedTuple):
    """A binary floating-point format: widths of its fields, and LLVM 22's prefix for its bits."""

    exponent_bits: int
    fraction_bits: int
    prefix: str


# `float` is written with the bits of the double of the same value, hence no prefix of its own.
_FORMATS = {
    "half": _Format(5, 10, "0xH"),
    "bfloat": _Format(8, 7, "0xR"),
    "float": _Format(8, 23, "0x"),
    "double": _Format(11, 52, "0x"),
}

_TYPE = re.compile(r"\b(?:half|bfloat|float|double)\b")

# Strings come first, so that nothing inside one is taken for a constant.  A constant always
# follows a blank; the look-ahead makes the search three times as fast.
_CONSTANT = re.compile(
    r'["\x20](?:(?<=")[^"]*"|(?=[-+f0-9])'
    r"(-?(?:f0x[0-9A-F]+|[0-9]+\.[0-9]+e[+-][0-9]+)|[+-](?:inf\b|qnan\b|s?nan\(0x[0-9A-Fa-f]+\))))"
)


def downgrade(text: str) -> str:
    """LLVM IR `text` as LLVM 24 prints it, in the syntax of LLVM 22; what both share stays as it is."""
    return _CONSTANT.sub(_rewrite, text)


def _rewrite(match: re.Match) -> str:
    literal = match[1]
    if literal is None:
        return match[0]
    text, start = match.string, match.start()
    for kind in _FORMATS:
        if text.endswith(kind, 0, start):
            return _literal(kind, literal)
    # The right operand of `fmul float %x, f0x...` and the like: its type is the last one in the line.
    kinds = _TYPE.findall(text, text.rfind("\n", 0, start) + 1, start)
    return _literal(kinds[-1], literal) if kinds else match[0]


@functools.lru_cache(maxsize=4096)
def _literal(kind: str, literal: str) -> str:
    """A blank and the constant `literal` of type `kind` in the syntax of LLVM 22."""
    form = _FORMATS[kind]
    if "." in literal:
        value = Fraction(literal)
        if kind == "double":
            return f" {literal}"
        bits = _round(value, form, literal.startswith("-"))
        return f" {literal if _value(bits, form) == value else _spell(kind, bits)}"
    return " " + _spell(kind, _special(literal, form))


def _special(literal: str, form: _Format) -> int:
    """The bits of a constant that is written as bits, as an infinity or as a NaN."""
    word = literal.lstrip("+-")
    if word.startswith("f0x"):
        return int(word[3:], 16)
    sign = literal.startswith("-") << (form.exponent_bits + form.fraction_bits)
    infinity = ((1 << form.exponent_bits) - 1) << form.fraction_bits
    quiet = 1 << (form.fraction_bits - 1)
    if word == "inf":
        return sign | infinity
    if word == "qnan":
        return sign | infinity | quiet
    payload = int(word[word.index("(") + 1 : -1], 16)
    return sign | infinity | payload | (0 if word.startswith("snan") else quiet)


def _round(value: Fraction, form: _Format, negative: bool) -> int:
    """The bits of `value` rounded to `form`, ties to even."""
    sign = negative << (form.exponent_bits + form.fraction_bits)
    bias = (1 << (form.exponent_bits - 1)) - 1
    value = abs(value)
    if not value:
        return sign
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > value
    # Subnormals share the smallest exponent; a carry out of the fraction raises the exponent by itself.
    exponent = max(exponent, 1 - bias)
    steps = round(value / Fraction(2) ** (exponent - form.fraction_bits))
    return sign | steps + ((exponent + bias - 1) << form.fraction_bits)


def _value(bits: int, form: _Format) -> Fraction:
    """The finite value of `bits`."""
    fraction = bits & ((1 << form.fraction_bits) - 1)
    exponent = bits >> form.fraction_bits & ((1 << form.exponent_bits) - 1)
    sign = -1 if bits >> (form.exponent_bits + form.fraction_bits) else 1
    if exponent:
        fraction += 1 << form.fraction_bits
    scale = max(exponent, 1) - (1 << (form.exponent_bits - 1)) + 1 - form.fraction_bits
    return sign * fraction * Fraction(2) ** scale


def _spell(kind: str, bits: int) -> str:
    form = _FORMATS[kind]
    if kind == "float":
        bits = _widen(bits)
    return f"{form.prefix}{bits:0{4 if form.prefix != '0x' else 16}X}"


def _widen(bits: int) -> int:
    """The bits of the double that stands for a float's `bits`; a NaN keeps its sign and payload."""
    single, double = _FORMATS["float"], _FORMATS["double"]
    sign, magnitude = bits >> 31 << 63, bits & 0x7FFFFFFF
    if magnitude >= 0x7F800000:
        return sign | 0x7FF << 52 | (magnitude & 0x7FFFFF) << (double.fraction_bits - single.fraction_bits)
    return sign | _round(_value(magnitude, single), double, False)
