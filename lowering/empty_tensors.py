"""One `tensor.empty` for every use.

Common subexpression elimination leaves one for all.  To bufferisation their users are then versions
of one buffer, and it compares every write with every read of it: time grows with the square of the
number of loops.  Apart, each is a buffer of its own.
"""

from vertebra.core.mlir import ir


def split_empty_tensors(module, core=None, options=None) -> None:
    """Gives every use of a `tensor.empty` its own, beside the old one."""
    found = []

    def visit(op):
        if op.name == "tensor.empty":
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in found:
        for use in list(op.result.uses)[1:]:
            with ir.InsertionPoint(op):
                use.owner.operands[use.operand_number] = op.clone().results[0]
