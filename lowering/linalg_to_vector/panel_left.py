"""Left factors that are computed tile by tile, stored as the panels that an engine reads.

A tile of a factor is as wide as one or more tiles of sums.  Its rows are theirs side by side, so that
rows of as many tiles are interleaved as words on their way from registers to the panels.
"""

import attrs

from vertebra.core.layout import Layout
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.axes import axes_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, vector_nest
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop
from vertebra.lowering.linalg_to_vector.panel_operands import Panels
from vertebra.lowering.linalg_to_vector.panel_tiles import Order
from vertebra.lowering.linalg_to_vector.panel_vectors import as_integers, as_vector, interleaved


@attrs.frozen
class Left:
    """value: the factor in `order`.  layout: of its panels, (row, column) -> element.

    wide: how many tiles of `order` lie side by side in one of the panels.
    """

    value: object
    order: Order
    layout: Layout
    wide: int

    def store(self, scope: Scope) -> Panels:
        """Computes the factor into panels, at the insertion point."""
        shape, bits = shape_of(self.value), self.value.type.element_type.width
        buffer = panel_buffers.bytes_of(self.layout.size * bits // 8)
        # Rows of tiles move as words where they are interleaved, so that one store may do it.
        run = self.order.tile[1] if self.wide > 1 else 1
        word = ir.IntegerType.get_signless(bits * run)
        memory = panel_buffers.view(scope.builder(1), buffer, word)
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
                    parts.append(_as(word, as_integers(as_vector(b, ev.at(self.value, full)))))
                if across is not None:
                    at = b.mul(j, b.const(strides[across]))
                for d, i in zip(axes.dims, idx, strict=True):
                    first = i.base if isinstance(i, Affine) else i
                    at = b.add(at, b.mul(first, b.const(strides[d])))
                at = at if run == 1 else b.binary("arith.divui", at, b.const(run))
                panel_buffers.store(b, interleaved(parts) if self.wide > 1 else parts[0], memory, at)
                return carried

            vector_nest(scope, list(axes.sizes), scope.width([self.value]), [], chunk)
            return []

        loop(scope.builder(1), 0, steps, 1, [], step)
        rows = self.layout.mode(0).size // self.order.tile[0]
        return Panels(buffer, self.layout.size * bits // 8 // rows)

    def _stride(self, d: int) -> int:
        """Elements of the panels from one step along dimension d to the next, across: of `wide` steps."""
        if d == len(self.order.axes):
            return self.wide
        axis = self.order.axes[d]
        return self.layout(axis.place, 0) if axis.side == 0 else self.layout(0, axis.place * self.wide)


def _as(word, vector):
    """`vector` as a shorter one of wider elements."""
    (lanes,), bits = vector.type.shape, vector.type.element_type.width
    if bits == word.width:
        return vector
    type = ir.VectorType.get([lanes * bits // word.width], word)
    return create("vector.bitcast", type, [vector])
