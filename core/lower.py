"""Rewriting, with the traps of the bindings closed (they are listed in the docstrings)."""

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from vertebra.core.mlir import ir, rewrite


@attrs.frozen
class Pattern:
    """Replaces operations of one kind: `build(op)` returns the new value(s), or None to decline.

    root: the kind, a class of operations or a name.
    """

    root: Any
    build: Callable
    benefit: int = 1

    def run(self, op, rewriter):
        with rewriter.ip, op.location:
            new = self.build(op)
        if new is None:
            return True  # the bindings take a true value for "declined"
        if isinstance(new, ir.Value):
            new = [new]
        rewriter.replace_op(op, new)
        return None


def pattern(root: type | str, *, benefit: int = 1) -> Callable[[Callable], Pattern]:
    """Declares the decorated function as the rewrite of `root` operations.

    It decides first and builds second: what it built before it declined stays in the IR.
    """
    return lambda build: Pattern(root, build, benefit)


def apply(op, patterns: Iterable[Pattern]) -> None:
    """Applies `patterns` to everything below `op`, once each: what a pattern made is not visited."""
    todo = rewrite.RewritePatternSet()
    for p in patterns:
        todo.add(p.root, p.run, p.benefit)
    rewrite.walk_and_apply_patterns(op, todo.freeze())
