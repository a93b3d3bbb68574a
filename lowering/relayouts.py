"""Tensors in the order of a layout, by reshapes and transpositions: index mappings where they are read.

A layout (vertebra.core.layout) has one mode for each dimension of a tensor.  A tensor lies in it when
its elements, row by row, are at the layout's offsets 0, 1, 2, ...
"""

import math

from vertebra.core.layout import Layout
from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_linalg.shape import reshape, transpose


def into_layout(x: ir.Value, layout: Layout) -> ir.Value:
    """`x` in the order of `layout`: one dimension for each of its leaves, the largest stride first."""
    leaves = _leaves(layout)
    order = _order(leaves)
    return transpose(reshape(x, [size for size, *_ in leaves]), order)


def out_of_layout(x: ir.Value, layout: Layout) -> ir.Value:
    """The inverse: `x` lies in `layout`; the result has a dimension for each of its modes."""
    leaves = _leaves(layout)
    order = _order(leaves)
    back = sorted(range(len(order)), key=order.__getitem__)
    lying = reshape(x, [leaves[d][0] for d in order])
    return reshape(transpose(lying, back), [mode.size for mode in layout.modes])


def _leaves(layout: Layout) -> list[tuple]:
    """(size, stride, level) of every leaf, mode by mode, the slowest one of each first."""
    found = []
    for mode in layout.modes:
        levels = [(size, stride, level) for level, (size, stride) in enumerate(mode.flat_modes)]
        found += reversed(levels)
    assert math.prod(size for size, *_ in found) == layout.cosize, f"{layout} leaves places empty"
    return found


def _order(leaves: list[tuple]) -> list[int]:
    """Where strides are equal, all sizes but one are 1: outer levels first, as a packed tensor has them."""
    return sorted(range(len(leaves)), key=lambda d: (-leaves[d][1], -leaves[d][2], d))
