"""The `ttx` dialect: running sums and products.

Source: TritonTilingExt of microsoft/triton-shared, for the name and textual form of cumsum; `reverse` and
cumprod are ours.
"""

from typing import TypeVar

from vertebra.core.attributes import BoolAttr, I32Attr, optional
from vertebra.core.dialect import Dialect
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.tt_tensor import check_axis
from vertebra.dialects.tt_types import element_of, shape_of

T = TypeVar("T", bound=ir.RankedTensorType)


class Ttx(Dialect, name="ttx"):
    """Scans in destination-passing style: `outs` says where the result may be put."""


class U32Attr(I32Attr):
    """An unsigned 32-bit integer."""

    @classmethod
    def of(cls, value: int) -> ir.IntegerAttr:
        return ir.IntegerAttr.get(ir.IntegerType.get_unsigned(cls.width), value)


FORM = """attr-dict `ins` `(` $src `:` type($src) `)` `outs` `(` $dst `:` type($dst) `)`
          `->` type($result)"""


def check_scan(op, what: str) -> None:
    """Raises CompileError for an axis that is none, and for elements that are no numbers."""
    check_axis(op, len(shape_of(op.src)))
    element = element_of(op.src)
    if not isinstance(element, ir.IntegerType | ir.FloatType):
        raise CompileError(
            f"{op.operation.name}: {element} cannot be {what}", at=op, fix="use integers or floats"
        )


class CumSumOp(Ttx.Operation, name="cumsum", traits=[ext.Pure]):
    """result[i, j] = src[0, j] + ... + src[i, j], for axis 0; from the last one on if reverse

    src, dst, result: tensors of numbers, of one type; what is in dst does not matter
    axis: ui32
    """

    src: ext.Operand[T]
    dst: ext.Operand[T]
    axis: U32Attr
    result: ext.Result[T]
    reverse = optional(BoolAttr, False)
    assembly = FORM

    @staticmethod
    def verify_invariants(op):
        check_scan(op, "added")
        return True


class CumProdOp(Ttx.Operation, name="cumprod", traits=[ext.Pure]):
    """result[i, j] = src[0, j] * ... * src[i, j], for axis 0; all else as cumsum has it"""

    src: ext.Operand[T]
    dst: ext.Operand[T]
    axis: U32Attr
    result: ext.Result[T]
    reverse = optional(BoolAttr, False)
    assembly = FORM

    @staticmethod
    def verify_invariants(op):
        check_scan(op, "multiplied")
        return True
