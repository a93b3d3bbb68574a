"""Stores of tensors to memory, which may overlap what the same loop loads.

A load that is computed inside the loop of a store reads memory while the loop writes
it.  That is right when both touch the same element in the same turn, or never the same
memory at all; the addresses decide at run time where they are not known to agree.
"""

import attrs

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import (
    Strided,
    in_bounds,
    mixed,
    same,
    shape_of,
    uniform,
    view_of,
)
from vertebra.lowering.linalg_to_vector.axes import axes_of, plain_axes
from vertebra.lowering.linalg_to_vector.elementwise import (
    Scope,
    limits_of,
    materialise,
    stored,
    vector_nest,
)
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Builder, Chunk, Uniform, create
from vertebra.lowering.linalg_to_vector.plan import Plan, is_tensor, producer

_SLE = 3  # arith.cmpi predicate


@attrs.frozen
class _Target:
    """Where a tensor goes: element i to view[i], for low <= i < high (everywhere when low is None)."""

    value: object
    memref: object
    view: Strided
    low: list | None
    high: list | None


def store(scope: Scope, op) -> None:
    """bufferization.materialize_in_destination: a tensor, or a slice of one, into a memref."""
    b = scope.builder(1)
    target = _target(b, op)
    risky = _risky_loads(scope.plan, target)
    if not risky:
        _emit(scope, target, {})
        return
    safe = None
    for load, aligned in risky:
        safe = b.both(safe, _apart(scope, target, load, aligned))
    branch = ir.Operation.create("scf.if", [], [b.scalar(safe)], regions=2)
    with ir.InsertionPoint(branch.regions[0].blocks.append()):
        _emit(scope, target, {})
        ir.Operation.create("scf.yield", [], [])
    with ir.InsertionPoint(branch.regions[1].blocks.append()):
        copies = {load.results[0]: materialise(scope, [load.results[0]])[0] for load, _ in risky}
        _emit(scope, target, copies)
        ir.Operation.create("scf.yield", [], [])


def _target(b: Builder, op) -> _Target:
    value, memref = op.operands
    view = view_of(b, memref)
    if view is None:
        raise CompileError("a store to a memref that is not a strided view of a flat one", at=op)
    maker = producer(value)
    if maker is None or maker.name != "tensor.extract_slice" or value.type.has_static_shape:
        return _Target(value, memref, view, None, None)
    low, sizes = mixed(maker, "offsets", 1), mixed(maker, "sizes", 2)
    high = [
        lo + n
        if isinstance(lo, int) and isinstance(n, int)
        else b.scalar(b.add(uniform(b, lo), uniform(b, n)))
        for lo, n in zip(low, sizes, strict=True)
    ]
    shift = [b.mul(b.const(-1), uniform(b, lo)) for lo in low]
    view = Strided(view.base, view.linear(b, shift), view.strides)
    return _Target(maker.operands[0], memref, view, low, high)


def _emit(scope: Scope, target: _Target, instead: dict) -> None:
    shape = shape_of(target.value)
    bounded = target.low is not None
    joined = not bounded and _row_major(target.view, shape)
    axes = axes_of(scope.plan, [target.value], shape) if joined else plain_axes(shape)

    def body(ev: Evaluator, idx: list[Chunk], carried: list) -> list:
        ev.instead = instead
        full = axes.spread(ev.b, idx)
        mask = in_bounds(ev.b, full, target.low, target.high, shape) if bounded else None
        chunk = stored(ev, ev.at(target.value, full))
        ev.memory.store(chunk, target.view.base, target.view.linear(ev.b, full), mask)
        return carried

    sizes, width = list(axes.sizes), scope.width([target.value])
    if bounded and all(same(lo, 0) for lo in target.low):
        limits = [None if isinstance(target.high[d], int) else target.high[d] for d in axes.dims]
        vector_nest(scope, sizes, width, [], body, limits, inside=True)
    else:
        vector_nest(scope, sizes, width, [], body, limits_of(scope, [target.value], axes.dims))


def _row_major(view: Strided, shape: list[int]) -> bool:
    """Whether the elements of the view follow one another in memory."""
    expected = 1
    for stride, size in reversed(list(zip(view.strides, shape, strict=True))):
        if size != 1 and stride.const != expected:
            return False
        expected *= size
    return True


# -- what a store may overlap


def _risky_loads(plan: Plan, target: _Target) -> list[tuple[object, bool]]:
    """(load, whether it is read element by element), without those that are the stored place itself."""
    found = []
    for load, aligned in plan.inlined_loads(target.value):
        record = plan.load_of(load)
        low = target.low if target.low is not None else [0] * len(record.low)
        same_low = all(same(a, b) for a, b in zip(record.low, low, strict=True))
        if not (aligned and same_low and _same_place(_whole(record.view), _whole(target.memref))):
            found.append((load, aligned))
    return found


def _whole(memref):
    """The view that `memref` is a part of."""
    op = producer(memref)
    return op.operands[0] if op is not None and op.name == "memref.subview" else memref


def _same_place(a, b) -> bool:
    """Whether two memrefs are made of the same values in the same way."""
    if a == b:
        return True
    x, y = producer(a), producer(b)
    if x is None or y is None or x.name != y.name or a.type != b.type or len(x.operands) != len(y.operands):
        return False
    return str(x.attributes) == str(y.attributes) and all(
        _same_place(p, q) if isinstance(p.type, ir.MemRefType) else p == q
        for p, q in zip(x.operands, y.operands, strict=True)
    )


def _apart(scope: Scope, target: _Target, load, aligned: bool) -> Chunk:
    """Whether the loop of the store may read the load's memory as it goes (i1)."""
    ev = scope.evaluator(1)
    b = ev.b
    view, _ = ev.load_view(load, scope.plan.load_of(load))
    start, end = _extent(b, view, shape_of(load.results[0]))
    into, until = _extent(b, target.view, shape_of(target.value))
    either = b.binary("arith.ori", b.compare(_SLE, end, into), b.compare(_SLE, until, start))
    if aligned and _bits(view) == _bits(target.view):
        alike = b.compare(0, start, into)
        for s, t in zip(view.strides, target.view.strides, strict=True):
            if not (same(s.const, t.const) or same(s.value, t.value)):
                alike = b.both(alike, b.compare(0, s, t))
        either = b.binary("arith.ori", either, alike)
    return either


def _bits(view: Strided) -> int:
    return view.base.type.element_type.width


def _extent(b: Builder, view: Strided, shape: list[int]) -> tuple[Uniform, Uniform]:
    """The addresses of the first byte of a view and of the one behind its last."""
    size = b.const(max(1, _bits(view) // 8))
    low, high = view.offset, view.offset
    for stride, extent in zip(view.strides, shape, strict=True):
        reach = b.mul(stride, b.const(extent - 1))
        if reach.const is not None:
            low, high = (b.add(low, reach), high) if reach.const < 0 else (low, b.add(high, reach))
        else:
            zero = b.scalar(b.const(0))
            low = b.add(low, Uniform(create("arith.minsi", b.index, [b.scalar(reach), zero])))
            high = b.add(high, Uniform(create("arith.maxsi", b.index, [b.scalar(reach), zero])))
    base = Uniform(create("memref.extract_aligned_pointer_as_index", b.index, [view.base]))
    return b.add(base, b.mul(low, size)), b.add(base, b.mul(b.add(high, b.const(1)), size))


# -- bodies with effects


def effects(scope: Scope, op) -> None:
    """A linalg.generic whose body stores, all lanes at once; its results must be unused or its outs."""
    outs = [v for v in op.operands if is_tensor(v)][-1]
    shape = shape_of(outs)
    axes = plain_axes(shape)
    read = [v for v in op.operands if is_tensor(v)]

    def body(ev: Evaluator, idx: list[Chunk], carried: list) -> list:
        ev.generic(op, axes.spread(ev.b, idx))
        return carried

    vector_nest(scope, list(axes.sizes), scope.width(read), [], body)
