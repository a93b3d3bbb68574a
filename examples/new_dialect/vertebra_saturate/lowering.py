"""sat -> arith: added in twice the width, cut off at both ends."""

from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir
from vertebra_saturate.dialect import AddOp


@pattern(AddOp)
def add_to_arith(op):
    kind = op.a.type
    width = getattr(kind, "element_type", kind).width
    wide = _like(kind, 2 * width)
    if op.sign.keyword == "signed":
        total = arith.addi(arith.extsi(wide, op.a), arith.extsi(wide, op.b))
        total = arith.minsi(total, _constant(wide, 2 ** (width - 1) - 1))
        total = arith.maxsi(total, _constant(wide, -(2 ** (width - 1))))
    else:
        total = arith.addi(arith.extui(wide, op.a), arith.extui(wide, op.b))
        total = arith.minui(total, _constant(wide, 2**width - 1))
    return arith.trunci(kind, total)


def _like(kind: ir.Type, width: int) -> ir.Type:
    """`kind` with elements of `width` bits."""
    element = ir.IntegerType.get_signless(width)
    return ir.RankedTensorType.get(kind.shape, element) if isinstance(kind, ir.RankedTensorType) else element


def _constant(kind: ir.Type, number: int) -> ir.Value:
    value = ir.IntegerAttr.get(getattr(kind, "element_type", kind), number)
    if isinstance(kind, ir.RankedTensorType):
        value = ir.DenseElementsAttr.get_splat(kind, value)
    return arith.constant(kind, value)


def lower_additions(module, core, options) -> None:
    """Replaces the operations of sat by upstream ones."""
    apply(module.operation, [add_to_arith])
