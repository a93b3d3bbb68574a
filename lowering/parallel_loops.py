"""Loops whose iterations may run at once, and how they lose that.

`smt.parallel` leaves an scf.for with the attribute `bind_sub_block`.  It stays one until
`outline_parallel`, unless it turns out on the way that iterations hand something on, or share a
buffer: then it loses the attribute and runs as an ordinary loop, which gives the same values.
"""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir

PARALLEL = "bind_sub_block"
WAITS = "vertebra.waits"  # on the declaration of a function that waits for others
_WAIT = "vertebra_barrier_wait"


def parallel_loops(root) -> list[ir.Operation]:
    """All marked loops below `root`, inner ones before those around them."""
    found = []

    def visit(op):
        if op.name == "scf.for" and PARALLEL in op.attributes and _on(op.attributes[PARALLEL]):
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    root.operation.walk(visit, ir.WalkOrder.POST_ORDER)
    return found


def _on(attribute) -> bool:
    return not isinstance(attribute, ir.BoolAttr) or attribute.value


def inside(op) -> list[ir.Operation]:
    """All operations inside of `op`."""
    found = []

    def visit(inner):
        found.append(inner.operation)
        return ir.WalkResult.ADVANCE

    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                inner.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found


def is_inside(op, outer) -> bool:
    """Whether `op`, an operation or a block's owner, is `outer` or in it."""
    while op is not None:
        if op == outer:
            return True
        op = op.parent
    return False


def defined_inside(value: ir.Value, loop) -> bool:
    owner = value.owner
    return is_inside(owner.owner if isinstance(owner, ir.Block) else owner.operation, loop)


def waits(loop, waiting=frozenset()) -> bool:
    """Whether iterations wait for each other; waiting: functions that do, besides the service."""
    calls = (op.attributes["callee"].value for op in inside(loop) if op.name == "func.call")
    return any(name == _WAIT or name in waiting for name in calls)


def make_serial(loop, why: str, fix: str) -> None:
    """From now on `loop` is an ordinary one.

    Raises CompileError where its iterations wait for each other, which they could not then.
    """
    if waits(loop):
        raise CompileError(f"iterations that wait for each other {why}", at=loop, fix=fix)
    del loop.attributes[PARALLEL]
