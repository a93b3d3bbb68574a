"""The `tt` dialect: tensors as values."""

from math import prod
from typing import Any, TypeAlias, TypeVar

from vertebra.core.attributes import I32ArrayAttr, I32Attr, UnitAttr, optional
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.tt_types import (
    Tt,
    element_of,
    element_text,
    shape_of,
    shape_text,
    shown,
)

Tensor: TypeAlias = ir.RankedTensorType
T = TypeVar("T", bound=Any)
Side = TypeVar("Side", bound=Tensor)
Acc = TypeVar("Acc", bound=Tensor)

ONE_TO_ONE = "$src attr-dict `:` type($src) `->` type($result)"


def check_element(op, *values) -> None:
    """Raises CompileError unless all values have one element type."""
    types = [element_of(v) for v in values]
    if any(t != types[0] for t in types):
        raise CompileError(
            f"{op.operation.name}: element types differ: {', '.join(map(str, types))}",
            at=op,
            fix=f"convert to {types[0]} first",
        )


def check_shape(op, value, wanted: list[int]) -> None:
    """Raises CompileError unless `value` has the shape `wanted`."""
    if shape_of(value) != wanted:
        raise CompileError(
            f"{op.operation.name}: the result is {shown(shape_of(value))}, it has to be {shown(wanted)}",
            at=op,
        )


def check_axis(op, rank: int) -> int:
    """The attribute `axis`.  Raises CompileError where it is not a dimension."""
    axis = op.axis.value
    if not 0 <= axis < rank:
        raise CompileError(
            f"{op.operation.name}: axis {axis} of {rank} dimensions", at=op, fix=f"use 0 to {rank - 1}"
        )
    return axis


# -- making tensors, and changing their shape


class MakeRangeOp(Tt.Operation, name="make_range", traits=[ext.Pure]):
    """result[i] = start + i

    result: (end - start,) i32
    """

    start: I32Attr
    end: I32Attr
    result: ext.Result[Tensor]
    assembly = "attr-dict `:` type($result)"

    @staticmethod
    def verify_invariants(op):
        start, end = op.start.value, op.end.value
        if end <= start:
            raise CompileError(f"tt.make_range: from {start} to {end} is empty", at=op, fix="end above start")
        check_shape(op, op.result, [end - start])
        return True


class SplatOp(Tt.Operation, name="splat", traits=[ext.Pure]):
    """result[...] = src

    src: scalar    result: tensor of it
    """

    src: ext.Operand[Any]
    result: ext.Result[Tensor]
    assembly = ONE_TO_ONE

    @staticmethod
    def verify_invariants(op):
        if isinstance(op.src.type, ir.RankedTensorType):
            raise CompileError(f"tt.splat: {op.src.type} is not a scalar", at=op, fix="use tt.broadcast")
        check_element(op, op.src, op.result)
        return True


class UnsplatOp(Tt.Operation, name="unsplat", traits=[ext.Pure]):
    """result = the one element of src

    src: tensor of one element    result: scalar
    """

    src: ext.Operand[Tensor]
    result: ext.Result[Any]
    assembly = "$src attr-dict `:` type($src)"
    infer = {"result": ("src", element_text)}

    @staticmethod
    def verify_invariants(op):
        if prod(shape_of(op.src)) != 1:
            raise CompileError(f"tt.unsplat: {shown(shape_of(op.src))} has more than one element", at=op)
        return True


class ExpandDimsOp(Tt.Operation, name="expand_dims", traits=[ext.Pure]):
    """result = src with a dimension of 1 put in at `axis`

    src: rank R    result: rank R + 1, the same element type
    """

    src: ext.Operand[Tensor]
    axis: I32Attr
    result: ext.Result[Tensor]
    assembly = ONE_TO_ONE

    @staticmethod
    def verify_invariants(op):
        shape = shape_of(op.src)
        axis = check_axis(op, len(shape) + 1)
        check_shape(op, op.result, [*shape[:axis], 1, *shape[axis:]])
        check_element(op, op.src, op.result)
        return True


class BroadcastOp(Tt.Operation, name="broadcast", traits=[ext.Pure]):
    """result[i, j, ...] = src[i, 0, ...]: dimensions of 1 are repeated

    src, result: the same rank and element type
    """

    src: ext.Operand[Tensor]
    result: ext.Result[Tensor]
    assembly = ONE_TO_ONE

    @staticmethod
    def verify_invariants(op):
        source, target = shape_of(op.src), shape_of(op.result)
        if len(source) != len(target) or any(s not in (1, t) for s, t in zip(source, target, strict=True)):
            raise CompileError(
                f"tt.broadcast: {shown(source)} does not broadcast to {shown(target)}",
                at=op,
                fix="use the same rank, and sizes that are equal or 1",
            )
        check_element(op, op.src, op.result)
        return True


class ReshapeOp(Tt.Operation, name="reshape", traits=[ext.Pure]):
    """result = the elements of src, row by row, in another shape

    src, result: as many elements, the same type
    allow_reorder: any order will do.  efficient_layout: a hint for GPUs.
    """

    src: ext.Operand[Tensor]
    result: ext.Result[Tensor]
    allow_reorder = optional(UnitAttr)
    efficient_layout = optional(UnitAttr)
    assembly = """$src (`allow_reorder` $allow_reorder^)? (`efficient_layout` $efficient_layout^)?
                  attr-dict `:` type($src) `->` type($result)"""

    @staticmethod
    def verify_invariants(op):
        source, target = shape_of(op.src), shape_of(op.result)
        if prod(source) != prod(target):
            raise CompileError(
                f"tt.reshape: {shown(source)} has {prod(source)} elements,"
                f" {shown(target)} has {prod(target)}",
                at=op,
            )
        check_element(op, op.src, op.result)
        return True


class CatOp(Tt.Operation, name="cat", traits=[ext.Pure]):
    """result = the elements of lhs and rhs, in any order

    lhs, rhs: (N,)    result: (2 * N,)
    """

    lhs: ext.Operand[Side]
    rhs: ext.Operand[Side]
    result: ext.Result[Tensor]
    assembly = "$lhs `,` $rhs attr-dict `:` type($lhs) `->` type($result)"

    @staticmethod
    def verify_invariants(op):
        if prod(shape_of(op.result)) != 2 * prod(shape_of(op.lhs)):
            raise CompileError(
                f"tt.cat: two of {shown(shape_of(op.lhs))} do not make {shown(shape_of(op.result))}", at=op
            )
        check_element(op, op.lhs, op.result)
        return True


class JoinOp(Tt.Operation, name="join", traits=[ext.Pure]):
    """result[..., 0] = lhs, result[..., 1] = rhs

    lhs, rhs: S    result: S x 2
    """

    lhs: ext.Operand[Side]
    rhs: ext.Operand[Side]
    result: ext.Result[Tensor]
    assembly = "$lhs `,` $rhs attr-dict `:` type($lhs) `->` type($result)"

    @staticmethod
    def verify_invariants(op):
        check_shape(op, op.result, [*shape_of(op.lhs), 2])
        check_element(op, op.lhs, op.result)
        return True


class SplitOp(Tt.Operation, name="split", traits=[ext.Pure]):
    """outLHS = src[..., 0], outRHS = src[..., 1]

    src: S x 2    outLHS, outRHS: S
    """

    src: ext.Operand[Tensor]
    outLHS: ext.Result[Side]
    outRHS: ext.Result[Side]
    assembly = "$src attr-dict `:` type($src) `->` type($outLHS)"

    @staticmethod
    def verify_invariants(op):
        shape = shape_of(op.src)
        if shape[-1:] != [2]:
            raise CompileError(f"tt.split: the last dimension of {shown(shape)} is not 2", at=op)
        check_shape(op, op.outLHS, shape[:-1])
        check_element(op, op.src, op.outLHS)
        return True


class TransOp(Tt.Operation, name="trans", traits=[ext.Pure]):
    """dimension i of result = dimension order[i] of src

    src: S    result: S in the order `order`, the same element type
    """

    src: ext.Operand[Tensor]
    order: I32ArrayAttr
    result: ext.Result[Tensor]
    assembly = ONE_TO_ONE

    @staticmethod
    def verify_invariants(op):
        shape, order = shape_of(op.src), list(op.order)
        if sorted(order) != list(range(len(shape))):
            raise CompileError(
                f"tt.trans: order {order} is not a permutation",
                at=op,
                fix=f"use each of 0 to {len(shape) - 1} once",
            )
        check_shape(op, op.result, [shape[d] for d in order])
        check_element(op, op.src, op.result)
        return True


class GatherOp(Tt.Operation, name="gather", traits=[ext.Pure]):
    """result[i, j, ...] = src[indices[i, j, ...], j, ...], for axis 0

    src: S    indices: integers, of the rank of src    result: in the shape of indices, elements as src
    """

    src: ext.Operand[Tensor]
    indices: ext.Operand[Tensor]
    axis: I32Attr
    result: ext.Result[Tensor]
    efficient_layout = optional(UnitAttr)
    assembly = "$src `[` $indices `]` attr-dict `:` functional-type(operands, results)"

    @staticmethod
    def verify_invariants(op):
        source, indices = shape_of(op.src), shape_of(op.indices)
        axis = check_axis(op, len(source))
        fits = len(source) == len(indices) and all(
            d == axis or i <= s for d, (s, i) in enumerate(zip(source, indices, strict=True))
        )
        if not fits:
            raise CompileError(
                f"tt.gather: indices of {shown(indices)} do not fit {shown(source)} along axis {axis}",
                at=op,
                fix="use the same rank, and no more than src has in each other dimension",
            )
        check_shape(op, op.result, indices)
        check_element(op, op.src, op.result)
        return True


class HistogramOp(Tt.Operation, name="histogram", traits=[ext.Pure]):
    """result[b] = how many elements of src are b; others, and masked ones, count nowhere

    src: (N,) integers    mask: (N,) i1    result: (B,) integers
    """

    src: ext.Operand[Tensor]
    result: ext.Result[Tensor]
    mask: ext.Operand[Tensor] | None = None
    assembly = "$src (`,` $mask^)? attr-dict `:` type($src) `->` type($result)"
    infer = {"mask": ("src", lambda src: shape_text(src, "i1"))}


__all__ = [
    "BroadcastOp",
    "CatOp",
    "ExpandDimsOp",
    "GatherOp",
    "HistogramOp",
    "JoinOp",
    "MakeRangeOp",
    "ReshapeOp",
    "SplatOp",
    "SplitOp",
    "TransOp",
    "UnsplatOp",
]
