"""Integer arithmetic that is defined for every input, where `arith` leaves cases undefined.

x86 stops a program that divides by zero, or the smallest integer by -1; RISC-V gives values
that LLVM does not promise.  A kernel computes such quotients in lanes that it masks off later, so
they get a value on every machine: x // 0 = x, x % 0 = 0, and negation wraps.  A shift by the
width or more shifts everything out.
"""

from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir, tensor
from vertebra.lowering.tt_to_linalg import build

_EQ, _ULT = arith.CmpIPredicate.eq, arith.CmpIPredicate.ult


def make_arith_total(module, core, options) -> None:
    """Guards integer division, remainder and shifts whose right side is not a harmless constant."""
    apply(module.operation, PATTERNS)


@pattern(arith.DivUIOp)
def guard_divui(op):
    return _guard_unsigned(op, arith.divui)


@pattern(arith.RemUIOp)
def guard_remui(op):
    return _guard_unsigned(op, arith.remui)


@pattern(arith.DivSIOp)
def guard_divsi(op):
    x, y = op.operands
    if _known(y) not in (None, 0, -1):
        return None
    safe, minus_one = _on_scalar(y, _without_zero_and_minus_one)
    return arith.select(minus_one, arith.subi(build.constant(x.type, 0), x), arith.divsi(x, safe))


@pattern(arith.RemSIOp)
def guard_remsi(op):
    x, y = op.operands
    if _known(y) not in (None, 0, -1):
        return None
    (safe,) = _on_scalar(y, lambda d: _without_zero_and_minus_one(d)[:1])
    return arith.remsi(x, safe)


@pattern(arith.ShLIOp)
def guard_shli(op):
    return _guard_shift(op, arith.shli)


@pattern(arith.ShRUIOp)
def guard_shrui(op):
    return _guard_shift(op, arith.shrui)


@pattern(arith.ShRSIOp)
def guard_shrsi(op):
    x, amount = op.operands
    if _is_legal_shift(amount):
        return None
    last = _width(amount) - 1
    (clamped,) = _on_scalar(amount, lambda a: (arith.minui(a, build.constant(a.type, last)),))
    return arith.shrsi(x, clamped)


def _guard_unsigned(op, compute):
    x, y = op.operands
    if _known(y) not in (None, 0):
        return None
    (safe,) = _on_scalar(y, _without_zero)
    return compute(x, safe)


def _guard_shift(op, compute):
    x, amount = op.operands
    if _is_legal_shift(amount):
        return None
    (legal,) = _on_scalar(amount, lambda a: (arith.cmpi(_ULT, a, build.constant(a.type, _width(a))),))
    return arith.select(legal, compute(x, amount), build.constant(x.type, 0))


def _without_zero(d):
    return (arith.select(arith.cmpi(_EQ, d, build.constant(d.type, 0)), build.constant(d.type, 1), d),)


def _without_zero_and_minus_one(d):
    """(`d` with 1 in the place of 0 and of -1, whether it was -1)"""
    minus_one = arith.cmpi(_EQ, d, build.constant(d.type, -1))
    (safe,) = _without_zero(d)
    return arith.select(minus_one, build.constant(d.type, 1), safe), minus_one


def _on_scalar(value, compute):
    """compute(value); on the scalar, when `value` repeats one, with the outcome repeated."""
    owner = value.owner
    if not isinstance(owner, ir.Block) and owner.name == "tensor.splat":
        shape = value.type.shape
        return tuple(
            tensor.SplatOp(build.tensor_type(shape, r.type), r, []).aggregate
            for r in compute(owner.operands[0])
        )
    return compute(value)


def _is_legal_shift(amount) -> bool:
    known = _known(amount)
    return known is not None and 0 <= known < _width(amount)


def _width(value) -> int:
    """The bits of an integer; an index is as wide as an address."""
    element = build.element_of(value.type)
    return element.width if isinstance(element, ir.IntegerType) else 64


def _known(value) -> int | None:
    """The value of a scalar constant or of one that fills a tensor, else None."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        return None
    attribute = owner.attributes["value"]
    if isinstance(attribute, ir.DenseElementsAttr):
        if not attribute.is_splat:
            return None
        attribute = attribute.get_splat_value()
    return attribute.value


PATTERNS = (guard_divui, guard_remui, guard_divsi, guard_remsi, guard_shli, guard_shrui, guard_shrsi)
