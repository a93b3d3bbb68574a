"""Loads and stores with a stride in every dimension: copies between views and buffers."""

from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts.expr import Expr, Table
from vertebra.lowering.tts_to_memref.addresses import Addresses
from vertebra.lowering.tts_to_memref.build import Builder, View

Bounds = list[tuple[Expr, Expr]]


def load(
    build: Builder, where: Addresses, bounds: Bounds | None, other: ir.Value | None, kind, at
) -> ir.Value:
    """A tensor of the elements within bounds, and of `other` (0 by default) elsewhere."""
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
        build.op("bufferization.materialize_in_destination", [], operands, at, writable=ir.UnitAttr.get())

    _pieces(build, where, bounds, piece, at)


def _window(table: Table, bounds: Bounds, shape: list[int]) -> tuple[list[Expr], list[Expr]]:
    """Offsets and sizes of a subview; an empty one must not start at the very end, which MLIR rejects."""
    lows = [table.apply("min", lo, size - 1) for (lo, _), size in zip(bounds, shape, strict=True)]
    return lows, [hi - lo for lo, hi in bounds]


def _pieces(build: Builder, where: Addresses, bounds: Bounds | None, piece: Callable, at) -> None:
    """Calls `piece` with a view without wraps, and bounds in it, for every run between two wraps."""
    wrapped = [d for d, wrap in enumerate(where.wraps) if not (isinstance(wrap, int) and wrap == 0)]
    _wrapped(build, where, wrapped, where.offset, bounds, piece, at)


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
