"""One place for every buffer that travels round a loop.

Bufferisation passes what a turn allocates on to the next turn.  `place_buffers` gives each
allocation one place for all turns, so a turn would write over what it got from the turn
before.  Here a loop's carried buffer gets a place of its own, outside of the loop, into which
each turn copies what it yields, once everything is computed.
"""

from typing import Any

from vertebra.core.mlir import ir


def place_carried_buffers(module, core=None, options=None) -> None:
    """Rewrites every scf.for and scf.while that carries a memref from one turn to another, in place."""
    found = []

    def visit(op):
        if op.name in ("scf.for", "scf.while"):
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in found:
        with op.location:
            _place(op)


def _carried(op) -> tuple[int, list, Any]:
    """(operand number of the first initial value, arguments of a turn, the op that ends a turn)."""
    *_, last = op.regions[-1].blocks[0].operations
    arguments = list(op.regions[0].blocks[0].arguments)
    if op.name == "scf.for":
        return 3, arguments[1:], last.operation
    return 0, arguments, last.operation


def _place(op) -> None:
    first, arguments, last = _carried(op)
    moved = [
        k
        for k, argument in enumerate(arguments)
        if isinstance(argument.type, ir.MemRefType) and origin(last.operands[k]) != argument
    ]
    if not moved:
        return
    with ir.InsertionPoint(last):
        sources = [_settled(last.operands[k]) for k in moved]
    for k, source in zip(moved, sources, strict=True):
        argument = arguments[k]
        with ir.InsertionPoint(op):
            own = _allocate(argument.type)
            _copy(op.operands[first + k], own)
            place = _cast(own, argument.type)
        with ir.InsertionPoint(last):
            _copy(source, own)
        argument.replace_all_uses_with(place)
        op.operands[first + k] = place
        last.operands[k] = place
        if op.name == "scf.for":
            op.results[k].replace_all_uses_with(place)


def _settled(value):
    """A buffer with the contents of `value` that no copy into a carried buffer changes."""
    owner = value.owner
    if not isinstance(owner, ir.Block) and owner.name == "memref.alloc":
        return value
    copy = _allocate(value.type)
    _copy(value, copy)
    return copy


def origin(value):
    """The value that `value` is known to be the same buffer as."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return value
    op = owner.operation
    number = next(i for i, r in enumerate(op.results) if r == value)
    if op.name == "scf.for":
        first, arguments, last = _carried(op)
        if origin(last.operands[number]) == arguments[number]:
            return origin(op.operands[first + number])
    elif op.name == "scf.if":
        yes, no = (origin(list(region.blocks[0].operations)[-1].operands[number]) for region in op.regions)
        if yes == no:
            return yes
    return value


def _allocate(type):
    plain = ir.MemRefType.get(type.shape, type.element_type)
    return ir.Operation.create(
        "memref.alloc",
        [plain],
        attributes={
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([0, 0]),
            "alignment": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 64),
        },
    ).result


def _copy(source, target) -> None:
    ir.Operation.create("memref.copy", [], [source, target])


def _cast(value, type):
    return value if value.type == type else ir.Operation.create("memref.cast", [type], [value]).result
