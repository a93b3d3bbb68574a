"""Rewrites memory operations into `tts` operations, as their analysis says."""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects.tt_types import PADDING_VALUES
from vertebra.lowering.tt_to_tts import boxes, control, merges, types
from vertebra.lowering.tt_to_tts.accesses import Access, Accesses, layout, starts_late
from vertebra.lowering.tt_to_tts.analysis import Analysis
from vertebra.lowering.tt_to_tts.expr import Expr
from vertebra.lowering.tt_to_tts.form import Pointers
from vertebra.lowering.tt_to_tts.structured import Builder
from vertebra.lowering.tt_to_tts.write import Writer

_DESCRIPTOR_REDUCE = ("add", "min", "max", "and", "or", "xor")


class Rewriter:
    """Decides about a whole function first, then rewrites it in program order."""

    def __init__(self, analysis: Analysis, writer: Writer):
        self.analysis, self.writer = analysis, writer
        self.accesses = Accesses(analysis)
        self._shells: list = []

    def function(self, op) -> None:
        """Rewrites function `op`."""
        decisions = [self._decide(block) for block in op.regions[0].blocks]
        for block in decisions:
            self._rewrite(block)
        for shell in reversed(self._shells):
            shell.erase()

    def _decide(self, block: ir.Block) -> list[tuple]:
        """(operation, decision, decisions inside of it) for all operations of a block that change."""
        decisions = []
        for view in block.operations:
            op = view.operation
            name = op.name
            if name in merges.PLANNERS:
                plan = merges.plan(self.analysis, op)
                inner = [self._decide(b) for region in op.regions for b in region.blocks]
                decisions.append((op, plan, inner))
            elif (access := self.accesses.of(op)) is not None:
                decisions.append((op, access, ()))
            elif name not in _PLAIN and (states := self._passed(op)):
                decisions.append((op, states, ()))
        return decisions

    def _passed(self, op) -> list | None:
        """Scalar pointers that go where this lowering knows nothing, such as into a call."""
        if not any(types.is_address(v.type) for v in op.operands) or op.name.startswith(_FOLLOWED):
            return None
        return [self.analysis.state(v) if types.is_address(v.type) else None for v in op.operands]

    def _rewrite(self, decisions: list[tuple]) -> None:
        for op, decision, inner in decisions:
            if isinstance(decision, merges.Plan):
                if control.rebuild(op, decision, self.writer, lambda i, inner=inner: self._rewrite(inner[i])):
                    self._shells.append(op)
            elif isinstance(decision, Access):
                _REWRITES[op.name](self, op, decision)
            else:
                self._pass_on(op, decision)

    def _pass_on(self, op, states) -> None:
        for i, state in enumerate(states):
            value = op.operands[i]
            if state is None or not types.is_pointer(value.type) or types.is_block(value.type):
                if state is not None:
                    raise CompileError(
                        f"{op.name} cannot take {value.type}",
                        at=op,
                        fix="pass the scalar pointer and the offsets, and put them together inside",
                    )
                continue
            op.operands[i] = self.writer.pointer(state.base, state.form.scalar, value.type, op)

    # -- addresses

    @staticmethod
    def _settled(access: Access) -> Access:
        """The access with its mask as a tensor where `tts` has no bounds for such addresses."""
        if not starts_late(access.bounds):
            return access
        form = access.pointers.form
        plain = layout(form)[0] == "strided" and all(term.wrap is None for term in form.terms)
        return access if plain else access._replace(by_tensor=True)

    def _tensor(
        self, op, pointers: Pointers, element: ir.Type, bounds=None
    ) -> tuple[ir.Value, ir.Value | None]:
        """(tensor of pointers, None), or (scalar pointer, offsets) where they have no structure.

        bounds: makes a pointer to a block that knows these bounds, if they need one.
        """
        form, writer = pointers.form, self.writer
        kind = types.pointer_to(element)
        how, dim = layout(form)
        if how == "scattered":
            base = writer.pointer(pointers.base, form.scalar, kind, op)
            return base, writer.offsets(form._replace(scalar=0), op)
        build = Builder(writer, op)
        first = form.terms[0].wrap is not None and dim != 0
        base = writer.pointer(pointers.base, form.scalar if first else 0, kind, op)
        offsets: list[Expr] = [0] * len(form.shape)
        if not first:
            offsets[0] = form.scalar
        strides = [term.stride for term in form.terms]
        if how == "rows":
            term = form.terms[dim]
            plain = len(term.lookup) == 1 and term.wrap is None and term.stride == 0
            if plain:
                ((atom, factor),) = term.lookup
                strides[dim], term = factor, term._replace(lookup=((atom, 1),))
            else:
                strides[dim] = 1
            lookup = writer.lookup(term, form.shape[dim], op)
            return build.make_gather_scatter_tptr(base, lookup, dim, form.shape, strides, offsets), None
        wraps: list[Expr] = [0] * len(form.shape)
        for d, term in enumerate(form.terms):
            if term.wrap is not None:
                start, _, modulo, scale = term.wrap
                strides[d], offsets[d], wraps[d] = scale, start * scale, modulo * scale
        if starts_late(bounds):
            return build.make_block(base, form.shape, strides, offsets, bounds), None
        return build.make_tptr(base, form.shape, strides, offsets, wraps), None

    def _pointer(self, op, pointers: Pointers, kind: ir.Type) -> ir.Value:
        return self.writer.pointer(pointers.base, pointers.form.scalar, kind, op)

    def _as_integers(self, pointers: Pointers) -> Pointers:
        """Where pointers lie in memory, seen as integers."""
        if pointers.base is self.analysis.null:
            return pointers
        kind = types.pointer_to(self.writer.i64)
        return pointers._replace(base=self.analysis.table.atom("bitcast", pointers.base, kind))

    # -- loads

    def _load(self, op, access: Access) -> None:
        result = op.results[0]
        view = op.opview
        kind = result.type
        element = types.element_of(view.ptr.type)
        if types.is_pointer(element):
            self._load_pointers(op, access)
            return
        if not isinstance(kind, ir.RankedTensorType):
            op.operands[0] = self._pointer(op, access.pointers, view.ptr.type)
            return
        other = view.other
        if types.is_block(view.ptr.type):
            new = self._window(op, access, element, kind)
        else:
            new = self._load_tensor(op, access, element, kind, view.mask, other)
        if new is not None:
            self.writer.replace(result, new)

    def _load_tensor(self, op, access: Access, element, kind, mask, other) -> ir.Value | None:
        """The loaded value; None where the operation itself stays, on better pointers."""
        access = self._settled(access)
        bounds = None if access.by_tensor else access.bounds
        pointers, offsets = self._tensor(op, access.pointers, element, bounds)
        scalar = None if other is None else self._uniform(other, op)
        if offsets is None and access.by_tensor and pointers.type == op.operands[0].type:
            op.operands[0] = pointers
            return None
        build = Builder(self.writer, op)
        masked = mask is not None and (access.by_tensor or access.bounds is not None)
        if offsets is None and not access.by_tensor:
            new = build.load(pointers, access.bounds, scalar, kind)
        elif offsets is None:
            new = self._plain_load(op, pointers, mask, kind)
        else:
            new = build.gather(pointers, offsets, mask if masked else None, scalar, kind)
        if masked and other is not None and scalar is None:
            new = self.writer.create("arith.select", kind, mask, new, other, at=op)
        return new

    def _plain_load(self, op, pointers, mask, kind) -> ir.Value:
        groups = ir.DenseI32ArrayAttr.get([1, 1, 0])
        return self.writer.create("tt.load", kind, pointers, mask, at=op, operandSegmentSizes=groups)

    def _load_pointers(self, op, access: Access) -> None:
        """Pointers in memory are integers; they become pointers again where they are used."""
        result, i64 = op.results[0], self.writer.i64
        view = op.opview
        pointers = self._as_integers(access.pointers)
        if isinstance(result.type, ir.RankedTensorType):
            kind = ir.RankedTensorType.get(result.type.shape, i64)
            if view.other is not None:
                raise CompileError("a load of pointers with `other`", at=op, fix="load without `other`")
            new = self._load_tensor(op, access._replace(pointers=pointers), i64, kind, view.mask, None)
            self.writer.replace(result, new)
            return
        pointer = self._pointer(op, pointers, types.pointer_to(i64))
        masks = [] if view.mask is None else [view.mask]
        groups = ir.DenseI32ArrayAttr.get([1, len(masks), 0])
        address = self.writer.create("tt.load", i64, pointer, *masks, at=op, operandSegmentSizes=groups)
        self.writer.replace(result, self.writer.create("tt.int_to_ptr", result.type, address, at=op))

    def _uniform(self, value: ir.Value, op) -> ir.Value | None:
        """The scalar that all elements of `value` are, or None."""
        owner = value.owner
        if isinstance(owner, ir.Block):
            return None
        made = owner.operation
        if made.name == "tt.splat":
            return made.operands[0]
        if made.name == "arith.constant":
            dense = made.attributes["value"]
            if isinstance(dense, ir.DenseElementsAttr) and dense.is_splat:
                scalar = dense.get_splat_value()
                return self.writer.create("arith.constant", scalar.type, at=op, value=scalar)
        return None

    def _window(self, op, access: Access, element: ir.Type, kind: ir.Type) -> ir.Value:
        """A block that may reach outside of its array."""
        pointers, _ = self._tensor(op, access.pointers, element, access.bounds)
        full = ir.RankedTensorType.get(list(access.pointers.form.shape), element)
        padding = self._padding(op, access, element)
        new = Builder(self.writer, op).load(pointers, access.bounds, padding, full)
        return new if full == kind else self.writer.create("tt.reshape", kind, new, at=op)

    def _padding(self, op, access: Access, element: ir.Type) -> ir.Value | None:
        if access.bounds is None or access.padding == "zero" or not isinstance(element, ir.FloatType):
            return None
        value = ir.FloatAttr.get(element, PADDING_VALUES[access.padding])
        return self.writer.create("arith.constant", element, at=op, value=value)

    def _descriptor_load(self, op, access: Access) -> None:
        kind = op.results[0].type
        self.writer.replace(op.results[0], self._window(op, access, kind.element_type, kind))

    def _descriptor_gather(self, op, access: Access) -> None:
        kind = op.results[0].type
        pointers, _ = self._tensor(op, access.pointers, kind.element_type)
        mask = boxes.row_mask(self.writer, op, access)
        padding = self._padding(op, access, kind.element_type)
        operands = [pointers, mask]
        if padding is not None:
            operands.append(self.writer.create("tt.splat", kind, padding, at=op))
        groups = ir.DenseI32ArrayAttr.get([1, 1, len(operands) - 2])
        new = self.writer.create("tt.load", kind, *operands, at=op, operandSegmentSizes=groups)
        self.writer.replace(op.results[0], new)

    # -- stores and atomics

    def _store(self, op, access: Access) -> None:
        view = op.opview
        value, mask, pointers = view.value, view.mask, access.pointers
        kind = value.type
        if types.is_address(kind):
            pointers = self._as_integers(pointers)
            value = self._addresses(op, value)
        if not isinstance(kind, ir.RankedTensorType):
            pointer_kind = types.pointer_to(value.type)
            op.operands[0] = self._pointer(op, pointers, pointer_kind)
            op.operands[1] = value
            return
        element = value.type.element_type
        access = self._settled(access)
        target, offsets = self._tensor(op, pointers, element, None if access.by_tensor else access.bounds)
        build = Builder(self.writer, op)
        if offsets is not None:
            masked = access.by_tensor or access.bounds is not None
            build.scatter(target, offsets, value, mask if masked else None)
        elif access.by_tensor:
            op.operands[0], op.operands[1] = target, value
            return
        else:
            build.store(target, value, access.bounds)
        self._shells.append(op)

    def _addresses(self, op, value: ir.Value) -> ir.Value:
        """Pointers as integers, on their way to memory."""
        state = self.analysis.state(value)
        if isinstance(value.type, ir.RankedTensorType):
            return self.writer.addresses(state, value.type, op)
        pointer = self._pointer(op, state, value.type)
        return self.writer.create("tt.ptr_to_int", self.writer.i64, pointer, at=op)

    def _descriptor_store(self, op, access: Access) -> None:
        value = op.opview.src
        pointers, _ = self._tensor(op, access.pointers, value.type.element_type, access.bounds)
        value = self._in_shape(op, value, access)
        Builder(self.writer, op).store(pointers, value, access.bounds)
        self._shells.append(op)

    def _in_shape(self, op, value: ir.Value, access: Access) -> ir.Value:
        shape = list(access.pointers.form.shape)
        if list(value.type.shape) == shape:
            return value
        kind = ir.RankedTensorType.get(shape, value.type.element_type)
        return self.writer.create("tt.reshape", kind, value, at=op)

    def _descriptor_scatter(self, op, access: Access) -> None:
        value = op.opview.src
        pointers, _ = self._tensor(op, access.pointers, value.type.element_type)
        mask = boxes.row_mask(self.writer, op, access)
        ir.Operation.create(
            "tt.store", [], [pointers, value, mask], loc=op.location, ip=ir.InsertionPoint(op)
        )
        self._shells.append(op)

    def _descriptor_reduce(self, op, access: Access) -> None:
        view = op.opview
        element = view.src.type.element_type
        what = view.kind.keyword
        if what not in _DESCRIPTOR_REDUCE:
            raise CompileError(
                f"tt.descriptor_reduce {what}", at=op, fix=f"use one of {', '.join(_DESCRIPTOR_REDUCE)}"
            )
        if isinstance(element, ir.FloatType) and what == "add":
            what = "fadd"
        elif isinstance(element, ir.FloatType):
            raise CompileError(f"tt.descriptor_reduce {what} of {element}", at=op, fix="use integers, or add")
        elif what in ("min", "max") and view.desc.type.is_unsigned:
            what = f"u{what}"
        value = self._in_shape(op, view.src, access)
        pointers, _ = self._tensor(op, access.pointers, element)
        operands = [pointers, value]
        if access.bounds is not None:
            operands.append(boxes.box(self.writer, op, access.pointers.form.shape, access.bounds))
        i32 = ir.IntegerType.get_signless(32)
        numbers = {"atomic_rmw_op": _RMW[what], "sem": 4, "scope": 1}
        attributes = {name: ir.IntegerAttr.get(i32, number) for name, number in numbers.items()}
        self.writer.create("tt.atomic_rmw", value.type, *operands, at=op, **attributes)
        self._shells.append(op)

    def _atomic(self, op, access: Access) -> None:
        view = op.opview
        kind = view.ptr.type
        if not isinstance(kind, ir.RankedTensorType):
            op.operands[0] = self._pointer(op, access.pointers, kind)
            return
        pointers, offsets = self._tensor(op, access.pointers, types.element_of(kind))
        if offsets is not None:
            pointers = self.writer.create("tt.splat", kind, pointers, at=op)
            pointers = self.writer.create("tt.addptr", kind, pointers, offsets, at=op)
        op.operands[0] = pointers
        if getattr(view, "mask", None) is not None and access.bounds is None and not access.by_tensor:
            # Triton masks every atomic on a tensor, if only by true.
            attributes = {name: op.attributes[name] for name in op.attributes}
            new = self.writer.create(
                "tt.atomic_rmw", op.results[0].type, pointers, view.val, at=op, **attributes
            )
            self.writer.replace(op.results[0], new)
            self._shells.append(op)

    def _ptr_to_int(self, op, access: Access) -> None:
        kind = op.operands[0].type
        if isinstance(kind, ir.RankedTensorType):
            self.writer.replace(op.results[0], self.writer.addresses(access.pointers, kind, op))
        else:
            op.operands[0] = self._pointer(op, access.pointers, kind)


_RMW = {"and": 1, "or": 2, "xor": 3, "add": 4, "fadd": 5, "max": 6, "min": 7, "umax": 8, "umin": 9}
# Operations without a place for pointers, and those that are part of pointer arithmetic.
_PLAIN = frozenset(("arith.constant", "tt.return", "tt.get_program_id", "arith.addi", "arith.muli"))
_FOLLOWED = (
    "tt.addptr", "tt.splat", "tt.broadcast", "tt.expand_dims", "tt.trans", "tt.reshape", "tt.advance",
    "tt.make_tensor", "tt.bitcast", "tt.int_to_ptr", "arith.select", "scf.",
)  # fmt: skip
_REWRITES = {
    "tt.load": Rewriter._load,
    "tt.store": Rewriter._store,
    "tt.atomic_rmw": Rewriter._atomic,
    "tt.atomic_cas": Rewriter._atomic,
    "tt.descriptor_load": Rewriter._descriptor_load,
    "tt.descriptor_store": Rewriter._descriptor_store,
    "tt.descriptor_reduce": Rewriter._descriptor_reduce,
    "tt.descriptor_gather": Rewriter._descriptor_gather,
    "tt.descriptor_scatter": Rewriter._descriptor_scatter,
    "tt.ptr_to_int": Rewriter._ptr_to_int,
}
