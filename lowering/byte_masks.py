"""i1 tensors that have to exist in memory take a byte an element.

In memory a vector of i1 is packed bits and a scalar i1 is a byte; as bytes both agree.
"""

import numpy as np

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
    """Rewrites what holds tensors of i1 in memory, in place: control flow, insertions, and constants."""
    found = []

    def visit(op):
        if op.name == "arith.constant":
            if _is_mask(op.results[0]) and not ir.DenseElementsAttr(op.attributes["value"]).is_splat:
                found.append(op.operation)
        elif op.name == "tensor.insert_slice" or (op.name.startswith("scf.") and len(op.regions)):
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in found:
        if op.name == "arith.constant":
            _widen_constant(op)
        else:
            _widen(op)


def _widen_constant(op) -> None:
    attr = ir.DenseElementsAttr(op.attributes["value"])
    shape = attr.type.shape
    bits = np.array(list(ir.DenseIntElementsAttr(attr)), np.int8).reshape(shape)
    i8 = ir.IntegerType.get_signless(8)
    op.attributes["value"] = ir.DenseElementsAttr.get(bits, type=ir.RankedTensorType.get(shape, i8))
    with op.location:
        _widen_values(op.results, ir.InsertionPoint.after(op))


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
