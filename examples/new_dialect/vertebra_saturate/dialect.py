"""The `sat` dialect: arithmetic that stops at the ends of its type."""

from typing import Any, TypeVar

from vertebra.core.attributes import EnumAttr
from vertebra.core.dialect import Dialect
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir

T = TypeVar("T", bound=Any)


class Sat(Dialect, name="sat"):
    """Integers, and tensors of integers."""


class Sign(EnumAttr, cases={"signed": 0, "unsigned": 1}):
    """How the bits of both operands are read."""


class AddOp(Sat.Operation, name="add", traits=[ext.Pure]):
    """out = min(max(a + b, least), greatest), with the least and the greatest number of the type

    a, b, out: integers of at most 32 bits, or tensors of them, of one type
    Raises CompileError for other types.
    """

    sign: Sign
    a: ext.Operand[T]
    b: ext.Operand[T]
    out: ext.Result[T]
    assembly = "$sign $a `,` $b attr-dict `:` type($a)"

    @staticmethod
    def verify_invariants(op):
        kind = getattr(op.a.type, "element_type", op.a.type)
        if not isinstance(kind, ir.IntegerType) or kind.width > 32:
            raise CompileError(
                f"sat.add: {kind} does not saturate", at=op, fix="use integers of 8, 16 or 32 bits"
            )
        return True
