"""Views that remember which variable they are a part of, and the way back into it.

    smt.dot(a, b, smt.view(acc, (row, 0), (32, 64), (8, 16)))

adds to that part of `acc`.  Tensors of Triton are values, so the variable is given a new one: `acc`
with the part put in.  Triton's loops and branches find the assignment like any other and carry the
variable on; another name that holds the old value keeps it.
"""

import ast
from collections.abc import Callable

import attrs
import triton.language as tl

from vertebra.lowering.leave_call import leave_call
from vertebra.plugins.xsmt.language.arguments import i32

# Attributes of tensors, since a branch hands on nothing of another class than tl.tensor.
_PART, _BEFORE = "_smt_part", "_smt_before"


@attrs.frozen(eq=False)
class Part:
    """Where a view is: in `variable`, which held `base` when the view was taken, inside of `depth` loops.

    offsets, shape: in elements.  again: (semantic, generator, base) -> the same part of another base.
    """

    variable: str
    base: tl.tensor
    depth: int
    offsets: list
    shape: list[int]
    again: Callable


def remember(viewed: tl.tensor, part: Part) -> tl.tensor:
    """A tensor like `viewed` that is known to be `part` of a variable."""
    found = tl.tensor(viewed.handle, viewed.type)
    setattr(found, _PART, part)
    return found


def part_of(value: tl.tensor) -> Part | None:
    return getattr(value, _PART, None)


def name_of(generator, position: int, keyword: str) -> str | None:
    """The variable that the call being compiled has as an argument; None for any other expression."""
    call = generator.cur_node
    if not isinstance(call, ast.Call) or any(isinstance(a, ast.Starred) for a in call.args):
        return None
    found = call.args[position] if position < len(call.args) else None
    found = next((k.value for k in call.keywords if k.arg == keyword), found)
    return found.id if isinstance(found, ast.Name) else None


def _current(generator, part: Part) -> tl.tensor | None:
    """What the variable holds now; None where something else was assigned since the view was taken.

    A loop hands its variables on under new values, so inside of a loop that began after the view was taken
    the variable is followed by its name.
    """
    value = generator.lscope.get(part.variable)
    if not isinstance(value, tl.tensor) or value.type != part.base.type:
        return None
    if len(generator.scf_stack) > part.depth:
        return value
    older = value
    while older is not None and older is not part.base:
        older = getattr(older, _BEFORE, None)
    return None if older is None else value


def refreshed(semantic, generator, view: tl.tensor) -> tl.tensor:
    """`view` as its variable has it now."""
    part = part_of(view)
    if part is None:
        return view
    value = _current(generator, part)
    return view if value is None or value is part.base else part.again(semantic, generator, value)


def write_back(semantic, generator, view: tl.tensor, sums: tl.tensor) -> None:
    """Puts the packed `sums` in the place of `view` in its variable, and on where that is a view itself."""
    part = part_of(view)
    if part is None:
        return
    whole = _current(generator, part)
    if whole is None:
        return
    offsets = [i32(semantic, o) for o in part.offsets]
    operands = {"src": sums.handle, "dest": whole.handle, "offsets": offsets}
    kind = whole.type.to_ir(semantic.builder)
    (handle,) = leave_call(generator, "xsmt.insert", operands, [kind], {"shape": part.shape})
    changed = tl.tensor(handle, whole.type)
    setattr(changed, _BEFORE, whole)
    setattr(changed, _PART, part_of(part.base))
    write_back(semantic, generator, part.base, changed)
    generator.set_value(part.variable, changed)
