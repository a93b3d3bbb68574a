"""Operands of matrix products in the panels that an engine reads."""

import attrs

from vertebra.core.layout import Layout
from vertebra.core.layout import panels as panel_layouts
from vertebra.core.layout.placements import stores, walk
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, limits_of
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, pieces, whole_chunks
from vertebra.lowering.linalg_to_vector.panel_vectors import as_integers, as_vector, halved, nibbles
from vertebra.lowering.linalg_to_vector.placed_stores import put
from vertebra.lowering.linalg_to_vector.transpose import running_dimension
from vertebra.lowering.linalg_to_vector.whole_loads import whole_or_masked


def bits_of(kind: str) -> int:
    """The width of the element type called `kind`."""
    return int(kind.lstrip("uibf"))


@attrs.frozen
class Side:
    """One operand of a product: the matrix `value` at `prefix`.

    outer: which dimension is not K, -2 for A and -1 for B.  tile: elements of a tile along it.
    k: elements of a tile along K.  runs: its panels, in tiles: (start, stop, size).
    bits: of an element in the panels; where `value` has wider ones, their low bits count.
    first, total: the panels have `total` steps of K, of several matrices, and this one's begin at `first`.
    """

    scope: Scope
    value: object
    prefix: list
    outer: int
    tile: int
    k: int
    runs: list
    bits: int
    first: int = 0
    total: int | None = None

    @property
    def size(self) -> int:
        return shape_of(self.value)[self.outer]

    @property
    def depth(self) -> int:
        return shape_of(self.value)[-3 - self.outer]

    @property
    def own_steps(self) -> int:
        return -(-self.depth // self.k)

    @property
    def steps(self) -> int:
        """Of the panels."""
        return self.total or self.own_steps

    @property
    def tile_bytes(self) -> int:
        """Of all steps of one tile along M or N."""
        return self.layout(1).size * self.bits // 8

    def layout(self, tiles: int) -> Layout:
        """A panel of `tiles` tiles: (along M or N, along K) -> element."""
        return panel_layouts.factor((self.tile, self.k), tiles, self.steps)

    def held(self, tiles: int, bits: int) -> Layout:
        """The same in elements of `bits` bits, as vectors hold them: a byte may have two of a panel's."""
        return panel_layouts.factor((self.tile, self.k * self.bits // bits), tiles, self.steps)

    def index(self, along, k) -> list:
        return [*self.prefix, along, k] if self.outer == -2 else [*self.prefix, k, along]


@attrs.frozen
class Panels:
    """The panels of one operand.  bytes_per_tile: of all steps of one tile along M or N."""

    buffer: object
    bytes_per_tile: int

    def operand(self, b: Builder, first: Uniform):
        """The address of the panel whose first tile is `first`."""
        return panel_buffers.address(b, self.buffer, b.mul(first, b.const(self.bytes_per_tile)))


def pack(side: Side, slack: int = 0, fill=None) -> Panels:
    """Fills panels at the insertion point.  slack: bytes behind them that may be read.

    fill: (side, buffer, otherwise) -> whether it has filled them, tried first; `otherwise` emits what does it
    in any case, for where that is known at run time only.
    """
    return pack_steps([side], slack, fill)


def pack_steps(sides: list[Side], slack: int = 0, fill=None) -> Panels:
    """The same panels for several matrices of one size, whose steps follow each other."""
    first = sides[0]
    total = sum(side.own_steps for side in sides)
    sides = [attrs.evolve(s, first=i * s.own_steps, total=total) for i, s in enumerate(sides)]
    buffer = panel_buffers.bytes_of(sides[0].tile_bytes * first.runs[-1][1] + slack)
    if first.size % first.tile or first.depth % first.k:
        panel_buffers.clear(first.scope, buffer)
    for side in sides:
        _fill(side, buffer, fill)
    return Panels(buffer, sides[0].tile_bytes)


def pack_window(side: Side, last, extra: int, fill=None) -> Panels:
    """One panel of A, a tile longer than it is: behind its rows come the `extra` last rows of `last`.

    The address of a tile is that of its first step.  fill: as of `pack`.
    """
    tiles = -(-side.size // side.tile) + 1
    side = attrs.evolve(side, runs=[(0, tiles, tiles)])
    tile = side.tile * side.k * side.bits // 8
    buffer = panel_buffers.bytes_of(tile * tiles * side.steps)
    panel_buffers.clear(side.scope, buffer)
    _fill(side, buffer, fill)
    below = attrs.evolve(side, value=last)

    def rows() -> None:
        _Packing(below, buffer, None, None).last_rows(extra)

    if extra:
        whole_or_masked(side.scope, last, rows)
    return Panels(buffer, tile)


def pack_row(scope: Scope, value, tile: int, slack: int) -> Panels:
    """The first row of a matrix, in whole tiles of `tile` columns.  slack: bytes that may be read behind."""
    tiles = -(-shape_of(value)[-1] // tile)
    return pack_rows(scope, [value], tile, [(0, tiles, tiles)], slack)


def pack_rows(scope: Scope, values: list, tile: int, runs: list, slack: int) -> Panels:
    """The first rows of matrices of one size, in panels of tiles of `tile` columns, one step for each matrix.

    runs: as of `Side`.  slack: bytes that may be read behind.
    """
    element, size = values[0].type.element_type, shape_of(values[0])[-1]
    per_tile = len(values) * tile * element.width // 8
    buffer = panel_buffers.bytes_of(runs[-1][1] * per_tile + slack)
    if size % tile:
        panel_buffers.clear(scope, buffer)
    for start, stop, tiles in runs:
        for first in range(start, stop, tiles):
            for step, value in enumerate(values):
                at = (first * len(values) + step * tiles) * tile
                columns = first * tile, min((first + tiles) * tile, size)
                _put_row(scope, value, columns, buffer, at - first * tile)
    return Panels(buffer, per_tile)


def _put_row(scope: Scope, value, columns: tuple[int, int], buffer, shift: int) -> None:
    """Row 0 of `value`, from the first of `columns` to before the second, `shift` elements further on."""
    element, (first, last) = value.type.element_type, columns
    for start, stop, lanes in pieces(last - first, scope.unit.lanes(element.width)):
        b = scope.builder(lanes)
        memory = panel_buffers.view(b, buffer, element)

        def turn(at: Uniform, _carried: list, b=b, lanes=lanes, memory=memory) -> list:
            ev = scope.evaluator(lanes)
            column = at if lanes == 1 else Affine(at, ev.b.const(1))
            row = as_vector(ev.b, ev.at(value, [ev.b.const(0), column]))
            panel_buffers.store(ev.b, row, memory, ev.b.add(at, ev.b.const(shift)))
            return []

        loop(b, first + start, first + stop, lanes, [], turn)


def _fill(side: Side, buffer, other_way=None) -> None:
    rank = side.value.type.rank
    dims = [rank + side.outer, rank - 3 - side.outer]
    running = running_dimension(side.scope.plan, side.value)
    bits = side.value.type.element_type.width
    way = walk(
        side.held(side.runs[0][2], bits),
        side.scope.unit.bits // bits,
        dims.index(running) if running in dims else None,
        bits,
    )

    def in_any_case() -> None:
        packing = _Packing(side, buffer, *limits_of(side.scope, [side.value], dims))
        packing.across() if way.axis == 0 else packing.along()

    def fill() -> None:
        if other_way is None or not other_way(side, buffer, in_any_case):
            in_any_case()

    whole_or_masked(side.scope, side.value, fill)


@attrs.frozen
class _Panel:
    """first: its first tile.  tiles: how many.  inside: elements along it that the matrix has.

    below: an index value below which all of them are, where that is known.
    """

    first: Uniform
    tiles: int
    inside: int
    below: object | None


@attrs.frozen
class _Packing:
    """outer_limit, depth_limit: where masks of loads begin (index values), or None."""

    side: Side
    buffer: object
    outer_limit: object
    depth_limit: object

    def _panels(self, body) -> None:
        """body(panel) for every one."""
        side, b = self.side, self.side.scope.builder(1)
        for start, stop, tiles in side.runs:
            span = tiles * side.tile
            whole = start + max(0, (min(stop * side.tile, side.size) - start * side.tile) // span * tiles)

            def panel(i: Uniform, below=None, start=start, tiles=tiles, span=span) -> list:
                body(_Panel(b.add(b.mul(i, b.const(tiles)), b.const(start)), tiles, span, below))
                return []

            first, count = 0, (whole - start) // tiles
            if self.outer_limit is not None and count:
                first = self._panels_below(b, start, count, span)
                loop(b, 0, first, 1, [], lambda i, _, panel=panel: panel(i, below=self.outer_limit))
            loop(b, first, count, 1, [], lambda i, _, panel=panel: panel(i))
            if whole < stop:
                body(_Panel(b.const(whole), tiles, side.size - whole * side.tile, None))

    def _panels_below(self, b: Builder, start: int, most: int, span: int):
        """How many of `most` panels of `span` elements, from tile `start` on, are all below the limit."""

        def constant(value: int):
            return b.scalar(b.const(value))

        room = create("arith.subi", b.index, [self.outer_limit, constant(start * self.side.tile)])
        room = create("arith.maxsi", b.index, [room, constant(0)])
        count = create("arith.divui", b.index, [room, constant(span)])
        return create("arith.minui", b.index, [count, constant(most)])

    def _place(self, b: Builder, panel: _Panel, step: Uniform, along: Uniform) -> Uniform:
        """Rows of k elements in front of the one at `along` in the panel, in `step`."""
        side = self.side
        at = b.mul(panel.first, b.const(side.layout(1).size // side.k))
        step = b.add(step, b.const(side.first))
        at = b.add(at, b.mul(step, b.const(side.layout(panel.tiles)(0, side.k) // side.k)))
        return b.add(at, along)

    # -- sources that run along K

    def along(self) -> None:
        """Reads rows of the panel and spreads their words over the steps."""
        side = self.side
        width = max(side.k, 1 << (side.scope.width([side.value]).bit_length() - 1))

        def panel(p: _Panel) -> None:
            b = side.scope.builder(1)

            def row(r: Uniform, _carried: list) -> list:
                at = b.add(b.mul(p.first, b.const(side.tile)), r)
                at.below = p.below
                for start, stop, lanes in pieces(side.depth, width):
                    self._along_row(p, r, at, start, stop, lanes)
                return []

            loop(b, 0, p.inside, 1, [], row)

        self._panels(panel)

    def last_rows(self, count: int) -> None:
        """Puts the last rows of the source behind all of them, `count` rows further down than they are."""
        side, b = self.side, self.side.scope.builder(1)
        (_, _, tiles), width = side.runs[0], max(side.k, side.scope.unit.lanes(side.bits))
        panel = _Panel(b.const(0), tiles, side.size, None)
        for row in range(side.size, side.size + count):
            for start, stop, lanes in pieces(side.depth, width):
                self._along_row(panel, b.const(row), b.const(row - count), start, stop, lanes)

    def _along_row(self, panel: _Panel, r: Uniform, at: Uniform, start: int, stop: int, lanes: int) -> None:
        b = self.side.scope.builder(lanes)

        def chunk(k: Uniform, _carried: list) -> list:
            last = k if lanes == 1 else Affine(k, b.const(1), k.below)
            ev = self.side.scope.evaluator(lanes)
            value = ev.at(self.side.value, self.side.index(at, last))
            if lanes == 1:
                value = b.scalar(value)
                value = create("vector.broadcast", ir.VectorType.get([1], value.type), [value])
            else:
                value = b.vector(value)
            self._write_row(b, as_integers(value), panel, r, k)
            return []

        first = start
        limit = self.depth_limit
        if limit is not None and start == 0 and stop > lanes and (self.outer_limit is None or panel.below):
            first = whole_chunks(b, limit, stop, lanes)
            loop(b, start, first, lanes, [], chunk, below=limit)
        loop(b, first, stop, lanes, [], chunk)

    def _write_row(self, b: Builder, vector, panel: _Panel, r: Uniform, k: Uniform) -> None:
        """`vector`, which starts at `k` of row `r` of the panel: whole rows of tiles, or a part of one."""
        side = self.side
        step = b.binary("arith.divui", k, b.const(side.k)) if k.const is None else b.const(k.const // side.k)
        at = self._place(b, panel, step, r)
        if side.bits < vector.type.element_type.width:
            vector = halved(vector)
        (lanes,), bits = vector.type.shape, vector.type.element_type.width
        # Pieces of a row of a tile come at the end of K, where indices are known.
        inside = 0 if k.const is None else k.const % side.k * side.bits // bits
        plan = stores(side.held(panel.tiles, bits), (0, inside), (1, lanes), 1, bits)
        row = side.k * side.bits // bits
        at = b.add(b.mul(at, b.const(row)), b.const(inside)) if lanes < row else at
        put(side.scope, [vector], plan.body, self.buffer, at, bits if lanes < row else row * bits)

    # -- sources that run along M or N

    def across(self) -> None:
        """Reads k rows of the source at a time, and interleaves them."""
        side = self.side
        whole = side.depth // side.k

        def panel(p: _Panel) -> None:
            b = side.scope.builder(1)

            def step(s: Uniform, below) -> list:
                for start, _, lanes in self._chunks(p.inside):
                    self._across_step(p, s, start, lanes, below)
                return []

            first = 0
            if self.depth_limit is not None and (self.outer_limit is None or p.below):
                count = create("arith.divui", b.index, [self.depth_limit, b.scalar(b.const(side.k))])
                first = create("arith.minui", b.index, [count, b.scalar(b.const(whole))])
                loop(b, 0, first, 1, [], lambda s, c: step(s, self.depth_limit))
            loop(b, first, whole, 1, [], lambda s, c: step(s, None))
            if whole * side.k < side.depth:
                step(b.const(whole), None)

        self._panels(panel)

    def _chunks(self, size: int) -> list[tuple[int, int, int]]:
        """Of one register at most: rows are interleaved by stores of several registers."""
        bits = self.side.value.type.element_type.width
        most = self.side.scope.unit.bits // bits
        return [(a, a + n, n) for start, stop, n in pieces(size, most) for a in range(start, stop, n)]

    def _across_step(self, panel: _Panel, step: Uniform, start: int, lanes: int, below) -> None:
        side = self.side
        ev = side.scope.evaluator(lanes)
        b = ev.b
        along = b.add(b.mul(panel.first, b.const(side.tile)), b.const(start))
        if lanes > 1:
            along = Affine(along, b.const(1), panel.below)
        rows = []
        for u in range(side.k):
            k = b.add(b.mul(step, b.const(side.k)), b.const(u))
            if k.const is not None and k.const >= side.depth:
                rows.append(None)
                continue
            k.below = below
            value = ev.at(side.value, side.index(along, k))
            if lanes == 1:
                value = b.scalar(value)
                rows.append(create("vector.broadcast", ir.VectorType.get([1], value.type), [value]))
            else:
                rows.append(b.vector(value))
        rows = [as_integers(row) if row is not None else None for row in rows]
        kind = next(row.type for row in rows if row is not None)
        rows = [b.constants.splat(kind, 0) if row is None else row for row in rows]
        if side.bits < kind.element_type.width:
            rows = [nibbles(low, high) for low, high in zip(rows[::2], rows[1::2], strict=True)]
        bits = rows[0].type.element_type.width
        plan = stores(side.held(panel.tiles, bits), (0, 0), (lanes, len(rows)), 0, bits)
        at = self._place(b, panel, step, b.const(start))
        put(side.scope, rows, plan.body, self.buffer, at, side.k * side.bits)
