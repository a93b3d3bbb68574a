"""Builds operations of the `tts` dialect from numbers known now and values known later."""

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts import types
from vertebra.lowering.tt_to_tts.expr import Expr

DYNAMIC = -(1 << 63)
STREAMING = "vertebra.streaming"  # marks stores of what nobody reads soon


class Builder:
    """Makes `tts` operations just before operation `at`."""

    def __init__(self, writer, at):
        self.writer, self.at = writer, at

    def _mixed(self, exprs: list[Expr]) -> tuple[ir.Attribute, list[ir.Value]]:
        """Static entries, with a sentinel for each of the values that follow."""
        static = [e if isinstance(e, int) else DYNAMIC for e in exprs]
        values = [self.writer.emit(e, self.at) for e in exprs if not isinstance(e, int)]
        return ir.DenseI64ArrayAttr.get(static), values

    def _create(self, name: str, results, operands: list[list[ir.Value]], segments: bool, **attributes):
        if segments:
            attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get([len(group) for group in operands])
        flat = [value for group in operands for value in group]
        return ir.Operation.create(
            name, results, flat, attributes, loc=self.at.location, ip=ir.InsertionPoint(self.at)
        )

    def make_tptr(self, base: ir.Value, shape, strides, offsets, wraps) -> ir.Value:
        """A tensor of pointers with a stride in each dimension; `wraps`: where it starts over, or 0."""
        kind = ir.RankedTensorType.get(list(shape), base.type)
        return self._make_tptr(base, kind, shape, strides, offsets, None, wraps)

    def make_block(self, base: ir.Value, shape, strides, offsets, bounds) -> ir.Value:
        """A pointer to a block of which only the elements lo <= i < hi lie inside of the array."""
        kind = types.pointer_to(ir.RankedTensorType.get(list(shape), base.type.pointee))
        origin = [-lo for lo, _ in bounds]
        sizes = [hi - lo for lo, hi in bounds]
        return self._make_tptr(base, kind, shape, strides, offsets, origin, sizes)

    def _make_tptr(self, base, kind, shape, strides, offsets, origin, sizes) -> ir.Value:
        static_strides, strides = self._mixed(strides)
        static_offsets, offsets = self._mixed(offsets)
        static_shape, sizes = self._mixed(sizes)
        order = [] if origin is None else list(reversed(range(len(shape))))
        attributes = {
            "sizes": ir.DenseI64ArrayAttr.get(list(shape)),
            "static_strides": static_strides,
            "static_offsets": static_offsets,
            "static_shape": static_shape,
            "order": ir.DenseI32ArrayAttr.get(order),
        }
        originals = []
        if origin is not None:
            attributes["static_originalOffsets"], originals = self._mixed(origin)
        groups = [[base], strides, offsets, originals, sizes]
        return self._create("tts.make_tptr", [kind], groups, True, **attributes).result

    def make_gather_scatter_tptr(self, base: ir.Value, lookup: ir.Value, dim: int, shape, strides, offsets):
        """A tensor of pointers of which dimension `dim` is looked up in a 1-D tensor."""
        static_strides, strides = self._mixed(strides)
        static_offsets, offsets = self._mixed(offsets)
        return self._create(
            "tts.make_gather_scatter_tptr",
            [ir.RankedTensorType.get(list(shape), base.type)],
            [[base], [lookup], [], strides, offsets],
            True,
            gather_scatter_dim=ir.IntegerAttr.get(ir.IntegerType.get_signless(32), dim),
            sizes=ir.DenseI64ArrayAttr.get(list(shape)),
            static_strides=static_strides,
            static_offsets=static_offsets,
        ).result

    def load(self, pointers: ir.Value, bounds, other: ir.Value | None, kind: ir.Type) -> ir.Value:
        """The elements within `bounds`, and `other` outside; a block knows its bounds by itself."""
        attributes, dims = self._bounded(pointers, bounds)
        groups = [[pointers], dims, [] if other is None else [other]]
        return self._create("tts.load", [kind], groups, True, **attributes).result

    def store(self, pointers: ir.Value, value: ir.Value, bounds) -> None:
        """Writes the elements within `bounds`; past the caches where the kernel says that they stream."""
        attributes, dims = self._bounded(pointers, bounds)
        if self.at.name == "tt.store" and getattr(self.at.opview.cache, "keyword", None) == "cs":
            attributes[STREAMING] = ir.UnitAttr.get()
        self._create("tts.store", [], [[pointers], [value], dims], False, **attributes)

    def _bounded(self, pointers: ir.Value, bounds):
        if types.is_block(pointers.type):
            return {"boundaryCheck": ir.DenseI32ArrayAttr.get(list(range(len(bounds))))}, []
        static, dims = self._mixed([] if bounds is None else [hi for _, hi in bounds])
        return {"static_mask_dims": static}, dims

    def gather(self, base: ir.Value, offsets: ir.Value, mask, other, kind: ir.Type) -> ir.Value:
        """The elements at `offsets` from `base` where `mask` is set, and `other` elsewhere."""
        groups = [[base], [offsets], [] if mask is None else [mask], [] if other is None else [other]]
        return self._create("tts.gather", [kind], groups, True).result

    def scatter(self, base: ir.Value, offsets: ir.Value, value: ir.Value, mask) -> None:
        """Writes elements at `offsets` from `base` where `mask` is set."""
        groups = [[base], [offsets], [value], [] if mask is None else [mask]]
        self._create("tts.scatter", [], groups, False)
