"""Histograms: results that many elements write to one place of."""

from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, ir, scf, tensor
from vertebra.dialects import tt
from vertebra.lowering.tt_to_linalg import build


@pattern(tt.HistogramOp)
def histogram_to_for(op):
    """out[b] = how many unmasked elements of `src` are b; those outside of the bins count nowhere.

    src: (N,) integers    mask: (N,) i1, optional    out: (bins,) integers
    """
    source, mask = op.operands[0], op.operands[1] if len(op.operands) > 1 else None
    (size,), (bins,) = source.type.shape, op.result.type.shape
    element, count = source.type.element_type, op.result.type.element_type
    zero_count = build.constant(op.result.type, 0)
    loop = scf.ForOp(build.index(0), build.index(size), build.index(1), [zero_count])
    with ir.InsertionPoint(loop.body):
        i, counts = loop.induction_variable, loop.inner_iter_args[0]
        value = tensor.ExtractOp(source, [i]).result
        counted = _below(value, element, bins)
        if mask is not None:
            inside = tensor.ExtractOp(mask, [i]).result
            counted = inside if counted is None else arith.andi(counted, inside)
        place = arith.index_castui(ir.IndexType.get(), value)
        more = build.constant(count, 1)
        if counted is not None:
            place = arith.select(counted, place, build.index(0))
            more = arith.extui(count, counted)
        before = tensor.ExtractOp(counts, [place]).result
        scf.YieldOp([tensor.InsertOp(arith.addi(before, more), counts, [place]).result])
    return loop.results[0]


def _below(value: ir.Value, element: ir.IntegerType, bins: int) -> ir.Value | None:
    """Whether `value`, read as unsigned, is a bin; None where every value of its type is one."""
    if bins >= 1 << element.width:
        return None
    return arith.cmpi(arith.CmpIPredicate.ult, value, build.constant(element, bins))


PATTERNS = (histogram_to_for,)
