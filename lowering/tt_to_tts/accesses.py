"""Memory operations, analysed: which addresses and which elements of them each one touches."""

from typing import NamedTuple

from vertebra.core.errors import CompileError
from vertebra.lowering.tt_to_tts import masks as m
from vertebra.lowering.tt_to_tts import types
from vertebra.lowering.tt_to_tts.analysis import PADDINGS, Analysis
from vertebra.lowering.tt_to_tts.expr import Expr
from vertebra.lowering.tt_to_tts.form import NONE, Block, Form, Pointers, Term

Bounds = list[tuple[Expr, Expr]]


class Access(NamedTuple):
    """What a memory operation touches.

    pointers: the addresses.  bounds: of the elements touched as `masks.limits` gives them, or
    None for all of them.
    by_tensor: the mask has no structure and stays a tensor.  padding: a key of PADDING_VALUES.
    rows: descriptor gathers only: the number of rows that may be looked up.
    """

    pointers: Pointers
    bounds: Bounds | None = None
    by_tensor: bool = False
    padding: str = "zero"
    rows: Expr | None = None


class Accesses:
    """Analyses memory operations."""

    def __init__(self, analysis: Analysis):
        self.analysis = analysis
        self.table = analysis.table
        self.masks = m.Masks(analysis)

    def of(self, op) -> Access | None:
        """The access of memory operation `op`; None if it is not one of ours."""
        rule = _RULES.get(op.name)
        return rule(self, op) if rule else None

    def _pointed(self, op) -> Access:
        view = op.opview
        pointer = view.ptr
        if types.is_block(pointer.type):
            return self._block(op, self.analysis.state(pointer))
        state = self.analysis.state(pointer)
        mask = getattr(view, "mask", None)
        if mask is None or not state.form.shape:
            return Access(state)
        found = self.masks.mask(mask)
        if found is None:
            return Access(state, by_tensor=True)
        return Access(state, m.limits(self.table, found))

    def _pointer(self, op) -> Access:
        return Access(self.analysis.state(op.operands[0]))

    def _block(self, op, state: Block) -> Access:
        view = op.opview
        checked = set(view.boundaryCheck)
        padding = view.padding if op.name == "tt.load" else None
        access = self._window(state, state.offsets, checked)
        return access._replace(padding=PADDINGS[padding.value] if padding is not None else "zero")

    def _descriptor(self, op) -> Access:
        state = self.analysis.state(op.opview.desc)
        indices = [self.table.value(v) for v in op.opview.indices]
        offsets = tuple(o + i for o, i in zip(state.offsets, indices, strict=True))
        access = self._window(state, offsets, set(range(len(offsets))))
        return access._replace(padding=state.padding or "zero")

    def _window(self, state: Block, offsets, checked: set[int]) -> Access:
        shape = state.block
        start: Expr = 0
        terms = []
        bounds = []
        for d, (offset, stride) in enumerate(zip(offsets, state.strides, strict=True)):
            start = start + offset * stride
            terms.append(Term(stride) if shape[d] > 1 and stride != 0 else NONE)
            bounds.append((-offset, state.shape[d] - offset) if d in checked else m.OPEN)
        form = Form(shape, start, tuple(terms))
        return Access(Pointers(state.base, form), m.limits(self.table, m.Mask(shape, tuple(bounds))))

    def _rows(self, op) -> Access:
        """Rows of an array, by a list of their numbers; those that do not exist read as padding."""
        view = op.opview
        state = self.analysis.state(view.desc)
        if len(state.block) != 2:
            raise CompileError(
                f"{op.name} on blocks of rank {len(state.block)}", at=op, fix="use a descriptor of 1xN blocks"
            )
        count, width = view.x_offsets.type.shape[0], state.block[1]
        column = self.table.value(view.y_offset)
        lookup = ((self.table.atom("tensor", view.x_offsets, False), state.strides[0]),)
        terms = (Term(lookup=lookup), Term(state.strides[1]) if width > 1 else NONE)
        form = Form((count, width), column * state.strides[1], terms)
        inside = m.Mask((count, width), (m.OPEN, (-column, state.shape[1] - column)))
        bounds = m.limits(self.table, inside)
        padding = state.padding or "zero"
        return Access(Pointers(state.base, form), bounds, padding=padding, rows=state.shape[0])


def layout(form: Form) -> tuple[str, int | None]:
    """How the addresses of `form` are best reached.

    "strided": every dimension has a stride or wraps around with step 1.
    "rows": so it is, but for one dimension that is looked up (its number is returned).
    "scattered": anything else.
    """
    if form.whole:
        return "scattered", None
    looked_up = [d for d, term in enumerate(form.terms) if _is_looked_up(term)]
    if not looked_up:
        return "strided", None
    wraps = any(term.wrap for d, term in enumerate(form.terms) if d not in looked_up)
    if len(looked_up) > 1 or wraps:
        return "scattered", None
    return "rows", looked_up[0]


def starts_late(bounds: Bounds | None) -> bool:
    """Whether some dimension may leave out elements at its start."""
    return bounds is not None and any(not isinstance(lo, int) or lo != 0 for lo, _ in bounds)


def _is_looked_up(term: Term) -> bool:
    if term.lookup:
        return True
    wrap = term.wrap
    return wrap is not None and (term.stride != 0 or wrap.step != 1)


_RULES = {
    "tt.load": Accesses._pointed,
    "tt.store": Accesses._pointed,
    "tt.atomic_rmw": Accesses._pointed,
    "tt.atomic_cas": Accesses._pointed,
    "tt.descriptor_load": Accesses._descriptor,
    "tt.descriptor_store": Accesses._descriptor,
    "tt.descriptor_reduce": Accesses._descriptor,
    "tt.descriptor_gather": Accesses._rows,
    "tt.descriptor_scatter": Accesses._rows,
    "tt.ptr_to_int": Accesses._pointer,
}
