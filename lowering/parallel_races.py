"""Data races between iterations of a parallel loop, where they can be seen when compiling.

Two kinds are: a store to a place that is the same in every iteration, and stores of blocks that reach
into the next iteration's.  Nothing is said about a loop whose iterations use barriers, a store that a
condition on the iteration guards, a place that was loaded or comes from an atomic, memory of the
iteration's own, or a value that is the same for all.  Runs on the `tts` form of accesses.
"""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects import tts
from vertebra.lowering.affine_index import affine_of, trip_count
from vertebra.lowering.parallel_loops import defined_inside, inside, is_inside, parallel_loops

_STORES = ("tt.store", "tts.store", "tts.scatter")
_OPAQUE = ("tt.load", "tts.load", "tts.gather", "tt.atomic_rmw", "tt.atomic_cas", "memref.alloc", "func.call")


def check_races(module, core=None, options=None) -> None:
    """Raises CompileError for the first store in which iterations meet."""
    for loop in parallel_loops(module):
        count = trip_count(loop)
        if count is not None and count <= 1:
            continue
        operations = inside(loop)
        if any("barrier" in op.name for op in operations):
            continue
        for op in operations:
            if op.name in _STORES and not _is_guarded(op, loop):
                _check_store(op, loop)


def _check_store(op, loop) -> None:
    address, value, mask = _parts(op)
    if not any(_varies(v, loop) for v in (*address, *mask)):
        if _varies(value, loop):
            raise CompileError(
                "iterations that may run at once store different values to the same place",
                at=op,
                fix="let the address depend on the loop's variable, add with an atomic, or pass"
                " bind_sub_block=False",
            )
        return
    overlap = _overlap(op, loop) if op.name == "tts.store" and not mask else None
    if overlap:
        moved, extent = overlap
        raise CompileError(
            f"iterations that may run at once store to overlapping places: a block reaches over {extent}"
            f" elements, and the next iteration's begins {moved} further",
            at=op,
            fix=f"move on by {extent} or more in each iteration, make the block smaller, or pass"
            " bind_sub_block=False",
        )


def _parts(op) -> tuple[list, ir.Value, list]:
    """(what the address is made of, the value, what the mask is made of)"""
    view = op.opview
    if op.name == "tts.scatter":
        return [view.ptr, view.offset], view.value, [view.mask] if view.mask is not None else []
    mask = list(view.mask_dims) if op.name == "tts.store" else [view.mask] if view.mask is not None else []
    return [view.ptr], view.value, mask


def _is_guarded(op, loop) -> bool:
    """Whether a condition that may depend on the iteration decides whether `op` runs."""
    outer = op.parent
    while outer != loop:
        if outer.name == "scf.if" and _varies(outer.operands[0], loop):
            return True
        if outer.name == "scf.while" or any(_varies(v, loop) for v in list(outer.operands)[:2]):
            return True
        outer = outer.parent
    return False


def _varies(value: ir.Value, loop) -> bool:
    """Whether `value` may differ between iterations."""
    seen, pending = set(), [value]
    variable = loop.regions[0].blocks[0]
    while pending:
        current = pending.pop()
        if current in seen or not defined_inside(current, loop):
            continue
        seen.add(current)
        owner = current.owner
        if isinstance(owner, ir.Block):
            if owner == variable:
                return True
            op = owner.owner.operation
            if op.name == "scf.for" and current == owner.arguments[0]:
                pending += list(op.operands)[:3]
                continue
            # A loop inside, whose turns may change what it carries: all in it counts.
        else:
            op = owner.operation
        if op.name in _OPAQUE:
            return True
        pending += list(op.operands)
        for inner in inside(op):
            if inner.name in _OPAQUE:
                return True
            pending += list(inner.operands)
    return False


def _overlap(op, loop) -> tuple[int, int] | None:
    """(how far an iteration moves on, how far its block reaches), in elements, where these overlap."""
    made, step = op.opview.ptr.owner, list(loop.operands)[2]
    step = affine_of(step, loop)
    if isinstance(made, ir.Block) or made.operation.name != "tts.make_tptr" or step is None or step.others:
        return None
    view = made.operation.opview
    if _varies(view.base, loop) or list(op.opview.static_mask_dims) or not is_inside(made.operation, loop):
        return None
    strides, shape = tts.mixed(view, "strides"), tts.mixed(view, "shape")
    moving = []
    for d, offset in enumerate(tts.mixed(view, "offsets")):
        place = affine_of(offset, loop)
        if place is None:
            return None
        if place.factor:
            moving.append((d, abs(place.factor * step.constant)))
    if len(moving) != 1:
        return None
    ((d, moved),) = moving
    stride, wraps = strides[d], not list(view.order) and shape[d] != 0
    if not isinstance(stride, int) or stride <= 0 or wraps or moved % stride:
        return None
    extent = list(view.sizes)[d] * stride
    return (moved, extent) if 0 < moved < extent else None
