"""Matrices that go round a loop and meet the sums of a product on the way, element by element."""

import attrs

from vertebra.lowering.linalg_to_vector.operations import is_elementwise, is_tensor, producer
from vertebra.lowering.parallel_loops import PARALLEL


@attrs.frozen
class Round:
    """A matrix that loop `loop` carries as its number `number`.

    values: what is computed of it in a turn.  end: the last one, with which the turn ends.
    """

    loop: object
    number: int
    values: set
    end: object

    @property
    def argument(self):
        return self.loop.regions[0].blocks[0].arguments[1 + self.number]

    @property
    def start(self):
        return self.loop.operands[3 + self.number]

    @property
    def result(self):
        return self.loop.results[self.number]


def scaled_before(product) -> Round | None:
    """The matrix of which elementwise operations make the start of `product`, whose sums end the turn."""
    (sums,) = product.results
    found = _round(product.operands[2], sums, product.block)
    return found if found and _only_user(product.operands[2]) == product else None


def updated_after(product) -> Round | None:
    """The matrix of which, and of the sums of `product`, elementwise operations make its next one."""
    (sums,) = product.results
    values, todo, end = set(), [sums], None
    while todo:
        value = todo.pop()
        for use in value.uses:
            user = use.owner.operation
            if user.name == "scf.yield" and user.block == product.block and end in (None, value):
                end = value
            elif _joins(user, sums, product.block) and user.results[0] not in values:
                values.add(user.results[0])
                todo.append(user.results[0])
            elif not _joins(user, sums, product.block):
                return None
    found = _round(end, end, product.block) if end is not None and end != sums else None
    return found if found and values <= found.values else None


def _round(made, end, block) -> Round | None:
    """The argument of which `made` is computed by operations without other users, where `end` ends a turn."""
    loop, last = block.owner, _only_user(end)
    if loop is None or loop.name != "scf.for" or PARALLEL in loop.attributes:
        return None
    if last is None or last.name != "scf.yield" or last.block != block:
        return None
    number = next(k for k, v in enumerate(last.operands) if v == end)
    argument = block.arguments[1 + number]
    values, todo = set(), [made]
    while todo:
        value = todo.pop()
        op = producer(value)
        if value in values or op is None or not _joins(op.operation, argument, block):
            continue
        if value != made and any(use.owner.operation.results[0] not in values for use in value.uses):
            continue
        values.add(value)
        todo += [v for v in op.operands if is_tensor(v)]
    users = [use.owner.operation for use in argument.uses]
    if not users or not all(len(u.results) == 1 and u.results[0] in values for u in users):
        return None
    return Round(loop.operation, number, values, end)


def _joins(op, like, block) -> bool:
    """Whether `op` is elementwise, in `block`, on matrices of the shape of `like`."""
    return (
        is_elementwise(op)
        and len(op.results) == 1
        and op.block == block
        and list(op.results[0].type.shape) == list(like.type.shape)
    )


def _only_user(value):
    users = [use.owner.operation for use in value.uses]
    return users[0] if len(users) == 1 else None
