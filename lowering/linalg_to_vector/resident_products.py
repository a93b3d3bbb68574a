"""Matrix products on an engine that keeps sums in registers of its own and reads operands where they lie."""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import StartRow
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.carried_products import Carried
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.finishes import (
    Ending,
    Finisher,
    ending_of,
    extent_of,
    finish_where_allowed,
)
from vertebra.lowering.linalg_to_vector.lanes import Uniform, create
from vertebra.lowering.linalg_to_vector.loops import either, loop, nest
from vertebra.lowering.linalg_to_vector.panel_frame import (
    after,
    as_early_as_possible,
    over_panels,
    panels_around,
    tensor_of,
)
from vertebra.lowering.linalg_to_vector.panel_jobs import Job
from vertebra.lowering.linalg_to_vector.panel_operands import Side, bits_of, pack_row
from vertebra.lowering.linalg_to_vector.panel_places import Place, as_i64, place, start_of
from vertebra.lowering.linalg_to_vector.panel_sums import Sums
from vertebra.lowering.linalg_to_vector.panel_turns import Gathering, Runs, no_turn
from vertebra.lowering.parallel_loops import defined_inside

_EQ = 0  # arith.cmpi predicate


@attrs.frozen
class _Panels:
    """Emits the product, panel by panel.

    add: (p, q, grid) multiplies for the panel whose first tile is (p, q).
    """

    scope: Scope
    job: Job
    sums: Sums
    buffer: object
    add: object

    def emit(self, zero, finisher: Finisher | None = None, finished: Uniform | None = None, row=None) -> None:
        """zero: whether the sums begin anew, else at what the panels hold: a bool, or i1.

        row: the address of the row at which they begin anew, if not at zero.  finisher: says where the sums
        go, into the panels without it; finished: where that is known at run time only (i1).
        """
        b, sums, resident = self.scope.builder(1), self.sums, self.job.kernel.resident

        def strip(q: Uniform, columns: int) -> None:
            def pair(p: Uniform, rows: int) -> None:
                grid = {"rows": rows, "columns": columns}

                def at():
                    return sums.address(b, self.buffer, p, rows, q)

                def fresh():
                    start = None if row is None else StartRow(as_i64(b, self._in_row(b, row, q)))
                    return resident.begin(start, **grid)

                first = _either_op(
                    zero,
                    fresh,
                    lambda: resident.begin(at(), **grid),
                )
                self.add(p, q, grid)
                last = _either_op(
                    False if finisher is None else True if finished is None else b.scalar(finished),
                    lambda: resident.end(finisher.panel(b, p, q), **grid),
                    lambda: resident.end(at(), **grid),
                )
                self.scope.engine.needs(self.job.kernel.mode, first, last)

            over_panels(self.scope, sums.down, pair)

        over_panels(self.scope, sums.across, strip)

    def _in_row(self, b, row: Uniform, q: Uniform) -> Uniform:
        """The address of column tile `q` in the row at `row`."""
        return b.add(row, b.mul(q, b.const(self.sums.tile[1] * self.sums.type.width // 8)))


def _either_op(condition, yes, no):
    """What yes() or no() emits, or the branch with both; condition: a bool, or i1."""
    if condition is True or condition is False:
        return yes() if condition else no()
    branch = ir.Operation.create("scf.if", [], [condition], regions=2)
    for region, emit in zip(branch.regions, (yes, no), strict=True):
        with ir.InsertionPoint(region.blocks.append()):
            emit()
            ir.Operation.create("scf.yield", [], [])
    return branch


def _sides(scope: Scope, job: Job, sums: Sums, prefix: list) -> tuple[Side, Side]:
    m, n, k = job.kernel.tile
    return (
        Side(scope, job.a, prefix, -2, m, k, sums.down, bits_of(job.kernel.a)),
        Side(scope, job.b, prefix, -1, n, k, sums.across, bits_of(job.kernel.b)),
    )


def resident_product(scope: Scope, op, job: Job):
    """What replaces the result of linalg product `op`."""
    acc = op.operands[2]
    *batch, m, n = shape_of(acc)
    way = scope.engine.carried(op)
    if way is not None and scope.engine.waits(op):
        _take_part(scope, op, job, way)
        return acc
    ready = scope.engine.relayout(op)
    sums = Sums(scope, job.kernel, m, n, ready and ready.grid.tiles)
    if way is not None:
        if way.result not in scope.engine.buffers:
            kept = ready and ready.sums
            scope.engine.buffers[way.result] = panels_around(sums, way, acc.type.element_type, kept)
        places = _places(scope, op, job, sums, [])
        _at_places(scope, job, sums, scope.engine.buffers[way.result], places).emit(False)
        return acc
    zero = scope.engine.begins_at_zero(op.results[0])
    if ready and ready.sums:
        if not zero:
            sums.pack(ready.sums, acc, [])
        _at_places(scope, job, sums, ready.sums, _places(scope, op, job, sums, [])).emit(zero)
        return acc
    start = None if zero else acc
    ending = None if batch else ending_of(scope, op, job.kernel, op.results[0], start)
    sums = ending.sums if ending else sums
    buffer, result = sums.allocate(), sums.result(batch, acc.type.element_type)
    if ending is not None:
        _to_the_end(scope, op, job, buffer, result, ending, zero)
        return tensor_of(result)

    def matrices(prefix: list, _carried: list) -> list:
        if not zero:
            sums.pack(buffer, acc, prefix)
        _at_places(scope, job, sums, buffer, _places(scope, op, job, sums, prefix)).emit(zero)
        sums.unpack(buffer, result, prefix)
        return []

    nest(scope.builder(1), batch, [], matrices)
    return tensor_of(result)


def _places(scope: Scope, op, job: Job, sums: Sums, prefix: list) -> tuple[Place, ...]:
    """Where both operands are."""
    found, ready = [], scope.engine.relayout(op)
    for side in _sides(scope, job, sums, prefix):
        if side.outer == -2 and ready and ready.left:
            found.append(ready.left.store_pieces(scope))
            continue
        with as_early_as_possible(op, side.value):
            found.append(place(side))
    return tuple(found)


def _at_places(scope: Scope, job: Job, sums: Sums, buffer, places: tuple[Place, ...]) -> _Panels:
    """The product of what is at `places`."""
    b, steps = scope.builder(1), places[1].side.steps

    def add(p: Uniform, q: Uniform, grid: dict) -> None:
        at = [x.operand(b, first) for x, first in zip(places, (p, q), strict=True)]
        job.kernel.resident.add(*at, **grid, steps=steps)

    return _Panels(scope, job, sums, buffer, add)


def _to_the_end(scope: Scope, op, job: Job, buffer, result, ending: Ending, zero: bool) -> None:
    """Finishes the sums on the engine where that may be, else leaves them in `result`."""
    b, sums = scope.builder(1), ending.sums
    places = _places(scope, op, job, sums, [])
    product = _at_places(scope, job, sums, buffer, places)
    read = [extent_of(b, x.start, x.stride, *x.extent) for x in places]
    allowed = finish_where_allowed(b, ending, read)
    ending.rest.operands[0] = b.scalar(b.negate(allowed))

    def finished() -> list:
        product.emit(True, Finisher(scope, ending, job.kernel.tile[:2]))
        return []

    def stored() -> list:
        if not zero:
            sums.pack(buffer, op.operands[2], [])
        product.emit(zero)
        sums.unpack(buffer, result, [])
        return []

    either(b.scalar(allowed), [], finished, stored)


# -- loops over K


def _take_part(scope: Scope, op, job: Job, way: Carried) -> None:
    """Product `op` of this turn waits for the last turn, in which the last product multiplies all."""
    gathering = scope.engine.gatherings.get(way.result)
    if gathering is None:
        gathering = scope.engine.gatherings[way.result] = _gather(scope, op, job, way)
    runs = Runs(scope, gathering.loop)
    places = []
    for side in _sides(scope, job, gathering.sums, []):
        if defined_inside(side.value, gathering.loop):
            places.append(place(side, runs.later()))
        else:
            with as_early_as_possible(op, side.value):
                places.append(attrs.evolve(place(side), copied=scope.builder(1).const(0)))
    gathering.note(tuple(places), runs, places[0].side.steps)
    if any(use.owner.operation.name == "scf.yield" for use in op.results[0].uses):
        b = scope.builder(1)
        either(b.scalar(gathering.due(b)), [], lambda: _multiply_all(scope, job, gathering) or [], list)


def _gather(scope: Scope, op, job: Job, way: Carried) -> Gathering:
    """Sums in panels around the loop, or in no memory at all where the engine stores what becomes of them."""
    element, own = op.operands[2].type.element_type, op.block.owner.operation
    b, alone, row = scope.builder(1), way.loop == own, scope.engine.rows.get(way.result)
    ending = None
    if alone and way.result.owner == own:
        ending = ending_of(scope, op, job.kernel, way.result, None)
    sums = ending.sums if ending else Sums(scope, job.kernel, *shape_of(op.operands[2]))
    with ir.InsertionPoint(way.loop), way.loop.location:
        buffer = sums.allocate()

        def fill() -> list:
            """What the panels hold where nothing is added."""
            sums.clear(buffer) if way.zero else sums.pack(buffer, way.start if row is None else row, [])
            return []

        if alone and (way.zero or row is not None):
            either(b.scalar(no_turn(b, own)), [], fill, list)
        else:
            fill()
    gathering = Gathering.of(scope, op, way, sums, buffer, ending)
    if alone and row is not None:
        with ir.InsertionPoint(own), own.location:
            gathering.row = start_of(b, pack_row(scope, row, sums.tile[1], 0).buffer)
    if ending is None:
        place_behind = after(way.loop)
    else:
        with ir.InsertionPoint(ending.rest), ending.rest.location:
            undone = b.compare(_EQ, gathering.state.get(b, "done"), b.const(0))
        ending.rest.operands[0] = b.scalar(undone)
        place_behind = ir.InsertionPoint.at_block_begin(ending.rest.regions[0].blocks[0])
    with place_behind, way.loop.location:
        tensor = tensor_of(sums.unpack(buffer, sums.result([], element), []))
    for use in list(way.result.uses):
        use.owner.operation.operands[use.operand_number] = tensor
    return gathering


def _multiply_all(scope: Scope, job: Job, gathering: Gathering) -> None:
    b, ending, state = scope.builder(1), gathering.ending, gathering.state

    def add(p: Uniform, q: Uniform, grid: dict) -> None:
        for runs in gathering.runs:

            def turn(run: Uniform, _carried: list, runs=runs) -> list:
                left, right, steps = runs.operands(b, run, p, q)
                job.kernel.resident.add(left, right, **grid, steps=steps)
                return []

            behind = b.scalar(b.add(runs.count(b), b.const(1)))
            loop(b, 1, behind, 1, [], turn)

    zero = b.scalar(gathering.first(b)) if gathering.begins_anew else False
    product = _Panels(scope, job, gathering.sums, gathering.buffer, add)
    if ending is None:
        product.emit(zero, row=gathering.row)
    else:
        read = [extent for runs in gathering.runs for extent in runs.extents(b)]
        allowed = finish_where_allowed(b, ending, read)
        product.emit(zero, Finisher(scope, ending, job.kernel.tile[:2]), allowed, gathering.row)
        state.put(b, "done", Uniform(create("arith.index_castui", b.index, [b.scalar(allowed)])))
    state.put(b, "begun", b.const(1))
    for runs in gathering.runs:
        runs.forget(b)
