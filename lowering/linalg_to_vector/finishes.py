"""Sums that an engine finishes itself: what follows a product goes on in its registers, up to the store."""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import Finish, PanelKernel
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.access import shape_of, view_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.finish_goals import goal_with_operands
from vertebra.lowering.linalg_to_vector.finish_steps import Step, chain_and_steps, start_steps
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, pieces
from vertebra.lowering.linalg_to_vector.panel_places import as_i64, start_of
from vertebra.lowering.linalg_to_vector.panel_sums import Sums
from vertebra.lowering.linalg_to_vector.panel_vectors import as_vector
from vertebra.lowering.linalg_to_vector.sums import Goal
from vertebra.lowering.linalg_to_vector.whole_loads import holds

_EQ, _SLE, _SGE = 0, 3, 5  # arith.cmpi predicates
_BYTE = 8


@attrs.frozen
class Extent:
    """Memory that is read: low is the address of its first byte, high that behind the last one.

    sound: whether that is so (i1), None where it is known.
    """

    low: Uniform
    high: Uniform
    sound: Uniform | None = None


@attrs.frozen
class Ending:
    """What becomes of a product's sums.

    running: the dimension of what is stored along which elements are neighbours.  turned: the store is
    column by column of the sums.  rest: the branch that does the same where the engine has not done it.
    sums: in panels that the engine can finish.
    """

    goal: Goal
    steps: tuple[Step, ...]
    running: int
    turned: bool
    rest: object
    sums: Sums

    @property
    def element(self):
        return self.goal.value.type.element_type

    def stride(self, b: Builder) -> Uniform:
        """Bytes from one line of what is stored to the next."""
        return b.mul(self.goal.view.strides[1 - self.running], b.const(self.element.width // _BYTE))


def ending_of(scope: Scope, op, kernel: PanelKernel, result, start) -> Ending | None:
    """How `kernel` can end the product `op`; from now on what follows it waits for the sums.  None if not.

    result: the sums, behind a loop round which they go.  start: the matrix that is added to them, or None.
    """
    m, n, _ = kernel.tile
    rows, columns = shape_of(result)
    if kernel.acc != str(result.type.element_type) or rows % m or columns % n:
        return None
    before, found = start_steps(scope, start), chain_and_steps(scope, result)
    if before is None or found is None:
        return None
    chain, steps, flipped = found
    steps = (*before, *steps)
    element, names = str(chain[-1].operands[0].type.element_type), tuple(step.name for step in steps)
    beside = kernel.finishes(names, element) if kernel.finishes else 0
    if not beside or columns // n % beside:
        return None
    sums = Sums(scope, kernel, rows, columns, kernel.blocking(rows // m, columns // n, beside=beside))
    if any(size % beside for *_, size in sums.across):
        return None
    goal = goal_with_operands(scope, op, chain)
    if goal is None:
        return None
    running = 1 if goal.view.strides[1].const == 1 else 0
    return Ending(goal, steps, running, flipped == (running == 1), chain[-1].parent.operation, sums)


def finish_where_allowed(b: Builder, ending: Ending, read: list[Extent]) -> Uniform:
    """Whether the sums may be stored while operands are read (i1): all of them, and nothing overlaps."""
    width = ending.element.width // _BYTE
    rows, columns = shape_of(ending.goal.sums)
    lines, line = (columns, rows) if ending.turned else (rows, columns)
    stride = ending.stride(b)
    out = extent_of(b, store_start(b, ending), stride, lines, line * width)
    result = b.both(Uniform(ending.goal.now), b.compare(_SGE, stride, b.const(0)))
    for other in read:
        result = b.both(result, b.both(other.sound, _apart(b, out, other)))
    for step in ending.steps:
        if step.load is not None:
            result = b.both(result, _matrix_is_apart(b, ending, step, out))
    return result


def _apart(b: Builder, one: Extent, other: Extent) -> Uniform:
    return _either(b, b.compare(_SLE, one.high, other.low), b.compare(_SLE, other.high, one.low))


def _either(b: Builder, one: Uniform, other: Uniform) -> Uniform:
    return Uniform(create("arith.ori", b.constants.i1, [b.scalar(one), b.scalar(other)]))


def _matrix_is_apart(b: Builder, ending: Ending, step: Step, out: Extent) -> Uniform:
    """Whether a matrix that meets the sums is all there, and is not overwritten before it is read (i1)."""
    start, stride, unit = _matrix(b, step)
    rows, columns = shape_of(step.value)
    width = step.value.type.element_type.width // _BYTE
    read = extent_of(b, start, stride, rows, columns * width)
    safe = _apart(b, out, read)
    if width * _BYTE == ending.element.width and not ending.turned:
        # In one and the same place, each tile is read before it is stored.
        same = b.both(b.compare(_EQ, start, out.low), b.compare(_EQ, stride, ending.stride(b)))
        safe = _either(b, safe, same)
    safe = b.both(safe, b.both(unit, b.compare(_SGE, stride, b.const(0))))
    return b.both(safe, holds(b, step.load))


def _matrix(b: Builder, step: Step) -> tuple[Uniform, Uniform, Uniform | None]:
    """(address, bytes from row to row, whether rows are contiguous) of a step's matrix."""
    view = view_of(b, step.load.view)
    width = b.const(step.value.type.element_type.width // _BYTE)
    start = start_of(b, view.base)
    unit = None if view.strides[1].const == 1 else b.compare(_EQ, view.strides[1], b.const(1))
    return b.add(start, b.mul(view.offset, width)), b.mul(view.strides[0], width), unit


def extent_of(b: Builder, start: Uniform, stride: Uniform, lines: int, line: int) -> Extent:
    """Of `lines` lines of `line` bytes."""
    return Extent(start, b.add(b.add(start, b.mul(stride, b.const(lines - 1))), b.const(line)))


def store_start(b: Builder, ending: Ending) -> Uniform:
    view = ending.goal.view
    start = start_of(b, view.base)
    at = view.linear(b, [b.const(0), b.const(0)])
    return b.add(start, b.mul(at, b.const(ending.element.width // _BYTE)))


class Finisher:
    """The steps of an ending for every panel: rows are put into memory once, here."""

    def __init__(self, scope: Scope, ending: Ending, tile: tuple[int, int]):
        self.ending, self.tile = ending, tile
        b = scope.builder(1)
        self.start, self.stride = store_start(b, ending), ending.stride(b)
        self.given = [self._given(scope, b, step) for step in ending.steps]

    def _given(self, scope: Scope, b: Builder, step: Step):
        """What a step works with, for all panels."""
        if step.line:
            return start_of(b, _line(scope, step.value, step.line == "row"))
        if step.load is not None:
            return _matrix(b, step)[:2]
        if step.kind == "number" and not isinstance(step.value, float):
            bits = create("arith.bitcast", ir.IntegerType.get_signless(32), [step.value])
            return create("arith.extui", ir.IntegerType.get_signless(64), [bits])
        return step.value

    def panel(self, b: Builder, p: Uniform, q: Uniform) -> Finish:
        """For the panel whose first tile is (p, q)."""
        m, n = self.tile
        row, column = b.mul(p, b.const(m)), b.mul(q, b.const(n))

        def within(start: Uniform, stride: Uniform, width: int, turned: bool = False) -> Uniform:
            line, inner = (column, row) if turned else (row, column)
            return b.add(b.add(start, b.mul(line, stride)), b.mul(inner, b.const(width)))

        steps = []
        for step, given in zip(self.ending.steps, self.given, strict=True):
            tensor = step.line or step.load is not None
            width = step.value.type.element_type.width // _BYTE if tensor else 0
            if step.line:
                first = column if step.line == "row" else row
                given = as_i64(b, b.add(given, b.mul(first, b.const(width))))
            elif step.load is not None:
                start, stride = given
                given = (as_i64(b, within(start, stride, width)), as_i64(b, stride))
            steps.append((step.name, given))
        turned, width = self.ending.turned, self.ending.element.width // _BYTE
        at = within(self.start, self.stride, width, turned)
        return Finish(tuple(steps), str(self.ending.element), as_i64(b, at), as_i64(b, self.stride), turned)


def _line(scope: Scope, value, row: bool):
    """A buffer with the first row, or column, of a matrix."""
    element, size = value.type.element_type, shape_of(value)[1 if row else 0]
    buffer = panel_buffers.bytes_of(size * element.width // _BYTE)
    for start, stop, lanes in pieces(size, scope.unit.lanes(element.width)):
        b = scope.builder(lanes)
        memory = panel_buffers.view(b, buffer, element)

        def turn(at: Uniform, _carried: list, b=b, lanes=lanes, memory=memory) -> list:
            ev = scope.evaluator(lanes)
            along, across = at if lanes == 1 else Affine(at, ev.b.const(1)), ev.b.const(0)
            chunk = ev.at(value, [across, along] if row else [along, across])
            panel_buffers.store(ev.b, as_vector(ev.b, chunk), memory, at)
            return []

        loop(b, start, stop, lanes, [], turn)
    return buffer
