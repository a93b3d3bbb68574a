"""Products of one row with columns that lie along K, which an engine reads where they are."""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import PanelKernel
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.access import Memory, shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, pieces
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.linalg_to_vector.panel_places import copy_into, loaded_view
from vertebra.lowering.linalg_to_vector.panel_sums import converted
from vertebra.lowering.linalg_to_vector.panel_vectors import as_vector
from vertebra.lowering.linalg_to_vector.transpose import running_dimension
from vertebra.lowering.linalg_to_vector.whole_loads import whole_or_masked


def takes_row(scope: Scope, kernel: PanelKernel, b, rows: int) -> bool:
    """Whether the product of `rows` rows with `b` is one for the kernel's row loop."""
    if rows != 1 or kernel.row is None:
        return False
    if running_dimension(scope.plan, b) == b.type.rank - 2:
        return True
    op = producer(b)
    loaded = op is not None and scope.plan.inlines(op) and scope.plan.load_of(op) is not None
    return kernel.row.emit_turned is not None and loaded and shape_of(b)[-2] % kernel.row.width == 0


class RowSums:
    """The sums of n columns, as a row loop keeps them; the same interface as `panel_sums.Sums`."""

    def __init__(self, scope: Scope, kernel: PanelKernel, n: int):
        self.scope = scope
        self.n = n
        self.row = kernel.row
        self.type = ir.Type.parse(kernel.acc)

    def allocate(self):
        return panel_buffers.bytes_of(self.n * self.row.sums * self.type.width // 8)

    def result(self, batch: list[int], element):
        return panel_buffers.allocate([*batch, 1, self.n], element)

    def clear(self, buffer) -> None:
        panel_buffers.clear(self.scope, buffer)

    def address(self, b: Builder, buffer, column: Uniform):
        """Of the sums of `column`."""
        return panel_buffers.address(b, buffer, b.mul(column, b.const(self.row.sums * self.type.width // 8)))

    def pack(self, buffer, value, prefix: list) -> None:
        """Puts what tensor `value` has at `prefix` in one place of every column, and zero in the others."""
        self.clear(buffer)

        def chunk(ev: Evaluator, column, memory) -> None:
            vector = as_vector(ev.b, ev.at(value, [*prefix, ev.b.const(0), column]))
            at = _place(ev.b, column, self.row.sums, self.row.places[0])
            _scatter(ev.b, converted(vector, self.type), memory, at)

        self._chunks(buffer, chunk)

    def unpack(self, buffer, into, prefix: list):
        """Writes the sums into memref `into` at `prefix`, in its element type; returns it."""

        def chunk(ev: Evaluator, column, memory) -> None:
            b, total = ev.b, None
            name = "arith.addf" if isinstance(self.type, ir.FloatType) else "arith.addi"
            for place in self.row.places:
                part = as_vector(b, Memory(b).load(memory, _place(b, column, self.row.sums, place)))
                total = part if total is None else create(name, part.type, [total, part])
            base = column.base if isinstance(column, Affine) else column
            panel_buffers.store(b, converted(total, into.type.element_type), into, *prefix, b.const(0), base)

        self._chunks(buffer, chunk)
        return into

    def _chunks(self, buffer, body) -> None:
        """body(evaluator, columns, sums) for all columns, a vector of them at a time."""
        for start, stop, lanes in pieces(self.n, self.scope.unit.lanes(self.type.width)):
            b = self.scope.builder(lanes)
            memory = panel_buffers.view(b, buffer, self.type)

            def turn(column: Uniform, _carried: list, lanes=lanes, memory=memory) -> list:
                ev = self.scope.evaluator(lanes)
                body(ev, column if lanes == 1 else Affine(column, ev.b.const(1)), memory)
                return []

            loop(b, start, stop, lanes, [], turn)


def _place(b: Builder, column, sums: int, place: int):
    return b.add(b.mul(column, b.const(sums)), b.const(place))


def _scatter(b: Builder, vector, memory, at) -> None:
    if b.width == 1:
        panel_buffers.store(b, vector, memory, at)
        return
    ir.Operation.create(
        "vector.scatter", [], [memory, b.scalar(b.const(0)), b.vector(at), b.all_true(), vector]
    )


@attrs.frozen
class _Columns:
    """Where columns are: `memory`, from element `start` on, `stride` elements apart.

    turned: they are neighbours, and it is their elements that are `stride` apart.
    """

    memory: object
    start: Uniform
    stride: Uniform
    turned: bool = False

    def address(self, b: Builder, column: Uniform):
        at = b.add(self.start, column if self.turned else b.mul(column, self.stride))
        return panel_buffers.address(b, self.memory, b.mul(at, b.const(self._bytes)))

    def stride_bytes(self, b: Builder):
        """As an i64 value."""
        stride = b.mul(self.stride, b.const(self._bytes))
        return create("arith.index_cast", ir.IntegerType.get_signless(64), [b.scalar(stride)])

    @property
    def _bytes(self) -> int:
        return self.memory.type.element_type.width // 8


def multiply_row(
    scope: Scope, op, job, sums: RowSums, buffer, prefix: list, depth: int, *, zero: bool
) -> None:
    """Adds the product of the job's operands to the sums in `buffer`; zero: to nothing instead."""
    row = job.kernel.row
    if zero:
        sums.clear(buffer)
    b = scope.builder(1)
    steps = -(-depth // row.width)
    left = _copied(scope, job.a, prefix, -1, steps * row.width)

    def multiply() -> None:
        right = _in_place(scope, job.b, prefix) if depth % row.width == 0 else None
        emit, most = row.emit, row.columns
        if right is not None and right.turned:
            emit, most = row.emit_turned, row.turned_columns
        right = right or _copied(scope, job.b, prefix, -2, steps * row.width)
        stride = right.stride_bytes(b)
        for start, stop, columns in _runs(sums.n, most):

            def turn(column: Uniform, _carried: list, columns=columns) -> list:
                at = [
                    left.address(b, b.const(0)),
                    right.address(b, column),
                    sums.address(b, buffer, column),
                    stride,
                ]
                scope.engine.call(job.kernel.mode, emit, *at, columns=columns, steps=steps)
                return []

            loop(b, start, stop, columns, [], turn)

    whole_or_masked(scope, job.b, multiply)


def _runs(total: int, most: int) -> list[tuple[int, int, int]]:
    whole = total // most * most
    runs = [(0, whole, most), (whole, total, total - whole)]
    return [run for run in runs if run[1] > run[0]]


def _in_place(scope: Scope, value, prefix: list) -> _Columns | None:
    """The columns of `value`, (..., K, N), in the memory that it is loaded from; None without one."""
    if (found := loaded_view(scope, value)) is None:
        return None
    view, order = found
    b = scope.builder(1)
    *_, k, n = order
    turned = view.strides[k].const != 1
    if turned and view.strides[n].const != 1:
        return None
    places = [*prefix, b.const(0), b.const(0)]
    start = view.linear(b, [places[order.index(d)] for d in range(len(order))])
    return _Columns(view.base, start, view.strides[k if turned else n], turned)


def _copied(scope: Scope, value, prefix: list, along: int, depth: int) -> _Columns:
    """A copy of what runs along dimension `along` of `value` at `prefix`, filled up to `depth` with zeros."""
    *_, first, second = shape_of(value)
    element = value.type.element_type
    b = scope.builder(1)
    buffer = panel_buffers.bytes_of((first if along == -1 else second) * depth * element.width // 8)
    copy_into(scope, value, prefix, along, buffer, depth)
    return _Columns(panel_buffers.view(b, buffer, element), b.const(0), b.const(depth))
