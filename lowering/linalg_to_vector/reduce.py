"""linalg.reduce over one dimension: in several vector accumulators along it, or down it.

Loops along a row begin at its first element where the combiner has an identity to start from: a stretch
that is loaded ahead of the loop, by instructions of its own, costs masks, and hides from the processor's
prefetcher that one row follows the other.
"""

import functools
from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import mixed, same, shape_of
from vertebra.lowering.linalg_to_vector.axes import Axes, axes_of, joins, plain_axes
from vertebra.lowering.linalg_to_vector.elementwise import (
    Scope,
    empty,
    expansion,
    limits_of,
    stored_type,
    vector_nest,
)
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Chunk, Lanes, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import either, loop, nest, pieces, whole_chunks
from vertebra.lowering.linalg_to_vector.operations import is_tensor, producer
from vertebra.lowering.linalg_to_vector.plan import Plan

_ACCUMULATORS = 4  # independent chains at most: they hide the latency of the combining operation
_OEQ = 1  # arith.cmpf predicate
_LONGEST_CHAIN = 64  # lanes that one sum of floats takes in: some machines add them one after the other

# Combiners that vector.reduction turns into a tree; of float maxima it makes a chain.
_KINDS = {
    "arith.addf": "add",
    "arith.addi": "add",
    "arith.mulf": "mul",
    "arith.muli": "mul",
    "arith.maxsi": "maxsi",
    "arith.maxui": "maxui",
    "arith.minsi": "minsi",
    "arith.minui": "minui",
    "arith.andi": "and",
    "arith.ori": "or",
    "arith.xori": "xor",
}


# What the combiner leaves as it is, of floats also zeros with their sign.
_IDENTITIES = {"arith.addf": -0.0, "arith.addi": 0, "arith.mulf": 1.0, "arith.muli": 1, "arith.ori": 0}

# The better of two numbers, as the predicate of arith.cmpf under which the first one is; the worst number.
_EXTREMES = {"arith.maxnumf": (2, float("-inf")), "arith.minnumf": (4, float("inf"))}


class Reduction:
    """One linalg.reduce: inputs, start values (None where the first slice is the start), combiner."""

    from_identity = False  # whether an accumulator must start at the identity

    def __init__(self, scope: Scope, op):
        self.scope = scope
        self.op = op
        operands = [v for v in op.operands if is_tensor(v)]
        self.inputs = operands[: len(operands) // 2]
        self.inits = operands[len(operands) // 2 :]
        (self.axis,) = op.attributes["dimensions"]
        self.block = op.regions[0].blocks[0]
        if (whole := _first_slice_starts(self.inputs, self.inits, self.axis)) is not None:
            self.inputs, self.inits = whole, None
        self.shape = shape_of(self.inputs[0])
        self.axes = self._axes(scope.plan)
        self.kept = self.axes.dims

    def _axes(self, plan: Plan) -> Axes:
        """The loops over the dimensions that are kept."""
        axes = axes_of(plan, self.inputs, self.shape, apart=self.axis)
        inner = [d for run in axes.without(self.axis).runs for d in run[:-1]]
        if all(joins(plan, init, d) for init in self.inits or () for d in inner):
            return axes
        return plain_axes(self.shape, apart=self.axis)

    def combiner(self) -> str | None:
        """The name of the operation that alone combines two elements, of integers, f32 or f64."""
        body = list(self.block.operations)
        if len(body) != 2 or len(self.inputs) != 1:
            return None
        type = body[0].results[0].type
        if not isinstance(type, ir.IntegerType) and not isinstance(type, ir.F32Type | ir.F64Type):
            return None
        if set(body[0].operands) != set(self.block.arguments) or body[1].operands[0] != body[0].results[0]:
            return None
        return body[0].operation.name

    def kind(self) -> str | None:
        return _KINDS.get(self.combiner())

    def identity(self, ev: Evaluator) -> Chunk | None:
        number = _IDENTITIES.get(self.combiner())
        return None if number is None else _number(ev, self.inputs[0].type.element_type, number)

    def combine(self, ev: Evaluator, left: list[Chunk], right: list[Chunk]) -> list[Chunk]:
        env = dict(zip(self.block.arguments, [*right, *left], strict=True))
        return ev.body(self.block, env, [], None)

    def at(self, ev: Evaluator, idx: list[Chunk], position: Chunk) -> list[Chunk]:
        """The inputs at `position` along the axis; idx: of the kept dimensions."""
        full = self.axes.spread(ev.b, idx)
        full[self.axis] = position
        return [ev.at(v, full) for v in self.inputs]

    def start(self, ev: Evaluator, idx: list[Chunk]) -> list[Chunk] | None:
        if self.inits is None:
            return None
        return [ev.at(v, self.axes.without(self.axis).spread(ev.b, idx)) for v in self.inits]


class _Extreme(Reduction):
    """The extreme number among elements by one comparison each; the identity where there is no better one.

    Accumulators that start at the identity are never NaN, so that a comparison, which fails where an
    element is, leaves them alone.  Elements that are all NaN give the identity instead of NaN.
    """

    from_identity = True

    def combine(self, ev: Evaluator, left: list[Chunk], right: list[Chunk]) -> list[Chunk]:
        predicate, _ = _EXTREMES[self.combiner()]
        attributes = {"predicate": ev.b.constants.i64_attr(predicate)}
        pair = values_of(ev, [*right, *left])
        i1 = ev.b.constants.i1
        type = ev.b.vector_type(i1) if isinstance(pair[0].type, ir.VectorType) else i1
        better = create("arith.cmpf", type, pair, attributes)
        return chunks_of([create("arith.select", pair[0].type, [better, *pair])])

    def identity(self, ev: Evaluator) -> Chunk:
        _, worst = _EXTREMES[self.combiner()]
        return _number(ev, self.inputs[0].type.element_type, worst)


def _number(ev: Evaluator, type, number: float | int) -> Chunk:
    if isinstance(type, ir.IntegerType):
        return ev.b.const(number, type)
    return ev.constant(ir.FloatAttr.get(type, number))


def _first_slice_starts(inputs: list, inits: list, axis: int) -> list | None:
    """The whole tensors when every input is x[1:] and every init x[0] along the axis, else None."""
    whole = []
    for x, init in zip(inputs, inits, strict=True):
        rest, first = producer(x), producer(init)
        if rest is None or first is None:
            return None
        if rest.name != "tensor.extract_slice" or first.name != "tensor.extract_slice":
            return None
        source = rest.operands[0]
        ahead = [int(d == axis) for d in range(source.type.rank)]
        left = [n - a for n, a in zip(source.type.shape, ahead, strict=True)]
        if (
            first.operands[0] != source
            or not _equal(mixed(rest, "offsets", 1), ahead)
            or not _equal(mixed(rest, "sizes", 2), left)
            or not _equal(mixed(first, "offsets", 1), [0] * len(ahead))
        ):
            return None
        whole.append(source)
    return whole


def _equal(a: list, b: list) -> bool:
    return all(same(x, y) for x, y in zip(a, b, strict=True))


def reduce(scope: Scope, op) -> list:
    """Emits the reduction and returns its results as tensors in memory."""
    r = Reduction(scope, op)
    sizes = list(r.axes.sizes)
    inits = [empty(sizes, stored_type(v.type.element_type)) for v in r.inputs]
    across = bool(r.kept) and r.kept[-1] > r.axis
    width = scope.width([*r.inputs])
    if len(r.inputs) > 1 and scope.unit.group > 1:
        width = max(1, width // 2)  # each operand has an accumulator and a choice: registers before length
    filled = _down(r, sizes, width, inits) if across else _along(r, sizes, width, inits)
    results = []
    for tensor, result in zip(filled, op.results, strict=True):
        shape = shape_of(result)
        if list(tensor.type.shape) != shape:
            full = ir.RankedTensorType.get(shape, tensor.type.element_type)
            dims = r.axes.without(r.axis).dims
            tensor = create("tensor.expand_shape", full, [tensor], expansion(shape, dims))
        if tensor.type != result.type:
            tensor = create("arith.trunci", result.type, [tensor])
        results.append(tensor)
    return results


def _store(ev: Evaluator, chunks: list[Chunk], tensors: list, idx: list[Chunk]) -> list:
    written = []
    for chunk, tensor in zip(chunks, tensors, strict=True):
        to = tensor.type.element_type
        chunk = chunk if chunk.type == to else ev.b.cast("arith.extui", chunk, to)
        written.append(ev.memory.write(chunk, tensor, idx))
    return written


def values_of(ev: Evaluator, chunks: list[Chunk]) -> list:
    """SSA values to carry through a loop."""
    return [ev.b.scalar(c) if ev.b.width == 1 and isinstance(c, Uniform) else ev.b.vector(c) for c in chunks]


def chunks_of(values: list) -> list[Chunk]:
    return [Lanes(v) if isinstance(v.type, ir.VectorType) else Uniform(v) for v in values]


def _down(r: Reduction, sizes: list[int], width: int, inits: list) -> list:
    """The last dimension is kept: its lanes reduce side by side."""

    def body(ev: Evaluator, idx: list[Chunk], carried: list) -> list:
        start = r.start(ev, idx)
        first = 0
        if start is None:
            start, first = r.at(ev, idx, ev.b.const(0)), 1

        def step(i, accs):
            inner = ev.child()
            return values_of(inner, r.combine(inner, chunks_of(accs), r.at(inner, idx, i)))

        accs = loop(ev.b, first, r.shape[r.axis], 1, values_of(ev, start), step)
        return _store(ev, chunks_of(accs), carried, idx)

    return vector_nest(r.scope, sizes, width, inits, body, limits_of(r.scope, r.inputs, r.kept))


def _along(r: Reduction, sizes: list[int], width: int, inits: list) -> list:
    """The reduced dimension is the last one: lanes combine at the end."""
    b = r.scope.builder(width)
    *limits, limit = limits_of(r.scope, r.inputs, [*r.kept, r.axis])
    quick = None
    if r.combiner() in _EXTREMES and not r.scope.unit.number_extremes:
        quick = _Extreme(r.scope, r.op)

    def whole(how: Reduction, idx: list[Chunk], chains: int = _ACCUMULATORS) -> list[Chunk]:
        parts = [_run(how, idx, *piece, limit, chains) for piece in pieces(how.shape[how.axis], width)]
        scalar = how.scope.evaluator(1)
        return functools.reduce(functools.partial(how.combine, scalar), parts)

    def row(idx: list[Chunk], carried: list) -> list:
        scalar = r.scope.evaluator(1)
        if (found := r.scope.partial.pop(r.op.results[0], None)) is not None:
            lanes, accs = found
            total = _together(r, r.scope.evaluator(lanes), [chunks_of([acc]) for acc in accs])
        elif quick is not None:
            total = _checked(scalar, quick, whole(quick, idx), lambda: whole(r, idx, 1))
        else:
            total = whole(r, idx)
        if (start := r.start(scalar, idx)) is not None:
            total = r.combine(scalar, start, total)
        return _store(scalar, total, carried, idx)

    return nest(b, sizes, inits, row, limits)


def _checked(scalar: Evaluator, quick: _Extreme, found: list[Chunk], exact: Callable) -> list[Chunk]:
    """`found`, unless it is the identity: that may stand for NaN."""
    (value,) = values_of(scalar, found)
    (worst,) = values_of(scalar, [quick.identity(scalar)])
    equal = {"predicate": scalar.b.constants.i64_attr(_OEQ)}
    unsure = create("arith.cmpf", scalar.b.constants.i1, [value, worst], equal)
    return chunks_of(either(unsure, [value.type], lambda: values_of(scalar, exact()), lambda: [value]))


def _run(r: Reduction, idx: list[Chunk], start: int, stop: int, lanes: int, limit, most: int) -> list[Chunk]:
    """The elements start..stop-1 along the axis, in chunks of `lanes`, as scalars.

    limit: an index value below which the inputs need no mask along the axis, or None.  most: accumulators.
    """
    ev = r.scope.evaluator(lanes)
    b = ev.b
    turns = (stop - start) // lanes
    chains = min(chains_of(r, lanes), turns, most)

    def chunk(at: Uniform, inner: Evaluator, below=None) -> list[Chunk]:
        at.below = below
        return r.at(inner, idx, at if lanes == 1 else Affine(at, b.const(1), below))

    whole = turns // chains * chains
    count = len(r.inputs)
    ahead = 0  # chunks that the chains start with
    if (identity := r.identity(ev) if whole > chains or r.from_identity else None) is not None:
        accs = [[identity]] * chains
    else:
        ahead = chains
        accs = [chunk(b.const(start + c * lanes), ev) for c in range(chains)]

    def step(i, flat):
        inner = ev.child()
        new = []
        for c in range(chains):
            acc = chunks_of(flat[c * count : (c + 1) * count])
            at = b.add(i, b.const(c * lanes))
            new += values_of(inner, r.combine(inner, acc, chunk(at, inner, i.below)))
        return new

    if whole > ahead:
        flat = [v for acc in accs for v in values_of(ev, acc)]
        first, last, turn = start + ahead * lanes, start + whole * lanes, chains * lanes
        if limit is not None and start == 0:
            split = whole_chunks(b, limit, last, turn)
            if ahead:
                split = create("arith.maxsi", b.index, [split, b.scalar(b.const(first))])
            flat = loop(b, first, split, turn, flat, step, below=limit)
            first = split
        flat = loop(b, first, last, turn, flat, step)
        accs = [chunks_of(flat[c * count : (c + 1) * count]) for c in range(chains)]
    for turn in range(whole, turns):
        accs[0] = r.combine(ev, accs[0], chunk(b.const(start + turn * lanes), ev))
    return _together(r, ev, accs)


def _together(r: Reduction, ev: Evaluator, accs: list[list[Chunk]]) -> list[Chunk]:
    """All lanes of all accumulators in one, as scalars."""
    while len(accs) > 1:
        half = (len(accs) + 1) // 2
        accs = [
            r.combine(ev, accs[c], accs[c + half]) if c + half < len(accs) else accs[c] for c in range(half)
        ]
    return _lanes_together(r, ev, accs[0])


def chains_of(r: Reduction, lanes: int) -> int:
    """How many accumulators of `lanes` lanes to keep, a power of two.

    Where one operation spans a group of registers it takes longer than its latency, and half of what
    the accumulators do not take has to do for the inputs.
    """
    unit = r.scope.unit
    if unit.group == 1:
        return _ACCUMULATORS
    bits = max(_bits(v.type.element_type) for v in r.inputs)
    span = max(1, lanes * bits // unit.bits) * len(r.inputs)
    chains = (unit.registers - 2 * span) // (2 * span)
    return 1 << (min(_ACCUMULATORS, max(1, chains)).bit_length() - 1)


def _bits(type) -> int:
    return 64 if isinstance(type, ir.IndexType) else type.width


def _lanes_together(r: Reduction, ev: Evaluator, acc: list[Chunk]) -> list[Chunk]:
    if ev.b.width == 1:
        return acc
    vectors = [ev.b.vector(c) for c in acc]
    if (kind := r.kind()) is not None:
        if isinstance(acc[0].type, ir.FloatType) and ev.b.width > _LONGEST_CHAIN:
            half = r.scope.evaluator(ev.b.width // 2)
            return _lanes_together(r, half, r.combine(half, *_halves(half, vectors)))
        attributes = {"kind": ir.Attribute.parse(f"#vector.kind<{kind}>")}
        if kind in ("add", "mul") and isinstance(acc[0].type, ir.FloatType):
            attributes["fastmath"] = ir.Attribute.parse("#arith.fastmath<reassoc>")
        return [Uniform(create("vector.reduction", acc[0].type, vectors, attributes))]
    width = ev.b.width
    while width > 2:
        width //= 2
        half = r.scope.evaluator(width)
        vectors = [half.b.vector(c) for c in r.combine(half, *_halves(half, vectors))]
    low, high = ([_lane(v, at) for v in vectors] for at in (0, 1))
    return r.combine(r.scope.evaluator(1), low, high)


def _halves(half: Evaluator, vectors: list) -> list[list[Chunk]]:
    """The lower and the upper lanes of each vector, as `half` works on them."""
    width = half.b.width
    return [
        [Lanes(_slice(half.b.vector_type(v.type.element_type), v, at)) for v in vectors] for at in (0, width)
    ]


def _lane(vector, at: int) -> Uniform:
    position = ir.DenseI64ArrayAttr.get([at])
    return Uniform(
        create("vector.extract", vector.type.element_type, [vector], {"static_position": position})
    )


def _slice(type, vector, at: int):
    i64 = ir.IntegerType.get_signless(64)

    def one(x):
        return ir.ArrayAttr.get([ir.IntegerAttr.get(i64, x)])

    return create(
        "vector.extract_strided_slice",
        type,
        [vector],
        {"offsets": one(at), "sizes": one(type.shape[0]), "strides": one(1)},
    )
