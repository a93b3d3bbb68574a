"""Matrix products on an engine: operands in panels, sums in panels, one kernel per pair of them.

The panels lie in buffers of the program (see `vertebra.core.target.PanelKernel` for their layout).
Sums that travel round a loop stay in their panels from before the loop until after it.
"""

import functools

from vertebra.lowering.linalg_to_vector import panel_moves
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Uniform
from vertebra.lowering.linalg_to_vector.loops import nest
from vertebra.lowering.linalg_to_vector.panel_frame import (
    as_early_as_possible,
    over_panels,
    panels_around,
    tensor_of,
)
from vertebra.lowering.linalg_to_vector.panel_jobs import Job
from vertebra.lowering.linalg_to_vector.panel_operands import Side, bits_of, pack
from vertebra.lowering.linalg_to_vector.panel_row import RowSums, multiply_row, takes_row
from vertebra.lowering.linalg_to_vector.panel_sums import Sums
from vertebra.lowering.linalg_to_vector.resident_products import resident_product


def product(scope: Scope, op):
    """A linalg product on an engine: what replaces its result, or None where no kernel fits."""
    job = scope.engine.job(op) if scope.engine else None
    if job is None:
        return None
    if job.kernel.resident is not None:
        return resident_product(scope, op, job)
    acc = op.operands[2]
    *batch, m, n = shape_of(acc)
    ready = scope.engine.relayout(op)
    multiply, sums = _multiply, Sums(scope, job.kernel, m, n, ready and ready.grid.tiles)
    if takes_row(scope, job.kernel, job.b, m):
        multiply, sums = multiply_row, RowSums(scope, job.kernel, n)
    depth = shape_of(job.b)[-2]
    if way := scope.engine.carried(op):
        if way.result not in scope.engine.buffers:
            kept = ready and ready.sums
            scope.engine.buffers[way.result] = panels_around(sums, way, acc.type.element_type, kept)
        multiply(scope, op, job, sums, scope.engine.buffers[way.result], [], depth, zero=False)
        return acc
    zero = scope.engine.begins_at_zero(op.results[0])
    if ready and ready.sums:
        if not zero:
            sums.pack(ready.sums, acc, [])
        multiply(scope, op, job, sums, ready.sums, [], depth, zero=zero)
        return acc
    buffer = sums.allocate()
    result = sums.result(batch, acc.type.element_type)

    def matrices(prefix: list, _carried: list) -> list:
        if not zero:
            sums.pack(buffer, acc, prefix)
        multiply(scope, op, job, sums, buffer, prefix, depth, zero=zero)
        sums.unpack(buffer, result, prefix)
        return []

    nest(scope.builder(1), batch, [], matrices)
    return tensor_of(result)


def _multiply(
    scope: Scope, op, job: Job, sums: Sums, buffer, prefix: list, depth: int, *, zero: bool
) -> None:
    panels = _panels_of(scope, op, job, sums, prefix)
    _multiply_panels(scope, job, sums, buffer, panels, depth, zero=zero)


def _panels_of(scope: Scope, op, job: Job, sums: Sums, prefix: list) -> list:
    """Both operands, ready for the engine."""
    m, n, k = job.kernel.tile
    a = Side(scope, job.a, prefix, -2, m, k, sums.down, bits_of(job.kernel.a))
    b = Side(scope, job.b, prefix, -1, n, k, sums.across, bits_of(job.kernel.b))
    panels = []
    faster = functools.partial(panel_moves.fill, job.kernel.moves)
    ready = scope.engine.relayout(op)
    for side in (a, b):
        if side is a and ready and ready.left:
            panels.append(ready.left.store(scope))
            continue
        with as_early_as_possible(op, side.value):
            panels.append(pack(side, fill=faster))
    return panels


def _multiply_panels(
    scope: Scope, job: Job, sums: Sums, buffer, panels: list, depth: int, *, zero: bool
) -> None:
    """Pair by pair; the sums go into `buffer`."""
    steps, base = -(-depth // job.kernel.tile[2]), scope.builder(1)

    def strip(q: Uniform, columns: int) -> None:
        def pair(p: Uniform, rows: int) -> None:
            at = [x.operand(base, first) for x, first in zip(panels, (p, q), strict=True)]
            at.append(sums.address(base, buffer, p, rows, q))
            sizes = {"rows": rows, "columns": columns, "steps": steps, "zero": zero}
            scope.engine.call(job.kernel.mode, job.kernel.emit, *at, **sizes)

        over_panels(scope, sums.down, pair)

    over_panels(scope, sums.across, strip)
