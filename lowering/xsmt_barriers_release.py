"""Releases barriers: an mbarrier_release after the last use of what each mbarrier_alloc made.

A use is found wherever the handle goes: through casts, selects, elements of tensors, the results of
branches, and the values that loops carry.  A handle that a branch gives away is released where the
branches meet again; the side that made none counts as 0, which is nobody's handle.
"""

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_linalg import build

ALLOC, RELEASE = "xsmt_async.mbarrier_alloc", "xsmt_async.mbarrier_release"
_STORES = (
    "memref.store",
    "tensor.store",
    "vector.transfer_write",
    "bufferization.materialize_in_destination",
)


def release_barriers(module, core=None, options=None) -> None:
    """Adds the releases that are missing, in place."""
    allocs = []

    def visit(op):
        if op.name == ALLOC:
            allocs.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for alloc in allocs:
        users = users_of(alloc.result)
        if all(user.name != RELEASE for user in users):
            with alloc.location:
                _release(alloc, users)


def users_of(handle: ir.Value) -> list[ir.Operation]:
    """Every operation that uses `handle`, or a value that it went into."""
    seen, pending, users = {handle}, [handle], []
    while pending:
        for use in pending.pop().uses:
            users.append(use.owner.operation)
            for value in _passed_on(use.owner.operation, use.operand_number):
                if value not in seen:
                    seen.add(value)
                    pending.append(value)
    return users


def _passed_on(op, number: int) -> list[ir.Value]:
    """Where operand `number` of `op` may go."""
    parent = op.parent
    if op.name == "scf.for":
        return [op.regions[0].blocks[0].arguments[number - 2], op.results[number - 3]] if number >= 3 else []
    if op.name == "scf.while":
        return [op.regions[0].blocks[0].arguments[number]]
    if op.name == "scf.condition":
        return (
            [parent.regions[1].blocks[0].arguments[number - 1], parent.results[number - 1]] if number else []
        )
    if op.name == "scf.yield" and parent.name == "scf.for":
        return [parent.regions[0].blocks[0].arguments[number + 1], parent.results[number]]
    if op.name == "scf.yield" and parent.name == "scf.while":
        return [parent.regions[0].blocks[0].arguments[number]]
    if op.name == "scf.yield" and parent.name == "scf.if":
        return [parent.results[number]]
    if op.name.endswith(".yield"):
        return list(parent.results)
    inner = (
        [a for r in op.regions for b in r.blocks for a in b.arguments]
        if op.name.startswith("linalg.")
        else []
    )
    return [*op.results, *inner]


def _release(alloc, users) -> None:
    handle, place = alloc.result, alloc
    stored = any(user.name in _STORES for user in users)
    while _leaves(place, users, stored) and place.parent.name == "scf.if":
        handle, place = _lifted(handle, place)
        users = users_of(alloc.result)  # the branch is a new one
    operations = [op.operation for op in place.block.operations]
    around = [_ancestor_in(place.block, user) for user in users]
    last = max([operations.index(place), *(operations.index(op) for op in around if op is not None)])
    last = len(operations) - 2 if stored else min(last, len(operations) - 2)
    with ir.InsertionPoint(operations[last + 1]):
        ir.Operation.create(RELEASE, [], [handle])


def _leaves(place, users, stored: bool) -> bool:
    """Whether the handle is used outside of the block of `place`; memory may give it to anyone."""
    return stored or any(_ancestor_in(place.block, user) is None for user in users)


def _ancestor_in(block, op):
    """The operation of `block` that is `op` or around it; None where there is none."""
    while op is not None and op.name != "func.func":
        if op.block == block:
            return op
        op = op.parent
    return None


def _lifted(handle: ir.Value, place) -> tuple[ir.Value, ir.Operation]:
    """The handle, or 0, as one more result of the branch around it; (it, the branch)."""
    branch, block, i64 = place.parent, place.block, build.integer(64)
    types = [*(r.type for r in branch.results), i64]
    with ir.InsertionPoint(branch), branch.location:
        new = ir.Operation.create("scf.if", types, [branch.operands[0]], regions=2)
    for old, region in zip(list(branch.regions), new.regions, strict=True):
        if len(old.blocks):
            old.blocks[0].append_to(region)
        else:
            with ir.InsertionPoint(region.blocks.append()), branch.location:
                ir.Operation.create("scf.yield", [], [])
        *_, last = region.blocks[0].operations
        with ir.InsertionPoint(last), branch.location:
            extra = handle if region.blocks[0] == block else build.constant(i64, 0)
            ir.Operation.create("scf.yield", [], [*last.operands, extra])
        last.operation.erase()
    for old, value in zip(branch.results, new.results, strict=False):
        old.replace_all_uses_with(value)
    branch.erase()
    return new.results[len(types) - 1], new
