"""Loads and stores with a stride in every dimension: copies between views and buffers."""

import math
from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts.expr import Expr, Table
from vertebra.lowering.tt_to_tts.structured import STREAMING
from vertebra.lowering.tts_to_memref.addresses import Addresses
from vertebra.lowering.tts_to_memref.build import Builder, View

Bounds = list[tuple[Expr, Expr]]


def load(
    build: Builder, where: Addresses, bounds: Bounds | None, other: ir.Value | None, kind, at
) -> ir.Value:
    """A tensor of the elements within bounds, and of `other` (0 by default) elsewhere."""
    if _wrapped_dims(where):
        where = _unwrapped(build, where, bounds, at)
    element = kind.element_type
    buffer = build.alloc(list(kind.shape), element, at)
    if bounds is not None:
        build.fill(other if other is not None else build.zero(element, at), buffer.value, at)

    def piece(view: View, part: Bounds | None, at) -> None:
        target = buffer
        if part is not None:
            lows, sizes = _window(build.table, part, where.shape)
            if 0 in sizes:
                return
            view, target = build.subview(view, lows, sizes, at), build.subview(buffer, lows, sizes, at)
        build.op("memref.copy", [], [view.value, target.value], at)

    _pieces(build, where, bounds, piece, at)
    unit = ir.UnitAttr.get()
    return build.op(
        "bufferization.to_tensor", [kind], [buffer.value], at, restrict=unit, writable=unit
    ).result


def store(build: Builder, where: Addresses, bounds: Bounds | None, value: ir.Value, at) -> None:
    """Writes the elements of a tensor that lie within bounds."""

    def piece(view: View, part: Bounds | None, at) -> None:
        source = value
        if part is not None:
            lows, sizes = _window(build.table, part, where.shape)
            if 0 in sizes:
                return
            view, source = build.subview(view, lows, sizes, at), build.extract_slice(value, lows, sizes, at)
        operands = [source, view.value]
        attributes = {name: ir.UnitAttr.get() for name in ("writable", *marks)}
        build.op("bufferization.materialize_in_destination", [], operands, at, **attributes)

    marks = [STREAMING] if STREAMING in at.attributes else []
    _pieces(build, where, bounds, piece, at)


def _unwrapped(build: Builder, where: Addresses, bounds: Bounds | None, at) -> Addresses:
    """The same elements within bounds, without wraps.

    Most blocks do not reach the point where they would wrap: the modulus is there for those at the
    edge.  They stay where they are; the others are copied into a buffer, which is then read instead.
    """
    table, shape = build.table, where.shape
    first, left = list(where.starts), None
    for d in _wrapped_dims(where):
        start, modulo = _in_elements(table, where.starts[d], where.wraps[d], where.strides[d])
        rest = table.apply("rem", start, modulo)
        first[d] = rest * where.strides[d]
        room = modulo - rest - (bounds[d][1] if bounds is not None else shape[d])
        left = room if left is None else table.apply("min", left, room)
    straight = table.compare("sge", left, 0)
    offset = where.offset
    for d in _wrapped_dims(where):
        offset = offset + first[d]
    none = where._replace(starts=[0] * len(shape), wraps=[0] * len(shape))
    if straight is True:
        return none._replace(offset=offset)

    element = where.memref.type.element_type
    buffer = build.alloc([math.prod(shape)], element, at).value
    steps = _dense(shape, where.strides)
    copy = build.reinterpret(buffer, 0, shape, steps, at)

    def piece(view: View, part: Bounds | None, at) -> None:
        target = copy
        if part is not None:
            lows, sizes = _window(table, part, shape)
            if 0 in sizes:
                return
            view, target = build.subview(view, lows, sizes, at), build.subview(copy, lows, sizes, at)
        build.op("memref.copy", [], [view.value, target.value], at)

    flat = build.op("memref.cast", [where.memref.type], [buffer], at).result
    if straight is False:
        _pieces(build, where, bounds, piece, at)
        return none._replace(memref=flat, offset=0, strides=steps)
    wraps = build.emit(table.expr(table.compare("slt", left, 0)), at)
    branch = build.op("scf.if", [], [wraps], at, regions=2)
    block = branch.regions[0].blocks.append()
    last = ir.Operation.create("scf.yield", loc=at.location, ip=ir.InsertionPoint(block))
    _pieces(build, where, bounds, piece, last)
    memref = build.op("arith.select", [flat.type], [wraps, flat, where.memref], at).result
    strides = [table.select(straight, a, b) for a, b in zip(where.strides, steps, strict=True)]
    return none._replace(memref=memref, offset=table.select(straight, offset, 0), strides=strides)


def _dense(shape: list[int], strides: list[Expr]) -> list[int]:
    """Strides of a buffer without gaps, whose neighbours lie along the dimension of a stride of 1, if any."""
    order = sorted(range(len(shape)), key=lambda d: (isinstance(strides[d], int) and strides[d] == 1, d))
    found, step = [0] * len(shape), 1
    for d in reversed(order):
        found[d] = step
        step *= shape[d]
    return found


def _window(table: Table, bounds: Bounds, shape: list[int]) -> tuple[list[Expr], list[Expr]]:
    """Offsets and sizes of a subview; an empty one must not start at the very end, which MLIR rejects."""
    lows = [table.apply("min", lo, size - 1) for (lo, _), size in zip(bounds, shape, strict=True)]
    return lows, [hi - lo for lo, hi in bounds]


def _pieces(build: Builder, where: Addresses, bounds: Bounds | None, piece: Callable, at) -> None:
    """Calls `piece` with a view without wraps, and bounds in it, for every run between two wraps."""
    _wrapped(build, where, _wrapped_dims(where), where.offset, bounds, piece, at)


def _wrapped_dims(where: Addresses) -> list[int]:
    return [d for d, wrap in enumerate(where.wraps) if not (isinstance(wrap, int) and wrap == 0)]


def _wrapped(build, where, wrapped: list[int], offset: Expr, bounds, piece, at) -> None:
    if not wrapped:
        view = build.reinterpret(where.memref, offset, where.shape, where.strides, at)
        piece(view, bounds, at)
        return
    (d, *rest), table = wrapped, build.table
    size, stride = where.shape[d], where.strides[d]
    start, modulo = _in_elements(table, where.starts[d], where.wraps[d], stride)
    first = table.apply("rem", start, modulo)
    full: Bounds = [(0, n) for n in where.shape]
    lo, hi = (bounds or full)[d]

    # Element i is element (first + i) of the array until that reaches `modulo`; later runs start at 0.
    end = table.apply("min", hi, modulo - first)
    within = [*(bounds or full)]
    within[d] = (lo, table.apply("max", end, lo))
    _wrapped(build, where, rest, offset + first * stride, within, piece, at)
    if isinstance(first, int) and isinstance(modulo, int) and first + size <= modulo:
        return

    runs = table.apply("ceildiv", first + size, modulo)
    loop = build.op("scf.for", [], [build.emit(e, at) for e in (1, runs, 1)], at, regions=1)
    block = loop.regions[0].blocks.append(build.index, arg_locs=[at.location])
    last = ir.Operation.create("scf.yield", loc=at.location, ip=ir.InsertionPoint(block))
    shift = table.value(block.arguments[0]) * modulo - first
    low = table.apply("max", lo, shift)
    within = [*(bounds or full)]
    within[d] = (low, table.apply("max", table.apply("min", hi, shift + modulo), low))
    _wrapped(build, where, rest, offset - shift * stride, within, piece, last)


def _in_elements(table: Table, start: Expr, wrap: Expr, stride: Expr) -> tuple[Expr, Expr]:
    """Start and modulo counted in elements of the dimension instead of the memory.

    Both are multiples of the stride.  A stride of 0 reads one element over and over: it never wraps.
    """
    if isinstance(stride, int) and stride == 1:
        return start, table.apply("max", wrap, 1)
    still = table.compare("eq", stride, 0)
    divisor = table.select(still, 1, stride)
    modulo = table.apply("max", table.apply("div", wrap, divisor), 1)
    return table.apply("div", start, divisor), table.select(still, 1 << 62, modulo)
