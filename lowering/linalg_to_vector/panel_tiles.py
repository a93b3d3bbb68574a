"""Tensors whose elements are in the order of a matrix engine's panels.

An `Order` gives a matrix the dimensions of a layout: one for each level of tiles, the last one for the
elements of a tile.  `Tiles` computes matrices in such an order, by the operations that compute them row
by row.
"""

import math

import attrs

from vertebra.core.layout import Layout
from vertebra.core.mlir import ir
from vertebra.lowering import packs
from vertebra.lowering.linalg_to_vector.operations import is_elementwise, is_tensor, producer
from vertebra.lowering.linalg_to_vector.plan import PANELS, cost_of
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.shape import reshape, transpose

_CHEAP = 4  # of Plan's cost: what is rather computed once more for every tile than spread from memory


@attrs.frozen
class Axis:
    """A level of tiles: `size` steps along rows (side 0) or columns (1), `place` elements each."""

    side: int
    size: int
    place: int


@attrs.frozen
class Order:
    """axes: the outer dimensions, slowest first.  tile: rows and columns of a tile, row by row."""

    axes: tuple[Axis, ...]
    tile: tuple[int, int]

    @classmethod
    def of(cls, layout: Layout) -> "Order":
        """For a layout ((tile's rows, ...), (tile's columns, ...)) whose tiles lie row by row."""
        tile = tuple(mode.mode(0).size for mode in layout.modes)
        found = []
        for side, mode in enumerate(layout.modes):
            place = 1
            for number, (size, stride) in enumerate(mode.flat_modes):
                if number and size > 1:
                    found.append((stride, Axis(side, size, place)))
                place *= size
        found.sort(key=lambda pair: -pair[0])
        return cls(tuple(axis for _, axis in found), tile)

    @property
    def area(self) -> int:
        return math.prod(self.tile)

    @property
    def shape(self) -> list[int]:
        return [*(axis.size for axis in self.axes), self.area]

    def dims(self, side: int) -> list[int]:
        """The dimensions on which the index along `side` depends."""
        return [*(d for d, axis in enumerate(self.axes) if axis.side == side), len(self.axes)]

    def spread_dims(self, side: int, longest: int) -> list[int]:
        """The same, and those further in, so that what is inside of the innermost of them is one run.

        longest: elements of the longest vector; where a tile fills it, longer runs are of no use.
        """
        own = self.dims(side)
        if self.area >= longest:
            return own
        last = own[-2] if len(own) > 1 else len(self.axes)
        return sorted({*own, *range(last, len(self.axes) + 1)})

    def index(self, side: int, places: list[int]) -> ir.AffineExpr:
        """The row (side 0) or column (1) by loops over the dimensions `places`."""
        own = [places.index(d) for d in self.dims(side)]
        *outer, lane = map(ir.AffineDimExpr.get, own)
        width = self.tile[1]
        last = ir.AffineExpr.get_floor_div if side == 0 else ir.AffineExpr.get_mod
        found = last(lane, ir.AffineConstantExpr.get(width))
        for dim, axis in zip(outer, (a for a in self.axes if a.side == side), strict=True):
            found = found + dim * axis.place
        return found

    def seen_from(self, other: "Order") -> tuple[list[int], list[int]]:
        """(turns, shape): how a tensor in order `other` is transposed, and then reshaped, to this one.

        Every axis of this order has to be made of whole axes of the other one.
        """
        turns = []
        for axis in self.axes:
            end = axis.place * axis.size
            parts = [
                (-a.place, d)
                for d, a in enumerate(other.axes)
                if a.side == axis.side and axis.place <= a.place < end
            ]
            assert math.prod(other.axes[d].size for _, d in parts) == axis.size
            turns += [d for _, d in sorted(parts)]
        return [*turns, len(other.axes)], self.shape


class Tiles:
    """Matrices of one shape in one order.  What is computed is computed next to where it was.

    longest: elements of the longest vector.
    """

    def __init__(self, order: Order, longest: int):
        self.order, self.longest = order, longest
        self._made: dict = {}
        self._spread: dict = {}

    def remember(self, value, tiled) -> None:
        """Says what matrix `value` is in that order."""
        self._made[value] = tiled

    def of(self, value) -> ir.Value:
        """Matrix `value` in that order."""
        todo = [value]  # operands before what needs them, so that long chains need no deep stack
        while todo:
            v = todo[-1]
            if v in self._made:
                todo.pop()
                continue
            op = producer(v)
            ahead = _matrices(op, v) if op is not None and is_elementwise(op) else []
            ahead = [x for x in ahead if x not in self._made]
            if ahead:
                todo += ahead
            else:
                with _next_to(v):
                    self._made[v] = self._tile(v)
                todo.pop()
        return self._made[value]

    def _tile(self, value) -> ir.Value:
        order, element, op = self.order, value.type.element_type, producer(value)
        type = build.tensor_type(order.shape, element)
        if op is not None and is_elementwise(op) and len(op.results) == 1:
            return _again(op, type, [self._made.get(v, v) for v in op.operands])
        if packs.respread(value, order.shape, build_it=False, lines=False):
            return packs.respread(value, order.shape)
        line = packs.line_of(op) if op is not None and op.name == "linalg.generic" else None
        if line is not None:
            source = op.operands[0]
            spread = self.spread(reshape(source, [max(source.type.shape)]), line)
            return self.repeat(spread, line)
        loops = list(range(len(order.shape)))
        places = [order.index(side, loops) for side in (0, 1)]
        map = ir.AffineMap.get(len(order.shape), 0, places)
        return build.generic(type, [value], [map], lambda x: x)

    def repeat(self, spread, side: int) -> ir.Value:
        """What `spread` says of rows or columns, for all of the order."""
        order = self.order
        dims = [ir.AffineDimExpr.get(d) for d in order.spread_dims(side, self.longest)]
        type = build.tensor_type(order.shape, spread.type.element_type)
        return build.generic(type, [spread], [ir.AffineMap.get(len(order.shape), 0, dims)], lambda x: x)

    def spread(self, line, side: int) -> ir.Value:
        """One element a row (side 0) or a column (1), in every place of the tiles that has it."""
        key = line, side
        if key not in self._spread:
            with _next_to(line):
                self._spread[key] = self._spread_out(line, side)
        return self._spread[key]

    def _spread_out(self, line, side: int) -> ir.Value:
        order, element, op = self.order, line.type.element_type, producer(line)
        dims = order.spread_dims(side, self.longest)
        shape = [order.shape[d] for d in dims]
        type = build.tensor_type(shape, element)
        if packs.respread(line, shape, build_it=False, lines=False):
            return packs.respread(line, shape)
        # A tensor of i1 in memory takes a byte an element, which vectors cannot load.
        bit = isinstance(element, ir.IntegerType) and element.width == 1
        if op is not None and is_elementwise(op) and (bit or cost_of(op.name) <= _CHEAP):
            operands = [self.spread(v, side) if is_tensor(v) else v for v in op.operands]
            return _again(op, type, operands)
        map = ir.AffineMap.get(len(dims), 0, [order.index(side, dims)])
        return build.generic(type, [line], [map], lambda x: x)


def _matrices(op, value) -> list:
    return [v for v in op.operands if is_tensor(v)]


def _again(op, type, operands) -> ir.Value:
    attributes = {name: op.attributes[name] for name in op.attributes}
    with op.location:
        return ir.Operation.create(op.name, [type], operands, attributes).results[0]


def _next_to(value):
    """Where `value` is known, and all that it is made of."""
    op = producer(value)
    if op is None:
        return ir.InsertionPoint.at_block_begin(value.owner)
    return ir.InsertionPoint.after(op.operation)


def reduce_rows(op, tiled, order: Order) -> ir.Value:
    """linalg.reduce `op` over the rows of a matrix, of which `tiled` is what is in that order.

    Tiles of a row combine element by element; what is left, a tile's columns, as rows of its transpose.
    """
    for d in reversed(range(len(order.axes))):
        if order.axes[d].side == 1:
            tiled = _reduce_from_first(op, tiled, d)
    rows, columns = op.results[0].type.shape[0], order.tile[1]
    turned = transpose(reshape(tiled, [rows, columns]), [1, 0])
    return _reduce(op, turned, op.operands[1], 0)


def _reduce_from_first(op, value, axis: int) -> ir.Value:
    """The slices of `value` along `axis` combined; the first one is where it starts."""
    sizes = list(value.type.shape)
    kept = [n for d, n in enumerate(sizes) if d != axis]
    one = [1 if d == axis else n for d, n in enumerate(sizes)]
    rest = [n - 1 if d == axis else n for d, n in enumerate(sizes)]
    start = build.extract_slice(value, [0] * len(sizes), one, result_shape=kept)
    others = build.extract_slice(value, [int(d == axis) for d in range(len(sizes))], rest)
    return _reduce(op, others, start, axis)


def _reduce(op, value, init, axis: int) -> ir.Value:
    """`op` over another axis of another tensor."""
    new = ir.Operation.create(
        "linalg.reduce",
        [init.type],
        [value, init],
        {"dimensions": ir.DenseI64ArrayAttr.get([axis])},
        regions=1,
    )
    before = op.regions[0].blocks[0]
    combine, last = before.operations
    block = new.regions[0].blocks.append(*(a.type for a in before.arguments))
    env = dict(zip(before.arguments, block.arguments, strict=True))
    with ir.InsertionPoint(block):
        attributes = {name: combine.attributes[name] for name in combine.attributes}
        made = ir.Operation.create(
            combine.operation.name,
            [r.type for r in combine.results],
            [env[v] for v in combine.operands],
            attributes,
        )
        ir.Operation.create(last.operation.name, [], [made.results[0]])
    return new.results[0]


def elements_of(buffer, order: Order, element, other: Order | None = None) -> ir.Value:
    """A buffer of bytes in `order`, seen as a tensor in that order, or in another one."""
    flat = tensor_of(view(buffer, element))
    found = reshape(flat, order.shape)
    if other is None or other == order:
        return found
    turns, shape = other.seen_from(order)
    if turns != sorted(turns):
        found = transpose(found, turns)
    return reshape(found, shape)


def tensor_of(memref) -> ir.Value:
    type = ir.RankedTensorType.get(memref.type.shape, memref.type.element_type)
    attributes = {"restrict": ir.UnitAttr.get(), "writable": ir.UnitAttr.get()}
    return ir.Operation.create("bufferization.to_tensor", [type], [memref], attributes).results[0]


def view(buffer, element) -> ir.Value:
    count = buffer.type.shape[0] * 8 // element.width
    type = ir.MemRefType.get([count], element)
    return ir.Operation.create("memref.view", [type], [buffer, build.index(0)]).results[0]


def put(value, buffer) -> None:
    """Stores tensor `value`, row-major, into a buffer of bytes."""
    flat = view(buffer, value.type.element_type)
    shape = list(value.type.shape)
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    layout = ir.StridedLayoutAttr.get(0, strides)
    into = ir.Operation.create(
        "memref.reinterpret_cast",
        [ir.MemRefType.get(shape, value.type.element_type, layout)],
        [flat],
        {
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([1, 0, 0, 0]),
            "static_offsets": ir.DenseI64ArrayAttr.get([0]),
            "static_sizes": ir.DenseI64ArrayAttr.get(shape),
            "static_strides": ir.DenseI64ArrayAttr.get(strides),
        },
    ).results[0]
    ir.Operation.create(
        "bufferization.materialize_in_destination",
        [],
        [value, into],
        {"restrict": ir.UnitAttr.get(), "writable": ir.UnitAttr.get(), PANELS: ir.UnitAttr.get()},
    )
