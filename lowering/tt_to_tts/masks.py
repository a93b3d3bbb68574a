"""Masks as bounds: in each dimension the elements lo <= i < hi, under scalar conditions."""

from typing import NamedTuple

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts import form as forms
from vertebra.lowering.tt_to_tts.expr import Atom, Expr, Table
from vertebra.lowering.tt_to_tts.form import NONE, Form

# A bound that is absent is None: that side of the dimension is not restricted.
Bound = tuple[Expr | None, Expr | None]
OPEN: Bound = (None, None)

_NAMES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
_SWAPPED = {
    "eq": "eq", "ne": "ne", "slt": "sgt", "sle": "sge", "sgt": "slt", "sge": "sle",
    "ult": "ugt", "ule": "uge", "ugt": "ult", "uge": "ule",
}  # fmt: skip


class Mask(NamedTuple):
    """True at (i0, i1, ...) where every bound and every condition holds.

    conditions: atoms with i1 values, or False.
    """

    shape: tuple[int, ...]
    bounds: tuple[Bound, ...]
    conditions: tuple["Atom | bool", ...] = ()


class Masks:
    """Finds masks on demand; None is a mask without structure."""

    def __init__(self, analysis):
        self.analysis = analysis
        self.table: Table = analysis.table
        self._memo: dict[ir.Value, Mask | None] = {}

    def mask(self, value: ir.Value) -> Mask | None:
        """The bounds that the i1 tensor `value` stands for, or None."""
        if value not in self._memo:
            self._memo[value] = self._find(value)
        return self._memo[value]

    def _find(self, value: ir.Value) -> Mask | None:
        owner = value.owner
        shape = tuple(value.type.shape)
        if isinstance(owner, ir.Block):
            return None
        op = owner.operation
        rule = _RULES.get(op.name)
        return rule(self, op, shape) if rule else None

    def _constant(self, op, shape):
        attribute = op.attributes["value"]
        if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
            return None
        on = bool(attribute.get_splat_value().value)
        return Mask(shape, (OPEN,) * len(shape), () if on else (False,))

    def _splat(self, op, shape):
        source = op.operands[0]
        owner = source.owner
        if not isinstance(owner, ir.Block) and owner.operation.name == "arith.constant":
            on = bool(ir.BoolAttr(owner.operation.attributes["value"]).value)
            return Mask(shape, (OPEN,) * len(shape), () if on else (False,))
        return Mask(shape, (OPEN,) * len(shape), (self.table.atom("value", source, False),))

    def _and(self, op, shape):
        a, b = (self.mask(operand) for operand in op.operands)
        if a is None or b is None:
            return None
        return intersect(self.table, a, b)

    def _expand_dims(self, op, shape):
        mask = self.mask(op.operands[0])
        axis = ir.IntegerAttr(op.attributes["axis"]).value
        return mask and Mask(shape, (*mask.bounds[:axis], OPEN, *mask.bounds[axis:]), mask.conditions)

    def _broadcast(self, op, shape):
        mask = self.mask(op.operands[0])
        # A dimension of size 1 has no bounds of its own: what is uniform became a condition.
        return mask and mask._replace(shape=shape)

    def _trans(self, op, shape):
        mask = self.mask(op.operands[0])
        order = ir.DenseI32ArrayAttr(op.attributes["order"])
        return mask and Mask(shape, tuple(mask.bounds[d] for d in order), mask.conditions)

    def _reshape(self, op, shape):
        """Only dimensions of size 1 come or go."""
        mask = self.mask(op.operands[0])
        if mask is None:
            return None
        wide = [d for d, size in enumerate(mask.shape) if size > 1]
        target = [d for d, size in enumerate(shape) if size > 1]
        if [mask.shape[d] for d in wide] != [shape[d] for d in target]:
            return None
        bounds = [OPEN] * len(shape)
        for old, new in zip(wide, target, strict=True):
            bounds[new] = mask.bounds[old]
        return Mask(shape, tuple(bounds), mask.conditions)

    def _compare(self, op, shape):
        if not shape or not _wide(op.operands[0].type.element_type):
            return None
        predicate = _NAMES[ir.IntegerAttr(op.attributes["predicate"]).value]
        left, right = op.operands
        if self.analysis.form(left).is_uniform:
            left, right, predicate = right, left, _SWAPPED[predicate]
        unsigned = predicate[0] == "u"
        # An index keeps its sign, since `i - low` may be below 0: a huge number then, beyond any bound.
        left, right = self.analysis.form(left), self.analysis.form(right, unsigned)
        if not (left.is_linear and right.is_linear) or predicate == "ne":
            return None
        if not unsigned:
            return self._interval(forms.add(self.table, left, forms.scale(right, -1)), predicate)
        if predicate not in ("ult", "ule") or not right.is_uniform:
            return None
        low = self._interval(left, "sge")
        high = self._interval(forms.add(self.table, left, forms.scale(right, -1)), "s" + predicate[1:])
        return low and high and intersect(self.table, low, high)

    def _interval(self, form: Form, predicate: str) -> Mask | None:
        """Where `form` <predicate> 0, for a form that varies in at most one dimension."""
        varying = [d for d, term in enumerate(form.terms) if term != NONE]
        bounds = [OPEN] * len(form.shape)
        if not varying:
            held = self.table.compare(predicate, form.scalar, 0)
            return Mask(form.shape, tuple(bounds), () if held is True else (held,))
        (d, *more) = varying
        stride = form.terms[d].stride
        if more or not isinstance(stride, int):
            return None
        found = _solve(self.table, form.scalar, stride, predicate)
        if found is None:
            return None
        bounds[d] = found
        return Mask(form.shape, tuple(bounds))


def _wide(kind: ir.Type) -> bool:
    return isinstance(kind, ir.IndexType) or (isinstance(kind, ir.IntegerType) and kind.width >= 32)


def _solve(table: Table, start: Expr, stride: int, predicate: str) -> Bound | None:
    """The i for which start + stride * i <predicate> 0."""
    if predicate == "eq":
        if abs(stride) != 1:
            return None
        at = start * -stride
        return at, at + 1
    if predicate in ("sgt", "sge"):
        start, stride = -start, -stride
    if predicate in ("sle", "sge"):
        start = start - 1
    # Now start + stride * i < 0.
    if stride > 0:
        return None, table.apply("ceildiv", -start, stride)
    return table.apply("floordiv", start, -stride) + 1, None


def intersect(table: Table, a: Mask, b: Mask) -> Mask:
    """Where both masks are true."""
    bounds = tuple(
        (_either(table, "max", x[0], y[0]), _either(table, "min", x[1], y[1]))
        for x, y in zip(a.bounds, b.bounds, strict=True)
    )
    conditions = (*a.conditions, *(c for c in b.conditions if c not in a.conditions))
    return Mask(a.shape, bounds, conditions)


def _either(table: Table, kind: str, a: Expr | None, b: Expr | None) -> Expr | None:
    if a is None or b is None:
        return b if a is None else a
    return table.apply(kind, a, b)


def limits(table: Table, mask: Mask) -> list[tuple[Expr, Expr]] | None:
    """(lo, hi) for each dimension; None where nothing is known to be left out.

    Where every lo is 0, hi is clamped to 0 <= hi <= size; otherwise both are as the mask says,
    on whichever side of 0 and size.  The first dimension is empty where a condition fails.
    """
    bounds = []
    for size, (lo, hi) in zip(mask.shape, mask.bounds, strict=True):
        low = 0 if lo is None else max(lo, 0) if isinstance(lo, int) else lo
        high = size if hi is None else min(hi, size) if isinstance(hi, int) else hi
        bounds.append((low, high))
    if all(isinstance(lo, int) and lo == 0 for lo, _ in bounds):
        bounds = [
            (0, table.apply("max", table.apply("min", hi, size), 0))
            for size, (_, hi) in zip(mask.shape, bounds, strict=True)
        ]
        if not mask.conditions and all(hi == size for size, (_, hi) in zip(mask.shape, bounds, strict=True)):
            return None
    low, high = bounds[0]
    for condition in mask.conditions:
        high = table.select(condition, high, low)
    return [(low, high), *bounds[1:]]


_RULES = {
    "arith.constant": Masks._constant,
    "arith.andi": Masks._and,
    "arith.cmpi": Masks._compare,
    "tt.splat": Masks._splat,
    "tt.expand_dims": Masks._expand_dims,
    "tt.broadcast": Masks._broadcast,
    "tt.trans": Masks._trans,
    "tt.reshape": Masks._reshape,
}
