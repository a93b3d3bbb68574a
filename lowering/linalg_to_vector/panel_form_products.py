"""Products that an engine has more than a plain product for: their operands in panels, and their sums."""

import functools

from vertebra.lowering.linalg_to_vector import panel_moves
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Uniform
from vertebra.lowering.linalg_to_vector.panel_forms import Form
from vertebra.lowering.linalg_to_vector.panel_frame import (
    as_early_as_possible,
    over_panels,
    panels_around,
    tensor_of,
)
from vertebra.lowering.linalg_to_vector.panel_operands import (
    Panels,
    Side,
    bits_of,
    pack,
    pack_rows,
    pack_steps,
    pack_window,
)
from vertebra.lowering.linalg_to_vector.panel_sums import Sums


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
    faster = functools.partial(panel_moves.fill, kernel.moves)
    lefts = [Side(scope, op.operands[0], [], -2, m, k, sums.down, bits_of(kernel.a)) for op in form.products]
    rights = [
        Side(scope, op.operands[1], [], -1, n, depth, sums.across, bits_of(kernel.b)) for op in form.products
    ]
    if kernel.form == "scaled" and len(form.products) > 1:
        steps *= len(form.products)
        a, b = pack_steps(lefts, fill=faster), [pack_steps(rights, fill=faster)]
    else:
        with as_early_as_possible(first, lefts[0].value):
            if kernel.form == "window":
                a = pack_window(lefts[0], lefts[-1].value, len(form.products) - 1, faster)
            else:
                a = pack(lefts[0], fill=faster)
        b = []
        for op, right in zip(form.products, rights, strict=True):
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
        masks = Side(scope, form.others[0], [], -1, n, k // 4, sums.across, 4)
        with as_early_as_possible(form.last, masks.value):
            return pack(masks, kernel.slack)
    if kernel.form == "scaled":
        return pack_rows(scope, form.others, n, sums.across, kernel.slack)
    return None
