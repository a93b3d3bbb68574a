"""The left factor of matrix products in the order in which a micro-kernel reads it.

A stays row-major where a micro-kernel takes one row, else it is cut into m x k tiles.  What K lacks
to whole steps is filled with zeros.
"""

import attrs

from vertebra.core.target import MicroKernel
from vertebra.lowering.linalg_to_vector.access import Memory, shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, empty, limits_of, materialise, vector_nest
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Chunk, Uniform
from vertebra.lowering.linalg_to_vector.loops import nest
from vertebra.lowering.linalg_to_vector.micro_kernel import Part
from vertebra.lowering.linalg_to_vector.packing import element_named, in_memory, raised, steps_of, widen


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

    def tile(self, b: Builder, prefix: list[Chunk], first: Uniform, rows: int) -> "_Tile":
        """The m x k tiles that start at row `first`, `rows` of them."""
        return _Tile(self, prefix, first, rows)

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


@attrs.frozen
class _Tile:
    whole: Rows
    prefix: list
    first: Uniform
    rows: int

    def read(self, b: Builder, piece: Uniform, step: Uniform) -> list:
        """The m x k elements of every one at `step` of `piece`."""
        height = self.whole.kernel.shape[0]
        tops = [b.add(self.first, b.const(r * height)) for r in range(self.rows)]
        return [self.whole.read(b, self.prefix, top, piece, step) for top in tops]


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
    wide = raised(wide, kernel.a_offset)
    depth = steps_of(total, k) * k
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
    depth = steps_of(total, k) * k
    size = max(1, element_named(part.kernel.a).width // 8)
    if m > 1:
        return depth
    if part.rows * depth * size <= reach or part.rows == 1:
        return depth
    chunk = 1 << ((reach // (part.rows * size)).bit_length() - 1)
    return chunk if chunk >= part.kernel.shape[2] and depth % chunk == 0 else depth


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
