"""Arithmetic on f16 and bf16 for cores whose vector unit does not compute in them.

Each operation is widened to f32 and rounded back, so results are those of the narrow
type, rounded once.  Conversions that the unit lacks become integer arithmetic.
"""

import operator

from vertebra.core.mlir import ir, passmanager
from vertebra.core.target import VectorUnit
from vertebra.lowering.math_to_arith.emit import Expr, Shape, select, wrap

NARROW = ("f16", "bf16")


def _element(type) -> str:
    return str(type.element_type if isinstance(type, ir.ShapedType) else type)


def widen_arithmetic(module, unit: VectorUnit) -> None:
    """Leaves no arithmetic and no conversion on f16 and bf16 that `unit` lacks."""
    lacking = [t for t in NARROW if t not in unit.arithmetic]
    for op in _atomic_sums(module, lacking):
        _sum_by_exchange(op)
    found = _narrow_operations(module)
    if not found or not lacking:
        return
    for op in found:
        if op.name.startswith("math."):
            _widen(op, lacking)
    emulate = f"arith-emulate-unsupported-floats{{source-types={','.join(lacking)} target-type=f32}}"
    passmanager.PassManager.parse(f"builtin.module({emulate})").run(module.operation)
    for op in _narrow_operations(module):
        if op.name in ("arith.extf", "arith.truncf"):
            # Upstream allows to leave out a rounding between two operations; types say that there is one.
            if "fastmath" in op.attributes:
                del op.attributes["fastmath"]
            _convert(op, unit)
    if any(t in unit.conversion for t in lacking):
        for op in _operations(module, tuple(_EXTREMES)):
            _compare(op)


def _operations(module, names: tuple[str, ...]) -> list:
    """Those whose names begin with one of `names`."""
    found = []

    def visit(op):
        if op.name.startswith(names):
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


def _narrow_operations(module) -> list:
    return [
        op
        for op in _operations(module, ("arith.", "math.", "vector.reduction"))
        if any(_element(v.type) in NARROW for v in (*op.operands, *op.results))
    ]


def _atomic_sums(module, lacking: list[str]) -> list:
    found = []

    def visit(op):
        if op.name == "memref.atomic_rmw" and _element(op.operands[0].type) in lacking:
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


def _sum_by_exchange(op) -> None:
    """An atomic addition as compare-and-swap around an addition, which can be widened."""
    value, memref, *at = op.operands
    with ir.InsertionPoint(op), op.location:
        new = ir.Operation.create("memref.generic_atomic_rmw", [value.type], [memref, *at], regions=1)
        block = new.regions[0].blocks.append(value.type)
        with ir.InsertionPoint(block):
            added = ir.Operation.create("arith.addf", [value.type], [block.arguments[0], value])
            ir.Operation.create("memref.atomic_yield", [], [added.result])
    op.results[0].replace_all_uses_with(new.result)
    op.erase()


def _widen(op, lacking: list[str]) -> None:
    """A math operation on f32, between conversions."""
    name = _element(op.results[0].type)
    if name not in lacking:
        return
    with ir.InsertionPoint(op), op.location:
        shape = Shape(op.results[0].type)
        operands = [wrap(v, shape).to("f32").value for v in op.operands]
        wide = ir.Operation.create(op.name, [shape.kind("f32").type], operands)
        op.results[0].replace_all_uses_with(wrap(wide.result, shape).to(name).value)
    op.erase()


def _convert(op, unit: VectorUnit) -> None:
    source, target = _element(op.operands[0].type), _element(op.results[0].type)
    narrow, wide = (source, target) if op.name == "arith.extf" else (target, source)
    if narrow in unit.conversion and wide == "f32":
        return
    with ir.InsertionPoint(op), op.location:
        x = wrap(op.operands[0])
        if op.name == "arith.extf":
            new = x.to("f32") if narrow in unit.conversion else _EXTEND[narrow](x)
            new = new.to(target)
        else:
            single = _round_to_odd(x) if source == "f64" else x
            new = single.to(narrow) if narrow in unit.conversion else _TRUNCATE[narrow](single)
        op.results[0].replace_all_uses_with(new.value)
    op.erase()


def _compare(op) -> None:
    """maxnumf or minnumf as comparisons.

    LLVM turns maxnum of two widened values into maxnum of the narrow ones, for which it then
    calls the C library, lane by lane; narrow comparisons it widens again.  x86 has no instruction
    that drops NaN, so there the code is the same.
    """
    with ir.InsertionPoint(op), op.location:
        shape = Shape(op.results[0].type)
        x, y = (wrap(v, shape) for v in op.operands)
        new = select(y.is_nan(), x, select(_EXTREMES[op.name](x, y), x, y))
        op.results[0].replace_all_uses_with(new.value)
    op.erase()


def _as(x: Expr, name: str, op: str) -> Expr:
    return x._make(op, kind=x.kind.shape.kind(name))


def _bits16(x: Expr) -> Expr:
    """The 16 bits of a narrow float, as i32."""
    return _as(_as(x, "i16", "arith.bitcast"), "i32", "arith.extui")


def _narrow(bits: Expr, name: str) -> Expr:
    return _as(_as(bits, "i16", "arith.trunci"), name, "arith.bitcast")


def _extend_bf16(x: Expr) -> Expr:
    return (_bits16(x) << 16).from_bits()


def _truncate_bf16(x: Expr) -> Expr:
    bits = x.bits()
    odd = bits._make("arith.shrui", 16) & 1
    rounded = (bits + 0x7FFF + odd)._make("arith.shrui", 16)
    quiet = bits._make("arith.shrui", 16) | 0x40
    return _narrow(select(x.is_nan(), quiet, rounded), "bf16")


def _extend_f16(x: Expr) -> Expr:
    """The exponent is rebased by a multiplication, which is exact and makes subnormals normal."""
    half = _bits16(x)
    magnitude = half & 0x7FFF
    number = ((magnitude << 13).from_bits() * 2.0**112).bits()
    special = (magnitude << 13) | 0x7F800000
    sign = (half & 0x8000) << 16
    return (select(magnitude >= 0x7C00, special, number) | sign).from_bits()


def _truncate_f16(x: Expr) -> Expr:
    """Round to nearest, ties to even; subnormal results are rounded by an addition that aligns them."""
    bits = x.bits()
    sign = bits._make("arith.shrui", 16) & 0x8000
    magnitude = bits & 0x7FFFFFFF
    normal = (magnitude + 0xFFF + ((magnitude >> 13) & 1) - (112 << 23)) >> 13
    subnormal = (magnitude.from_bits() + 0.5).bits() - 0x3F000000
    small = select(magnitude < (113 << 23), subnormal, normal)
    finite = select(magnitude >= 0x47800000, magnitude.const(0x7C00), small)
    nan = ((magnitude >> 13) & 0x3FF) | 0x7E00
    return _narrow(select(x.is_nan(), nan, finite) | sign, "f16")


def _round_to_odd(x: Expr) -> Expr:
    """f64 to f32 so that rounding the result again to a narrower type rounds x only once.

    Where the conversion was inexact and gave an even significand, the odd neighbour on
    x's side is taken (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums").
    """
    single = x.to("f32")
    back = single.to("f64")
    bits = single.bits()
    even = (bits & 1).eq(0)
    inexact = x._compare("une", back)
    finite = (bits & 0x7FFFFFFF) < 0x7F800000
    overflowed = bits - 1  # an infinity that was finite: the largest f32, which is odd
    outward = x.abs() > back.abs()
    moved = select(outward, bits + 1, bits - 1)
    fixed = select(even & inexact, moved, bits)
    infinite = (bits & 0x7FFFFFFF).eq(0x7F800000) & inexact
    result = select(finite, fixed, select(infinite, overflowed, bits))
    return select(x.is_nan(), single, result.from_bits())


_EXTREMES = {"arith.maxnumf": operator.gt, "arith.minnumf": operator.lt}
_EXTEND = {"f16": _extend_f16, "bf16": _extend_bf16}
_TRUNCATE = {"f16": _truncate_f16, "bf16": _truncate_bf16}
