"""One linalg.reduce: what it combines, from what it starts, and its accumulators as chunks."""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import mixed, same, shape_of
from vertebra.lowering.linalg_to_vector.axes import Axes, axes_of, joins, plain_axes
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Chunk, Lanes, Uniform, create
from vertebra.lowering.linalg_to_vector.operations import is_tensor, producer
from vertebra.lowering.linalg_to_vector.plan import Plan

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
EXTREMES = {"arith.maxnumf": (2, float("-inf")), "arith.minnumf": (4, float("inf"))}


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


class Extreme(Reduction):
    """The extreme number among elements by one comparison each; the identity where there is no better one.

    Accumulators that start at the identity are never NaN, so that a comparison, which fails where an
    element is, leaves them alone.  Elements that are all NaN give the identity instead of NaN.
    """

    from_identity = True

    def combine(self, ev: Evaluator, left: list[Chunk], right: list[Chunk]) -> list[Chunk]:
        predicate, _ = EXTREMES[self.combiner()]
        attributes = {"predicate": ev.b.constants.i64_attr(predicate)}
        pair = values_of(ev, [*right, *left])
        i1 = ev.b.constants.i1
        type = ev.b.vector_type(i1) if isinstance(pair[0].type, ir.VectorType) else i1
        better = create("arith.cmpf", type, pair, attributes)
        return chunks_of([create("arith.select", pair[0].type, [better, *pair])])

    def identity(self, ev: Evaluator) -> Chunk:
        _, worst = EXTREMES[self.combiner()]
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


def store(ev: Evaluator, chunks: list[Chunk], tensors: list, idx: list[Chunk]) -> list:
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
