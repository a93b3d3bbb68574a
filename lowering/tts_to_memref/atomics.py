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
    what = view.atomic_rmw_op.keyword
    code = getattr(arith.AtomicRMWKind, _KINDS[what])
    kind = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), int(code.value))
    element_kind = types.element_of(view.ptr.type)

    def update(element: Element, memref, address, expected, value) -> ir.Value:
        return element.value("memref.atomic_rmw", value.type, value, memref, address, kind=kind)

    def add(element: Element, memref, address, expected, value) -> ir.Value:
        def change(inner: Element, current: ir.Value) -> ir.Value:
            return inner.value("arith.addf", element_kind, current, value)

        return _exchange(element, memref, address, element_kind, change)

    # No processor of ours adds narrow floats atomically.
    narrow = what == "fadd" and element_kind.width < 32
    return _atomic(build, pointers, op, view.val, [view.mask, None], add if narrow else update, narrow)


def cas(build: Builder, pointers: Pointers, op) -> ir.Value:
    """tt.atomic_cas: the old values.  Floats are compared by their bits, as the processor does."""
    view = op.opview
    return _atomic(build, pointers, op, view.val, [None, view.cmp], _compare_and_swap, True)


def _atomic(
    build: Builder, pointers: Pointers, op, value: ir.Value, inputs, update, by_bits: bool
) -> ir.Value:
    """`update` gets (element, memref, address, what is expected, value); by_bits: a memref of integers."""
    view = op.opview
    result = op.results[0].type
    scalar_kind = types.element_of(view.ptr.type)
    if isinstance(scalar_kind, ir.IntegerType) and scalar_kind.width < 8:
        raise CompileError(f"{op.name} on {scalar_kind}", at=op, fix="use integers of 8 bits or more")

    def one(element: Element, memref, address, extra, value) -> ir.Value:
        mask, expected = extra

        def act(inner: Element) -> list[ir.Value]:
            return [update(inner, memref, address, expected, value)]

        return element.branch(mask, [value.type], act, lambda inner: [_zero(inner, value.type)])[0]

    if isinstance(result, ir.RankedTensorType):
        where = pointers.elements(view.ptr)
        memref = _as_integers(build, where.memref, op) if by_bits else where.memref

        def body(element, address, extra, out):
            return one(element, memref, address, extra, out)

        return each(build, where, inputs, value, body, op)
    memref, offset = pointers.base(view.ptr)
    if by_bits:
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
    kind, bits = value.type, memref.type.element_type
    if bits != kind:
        expected = element.value("arith.bitcast", bits, expected)

    def change(inner: Element, current: ir.Value) -> ir.Value:
        found = current if bits == kind else inner.value("arith.bitcast", bits, current)
        equal = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0)
        i1 = ir.IntegerType.get_signless(1)
        same = inner.value("arith.cmpi", i1, found, expected, predicate=equal)
        return inner.value("arith.select", kind, same, value, current)

    return _exchange(element, memref, address, kind, change)


def _exchange(element: Element, memref, address, kind: ir.Type, change) -> ir.Value:
    """Replaces an element, of type `kind` but maybe stored as an integer, by `change` of it; the old one."""
    bits = memref.type.element_type
    made = element.op("memref.generic_atomic_rmw", [bits], [memref, address], regions=1)
    inner = Element(made.regions[0].blocks.append(bits, arg_locs=[element.location]), element.location)
    current = inner.block.arguments[0]
    if bits == kind:
        inner.op("memref.atomic_yield", [], [change(inner, current)])
        return made.result
    new = change(inner, inner.value("arith.bitcast", kind, current))
    inner.op("memref.atomic_yield", [], [inner.value("arith.bitcast", bits, new)])
    return element.value("arith.bitcast", kind, made.result)


def _zero(element: Element, kind: ir.Type) -> ir.Value:
    zero = ir.FloatAttr.get(kind, 0.0) if isinstance(kind, ir.FloatType) else ir.IntegerAttr.get(kind, 0)
    return element.value("arith.constant", kind, value=zero)
