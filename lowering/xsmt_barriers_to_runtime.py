"""xsmt_async -> calls of the runtime; the memory of a barrier is a buffer of its program."""

from vertebra.core.abi import BARRIER_BYTES
from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir, memref
from vertebra.dialects import xsmt_async
from vertebra.lowering.service_calls import call_service, place_text, program_of
from vertebra.lowering.tt_to_linalg import build


@pattern(xsmt_async.MBarrierAllocOp)
def mbarrier_alloc_to_call(op):
    copies, i64 = op.copies.value, build.integer(64)
    kind = ir.MemRefType.get([copies * BARRIER_BYTES // 8], i64)
    start = memref.ExtractAlignedPointerAsIndexOp(memref.AllocOp(kind, [], []).result).result
    handle = arith.IndexCastOp(i64, start).result
    counts = [op.flag, op.arrive_count, op.transaction_count, op.expect_count]
    number = build.constant(build.integer(32), copies)
    call_service(op, "vertebra_barrier_init", [handle, number, *counts, place_text(op), *program_of(op)])
    return handle


@pattern(xsmt_async.MBarrierArriveOp)
def mbarrier_arrive_to_call(op):
    return call_service(op, "vertebra_barrier_arrive", [op.barrier, place_text(op), *program_of(op)])


@pattern(xsmt_async.MBarrierWaitOp)
def mbarrier_wait_to_call(op):
    return call_service(op, "vertebra_barrier_wait", [op.barrier, op.flag, place_text(op), *program_of(op)])


@pattern(xsmt_async.MBarrierReleaseOp)
def mbarrier_release_to_call(op):
    return call_service(op, "vertebra_barrier_release", [op.barrier])


PATTERNS = (
    mbarrier_alloc_to_call,
    mbarrier_arrive_to_call,
    mbarrier_wait_to_call,
    mbarrier_release_to_call,
)


def lower_async(module, core=None, options=None) -> None:
    """Replaces the operations of xsmt_async."""
    apply(module.operation, PATTERNS)
