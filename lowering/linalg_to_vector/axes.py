"""Which dimensions of an iteration space one loop can walk together.

Neighbouring dimensions that everything treats alike, and that lie behind one another in
memory, are one long dimension to a loop: [2, 2, 2, 128] is walked as 1024 elements.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import mixed, same, shape_of
from vertebra.lowering.linalg_to_vector.lanes import Builder, Chunk, Merged
from vertebra.lowering.linalg_to_vector.operations import is_elementwise, is_parallel, producer
from vertebra.lowering.linalg_to_vector.plan import Plan


@attrs.frozen
class Axes:
    """The loops over a shape.  Each walks a run of dimensions as one; dimensions of size 1 have none.

    dims: the last dimension of each run.  sizes: the elements of each run.
    """

    rank: int
    runs: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]

    @property
    def dims(self) -> list[int]:
        return [run[-1] for run in self.runs]

    def spread(self, b: Builder, idx: list[Chunk]) -> list[Chunk]:
        """An index for every dimension, from those of the loops."""
        full: list = [b.const(0)] * self.rank
        for run, i in zip(self.runs, idx, strict=True):
            for d in run[:-1]:
                full[d] = Merged(b.index)
            full[run[-1]] = i
        return full

    def without(self, axis: int) -> "Axes":
        """The same loops over the shape that lacks dimension `axis`, which has no loop."""
        runs = tuple(tuple(d - (d > axis) for d in run) for run in self.runs)
        return Axes(self.rank - 1, runs, self.sizes)


def axes_of(plan: Plan, values: list, shape: list[int], apart: int | None = None) -> Axes:
    """The loops for computing `values`, all indexed alike by `shape`.

    apart: a dimension that stays by itself and has no loop here.
    """
    runs: list[list[int]] = []
    for d, size in enumerate(shape):
        if size == 1 or d == apart:
            continue
        if runs and runs[-1][-1] == d - 1 and all(joins(plan, v, d - 1) for v in values):
            runs[-1].append(d)
        else:
            runs.append([d])
    sizes = []
    for run in runs:
        size = 1
        for d in run:
            size *= shape[d]
        sizes.append(size)
    return Axes(len(shape), tuple(map(tuple, runs)), tuple(sizes))


def plain_axes(shape: list[int], apart: int | None = None) -> Axes:
    """One loop for every dimension that is not 1."""
    runs = tuple((d,) for d, size in enumerate(shape) if size != 1 and d != apart)
    return Axes(len(shape), runs, tuple(shape[d] for (d,) in runs))


def joins(plan: Plan, value, d: int) -> bool:
    """Whether computing `value` can take its dimensions d and d + 1 for one."""
    todo, seen = [(value, d)], set()
    while todo:
        v, k = todo.pop()
        op = producer(v)
        if (v, k) in seen or op is None or not plan.inlines(op):
            continue  # in memory, row-major
        seen.add((v, k))
        inner = _inner(plan, op, v, k)
        if inner is None:
            return False
        todo += inner
    return True


def _inner(plan: Plan, op, value, d: int) -> list | None:
    """(operand, dimension) for every pair of dimensions that must join for those of `value`; None: never."""
    name = op.name
    if name in ("arith.constant", "tensor.splat", "tensor.empty", "linalg.fill"):
        return []
    if is_elementwise(op):
        return [(v, d) for v, _ in plan.looks(op)]
    if name == "bufferization.to_tensor":
        return [] if _contiguous(plan.load_of(op), shape_of(value), d) else None
    if name == "tensor.expand_shape":
        one = any({d, d + 1} <= {int(x) for x in group} for group in op.attributes["reassociation"])
        return [] if one else None
    if name == "linalg.generic" and is_parallel(op) and "linalg.index" not in plan.names(op):
        return _mapped(op, d)
    return None


def _contiguous(load, shape: list[int], d: int) -> bool:
    """Whether rows of dimension d + 1 follow one another, and no bound cuts the two dimensions."""
    for k in (d, d + 1):
        whole = load.other is None or (same(load.low[k], 0) and same(load.sizes[k], shape[k]))
        if not whole:
            return False
    view = producer(load.view)
    while view is not None and view.name == "memref.subview":
        if any(not isinstance(s, int) or s != 1 for s in mixed(view, "strides", 3)):
            return False
        view = producer(view.operands[0])
    if view is None or view.name != "memref.reinterpret_cast":
        return False
    strides = mixed(view, "strides", 3)
    if len(strides) != len(shape) or not all(isinstance(strides[k], int) for k in (d, d + 1)):
        return False
    return strides[d] == strides[d + 1] * shape[d + 1]


def _mapped(op, d: int) -> list | None:
    """The inputs of a generic that have both dimensions, side by side; None if one has them otherwise."""
    found = []
    block = op.regions[0].blocks[0]
    for value, argument, attr in zip(
        op.operands, block.arguments, op.attributes["indexing_maps"], strict=True
    ):
        if not isinstance(value.type, ir.RankedTensorType) or not list(argument.uses):
            continue
        results = list(attr.value.results)
        if not all(isinstance(e, ir.AffineDimExpr | ir.AffineConstantExpr) for e in results):
            return None
        places = [e.position if isinstance(e, ir.AffineDimExpr) else None for e in results]
        if d not in places and d + 1 not in places:
            continue
        at = places.index(d) if d in places else len(places)
        if places[at : at + 2] != [d, d + 1]:
            return None
        found.append((value, at))
    return found
