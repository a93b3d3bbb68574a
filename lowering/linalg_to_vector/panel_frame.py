"""What products on engines share: where operands and sums are made, and the walk over panels."""

import contextlib

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.carried_products import PRODUCT, Carried
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop
from vertebra.lowering.linalg_to_vector.panel_sums import Sums
from vertebra.lowering.parallel_loops import PARALLEL, defined_inside


def panels_around(sums: Sums, way: Carried, element, buffer=None):
    """A buffer for carried sums: filled in front of the loop, and behind it in the loop's result."""
    with ir.InsertionPoint(way.loop):
        buffer = buffer or sums.allocate()
        sums.clear(buffer) if way.zero else sums.pack(buffer, way.start, [])
    with after(way.loop):
        tensor = tensor_of(sums.unpack(buffer, sums.result([], element), []))
    for use in list(way.result.uses):
        use.owner.operation.operands[use.operand_number] = tensor
    return buffer


def after(op):
    """The place behind `op`."""
    following = list(op.block.operations)
    place = next(i for i, o in enumerate(following) if o.operation == op)
    return ir.InsertionPoint(following[place + 1])


def tensor_of(buffer):
    """The tensor in a buffer that is not written any more."""
    type = ir.RankedTensorType.get(buffer.type.shape, buffer.type.element_type)
    attributes = {"restrict": ir.UnitAttr.get(), "writable": ir.UnitAttr.get()}
    return create("bufferization.to_tensor", type, [buffer], attributes)


def as_early_as_possible(op, value):
    """In front of the outermost loop around `op` in which `value` is the same in every turn, or here."""
    place, around = None, op.block.owner
    while op.name == PRODUCT and around is not None and around.name == "scf.for":
        if PARALLEL in around.attributes or defined_inside(value, around):
            break
        place, around = around, around.operation.block.owner
    return ir.InsertionPoint(place) if place else contextlib.nullcontext()


def over_panels(scope: Scope, runs: list, body) -> None:
    """body(first tile, tiles) for every panel of `runs`, (start, stop, size) each."""
    for start, stop, size in runs:

        def turn(at: Uniform, _carried: list, size=size) -> list:
            body(at, size)
            return []

        loop(scope.builder(1), start, stop, size, [], turn)
