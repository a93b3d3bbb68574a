"""Conversion of `fp8e4b15`, the one type that Triton leaves to its back ends.

Sign, four bits of exponent with bias 15, three of mantissa; no infinity and no NaN.  Its
exponent is that of half precision without the top bit, so widening is a shift of
seven.  Narrowing goes through half precision, clamps at 1.75 and rounds the magnitude
to nearest, ties away from zero.  Source: the conversion that Triton ships for NVIDIA
(`triton.language.extra.cuda`), whose results are these.
"""

from triton.language import core


def convert_custom_types(value, dst_type, fp_downcast_rounding=None, _semantic=None):
    """`value`, of which either the type or `dst_type` is fp8e4b15, as `dst_type`.

    Raises AssertionError (a compilation error with Triton's line) for a source that is
    neither fp8e4b15, fp16, bf16 nor fp32.
    """
    if value.type.scalar.is_fp8e4b15():
        return _semantic.cast(_widen(value, _semantic), dst_type)
    source = value.type.scalar
    assert source.is_fp16() or source.is_bf16() or source.is_fp32(), f"no conversion of {source} to fp8e4b15"
    if source.is_bf16():
        value = _semantic.cast(value, core.float32)
    if not value.type.scalar.is_fp16():
        value = _semantic.cast(value, core.float16, "rtz")
    return _narrow(value, dst_type, _semantic)


def _constant(number: int, like, s):
    """`number` as an int16 of the shape of `like`."""
    scalar = s.scalar_constant(number, core.int16)
    return s.splat(scalar, like.shape) if like.type.is_block() else scalar


def _widen(value, s):
    bits = s.cast(s.bitcast(value, core.int8), core.int16)
    magnitude = s.shl(s.and_(bits, _constant(0x7F, bits, s)), _constant(7, bits, s))
    sign = s.and_(bits, _constant(-0x8000, bits, s))  # the cast has copied the sign upwards
    return s.bitcast(s.or_(sign, magnitude), core.float16)


def _narrow(value, dst_type, s):
    bits = s.bitcast(value, core.int16)
    magnitude = s.and_(bits, _constant(0x7FFF, bits, s))
    limit = _constant(0x3F00, bits, s)  # 1.75; magnitudes order as integers do
    magnitude = s.where(s.less_equal(magnitude, limit), magnitude, limit)
    rounded = s.lshr(s.add(magnitude, _constant(0x40, bits, s), False), _constant(7, bits, s))
    sign = s.and_(s.lshr(bits, _constant(8, bits, s)), _constant(0x80, bits, s))
    return s.bitcast(s.cast(s.or_(sign, rounded), core.int8), dst_type.scalar)
