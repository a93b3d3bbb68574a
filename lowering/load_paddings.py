"""Paddings that Triton has no word for: a mark on a load becomes the load's own attribute.

Triton's enumeration of paddings ends with "nan", so its frontend cannot write any other into a load;
a mark that Triton does not know goes through its passes unharmed.
"""

from vertebra.core.mlir import ir

PADDING = "vertebra.padding"  # on a tt.load: the number of a PaddingOption, as a tensor of one element


def read_marks(module, core, options) -> None:
    """Gives marked loads the padding that the mark names, in place."""
    marked = []

    def visit(op):
        if op.name == "tt.load" and PADDING in op.attributes:
            marked.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in marked:
        (number,) = ir.DenseIntElementsAttr(op.attributes[PADDING])
        op.attributes["padding"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32, op.context), number)
        del op.attributes[PADDING]
