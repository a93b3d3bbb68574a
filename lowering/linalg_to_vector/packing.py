"""The right factor of matrix products in the order in which a micro-kernel reads it.

B lies in panels, one for each column of register tiles: `columns` x k elements for every step of
K, those of one column next to each other.  What K lacks to whole steps is filled with zeros.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import Memory, shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, empty, limits_of
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Chunk, Lanes, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, nest
from vertebra.lowering.linalg_to_vector.micro_kernel import Part
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.linalg_to_vector.transpose import running_dimension, turn

# Bytes between panels.  A row of B goes to all of them: at a distance of a power of two, they would
# push each other out of the few places that a cache has for such addresses.
_PADDING = 128
_LINE = 64  # bytes that come from memory together


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


def raised(value, offset: int):
    """`value`, a tensor, with `offset` added to every element, modulo the range of its type."""
    if not offset:
        return value
    splat = ir.IntegerAttr.get(value.type.element_type, signed(offset, value.type.element_type))
    attributes = {"value": ir.DenseElementsAttr.get_splat(value.type, splat)}
    return create("arith.addi", value.type, [value, create("arith.constant", value.type, [], attributes)])


def in_memory(scope: Scope, value) -> bool:
    op = producer(value)
    return op is None or not scope.plan.inlines(op)


def steps_of(total: int, k: int) -> int:
    return -(-total // k)


@attrs.frozen
class Panels:
    """The columns of one `Part` of B, packed.  tensor: one dimension.

    pitch: elements from one panel to the next.
    """

    tensor: object
    part: Part
    pitch: int

    def read(self, ev: Evaluator, column: Uniform, step: Uniform, vector: int):
        """The n x k elements of `step` in the tile that starts at `column` (of all of B)."""
        _, n, k = self.part.kernel.shape
        b = Builder(n * k, ev.b.constants)
        panel = b.sub(column, b.const(self.part.start))
        if self.pitch % self.part.columns == 0:
            at = b.mul(panel, b.const(self.pitch // self.part.columns))
        else:
            panel = b.binary("arith.divui", panel, b.const(self.part.columns))
            at = b.mul(panel, b.const(self.pitch))
        at = b.add(at, b.mul(step, b.const(self.part.columns * k)))
        at = b.add(at, b.const(vector * n * k))
        if n * k == 1:
            return b.scalar(Memory(b).read(self.tensor, [at]))
        return b.vector(Memory(b).read(self.tensor, [Affine(at, b.const(1))]))


def pack_columns(scope: Scope, value, prefix: list[Chunk], part: Part) -> Panels:
    """The columns of `part` of `value`, (..., K, N), at `prefix`; elements are of the kernel's type."""
    *_, total, _ = shape_of(value)
    _, n, k = part.kernel.shape
    depth = steps_of(total, k) * k
    count = (part.stop - part.start) // part.columns
    pitch = part.columns * depth
    if count > 1:
        pitch += _PADDING * 8 // value.type.element_type.width
    into = empty([count * pitch], value.type.element_type)
    dims = [value.type.rank - 2, value.type.rank - 1]
    job = _Packing(scope, value, prefix, part, total, pitch, *limits_of(scope, [value], dims))
    turned = (
        scope.unit.group == 1
        and n >= 4
        and total % (n * k) == 0
        and running_dimension(scope.plan, value) == dims[0]
    )
    return Panels(job.columns(into) if turned else job.rows(into), part, pitch)


@attrs.frozen
class _Packing:
    """The filling of one Panels.  row_limit, column_limit: where masks begin (index values), or None."""

    scope: Scope
    value: object
    prefix: list
    part: Part
    total: int
    pitch: int
    row_limit: object
    column_limit: object

    def rows(self, into):
        """Reads along rows, k of them at a time, and interleaves them; a cache line of each at least."""
        b = self.scope.builder(1)
        k = self.part.kernel.shape[2]
        count = (self.part.stop - self.part.start) // self.part.columns
        line = 8 * _LINE // (self.part.columns * self.value.type.element_type.width)
        group = line if line > 1 and count % line == 0 else 1
        whole = self.total // k

        def step(p: Uniform, inside: bool, inner: list) -> list:
            below = self.row_limit if inside else None
            known = inside or self.row_limit is None
            return self._panels(
                lambda s, limit, t: self._step(s, group, p, limit, below, t), known, inner, group
            )

        carried = _split(b, self.row_limit, whole, k, [into], step)
        if whole * k < self.total:
            carried = step(b.const(whole), False, carried)
        return carried[0]

    def columns(self, into):
        """Reads along columns and turns squares of words, each of which is one step of one column."""
        (filled,) = self._panels(self._turned, True, [into])
        return filled

    def _panels(self, panel, known: bool, carried: list, group: int = 1) -> list:
        """panel(s, column limit, carried) for every `group`-th panel; where `known`, those inside know it."""
        count = (self.part.stop - self.part.start) // self.part.columns
        limit = self.column_limit if known and self.part.start == 0 else None

        def each(s: Uniform, inside: bool, inner: list) -> list:
            return panel(b.mul(s, b.const(group)), limit if inside else None, inner)

        b = self.scope.builder(1)
        return _split(b, limit, count // group, self.part.columns * group, carried, each)

    def _step(self, panel: Uniform, group: int, p: Uniform, column_limit, row_limit, carried: list) -> list:
        columns, k = self.part.columns, self.part.kernel.shape[2]
        ev = self.scope.evaluator(columns * group)
        b = ev.b
        start = b.add(b.mul(panel, b.const(columns)), b.const(self.part.start))
        last = start if columns * group == 1 else Affine(start, b.const(1), column_limit)
        rows = []
        for u in range(k):
            row = b.add(b.mul(p, b.const(k)), b.const(u))
            if row.const is not None and row.const >= self.total:
                rows.append(b.constants.splat(b.vector_type(self.value.type.element_type), 0))
                continue
            row.below = row_limit
            chunk = ev.at(self.value, [*self.prefix, row, last])
            rows.append(b.vector(chunk) if columns * group * k > 1 else b.scalar(chunk))
        (into,) = carried
        for g, piece in enumerate(cut(interleaved(rows), group)):
            at = b.add(self._panel(b, b.add(panel, b.const(g))), b.mul(p, b.const(columns * k)))
            into = self._write(piece, into, at)
        return [into]

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
        return b.mul(panel, b.const(self.pitch))

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


def signed(value: int, type) -> int:
    """What `value` is in two's complement in integer type `type`."""
    value &= (1 << type.width) - 1
    return value - (1 << type.width) if value >> (type.width - 1) else value


def joined(rows: list):
    """Vectors one after the other in one; a power of two of them."""
    while len(rows) > 1:
        width = rows[0].type.shape[0]
        type = ir.VectorType.get([2 * width], rows[0].type.element_type)
        mask = {"mask": ir.DenseI64ArrayAttr.get(list(range(2 * width)))}
        rows = [
            create("vector.shuffle", type, [x, y], mask) for x, y in zip(rows[::2], rows[1::2], strict=True)
        ]
    return rows[0]


def cut(vector, count: int) -> list:
    """`vector` in `count` equal pieces."""
    if count == 1:
        return [vector]
    width = vector.type.shape[0] // count
    type = ir.VectorType.get([width], vector.type.element_type)
    return [
        create(
            "vector.shuffle",
            type,
            [vector, vector],
            {"mask": ir.DenseI64ArrayAttr.get(list(range(r * width, (r + 1) * width)))},
        )
        for r in range(count)
    ]


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
