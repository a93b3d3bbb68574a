"""Which operations change memory that others may read."""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.loads import is_own_buffer
from vertebra.lowering.linalg_to_vector.plan import PANELS, is_view

_WRITES = frozenset(
    {
        "bufferization.materialize_in_destination",
        *("memref.store", "memref.copy", "memref.atomic_rmw", "memref.generic_atomic_rmw"),
        *("linalg.fill", "func.call"),
    }
)


def writes(op) -> bool:
    """Whether `op` itself writes memory other than our own buffers, or calls what may."""
    if op.name not in _WRITES or PANELS in op.attributes or (op.name == "func.call" and is_view(op)):
        return False
    if op.name not in ("memref.copy", "linalg.fill"):
        return True
    target = op.operands[1]
    return not isinstance(target.type, ir.RankedTensorType) and not is_own_buffer(target)
