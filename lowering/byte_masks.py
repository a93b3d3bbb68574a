"""i1 tensors that travel through control flow take a byte an element.

In memory a vector of i1 is packed bits and a scalar i1 is a byte; as bytes both agree.
"""

from vertebra.core.mlir import ir


def _is_mask(value) -> bool:
    type = value.type
    if not isinstance(type, ir.RankedTensorType):
        return False
    return isinstance(type.element_type, ir.IntegerType) and type.element_type.width == 1


def _as(value, bits: int):
    type = ir.RankedTensorType.get(value.type.shape, ir.IntegerType.get_signless(bits))
    return ir.Operation.create("arith.extui" if bits == 8 else "arith.trunci", [type], [value]).result


def widen_carried_masks(module, core=None, options=None) -> None:
    """Rewrites every scf operation that carries tensors of i1, in place."""
    found = []

    def visit(op):
        if op.name.startswith("scf.") and len(op.regions):
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in found:
        _widen(op)


def _widen(op) -> None:
    with op.location:
        with ir.InsertionPoint(op):
            _widen_operands(op)
        for region in op.regions:
            for block in region.blocks:
                _widen_values(block.arguments, ir.InsertionPoint.at_block_begin(block))
                *_, last = block.operations
                with ir.InsertionPoint(last):
                    _widen_operands(last.operation)
        _widen_values(op.results, ir.InsertionPoint.after(op))


def _widen_operands(op) -> None:
    for i, value in enumerate(op.operands):
        if _is_mask(value):
            op.operands[i] = _as(value, 8)


def _widen_values(values, where) -> None:
    for value in values:
        if _is_mask(value):
            value.set_type(ir.RankedTensorType.get(value.type.shape, ir.IntegerType.get_signless(8)))
            with where:
                narrow = _as(value, 1)
            value.replace_all_uses_except(narrow, narrow.owner.operation)
