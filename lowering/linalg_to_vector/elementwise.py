"""Loops that fill a tensor or a region of memory, element by element."""

from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import same, shape_of
from vertebra.lowering.linalg_to_vector.axes import axes_of, plain_axes
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Chunk, create
from vertebra.lowering.linalg_to_vector.loops import loop, nest, pieces, whole_chunks
from vertebra.lowering.linalg_to_vector.operations import block_of, is_elementwise, producer
from vertebra.lowering.linalg_to_vector.plan import SAME, WHOLE, Plan, tiles_of
from vertebra.lowering.linalg_to_vector.transpose import materialise_turned, turns

_HEAVY_EXPRESSION = 40  # of Plan's cost: beyond it an expression needs registers more than length


class Scope:
    """What the loops of one function share."""

    def __init__(self, plan: Plan, constants, unit, micro_kernels: tuple = (), engine=None):
        self.plan = plan
        self.constants = constants
        self.unit = unit
        self.micro_kernels = micro_kernels
        self.engine = engine
        self.partial: dict = {}  # result of a reduction -> (lanes, vectors that a loop has added up)

    def builder(self, width: int) -> Builder:
        return Builder(width, self.constants)

    def evaluator(self, width: int) -> Evaluator:
        return Evaluator(self.builder(width), self.plan)

    def width(self, values: list) -> int:
        """Lanes for computing `values`: as many as the widest type among them and theirs allows."""
        types, cost = [], 0
        for value in values:
            found, paid = survey(self.plan, value)
            types += found
            cost += paid
        bits = max((t.width for t in types if _counts(t)), default=0)
        if not bits:
            bits = max((t.width for t in types if isinstance(t, ir.IntegerType)), default=32)
        lanes = self.unit.lanes(max(bits, 8))
        if cost > _HEAVY_EXPRESSION and self.unit.group > 1:
            lanes //= 2
        return 1 << (lanes.bit_length() - 1)


def _counts(type) -> bool:
    """64-bit integers are mostly offsets, and 1-bit ones are masks: neither decides the width."""
    return isinstance(type, ir.FloatType) or (isinstance(type, ir.IntegerType) and 1 < type.width < 64)


def survey(plan: Plan, value) -> tuple[list, int]:
    """The element types that computing `value` meets, and what it costs."""
    types, cost, seen, todo = [], 0, set(), [value]
    while todo:
        v = todo.pop()
        if v in seen:
            continue
        seen.add(v)
        types.append(v.type.element_type)
        op = producer(v)
        if op is None or not plan.inlines(op):
            continue
        cost += plan.own_cost(op)
        todo += [x for x, look in plan.looks(op) if look != WHOLE]
    return types, cost


def vector_nest(
    scope: Scope,
    sizes: list[int],
    width: int,
    inits: list,
    body: Callable,
    limits: list | None = None,
    inside: bool = False,
) -> list:
    """Loops over `sizes`; the last dimension goes in chunks of `width` lanes, then smaller ones.

    body(evaluator, idx, carried) returns the next carried values.  limits, inside: as in `nest`;
    in the last dimension whole chunks below the limit come first, without masks.
    """
    if not sizes:
        return body(scope.evaluator(1), [], inits)
    b = scope.builder(width)
    limit = limits[-1] if limits else None
    runs = pieces(sizes[-1], width)
    split = None
    if limit is not None and runs[0][1] > width:
        split = whole_chunks(b, limit, runs[0][1], width)

    def row(idx: list[Chunk], carried: list) -> list:
        known = all(cut is None or i.below is not None for i, cut in zip(idx, limits or [], strict=False))
        for start, stop, lanes in runs:
            step = scope.builder(lanes)

            def chunk(i, inner, lanes=lanes, step=step):
                last = i if lanes == 1 else Affine(i, step.const(1), i.below)
                return body(scope.evaluator(lanes), [*idx, last], inner)

            if split is not None and known and start == 0:
                carried = loop(b, 0, split, lanes, carried, chunk, below=limit)
                start = split
                if inside and stop == sizes[-1]:
                    stop = limit
            carried = loop(b, start, stop, lanes, carried, chunk)
        return carried

    return nest(b, sizes[:-1], inits, row, limits[:-1] if limits else None, inside)


def limits_of(scope: Scope, values: list, dims: list[int]) -> list:
    """For each of `dims`, where the loads that computing `values` moves into the loop begin to be masked.

    An index value that such a load uses as its upper bound, or None.
    """
    found: list = [None] * len(dims)
    for value in values:
        for op, aligned in scope.plan.inlined_loads(value):
            load = scope.plan.load_of(op)
            if not aligned or load.other is None:
                continue
            for k, d in enumerate(dims):
                if found[k] is None and same(load.low[d], 0) and not isinstance(load.sizes[d], int):
                    found[k] = load.sizes[d]
    return found


def stored_type(type):
    """What an element is in a buffer: i1 takes a byte, so that lanes and scalars agree on its place."""
    if isinstance(type, ir.IntegerType) and type.width == 1:
        return ir.IntegerType.get_signless(8)
    return type


def materialise(scope: Scope, values: list) -> list:
    """Tensors in memory that hold `values` (of one shape), filled by one loop nest."""
    shape = shape_of(values[0])
    over = [_overwritable(scope.plan, v) for v in values]
    width = scope.width(values)
    if len(values) == 1 and 1 not in shape and (across := turns(scope, values[0], width)) is not None:
        into = empty(shape, values[0].type.element_type)
        return [materialise_turned(scope, values[0], across, into, width)]
    if len(values) == 1 and over[0] is None and (split := tiles_of(scope.plan, values[0])) is not None:
        (filled,) = materialise(scope, [split[0]])
        return [create("tensor.collapse_shape", values[0].type, [filled], reassociation_of(split[1]))]
    free = all(own is None for own in over)
    axes = axes_of(scope.plan, values, shape) if free else plain_axes(shape)
    sizes = list(axes.sizes)
    inits = [
        own if own is not None else empty(sizes, stored_type(v.type.element_type))
        for own, v in zip(over, values, strict=True)
    ]

    def body(ev: Evaluator, idx: list[Chunk], carried: list) -> list:
        full = axes.spread(ev.b, idx)
        ev.instead = dict(zip(inits, carried, strict=True))
        chunks = [ev.at(v, full) for v in values]
        return [
            ev.memory.write(stored(ev, chunk), tensor, idx)
            for chunk, tensor in zip(chunks, carried, strict=True)
        ]

    filled = vector_nest(scope, sizes, width, inits, body, limits_of(scope, values, axes.dims))
    return [_restore(tensor, value.type, axes.dims) for tensor, value in zip(filled, values, strict=True)]


def reassociation_of(groups: list[list[int]]) -> dict:
    i64 = ir.IntegerType.get_signless(64)
    lists = [ir.ArrayAttr.get([ir.IntegerAttr.get(i64, d) for d in group]) for group in groups]
    return {"reassociation": ir.ArrayAttr.get(lists)}


def stored(ev: Evaluator, chunk: Chunk) -> Chunk:
    to = stored_type(chunk.type)
    return chunk if to == chunk.type else ev.b.cast("arith.extui", chunk, to)


def _restore(tensor, type, dims: list[int]):
    """The filled `tensor` in the shape and element type of the value it stands for."""
    shape = list(type.shape)
    if list(tensor.type.shape) != shape:
        full = ir.RankedTensorType.get(shape, tensor.type.element_type)
        tensor = create("tensor.expand_shape", full, [tensor], expansion(shape, dims))
    if tensor.type != type:
        tensor = create("arith.trunci", type, [tensor])
    return tensor


def expansion(shape: list[int], dims: list[int]) -> dict:
    """The attributes of an expand_shape that puts back the unit dimensions of `shape`."""
    i64 = ir.IntegerType.get_signless(64)
    groups: list[list[int]] = [[] for _ in dims]
    for d in range(len(shape)):
        if groups:
            # A unit dimension joins the next real one, or the last one when none follows.
            position = min(sum(1 for x in dims if x < d), len(dims) - 1)
            groups[position].append(d)
    return {
        "reassociation": ir.ArrayAttr.get(
            [ir.ArrayAttr.get([ir.IntegerAttr.get(i64, d) for d in group]) for group in groups]
        ),
        "static_output_shape": ir.DenseI64ArrayAttr.get(shape),
    }


def empty(sizes: list[int], element):
    return create("tensor.empty", ir.RankedTensorType.get(sizes, element), [])


def _overwritable(plan: Plan, value):
    """An operand over which `value` may be put, since nobody needs it afterwards; None without one."""
    if 1 in value.type.shape:
        return None
    for leaf, inner in _leaves(plan, value):
        nearby = leaf.type == value.type and block_of(leaf) == block_of(value)
        if nearby and all(use.owner.operation in inner for use in leaf.uses):
            return leaf
    return None


def _leaves(plan: Plan, value) -> list[tuple[object, set]]:
    """Materialised tensors that `value` reads element by element, and the operations in between.

    Empty when an operation in between has users elsewhere, which would read the leaf later.
    """
    inner, leaves, todo = set(), [], [value]
    while todo:
        v = todo.pop()
        op = producer(v)
        if op is not None and plan.inlines(op):
            op = op.operation
            # What looks elsewhere would find elements that are overwritten already.
            if op in inner or not is_elementwise(op):
                continue
            if v != value and not all(use.owner.operation in inner for use in v.uses):
                continue
            inner.add(op)
            todo += [x for x, look in plan.looks(op) if look == SAME]
        else:
            leaves.append(v)
    return [(leaf, inner) for leaf in leaves]
