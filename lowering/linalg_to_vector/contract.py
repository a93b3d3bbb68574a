"""Matrix products, in register-blocked tiles.

A tile of rows x columns accumulators stays in vector registers over the whole of K.
Per step of K it loads one row of B as vectors and `rows` elements of A as scalars,
each multiplied into a row of accumulators.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import VectorUnit
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, empty, materialise
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Chunk, Lanes, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, nest, pieces
from vertebra.lowering.linalg_to_vector.plan import block_of, producer


@attrs.frozen
class RegisterTile:
    """rows x (vectors * lanes) accumulators."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes


def register_tile(unit: VectorUnit, bits: int, m: int, n: int) -> RegisterTile:
    """The largest tile whose accumulators, one row of B and one factor of A fit the registers.

    Two vectors of columns, where the registers allow it, halve the loads of A per product.
    """
    lanes = min(unit.lanes(bits), _power_of_two_below(n))
    available = unit.registers // unit.group
    vectors = 2 if available >= 16 and n >= 2 * lanes else 1
    spare = 0 if unit.scalar_operand else 1
    rows = max(1, (available - vectors - spare) // vectors)
    if unit.group == 1:
        rows = max(1, rows - 1)  # one register for what the compiler needs besides
    return RegisterTile(min(rows, m), vectors, lanes)


def _power_of_two_below(n: int) -> int:
    return 1 << (n.bit_length() - 1)


def balanced(total: int, most: int) -> list[tuple[int, int, int]]:
    """(start, stop, size) of runs of tiles that cover `total` rows in tiles of nearly one size."""
    count = -(-total // most)
    small, larger = divmod(total, count)
    split = larger * (small + 1)
    runs = [(0, split, small + 1), (split, total, small)]
    return [(start, stop, size) for start, stop, size in runs if stop > start]


def computing_type(acc):
    """Products accumulate in f32 or i32 at least; the result is rounded once."""
    if isinstance(acc, ir.FloatType):
        return acc if acc.width >= 32 else ir.F32Type.get()
    return acc if acc.width >= 32 else ir.IntegerType.get_signless(32)


def widen(value, type, unsigned: bool = False):
    """`value`, a tensor, with elements of `type`."""
    element = value.type.element_type
    if element == type:
        return value
    result = ir.RankedTensorType.get(value.type.shape, type)
    if isinstance(element, ir.FloatType):
        return create("arith.extf" if element.width < type.width else "arith.truncf", result, [value])
    return create("arith.extui" if unsigned else "arith.extsi", result, [value])


def packed(scope: Scope, value, type, unsigned: bool):
    """`value` as a row-major tensor of `type` in memory."""
    wide = widen(value, type, unsigned)
    op = producer(wide)
    if op is None or not scope.plan.inlines(op):
        return wide
    return materialise(scope, [wide])[0]


def contract(scope: Scope, op):
    """linalg.matmul or linalg.batch_matmul: out = acc + a @ b.  Returns the result tensor."""
    a, b, acc = op.operands
    type = computing_type(acc.type.element_type)
    unsigned = "cast" in op.attributes and "unsigned" in str(op.attributes["cast"])
    a, b = packed(scope, a, type, unsigned), packed(scope, b, type, unsigned)
    *batch, m, n = shape_of(acc)
    k = shape_of(a)[-1]
    tile = register_tile(scope.unit, type.width, m, n)
    in_place = _is_ours(scope, acc, op)
    into = acc if in_place else empty(shape_of(acc), acc.type.element_type)
    base = scope.builder(1)

    def matrices(prefix: list[Chunk], carried: list) -> list:
        for start, stop, columns in pieces(n, tile.columns):
            lanes = min(tile.lanes, columns)

            def strip(j, inner, columns=columns, lanes=lanes):
                for top, bottom, rows in balanced(m, tile.rows):
                    product = _Tile(
                        scope, prefix, a, b, acc, in_place, rows, columns // lanes, lanes, k, type
                    )
                    inner = loop(base, top, bottom, rows, inner, lambda i, t, p=product, j=j: p.emit(i, j, t))
                return inner

            carried = loop(base, start, stop, columns, carried, strip)
        return carried

    (result,) = nest(base, batch, [into], matrices)
    return result


def _is_ours(scope: Scope, acc, op) -> bool:
    """Whether `acc` is in memory and nothing but `op` looks at it, now or in another turn of a loop."""
    maker = producer(acc)
    in_memory = maker is None or not scope.plan.inlines(maker)
    return in_memory and block_of(acc) == op.block and len(list(acc.uses)) == 1


@attrs.frozen
class _Tile:
    """One register tile of a product, ready to be emitted at any (row, column)."""

    scope: Scope
    prefix: list
    a: object
    b: object
    acc: object
    in_place: bool
    rows: int
    vectors: int
    lanes: int
    k: int
    type: object

    def emit(self, i: Uniform, j: Uniform, carried: list) -> list:
        (out,) = carried
        ev = self.scope.evaluator(self.lanes)
        ev.instead = {self.acc: out} if self.in_place else {}
        places = [self._place(ev, i, j, r, v) for r in range(self.rows) for v in range(self.vectors)]
        start = [self._wide(ev, ev.at(self.acc, place)) for place in places]
        values = [ev.b.scalar(c) if self.lanes == 1 else ev.b.vector(c) for c in start]
        unroll = 2 if self.k % 2 == 0 else 1  # halves the loop's own instructions; four would spill on RVV

        def steps(p: Uniform, accs: list) -> list:
            for u in range(unroll):
                accs = self._step(ev, i, j, ev.b.add(p, ev.b.const(u)), accs)
            return accs

        done = loop(ev.b, 0, self.k, unroll, values, steps)
        for place, value in zip(places, done, strict=True):
            chunk = Uniform(value) if self.lanes == 1 else Lanes(value)
            out = ev.memory.write(self._narrow(ev, chunk), out, place)
        return [out]

    def _place(self, ev: Evaluator, i: Uniform, j: Uniform, row: int, vector: int) -> list[Chunk]:
        b = ev.b
        column = b.add(j, b.const(vector * self.lanes))
        last = column if self.lanes == 1 else Affine(column, b.const(1))
        return [*self.prefix, b.add(i, b.const(row)), last]

    def _step(self, ev: Evaluator, i: Uniform, j: Uniform, p: Uniform, accs: list) -> list:
        inner = ev.child()
        b, memory = inner.b, inner.memory
        columns = [
            memory.read(self.b, [*self.prefix, p, self._place(inner, i, j, 0, v)[-1]])
            for v in range(self.vectors)
        ]
        factors = [memory.read(self.a, [*self.prefix, b.add(i, b.const(r)), p]) for r in range(self.rows)]
        rest = iter(accs)
        return [
            self._multiply_add(inner, factor, column, next(rest)) for factor in factors for column in columns
        ]

    def _multiply_add(self, ev: Evaluator, factor: Chunk, column: Chunk, acc):
        b = ev.b
        x, y = (b.scalar(c) if self.lanes == 1 else b.vector(c) for c in (factor, column))
        if isinstance(self.type, ir.FloatType):
            return create("math.fma", acc.type, [x, y, acc])
        return create("arith.addi", acc.type, [create("arith.muli", acc.type, [x, y]), acc])

    def _wide(self, ev: Evaluator, chunk: Chunk) -> Chunk:
        return chunk if chunk.type == self.type else _convert(ev, chunk, self.type)

    def _narrow(self, ev: Evaluator, chunk: Chunk) -> Chunk:
        element = self.acc.type.element_type
        return chunk if chunk.type == element else _convert(ev, chunk, element)


def _convert(ev: Evaluator, chunk: Chunk, type) -> Chunk:
    """To a wider or a narrower type of the same kind."""
    b = ev.b
    wider = type.width > chunk.type.width
    if isinstance(type, ir.FloatType):
        name = "arith.extf" if wider else "arith.truncf"
    else:
        name = "arith.extsi" if wider else "arith.trunci"
    if isinstance(chunk, Uniform):
        return Uniform(create(name, type, [b.scalar(chunk)]))
    return Lanes(create(name, b.vector_type(type), [b.vector(chunk)]))
