"""Which values the elements of an integer tensor can have, as far as the operations that make it show."""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.operations import producer

Range = tuple[int, int]  # least and greatest, both included, of the signed values
_SHAPE_OPS = {
    "tensor.expand_shape",
    "tensor.collapse_shape",
    "tensor.cast",
    "tensor.extract_slice",
    "tensor.splat",
    "linalg.transpose",
    "linalg.broadcast",
    "linalg.fill",
}
_DEEPEST = 12


def element_range(value, depth: int = 0) -> Range:
    """value: a tensor, or a scalar, of signless integers."""
    type = value.type.element_type if isinstance(value.type, ir.ShapedType) else value.type
    whole = (-(1 << (type.width - 1)), (1 << (type.width - 1)) - 1)
    op = producer(value)
    if op is None or depth > _DEEPEST:
        return whole
    if op.name in _SHAPE_OPS:
        return element_range(op.operands[0], depth + 1)
    if op.name == "arith.constant":
        return _constant(op.attributes["value"]) or whole
    if op.name not in _RULES:
        return whole
    found = _RULES[op.name](type.width, *[element_range(v, depth + 1) for v in op.operands])
    return found if found and whole[0] <= found[0] and found[1] <= whole[1] else whole


def _constant(attribute) -> Range | None:
    if isinstance(attribute, ir.DenseElementsAttr):
        if not attribute.is_splat:
            return None
        attribute = attribute.get_splat_value()
    number = ir.IntegerAttr(attribute)
    # A one-bit attribute reads as -1 or 1.
    return (number.value, number.value) if number.type.width > 1 else None


def _and(width: int, a: Range, b: Range) -> Range | None:
    tops = [top for low, top in (a, b) if low >= 0]
    return (0, min(tops)) if tops else None


def _shift(width: int, a: Range, by: Range) -> Range | None:
    """To the right, with copies of the sign."""
    return (a[0] >> by[0], a[1] >> by[0]) if by[0] == by[1] and 0 <= by[0] < width else None


def _shift_zeros(width: int, a: Range, by: Range) -> Range | None:
    if a[0] >= 0:
        return _shift(width, a, by)
    return (0, ((1 << width) - 1) >> by[0]) if by[0] == by[1] and 0 < by[0] < width else None


_RULES = {
    "arith.andi": _and,
    "arith.shrsi": _shift,
    "arith.shrui": _shift_zeros,
    "arith.addi": lambda width, a, b: (a[0] + b[0], a[1] + b[1]),
    "arith.subi": lambda width, a, b: (a[0] - b[1], a[1] - b[0]),
    "arith.minsi": lambda width, a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "arith.maxsi": lambda width, a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "arith.extsi": lambda width, a: a,
    "arith.extui": lambda width, a: a if a[0] >= 0 else None,
    "arith.trunci": lambda width, a: a,
}
