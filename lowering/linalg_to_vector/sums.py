"""Where the sums of a matrix product come from and go to, beyond the buffer that holds them.

A loop over K carries its sums from turn to turn in memory.  In its first turn they need not be
read where they are known to begin at a constant, so that nobody has to fill the buffer; in its last
turn they need not be written to it where all that happens to them is a store, so that nobody has to
copy it.  What remains is one pass over the sums for every turn but those.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import Strided, shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, stored
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Builder, Chunk, Uniform
from vertebra.lowering.linalg_to_vector.loops import either
from vertebra.lowering.linalg_to_vector.operations import is_elementwise, is_tensor, producer
from vertebra.lowering.linalg_to_vector.store import target_of

_FEW_ROWS = 32  # of sums, up to which the columns of B may be read after some sums are stored
_ULE, _SGE, _SLT = 7, 5, 2  # arith.cmpi predicates
VIEWS = ("memref.reinterpret_cast", "memref.subview", "memref.cast")


@attrs.frozen
class Start:
    """turn: whether this is the first turn (i1).  value: what every sum begins at then, an attribute."""

    turn: object
    value: object

    def splat(self, b: Builder, type):
        """The value in elements of `type`, a scalar or vector type."""
        make = b.constants.splat if isinstance(type, ir.VectorType) else b.constants.scalar
        return make(type, self.value.value)


@attrs.frozen
class Goal:
    """The only store of the sums, or of what an expression makes of them.

    now: whether sums go there and not to their buffer (i1).  sums: the tensor that the expression
    starts from, and value: that it makes.  view: the place of its elements.
    """

    now: object
    sums: object
    value: object
    view: Strided

    def put(self, ev: Evaluator, chunk: Chunk, idx: list[Chunk]) -> None:
        """Stores what becomes of the sums `chunk` at `idx`."""
        ev.remember(self.sums, idx, chunk)
        ev.memory.store(stored(ev, ev.at(self.value, idx)), self.view.base, self.view.linear(ev.b, idx))


# -- the first turn


def start_of(scope: Scope, op) -> Start | None:
    """How the sums of the product `op` begin where a loop around it carries them; leaves them unfilled."""
    loop, number = _loop_of(op)
    if loop is None:
        return None
    found = _fill(loop.operands[3 + number])
    if found is None:
        return None
    b = scope.builder(1)
    low, high = list(loop.operands)[:2]
    (value, fill, ops) = found
    with ir.InsertionPoint(loop), loop.location:
        empty = _without(fill, ops)
        init = empty
        if not _turns(low, high):
            none = _compare(b, _SGE, low, high)
            (init,) = either(none, [empty.type], lambda: [_again(fill, ops)], lambda: [empty])
    loop.operands[3 + number] = init
    return Start(_compare(b, 0, loop.regions[0].blocks[0].arguments[0], low), value)


def _loop_of(op) -> tuple:
    """(loop, number of the value it carries): what op's sums are and become in every turn; or (None, 0)."""
    acc, (result,) = op.operands[2], op.results
    if not isinstance(acc.owner, ir.Block) or acc.owner != op.block or acc.arg_number == 0:
        return None, 0
    loop = op.parent
    loop = loop.operation if loop is not None else None
    if loop is None or loop.name != "scf.for" or len(list(acc.uses)) != 1:
        return None, 0
    number = acc.arg_number - 1
    uses = [u.owner.operation for u in result.uses]
    if len(uses) != 1 or uses[0].name != "scf.yield" or uses[0].operands[number] != result:
        return None, 0
    return loop, number


def _fill(value) -> tuple | None:
    """(splat, loop that fills, reshapes after it) where `value` was filled with one constant for one user."""
    ops, op = [], producer(value)
    while op is not None and op.name in ("tensor.expand_shape", "tensor.cast"):
        if len(list(op.results[0].uses)) != 1:
            return None
        ops.insert(0, op.operation)
        op = producer(op.operands[0])
    if op is None or op.name != "scf.for" or len(op.results) != 1 or len(list(op.results[0].uses)) != 1:
        return None
    source = producer(op.operands[3])
    body = [o.operation for o in op.regions[0].blocks[0].operations]
    filling = [o.name for o in body if o.name != "vector.broadcast"] == ["vector.transfer_write", "scf.yield"]
    if source is None or source.name != "tensor.empty" or not filling:
        return None
    splat = producer(body[-2].operands[0])
    if splat is not None and splat.name == "vector.broadcast":
        splat = producer(splat.operands[0])
    if splat is None or splat.name != "arith.constant":
        return None
    value = splat.attributes["value"]
    if isinstance(value, ir.DenseElementsAttr):
        value = value.get_splat_value() if value.is_splat else None
    return (value, op.operation, ops) if value is not None else None


def _without(fill, ops: list):
    value = fill.operands[3]
    for op in ops:
        value = _like(op, value)
    return value


def _again(fill, ops: list):
    copy = fill.clone()
    value = copy.results[0]
    for op in ops:
        value = _like(op, value)
    return value


def _like(op, value):
    copy = op.clone()
    copy.operands[0] = value
    return copy.results[0]


def _turns(low, high) -> bool:
    """Whether a loop is known to have a turn."""
    ends = [producer(v) for v in (low, high)]
    if any(op is None or op.name != "arith.constant" for op in ends):
        return False
    first, last = (ir.IntegerAttr(op.attributes["value"]).value for op in ends)
    return first < last


def _compare(b: Builder, predicate: int, left, right):
    return b.scalar(b.compare(predicate, Uniform(left), Uniform(right)))


# -- the last turn


def goal_of(scope: Scope, op) -> Goal | None:
    """The store to which the sums of the product `op` may go at once; from now on it waits for the others."""
    loop, number = _loop_of(op)
    sums = loop.results[number] if loop is not None else op.results[0]
    if len(shape_of(sums)) != 2 or shape_of(sums)[0] < _FEW_ROWS:
        return None
    chain = chain_of(scope, sums)
    return goal_through(scope, op, chain, _ahead) if chain is not None else None


def goal_through(scope: Scope, op, chain: list, ahead, row_by_row: bool = True) -> Goal | None:
    """The same, where `chain` leads from the sums of `op` to the store.

    ahead: (operations behind the product, chain, the product or the loop around it) -> those that have to go
    ahead of it, or None.  row_by_row: whether only rows may be what is contiguous.
    """
    loop, number = _loop_of(op)
    sums = loop.results[number] if loop is not None else op.results[0]
    last = loop if loop is not None else op.operation
    if chain[-1].block != last.block:
        return None
    *between, store = _after(last, chain[-1])
    moved = ahead(between, chain, last)
    if moved is None or (loop is not None and not quiet(_after(op.operation, None)[:-1])):
        return None
    for one in moved:
        one.move_before(last)
    b = scope.builder(1)
    with ir.InsertionPoint(last), last.location:
        target = target_of(b, store)
        whole = _whole(b, target)
        along = [stride.const == 1 for stride in target.view.strides]
        if whole is None or not (along[-1] if row_by_row else any(along)):
            return None
        done = whole
        if loop is not None and not _turns(*list(loop.operands)[:2]):
            done = b.both(done, b.compare(_SLT, *map(Uniform, list(loop.operands)[:2])))
    with ir.InsertionPoint(chain[0]), store.location:
        branch = ir.Operation.create("scf.if", [], [b.scalar(b.negate(done))], regions=2)
        with ir.InsertionPoint(branch.regions[0].blocks.append()):
            end = ir.Operation.create("scf.yield", [], [])
    for one in chain:
        one.move_before(end)
    now = whole
    if loop is not None:
        _, high, step = list(loop.operands)[:3]
        turn = loop.regions[0].blocks[0].arguments[0]
        left = b.sub(Uniform(high), Uniform(turn))
        now = b.both(now, b.compare(_ULE, left, Uniform(step)))
    return Goal(b.scalar(now), sums, target.value, target.view)


def chain_of(scope: Scope, sums) -> list | None:
    """The elementwise operations, each the only user of the one before, from `sums` to a store, with it."""
    found, value = [], sums
    while True:
        users = [use.owner.operation for use in value.uses]
        if not users or any(u != users[0] for u in users):
            return None
        op = users[0]
        found.append(op)
        if op.name == "bufferization.materialize_in_destination":
            return found
        sliced = found[-2].name == "tensor.extract_slice" if len(found) > 1 else False
        if sliced or len(op.results) != 1 or (op.name != "tensor.extract_slice" and not is_elementwise(op)):
            return None
        if op.name == "tensor.extract_slice":
            if op.results[0].type.has_static_shape:
                return None
        elif not all(v == value or (is_tensor(v) and _is_splat(v)) for v in op.operands):
            return None
        (value,) = op.results


def _is_splat(value) -> bool:
    op = producer(value)
    if op is None or op.name != "arith.constant":
        return False
    return ir.DenseElementsAttr(op.attributes["value"]).is_splat


def _after(op, end) -> list:
    """The operations of op's block behind it, to `end` or to the last one."""
    ops = [o.operation for o in op.block.operations]
    start = ops.index(op) + 1
    return ops[start : ops.index(end) + 1] if end is not None else ops[start:]


def quiet(ops: list) -> bool:
    """Whether all are scalar arithmetic: nothing that reads memory, at once or where it is used."""
    return all(op.name.startswith("arith.") and not any(is_tensor(r) for r in op.results) for op in ops)


def _ahead(between: list, chain: list, last) -> list | None:
    """What of the operations between a product and its store tells where the store goes.

    All of it can go ahead of the product.  None where it cannot, or where others than scalar
    arithmetic, views and the chain itself lie between.
    """
    rest = [op for op in between if op not in chain]
    constants = [op for op in rest if op.name == "arith.constant"]
    if not quiet([op for op in rest if op.name not in VIEWS and op not in constants]):
        return None
    moved = []
    for op in reversed(rest):
        users = [use.owner.operation for r in op.results for use in r.uses]
        if any(user in chain or user in moved for user in users):
            if any(v in list(last.results) for v in op.operands):
                return None
            moved.insert(0, op)
    return moved


def _whole(b: Builder, target) -> Chunk | None:
    """Whether the store writes all elements (i1); None where it is known not to."""
    everything = b.const(1, b.constants.i1)
    if target.low is None:
        return everything
    whole = None
    for low, high, size in zip(target.low, target.high, shape_of(target.value), strict=True):
        if low != 0 or (isinstance(high, int) and high < size):
            return None
        if not isinstance(high, int):
            whole = b.both(whole, b.compare(_SGE, Uniform(high), b.const(size)))
    return everything if whole is None else whole
