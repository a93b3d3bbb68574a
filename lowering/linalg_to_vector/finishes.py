"""Sums that an engine finishes itself: what follows a product goes on in its registers, up to the store."""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import Finish, PanelKernel
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.linalg_to_vector.panel_places import Place, copy_into
from vertebra.lowering.linalg_to_vector.panel_sums import Sums
from vertebra.lowering.linalg_to_vector.sums import Goal, chain_of, goal_of

_SGE, _SLE = 5, 3  # arith.cmpi predicates
_BYTE = 8
# Operation with a constant -> step.  A maximum that prefers numbers to NaN is one only against zero.
_WITH_CONSTANT = {
    "arith.addf": "add",
    "arith.mulf": "scale",
    "arith.maximumf": "max",
    "arith.minimumf": "min",
    "arith.maxnumf": "relu",
}


@attrs.frozen
class Ending:
    """What becomes of a product's sums.

    steps: names, with a number, or a tensor of one row for "row".  rest: the branch that does the same
    where the engine has not done it.
    """

    goal: Goal
    steps: tuple[tuple[str, object], ...]
    rest: object

    @property
    def element(self):
        return self.goal.value.type.element_type


def ending_of(scope: Scope, op, kernel: PanelKernel, sums: Sums, zero: bool) -> Ending | None:
    """How `kernel` can end the product `op`; from now on what follows it waits for the sums.  None if not."""
    if (
        kernel.finishes is None
        or len(sums.shape) != 2
        or str(sums.type) != str(op.results[0].type.element_type)
    ):
        return None
    steps = _start(op.operands[2], zero)
    chain = chain_of(scope, op.results[0])
    if steps is None or chain is None:
        return None
    # Steps first, then at most one narrowing, with views anywhere.
    work = [one for one in chain[:-1] if one.name != "tensor.extract_slice"]
    if work and work[-1].name == "arith.truncf":
        work.pop()
    found = [_step(one) for one in work]
    if None in found:
        return None
    steps += found
    element, names = str(chain[-1].operands[0].type.element_type), tuple(name for name, _ in steps)
    if any(size % tile for size, tile in zip(sums.shape, sums.tile, strict=True)):
        return None
    if not all(kernel.finishes(names, element, columns) for *_, columns in sums.across):
        return None
    goal = goal_of(scope, op)
    return Ending(goal, tuple(steps), chain[-1].parent.operation) if goal else None


def _start(acc, zero: bool) -> list | None:
    """The first steps, where the sums begin at zero or at the same row everywhere."""
    if zero:
        return []
    row = _row_of(acc)
    return [("row", row)] if row is not None else None


def _row_of(value):
    """The tensor of one row that every row of `value` is."""
    op = producer(value)
    if op is None or op.name != "linalg.generic" or len(op.operands) != 2:
        return None
    maps = [str(attribute.value) for attribute in op.attributes["indexing_maps"]]
    body = [o.name for o in op.regions[0].blocks[0].operations]
    alike = ["(d0, d1) -> (0, d1)", "(d0, d1) -> (d0, d1)"]
    return op.operands[0] if body == ["linalg.yield"] and maps == alike else None


def _step(op) -> tuple[str, float] | None:
    name = _WITH_CONSTANT.get(op.name)
    constants = [c for v in op.operands if (c := _constant(v)) is not None]
    if name is None or len(constants) != 1 or (name == "relu" and constants[0] != 0):
        return None
    return name, constants[0]


def _constant(value) -> float | None:
    op = producer(value)
    if op is None or op.name != "arith.constant":
        return None
    attribute = op.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
        return None
    splat = attribute.get_splat_value()
    return splat.value if isinstance(splat, ir.FloatAttr) else None


def finish_where_allowed(b: Builder, ending: Ending, sides: list[Place]):
    """Whether the sums may be stored while operands are read (i1): all of them, and nothing overlaps."""
    view, (rows, columns) = ending.goal.view, shape_of(ending.goal.sums)
    width = ending.element.width // _BYTE
    stride = b.mul(view.strides[0], b.const(width))
    out = _extent(b, store_start(b, ending), stride, rows, columns * width)
    result = Uniform(ending.goal.now)
    result = b.both(result, b.compare(_SGE, stride, b.const(0)))
    for place in sides:
        lines, depth = place.extent
        read = _extent(b, place.start, place.stride, lines, depth)
        before = b.compare(_SLE, read[1], out[0])
        behind = b.compare(_SLE, out[1], read[0])
        apart = Uniform(create("arith.ori", b.constants.i1, [b.scalar(before), b.scalar(behind)]))
        result = b.both(result, b.both(apart, b.compare(_SGE, place.stride, b.const(0))))
    ending.rest.operands[0] = b.scalar(b.negate(result))
    return b.scalar(result)


def _extent(b: Builder, start: Uniform, stride: Uniform, lines: int, line: int) -> tuple[Uniform, Uniform]:
    """Addresses of the first byte and behind the last."""
    return start, b.add(b.add(start, b.mul(stride, b.const(lines - 1))), b.const(line))


def store_start(b: Builder, ending: Ending) -> Uniform:
    view = ending.goal.view
    start = Uniform(create("memref.extract_aligned_pointer_as_index", b.index, [view.base]))
    at = view.linear(b, [b.const(0), b.const(0)])
    return b.add(start, b.mul(at, b.const(ending.element.width // _BYTE)))


class Finisher:
    """The steps of an ending for every panel: rows are put into memory once, here."""

    def __init__(self, scope: Scope, ending: Ending, tile: tuple[int, int]):
        self.ending, self.tile = ending, tile
        b = scope.builder(1)
        self.start = store_start(b, ending)
        self.stride = b.mul(ending.goal.view.strides[0], b.const(ending.element.width // _BYTE))
        self.rows = {}
        for number, (name, value) in enumerate(ending.steps):
            if name == "row":
                _, n = shape_of(value)
                buffer = panel_buffers.bytes_of(n * value.type.element_type.width // _BYTE)
                copy_into(scope, value, [], -1, buffer, n)
                self.rows[number] = Uniform(
                    create("memref.extract_aligned_pointer_as_index", b.index, [buffer])
                )

    def panel(self, b: Builder, p: Uniform, q: Uniform) -> Finish:
        """For the panel whose first tile is (p, q)."""
        m, n = self.tile
        width = self.ending.element.width // _BYTE
        down = b.mul(b.mul(p, b.const(m)), self.stride)
        at = b.add(b.add(self.start, down), b.mul(q, b.const(n * width)))
        steps = []
        for number, (name, value) in enumerate(self.ending.steps):
            if name == "row":
                size = value.type.element_type.width // _BYTE
                value = _i64(b, b.add(self.rows[number], b.mul(q, b.const(n * size))))
            steps.append((name, value))
        return Finish(tuple(steps), str(self.ending.element), _i64(b, at), _i64(b, self.stride))


def _i64(b: Builder, value: Uniform):
    return create("arith.index_cast", ir.IntegerType.get_signless(64), [b.scalar(value)])
