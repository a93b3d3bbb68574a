"""Pointers and offsets that loops and branches merge: what stays the same, and what has to be carried.

A loop that moves a pointer by a number of elements keeps its base and its strides; only
a number changes.  So the state of the initial value is taken for that of every round
with nothing changed, and whatever the loop turns out to change becomes a hole: a number
that the loop carries.  Where not even the structure stays the same, the whole tensor of
offsets is carried; where the base differs, its address.
"""

from typing import NamedTuple

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts import form as forms
from vertebra.lowering.tt_to_tts import types
from vertebra.lowering.tt_to_tts.analysis import Analysis, absolute
from vertebra.lowering.tt_to_tts.expr import Atom, Expr, Poly
from vertebra.lowering.tt_to_tts.form import Block, Form, Pointers, State

_KEPT = "kept"  # left to the operation as it is
_NUMBERS = "numbers"  # the structure is known, the holes are carried
_OFFSETS = "offsets"  # a tensor of offsets from a known base is carried


class Template:
    """What is known of a merged value whatever way control flow took."""

    def __init__(self, analysis: Analysis, kind: ir.Type, state: State, where):
        self.analysis, self.kind, self.where = analysis, kind, where
        self.skeleton, self.parts = forms.flatten(state)
        self.mode = _NUMBERS
        self.holes: set[int] = set()
        self.base_hole = False
        self.base = self.skeleton[1]
        self.shape = state.form.shape if isinstance(state, Pointers) else getattr(state, "shape", ())

    def widen(self, state: State) -> bool:
        """Makes room for `state`; whether anything changed."""
        if self.mode == _KEPT:
            return False
        skeleton, parts = forms.flatten(state)
        base = skeleton[1]
        if self.mode == _OFFSETS:
            return self._widen_base(base)
        if (skeleton[0], *skeleton[2:]) != (self.skeleton[0], *self.skeleton[2:]):
            self._give_up()
            self._widen_base(base)
            return True
        changed = self._widen_base(base)
        for i, (own, other) in enumerate(zip(self.parts, parts, strict=True)):
            if i not in self.holes and own != other:
                self.holes.add(i)
                changed = True
        return changed

    def close(self, op) -> None:
        """Carries whatever is only known inside of operation `op`."""
        if self.mode == _KEPT:
            return
        if any(is_inside(part, op) for part in self.skeleton[2:]):
            self._give_up()
        if self.base is not None and is_inside(self.base, op):
            self._widen_base(None)
        self.holes |= {i for i, part in enumerate(self.parts) if is_inside(part, op)}

    def _widen_base(self, base: Atom | None) -> bool:
        if self.base is base or self.base_hole:
            return False
        if self.mode == _NUMBERS and self.analysis.null in (self.base, base):
            self._give_up()
        self.base_hole = True
        return True

    def _give_up(self) -> None:
        if self.skeleton[0] is Block:
            raise CompileError(
                "this block pointer or descriptor changes its block shape or padding on the way",
                at=self.where,
                fix="let every branch and every round of the loop use the same block shape",
            )
        self.mode = _OFFSETS if self.skeleton[0] is Pointers else _KEPT

    def instance(self, home: ir.Block) -> tuple[State | None, list[Atom]]:
        """(the state of the merged value, symbols for what is carried); they live in block `home`."""
        table = self.analysis.table
        symbols: list[Atom] = []

        def symbol() -> Atom:
            symbols.append(table.symbol(home))
            return symbols[-1]

        if self.mode == _KEPT:
            return None, symbols
        if self.mode == _OFFSETS:
            base = self.analysis.null if self.base_hole else self.base
            return Pointers(base, forms.opaque(table, self.shape, symbol())), symbols
        base = self.base
        if self.base_hole:
            base = table.atom("at", symbol(), types.pointer_to(types.element_of(self.kind)))
        parts = [table.expr(symbol()) if i in self.holes else p for i, p in enumerate(self.parts)]
        return forms.unflatten((self.skeleton[0], base, *self.skeleton[2:]), parts), symbols

    def carried(self, state: State) -> list["Expr | Atom | Form"]:
        """What a round with `state` has to carry on: an address (base atom), numbers, or offsets (a form)."""
        if self.mode == _KEPT:
            return []
        if self.mode == _OFFSETS:
            size = types.element_bytes(self.kind)
            return [absolute(self.analysis, state, size) if self.base_hole else state.form]
        skeleton, parts = forms.flatten(state)
        base = [skeleton[1]] if self.base_hole else []
        return base + [part for i, part in enumerate(parts) if i in self.holes]


def is_inside(part, op) -> bool:
    """Whether anything that `part` (a value, an atom, an expression, a form) is made of lives inside `op`."""
    if isinstance(part, ir.Value):
        owner = part.owner
        return _within(owner if isinstance(owner, ir.Block) else owner.operation.block, op)
    if isinstance(part, Atom):
        return any(is_inside(arg, op) for arg in part.args)
    if isinstance(part, Poly):
        return any(is_inside(atom, op) for monomial in part.terms for atom in monomial)
    if isinstance(part, ir.Block):
        return _within(part, op)
    return isinstance(part, tuple) and any(is_inside(inner, op) for inner in part)


def _within(block: ir.Block, op) -> bool:
    """Whether `block` is nested in operation `op`."""
    while True:
        around = block.owner.operation
        if around == op:
            return True
        if around.name.endswith(".func") or around.name == "builtin.module":
            return False
        block = around.block


Item = Expr | Atom | Form


class Plan(NamedTuple):
    """What an operation carries besides its own values.

    enter: what goes in.  leave: what the terminator of each region passes on.
    arguments: symbols of each region's new block arguments.  results: symbols of the new results.
    An item is an index (an expression), an address (a base atom) or offsets (a form).
    """

    enter: list[Item]
    leave: list[list[Item]]
    arguments: list[list[Atom]]
    results: list[Atom]


def merged(analysis: Analysis, value: ir.Value) -> State | None:
    """The state of a block argument or of the result of a loop or branch; None where it has no structure."""
    if not is_candidate(value.type):
        return None
    owner = value.owner
    op = owner.owner.operation if isinstance(owner, ir.Block) else owner.operation
    if op.name not in PLANNERS:
        return None
    plan(analysis, op)
    return analysis.known(value)


def is_candidate(kind: ir.Type) -> bool:
    """Types that can be part of an address: those that lead to memory, and tensors of offsets."""
    if types.is_address(kind):
        return True
    if not isinstance(kind, ir.RankedTensorType):
        return False
    element = kind.element_type
    return isinstance(element, ir.IndexType) or (isinstance(element, ir.IntegerType) and element.width >= 32)


def plan(analysis: Analysis, op) -> Plan:
    """What `op` (scf.for, scf.if or scf.while) has to carry."""
    found = analysis.plans.get(op)
    if found is None:
        found = PLANNERS[op.name](analysis, op)
        analysis.plans[op] = found
    return found


def _assume(analysis: Analysis, templates: dict[int, Template], values, home: ir.Block) -> list[Atom]:
    symbols = []
    for i, template in templates.items():
        state, own = template.instance(home)
        analysis.assume(values[i], state or analysis.opaque(values[i]))
        symbols += own
    return symbols


def _carried(analysis: Analysis, templates: dict[int, Template], values) -> list[Item]:
    return [item for i, t in templates.items() for item in t.carried(analysis.state(values[i]))]


def _settle(analysis, templates, arguments, yielded, body, between=None) -> list[Atom]:
    """Widens the templates until what is yielded fits; the symbols of the block's new arguments."""
    while True:
        mark = analysis.mark()
        symbols = _assume(analysis, templates, arguments, body)
        if between:
            between()
        if not any([t.widen(analysis.state(yielded[i])) for i, t in templates.items()]):
            return symbols
        analysis.forget(mark)


def _templates(analysis: Analysis, values, op) -> dict[int, Template]:
    return {
        i: Template(analysis, v.type, analysis.state(v), op)
        for i, v in enumerate(values)
        if is_candidate(v.type)
    }


def _plan_for(analysis: Analysis, op) -> Plan:
    """scf.for: operands lower, upper, step, initial values; block arguments index, values."""
    inits = list(op.operands)[3:]
    body = op.regions[0].blocks[0]
    yielded = _passed(body)
    templates = _templates(analysis, inits, op)
    inner = _settle(analysis, templates, list(body.arguments)[1:], yielded, body)
    outer = _assume(analysis, templates, list(op.results), op.block)
    return Plan(
        _carried(analysis, templates, inits), [_carried(analysis, templates, yielded)], [inner], outer
    )


def _plan_if(analysis: Analysis, op) -> Plan:
    branches = [_passed(region.blocks[0]) for region in op.regions if len(region.blocks)]
    if not len(op.results):
        return Plan([], [[] for _ in branches], [[] for _ in branches], [])
    templates = _templates(analysis, branches[0], op)
    for i, template in templates.items():
        template.widen(analysis.state(branches[1][i]))
        template.close(op)
    outer = _assume(analysis, templates, list(op.results), op.block)
    return Plan([], [_carried(analysis, templates, values) for values in branches], [[], []], outer)


def _plan_while(analysis: Analysis, op) -> Plan:
    """scf.while: the first region tests and hands on, the second works and yields to the first."""
    before, after = (region.blocks[0] for region in op.regions)
    inits = list(op.operands)
    handed = _passed(before)[1:]
    yielded = _passed(after)
    templates = _templates(analysis, inits, op)
    leaving: dict[int, Template] = {}
    symbols: list[Atom] = []

    def hand_on():
        leaving.clear()
        leaving.update(_templates(analysis, handed, op))
        for template in leaving.values():
            template.close(op)
        symbols[:] = _assume(analysis, leaving, list(after.arguments), after)

    inner = _settle(analysis, templates, list(before.arguments), yielded, before, hand_on)
    outer = _assume(analysis, leaving, list(op.results), op.block)
    leave = [_carried(analysis, leaving, handed), _carried(analysis, templates, yielded)]
    return Plan(_carried(analysis, templates, inits), leave, [inner, symbols], outer)


def _passed(block: ir.Block) -> list[ir.Value]:
    """What the terminator of a block passes on."""
    *_, last = block.operations
    return list(last.operands)


PLANNERS = {"scf.for": _plan_for, "scf.if": _plan_if, "scf.while": _plan_while}
