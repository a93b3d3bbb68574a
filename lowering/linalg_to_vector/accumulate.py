"""Loops that only add up blocks whose sum is then taken: the sums stay in vector registers.

    total = zeros; for ...: total += x(i)        (or a maximum, a product, ...)
    result = sum(total)

needs no tensor `total` in memory: a few vectors carried by the loop take all of x in, and their lanes
are combined where the kernel reduces the tensor.  The combining operation is associative and
commutative (for floats up to rounding, as in any reduction), so the order is free.
"""

import math

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.elementwise import Scope, limits_of
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, create
from vertebra.lowering.linalg_to_vector.loops import loop, whole_chunks
from vertebra.lowering.linalg_to_vector.reduce_rows import chains_of
from vertebra.lowering.linalg_to_vector.reduction import Reduction, chunks_of, values_of

_CHUNKS_A_TURN = 2  # at least: the loop's own instructions count little then

# Combining operation -> what a tensor holds that changes nothing.
_IDENTITY = {
    "arith.addf": 0.0,
    "arith.addi": 0,
    "arith.mulf": 1.0,
    "arith.muli": 1,
    "arith.maximumf": -math.inf,
    "arith.maxnumf": -math.inf,
    "arith.minimumf": math.inf,
    "arith.minnumf": math.inf,
    "arith.ori": 0,
    "arith.xori": 0,
    "arith.andi": -1,
}


@attrs.frozen
class Accumulation:
    """One such loop.

    reduce: the linalg.reduce that alone reads what the loop carries.  term: the tensor that a turn adds.
    identity: what the loop starts from.
    """

    reduce: object
    term: object
    identity: float | int


def match(op, writes) -> Accumulation | None:
    """The accumulation that `op` is.  writes: of an operation, whether anything in it writes memory."""
    if op.name != "scf.for" or len(op.results) != 1 or writes(op):
        return None
    type = op.results[0].type
    if not isinstance(type, ir.RankedTensorType) or type.rank != 1 or not type.has_static_shape:
        return None
    size = type.shape[0]
    reduce = _only_user(op.results[0])
    if size < 2 or size & (size - 1) or reduce is None or not _reduces(reduce, op):
        return None
    combine = reduce.regions[0].blocks[0].operations[0].operation
    block = op.regions[0].blocks[0]
    *_, last = block.operations
    step, carried = last.operation.operands[0].owner, block.arguments[1]
    if isinstance(step, ir.Block) or step.name != combine.name or step.operation.block != block:
        return None
    terms = [v for v in step.operands if v != carried]
    alone = _only_user(carried) == step.operation and _only_user(step.results[0]) == last.operation
    start = _splat(op.operands[3])
    if not alone or len(terms) != 1 or start is None or start != _IDENTITY.get(combine.name):
        return None
    return Accumulation(reduce, terms[0], start)


def _only_user(value):
    users = [use.owner.operation for use in value.uses]
    return users[0] if len(users) == 1 else None


def _reduces(reduce, op) -> bool:
    """Whether `reduce` is a linalg.reduce beside loop `op` that combines elements by one operation."""
    if reduce.name != "linalg.reduce" or len(reduce.results) != 1 or reduce.block != op.block:
        return False
    if reduce.operands[0] != op.results[0] or reduce.operands[1] == op.results[0]:
        return False
    block = reduce.regions[0].blocks[0]
    body = [o.operation for o in block.operations]
    return len(body) == 2 and set(body[0].operands) == set(block.arguments)


def _splat(value):
    """The number that all elements of `value` are known to be, else None."""
    op = value.owner
    if isinstance(op, ir.Block) or op.name != "arith.constant":
        return None
    dense = ir.DenseElementsAttr(op.attributes["value"])
    return dense.get_splat_value().value if dense.is_splat else None


def accumulate(scope: Scope, op) -> object:
    """Makes loop `op`, whose body is lowered already, carry vectors; returns the block of the new loop.

    The reduction finds the vectors in `scope.partial`, under its own result.
    """
    found = scope.plan.accumulations[op.results[0]]
    reduction = Reduction(scope, found.reduce)
    size = op.results[0].type.shape[0]
    width = min(scope.width([found.term]), size)
    ev = scope.evaluator(width)
    chains = min(chains_of(reduction, width), size // width)
    vector = ev.b.vector_type(found.term.type.element_type)
    start = ev.b.constants.splat(vector, found.identity)
    operands = [*list(op.operands)[:3], *[start] * chains]
    attributes = {name: op.attributes[name] for name in op.attributes}
    new = ir.Operation.create("scf.for", [vector] * chains, operands, attributes, regions=1)
    op.regions[0].blocks[0].append_to(new.regions[0])
    block = new.regions[0].blocks[0]
    carried = [block.add_argument(vector, op.location) for _ in range(chains)]
    *_, last = block.operations
    with ir.InsertionPoint(last):
        ir.Operation.create("scf.yield", [], _turn(scope, reduction, found.term, ev, carried))
    last.operation.erase()
    placeholder = create("tensor.empty", op.results[0].type, [])
    op.results[0].replace_all_uses_with(placeholder)
    scope.partial[found.reduce.results[0]] = (width, list(new.results))
    op.erase()
    return block


def _turn(scope: Scope, reduction: Reduction, term, ev: Evaluator, carried: list) -> list:
    """Takes all of `term` into the vectors `carried`, one chunk into each or two into a single one."""
    b, size, count = ev.b, term.type.shape[0], len(carried)
    chunks = min(max(count, _CHUNKS_A_TURN), size // b.width)
    stride = b.width * chunks

    def step(i, flat: list) -> list:
        inner, new = ev.child(), list(flat)
        for c in range(chunks):
            at = Affine(b.add(i, b.const(c * b.width)), b.const(1), i.below)
            acc = chunks_of([new[c % count]])
            (new[c % count],) = values_of(inner, reduction.combine(inner, acc, [inner.at(term, [at])]))
        return new

    (limit,) = limits_of(scope, [term], [0])
    first = 0
    if limit is not None:
        first = whole_chunks(b, limit, size, stride)
        carried = loop(b, 0, first, stride, carried, step, below=limit)
    return loop(b, first, size, stride, carried, step)
