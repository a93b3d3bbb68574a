"""Finds the form of every integer tensor and pointer: what the operations that make it say."""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts import form as forms
from vertebra.lowering.tt_to_tts import types
from vertebra.lowering.tt_to_tts.expr import Atom, Table, constant_of
from vertebra.lowering.tt_to_tts.form import NONE, Block, Form, Pointers, State, Term

_NO_PADDING, _ZERO = 0, 1
PADDINGS = {_NO_PADDING: "zero", _ZERO: "zero", 2: "nan", 3: "inf", 4: "neg_inf"}


class Analysis:
    """States of values, found on demand and remembered.

    merges: finds the states of values that control flow merges; given (analysis, value).
    """

    def __init__(self, table: Table, merges):
        self.table = table
        self.merges = merges
        self.null = table.atom("null")
        self._memo: dict[tuple[ir.Value, bool], State] = {}
        self.plans: dict = {}

    def mark(self) -> tuple[int, int]:
        """A point in time to return to with `forget`."""
        return len(self._memo), len(self.plans)

    def forget(self, mark: tuple[int, int]) -> None:
        """Drops what was found since `mark`: it stood on an assumption that turned out wrong."""
        for memo, size in zip((self._memo, self.plans), mark, strict=True):
            while len(memo) > size:
                memo.popitem()

    def assume(self, value: ir.Value, state: State) -> None:
        """Takes `state` for the state of `value`."""
        self._memo[value, False] = state

    def known(self, value: ir.Value) -> State | None:
        """The state of `value` if it was found or assumed already."""
        return self._memo.get((value, False))

    def state(self, value: ir.Value, unsigned: bool = False) -> State:
        """The state of an integer, an integer tensor, a pointer, a tensor of pointers or a block pointer.

        unsigned: narrower integers inside are extended by zeros.
        """
        key = (value, unsigned)
        found = self._memo.get(key)
        if found is None:
            found = self._find(value, unsigned)
            self._memo[key] = found
        return found

    def form(self, value: ir.Value, unsigned: bool = False) -> Form:
        """The state of an integer or an integer tensor."""
        kind = value.type
        if not isinstance(kind, ir.RankedTensorType):
            return Form((), self.table.value(value, unsigned), ())
        return self.state(value, unsigned)

    def opaque(self, value: ir.Value, unsigned: bool = False) -> State:
        """The state of a value of which nothing is known."""
        kind = value.type
        if isinstance(kind, ir.RankedTensorType):
            shape = tuple(kind.shape)
            if types.is_pointer(kind.element_type):
                atom = self.table.atom("address", value, types.element_bytes(kind.element_type))
                return Pointers(self.null, forms.opaque(self.table, shape, atom))
            return forms.opaque(self.table, shape, self.table.atom("tensor", value, unsigned))
        if types.is_block(kind) or types.is_descriptor(kind):
            raise CompileError(
                f"nothing is known of this {kind}",
                at=value.location,
                fix="make the block pointer or descriptor in the function that uses it",
            )
        if types.is_pointer(kind):
            return Pointers(self.table.atom("value", value, False), Form((), 0, ()))
        return Form((), self.table.value(value, unsigned), ())

    def _find(self, value: ir.Value, unsigned: bool) -> State:
        owner = value.owner
        if isinstance(owner, ir.Block):
            return self._merged(value, unsigned) or self.opaque(value, unsigned)
        op = owner.operation
        rule = _RULES.get(op.name)
        found = rule(self, op, value, unsigned) if rule else None
        if found is None and op.name.startswith("scf."):
            found = self._merged(value, unsigned)
        return found or self.opaque(value, unsigned)

    def _merged(self, value: ir.Value, unsigned: bool) -> State | None:
        """What control flow merges is found with signs: what it is without them is not known."""
        return None if unsigned else self.merges(self, value)

    def _view(self, op, form: Form, shape: tuple[int, ...], mapped: Form | None) -> Form:
        """What a shape operation makes of `form`; `mapped` where the dimensions' terms have followed."""
        if mapped is not None and not form.whole:
            return mapped
        attributes = tuple((a, op.attributes[a]) for a in ("axis", "order") if a in op.attributes)
        inner = self.table.atom("form", form)
        return forms.opaque(self.table, shape, self.table.atom("view", op.name, attributes, inner, shape))


def _shape(value: ir.Value) -> tuple[int, ...]:
    kind = value.type
    return tuple(kind.shape) if isinstance(kind, ir.RankedTensorType) else ()


def _offsets(value: ir.Value) -> bool:
    """Whether the value is an integer tensor wide enough to be an offset."""
    kind = value.type.element_type if isinstance(value.type, ir.RankedTensorType) else value.type
    return isinstance(kind, ir.IndexType) or (isinstance(kind, ir.IntegerType) and kind.width >= 32)


def _constant(a: Analysis, op, value, unsigned):
    if not _offsets(value):
        return None
    attribute = op.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr):
        return Form((), a.table.value(value, unsigned), ())
    if not attribute.is_splat:
        return None
    return forms.uniform(_shape(value), constant_of(attribute.get_splat_value(), unsigned))


def _make_range(a: Analysis, op, value, unsigned):
    start = ir.IntegerAttr(op.attributes["start"]).value
    (size,) = _shape(value)
    return Form((size,), start, (Term(1) if size > 1 else NONE,))


def _splat(a: Analysis, op, value, unsigned):
    source = op.operands[0]
    shape = _shape(value)
    if types.is_pointer(source.type):
        pointer = a.state(source)
        return Pointers(pointer.base, forms.uniform(shape, pointer.form.scalar))
    if not _offsets(value):
        return None
    return forms.uniform(shape, a.table.value(source, unsigned))


def _on_form(a: Analysis, op, value, unsigned, mapping):
    """A shape operation on integers or pointers."""
    state = a.state(op.operands[0], unsigned)
    shape = _shape(value)
    if isinstance(state, Pointers):
        return Pointers(state.base, a._view(op, state.form, shape, mapping(state.form, shape)))
    if not _offsets(value) or state.whole:
        return None
    return mapping(state, shape)


def _expand_dims(a: Analysis, op, value, unsigned):
    axis = ir.IntegerAttr(op.attributes["axis"]).value
    return _on_form(a, op, value, unsigned, lambda form, shape: forms.expand_dims(form, axis))


def _broadcast(a: Analysis, op, value, unsigned):
    return _on_form(a, op, value, unsigned, forms.broadcast)


def _trans(a: Analysis, op, value, unsigned):
    order = tuple(ir.DenseI32ArrayAttr(op.attributes["order"]))
    return _on_form(a, op, value, unsigned, lambda form, shape: forms.transpose(form, order))


def _reshape(a: Analysis, op, value, unsigned):
    if "allow_reorder" in op.attributes:
        return None
    return _on_form(a, op, value, unsigned, forms.reshape)


def _structured(form: Form | None) -> Form | None:
    """An integer tensor without structure is best left to the operation that made it."""
    return None if form is None or form.whole else form


def _binary(build):
    def rule(a: Analysis, op, value, unsigned):
        if not _offsets(value) or not _shape(value):
            return None
        x, y = (a.form(operand, unsigned) for operand in op.operands)
        return _structured(build(a.table, x, y))

    return rule


def _addi(table: Table, x: Form, y: Form) -> Form:
    return forms.add(table, x, y)


def _subi(table: Table, x: Form, y: Form) -> Form:
    return forms.add(table, x, forms.scale(y, -1))


def _muli(table: Table, x: Form, y: Form) -> Form | None:
    if y.is_uniform:
        return forms.scale(x, y.scalar)
    return forms.scale(y, x.scalar) if x.is_uniform else None


def _shli(table: Table, x: Form, y: Form) -> Form | None:
    known = y.is_uniform and isinstance(y.scalar, int) and 0 <= y.scalar < 63
    return forms.scale(x, 1 << y.scalar) if known else None


def _rem(table: Table, x: Form, y: Form) -> Form | None:
    return forms.remainder(table, x, y.scalar) if y.is_uniform else None


def _div(table: Table, x: Form, y: Form) -> Form | None:
    if not y.is_uniform or y.scalar == 0:
        return None
    if y.scalar == 1:
        return x
    return forms.uniform(x.shape, table.apply("div", x.scalar, y.scalar)) if x.is_uniform else None


def _extend(zeros: bool):
    def rule(a: Analysis, op, value, unsigned):
        source = op.operands[0]
        if not _offsets(value) or not _offsets(source) or not _shape(value):
            return None
        return _structured(a.form(source, unsigned or zeros))

    return rule


def _truncate(a: Analysis, op, value, unsigned):
    """The structure survives where every element is known to fit; else the values stand as they are."""
    source = op.operands[0]
    if not _offsets(value) or not _offsets(source) or not _shape(value):
        return None
    form = a.form(source, unsigned)
    strides = [term.stride for term in form.terms]
    if not form.is_linear or not all(isinstance(x, int) for x in (form.scalar, *strides)):
        return None
    reach = [stride * (n - 1) for stride, n in zip(strides, form.shape, strict=True)]
    low = form.scalar + sum(min(0, x) for x in reach)
    high = form.scalar + sum(max(0, x) for x in reach)
    limit = 1 << (value.type.element_type.width - 1)
    return _structured(form) if -limit <= low and high < limit else None


def _addptr(a: Analysis, op, value, unsigned):
    pointer, offset = a.state(op.operands[0]), a.form(op.operands[1])
    return Pointers(pointer.base, forms.add(a.table, pointer.form, offset))


def _int_to_ptr(a: Analysis, op, value, unsigned):
    if not _shape(value):
        return None
    size = types.element_bytes(value.type.element_type)
    atom = a.table.atom("address", op.operands[0], size)
    return Pointers(a.null, forms.opaque(a.table, _shape(value), atom))


def _bitcast(a: Analysis, op, value, unsigned):
    """Pointers to another type; elements of another size are found by their addresses."""
    kind = value.type.element_type if _shape(value) else value.type
    if not types.is_pointer(kind):
        same = _shape(value) and _offsets(value) and op.operands[0].type == value.type
        return _structured(a.form(op.operands[0], unsigned)) if same else None
    if types.is_block(kind):
        return None
    state = a.state(op.operands[0])
    old, new = (
        types.element_bytes(v.type.element_type if _shape(v) else v.type) for v in (op.operands[0], value)
    )
    if old == new and state.base is not a.null:
        return Pointers(a.table.atom("bitcast", state.base, kind), state.form)
    if old == new:
        return state
    if not _shape(value):
        moved = a.table.atom("moved", state.base, state.form.scalar, op.operands[0].type)
        return Pointers(a.table.atom("bitcast", moved, kind), Form((), 0, ()))
    atom = a.table.atom("elements", state, old, new)
    return Pointers(a.null, forms.opaque(a.table, _shape(value), atom))


def absolute(a: Analysis, state: Pointers, size: int) -> Form:
    """The offsets of the pointers from address 0, in elements of `size` bytes."""
    if state.base is a.null:
        return state.form
    return forms.opaque(a.table, state.form.shape, a.table.atom("elements", state, size, size))


def choose(a: Analysis, condition: "bool | Atom", x: State, y: State, kind) -> State | None:
    """x where the scalar `condition` holds, else y; None where the two differ in more than numbers."""
    (skeleton, parts), (other, others) = forms.flatten(x), forms.flatten(y)
    base, second = skeleton[1], other[1]
    if (skeleton[0], *skeleton[2:]) != (other[0], *other[2:]):
        return None
    if base is not second:
        if a.null in (base, second):
            return None
        base = a.table.atom("select_base", condition, base, second, kind)
    picked = [a.table.select(condition, p, q) for p, q in zip(parts, others, strict=True)]
    return forms.unflatten((skeleton[0], base, *skeleton[2:]), picked)


def _select(a: Analysis, op, value, unsigned):
    condition, x, y = op.operands
    uniform = _scalar_condition(a, condition)
    kind = value.type.element_type if _shape(value) else value.type
    if not types.is_pointer(kind):
        if not _shape(value) or not _offsets(value) or uniform is None:
            return None
        p, q = a.form(x, unsigned), a.form(y, unsigned)
        return _structured(choose(a, uniform, p, q, kind))
    p, q = a.state(x), a.state(y)
    if uniform is not None:
        found = choose(a, uniform, p, q, kind)
        if found:
            return found
    size = types.element_bytes(kind)
    base = p.base
    if p.base is not q.base:
        base, p, q = a.null, *(Pointers(a.null, absolute(a, s, size)) for s in (p, q))
    atom = a.table.atom("choose", condition, p.form, q.form)
    return Pointers(base, forms.opaque(a.table, _shape(value), atom))


def _scalar_condition(a: Analysis, condition: ir.Value) -> Atom | None:
    """The scalar that a condition is all over, or None."""
    if _shape(condition):
        owner = condition.owner
        if isinstance(owner, ir.Block) or owner.operation.name != "tt.splat":
            return None
        condition = owner.operation.operands[0]
    return a.table.atom("value", condition, False)


def _make_tensor_ptr(a: Analysis, op, value, unsigned):
    block = types.block_shape(value.type)
    n = len(block)
    numbers = [a.table.value(v) for v in list(op.operands)[1:]]
    pointer = a.state(op.operands[0])
    base = moved(a, pointer, op.operands[0].type)
    return Block(base, *(tuple(numbers[i * n : i * n + n]) for i in range(3)), block)


def moved(a: Analysis, pointer: Pointers, kind) -> Atom:
    """The base of a scalar pointer with its offset inside."""
    if pointer.form.scalar == 0:
        return pointer.base
    return a.table.atom("moved", pointer.base, pointer.form.scalar, kind)


def _make_descriptor(a: Analysis, op, value, unsigned):
    block = types.block_shape(value.type)
    n = len(block)
    numbers = [a.table.value(v) for v in list(op.operands)[1:]]
    base = moved(a, a.state(op.operands[0]), op.operands[0].type)
    code = ir.IntegerAttr(op.attributes["padding"]).value if "padding" in op.attributes else _ZERO
    return Block(base, tuple(numbers[:n]), tuple(numbers[n:]), (0,) * n, block, PADDINGS[code])


def _advance(a: Analysis, op, value, unsigned):
    state = a.state(op.operands[0])
    steps = [a.table.value(v) for v in list(op.operands)[1:]]
    return state._replace(offsets=tuple(o + s for o, s in zip(state.offsets, steps, strict=True)))


_RULES = {
    "arith.constant": _constant,
    "arith.addi": _binary(_addi),
    "arith.subi": _binary(_subi),
    "arith.muli": _binary(_muli),
    "arith.shli": _binary(_shli),
    "arith.remsi": _binary(_rem),
    "arith.remui": _binary(_rem),
    "arith.divsi": _binary(_div),
    "arith.divui": _binary(_div),
    "arith.extsi": _extend(False),
    "arith.extui": _extend(True),
    "arith.trunci": _truncate,
    "arith.index_cast": _extend(False),
    "arith.index_castui": _extend(True),
    "arith.select": _select,
    "tt.make_range": _make_range,
    "tt.splat": _splat,
    "tt.expand_dims": _expand_dims,
    "tt.broadcast": _broadcast,
    "tt.trans": _trans,
    "tt.reshape": _reshape,
    "tt.addptr": _addptr,
    "tt.int_to_ptr": _int_to_ptr,
    "tt.bitcast": _bitcast,
    "tt.make_tensor_ptr": _make_tensor_ptr,
    "tt.make_tensor_descriptor": _make_descriptor,
    "tt.advance": _advance,
}
