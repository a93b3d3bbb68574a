"""The `tt` dialect: tensor descriptors, and what is read and written through them."""

from collections.abc import Sequence
from math import prod

from vertebra.core.attributes import optional
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.tt_memory import HINTS
from vertebra.dialects.tt_types import (
    CacheModifier,
    DescriptorReduceKind,
    EvictionPolicy,
    PaddingOption,
    PtrType,
    TensorDescType,
    Tt,
    element_of,
    shape_of,
    shown,
)

I32 = ir.IntegerType[32]
I64 = ir.IntegerType[64]


class MakeTensorDescOp(Tt.Operation, name="make_tensor_descriptor", traits=[ext.Pure]):
    """result = a descriptor of the tensor at `base`

    base: pointer to T    shape: i32    strides: i64, counted in elements, the last one 1
    result: descriptor of blocks of T    padding: what a load gives outside of the tensor
    """

    base: ext.Operand[PtrType]
    shape: Sequence[ext.Operand[I32]]
    strides: Sequence[ext.Operand[I64]]
    result: ext.Result[TensorDescType]
    padding = optional(PaddingOption, "zero")
    assembly = "$base `,` `[` $shape `]` `,` `[` $strides `]` attr-dict `:` type($base) `,` type($result)"

    @staticmethod
    def verify_invariants(op):
        rank = len(op.result.type.block.shape)
        if len(op.shape) != rank or len(op.strides) != rank:
            raise CompileError(
                f"tt.make_tensor_descriptor: shape of {len(op.shape)} and strides of {len(op.strides)}"
                f" for a block of rank {rank}",
                at=op,
                fix=f"give {rank} of each",
            )
        if element_of(op.result.type.block) != op.base.type.pointee:
            raise CompileError(
                f"tt.make_tensor_descriptor: {op.base.type} does not point to {op.result.type.block}", at=op
            )
        return True


def check_block(op, tensor: ir.RankedTensorType) -> None:
    """Raises CompileError unless `tensor` holds a block of `op.desc`, and there is an index a dimension."""
    block = op.desc.type.block
    if prod(block.shape) != prod(tensor.shape) or block.element_type != tensor.element_type:
        raise CompileError(f"{op.operation.name}: {tensor} does not hold a block {block}", at=op)
    if len(op.indices) != len(block.shape):
        raise CompileError(
            f"{op.operation.name}: {len(op.indices)} indices for a block of rank {len(block.shape)}",
            at=op,
            fix=f"give {len(block.shape)}",
        )


class DescriptorLoadOp(Tt.Operation, name="descriptor_load"):
    """result = the block of desc that starts at `indices`; padding outside of the tensor

    Dimensions of 1 may be missing in the result.
    desc: descriptor of blocks    indices: i32, counted in elements    result: a block
    """

    desc: ext.Operand[TensorDescType]
    indices: Sequence[ext.Operand[I32]]
    result: ext.Result[ir.RankedTensorType]
    cache = optional(CacheModifier, "none")
    evict = optional(EvictionPolicy, "evict_normal")
    assembly = f"$desc `[` $indices `]` {HINTS} attr-dict `:` qualified(type($desc)) `->` type($result)"

    @staticmethod
    def verify_invariants(op):
        check_block(op, op.result.type)
        return True


class DescriptorStoreOp(Tt.Operation, name="descriptor_store"):
    """the block of desc that starts at `indices` = src; nothing outside of the tensor is written

    desc: descriptor of blocks    src: a block    indices: i32, counted in elements
    """

    desc: ext.Operand[TensorDescType]
    src: ext.Operand[ir.RankedTensorType]
    indices: Sequence[ext.Operand[I32]]
    assembly = "$desc `[` $indices `]` `,` $src attr-dict `:` qualified(type($desc)) `,` type($src)"

    @staticmethod
    def verify_invariants(op):
        check_block(op, op.src.type)
        return True


class DescriptorReduceOp(Tt.Operation, name="descriptor_reduce"):
    """each element of the block of desc that starts at `indices` = kind(itself, src), atomically

    desc: descriptor of blocks    src: a block    indices: i32, counted in elements
    """

    kind: DescriptorReduceKind
    desc: ext.Operand[TensorDescType]
    src: ext.Operand[ir.RankedTensorType]
    indices: Sequence[ext.Operand[I32]]
    assembly = "$kind `,` $desc `[` $indices `]` `,` $src attr-dict `:` qualified(type($desc)) `,` type($src)"

    @staticmethod
    def verify_invariants(op):
        check_block(op, op.src.type)
        return True


class DescriptorGatherOp(Tt.Operation, name="descriptor_gather"):
    """result[i, :] = row x_offsets[i] of the tensor, from column y_offset on

    desc: descriptor of 1xN blocks    x_offsets: (M,) i32    y_offset: i32    result: (M, N)
    """

    desc: ext.Operand[TensorDescType]
    x_offsets: ext.Operand[ir.RankedTensorType]
    y_offset: ext.Operand[I32]
    result: ext.Result[ir.RankedTensorType]
    assembly = "$desc `[` $x_offsets `,` $y_offset `]` attr-dict `:` functional-type(operands, results)"

    @staticmethod
    def verify_invariants(op):
        check_rows(op, op.result.type)
        return True


class DescriptorScatterOp(Tt.Operation, name="descriptor_scatter"):
    """row x_offsets[i] of the tensor, from column y_offset on = src[i, :]

    desc: descriptor of 1xN blocks    x_offsets: (M,) i32    y_offset: i32    src: (M, N)
    """

    desc: ext.Operand[TensorDescType]
    x_offsets: ext.Operand[ir.RankedTensorType]
    y_offset: ext.Operand[I32]
    src: ext.Operand[ir.RankedTensorType]
    assembly = "$desc `[` $x_offsets `,` $y_offset `]` `,` $src attr-dict `:` type(operands)"

    @staticmethod
    def verify_invariants(op):
        check_rows(op, op.src.type)
        return True


def check_rows(op, rows: ir.RankedTensorType) -> None:
    """Raises CompileError unless `rows` holds one row of a 1xN block for each of `op.x_offsets`."""
    block = op.desc.type.block.shape
    wanted = [*shape_of(op.x_offsets), block[-1]]
    if len(block) != 2 or block[0] != 1 or rows.shape != wanted:
        raise CompileError(
            f"{op.operation.name}: {shown(rows.shape)} for blocks of {shown(block)} and"
            f" {shown(shape_of(op.x_offsets))} rows",
            at=op,
            fix=f"use 1xN blocks and a tensor of {shown(wanted)}",
        )


__all__ = [
    "DescriptorGatherOp",
    "DescriptorLoadOp",
    "DescriptorReduceOp",
    "DescriptorScatterOp",
    "DescriptorStoreOp",
    "MakeTensorDescOp",
]
