"""Matrix products, in register-blocked tiles of a micro-kernel.

A tile of sums stays in vector registers over the whole of K.  Per step of K it loads one row of
a panel of B as vectors and a piece of every row of A, each multiplied into a row of sums.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, empty
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Chunk, Lanes, Uniform
from vertebra.lowering.linalg_to_vector.loops import either, loop, nest
from vertebra.lowering.linalg_to_vector.micro_kernel import Part, computing_type, parts
from vertebra.lowering.linalg_to_vector.operations import block_of, producer
from vertebra.lowering.linalg_to_vector.packed_rows import Rows, form_of_rows, pack_rows
from vertebra.lowering.linalg_to_vector.packing import (
    Panels,
    cut,
    element_named,
    in_memory,
    joined,
    pack_columns,
    raised,
    signed,
    widen,
)
from vertebra.lowering.linalg_to_vector.rows_in_place import RowsInPlace, kernel_in_place, rows_in_place
from vertebra.lowering.linalg_to_vector.sums import Goal, Start, goal_of, start_of
from vertebra.lowering.linalg_to_vector.tile_sums import added, converted, keep_order, less
from vertebra.lowering.linalg_to_vector.transpose import running_dimension

_CHAINS = 4  # of sums that do not wait for each other: they take a few cycles
_WORTH_A_PANEL = 32  # rows of A, from which on copying B out of a buffer into panels pays


def balanced(total: int, most: int) -> list[tuple[int, int, int]]:
    """(start, stop, size) of runs of tiles that cover `total` rows in tiles of nearly one size."""
    count = -(-total // most)
    small, larger = divmod(total, count)
    split = larger * (small + 1)
    runs = [(0, split, small + 1), (split, total, small)]
    return [(start, stop, size) for start, stop, size in runs if stop > start]


def contract(scope: Scope, op):
    """linalg.matmul or linalg.batch_matmul: out = acc + a @ b.  Returns the result tensor."""
    a, b, acc = op.operands
    type = computing_type(acc.type.element_type)
    unsigned = "cast" in op.attributes and "unsigned" in str(op.attributes["cast"])
    *batch, m, n = shape_of(acc)
    k = shape_of(a)[-1]
    shares = parts(
        scope.micro_kernels, scope.unit, a.type.element_type, b.type.element_type, type, (m, n, k), unsigned
    )
    ends = (None, None) if batch else (start_of(scope, op), goal_of(scope, op))
    packed: dict = {}
    products = []
    for part in shares:
        plain = kernel_in_place(scope, a, part, unsigned)
        if plain is not None:
            part = attrs.evolve(part, kernel=plain)
        form = plain.name if plain is not None else form_of_rows(scope, part, k)
        if form not in packed and plain is not None:
            packed[form] = rows_in_place(scope, a, plain, ends[1])
        elif form not in packed:
            packed[form] = pack_rows(scope, a, part, unsigned)
        wide = raised(widen(b, element_named(part.kernel.b), unsigned), part.kernel.b_offset)
        products.append((part, packed[form], wide))
    in_place = _is_ours(scope, acc, op)
    into = acc if in_place else empty(shape_of(acc), acc.type.element_type)

    def matrices(prefix: list[Chunk], carried: list) -> list:
        # All of B first: a product may write to memory that another one would read.
        panels = [
            None
            if ends[1] is None and _direct(scope, part, wide, m)
            else pack_columns(scope, wide, prefix, part)
            for part, _, wide in products
        ]
        for (part, rows, wide), packed_columns in zip(products, panels, strict=True):
            product = _Product(scope, prefix, part, rows, wide, packed_columns, acc, in_place, type, *ends)
            carried = product.emit(m, carried)
        return carried

    (result,) = nest(scope.builder(1), batch, [into], matrices)
    return result


def _direct(scope: Scope, part: Part, b, m: int) -> bool:
    """Whether B is better read where it is: when it is read once only, or is in memory and short of use."""
    if part.kernel.shape[2] > 1 or running_dimension(scope.plan, b) not in (None, b.type.rank - 1):
        return False
    once = m <= part.rows * part.kernel.shape[0]
    return once or (in_memory(scope, b) and m < _WORTH_A_PANEL)


def _is_ours(scope: Scope, acc, op) -> bool:
    """Whether `acc` is in memory and nothing but `op` looks at it, now or in another turn of a loop."""
    maker = producer(acc)
    resident = maker is None or not scope.plan.inlines(maker)
    return resident and block_of(acc) == op.block and len(list(acc.uses)) == 1


@attrs.frozen
class _Product:
    """Some columns of a product.  panels: None where B is read in place.  start, goal: see `sums`."""

    scope: Scope
    prefix: list
    part: Part
    rows: Rows | RowsInPlace
    b: object
    panels: Panels | None
    acc: object
    in_place: bool
    type: object
    start: Start | None
    goal: Goal | None

    def emit(self, m: int, carried: list) -> list:
        base = self.scope.builder(1)
        height = self.part.kernel.shape[0]
        if isinstance(self.rows, RowsInPlace):
            return self._row_by_row(m, carried)

        def strip(j: Uniform, inner: list) -> list:
            corrections = self._corrections(j)
            for top, bottom, rows in balanced(m // height, self.part.rows):
                inner = loop(
                    base,
                    top * height,
                    bottom * height,
                    rows * height,
                    inner,
                    lambda i, t, rows=rows: self._tile(rows, i, j, corrections, t),
                )
            return inner

        return loop(base, self.part.start, self.part.stop, self.part.columns, carried, strip)

    def _row_by_row(self, m: int, carried: list) -> list:
        """Rows outermost: those of A stay near while B passes by, and sums go row by row."""
        base, part = self.scope.builder(1), self.part
        turns = (part.stop - part.start) // part.columns
        for top, bottom, rows in balanced(m, part.rows):

            def strip(i: Uniform, inner: list, rows=rows) -> list:
                def tile(t: Uniform, held: list) -> list:
                    self.rows.fetch(base, base.add(i, base.const(rows)), rows, t, turns)
                    j = base.add(base.mul(t, base.const(part.columns)), base.const(part.start))
                    return self._tile(rows, i, j, [], held)

                self.rows.take_up(base, i, rows)
                return loop(base, 0, turns, 1, inner, tile)

            carried = loop(base, top, bottom, rows, carried, strip)
        return carried

    def _tile(self, rows: int, i: Uniform, j: Uniform, corrections: list, carried: list) -> list:
        (out,) = carried
        base = self.scope.builder(1)
        ev = self.scope.evaluator(self.part.kernel.shape[1])
        ev.instead = {self.acc: out} if self.in_place else {}
        places = [(r, v) for r in range(rows) for v in range(self.part.vectors)]
        sums = self._starts(ev, i, j, places)
        if corrections:
            sums = less(sums, [corrections[v] for _, v in places])
        if self.part.kernel.b_offset:
            rise = [self.rows.excess(base, r, sums[0].type) for r in range(rows)]
            sums = less(sums, [rise[r] for r, _ in places])
        tile = self.rows.tile(base, self.prefix, i, rows)
        sums = self._over_k(ev, sums, lambda q, t, p, s: self._step(ev, tile, j, (q, t, p), s))

        def keep() -> list:
            kept = out
            for (r, v), value in zip(places, sums, strict=True):
                for place, chunk in self._finished(ev, i, j, r, v, value):
                    kept = ev.memory.write(chunk, kept, place)
            return [kept]

        def put() -> list:
            inner = ev.child()
            for (r, v), value in zip(places, sums, strict=True):
                for place, chunk in self._finished(inner, i, j, r, v, value):
                    self.goal.put(inner, chunk, place)
            return [out]

        return keep() if self.goal is None else either(self.goal.now, [out.type], put, keep)

    def _over_k(self, ev: Evaluator, sums: list, step) -> list:
        """step(piece of A, step in it, step in all, sums) for all of K.

        Several steps in one turn of the loop make the loop's own instructions fewer.
        """
        b, k = ev.b, self.part.kernel.shape[2]
        count = self.rows.chunk // k
        unroll = next(u for u in (4, 2, 1) if count % u == 0)

        def piece(q: Uniform, carried: list) -> list:
            ahead = b.mul(q, b.const(count))

            def turn(p: Uniform, inner: list) -> list:
                for u in range(unroll):
                    if u and self.scope.unit.group > 1:
                        keep_order()
                    at = b.add(p, b.const(u))
                    inner = step(q, at, b.add(ahead, at), inner)
                return inner

            return loop(b, 0, count, unroll, carried, turn)

        return loop(b, 0, self.rows.depth // self.rows.chunk, 1, sums, piece)

    def _step(self, ev: Evaluator, tile, j: Uniform, at: tuple, sums: list) -> list:
        inner = ev.child()
        piece, step, p = at
        columns = [self._columns(inner, j, p, v) for v in range(self.part.vectors)]
        factors = tile.read(inner.b, piece, step)
        rest = iter(sums)
        return [self.part.kernel.emit(x, y, next(rest)) for x in factors for y in columns]

    def _columns(self, ev: Evaluator, j: Uniform, p: Uniform, vector: int):
        if self.panels is not None:
            return self.panels.read(ev, j, p, vector)
        chunk = ev.at(self.b, [*self.prefix, p, self._column(ev, j, vector)])
        return ev.b.scalar(chunk) if ev.b.width == 1 else ev.b.vector(chunk)

    def _corrections(self, j: Uniform) -> list:
        """a_offset times the column sums of B, for a tile that starts at column `j`."""
        m, n, k = self.part.kernel.shape
        offset, vectors = self.part.kernel.a_offset, self.part.vectors
        if not offset:
            return []
        ev = self.scope.evaluator(n)
        constants, element = ev.b.constants, element_named(self.part.kernel.a)
        ones = constants.splat(ir.VectorType.get([m * k], element), signed(offset, element))
        zero = constants.splat(ir.VectorType.get([m * n], self.type), 0)

        def step(_piece, _step, p: Uniform, carried: list) -> list:
            # In turns, so that no step waits for the one before.
            found = [
                self.part.kernel.emit(ones, self._columns(ev.child(), j, p, v), s)
                for v, s in enumerate(carried[:vectors])
            ]
            return carried[vectors:] + found

        sums = self._over_k(ev, [zero] * (_CHAINS * vectors), step)
        return [added(sums[v::vectors]) for v in range(vectors)]

    # -- sums between registers and memory

    def _column(self, ev: Evaluator, j: Uniform, vector: int) -> Chunk:
        n = self.part.kernel.shape[1]
        column = ev.b.add(j, ev.b.const(vector * n))
        return column if n == 1 else Affine(column, ev.b.const(1))

    def _places(self, ev: Evaluator, i: Uniform, j: Uniform, row: int, vector: int) -> list[list[Chunk]]:
        """Where the rows of the sums of one micro-kernel tile are."""
        b, height = ev.b, self.part.kernel.shape[0]
        column = self._column(ev, j, vector)
        return [[*self.prefix, b.add(i, b.const(row * height + r)), column] for r in range(height)]

    def _starts(self, ev: Evaluator, i: Uniform, j: Uniform, places: list) -> list:
        """What the sums of a tile begin at."""
        if self.start is None:
            return [self._start(ev, i, j, r, v) for r, v in places]
        m, n, _ = self.part.kernel.shape
        type = ir.VectorType.get([m * n], self.type) if m * n > 1 else self.type
        first = self.start.splat(ev.b, type)
        return either(
            self.start.turn,
            [type] * len(places),
            lambda: [first] * len(places),
            lambda: [self._start(ev.child(), i, j, r, v) for r, v in places],
        )

    def _start(self, ev: Evaluator, i: Uniform, j: Uniform, row: int, vector: int):
        rows = []
        for place in self._places(ev, i, j, row, vector):
            chunk = ev.at(self.acc, place)
            chunk = converted(ev, chunk, self.type)
            rows.append(ev.b.scalar(chunk) if ev.b.width == 1 else ev.b.vector(chunk))
        return joined(rows)

    def _finished(self, ev: Evaluator, i: Uniform, j: Uniform, row: int, vector: int, value) -> list:
        """(place, sums of the accumulator's type) for every row of `value`."""
        element = self.acc.type.element_type
        places = self._places(ev, i, j, row, vector)
        found = []
        for place, part in zip(places, cut(value, len(places)), strict=True):
            chunk = Lanes(part) if isinstance(part.type, ir.VectorType) else Uniform(part)
            found.append((place, converted(ev, chunk, element)))
        return found
