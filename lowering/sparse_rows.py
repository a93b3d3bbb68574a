"""Matrices of which two of every four rows are kept, column by column, expanded to all rows.

    dense[4 g + p, n] = values[2 g, n]        p is the first row that mask[g, n] has, of two
                        values[2 g + 1, n]    p is the second one
                        0                     else, and where the mask has not exactly two bits

values: (2 G, N)    mask: (G, N), the lowest bit for row 4 g, of which the upper four bits do not count
dense: (4 G, N)

The expansion is a linalg.generic like any other, with an attribute by which engines know it.
"""

from vertebra.core.mlir import arith, ir, tensor
from vertebra.lowering.tt_to_linalg import build

SPARSE = "vertebra.two_of_four"
_MASK = 2  # its number among the operands of the generic
_ROWS = 4


def expand_rows(values: ir.Value, mask: ir.Value) -> ir.Value:
    """The dense matrix."""
    (groups, columns), element = mask.type.shape, values.type.element_type
    pairs = tensor.ExpandShapeOp(
        build.tensor_type([groups, 2, columns], element), values, [[0, 1], [2]], [], [groups, 2, columns]
    ).result
    g, n = (ir.AffineDimExpr.get(d) for d in (0, 2))
    kept = [ir.AffineMap.get(3, 0, [g, ir.AffineConstantExpr.get(i), n]) for i in range(2)]
    result = build.tensor_type([groups, _ROWS, columns], element)

    def body(first, second, bits):
        def number(value):
            return build.constant(bits.type, value)

        row = arith.index_cast(bits.type, build.loop_index(1))

        def bit(place):
            return arith.andi(arith.shrui(bits, place), number(1))

        count = number(0)
        for place in range(_ROWS):
            count = arith.addi(count, bit(number(place)))
        below = arith.andi(bits, arith.subi(arith.shli(number(1), row), number(1)))
        chosen = arith.select(arith.cmpi(arith.CmpIPredicate.eq, below, number(0)), first, second)
        present = arith.andi(
            arith.cmpi(arith.CmpIPredicate.eq, count, number(2)),
            arith.cmpi(arith.CmpIPredicate.eq, bit(row), number(1)),
        )
        return arith.select(present, chosen, build.constant(element, 0))

    maps = [*kept, ir.AffineMap.get(3, 0, [g, n])]
    dense = build.generic(result, [pairs, pairs, mask], maps, body)
    dense.owner.attributes[SPARSE] = ir.UnitAttr.get()
    flat = build.tensor_type([groups * _ROWS, columns], element)
    return tensor.CollapseShapeOp(flat, dense, [[0, 1], [2]]).result


def sparse_parts(dense: ir.Value):
    """(the generic that expands `dense`, its values, the number of its mask), or None for other matrices."""
    collapse = dense.owner
    if isinstance(collapse, ir.Block) or collapse.name != "tensor.collapse_shape":
        return None
    generic = collapse.operands[0].owner
    if isinstance(generic, ir.Block) or SPARSE not in generic.attributes:
        return None
    pairs = generic.operands[0].owner
    if isinstance(pairs, ir.Block) or pairs.name != "tensor.expand_shape":
        return None
    return generic.operation, pairs.operands[0], _MASK
