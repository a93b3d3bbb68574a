"""The `xsmt` dialect: packed matrices as values, and hints."""

from collections.abc import Sequence
from typing import Any

from vertebra.core.attributes import I64ArrayAttr
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.tt_types import element_of, shape_of, shown
from vertebra.dialects.xsmt_types import (
    PACKING,
    Xsmt,
    check_offsets,
    check_packing,
    check_rank,
    check_result,
    check_sizes,
)

I32 = ir.IntegerType[32]
Tensor = ir.RankedTensorType


class PackOp(Xsmt.Operation, name="pack", traits=[ext.Pure]):
    """result[i, j, k, l] = src[offsets[0] + i * p + k, offsets[1] + j * q + l], for p, q = packed_size

    src: (S0, S1)    offsets: 2 i32    result: (ceil(shape[0] / p), ceil(shape[1] / q), p, q), elements as src
    Beyond `shape`, and outside of src, it is 0.
    """

    src: ext.Operand[Tensor]
    offsets: Sequence[ext.Operand[I32]]
    shape: I64ArrayAttr
    packed_size: I64ArrayAttr
    result: ext.Result[Tensor]
    assembly = PACKING

    @staticmethod
    def verify_invariants(op):
        check_rank(op, op.src, 2, "the source")
        check_packing(op, element_of(op.src))
        return True


class UnpackOp(Xsmt.Operation, name="unpack", traits=[ext.Pure]):
    """result[x, y] = the matrix in src at (offsets[0] + x, offsets[1] + y); 0 outside of it

    src: (R, C, r, c)    offsets: 2 i32    result: (shape[0], shape[1]), elements as src
    """

    src: ext.Operand[Tensor]
    offsets: Sequence[ext.Operand[I32]]
    shape: I64ArrayAttr
    result: ext.Result[Tensor]
    assembly = "$src `[` $offsets `]` `shape` $shape attr-dict `:` type($src) `->` type($result)"

    @staticmethod
    def verify_invariants(op):
        check_rank(op, op.src, 4, "the source")
        check_offsets(op)
        check_result(op, check_sizes(op, "shape"), element_of(op.src))
        return True


class RepackOp(Xsmt.Operation, name="repack", traits=[ext.Pure]):
    """result = the part of the matrix in src at `offsets`, of `shape`, in tiles of packed_size

    src: (R, C, r, c)    offsets: 2 i32
    result: (ceil(shape[0] / p), ceil(shape[1] / q), p, q) for p, q = packed_size, elements as src
    Beyond `shape`, and outside of the matrix, it is 0.
    """

    src: ext.Operand[Tensor]
    offsets: Sequence[ext.Operand[I32]]
    shape: I64ArrayAttr
    packed_size: I64ArrayAttr
    result: ext.Result[Tensor]
    assembly = PACKING

    @staticmethod
    def verify_invariants(op):
        check_rank(op, op.src, 4, "the source")
        check_packing(op, element_of(op.src))
        return True


class InsertOp(Xsmt.Operation, name="insert", traits=[ext.Pure]):
    """result = dest, with the matrix in src in the place of dest's part at `offsets`, of `shape`

    src: (R, C, r, c)    offsets: 2 i32    dest, result: (S0, S1), or a packed (R', C', r', c')
    What would lie outside of dest, or is beyond `shape` in src, goes nowhere.
    """

    src: ext.Operand[Tensor]
    dest: ext.Operand[Tensor]
    offsets: Sequence[ext.Operand[I32]]
    shape: I64ArrayAttr
    result: ext.Result[Tensor]
    assembly = "$src `,` $dest `[` $offsets `]` `shape` $shape attr-dict `:` type($src) `->` type($result)"
    infer = {"dest": ("result", lambda result: result)}

    @staticmethod
    def verify_invariants(op):
        check_rank(op, op.src, 4, "the source")
        if len(shape_of(op.dest)) != 4:
            check_rank(op, op.dest, 2, "the destination")
        check_offsets(op)
        check_result(op, shape_of(op.dest), element_of(op.src))
        rows, columns, height, width = shape_of(op.src)
        sizes, whole = check_sizes(op, "shape"), [rows * height, columns * width]
        if any(s > w for s, w in zip(sizes, whole, strict=True)):
            raise CompileError(
                f"xsmt.insert: shape is {sizes}, and the source has {shown(whole)} elements",
                at=op,
                fix=f"use at most {whole}",
            )
        if op.dest.type != op.result.type:
            raise CompileError(f"xsmt.insert: dest is {op.dest.type}", at=op, fix=f"use {op.result.type}")
        return True


FLOATS = (ir.F16Type, ir.BF16Type, ir.F32Type, ir.F64Type)


class Mmt4dOp(Xsmt.Operation, name="mmt4d", traits=[ext.Pure]):
    """result[i, j, k, l] = acc[i, j, k, l] + sum over p, q of a[i, p, k, q] * b[j, p, l, q]

    a: (M, K, m, k)    b: (N, K, n, k)    acc, result: (M, N, m, n); acc is 0 if absent
    a, b: f16, bf16, f32 or f64, which may differ, or i8, i16 or i32 for both
    result, acc: any of these floats for floats, any of these integers for integers
    Sums are i32 for integers, f64 where anything is f64, else f32, and are rounded once, at the end.
    Raises CompileError when K or k differ.
    """

    a: ext.Operand[Tensor]
    b: ext.Operand[Tensor]
    result: ext.Result[Tensor]
    acc: ext.Operand[Tensor] | None = None
    assembly = "$a `,` $b (`,` $acc^)? attr-dict `:` type($a) `,` type($b) `->` type($result)"
    infer = {"acc": ("result", lambda result: result)}

    @staticmethod
    def verify_invariants(op):
        check_rank(op, op.a, 4, "a")
        check_rank(op, op.b, 4, "b")
        a, b = shape_of(op.a), shape_of(op.b)
        if a[1] != b[1] or a[3] != b[3]:
            raise CompileError(
                f"xsmt.mmt4d: K differs, a is {shown(a)}, with {a[1]} tiles of {a[3]},"
                f" and b is {shown(b)}, with {b[1]} of {b[3]}",
                at=op,
                fix=f"pack b as Nx{a[1]}xnx{a[3]}",
            )
        check_result(op, [a[0], b[0], a[2], b[2]], element_of(op.result))
        sum_type(op)
        if op.acc is not None and op.acc.type != op.result.type:
            raise CompileError(f"xsmt.mmt4d: acc is {op.acc.type}", at=op, fix=f"use {op.result.type}")
        return True


def sum_type(op) -> ir.Type:
    """The type of the sums of an mmt4d.  Raises CompileError for types that cannot be multiplied."""
    a, b, result = types = [element_of(x) for x in (op.a, op.b, op.result)]
    if a == b and all(isinstance(t, ir.IntegerType) and t.width in (8, 16, 32) for t in types):
        return ir.IntegerType.get_signless(32, op.context)
    if not all(isinstance(t, FLOATS) for t in types):
        raise CompileError(
            f"xsmt.mmt4d: {a} times {b} gives {result}",
            at=op,
            fix="use f16, bf16, f32 or f64 for all, or i8, i16 or i32, one type on both sides",
        )
    double = any(isinstance(t, ir.F64Type) for t in types)
    return ir.F64Type.get(op.context) if double else ir.F32Type.get(op.context)


class ExpandOp(Xsmt.Operation, name="expand", traits=[ext.Pure]):
    """result[4 g + p, n] = values[2 g, n] for the first of the two rows p that mask[g, n] has,
    values[2 g + 1, n] for the second one, and 0 for others, or where the mask has not exactly two bits

    values: (2 G, N) integers    mask: (G, N) i8, bit p for row p of four
    result: (4 G, N), elements as values
    The upper half of a mask does not count.  Raises CompileError when G or N differ.
    """

    values: ext.Operand[Tensor]
    mask: ext.Operand[Tensor]
    result: ext.Result[Tensor]
    assembly = "$values `,` $mask attr-dict `:` type($values) `,` type($mask) `->` type($result)"

    @staticmethod
    def verify_invariants(op):
        check_rank(op, op.values, 2, "values")
        check_rank(op, op.mask, 2, "mask")
        (kept, columns), mask = shape_of(op.values), shape_of(op.mask)
        if list(mask) != [kept // 2, columns] or kept % 2:
            raise CompileError(
                f"xsmt.expand: values are {shown([kept, columns])}, two of every four rows, and the mask"
                f" is {shown(mask)}, a group of four in each row",
                at=op,
                fix=f"a mask of {mask[0]}x{mask[1]} needs values of {2 * mask[0]}x{mask[1]}",
            )
        check_result(op, [2 * kept, columns], element_of(op.values))
        return True


class AnnotationOp(Xsmt.Operation, name="annotation"):
    """Hints about how to compute src, as attributes; they never change a value."""

    src: ext.Operand[Any]
    assembly = "$src attr-dict `:` type($src)"


class GetNumOfThreadOp(Xsmt.Operation, name="get_num_of_thread", traits=[ext.Pure]):
    """result = how many threads run this program

    result: i32
    """

    result: ext.Result[I32]
    assembly = "attr-dict `:` type($result)"
