"""Left factors that are computed tile by tile, stored as the panels that an engine reads.

A tile of a factor is as wide as one or more tiles of sums, whose vectors a plan then joins on their way to
the panels (`vertebra.core.layout.handover`).
"""

import attrs

from vertebra.core.layout import Layout
from vertebra.core.layout.plan import Plan
from vertebra.core.target import StridedOperand
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.axes import axes_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, vector_nest
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Uniform
from vertebra.lowering.linalg_to_vector.loops import loop
from vertebra.lowering.linalg_to_vector.panel_operands import Panels
from vertebra.lowering.linalg_to_vector.panel_places import as_i64, start_of
from vertebra.lowering.linalg_to_vector.panel_tiles import Order
from vertebra.lowering.linalg_to_vector.panel_vectors import as_integers, as_vector
from vertebra.lowering.linalg_to_vector.placed_stores import describe, put


@attrs.frozen
class Pieces:
    """Panels of whole tiles, one row of tiles after the other, for an engine that reads them where they lie.

    step: bytes from one step along K to the next.  start, stride, extent: as of a `panel_places.Place`.
    """

    panels: Panels
    step: int
    start: Uniform
    stride: Uniform
    extent: tuple[int, int]

    def operand(self, b: Builder, first: Uniform) -> StridedOperand:
        """The panel whose first tile is `first`."""
        tile, step = (as_i64(b, b.const(x)) for x in (self.panels.bytes_per_tile, self.step))
        at = self.panels.operand(b, first)
        return StridedOperand(at, tile, step, tile, turned=False, whole=True)


@attrs.frozen
class Left:
    """value: the factor in `order`.  layout: of its panels, (row, column) -> element.

    plan: how a column of its tiles gets there.
    """

    value: object
    order: Order
    layout: Layout
    plan: Plan

    @property
    def wide(self) -> int:
        """How many tiles of `order` lie side by side in one of the panels."""
        return len(self.plan.body.stores.groups[0])

    def store(self, scope: Scope) -> Panels:
        """Computes the factor into panels, at the insertion point."""
        shape, bits = shape_of(self.value), self.value.type.element_type.width
        buffer = panel_buffers.bytes_of(self.layout.size * bits // 8)
        describe(buffer, self.plan)
        stores = self.plan.body.stores
        across = next((d for d, axis in enumerate(self.order.axes) if axis.side == 1), None)
        axes = axes_of(scope.plan, [self.value], shape, apart=across)
        strides = [self._stride(d) for d in range(len(shape))]
        steps = 1 if across is None else shape[across] // self.wide

        def step(j: Uniform, _carried: list) -> list:
            def chunk(ev: Evaluator, idx: list, carried: list) -> list:
                b, full, parts, at = ev.b, axes.spread(ev.b, idx), [], ev.b.const(0)
                for part in range(self.wide):
                    if across is not None:
                        full[across] = b.add(b.mul(j, b.const(self.wide)), b.const(part))
                    parts.append(as_integers(as_vector(b, ev.at(self.value, full))))
                if across is not None:
                    at = b.mul(j, b.const(strides[across]))
                for d, i in zip(axes.dims, idx, strict=True):
                    first = i.base if isinstance(i, Affine) else i
                    at = b.add(at, b.mul(first, b.const(strides[d])))
                put(scope, parts, stores, buffer, at, bits)
                return carried

            vector_nest(scope, list(axes.sizes), scope.width([self.value]), [], chunk)
            return []

        loop(scope.builder(1), 0, steps, 1, [], step)
        rows = self.layout.mode(0).size // self.order.tile[0]
        return Panels(buffer, self.layout.size * bits // 8 // rows)

    def store_pieces(self, scope: Scope) -> Pieces:
        """The same for an engine that reads whole tiles where they lie."""
        (rows, k), bits = self.plan.destination.shape, self.value.type.element_type.width
        kept, b = self.store(scope), scope.builder(1)
        extent = 1, kept.buffer.type.shape[0]
        return Pieces(kept, rows * k * bits // 8, start_of(b, kept.buffer), b.const(0), extent)

    def _stride(self, d: int) -> int:
        """Elements of the panels from one step along dimension d to the next, across: of `wide` steps."""
        if d == len(self.order.axes):
            return self.wide
        axis = self.order.axes[d]
        return self.layout(axis.place, 0) if axis.side == 0 else self.layout(0, axis.place * self.wide)
