"""Matrix products of numbers that share a scale in groups (the OCP microscaling formats)."""

from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, ir
from vertebra.dialects import tt
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.conversion import convert_float, magnitude_bits
from vertebra.lowering.tt_to_linalg.dot import matmul
from vertebra.lowering.tt_to_linalg.shape import broadcast, reshape, transpose


@pattern(tt.DotScaledOp)
def dot_scaled_to_matmul(op):
    """d = (a * scale of a) @ (b * scale of b) + c, computed in f32

    a: ([B,] M, K)    b: ([B,] K, N)    c, d: ([B,] M, N)
    a_scale: ([B,] M, K / group)    b_scale: ([B,] N, K / group)
    e2m1 comes in bytes of two, the first in the low half: along K, or along M (N) where not k_pack.
    Scales are e8m0 in i8 (2**(byte - 127), 255 is NaN) or 8-bit floats.
    Source: OCP Microscaling Formats (MX) specification 1.0.
    """
    rank = len(op.c.type.shape)
    k_a, k_b = rank - 1, rank - 2
    a = _unpack(op.a, op.a_elem_type.keyword, k_a if op.lhs_k_pack.value else rank - 2)
    b = _unpack(op.b, op.b_elem_type.keyword, k_b if op.rhs_k_pack.value else rank - 1)
    if op.a_scale is not None:
        a = arith.mulf(a, _scales(op.a_scale, list(a.type.shape)))
    if op.b_scale is not None:
        swap = [*range(rank - 2), rank - 1, rank - 2]
        across = _scales(op.b_scale, [b.type.shape[d] for d in swap])
        b = arith.mulf(b, transpose(across, swap))
    f32 = build.like(op.c.type, ir.F32Type.get())
    return convert_float(matmul(op, a, b, convert_float(op.c, f32)), op.d.type)


def _unpack(x: ir.Value, form: str, along: int) -> ir.Value:
    """The f32 values of `x`; those of e2m1 are twice as many along dimension `along`."""
    if form != "e2m1":
        return convert_float(x, build.like(x.type, ir.F32Type.get()))
    shape, rank = list(x.type.shape), len(x.type.shape)
    i32 = build.tensor_type([*shape, 2], build.integer(32))
    each = ir.AffineMap.get(rank + 1, 0, [ir.AffineDimExpr.get(d) for d in range(rank)])

    def half(byte):
        place = arith.index_cast(build.integer(8), build.loop_index(rank))
        code = arith.shrui(byte, arith.shli(place, build.constant(byte.type, 2)))
        return arith.extui(i32.element_type, code)

    codes = build.generic(i32, [x], [each], half)
    order = [*range(along + 1), rank, *range(along + 1, rank)]
    codes = transpose(codes, order) if order != list(range(rank + 1)) else codes
    shape[along] *= 2
    return _decode_e2m1(reshape(codes, shape))


def _decode_e2m1(codes: ir.Value) -> ir.Value:
    """f32 of the four low bits: sign, two of exponent with bias 1, one of mantissa; no infinity, no NaN."""
    i32 = codes.type
    bits = magnitude_bits(arith.andi(codes, build.constant(i32, 7)), mantissa=1, bias=1)
    sign = arith.shli(arith.andi(codes, build.constant(i32, 8)), build.constant(i32, 28))
    return arith.bitcast(build.like(i32, ir.F32Type.get()), arith.ori(bits, sign))


def _scales(scale: ir.Value, shape: list[int]) -> ir.Value:
    """`scale` in f32, each repeated along the last dimension to fill `shape`."""
    *rows, groups = scale.type.shape
    values = _decode_scale(scale)
    repeated = broadcast(reshape(values, [*rows, groups, 1]), [*rows, groups, shape[-1] // groups])
    return reshape(repeated, shape)


def _decode_scale(scale: ir.Value) -> ir.Value:
    f32 = build.like(scale.type, ir.F32Type.get())
    if not isinstance(scale.type.element_type, ir.IntegerType):
        return convert_float(scale, f32)
    i32 = build.like(scale.type, build.integer(32))

    def c(value):
        return build.constant(i32, value)

    byte = arith.extui(i32, scale)
    bits = arith.shli(byte, c(23))
    smallest, nan = c(0x00400000), c(0x7FC00000)  # 2**-127 is subnormal
    bits = arith.select(arith.cmpi(arith.CmpIPredicate.eq, byte, c(0)), smallest, bits)
    bits = arith.select(arith.cmpi(arith.CmpIPredicate.eq, byte, c(255)), nan, bits)
    return arith.bitcast(f32, bits)


PATTERNS = (dot_scaled_to_matmul,)
