"""Sums of integers in a loop begin at what is added behind it: integers wrap, so the sums are the same.

A bias then needs no place of its own behind the product.
"""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.carried_products import PRODUCT, is_zero
from vertebra.lowering.linalg_to_vector.finish_steps import is_row
from vertebra.lowering.linalg_to_vector.memory_effects import writes
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.parallel_loops import PARALLEL, inside

_PURE = ("linalg.generic", "linalg.transpose", "linalg.broadcast", "bufferization.to_tensor", "memref.load")
_DIALECTS = ("arith", "math", "tensor")
_MEMORY = (
    "memref.alloc",
    "memref.copy",
    "linalg.fill",
    "memref.subview",
    "memref.cast",
    "memref.reinterpret_cast",
)


def rows_into_starts(loop) -> None:
    """Lets `loop`, an scf.for, begin at the row that is added to its sums of integers."""
    if PARALLEL in loop.attributes:
        return
    for number, result in enumerate(loop.results):
        start = loop.operands[3 + number]
        users = [use.owner.operation for use in result.uses]
        if len(users) != 1 or users[0].name != "arith.addi" or users[0].block != loop.block:
            continue
        (other,) = [v for v in users[0].operands if v != result] or [None]
        if other is None or not is_row(other) or not is_zero(start) or not _adds_up(loop, number):
            continue
        if (ahead := _ahead(loop, users[0], other)) is None or any(writes(op) for op in inside(loop)):
            continue
        for op in ahead:
            op.move_before(loop)
        loop.operands[3 + number] = other
        users[0].results[0].replace_all_uses_with(result)
        users[0].erase()


def _adds_up(loop, number: int) -> bool:
    """Whether all that happens to the loop's value in a turn is that products are added to it."""
    value = loop.regions[0].blocks[0].arguments[1 + number]
    while True:
        uses = list(value.uses)
        if len(uses) != 1:
            return False
        user, place = uses[0].owner.operation, uses[0].operand_number
        if user.block != loop.regions[0].blocks[0]:
            return False
        if user.name == "scf.yield":
            return place == number
        if user.name != PRODUCT or place != 2:
            return False
        (value,) = user.results


def _ahead(loop, end, value) -> list | None:
    """The operations between `loop` and `end` of which `value` is computed; None where one has to stay."""
    ops = [op.operation for op in loop.block.operations]
    between = ops[ops.index(loop) + 1 : ops.index(end)]
    if any(writes(inner) for op in between for inner in (op, *inside(op))):
        return None
    needed, todo = [], [value]
    while todo:
        v = todo.pop()
        op = producer(v)
        if op is None or op.operation not in between:
            if op is not None and op.operation == loop:
                return None
            continue
        found = [op.operation]
        while found:
            op = found.pop()
            if op in needed or op not in between:
                continue
            if op.name.partition(".")[0] not in _DIALECTS and op.name not in (*_PURE, *_MEMORY):
                return None
            needed.append(op)
            todo += list(op.operands)
            if op.name in _MEMORY and op.name != "memref.copy":
                # What fills a buffer goes along.
                found += [use.owner.operation for r in op.results for use in r.uses]
    return [op for op in between if op in needed]


def prepare(block) -> None:
    """All loops in `block`, and inside of them."""
    for op in [o.operation for o in block.operations]:
        for region in op.regions:
            for inner in region.blocks:
                prepare(inner)
        if op.name == "scf.for" and any(isinstance(r.type, ir.RankedTensorType) for r in op.results):
            rows_into_starts(op)
