"""Weights of which two of every four are kept."""

import triton.language as tl
from triton.language.core import builtin

from vertebra.lowering.leave_call import leave_call
from vertebra.plugins.xsmt.language.arguments import (
    described,
    element_of,
    is_block,
    shape_of,
    shown,
    tensor_type,
)


@builtin
def expand(values, mask, _semantic=None, _generator=None):
    """The dense matrix of weights in 4:2 structured sparsity, for `tl.dot(a, smt.expand(values, mask), acc)`

    values: (K / 2, N) integers, two of every four rows of each column, in their order
    mask: (K / 4, N) int8 or uint8, in whose lower half bit p is set for the two rows 4 g + p that are kept
    out: (K, N), elements as values
    A group whose mask has not exactly two bits is all zero.  A core with instructions for such matrices
    multiplies them without making the dense one; every core gives the same numbers.
    `vertebra.plugins.xsmt.weights` makes values and masks of a matrix.  Raises ValueError with both shapes.
    """
    for name, value in (("values", values), ("mask", mask)):
        if not is_block(value) or len(shape_of(value)) != 2 or not element_of(value).is_int():
            raise ValueError(f"smt.expand: {name} is {described(value)}; it has to be a matrix of integers")
    kept, columns = shape_of(values)
    if shape_of(mask) != (kept // 2, columns) or kept % 2:
        groups, width = shape_of(mask)
        raise ValueError(
            f"smt.expand: values are {shown(shape_of(values))}, that is {kept // 2} groups of two rows;"
            f" mask is {shown(shape_of(mask))}; it has to be {kept // 2}x{columns}, or values"
            f" {2 * groups}x{width}"
        )
    if element_of(mask) not in (tl.int8, tl.uint8):
        raise ValueError(f"smt.expand: mask is of {element_of(mask)}; load it as int8 or uint8")
    kind = tensor_type("expand", element_of(values), (2 * kept, columns))
    operands = {"values": values.handle, "mask": mask.handle}
    (handle,) = leave_call(_generator, "xsmt.expand", operands, [kind.to_ir(_semantic.builder)])
    return tl.tensor(handle, kind)
