"""Materialising a tensor whose source runs along another dimension than the last one.

Blocks of lanes x lanes elements are read along the source's own direction and turned
in registers, which is several times faster than gathering them one by one.
"""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import DYNAMIC, mixed
from vertebra.lowering.linalg_to_vector.lanes import Affine, Chunk, Lanes, create
from vertebra.lowering.linalg_to_vector.loops import nest
from vertebra.lowering.linalg_to_vector.operations import is_elementwise, producer
from vertebra.lowering.linalg_to_vector.plan import SAME, Plan


def running_dimension(plan: Plan, value) -> int | None:
    """The dimension of `value` along which everything it reads is contiguous; None where they differ."""
    found, seen = set(), set()
    todo = [(value, tuple(range(value.type.rank)))]  # with the dimensions of `value` that v's own are
    while todo:
        v, dims = todo.pop()
        if (v, dims) in seen:
            continue
        seen.add((v, dims))
        op = producer(v)
        if op is None or not plan.inlines(op):
            found.add(dims[-1])
        elif op.name == "bufferization.to_tensor":
            found.add(dims[_unit_stride(plan.load_of(op).view, len(dims) - 1)])
        elif op.name == "linalg.transpose":
            permutation = list(op.attributes["permutation"])
            todo.append((op.operands[0], tuple(dims[permutation.index(d)] for d in range(len(dims)))))
        elif is_elementwise(op):
            todo += [(x, dims) for x, look in plan.looks(op) if look == SAME]
        elif plan.looks(op):
            found.add(dims[-1])
    return found.pop() if len(found) == 1 else None


def _unit_stride(view, last: int) -> int:
    """The dimension of the memref `view` with stride 1; its last one where none is known."""
    op = producer(view)
    while op is not None and op.name == "memref.subview":
        op = producer(op.operands[0])
    if op is None or op.name != "memref.reinterpret_cast":
        return last
    strides = mixed(op, "strides", 3)
    sizes = mixed(op, "sizes", 2)
    units = [d for d, s in enumerate(strides) if s == 1 and sizes[d] not in (1, DYNAMIC)]
    return last if not units or last in units else units[-1]


def materialise_turned(scope, value, across: int, into, width: int):
    """`into`, a tensor of `value`'s type, filled by blocks; both dimensions are multiples of `width`."""
    shape = list(value.type.shape)
    last = len(shape) - 1
    base = scope.builder(width)
    sizes = [n // width if d in (across, last) else n for d, n in enumerate(shape)]

    def block(idx: list[Chunk], carried: list) -> list:
        (out,) = carried
        corner = [base.mul(i, base.const(width)) if d in (across, last) else i for d, i in enumerate(idx)]
        vectors = []
        for r in range(width):
            ev = scope.evaluator(width)
            at = list(corner)
            at[across] = Affine(corner[across], base.const(1))
            at[last] = base.add(corner[last], base.const(r))
            vectors.append(ev.b.vector(ev.at(value, at)))
        ev = scope.evaluator(width)
        for r, vector in enumerate(turn(vectors)):
            at = list(corner)
            at[across] = base.add(corner[across], base.const(r))
            at[last] = Affine(corner[last], base.const(1))
            out = ev.memory.write(Lanes(vector), out, at)
        return [out]

    (filled,) = nest(base, sizes, [into], block)
    return filled


def turn(rows: list) -> list:
    """The columns of a square block given as vectors: log2(n) rounds of perfect shuffles."""
    n = len(rows)
    low = [x for i in range(n // 2) for x in (i, n + i)]
    high = [x + n // 2 for x in low]
    for _ in range(n.bit_length() - 1):
        rows = [_shuffle(rows[i], rows[i + n // 2], mask) for i in range(n // 2) for mask in (low, high)]
    return rows


def _shuffle(a, b, mask: list[int]):
    return create("vector.shuffle", a.type, [a, b], {"mask": ir.DenseI64ArrayAttr.get(mask)})


def turns(scope, value, width: int) -> int | None:
    """The dimension to read along when `value` is better filled by turned blocks, else None."""
    shape = list(value.type.shape)
    if scope.unit.group != 1 or len(shape) < 2 or width < 4:
        return None
    if isinstance(value.type.element_type, ir.IntegerType) and value.type.element_type.width == 1:
        return None
    across = running_dimension(scope.plan, value)
    if across is None or across == len(shape) - 1:
        return None
    return across if shape[across] % width == 0 and shape[-1] % width == 0 else None
