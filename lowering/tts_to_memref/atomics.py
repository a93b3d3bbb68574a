"""Atomic read-modify-write, on one element and on tensors of them."""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import arith, ir
from vertebra.lowering.tt_to_tts import types
from vertebra.lowering.tts_to_memref.addresses import Pointers
from vertebra.lowering.tts_to_memref.build import Builder
from vertebra.lowering.tts_to_memref.irregular import Element, each

# Triton's kinds to those of arith, by their names there.
_KINDS = {
    "fadd": "addf", "add": "addi", "exch": "assign", "max": "maxs", "umax": "maxu", "min": "mins",
    "umin": "minu",
    "or": "ori", "and": "andi", "xor": "xori",
}  # fmt: skip


def rmw(build: Builder, pointers: Pointers, op) -> ir.Value:
    """tt.atomic_rmw: the old values; 0 where the mask is off."""
    view = op.opview
    code = getattr(arith.AtomicRMWKind, _KINDS[view.atomic_rmw_op.keyword])
    kind = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), int(code.value))

    def update(element: Element, memref, address, value) -> ir.Value:
        return element.value("memref.atomic_rmw", value.type, value, memref, address, kind=kind)

    return _atomic(build, pointers, op, view.val, [view.mask], update)


def cas(build: Builder, pointers: Pointers, op) -> ir.Value:
    """tt.atomic_cas: the old values.  Floats are compared by their bits, as the processor does."""
    view = op.opview
    return _atomic(build, pointers, op, view.val, [None, view.cmp], None)


def _atomic(build: Builder, pointers: Pointers, op, value: ir.Value, inputs, update) -> ir.Value:
    view = op.opview
    result = op.results[0].type
    compare = update is None
    scalar_kind = types.element_of(view.ptr.type)
    if isinstance(scalar_kind, ir.IntegerType) and scalar_kind.width < 8:
        raise CompileError(f"{op.name} on {scalar_kind}", at=op, fix="use integers of 8 bits or more")

    def one(element: Element, memref, address, extra, value) -> ir.Value:
        mask, expected = (*extra, None)[:2]

        def act(inner: Element) -> list[ir.Value]:
            if compare:
                return [_compare_and_swap(inner, memref, address, expected, value)]
            return [update(inner, memref, address, value)]

        return element.branch(mask, [value.type], act, lambda inner: [_zero(inner, value.type)])[0]

    if isinstance(result, ir.RankedTensorType):
        where = pointers.elements(view.ptr)
        memref = _as_integers(build, where.memref, op) if compare else where.memref

        def body(element, address, extra, out):
            return one(element, memref, address, extra, out)

        return each(build, where, inputs, value, body, op)
    memref, offset = pointers.base(view.ptr)
    if compare:
        memref = _as_integers(build, memref, op)
    element = Element(None, op.location, before=op)
    return one(element, memref, build.emit(offset, op), inputs, value)


def _as_integers(build: Builder, memref: ir.Value, op) -> ir.Value:
    """The same memory seen as integers: processors compare and swap nothing else."""
    kind = memref.type.element_type
    if not isinstance(kind, ir.FloatType):
        return memref
    start = build.op("memref.extract_aligned_pointer_as_index", [build.index], [memref], op).result
    address = build.op("arith.index_cast", [build.emitter.i64], [start], op).result
    return build.view_of_address(address, ir.IntegerType.get_signless(kind.width), op)


def _compare_and_swap(element: Element, memref, address, expected, value) -> ir.Value:
    kind = value.type
    stored = memref.type.element_type
    if stored != kind:
        expected, value = (element.value("arith.bitcast", stored, v) for v in (expected, value))
    made = element.op("memref.generic_atomic_rmw", [stored], [memref, address], regions=1)
    inner = Element(made.regions[0].blocks.append(stored, arg_locs=[element.location]), element.location)
    current = inner.block.arguments[0]
    equal = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0)
    same = inner.value("arith.cmpi", ir.IntegerType.get_signless(1), current, expected, predicate=equal)
    inner.op("memref.atomic_yield", [], [inner.value("arith.select", stored, same, value, current)])
    old = made.result
    return old if stored == kind else element.value("arith.bitcast", kind, old)


def _zero(element: Element, kind: ir.Type) -> ir.Value:
    zero = ir.FloatAttr.get(kind, 0.0) if isinstance(kind, ir.FloatType) else ir.IntegerAttr.get(kind, 0)
    return element.value("arith.constant", kind, value=zero)
