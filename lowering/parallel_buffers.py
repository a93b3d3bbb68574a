"""After bufferisation: iterations of a parallel loop must not share a buffer that they write.

Bufferisation sees a loop whose turns come one after the other, so a buffer that the body only writes
before it reads may lie outside of the loop.  Where nothing else uses it, it moves into the body, and
each thread has one of its own; otherwise the loop becomes an ordinary one.
"""

from vertebra.core.mlir import ir
from vertebra.lowering.carried_buffers import origin
from vertebra.lowering.parallel_loops import inside, is_inside, make_serial, parallel_loops

_VIEWS = (
    "memref.subview",
    "memref.cast",
    "memref.reinterpret_cast",
    "memref.collapse_shape",
    "memref.expand_shape",
    "memref.transpose",
)
_READS = (
    "memref.load",
    "memref.dim",
    "memref.extract_aligned_pointer_as_index",
    "memref.extract_strided_metadata",
    "vector.load",
    "vector.maskedload",
    "vector.gather",
    "vector.transfer_read",
)
_FIX = "give each iteration memory of its own with smt.alloc inside of the loop"


def separate_buffers(module, core=None, options=None) -> None:
    """Gives every parallel loop that can stay one private buffers.

    Raises CompileError where iterations wait for each other and cannot have them.
    """
    for loop in parallel_loops(module):
        if not _hands_on_in_place(loop):
            make_serial(loop, "hand a copy of a whole tensor on", _FIX)
            continue
        shared = [alloc for alloc in _outer_allocations(loop) if _is_written(alloc.results[0], loop)]
        private = [alloc for alloc in shared if _is_used_only_in(alloc.results[0], loop)]
        if len(private) < len(shared):
            make_serial(loop, "share a buffer", _FIX)
            continue
        first = loop.regions[0].blocks[0].operations[0]
        for alloc in private:
            alloc.move_before(first)


def _hands_on_in_place(loop) -> bool:
    *_, last = loop.regions[0].blocks[0].operations
    arguments = list(loop.regions[0].blocks[0].arguments)[1:]
    return all(
        isinstance(a.type, ir.MemRefType) and origin(v) == a
        for a, v in zip(arguments, last.operands, strict=True)
    )


def _outer_allocations(loop) -> list:
    """Allocations outside of the loop that operations inside of it use, by whatever views."""
    found = []
    for op in inside(loop):
        for operand in op.operands:
            root = operand
            while not isinstance(root.owner, ir.Block) and root.owner.name in _VIEWS:
                root = root.owner.operands[0]
            if isinstance(root.owner, ir.Block) or root.owner.name != "memref.alloc":
                continue
            alloc = root.owner.operation
            if not is_inside(alloc, loop) and alloc not in found:
                found.append(alloc)
    return found


def _is_written(memref: ir.Value, loop) -> bool:
    """Whether an operation in the loop may write `memref`, or a view of it."""
    for use in memref.uses:
        op = use.owner.operation
        if op.name in _VIEWS and _is_written(op.results[0], loop):
            return True
        if op.name in _VIEWS or op.name in _READS or not is_inside(op, loop) or op == loop:
            continue
        if op.name == "memref.copy" and use.operand_number == 0:
            continue
        if op.name.startswith("linalg.") and use.operand_number < _inputs(op):
            continue
        return True
    return False


def _inputs(op) -> int:
    segments = list(op.attributes["operandSegmentSizes"]) if "operandSegmentSizes" in op.attributes else []
    return segments[0] if segments else 0


def _is_used_only_in(memref: ir.Value, loop) -> bool:
    return all(use.owner.operation != loop and is_inside(use.owner.operation, loop) for use in memref.uses)
