"""tts and the memory operations of tt -> memref, true on every target.

Accesses with strides and bounds become copies between strided views and buffers; what has
a mask or addresses without structure becomes a linalg.generic that loads or stores one
element after the other; scalars become memref.load and memref.store.  Arguments keep their
pointer types: unrealized casts stand between them and the memrefs until functions convert.
"""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects.tt_types import PADDING_VALUES
from vertebra.lowering.tt_to_tts.dead import remove_dead
from vertebra.lowering.tt_to_tts.emit import Emitter
from vertebra.lowering.tt_to_tts.expr import Table
from vertebra.lowering.tts_to_memref import atomics, irregular, strided
from vertebra.lowering.tts_to_memref.addresses import Addresses, Pointers
from vertebra.lowering.tts_to_memref.build import Builder
from vertebra.lowering.tts_to_memref.irregular import Element


def tts_to_memref(module, core=None, options=None) -> None:
    """Replaces every memory operation of tt and tts in `module`, in place.

    Raises CompileError for a pointer of which `tt_to_tts` found nothing.
    """
    with module.context, ir.Location.unknown():
        for view in list(module.body.operations):
            function = view.operation
            if function.name.endswith(".func") and len(function.regions[0].blocks):
                table, emitter = Table(), Emitter()
                _Lowering(Builder(module, table, emitter)).function(function)
                remove_dead(function)


class _Lowering:
    def __init__(self, build: Builder):
        self.build, self.table = build, build.table
        self.pointers = Pointers(build)
        self._done: list[ir.Operation] = []

    def function(self, function) -> None:
        for block in function.regions[0].blocks:
            self._block(block)
        # Not before: what is remembered by value must not meet a new value in the place of an old one.
        for op in reversed(self._done):
            op.erase()

    def _block(self, block: ir.Block) -> None:
        for view in list(block.operations):
            op = view.operation
            lower = _LOWERINGS.get(op.name)
            if lower is None:
                if op.name.startswith("scf."):
                    for region in op.regions:
                        for inner in region.blocks:
                            self._block(inner)
                continue
            result = lower(self, op)
            if result is not None:
                op.results[0].replace_all_uses_with(result)
            self._done.append(op)

    # -- accesses of tts

    def _tts_load(self, op) -> ir.Value:
        view = op.opview
        where = self.pointers.elements(view.ptr)
        bounds, other, kind = self._bounds(view, where), view.other, op.results[0].type
        if other is None and bounds is not None:
            other = self._padding(view, kind.element_type, op)
        if where.lookup is None:
            return strided.load(self.build, where, bounds, other, kind, op)
        return self._load_each(where, None, bounds, other, kind, op)

    def _tts_store(self, op) -> None:
        view = op.opview
        where = self.pointers.elements(view.ptr)
        bounds = self._bounds(view, where)
        if where.lookup is None:
            strided.store(self.build, where, bounds, view.value, op)
        else:
            self._store_each(where, None, bounds, view.value, op)

    def _tts_gather(self, op) -> ir.Value:
        view = op.opview
        where = self.pointers.scattered(view.ptr, view.offset)
        return self._load_each(where, view.mask, None, view.other, op.results[0].type, op)

    def _tts_scatter(self, op) -> None:
        view = op.opview
        where = self.pointers.scattered(view.ptr, view.offset)
        self._store_each(where, view.mask, None, view.value, op)

    def _bounds(self, view, where: Addresses):
        """0 <= lo <= hi <= size for each dimension, or None for all elements."""
        table = self.table
        if len(view.static_mask_dims):
            values = iter(view.mask_dims)
            ends = [table.value(next(values)) if n < 0 else n for n in view.static_mask_dims]
            bounds = [(0, end) for end in ends]
        elif len(view.boundaryCheck) and where.origin is not None:
            checked = set(view.boundaryCheck)
            bounds = []
            for d, (size, origin, extent) in enumerate(
                zip(where.shape, where.origin, where.array, strict=True)
            ):
                if d not in checked:
                    bounds.append((0, size))
                    continue
                lo = table.apply("min", table.apply("max", -origin, 0), size)
                hi = table.apply("max", table.apply("min", extent - origin, size), lo)
                bounds.append((lo, hi))
        else:
            return None
        full = all(lo == 0 and hi == size for (lo, hi), size in zip(bounds, where.shape, strict=True))
        return None if full else bounds

    def _padding(self, view, element: ir.Type, op) -> ir.Value | None:
        if view.padding is None or view.padding.keyword == "zero" or not isinstance(element, ir.FloatType):
            return None
        return self.build.constant(ir.FloatAttr.get(element, PADDING_VALUES[view.padding.keyword]), op)

    def _load_each(self, where: Addresses, mask, bounds, other, kind, op) -> ir.Value:
        """other: a scalar, a tensor, or None for 0."""
        build, element_kind = self.build, kind.element_type
        tensor_other = other if other is not None and other.type == kind else None
        condition = irregular.within(build, where.shape, bounds, op)
        if other is None and (mask is not None or bounds is not None):
            other = build.zero(element_kind, op)

        def body(element: Element, address, inputs, out) -> ir.Value:
            on, own = inputs
            held = on if on is not None else condition(element)
            return element.branch(
                held,
                [element_kind],
                lambda inner: [inner.value("memref.load", element_kind, where.memref, address)],
                lambda inner: [other if own is None else own],
            )[0]

        out = irregular.empty(build, kind, op)
        return irregular.each(build, where, [mask, tensor_other], out, body, op)

    def _store_each(self, where: Addresses, mask, bounds, value: ir.Value, op) -> None:
        condition = irregular.within(self.build, where.shape, bounds, op)

        def body(element: Element, address, inputs, out) -> ir.Value:
            (on,) = inputs
            held = on if on is not None else condition(element)

            def write(inner: Element) -> list[ir.Value]:
                inner.op("memref.store", [], [out, where.memref, address])
                return []

            element.branch(held, [], write, lambda inner: [])
            return out

        irregular.each(self.build, where, [mask], value, body, op)

    # -- accesses of tt

    def _tt_load(self, op) -> ir.Value:
        view = op.opview
        kind = op.results[0].type
        if isinstance(kind, ir.RankedTensorType):
            where = self.pointers.elements(view.ptr)
            if view.mask is None and where.lookup is None and where.scattered is None:
                return strided.load(self.build, where, None, None, kind, op)
            return self._load_each(where, view.mask, None, view.other, kind, op)
        memref, offset = self.pointers.base(view.ptr)
        address = self.build.emit(offset, op)
        other = view.other
        if view.mask is not None and other is None:
            other = self.build.zero(kind, op)
        element = Element(None, op.location, before=op)
        return element.branch(
            view.mask,
            [kind],
            lambda inner: [inner.value("memref.load", kind, memref, address)],
            lambda inner: [other],
        )[0]

    def _tt_store(self, op) -> None:
        view = op.opview
        if isinstance(view.value.type, ir.RankedTensorType):
            where = self.pointers.elements(view.ptr)
            if view.mask is None and where.lookup is None and where.scattered is None:
                strided.store(self.build, where, None, view.value, op)
            else:
                self._store_each(where, view.mask, None, view.value, op)
            return
        memref, offset = self.pointers.base(view.ptr)
        address = self.build.emit(offset, op)

        def write(inner: Element) -> list[ir.Value]:
            inner.op("memref.store", [], [view.value, memref, address])
            return []

        Element(None, op.location, before=op).branch(view.mask, [], write, lambda inner: [])

    def _tt_atomic_rmw(self, op) -> ir.Value:
        return atomics.rmw(self.build, self.pointers, op)

    def _tt_atomic_cas(self, op) -> ir.Value:
        return atomics.cas(self.build, self.pointers, op)

    def _tt_ptr_to_int(self, op) -> ir.Value:
        if isinstance(op.operands[0].type, ir.RankedTensorType):
            raise CompileError("the addresses of a tensor of pointers", at=op, fix="run tt-to-tts first")
        return self.pointers.address(op.operands[0], op)


_LOWERINGS = {
    "tts.load": _Lowering._tts_load,
    "tts.store": _Lowering._tts_store,
    "tts.gather": _Lowering._tts_gather,
    "tts.scatter": _Lowering._tts_scatter,
    "tt.load": _Lowering._tt_load,
    "tt.store": _Lowering._tt_store,
    "tt.atomic_rmw": _Lowering._tt_atomic_rmw,
    "tt.atomic_cas": _Lowering._tt_atomic_cas,
    "tt.ptr_to_int": _Lowering._tt_ptr_to_int,
}
