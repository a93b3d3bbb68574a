"""Operands of matrix products in the order in which a micro-kernel reads them.

B lies in panels, one for each column of register tiles: `columns` x k elements for every step of
K, those of one column next to each other.  A stays row-major where a micro-kernel takes one row,
else it is cut into m x k tiles.  What K lacks to whole steps is filled with zeros.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import MicroKernel
from vertebra.lowering.linalg_to_vector.access import Memory, shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, empty, limits_of, materialise, vector_nest
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Chunk, Lanes, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, nest
from vertebra.lowering.linalg_to_vector.micro_kernel import Part
from vertebra.lowering.linalg_to_vector.plan import producer
from vertebra.lowering.linalg_to_vector.transpose import running_dimension, turn


def element_named(name: str):
    return ir.Type.parse(name)


def widen(value, type, unsigned: bool = False):
    """`value`, a tensor, with elements of `type`."""
    element = value.type.element_type
    if element == type:
        return value
    result = ir.RankedTensorType.get(value.type.shape, type)
    if isinstance(element, ir.FloatType):
        return create("arith.extf" if element.width < type.width else "arith.truncf", result, [value])
    return create("arith.extui" if unsigned else "arith.extsi", result, [value])


def in_memory(scope: Scope, value) -> bool:
    op = producer(value)
    return op is None or not scope.plan.inlines(op)


def _steps(total: int, k: int) -> int:
    return -(-total // k)


@attrs.frozen
class Rows:
    """A, packed.

    tensor: (..., M, K) when not `flat`; else (..., M * depth), where depth is K rounded up to whole
    steps, cut into pieces of M x chunk elements, so that constant offsets reach all rows of a tile.
    """

    tensor: object
    kernel: MicroKernel
    rows: int
    depth: int
    chunk: int
    flat: bool

    def read(self, builder: Builder, prefix: list[Chunk], row: Uniform, piece: Uniform, step: Uniform):
        """The m x k elements of `row` at `step` of `piece`: a vector, or a scalar where it is one."""
        m, _, k = self.kernel.shape
        b = Builder(m * k, builder.constants)
        column = b.mul(step, b.const(m * k))
        if self.flat:
            at = b.add(b.mul(piece, b.const(self.rows * self.chunk)), b.mul(row, b.const(self.chunk)))
            at = [*prefix, b.add(at, column)]
        else:
            at = [*prefix, row, column]
        if m * k == 1:
            return b.scalar(Memory(b).read(self.tensor, at))
        at[-1] = Affine(at[-1], b.const(1))
        return b.vector(Memory(b).read(self.tensor, at))


def form_of_rows(scope: Scope, part: Part, total: int) -> tuple:
    """Equal for parts that can share one packed A, whose rows have `total` elements."""
    kernel = part.kernel
    m, _, k = kernel.shape
    return kernel.a, kernel.a_offset, m, k, _chunk(scope.unit.reach, part, total)


def pack_rows(scope: Scope, value, part: Part, unsigned: bool) -> Rows:
    """value: (..., M, K), of a type that the kernel of `part` holds."""
    *batch, rows, total = shape_of(value)
    kernel = part.kernel
    m, _, k = kernel.shape
    type = element_named(kernel.a)
    wide = widen(value, type, unsigned)
    if kernel.a_offset:
        splat = ir.IntegerAttr.get(type, _signed(kernel.a_offset, type))
        attributes = {"value": ir.DenseElementsAttr.get_splat(wide.type, splat)}
        wide = create("arith.addi", wide.type, [wide, create("arith.constant", wide.type, [], attributes)])
    depth = _steps(total, k) * k
    chunk = _chunk(scope.unit.reach, part, total)
    if m == 1 and depth == total == chunk:
        tensor = wide if in_memory(scope, wide) else materialise(scope, [wide])[0]
        return Rows(tensor, kernel, rows, depth, chunk, False)
    into = empty([*batch, rows * depth], type)
    packed = Rows(into, kernel, rows, depth, chunk, True)
    if depth > total:
        into = _zero_tails(scope, packed, total)
    width = min(scope.width([wide]), chunk) if m == 1 else k

    def body(ev: Evaluator, idx: list[Chunk], carried: list) -> list:
        *outer, row, column = idx
        at = [*outer, _place_in_rows(ev.b, packed, row, column)]
        return [ev.memory.write(ev.at(wide, idx), carried[0], at)]

    sizes = [*batch, rows, total]
    limits = limits_of(scope, [wide], list(range(len(sizes))))
    (filled,) = vector_nest(scope, sizes, width, [into], body, limits)
    return attrs.evolve(packed, tensor=filled)


def _chunk(reach: int, part: Part, total: int) -> int:
    """How much of K (in whole steps) may lie together: a power of two that divides it, or all of it."""
    m, _, k = part.kernel.shape
    depth = _steps(total, k) * k
    size = max(1, element_named(part.kernel.a).width // 8)
    if m > 1:
        return depth
    if part.rows * depth * size <= reach or part.rows == 1:
        return depth
    chunk = 1 << ((reach // (part.rows * size)).bit_length() - 1)
    return chunk if chunk >= part.kernel.shape[2] and depth % chunk == 0 else depth


def _signed(value: int, type) -> int:
    value &= (1 << type.width) - 1
    return value - (1 << type.width) if value >> (type.width - 1) else value


def _place_in_rows(b: Builder, packed: Rows, row: Chunk, column: Chunk) -> Chunk:
    """Where element (row, column) is in a flat A; columns, if several, lie in one piece (m = 1) or step."""
    m, _, k = packed.kernel.shape
    base = column.base if isinstance(column, Affine) else column
    if m == 1:
        at = b.mul(row, b.const(packed.chunk))
        if packed.chunk == packed.depth:
            at = b.add(at, base)
        else:
            piece, rest = (b.binary(f"arith.{op}", base, b.const(packed.chunk)) for op in ("divui", "remui"))
            at = b.add(b.add(at, rest), b.mul(piece, b.const(packed.rows * packed.chunk)))
    else:
        tile, inside = (b.binary(f"arith.{op}", row, b.const(m)) for op in ("divui", "remui"))
        step, rest = (b.binary(f"arith.{op}", base, b.const(k)) for op in ("divui", "remui"))
        at = b.add(b.mul(tile, b.const(m * packed.depth)), b.mul(step, b.const(m * k)))
        at = b.add(at, b.add(b.mul(inside, b.const(k)), rest))
    return Affine(at, b.const(1)) if isinstance(column, Affine) else at


def _zero_tails(scope: Scope, packed: Rows, total: int):
    *batch, _ = shape_of(packed.tensor)
    b = scope.builder(1)
    zero = Uniform(b.constants.scalar(packed.tensor.type.element_type, 0))

    def body(idx: list[Chunk], carried: list) -> list:
        ev = scope.evaluator(1)
        *outer, row, column = idx
        at = _place_in_rows(ev.b, packed, row, ev.b.add(column, ev.b.const(total)))
        return [ev.memory.write(zero, carried[0], [*outer, at])]

    (filled,) = nest(b, [*batch, packed.rows, packed.depth - total], [packed.tensor], body)
    return filled


@attrs.frozen
class Panels:
    """The columns of one `Part` of B, packed.  tensor: one dimension."""

    tensor: object
    part: Part
    depth: int

    def read(self, ev: Evaluator, column: Uniform, step: Uniform, vector: int):
        """The n x k elements of `step` in the tile that starts at `column` (of all of B)."""
        _, n, k = self.part.kernel.shape
        b = Builder(n * k, ev.b.constants)
        at = b.mul(b.sub(column, b.const(self.part.start)), b.const(self.depth))
        at = b.add(at, b.mul(step, b.const(self.part.columns * k)))
        at = b.add(at, b.const(vector * n * k))
        if n * k == 1:
            return b.scalar(Memory(b).read(self.tensor, [at]))
        return b.vector(Memory(b).read(self.tensor, [Affine(at, b.const(1))]))


def pack_columns(scope: Scope, value, prefix: list[Chunk], part: Part) -> Panels:
    """The columns of `part` of `value`, (..., K, N), at `prefix`; elements are of the kernel's type."""
    *_, total, _ = shape_of(value)
    _, n, k = part.kernel.shape
    depth = _steps(total, k) * k
    into = empty([(part.stop - part.start) * depth], value.type.element_type)
    dims = [value.type.rank - 2, value.type.rank - 1]
    job = _Packing(scope, value, prefix, part, total, depth, *limits_of(scope, [value], dims))
    turned = (
        scope.unit.group == 1
        and n >= 4
        and total % (n * k) == 0
        and running_dimension(scope.plan, value) == dims[0]
    )
    return Panels(job.columns(into) if turned else job.rows(into), part, depth)


@attrs.frozen
class _Packing:
    """The filling of one Panels.  row_limit, column_limit: where masks begin (index values), or None."""

    scope: Scope
    value: object
    prefix: list
    part: Part
    total: int
    depth: int
    row_limit: object
    column_limit: object

    def rows(self, into):
        """Reads along rows, k of them at a time, and interleaves them."""
        b = self.scope.builder(1)
        k = self.part.kernel.shape[2]
        whole = self.total // k

        def step(p: Uniform, inside: bool, inner: list) -> list:
            below = self.row_limit if inside else None
            known = inside or self.row_limit is None
            return self._panels(lambda s, limit, t: self._step(s, p, limit, below, t), known, inner)

        carried = _split(b, self.row_limit, whole, k, [into], step)
        if whole * k < self.total:
            carried = step(b.const(whole), False, carried)
        return carried[0]

    def columns(self, into):
        """Reads along columns and turns squares of words, each of which is one step of one column."""
        (filled,) = self._panels(self._turned, True, [into])
        return filled

    def _panels(self, panel, known: bool, carried: list) -> list:
        """panel(s, column limit, carried) for all panels; where `known`, those inside the limit know it."""
        count = (self.part.stop - self.part.start) // self.part.columns
        limit = self.column_limit if known and self.part.start == 0 else None

        def each(s: Uniform, inside: bool, inner: list) -> list:
            return panel(s, limit if inside else None, inner)

        return _split(self.scope.builder(1), limit, count, self.part.columns, carried, each)

    def _step(self, panel: Uniform, p: Uniform, column_limit, row_limit, carried: list) -> list:
        columns, k = self.part.columns, self.part.kernel.shape[2]
        ev = self.scope.evaluator(columns)
        b = ev.b
        start = b.add(b.mul(panel, b.const(columns)), b.const(self.part.start))
        last = start if columns == 1 else Affine(start, b.const(1), column_limit)
        rows = []
        for u in range(k):
            row = b.add(b.mul(p, b.const(k)), b.const(u))
            if row.const is not None and row.const >= self.total:
                rows.append(b.constants.splat(b.vector_type(self.value.type.element_type), 0))
                continue
            row.below = row_limit
            chunk = ev.at(self.value, [*self.prefix, row, last])
            rows.append(b.vector(chunk) if columns * k > 1 else b.scalar(chunk))
        out = interleaved(rows)
        at = b.add(self._panel(b, panel), b.mul(p, b.const(columns * k)))
        return [self._write(out, carried[0], at)]

    def _turned(self, panel: Uniform, below, carried: list) -> list:
        _, n, k = self.part.kernel.shape
        base = self.scope.builder(n * k)

        def square(idx: list[Chunk], inner: list) -> list:
            v, q = idx
            ev = self.scope.evaluator(n * k)
            b = ev.b
            left = b.add(b.mul(panel, b.const(self.part.columns)), b.mul(v, b.const(n)))
            left = b.add(left, b.const(self.part.start))
            down = Affine(b.mul(q, b.const(n * k)), b.const(1))
            words = []
            for r in range(n):
                column = b.add(left, b.const(r))
                column.below = below
                words.append(_as_words(b.vector(ev.at(self.value, [*self.prefix, down, column])), k))
            (out,) = inner
            for c, word in enumerate(turn(words)):
                step = b.add(b.mul(q, b.const(n)), b.const(c))
                at = b.add(self._panel(b, panel), b.mul(step, b.const(self.part.columns * k)))
                at = b.add(at, b.mul(v, b.const(n * k)))
                out = self._write(_as_elements(word, self.value.type.element_type, k), out, at)
            return [out]

        return nest(base, [self.part.vectors, self.total // (n * k)], carried, square)

    def _panel(self, b: Builder, panel: Uniform) -> Uniform:
        return b.mul(panel, b.const(self.part.columns * self.depth))

    def _write(self, value, into, at: Uniform):
        if not isinstance(value.type, ir.VectorType):
            ev = self.scope.evaluator(1)
            return ev.memory.write(Uniform(value), into, [at])
        ev = self.scope.evaluator(value.type.shape[0])
        return ev.memory.write(Lanes(value), into, [Affine(at, ev.b.const(1))])


def _split(b: Builder, limit, count: int, size: int, carried: list, body) -> list:
    """body(i, whether all of block i is below `limit`, carried) for `count` blocks of `size` indices."""
    first = 0
    if limit is not None:
        first = b.scalar(b.binary("arith.divui", Uniform(limit), b.const(size)))
        first = create("arith.minsi", b.index, [first, b.scalar(b.const(count))])
        carried = loop(b, 0, first, 1, carried, lambda i, c: body(i, True, c))
    return loop(b, first, count, 1, carried, lambda i, c: body(i, False, c))


def interleaved(rows: list):
    """One vector of rows[0][0], rows[1][0], ..., rows[0][1], ...; as many rows as a power of two."""
    while len(rows) > 1:
        half = len(rows) // 2
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [
            create("vector.interleave", _vector(2 * x.type.shape[0], x.type.element_type), [x, y])
            for x, y in pairs
        ]
    return rows[0]


def _vector(lanes: int, element):
    return ir.VectorType.get([lanes], element)


def _as_words(vector, k: int):
    if k == 1:
        return vector
    bits = vector.type.element_type.width * k
    word = ir.IntegerType.get_signless(bits)
    return create("vector.bitcast", _vector(vector.type.shape[0] // k, word), [vector])


def _as_elements(vector, element, k: int):
    if k == 1:
        return vector
    return create("vector.bitcast", _vector(vector.type.shape[0] * k, element), [vector])
