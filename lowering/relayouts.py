"""Tensors in the order of a layout, by reshapes and transpositions: index mappings where they are read.

A layout (vertebra.core.layout) has one mode for each dimension of a tensor.  A tensor lies in it when
its elements, row by row, are at the layout's offsets 0, 1, 2, ...; it has a dimension for each leaf of the
layout, the largest stride first.  The planner says which transposition leads from one to another.
"""

from vertebra.core.layout import Layout, row_major
from vertebra.core.layout.placements import mapping
from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_linalg.shape import reshape, transpose


def relayout(x: ir.Value, source: Layout, destination: Layout) -> ir.Value:
    """`x`, which lies in `source`, in the order of `destination`; both have the same modes."""
    for turn in mapping(source, destination).steps:
        x = reshape(x, turn.split)
        if list(turn.order) != sorted(turn.order):
            x = transpose(x, list(turn.order))
        x = reshape(x, turn.shape)
    return x


def into_layout(x: ir.Value, layout: Layout) -> ir.Value:
    """`x` in the order of `layout`."""
    return relayout(x, row_major(*(mode.size for mode in layout.modes)), layout)


def out_of_layout(x: ir.Value, layout: Layout) -> ir.Value:
    """The inverse: `x` lies in `layout`; the result has a dimension for each of its modes."""
    return relayout(x, layout, row_major(*(mode.size for mode in layout.modes)))
