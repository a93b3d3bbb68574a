"""Operands of matrix products that an engine reads row by row, where they lie in memory or in a copy."""

from collections.abc import Callable

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import StridedOperand
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.access import Strided, shape_of, view_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, limits_of, vector_nest
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import either
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.linalg_to_vector.panel_operands import Side
from vertebra.lowering.linalg_to_vector.panel_vectors import as_vector
from vertebra.lowering.linalg_to_vector.transpose import running_dimension
from vertebra.lowering.linalg_to_vector.whole_loads import whole_or_masked


def loaded_view(scope: Scope, value) -> tuple[Strided, list[int]] | None:
    """(the memory that `value` is loaded from whole, its dimension for each one of `value`), or None."""
    b = scope.builder(1)
    dims = list(range(value.type.rank))  # of what is loaded -> of value
    op = producer(value)
    while op is not None and op.name == "linalg.transpose" and scope.plan.inlines(op):
        value = op.operands[0]
        permutation = list(op.attributes["permutation"])
        dims = [dims[permutation.index(d)] for d in range(len(dims))]
        op = producer(value)
    if op is None or not scope.plan.inlines(op) or (load := scope.plan.load_of(op)) is None:
        return None
    if load.other is not None or (view := view_of(b, load.view)) is None:
        return None
    return view, [dims.index(d) for d in range(len(dims))]


def copy_into(scope: Scope, value, prefix: list, along: int, buffer, depth: int) -> None:
    """Copies what runs along dimension `along` (-1 or -2) of `value` at `prefix` into a buffer of bytes.

    Its lines have `depth` elements; what `value` lacks of the buffer becomes zero.
    """
    *_, first, second = shape_of(value)
    size, count = (second, first) if along == -1 else (first, second)
    element = value.type.element_type
    if count * size * element.width // 8 != buffer.type.shape[0]:
        panel_buffers.clear(scope, buffer)
    memory = panel_buffers.view(scope.builder(1), buffer, element)

    def body(ev: Evaluator, idx: list, carried: list) -> list:
        outer, inner = idx
        vector = as_vector(ev.b, ev.at(value, [*prefix, *(idx if along == -1 else [inner, outer])]))
        base = inner.base if isinstance(inner, Affine) else inner
        panel_buffers.store(ev.b, vector, memory, ev.b.add(ev.b.mul(outer, ev.b.const(depth)), base))
        return carried

    rank = value.type.rank
    dims = [rank - 2, rank - 1] if along == -1 else [rank - 1, rank - 2]
    vector_nest(scope, [count, size], scope.width([value]), [], body, limits_of(scope, [value], dims))


@attrs.frozen
class Later:
    """For operands that are read after more of them have been found.

    stays: memref -> whether what is there stays as it is (i1, or a bool).  buffer: bytes -> a buffer for a
    copy that is not yet in use.
    """

    stays: Callable
    buffer: Callable


@attrs.frozen
class Place:
    """Where the matrix of one side is: `start` is the address of its first element, as an index.

    stride: bytes from one line to the next.  turned: lines run along M or N, else along K.
    copied: whether it is a copy (1 or 0, an index).
    """

    side: Side
    start: Uniform
    stride: Uniform
    turned: bool
    copied: Uniform

    @property
    def extent(self) -> tuple[int, int]:
        """(lines, bytes of each) that are read, whole tiles."""
        side = self.side
        along, across = side.steps * side.k, side.runs[-1][1] * side.tile
        lines, depth = (along, across) if self.turned else (across, along)
        return lines, depth * side.value.type.element_type.width // 8

    def operand(self, b: Builder, first: Uniform) -> StridedOperand:
        """The panel whose first tile is `first`."""
        element = b.const(self.side.value.type.element_type.width // 8)
        tile = b.mul(element if self.turned else self.stride, b.const(self.side.tile))
        at = b.add(self.start, b.mul(first, tile))
        return StridedOperand(
            *(as_i64(b, v) for v in (at, tile, self.step(b), self.stride)), turned=self.turned
        )

    def step(self, b: Builder) -> Uniform:
        """Bytes from one step along K to the next."""
        element = b.const(self.side.value.type.element_type.width // 8)
        return b.mul(self.stride if self.turned else element, b.const(self.side.k))


def as_i64(b: Builder, value: Uniform):
    """An index as an i64 value."""
    return create("arith.index_cast", ir.IntegerType.get_signless(64), [b.scalar(value)])


def place(side: Side, later: Later | None = None) -> Place:
    """Where the operand lies, if all of it is there and made of whole tiles; else a copy with zeros around.

    Which of both may be known at run time only: then the place goes through memory.
    """
    scope, value, rank = side.scope, side.value, side.value.type.rank
    turned = running_dimension(scope.plan, value) == rank + side.outer
    whole = side.size % side.tile == 0 and side.depth % side.k == 0
    if whole and (found := _in_memory(side, turned, later)) and found[1] is True:
        return found[0]
    b = scope.builder(1)
    along, across = side.steps * side.k, side.runs[-1][1] * side.tile
    lines, depth = (along, across) if turned else (across, along)
    width = value.type.element_type.width // 8
    buffer = (later.buffer if later else panel_buffers.bytes_of)(lines * depth * width)
    slot = panel_buffers.allocate([3], b.index) if whole else None

    def emit() -> None:
        found, stays = (_in_memory(side, turned, later) if whole else None) or (None, False)
        if stays is True or stays is False:
            put(found) if stays else copy()
            return
        either(stays, [], lambda: put(found) or [], lambda: copy() or [])

    def copy() -> None:
        copy_into(scope, value, side.prefix, side.outer if turned else -3 - side.outer, buffer, depth)
        put(of_buffer(scope.builder(1)))

    def put(found: Place) -> None:
        if slot is not None:
            b = scope.builder(1)
            for at, number in enumerate((found.start, found.stride, found.copied)):
                ir.Operation.create("memref.store", [], [b.scalar(number), slot, b.scalar(b.const(at))])

    def of_buffer(b: Builder) -> Place:
        return Place(side, start_of(b, buffer), b.const(depth * width), turned, b.const(1))

    whole_or_masked(scope, value, emit)
    if slot is None:
        return of_buffer(b)
    numbers = [Uniform(create("memref.load", b.index, [slot, b.scalar(b.const(at))])) for at in range(3)]
    start, stride, copied = numbers
    return Place(side, start, stride, turned, copied)


def start_of(b: Builder, memref) -> Uniform:
    """The address at which `memref` begins."""
    return Uniform(create("memref.extract_aligned_pointer_as_index", b.index, [memref]))


def _in_memory(side: Side, turned: bool, later: Later | None) -> tuple[Place, object] | None:
    """(where the operand is, whether that stays so: a bool or i1), or None."""
    if (found := loaded_view(side.scope, side.value)) is None:
        return None
    view, order = found
    b = side.scope.builder(1)
    rank = side.value.type.rank
    outer, k = order[rank + side.outer], order[rank - 3 - side.outer]
    inner, other = (outer, k) if turned else (k, outer)
    if view.strides[inner].const != 1:
        return None
    width = b.const(side.value.type.element_type.width // 8)
    at = view.linear(b, [[*side.prefix, b.const(0), b.const(0)][order.index(d)] for d in range(rank)])
    start = b.add(start_of(b, view.base), b.mul(at, width))
    stays = later.stays(view.base) if later else True
    return Place(side, start, b.mul(view.strides[other], width), turned, b.const(0)), stays
