"""tt -> linalg: everything that computes.  Pointers, loads and stores have steps of their own.

Elementwise arith and math operations on tensors stay as they are; so do scf loops and branches.
"""

from vertebra.core import abi, hooks
from vertebra.core.dialect import LOADED
from vertebra.core.errors import CompileError
from vertebra.core.lower import apply
from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_linalg import (
    conversion,
    dot,
    elementwise,
    irregular,
    long_scans,
    messages,
    reduce,
    scaled_dot,
    shape,
)

PATTERNS = (
    *elementwise.PATTERNS,
    *conversion.PATTERNS,
    *shape.PATTERNS,
    *dot.PATTERNS,
    *scaled_dot.PATTERNS,
    *reduce.PATTERNS,
    *irregular.PATTERNS,
    *messages.PATTERNS,
)
RUNTIME = ("__vertebra", *abi.SERVICES)  # functions that later stages, or runtimes, define


def lower_compute(module, core, options) -> None:
    """Replaces the computing operations of tt by upstream ones."""
    apply(module.operation, long_scans.PATTERNS)
    apply(module.operation, PATTERNS)


def check_lowered(module, core, options) -> None:
    """Raises CompileError for the first operation that no lowering has replaced."""
    left = []

    def visit(op):
        if op.name.partition(".")[0] in LOADED or (op.name == "func.call" and not _is_runtime_call(op)):
            left.append(op)  # an exception would not leave the walk as what it is
            return ir.WalkResult.INTERRUPT
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in left:
        if op.name == "func.call":
            raise CompileError(
                f"{op.attributes['callee'].value} is declared and called, and no plugin says what it does",
                at=op,
                fix="install the plugin that provides it",
            )
        dialect = op.name.partition(".")[0]
        if dialect not in hooks.dialects():
            raise CompileError(
                f"{op.name} belongs to dialect {dialect}, which no installed plugin has",
                at=op,
                fix=f"install the plugin {dialect}; `vertebra plugins` lists the installed ones",
            )
        types = ", ".join(str(v.type) for v in (*op.operands, *op.results))
        raise CompileError(
            f"{op.name} is not supported here ({types})",
            at=op,
            fix="write it with other operations; every stage can be printed to see where it comes from",
        )


def _is_runtime_call(op) -> bool:
    return op.attributes["callee"].value.startswith(RUNTIME)
