"""linalg.reduce over one dimension: in several vector accumulators along it, or down it."""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import (
    Scope,
    empty,
    expansion,
    limits_of,
    stored_type,
    vector_nest,
)
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Chunk, create
from vertebra.lowering.linalg_to_vector.loops import loop
from vertebra.lowering.linalg_to_vector.reduce_rows import along
from vertebra.lowering.linalg_to_vector.reduction import Reduction, chunks_of, store, values_of


def reduce(scope: Scope, op) -> list:
    """Emits the reduction and returns its results as tensors in memory."""
    r = Reduction(scope, op)
    sizes = list(r.axes.sizes)
    inits = [empty(sizes, stored_type(v.type.element_type)) for v in r.inputs]
    across = bool(r.kept) and r.kept[-1] > r.axis
    width = scope.width([*r.inputs])
    if len(r.inputs) > 1 and scope.unit.group > 1:
        width = max(1, width // 2)  # each operand has an accumulator and a choice: registers before length
    filled = _down(r, sizes, width, inits) if across else along(r, sizes, width, inits)
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
        return store(ev, chunks_of(accs), carried, idx)

    return vector_nest(r.scope, sizes, width, inits, body, limits_of(r.scope, r.inputs, r.kept))
