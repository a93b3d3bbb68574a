"""Matrix products."""

from vertebra.core.errors import CompileError
from vertebra.core.lower import pattern
from vertebra.core.mlir import ir, linalg
from vertebra.dialects import tt
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.conversion import convert_float, is_float8


@pattern(tt.DotOp)
def dot_to_matmul(op):
    """d = a @ b + c

    a: (M, K) or (B, M, K)    b: (K, N) or (B, K, N)    c, d: (M, N) or (B, M, N)
    Both sides are widened to c's element type before they are multiplied, whatever the kernel
    says about TF32 or imprecise accumulation: those only permit less.  8-bit floats pass
    through f16, which holds all of them exactly.
    Raises CompileError for other ranks.
    """
    a, b = (_widen(x) for x in (op.a, op.b))
    return matmul(op, a, b, op.c)


def matmul(op, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    rank = len(c.type.shape)
    if rank not in (2, 3):
        raise CompileError(
            f"{op.operation.name} of rank {rank} is not supported", at=op, fix="reshape to 2 or 3 dimensions"
        )
    kind = linalg.MatmulOp if rank == 2 else linalg.BatchMatmulOp
    new = kind([c.type], [a, b], [c])
    linalg.fill_builtin_region(new.operation)
    return new.operation.results[0]


def _widen(x: ir.Value) -> ir.Value:
    if is_float8(x.type.element_type):
        return convert_float(x, build.like(x.type, ir.F16Type.get()))
    return x


PATTERNS = (dot_to_matmul,)
