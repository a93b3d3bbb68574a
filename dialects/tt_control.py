"""The `tt` dialect: functions, programs, operations with a body, and messages."""

from collections.abc import Sequence
from typing import Any

from vertebra.core.attributes import BoolAttr, I32ArrayAttr, I32Attr, StrAttr, SymbolAttr, optional
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.tt_types import ProgramDim, Tt, element_of, shape_of, shown

I32 = ir.IntegerType[32]
Tensor = ir.RankedTensorType


class FuncOp(Tt.Operation, name="func", traits=[ir.IsIsolatedFromAboveTrait]):
    """A function; a kernel if it is public.  A declaration has an empty body.

    function_type: the types of its arguments and results    arg_attrs, res_attrs: a dictionary each
    """

    sym_name: StrAttr
    function_type: ir.TypeAttr
    body: ext.Region
    sym_visibility = optional(StrAttr)
    arg_attrs = optional(ir.ArrayAttr)
    res_attrs = optional(ir.ArrayAttr)
    assembly = "custom<Function>"

    @staticmethod
    def verify_invariants(op):
        if not len(op.body.blocks):
            return True
        stated = list(op.function_type.value.inputs)
        found = [a.type for a in op.body.blocks[0].arguments]
        if stated != found:
            raise CompileError(
                f"tt.func: @{op.sym_name.value} takes {', '.join(map(str, stated)) or 'nothing'}, its body"
                f" {', '.join(map(str, found)) or 'nothing'}",
                at=op,
            )
        return True


class ReturnOp(Tt.Operation, name="return", traits=[ir.IsTerminatorTrait]):
    """Ends a function.

    srcs: its results
    """

    srcs: Sequence[ext.Operand[Any]]
    assembly = "attr-dict ($srcs^ `:` type($srcs))?"


class CallOp(Tt.Operation, name="call"):
    """results = callee(args...)

    callee: a function of the same module, with these types
    """

    callee: SymbolAttr
    args: Sequence[ext.Operand[Any]]
    outs: Sequence[ext.Result[Any]]
    assembly = "$callee `(` $args `)` attr-dict `:` functional-type($args, results)"


class GetProgramIdOp(Tt.Operation, name="get_program_id", traits=[ext.Pure]):
    """result = where this program is in the grid, along `axis`

    result: i32
    """

    axis: ProgramDim
    result: ext.Result[I32]
    assembly = "$axis attr-dict `:` type($result)"


class GetNumProgramsOp(Tt.Operation, name="get_num_programs", traits=[ext.Pure]):
    """result = the size of the grid along `axis`

    result: i32
    """

    axis: ProgramDim
    result: ext.Result[I32]
    assembly = "$axis attr-dict `:` type($result)"


def check_body(op, region: str, repeats: int) -> None:
    """Raises CompileError unless the body takes `repeats` elements of each source."""
    wanted = [element_of(s) for s in op.srcs]
    wanted = wanted * repeats if region == "combineOp" else [t for t in wanted for _ in range(repeats)]
    found = [a.type for a in getattr(op, region).blocks[0].arguments]
    if found != wanted:
        raise CompileError(
            f"{op.operation.name}: the body takes ({', '.join(map(str, found))})",
            at=op,
            fix=f"it has to take ({', '.join(map(str, wanted))})",
        )


def check_sources(op) -> list[int]:
    """The shape of all sources.  Raises CompileError when they differ, or there are none."""
    shapes = [shape_of(s) for s in op.srcs]
    if not shapes or any(s != shapes[0] for s in shapes):
        raise CompileError(
            f"{op.operation.name}: the shapes differ: {', '.join(map(shown, shapes)) or 'no operands'}", at=op
        )
    return shapes[0]


def check_axis(op, rank: int) -> int:
    axis = op.axis.value
    if not 0 <= axis < rank:
        raise CompileError(
            f"{op.operation.name}: axis {axis} of {rank} dimensions", at=op, fix=f"use 0 to {rank - 1}"
        )
    return axis


def check_results(op, wanted: list[int]) -> None:
    """Raises CompileError unless there is a result of shape `wanted` for each source, with its elements."""
    for source, result in zip(op.srcs, op.operation.results, strict=False):
        if shape_of(result) != wanted or element_of(result) != element_of(source):
            raise CompileError(
                f"{op.operation.name}: {result.type} from {source.type}, it has to be"
                f" {shown(wanted)} of {element_of(source)}",
                at=op,
            )
    if len(op.srcs) != len(op.operation.results):
        raise CompileError(
            f"{op.operation.name}: {len(op.operation.results)} results from {len(op.srcs)} operands", at=op
        )


class ReduceOp(Tt.Operation, name="reduce", traits=[ext.Pure]):
    """result[j] = combineOp over i of srcs[i, j], for axis 0; the order is free

    srcs: tensors of one shape    result: that without `axis`, a scalar if nothing is left
    combineOp: takes an element of each source twice, gives one of each
    """

    srcs: Sequence[ext.Operand[Any]]
    axis: I32Attr
    result: Sequence[ext.Result[Any]]
    combineOp: ext.Region

    @staticmethod
    def verify_invariants(op):
        shape = check_sources(op)
        axis = check_axis(op, len(shape))
        check_results(op, shape[:axis] + shape[axis + 1 :])
        return True

    @staticmethod
    def verify_region_invariants(op):
        check_body(op, "combineOp", 2)
        return True


class ReduceReturnOp(Tt.Operation, name="reduce.return", traits=[ext.Pure, ir.IsTerminatorTrait]):
    """Ends the body of a reduction.

    result: the combined elements
    """

    result: Sequence[ext.Operand[Any]]
    assembly = "$result attr-dict `:` type($result)"


class ScanOp(Tt.Operation, name="scan", traits=[ext.Pure]):
    """result[i, j] = combineOp over all k <= i (k >= i if reverse) of srcs[k, j], for axis 0

    srcs, result: tensors of one shape
    combineOp: associative; takes an element of each source twice, gives one of each
    """

    srcs: Sequence[ext.Operand[Any]]
    axis: I32Attr
    reverse: BoolAttr
    result: Sequence[ext.Result[Any]]
    combineOp: ext.Region

    @staticmethod
    def verify_invariants(op):
        shape = check_sources(op)
        check_axis(op, len(shape))
        check_results(op, shape)
        return True

    @staticmethod
    def verify_region_invariants(op):
        check_body(op, "combineOp", 2)
        return True


class ScanReturnOp(Tt.Operation, name="scan.return", traits=[ext.Pure, ir.IsTerminatorTrait]):
    """Ends the body of a scan.

    result: the combined elements
    """

    result: Sequence[ext.Operand[Any]]
    assembly = "$result attr-dict `:` type($result)"


class MapElementwiseOp(Tt.Operation, name="map_elementwise"):
    """result[i] = scalarOp(srcs[i]...), pack elements at a time

    srcs, result: tensors of one shape
    scalarOp: takes `pack` elements of each source, gives `pack` of each result; may branch
    """

    srcs: Sequence[ext.Operand[Any]]
    pack: I32Attr
    result: Sequence[ext.Result[Any]]
    scalarOp: ext.Region

    @staticmethod
    def verify_invariants(op):
        shape = check_sources(op)
        for result in op.result:
            if shape_of(result) != shape:
                raise CompileError(
                    f"tt.map_elementwise: a result of {shown(shape_of(result))} from {shown(shape)}", at=op
                )
        return True

    @staticmethod
    def verify_region_invariants(op):
        check_body(op, "scalarOp", op.pack.value)
        return True


class MapElementwiseReturnOp(
    Tt.Operation, name="map_elementwise.return", traits=[ext.Pure, ir.IsTerminatorTrait]
):
    """Ends the body of an elementwise map.

    result: `pack` elements of each result
    """

    result: Sequence[ext.Operand[Any]]
    assembly = "attr-dict ($result^ `:` type($result))?"


class PrintOp(Tt.Operation, name="print"):
    """Prints prefix and args, for the eyes of a developer.

    hex: in hexadecimal    isSigned: 0 or 1 for each argument
    """

    prefix: StrAttr
    hex: BoolAttr
    args: Sequence[ext.Operand[Any]]
    isSigned: I32ArrayAttr
    assembly = "$prefix attr-dict (`:` $args^ `:` type($args))?"

    @staticmethod
    def verify_invariants(op):
        if len(op.isSigned) != len(op.args):
            raise CompileError(
                f"tt.print: isSigned has {len(op.isSigned)} entries for {len(op.args)} arguments", at=op
            )
        return True


class AssertOp(Tt.Operation, name="assert"):
    """Stops the program with `message` where an element of `condition` is false.

    condition: i1, or tensor of i1
    """

    condition: ext.Operand[Any]
    message: StrAttr
    assembly = "$condition `,` $message attr-dict `:` type($condition)"


__all__ = [
    "AssertOp",
    "CallOp",
    "FuncOp",
    "GetNumProgramsOp",
    "GetProgramIdOp",
    "MapElementwiseOp",
    "MapElementwiseReturnOp",
    "PrintOp",
    "ReduceOp",
    "ReduceReturnOp",
    "ReturnOp",
    "ScanOp",
    "ScanReturnOp",
]
