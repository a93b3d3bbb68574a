"""The `xsmt` dialect: pointers to packed matrices, and memory of a program's own."""

from collections.abc import Sequence
from typing import Any

from vertebra.core.attributes import I32Attr, I64ArrayAttr, StrAttr, optional
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.constants import constant_of
from vertebra.dialects.tt_types import PtrType, element_of, shape_of, shown
from vertebra.dialects.xsmt_types import PACKING, Xsmt, check_offsets, check_packing, check_sizes

I32 = ir.IntegerType[32]
Tensor = ir.RankedTensorType


POINTER_VIEW = """$src `[` $offsets `]` `shape` $shape {} attr-dict
                  `:` qualified(type($src)) `->` qualified(type($result))"""


def check_pointer_view(op, packed: list[int], block: ir.RankedTensorType) -> None:
    """What views of block pointers have in common.  Raises CompileError for parts of tiles."""
    name, shape = op.operation.name, check_sizes(op, "shape")
    for d, (size, tile) in enumerate(zip(shape, packed, strict=True)):
        if size % tile:
            down, up = size // tile * tile, -(-size // tile) * tile
            raise CompileError(
                f"{name}: {size} elements in tiles of {tile} leave {size % tile}, in dimension {d}",
                at=op,
                fix=f"use {f'{down} or ' if down else ''}{up}; only a view of a loaded tensor is padded",
            )
    check_offsets(op)
    for offset, tile in zip(map(constant_of, op.offsets), packed, strict=True):
        if offset is not None and offset % tile:
            raise CompileError(
                f"{name}: offset {offset} is inside a tile of {tile}", at=op, fix=f"use a multiple of {tile}"
            )
    wanted = [s // p for s, p in zip(shape, packed, strict=True)] + packed
    found = op.result.type.pointee
    if shape_of(found) != wanted or element_of(found) != block.element_type:
        raise CompileError(
            f"{name}: the result is {op.result.type}",
            at=op,
            fix=f"use !tt.ptr<tensor<{shown(wanted)}x{block.element_type}>>",
        )


def check_block(op, rank: int) -> ir.RankedTensorType:
    """The block that op.src points to.  Raises CompileError unless it has `rank` dimensions."""
    block = op.src.type.pointee
    if not op.src.type.is_block or len(block.shape) != rank:
        raise CompileError(
            f"{op.operation.name}: {op.src.type} does not point to a block of rank {rank}",
            at=op,
            fix="make one with make_block_ptr, of rows and columns"
            if rank == 2
            else "use subview_pack first",
        )
    return block


class DescriptorLoadViewOp(Xsmt.Operation, name="descriptor_load_view"):
    """result = pack of the block at `offsets` from where src points, loaded with 0 outside of the tensor

    src: pointer to a block (B0, B1)    offsets: 2 i32, from the block's own
    result: (ceil(shape[0] / p), ceil(shape[1] / q), p, q) for p, q = packed_size
    Beyond `shape`, outside of the block and outside of the tensor, it is 0.
    """

    src: ext.Operand[PtrType]
    offsets: Sequence[ext.Operand[I32]]
    shape: I64ArrayAttr
    packed_size: I64ArrayAttr
    result: ext.Result[Tensor]
    assembly = PACKING

    @staticmethod
    def verify_invariants(op):
        check_packing(op, check_block(op, 2).element_type)
        return True


class SubviewPackOp(Xsmt.Operation, name="subview_pack", traits=[ext.Pure]):
    """result points to the block at `offsets` from where src points, seen in tiles; nothing is copied

    src: pointer to a block (S0, S1)    offsets: 2 i32, multiples of packed_size
    result: pointer to a block (shape[0] / p, shape[1] / q, p, q) for p, q = packed_size
    """

    src: ext.Operand[PtrType]
    offsets: Sequence[ext.Operand[I32]]
    shape: I64ArrayAttr
    packed_size: I64ArrayAttr
    result: ext.Result[PtrType]
    assembly = POINTER_VIEW.format("`packed_size` $packed_size")

    @staticmethod
    def verify_invariants(op):
        block = check_block(op, 2)
        check_pointer_view(op, check_sizes(op, "packed_size"), block)
        return True


class SubviewOp(Xsmt.Operation, name="subview", traits=[ext.Pure]):
    """result points to the part of a packed block at `offsets` from where src points; nothing is copied

    src: pointer to a block (R, C, r, c)    offsets: 2 i32, multiples of r and c
    result: pointer to a block (shape[0] / r, shape[1] / c, r, c)
    """

    src: ext.Operand[PtrType]
    offsets: Sequence[ext.Operand[I32]]
    shape: I64ArrayAttr
    result: ext.Result[PtrType]
    assembly = POINTER_VIEW.format("")

    @staticmethod
    def verify_invariants(op):
        block = check_block(op, 4)
        check_pointer_view(op, list(block.shape)[2:], block)
        return True


class AllocOp(Xsmt.Operation, name="alloc"):
    """result points to a block of memory that the program has for itself; what is in it is undefined

    result: pointer to a block    storage: where it should be; a hint
    The same operation gives the same memory each time.
    """

    result: ext.Result[PtrType]
    storage = optional(StrAttr, "l2")
    assembly = "attr-dict `:` qualified(type($result))"

    @staticmethod
    def verify_invariants(op):
        if not op.result.type.is_block:
            raise CompileError(
                f"xsmt.alloc: {op.result.type} does not point to a block",
                at=op,
                fix=f"use !tt.ptr<tensor<1x{op.result.type.pointee}>> for one element",
            )
        return True


class BufferType(Xsmt.Type, name="buffer"):
    """Several blocks of memory of one shape: !xsmt.buffer<tensor<2x64x32xf16>> are two of 64x32."""

    whole_type: Any

    @property
    def pointee(self) -> ir.Type:
        """The copies, then the sizes of a block."""
        return ir.TypeAttr(self.whole_type).value


def check_buffers(op, field: str) -> ir.Type:
    """What the buffers in `field` are.  Raises CompileError for a value that is none."""
    type_ = getattr(op, field).type
    if not isinstance(type_, BufferType | PtrType):
        raise CompileError(
            f"{op.operation.name}: {field} is {type_}",
            at=op,
            fix="use !xsmt.buffer<tensor<2x64x32xf32>>, or a pointer to such a tensor",
        )
    return type_.pointee


class AllocCopiesOp(Xsmt.Operation, name="alloc_copies"):
    """result points to several blocks of memory of one shape, one after the other, as alloc gives one

    result: !xsmt.buffer of, or pointer to, (copies, S)    copies: how many; as the result says, if absent
    storage: where they should be; a hint
    """

    result: ext.Result[Any]
    copies = optional(I32Attr)
    storage = optional(StrAttr, "l2")
    assembly = "attr-dict `:` qualified(type($result))"

    @staticmethod
    def verify_invariants(op):
        whole = check_buffers(op, "result")
        if not isinstance(whole, Tensor) or len(whole.shape) < 2:
            raise CompileError(
                f"xsmt.alloc_copies: {op.result.type} has no dimension of copies before those of a block",
                at=op,
                fix="use !tt.ptr<tensor<2x64x32xf32>> for two blocks of 64x32",
            )
        if op.copies is not None and op.copies.value != whole.shape[0]:
            raise CompileError(
                f"xsmt.alloc_copies: {op.copies.value} copies, and the result has {whole.shape[0]}",
                at=op,
                fix=f"use copies = {whole.shape[0]}",
            )
        return True


class BufferTensorViewOp(Xsmt.Operation, name="buffer_tensor_view", traits=[ext.Pure]):
    """result points to block `index` of buffer; of a number known at run time only, modulo their number

    buffer: (copies, S), of an alloc_copies    index: i32    result: pointer to a block S
    Raises CompileError when a constant index is out of range.
    """

    buffer: ext.Operand[Any]
    index: ext.Operand[I32]
    result: ext.Result[PtrType]
    assembly = """$buffer `[` $index `]` attr-dict `:` qualified(type($buffer)) `->`
                  qualified(type($result))"""

    @staticmethod
    def verify_invariants(op):
        whole, index = check_buffers(op, "buffer"), constant_of(op.index)
        copies, *shape = shape_of(whole) or [0]
        wanted = f"tensor<{shown(shape)}x{element_of(whole)}>"
        if not shape or str(op.result.type.pointee) != wanted:
            raise CompileError(
                f"xsmt.buffer_tensor_view: {op.result.type} is not a block of {op.buffer.type}",
                at=op,
                fix=f"use !tt.ptr<{wanted}>" if shape else "index what alloc_copies gave",
            )
        if index is not None and not 0 <= index < copies:
            raise CompileError(
                f"xsmt.buffer_tensor_view: block {index} of {copies}", at=op, fix=f"use 0 to {copies - 1}"
            )
        return True
