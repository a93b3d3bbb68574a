"""Layouts as values, and plans that move a tile from any layout to any other.

A layout says where each element of a tile lies, or which thread holds it.  `Layout` and the algebra
are plain integer functions; `names.operand` finds what plugins declare, and `planner.plans` gives the
ways from one operand to another, cheapest first, as data that runs on byte arrays.
"""

from vertebra.core.layout.algebra import (
    coalesce,
    complement,
    composition,
)
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.inverse import left_inverse, right_inverse
from vertebra.core.layout.layout import Layout, join, row_major
from vertebra.core.layout.linear import Linear, linear
from vertebra.core.layout.operand import Family, Operand, Space
from vertebra.core.layout.owners import Owners, make_tiled_copy, retile
from vertebra.core.layout.swizzle import Composed, Xor, swizzled
from vertebra.core.layout.symbol import Sym, basis

__all__ = [
    "Composed",
    "Family",
    "Layout",
    "LayoutError",
    "Linear",
    "Operand",
    "Owners",
    "Space",
    "Sym",
    "Xor",
    "basis",
    "coalesce",
    "complement",
    "composition",
    "join",
    "left_inverse",
    "linear",
    "make_tiled_copy",
    "retile",
    "right_inverse",
    "row_major",
    "swizzled",
]
