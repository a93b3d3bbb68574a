"""Turns bases and tensors of offsets back into operations."""

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts import types
from vertebra.lowering.tt_to_tts.emit import Emitter, Place
from vertebra.lowering.tt_to_tts.expr import Atom, Expr
from vertebra.lowering.tt_to_tts.form import NONE, Form, Pointers, Term, Wrap

Made = tuple[ir.Value, int]


class Writer(Emitter):
    """Makes scalar pointers and offset tensors, besides index arithmetic."""

    def pointer(self, base: Atom, offset: Expr, kind: ir.Type, at) -> ir.Value:
        """The pointer of type `kind` that is `offset` elements after `base`."""
        return self._moved(base, offset, kind, Place.of(at))[0]

    def address(self, base: Atom, kind: ir.Type, at) -> ir.Value:
        """The address of a base, as an i64."""
        return self._address(base, kind, Place.of(at))[0]

    def offsets(self, form: Form, at, *, narrow: bool = True) -> ir.Value:
        """The form as a tensor of offsets: i64, or i32 where it is such a tensor and `narrow` is set."""
        place = Place.of(at)
        if narrow and form.scalar == 0 and len(form.whole) == 1 and all(t == NONE for t in form.terms):
            ((atom, factor),) = form.whole
            if factor == 1:
                return self.tensor(atom, place)[0]
        return self._form(form, place)[0]

    def lookup(self, term: Term, size: int, at) -> ir.Value:
        """One dimension's part of the offsets, as a tensor of `size` of them."""
        place = Place.of(at)
        if len(term.lookup) == 1 and term == Term(lookup=((term.lookup[0][0], 1),)):
            value, depth = self.tensor(term.lookup[0][0], place)
            return self._flat(value, depth, place)[0]
        return self._sum([*self._line_parts(term, place, size)], place)[0]

    def addresses(self, state: Pointers, kind: ir.Type, at) -> ir.Value:
        """The addresses of a tensor of pointers, as a tensor of i64."""
        return self._addresses(state, types.element_bytes(kind), Place.of(at))[0]

    def _make_atom(self, atom: Atom, place: Place) -> Made:
        """Besides scalars, the only element of a tensor."""
        if atom.kind != "extract":
            return super()._make_atom(atom, place)
        tensor, depth = self.tensor(atom.args[0], place)
        kind = ir.RankedTensorType(tensor.type)
        operands = (tensor, *([self._int(0, place)] * kind.rank))
        value = self._one("tensor.extract", kind.element_type, operands, depth, place)
        return self._one("arith.index_cast", self.index, (value,), depth, place), depth

    # -- scalar pointers

    def _base(self, base: Atom, kind: ir.Type, place: Place) -> Made:
        what = base.kind
        if what == "value":
            value = self.resolve(base.args[0])
            depth = self._depth_of(value, place)
            if value.type == kind:
                return value, depth
            return self._one("builtin.unrealized_conversion_cast", kind, (value,), depth, place), depth
        if what == "moved":
            return self._moved(base.args[0], base.args[1], base.args[2], place)
        if what == "bitcast":
            inner = base.args[0]
            value, depth = self._base(inner, kind_of(inner), place)
            return self._one("tt.bitcast", base.args[1], (value,), depth, place), depth
        if what == "at":
            value = self.bound[base.args[0]]
            depth = self._depth_of(value, place)
        elif what == "select_base":
            condition, i = self._atom(base.args[0], place)
            (x, j), (y, k) = (self._address(b, base.args[3], place) for b in base.args[1:3])
            depth = max(i, j, k)
            value = self._one("arith.select", self.i64, (condition, x, y), depth, place)
        else:
            value, depth = (
                self._once(("null",), "arith.constant", self.i64, (), 0, place, value=_zero(self.i64)),
                0,
            )
        return self._one("tt.int_to_ptr", kind, (value,), depth, place), depth

    def _moved(self, base: Atom, offset: Expr, kind: ir.Type, place: Place) -> Made:
        pointer, depth = self._base(base, kind, place)
        if isinstance(offset, int) and offset == 0:
            return pointer, depth
        number, inner = self._wide(offset, place)
        depth = max(depth, inner)
        return self._one("tt.addptr", kind, (pointer, number), depth, place), depth

    def _address(self, base: Atom, kind: ir.Type, place: Place) -> Made:
        pointer, depth = self._base(base, kind, place)
        return self._one("tt.ptr_to_int", self.i64, (pointer,), depth, place), depth

    def _wide(self, expr: Expr, place: Place) -> Made:
        """An expression as an i64."""
        value, depth = self._emit(expr, place)
        return self._one("arith.index_cast", self.i64, (value,), depth, place), depth

    def _one(self, name: str, kind: ir.Type, operands: tuple, depth: int, place: Place, **attributes):
        return self._once((name, kind, *operands), name, kind, operands, depth, place, **attributes)

    # -- tensors of i64

    def _form(self, form: Form, place: Place) -> Made:
        parts = []
        for d, term in enumerate(form.terms):
            if term == NONE:
                continue
            value, depth = self._sum([*self._line_parts(term, place, form.shape[d])], place)
            parts.append(self._spread(value, depth, form.shape, d, place))
        for atom, factor in form.whole:
            parts.append(self._times(self._widened(atom, place), factor, place))
        if not (isinstance(form.scalar, int) and form.scalar == 0) or not parts:
            parts.append(self._splat(form.scalar, form.shape, place))
        return self._sum(parts, place)

    def _line_parts(self, term: Term, place: Place, size: int):
        """The summands of one dimension's 1-D tensor."""
        for atom, factor in term.lookup:
            value, depth = self._widened(atom, place)
            yield self._times(self._flat(value, depth, place), factor, place)
        if term.wrap is not None:
            wrap = term.wrap
            yield self._times(self._range(wrap, size, place), wrap.scale, place)
        if not (isinstance(term.stride, int) and term.stride == 0):
            yield self._times(self._iota(size, place), term.stride, place)

    def _iota(self, size: int, place: Place) -> Made:
        i32 = ir.IntegerType.get_signless(32)
        narrow = ir.RankedTensorType.get([size], i32)
        ends = {"start": ir.IntegerAttr.get(i32, 0), "end": ir.IntegerAttr.get(i32, size)}
        value = self._one("tt.make_range", narrow, (), 0, place, **ends)
        return self._one("arith.extsi", _wide_tensor([size]), (value,), 0, place), 0

    def _range(self, wrap: Wrap, size: int, place: Place) -> Made:
        value = self._times(self._iota(size, place), wrap.step, place)
        value = self._sum([value, self._splat(wrap.start, (size,), place)], place)
        modulo = self._splat(wrap.modulo, (size,), place)
        depth = max(value[1], modulo[1])
        return self._binary("arith.remsi", value[0], modulo[0], depth, place), depth

    def _splat(self, expr: Expr, shape: tuple[int, ...], place: Place) -> Made:
        kind = _wide_tensor(shape)
        if isinstance(expr, int):
            dense = ir.DenseElementsAttr.get_splat(kind, ir.IntegerAttr.get(self.i64, expr))
            return self._once(("dense", expr, kind), "arith.constant", kind, (), 0, place, value=dense), 0
        value, depth = self._wide(expr, place)
        return self._one("tt.splat", kind, (value,), depth, place), depth

    def _times(self, made: Made, factor: Expr, place: Place) -> Made:
        if isinstance(factor, int) and factor == 1:
            return made
        other = self._splat(factor, tuple(made[0].type.shape), place)
        depth = max(made[1], other[1])
        return self._binary("arith.muli", made[0], other[0], depth, place), depth

    def _sum(self, parts: list[Made], place: Place) -> Made:
        parts = sorted(parts, key=lambda made: made[1])
        total, depth = parts[0]
        for value, inner in parts[1:]:
            depth = max(depth, inner)
            total = self._binary("arith.addi", total, value, depth, place)
        return total, depth

    def _spread(self, value: ir.Value, depth: int, shape: tuple[int, ...], d: int, place: Place) -> Made:
        """A 1-D tensor along dimension d of a tensor of `shape`."""
        i32 = ir.IntegerType.get_signless(32)
        now = [shape[d]]
        for axis in range(len(shape)):
            if axis != d:
                now.insert(axis, 1)
                at = ir.IntegerAttr.get(i32, axis)
                value = self._once(
                    ("expand", axis, value),
                    "tt.expand_dims",
                    _wide_tensor(now),
                    (value,),
                    depth,
                    place,
                    axis=at,
                )
        if tuple(now) != tuple(shape):
            value = self._one("tt.broadcast", _wide_tensor(shape), (value,), depth, place)
        return value, depth

    def _flat(self, value: ir.Value, depth: int, place: Place) -> Made:
        """A tensor that varies in one dimension only, as a 1-D tensor."""
        kind = ir.RankedTensorType(value.type)
        if kind.rank == 1:
            return value, depth
        size = max(kind.shape)
        flat = ir.RankedTensorType.get([size], kind.element_type)
        return self._one("tt.reshape", flat, (value,), depth, place), depth

    def _widened(self, atom: Atom, place: Place) -> Made:
        value, depth = self.tensor(atom, place)
        kind = ir.RankedTensorType(value.type)
        if kind.element_type == self.i64:
            return value, depth
        wide = _wide_tensor(kind.shape)
        if isinstance(kind.element_type, ir.IndexType):
            return self._one("arith.index_cast", wide, (value,), depth, place), depth
        unsigned = atom.kind == "tensor" and atom.args[1]
        return self._one("arith.extui" if unsigned else "arith.extsi", wide, (value,), depth, place), depth

    def tensor(self, atom: Atom, place: Place) -> Made:
        """The integer tensor that an atom stands for."""
        kind = atom.kind
        if kind == "symbol":
            value = self.bound[atom]
            return value, self._depth_of(value, place)
        if kind == "tensor":
            value = self.resolve(atom.args[0])
            return value, self._depth_of(value, place)
        if kind == "address":
            value = self.resolve(atom.args[0])
            depth = self._depth_of(value, place)
            if types.is_pointer(value.type.element_type):
                value = self._one("tt.ptr_to_int", _wide_tensor(value.type.shape), (value,), depth, place)
            return self._shifted(value, depth, atom.args[1], place)
        if kind == "form":
            return self._form(atom.args[0], place)
        if kind == "view":
            return self._view(atom, place)
        if kind == "range":
            return self._range(Wrap(*atom.args[:3], 1), atom.args[3], place)
        if kind == "elements":
            state, old, new = atom.args
            return self._shifted(*self._addresses(state, old, place), new, place)
        condition, x, y = atom.args
        choice = self.resolve(condition)
        (p, i), (q, j) = self._form(x, place), self._form(y, place)
        depth = max(self._depth_of(choice, place), i, j)
        return self._one("arith.select", p.type, (choice, p, q), depth, place), depth

    def _view(self, atom: Atom, place: Place) -> Made:
        """A shape operation repeated on offsets."""
        name, attributes, inner, shape = atom.args
        value, depth = self.tensor(inner, place)
        kind = ir.RankedTensorType.get(list(shape), value.type.element_type)
        key = (name, attributes, kind, value)
        return self._once(key, name, kind, (value,), depth, place, **dict(attributes)), depth

    def _addresses(self, state: Pointers, size: int, place: Place) -> Made:
        offsets = self._times(self._form(state.form, place), size, place)
        if state.base.kind == "null":
            return offsets
        address, depth = self._address(state.base, kind_of(state.base), place)
        splat = self._one("tt.splat", offsets[0].type, (address,), depth, place)
        return self._sum([offsets, (splat, depth)], place)

    def _shifted(self, value: ir.Value, depth: int, size: int, place: Place) -> Made:
        """Addresses in units of `size` bytes, a power of two."""
        if size == 1:
            return value, depth
        shift, _ = self._splat(size.bit_length() - 1, tuple(value.type.shape), place)
        return self._binary("arith.shrui", value, shift, depth, place), depth


def kind_of(base: Atom) -> ir.Type:
    """The type of the scalar pointer that a base stands for."""
    if base.kind == "value":
        kind = base.args[0].type
        return kind if types.is_pointer(kind) else types.pointer_to(types.element_of(kind))
    return base.args[{"moved": 2, "bitcast": 1, "at": 1, "select_base": 3}[base.kind]]


def _wide_tensor(shape) -> ir.RankedTensorType:
    return ir.RankedTensorType.get(list(shape), ir.IntegerType.get_signless(64))


def _zero(kind: ir.Type) -> ir.IntegerAttr:
    return ir.IntegerAttr.get(kind, 0)
