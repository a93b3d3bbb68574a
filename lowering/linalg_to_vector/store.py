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
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Chunk, Uniform, create
from vertebra.lowering.linalg_to_vector.operations import is_tensor, producer
from vertebra.lowering.linalg_to_vector.plan import PANELS, Plan, tiles_of

_EQ, _SLE, _UGE = 0, 3, 9  # arith.cmpi predicates
_STREAMING = "vertebra.streaming"  # on a store: nobody reads its elements soon


@attrs.frozen
class _Target:
    """Where a tensor goes: element i to view[i], for low <= i < high (everywhere when low is None)."""

    value: object
    memref: object
    view: Strided
    low: list | None
    high: list | None
    streaming: bool = False


def store(scope: Scope, op) -> None:
    """bufferization.materialize_in_destination: a tensor, or a slice of one, into a memref."""
    b = scope.builder(1)
    target = _tile_by_tile(b, scope.plan, target_of(b, op))
    risky = [] if PANELS in op.attributes else _risky_loads(scope.plan, target)
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


def target_of(b: Builder, op) -> _Target:
    value, memref = op.operands
    view = view_of(b, memref)
    if view is None:
        raise CompileError("a store to a memref that is not a strided view of a flat one", at=op)
    maker = producer(value)
    if maker is None or maker.name != "tensor.extract_slice" or value.type.has_static_shape:
        return _Target(value, memref, view, None, None, _STREAMING in op.attributes)
    low, sizes = mixed(maker, "offsets", 1), mixed(maker, "sizes", 2)
    high = [
        lo + n
        if isinstance(lo, int) and isinstance(n, int)
        else b.scalar(b.add(uniform(b, lo), uniform(b, n)))
        for lo, n in zip(low, sizes, strict=True)
    ]
    shift = [b.mul(b.const(-1), uniform(b, lo)) for lo in low]
    view = Strided(view.base, view.linear(b, shift), view.strides)
    return _Target(maker.operands[0], memref, view, low, high, _STREAMING in op.attributes)


def _tile_by_tile(b: Builder, plan: Plan, target: _Target) -> _Target:
    """A matrix made of tiles goes into a view of its place with the dimensions of the tiles."""
    split = tiles_of(plan, target.value) if target.low is None else None
    if split is None:
        return target
    tiles, groups = split
    shape, strides = shape_of(tiles), []
    for group, stride in zip(groups, target.view.strides, strict=True):
        steps = [stride]
        for d in reversed(group[1:]):
            steps.insert(0, b.mul(steps[0], b.const(shape[d])))
        strides += steps
    view = Strided(target.view.base, target.view.offset, tuple(strides))
    return attrs.evolve(target, value=tiles, view=view)


def _emit(scope: Scope, target: _Target, instead: dict) -> None:
    bits = _bits(target.view) * scope.width([target.value])
    if not target.streaming or scope.unit.group > 1 or bits != scope.unit.bits:
        _emit_loops(scope, target, instead, 0)
        return
    # Past the caches go whole registers only, to places that are a multiple of their length.
    branch = ir.Operation.create("scf.if", [], [_aligned(scope.builder(1), target, bits // 8)], regions=2)
    for region, alignment in zip(branch.regions, (bits // 8, 0), strict=True):
        with ir.InsertionPoint(region.blocks.append()):
            _emit_loops(scope, target, instead, alignment)
            if alignment:
                _settle()
            ir.Operation.create("scf.yield", [], [])


def _aligned(b: Builder, target: _Target, alignment: int):
    """Whether all rows of the target begin at a multiple of `alignment` bytes, and go on from there (i1)."""
    size = b.const(max(1, _bits(target.view) // 8))
    base = Uniform(create("memref.extract_aligned_pointer_as_index", b.index, [target.view.base]))
    bits = b.add(base, b.mul(target.view.offset, size))
    for stride in target.view.strides[:-1]:
        bits = b.binary("arith.ori", bits, b.mul(stride, size))
    rest = b.binary("arith.andi", bits, b.const(alignment - 1))
    one = b.compare(_EQ, target.view.strides[-1], b.const(1))
    return b.scalar(b.both(one, b.compare(_EQ, rest, b.const(0))))


def _emit_loops(scope: Scope, target: _Target, instead: dict, alignment: int) -> None:
    """alignment: bytes of which the place of every whole register is a multiple; 0 where none is known."""
    shape = shape_of(target.value)
    bounded = target.low is not None
    joined = not bounded and _row_major(target.view, shape)
    axes = axes_of(scope.plan, [target.value], shape) if joined else plain_axes(shape)

    def body(ev: Evaluator, idx: list[Chunk], carried: list) -> list:
        ev.instead = instead
        full = axes.spread(ev.b, idx)
        mask = in_bounds(ev.b, full, target.low, target.high, shape) if bounded else None
        chunk = stored(ev, ev.at(target.value, full))
        at = target.view.linear(ev.b, full)
        whole = mask is None and alignment and ev.b.width * _bits(target.view) == 8 * alignment
        if whole and isinstance(at, Affine) and at.contiguous:
            _stream(ev.b, chunk, target.view.base, at, alignment)
        else:
            ev.memory.store(chunk, target.view.base, at, mask)
        return carried

    sizes, width = list(axes.sizes), scope.width([target.value])
    if bounded and all(same(lo, 0) for lo in target.low):
        limits = [None if isinstance(target.high[d], int) else target.high[d] for d in axes.dims]
        vector_nest(scope, sizes, width, [], body, limits, inside=True)
    else:
        vector_nest(scope, sizes, width, [], body, limits_of(scope, [target.value], axes.dims))


def _settle() -> None:
    """Whoever learns that the program has ended finds its stores done, also those past the caches."""
    sequentially_consistent = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 7)
    ir.Operation.create("llvm.fence", [], [], {"ordering": sequentially_consistent})


def _stream(b: Builder, chunk: Chunk, base, at: Affine, alignment: int) -> None:
    hints = {
        "nontemporal": ir.BoolAttr.get(True),
        "alignment": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), alignment),
    }
    ir.Operation.create("vector.store", [], [b.vector(chunk), base, b.scalar(at.base)], hints)


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
        # A load that an expand_dims or a reshape leads to has another rank.
        same_low = len(low) == len(record.low) and all(map(same, record.low, low))
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
    if aligned and _bits(view) == _bits(target.view) and _is_run(view) and _is_run(target.view):
        return _never_ahead(b, view, target.view, shape_of(target.value)[0])
    start, end = _extent(b, view, shape_of(load.results[0]))
    into, until = _extent(b, target.view, shape_of(target.value))
    either = b.binary("arith.ori", b.compare(_SLE, end, into), b.compare(_SLE, until, start))
    if aligned and _bits(view) == _bits(target.view) and len(view.strides) == len(target.view.strides):
        alike = b.compare(0, start, into)
        for s, t in zip(view.strides, target.view.strides, strict=True):
            if not (same(s.const, t.const) or same(s.value, t.value)):
                alike = b.both(alike, b.compare(0, s, t))
        either = b.binary("arith.ori", either, alike)
    return either


def _is_run(view: Strided) -> bool:
    """Whether it is one dimension of neighbours."""
    return len(view.strides) == 1 and view.strides[0].const == 1


def _never_ahead(b: Builder, load: Strided, into: Strided, size: int) -> Chunk:
    """Whether storing the elements of a run in their order leaves those of another alone that follow.

    A store at or before the place that was just loaded, or behind all of it, does: only a distance of
    1 to size - 1 elements does not.
    """
    width = max(1, _bits(load) // 8)
    starts = []
    for view in (load, into):
        base = Uniform(create("memref.extract_aligned_pointer_as_index", b.index, [view.base]))
        starts.append(b.add(base, b.mul(view.offset, b.const(width))))
    ahead = b.sub(b.sub(starts[1], starts[0]), b.const(1))
    return b.compare(_UGE, ahead, b.const(size * width - 1))


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
