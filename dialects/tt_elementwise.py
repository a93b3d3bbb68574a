"""The `tt` dialect, arithmetic, element by element."""

from collections.abc import Sequence
from typing import Any, TypeVar

from vertebra.core.attributes import BoolAttr, I32Attr, StrAttr, optional
from vertebra.core.mlir import ext
from vertebra.dialects.tt_tensor import ONE_TO_ONE, check_shape
from vertebra.dialects.tt_types import (
    PropagateNan,
    RoundingMode,
    Tt,
    shape_of,
)

T = TypeVar("T", bound=Any)


class BitcastOp(Tt.Operation, name="bitcast", traits=[ext.Pure]):
    """result = the bits of src as another type of that width; pointers too

    src, result: the same shape
    """

    src: ext.Operand[Any]
    result: ext.Result[Any]
    assembly = ONE_TO_ONE

    @staticmethod
    def verify_invariants(op):
        check_shape(op, op.result, shape_of(op.src))
        return True


class FpToFpOp(Tt.Operation, name="fp_to_fp", traits=[ext.Pure]):
    """result = src in another floating-point type, rounded as `rounding` says

    src, result: the same shape    rounding: needed when the result is narrower
    """

    src: ext.Operand[Any]
    result: ext.Result[Any]
    rounding = optional(RoundingMode)
    assembly = "$src attr-dict (`,` `rounding` `=` $rounding^)? `:` type($src) `->` type($result)"

    @staticmethod
    def verify_invariants(op):
        check_shape(op, op.result, shape_of(op.src))
        return True


class ClampFOp(Tt.Operation, name="clampf", traits=[ext.Pure]):
    """result = min(max(x, min), max)

    all: one floating-point type    propagateNan: all = NaN where x is NaN, none = undefined there
    """

    x: ext.Operand[T]
    min: ext.Operand[T]
    max: ext.Operand[T]
    propagateNan: PropagateNan
    result: ext.Result[T]
    assembly = "$x `,` $min `,` $max `,` `propagateNan` `=` $propagateNan attr-dict `:` type($result)"


class PreciseSqrtOp(Tt.Operation, name="precise_sqrt", traits=[ext.Pure]):
    """result = the square root of x, correctly rounded

    x, result: one floating-point type
    """

    x: ext.Operand[T]
    result: ext.Result[T]
    assembly = "$x attr-dict `:` type($x)"


class PreciseDivFOp(Tt.Operation, name="precise_divf", traits=[ext.Pure]):
    """result = x / y, correctly rounded

    x, y, result: one floating-point type
    """

    x: ext.Operand[T]
    y: ext.Operand[T]
    result: ext.Result[T]
    assembly = "$x `,` $y attr-dict `:` type($x)"


class MulhiUIOp(Tt.Operation, name="mulhiui", traits=[ext.Pure]):
    """result = the upper half of the unsigned product x * y

    x, y, result: one integer type
    """

    x: ext.Operand[T]
    y: ext.Operand[T]
    result: ext.Result[T]
    assembly = "$x `,` $y attr-dict `:` type($x)"


class ExternElementwiseOp(Tt.Operation, name="extern_elementwise"):
    """result = symbol(srcs...), a function of the library libname, element by element

    srcs, result: one shape    pure: the function has no side effects
    """

    srcs: Sequence[ext.Operand[Any]]
    libname: StrAttr
    libpath: StrAttr
    symbol: StrAttr
    pure: BoolAttr
    result: ext.Result[Any]
    assembly = "operands attr-dict `:` functional-type(operands, results)"


class ElementwiseInlineAsmOp(Tt.Operation, name="elementwise_inline_asm"):
    """result = what the assembly text computes of args, packed_element elements at a time

    args, result: one shape    constraints: as LLVM's    pure: it has no side effects
    """

    asm_string: StrAttr
    constraints: StrAttr
    pure: BoolAttr
    packed_element: I32Attr
    args: Sequence[ext.Operand[Any]]
    result: Sequence[ext.Result[Any]]
    assembly = "$asm_string attr-dict ($args^ `:` type($args))? `->` type($result)"


__all__ = [
    "BitcastOp",
    "ClampFOp",
    "ElementwiseInlineAsmOp",
    "ExternElementwiseOp",
    "FpToFpOp",
    "MulhiUIOp",
    "PreciseDivFOp",
    "PreciseSqrtOp",
]
