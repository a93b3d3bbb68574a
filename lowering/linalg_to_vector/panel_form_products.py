"""Products that an engine has more than a plain product for: their operands in panels, and their sums."""

import functools

from vertebra.lowering.linalg_to_vector import panel_moves
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Uniform
from vertebra.lowering.linalg_to_vector.panel_forms import Form
from vertebra.lowering.linalg_to_vector.panel_operands import (
    Panels,
    Side,
    bits_of,
    pack,
    pack_row,
    pack_window,
)
from vertebra.lowering.linalg_to_vector.panel_sums import Sums
from vertebra.lowering.linalg_to_vector.panels import (
    as_early_as_possible,
    over_panels,
    panels_around,
    tensor_of,
)


def product_of_form(scope: Scope, form: Form):
    """What replaces the result of `form`."""
    sums = Sums(scope, form.kernel, *shape_of(form.result))
    element = form.result.type.element_type
    if way := scope.engine.carried(form.last):
        if way.result not in scope.engine.buffers:
            scope.engine.buffers[way.result] = panels_around(sums, way, element)
        _multiply_form(scope, form, sums, scope.engine.buffers[way.result], zero=False)
        return form.acc
    zero, buffer = scope.engine.begins_at_zero(form.result), sums.allocate()
    if not zero:
        sums.pack(buffer, form.acc, [])
    _multiply_form(scope, form, sums, buffer, zero=zero)
    return tensor_of(sums.unpack(buffer, sums.result([], element), []))


def _multiply_form(scope: Scope, form: Form, sums: Sums, buffer, *, zero: bool) -> None:
    kernel, first = form.kernel, form.products[0]
    m, n, k = kernel.tile
    depth = k // 2 if kernel.form == "sparse" else k  # of B
    steps = -(-shape_of(first.operands[0])[-1] // k)
    left = Side(scope, first.operands[0], [], -2, m, k, sums.down, bits_of(kernel.a))
    with as_early_as_possible(first, left.value):
        if kernel.form == "window":
            a = pack_window(left, form.products[-1].operands[0], len(form.products) - 1)
        else:
            a = pack(left)
    b, faster = [], functools.partial(panel_moves.turn, kernel.moves)
    for op in form.products:
        right = Side(scope, op.operands[1], [], -1, n, depth, sums.across, bits_of(kernel.b))
        with as_early_as_possible(op, right.value):
            b.append(pack(right, fill=faster))
    other = _other(scope, form, sums)
    base = scope.builder(1)

    def strip(q: Uniform, columns: int) -> None:
        def pair(p: Uniform, rows: int) -> None:
            at = [a.operand(base, p), sums.address(base, buffer, p, rows, q), [x.operand(base, q) for x in b]]
            if other is not None:
                at.append(other.operand(base, q))
            sizes = {"rows": rows, "columns": columns, "steps": steps, "zero": zero}
            if kernel.form == "window":
                sizes["tiles"] = sums.tiles[0] + 1
            scope.engine.call(kernel.mode, kernel.emit, *at, **sizes)

        over_panels(scope, sums.down, pair)

    over_panels(scope, sums.across, strip)


def _other(scope: Scope, form: Form, sums: Sums) -> Panels | None:
    """The scales, or the masks."""
    kernel = form.kernel
    n, k = kernel.tile[1:]
    if kernel.form == "sparse":
        masks = Side(scope, form.others, [], -1, n, k // 4, sums.across, 4)
        with as_early_as_possible(form.last, masks.value):
            return pack(masks, kernel.slack)
    return pack_row(scope, form.others, n, kernel.slack) if kernel.form == "scaled" else None
