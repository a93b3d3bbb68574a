"""Where finished sums go, when what they meet on the way has to be known before the product begins."""

import functools

from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.sums import VIEWS, Goal, goal_through, quiet

_DIALECTS = ("arith", "math", "tensor")
_PURE = ("memref.load", "linalg.transpose", "linalg.broadcast", "linalg.fill", *VIEWS)


def goal_with_operands(scope: Scope, op, chain: list) -> Goal | None:
    """The store at the end of `chain`, row by row or column by column; all its other operands go ahead."""
    return goal_through(scope, op, chain, functools.partial(_all_ahead, scope), row_by_row=False)


def _all_ahead(scope: Scope, between: list, chain: list, last) -> list | None:
    """All that the operands of `chain` are computed of.

    None where something else than scalar arithmetic lies between, or where it needs the sums.
    """
    rest, moved = [op for op in between if op not in chain], []
    for op in reversed(rest):
        users = [_around(use.owner.operation, op.block) for r in op.results for use in r.uses]
        if op in moved or any(user in chain or user in moved for user in users):
            if any(v in list(last.results) for v in op.operands):
                return None
            load = scope.plan.load_of(op)
            pieces = [piece for piece in (load.pieces if load else [op]) if piece in rest]
            moved += [piece for piece in pieces if piece not in moved]
    if not all(_moves(scope, op) for op in moved):
        return None
    left = [op for op in rest if op not in moved and op.name not in (*VIEWS, "arith.constant")]
    return [op for op in rest if op in moved] if quiet(left) else None


def _moves(scope: Scope, op) -> bool:
    """Whether `op` gives the same further up, where nothing in between writes memory."""
    plan = scope.plan
    if plan.is_piece(op) or plan.load_of(op) is not None:
        return True
    if op.name == "linalg.generic":
        return plan.is_pure_generic(op)
    return op.name.partition(".")[0] in _DIALECTS or op.name in _PURE


def _around(op, block):
    """The operation of `block` that is `op` or has it inside."""
    while op.block != block:
        op = op.parent.operation
    return op
