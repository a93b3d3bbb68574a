"""The `tt` dialect, matrix products."""

from typing import TypeAlias, TypeVar

from vertebra.core.attributes import BoolAttr, I32Attr, optional
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.tt_tensor import check_element, check_shape
from vertebra.dialects.tt_types import (
    InputPrecision,
    ScaleDotElemType,
    Tt,
    element_of,
    shape_of,
    shown,
)

Tensor: TypeAlias = ir.RankedTensorType
Acc = TypeVar("Acc", bound=Tensor)


class DotOp(Tt.Operation, name="dot", traits=[ext.Pure]):
    """d = a @ b + c, for each matrix of a batch

    a: ([B,] M, K)    b: ([B,] K, N)    c, d: ([B,] M, N)
    inputPrecision: how much of f32 operands counts.
    maxNumImpreciseAcc: how many products of 8-bit floats may be summed at lower precision.
    """

    a: ext.Operand[Tensor]
    b: ext.Operand[Tensor]
    c: ext.Operand[Acc]
    d: ext.Result[Acc]
    inputPrecision = optional(InputPrecision, "ieee")
    maxNumImpreciseAcc = optional(I32Attr, 0)
    assembly = """$a `,` $b `,` $c (`,` `inputPrecision` `=` $inputPrecision^)? attr-dict `:`
                  type($a) `*` type($b) `->` type($d)"""

    @staticmethod
    def verify_invariants(op):
        a, b, d = shape_of(op.a), shape_of(op.b), shape_of(op.d)
        if len(a) not in (2, 3) or len(a) != len(b) or a[-1] != b[-2] or a[:-2] != b[:-2]:
            raise CompileError(
                f"tt.dot: a is {shown(a)} and b is {shown(b)}",
                at=op,
                fix="use MxK and KxN, or BxMxK and BxKxN",
            )
        check_shape(op, op.d, [*a[:-1], b[-1]])
        if d and element_of(op.a) != element_of(op.b) and element_of(op.a).width != element_of(op.b).width:
            check_element(op, op.a, op.b)
        return True


class DotScaledOp(Tt.Operation, name="dot_scaled", traits=[ext.Pure]):
    """d = scale(a, a_scale) @ scale(b, b_scale) + c, scaled in blocks of 32 along K

    a: (M, K)    b: (K, N)    c, d: (M, N)    a_scale: (M, K / 32)    b_scale: (N, K / 32)
    a_elem_type, b_elem_type: their formats; e2m1 is packed in pairs into i8, along K if *_k_pack.
    Source of the format: OCP Microscaling Formats (MX) 1.0.
    """

    a: ext.Operand[Tensor]
    b: ext.Operand[Tensor]
    c: ext.Operand[Acc]
    a_elem_type: ScaleDotElemType
    b_elem_type: ScaleDotElemType
    fastMath: BoolAttr
    d: ext.Result[Acc]
    a_scale: ext.Operand[Tensor] | None = None
    b_scale: ext.Operand[Tensor] | None = None
    lhs_k_pack = optional(BoolAttr, True)
    rhs_k_pack = optional(BoolAttr, True)
    assembly = """$a (`scale` $a_scale^)? `,` $b (`scale` $b_scale^)? `,` $c
                  `lhs` `=` $a_elem_type `rhs` `=` $b_elem_type attr-dict
                  `:` type($a) (`,` type($a_scale)^)? `*` type($b) (`,` type($b_scale)^)? `->` type($d)"""


__all__ = [
    "DotOp",
    "DotScaledOp",
]
