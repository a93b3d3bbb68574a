"""The `tt` dialect: pointers, and what is read and written through them."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

from vertebra.core.attributes import BoolAttr, I32ArrayAttr, optional
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.tt_types import (
    CacheModifier,
    EvictionPolicy,
    MemSemantic,
    MemSyncScope,
    PaddingOption,
    PtrType,
    RMWOp,
    Tt,
    base_text,
    element_of,
    mask_text,
    pointee_text,
    shape_of,
    shown,
    value_type_of,
)

I32 = ir.IntegerType[32]
I64 = ir.IntegerType[64]
PtrLike: TypeAlias = PtrType | ir.RankedTensorType
P = TypeVar("P", bound=PtrLike)
BlockPtr = TypeVar("BlockPtr", bound=PtrType)

HINTS = "oilist(`cacheModifier` `=` $cache | `evictionPolicy` `=` $evict)"


def check_value(op, value, what: str) -> None:
    """Raises CompileError unless `value` is what `op.ptr` points to."""
    pointee = value_type_of(op.ptr)
    if value.type != pointee:
        raise CompileError(
            f"{op.operation.name}: {what} is {value.type}, the pointer is to {pointee}",
            at=op,
            fix=f"convert {what} to {pointee}",
        )


def check_mask(op) -> None:
    """Raises CompileError unless the mask of `op` is i1 of the pointer's shape."""
    if op.mask is None:
        return
    pointee = value_type_of(op.ptr)
    if shape_of(op.mask) != shape_of(pointee) or str(element_of(op.mask)) != "i1":
        raise CompileError(
            f"{op.operation.name}: the mask is {op.mask.type}, the pointer is to {pointee}",
            at=op,
            fix=f"use an i1 mask of shape {shown(shape_of(pointee))}",
        )


def check_boundary(op) -> None:
    """Raises CompileError where boundaryCheck names a dimension that there is not, or there is no block."""
    dims = list(op.boundaryCheck)
    if not dims:
        return
    type_ = op.ptr.type
    if not (isinstance(type_, PtrType) and type_.is_block):
        raise CompileError(
            f"{op.operation.name}: boundaryCheck {dims} on {type_}, which carries no shape",
            at=op,
            fix="use a block pointer, or a mask",
        )
    rank = len(type_.pointee.shape)
    if any(not 0 <= d < rank for d in dims):
        raise CompileError(
            f"{op.operation.name}: boundaryCheck {dims} on a block of rank {rank}",
            at=op,
            fix=f"use dimensions 0 to {rank - 1}",
        )


class AddPtrOp(Tt.Operation, name="addptr", traits=[ext.Pure]):
    """result = ptr + offset, counted in elements of what ptr points to

    ptr, result: pointer, or tensor of pointers    offset: integer of the same shape
    """

    ptr: ext.Operand[P]
    offset: ext.Operand[Any]
    result: ext.Result[P]
    assembly = "$ptr `,` $offset attr-dict `:` type($result) `,` type($offset)"

    @staticmethod
    def verify_invariants(op):
        if shape_of(op.ptr) != shape_of(op.offset):
            raise CompileError(
                f"tt.addptr: the pointer is {shown(shape_of(op.ptr))}, the offset"
                f" {shown(shape_of(op.offset))}",
                at=op,
                fix="splat or broadcast the smaller one",
            )
        return True


class LoadOp(Tt.Operation, name="load"):
    """result = mask ? *ptr : other, element by element; undefined where masked and `other` is absent

    ptr: pointer to T, tensor of pointers to T, or pointer to a block
    mask: i1 of the same shape    other: as result    result: T, in the shape of ptr
    boundaryCheck: the dimensions of a block pointer in which it may reach outside of the tensor;
    there the result is `padding` (undefined if absent).
    Raises CompileError when mask or other have another shape or type.
    """

    ptr: ext.Operand[PtrLike]
    result: ext.Result[Any]
    mask: ext.Operand[Any] | None = None
    other: ext.Operand[Any] | None = None
    boundaryCheck = optional(I32ArrayAttr, ())
    padding = optional(PaddingOption)
    cache = optional(CacheModifier, "none")
    evict = optional(EvictionPolicy, "evict_normal")
    isVolatile = optional(BoolAttr, False)
    assembly = f"$ptr (`,` $mask^)? (`,` $other^)? {HINTS} attr-dict `:` type($ptr)"
    infer = {
        "result": ("ptr", pointee_text),
        "mask": ("ptr", mask_text),
        "other": ("ptr", pointee_text),
    }

    @staticmethod
    def verify_invariants(op):
        check_value(op, op.result, "the result")
        check_mask(op)
        if op.other is not None:
            check_value(op, op.other, "`other`")
        check_boundary(op)
        return True


class StoreOp(Tt.Operation, name="store"):
    """*ptr = value where mask, element by element

    ptr: pointer to T, tensor of pointers to T, or pointer to a block
    value: T, in the shape of ptr    mask: i1 of the same shape
    boundaryCheck: the dimensions of a block pointer in which nothing outside of the tensor is written.
    Where two elements have one address, either value may stay.
    """

    ptr: ext.Operand[PtrLike]
    value: ext.Operand[Any]
    mask: ext.Operand[Any] | None = None
    boundaryCheck = optional(I32ArrayAttr, ())
    cache = optional(CacheModifier, "none")
    evict = optional(EvictionPolicy, "evict_normal")
    assembly = f"$ptr `,` $value (`,` $mask^)? {HINTS} attr-dict `:` type($ptr)"
    infer = {"value": ("ptr", pointee_text), "mask": ("ptr", mask_text)}

    @staticmethod
    def verify_invariants(op):
        check_value(op, op.value, "the value")
        check_mask(op)
        check_boundary(op)
        return True


class AtomicRMWOp(Tt.Operation, name="atomic_rmw"):
    """result = *ptr; *ptr = atomic_rmw_op(*ptr, val), in one step, where mask

    ptr: pointer to T, or tensor of them    val, result: T of the same shape    mask: i1 of the same shape
    """

    atomic_rmw_op: RMWOp
    ptr: ext.Operand[PtrLike]
    val: ext.Operand[Any]
    sem: MemSemantic
    scope: MemSyncScope
    result: ext.Result[Any]
    mask: ext.Operand[Any] | None = None
    assembly = """$atomic_rmw_op `,` $sem `,` $scope `,` $ptr `,` $val (`,` $mask^)? attr-dict `:`
                  functional-type(operands, results)"""

    @staticmethod
    def verify_invariants(op):
        check_value(op, op.val, "the value")
        check_value(op, op.result, "the result")
        check_mask(op)
        return True


class AtomicCASOp(Tt.Operation, name="atomic_cas"):
    """result = *ptr; if result == cmp: *ptr = val, in one step

    ptr: pointer to T, or tensor of them    cmp, val, result: T of the same shape
    """

    ptr: ext.Operand[PtrLike]
    cmp: ext.Operand[Any]
    val: ext.Operand[Any]
    sem: MemSemantic
    scope: MemSyncScope
    result: ext.Result[Any]
    assembly = """$sem `,` $scope `,` $ptr `,` $cmp `,` $val attr-dict `:`
                  functional-type(operands, results)"""

    @staticmethod
    def verify_invariants(op):
        check_value(op, op.cmp, "the comparand")
        check_value(op, op.val, "the value")
        check_value(op, op.result, "the result")
        return True


class IntToPtrOp(Tt.Operation, name="int_to_ptr", traits=[ext.Pure]):
    """result = the pointer whose address is src

    src: i64 or tensor of i64    result: pointer of the same shape
    """

    src: ext.Operand[Any]
    result: ext.Result[PtrLike]
    assembly = "$src attr-dict `:` type($src) `->` type($result)"


class PtrToIntOp(Tt.Operation, name="ptr_to_int", traits=[ext.Pure]):
    """result = the address of src

    src: pointer or tensor of pointers    result: i64 of the same shape
    """

    src: ext.Operand[PtrLike]
    result: ext.Result[Any]
    assembly = "$src attr-dict `:` type($src) `->` type($result)"


class MakeTensorPtrOp(Tt.Operation, name="make_tensor_ptr", traits=[ext.Pure]):
    """result = a pointer to the block at `offsets` of the tensor at `base`

    base: pointer to T    shape, strides: i64, counted in elements    offsets: i32
    result: pointer to a block of T, of the same rank
    order: the dimensions, fastest first; a hint
    """

    base: ext.Operand[PtrType]
    shape: Sequence[ext.Operand[I64]]
    strides: Sequence[ext.Operand[I64]]
    offsets: Sequence[ext.Operand[I32]]
    order: I32ArrayAttr
    result: ext.Result[PtrType]
    assembly = (
        "$base `,` `[` $shape `]` `,` `[` $strides `]` `,` `[` $offsets `]` attr-dict `:` type($result)"
    )
    infer = {"base": ("result", base_text)}

    @staticmethod
    def verify_invariants(op):
        if not op.result.type.is_block:
            raise CompileError(f"tt.make_tensor_ptr: {op.result.type} is not a pointer to a block", at=op)
        rank = len(op.result.type.pointee.shape)
        for what in ("shape", "strides", "offsets", "order"):
            if len(getattr(op, what)) != rank:
                raise CompileError(
                    f"tt.make_tensor_ptr: {len(getattr(op, what))} {what} for a block of rank {rank}",
                    at=op,
                    fix=f"give {rank}",
                )
        if sorted(op.order) != list(range(rank)):
            raise CompileError(
                f"tt.make_tensor_ptr: order {list(op.order)} is not a permutation",
                at=op,
                fix=f"use each of 0 to {rank - 1} once",
            )
        return True


class AdvanceOp(Tt.Operation, name="advance", traits=[ext.Pure]):
    """result = ptr with `offsets` added to its own

    ptr, result: pointer to a block    offsets: i32, one for each dimension
    """

    ptr: ext.Operand[BlockPtr]
    offsets: Sequence[ext.Operand[I32]]
    result: ext.Result[BlockPtr]
    assembly = "$ptr `,` `[` $offsets `]` attr-dict `:` type($result)"

    @staticmethod
    def verify_invariants(op):
        rank = len(shape_of(op.ptr.type.pointee))
        if rank == 0 or len(op.offsets) != rank:
            raise CompileError(
                f"tt.advance: {len(op.offsets)} offsets for {op.ptr.type}",
                at=op,
                fix=f"give {rank}" if rank else "use a pointer to a block",
            )
        return True


__all__ = [
    "AddPtrOp",
    "AdvanceOp",
    "AtomicCASOp",
    "AtomicRMWOp",
    "IntToPtrOp",
    "LoadOp",
    "MakeTensorPtrOp",
    "PtrToIntOp",
    "StoreOp",
]
