"""Calls of the services that every runtime has (core/native/services.h)."""

from collections.abc import Sequence

from vertebra.core.errors import kernel_of, place_of
from vertebra.core.mlir import arith, func, ir, memref

FAIL = "vertebra_fail"
FAIL_AS = "vertebra_fail_as"


def call_service(
    op, name: str, operands: Sequence[ir.Value], results: Sequence[ir.Type] = ()
) -> list[ir.Value]:
    """The results of a call of service `name`, which is declared when it is first needed.

    op: any operation of the kernel.
    """
    block = function_of(op).parent.regions[0].blocks[0]
    declared = (o.attributes["sym_name"].value for o in block.operations if "sym_name" in o.attributes)
    if name not in declared:
        with ir.InsertionPoint.at_block_begin(block):  # where the next call finds it at once
            func.FuncOp(name, ([o.type for o in operands], list(results)), visibility="private")
    return list(func.CallOp(list(results), name, operands).results)


def program_of(op) -> list[ir.Value]:
    """The program's x, y, z: the last arguments of every kernel (see tt_to_func)."""
    return list(function_of(op).regions[0].blocks[0].arguments)[-3:]


def place_text(op) -> ir.Value:
    """The address of the text that says where `op` is in the source."""
    place = place_of(op.location)
    return text_address(op, (str(place) if place else f"kernel {kernel_of(op)}").encode() + b"\0")


def text_address(op, data: bytes) -> ir.Value:
    """The address, as i64, of a constant that holds `data`."""
    i8, i64 = (ir.IntegerType.get_signless(width) for width in (8, 64))
    block = function_of(op).parent.regions[0].blocks[0]
    kind = ir.MemRefType.get([len(data)], i8)
    name = f"vertebra_text_{len(block.operations)}"  # the module only grows here
    numbers = ir.DenseElementsAttr.get(memoryview(data), type=i8, shape=[len(data)])
    with ir.InsertionPoint(block):
        memref.GlobalOp(
            name, ir.TypeAttr.get(kind), sym_visibility="private", initial_value=numbers, constant=True
        )
    start = memref.ExtractAlignedPointerAsIndexOp(memref.GetGlobalOp(kind, name).result).result
    return arith.index_cast(i64, start)


def function_of(op):
    """The func.func around `op`."""
    op = op.operation
    while op.name != "func.func":
        op = op.parent
    return op
