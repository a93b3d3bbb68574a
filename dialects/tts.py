"""The `tts` dialect: pointers with a regular structure, as triton-shared finds them in `tt`.

Fields that may be known in part are a list of numbers beside a list of operands: where
the number is DYNAMIC, the next operand stands for it.  `mixed` gives them together.

Source: TritonStructured of microsoft/triton-shared; `originalOffsets`, `boundaryCheck` and
`padding` are what spacemit-com/spine-triton adds, and may be left out.
"""

from collections.abc import Sequence
from typing import Any

from vertebra.core.attributes import I32ArrayAttr, I32Attr, I64ArrayAttr, optional
from vertebra.core.dialect import Dialect
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.tt import Tt
from vertebra.dialects.tt_types import (
    PaddingOption,
    PtrType,
    element_of,
    pointee_text,
    shape_of,
    shape_text,
    shown,
    value_type_of,
)

DYNAMIC = -(2**63)
Index = ir.IndexType
PtrLike = PtrType | ir.RankedTensorType


class Tts(Dialect, name="tts"):
    """Loads and stores whose addresses are base + strides . index."""

    dependencies = (Tt,)


def mixed(op, field: str) -> list:
    """The entries of `field` (strides, offsets, shape, mask_dims, ...): an int each, or a value."""
    static = getattr(op, f"static_{field}")
    values = iter(getattr(op, field))
    return [next(values) if n == DYNAMIC else n for n in static or ()]


def check_mixed(op, fields: Sequence[str], rank: int) -> None:
    """Raises CompileError unless each field has `rank` entries, and an operand for each dynamic one."""
    for field in fields:
        static = list(getattr(op, f"static_{field}") or ())
        dynamic = sum(n == DYNAMIC for n in static)
        if len(static) != rank:
            raise CompileError(
                f"{op.operation.name}: {len(static)} {field} for {rank} dimensions", at=op, fix=f"give {rank}"
            )
        if dynamic != len(getattr(op, field)):
            raise CompileError(
                f"{op.operation.name}: {dynamic} of the {field} are dynamic,"
                f" there are {len(getattr(op, field))} operands",
                at=op,
            )


def block_type_of(pointer) -> ir.RankedTensorType:
    """The tensor that a tensor of pointers, or a pointer to a block, stands for."""
    return value_type_of(pointer)


def check_pointer(op) -> int:
    """The rank.  Raises CompileError unless the result points to `sizes` elements of what base points to."""
    block, sizes = block_type_of(op.result), list(op.sizes)
    if shape_of(block) != sizes or element_of(block) != op.base.type.pointee:
        raise CompileError(
            f"{op.operation.name}: {op.result.type} for sizes {shown(sizes)} of {op.base.type.pointee}", at=op
        )
    return len(sizes)


class MakeTensorPtrOp(Tts.Operation, name="make_tptr", traits=[ext.Pure]):
    """result[i, j, ...] = base + sum over d of (offsets[d] + index[d] * strides[d])

    base: pointer to T    sizes: the shape of the result    strides, offsets: counted in elements
    With an empty `order`, result is a tensor of pointers, and where shape[d] is not 0 the address in
    dimension d wraps around: (offsets[d] + index[d] * strides[d]) mod shape[d].
    With an `order` (a permutation, fastest first), result is a pointer to a block of a tensor whose
    sizes are `shape`, and offsets count elements of that dimension times its stride.
    """

    base: ext.Operand[PtrType]
    sizes: I64ArrayAttr
    strides: Sequence[ext.Operand[Index]]
    offsets: Sequence[ext.Operand[Index]]
    originalOffsets: Sequence[ext.Operand[Index]]
    shape: Sequence[ext.Operand[Index]]
    static_strides: I64ArrayAttr
    static_offsets: I64ArrayAttr
    static_shape: I64ArrayAttr
    order: I32ArrayAttr
    result: ext.Result[PtrLike]
    static_originalOffsets = optional(I64ArrayAttr)
    assembly = """$base `to` `sizes` `` `:` $sizes
        `` `,` `strides` `` `:` custom<DynamicIndexList>($strides, $static_strides)
        `` `,` `offsets` `` `:` custom<DynamicIndexList>($offsets, $static_offsets)
        (`` `,` `originalOffsets` `` `:`
            custom<DynamicIndexList>($originalOffsets, $static_originalOffsets)^)?
        `` `,` `shape` `` `:` custom<DynamicIndexList>($shape, $static_shape)
        `` `,` `order` `` `:` $order
        attr-dict `:` type($base) `to` type($result)"""

    @staticmethod
    def verify_invariants(op):
        rank = check_pointer(op)
        check_mixed(op, ("strides", "offsets", "shape"), rank)
        if op.static_originalOffsets is not None:
            check_mixed(op, ("originalOffsets",), rank)
        order = list(op.order)
        if order and sorted(order) != list(range(rank)):
            raise CompileError(
                f"tts.make_tptr: order {order} is not a permutation of {rank} dimensions",
                at=op,
                fix=f"use each of 0 to {rank - 1} once, or none",
            )
        if bool(order) != isinstance(op.result.type, PtrType):
            raise CompileError(
                f"tts.make_tptr: {op.result.type} with {'an' if order else 'no'} order",
                at=op,
                fix="a pointer to a block has an order, a tensor of pointers has none",
            )
        return True


class MakeGatherScatterTensorPtrOp(Tts.Operation, name="make_gather_scatter_tptr", traits=[ext.Pure]):
    """as make_tptr, but index[d] is gather_scatter_offset[index[d]] for d = gather_scatter_dim

    base: pointer to T    gather_scatter_offset: (sizes[d],) integers    gather_scatter_mask: (sizes[d],) i1
    sizes: the shape of the result    strides, offsets: counted in elements
    Where the mask is false nothing is read or written.
    """

    base: ext.Operand[PtrType]
    gather_scatter_offset: ext.Operand[ir.RankedTensorType]
    gather_scatter_dim: I32Attr
    sizes: I64ArrayAttr
    static_strides: I64ArrayAttr
    static_offsets: I64ArrayAttr
    result: ext.Result[PtrLike]
    gather_scatter_mask: ext.Operand[ir.RankedTensorType] | None = None
    strides: Sequence[ext.Operand[Index]] = ext.operand(kw_only=True)
    offsets: Sequence[ext.Operand[Index]] = ext.operand(kw_only=True)
    assembly = """$base `to` `sizes` `` `:` $sizes
        `gather_scatter_dim` `` `:` $gather_scatter_dim
        `gather_scatter_offset` `` `:` $gather_scatter_offset
        (`gather_scatter_mask` `` `:` $gather_scatter_mask^)?
        `` `,` `strides` `` `:` custom<DynamicIndexList>($strides, $static_strides)
        `` `,` `offsets` `` `:` custom<DynamicIndexList>($offsets, $static_offsets)
        attr-dict `:` type($gather_scatter_offset) type($gather_scatter_mask) type($base)
        `to` type($result)"""

    @staticmethod
    def verify_invariants(op):
        rank = check_pointer(op)
        check_mixed(op, ("strides", "offsets"), rank)
        dim = op.gather_scatter_dim.value
        if not 0 <= dim < rank:
            raise CompileError(
                f"{op.operation.name}: dimension {dim} of {rank}", at=op, fix=f"use 0 to {rank - 1}"
            )
        for what in ("gather_scatter_offset", "gather_scatter_mask"):
            value = getattr(op, what)
            if value is not None and shape_of(value) != [op.sizes[dim]]:
                raise CompileError(
                    f"{op.operation.name}: {what} is {shown(shape_of(value))},"
                    f" dimension {dim} is {op.sizes[dim]}",
                    at=op,
                    fix=f"give {op.sizes[dim]} elements",
                )
        return True


class GetStructuredStateOp(Tts.Operation, name="get_structured_state", traits=[ext.Pure]):
    """structured = input; offsets, strides = those of its structure: a placeholder while it is being found

    input, structured: pointer-like, or tensor of integers    offsets, strides: index, one for each dimension
    """

    input: ext.Operand[Any]
    structured: ext.Result[Any]
    offsets: Sequence[ext.Result[Index]]
    strides: Sequence[ext.Result[Index]]

    @staticmethod
    def verify_invariants(op):
        if op.input.type != op.structured.type:
            raise CompileError(f"tts.get_structured_state: {op.structured.type} from {op.input.type}", at=op)
        return True


class GatherOp(Tts.Operation, name="gather"):
    """result[...] = mask[...] ? ptr[offset[...]] : other

    ptr: pointer to T    offset: integers    mask: i1, in the shape of offset    other: T
    result: T, in the shape of offset
    """

    ptr: ext.Operand[PtrType]
    offset: ext.Operand[Any]
    result: ext.Result[Any]
    mask: ext.Operand[Any] | None = None
    other: ext.Operand[Any] | None = None
    assembly = """$ptr `[` $offset `]` (`mask` `=` $mask^)? (`default` `=` $other^)?
        attr-dict `:` `(` type($ptr) `,` type($offset) `)` `->` type($result)"""
    infer = {
        "mask": ("offset", lambda offset: shape_text(offset, "i1")),
        "other": ("ptr", pointee_text),
    }

    @staticmethod
    def verify_invariants(op):
        check_offset(op, op.result)
        return True


class ScatterOp(Tts.Operation, name="scatter"):
    """ptr[offset[...]] = value[...] where mask[...]

    ptr: pointer to T    offset: integers    value: T, and mask: i1, in the shape of offset
    """

    ptr: ext.Operand[PtrType]
    offset: ext.Operand[Any]
    value: ext.Operand[Any]
    mask: ext.Operand[Any] | None = None
    assembly = """$value `into` $ptr `[` $offset `]` (`mask` `=` $mask^)?
        attr-dict `:` type($value) `into` ` ` `(` type($ptr) `,` type($offset) `)`"""
    infer = {"mask": ("offset", lambda offset: shape_text(offset, "i1"))}

    @staticmethod
    def verify_invariants(op):
        check_offset(op, op.value)
        return True


def check_offset(op, value) -> None:
    """Raises CompileError unless `value` has the shape of the offsets, and the pointer's elements."""
    if shape_of(value) != shape_of(op.offset) or element_of(value) != op.ptr.type.pointee:
        raise CompileError(
            f"{op.operation.name}: {value.type} through {op.ptr.type} at offsets of {op.offset.type}", at=op
        )


def check_access(op, value) -> None:
    """Raises CompileError unless `value` is what `op.ptr` stands for, and mask_dims fit it."""
    block = block_type_of(op.ptr)
    if value.type != block:
        raise CompileError(
            f"{op.operation.name}: {value.type} through {op.ptr.type}", at=op, fix=f"use {block}"
        )
    if len(op.static_mask_dims):
        check_mixed(op, ("mask_dims",), len(block.shape))


class LoadOp(Tts.Operation, name="load"):
    """result[i, j, ...] = *ptr[i, j, ...] where i < mask_dims[0], j < mask_dims[1], ...; `other` elsewhere

    ptr: tensor of pointers, or pointer to a block    mask_dims: index; all elements if empty    other: scalar
    boundaryCheck, padding: as in tt.load
    """

    ptr: ext.Operand[PtrLike]
    mask_dims: Sequence[ext.Operand[Index]]
    result: ext.Result[ir.RankedTensorType]
    other: ext.Operand[Any] | None = None
    static_mask_dims = optional(I64ArrayAttr, ())
    boundaryCheck = optional(I32ArrayAttr, ())
    padding = optional(PaddingOption)

    @staticmethod
    def verify_invariants(op):
        check_access(op, op.result)
        return True


class StoreOp(Tts.Operation, name="store"):
    """*ptr[i, j, ...] = value[i, j, ...] where i < mask_dims[0], j < mask_dims[1], ...

    ptr: tensor of pointers, or pointer to a block    mask_dims: index; all elements if empty
    boundaryCheck: as in tt.store
    """

    ptr: ext.Operand[PtrLike]
    value: ext.Operand[ir.RankedTensorType]
    mask_dims: Sequence[ext.Operand[Index]]
    static_mask_dims = optional(I64ArrayAttr, ())
    boundaryCheck = optional(I32ArrayAttr, ())

    @staticmethod
    def verify_invariants(op):
        check_access(op, op.value)
        return True
