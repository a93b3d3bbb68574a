"""tt -> linalg: everything that computes.  Pointers, loads and stores have steps of their own.

Elementwise arith and math operations on tensors stay as they are; so do scf loops and branches.
"""

from vertebra.core.errors import CompileError
from vertebra.core.lower import apply
from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_linalg import conversion, dot, elementwise, irregular, reduce, shape

PATTERNS = (
    *elementwise.PATTERNS,
    *conversion.PATTERNS,
    *shape.PATTERNS,
    *dot.PATTERNS,
    *reduce.PATTERNS,
    *irregular.PATTERNS,
)
DIALECTS = ("tt.", "tts.")


def lower_compute(module, core, options) -> None:
    """Replaces the computing operations of tt by upstream ones."""
    apply(module.operation, PATTERNS)


def check_lowered(module, core, options) -> None:
    """Raises CompileError for the first operation that no lowering has replaced."""

    def visit(op):
        if op.name.startswith(DIALECTS):
            types = ", ".join(str(v.type) for v in (*op.operands, *op.results))
            raise CompileError(
                f"{op.name} is not supported here ({types})",
                at=op,
                fix="write it another way; `vertebra opt --print-after-all` shows where it comes from",
            )
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
