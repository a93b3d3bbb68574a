"""xsmt -> xsmt_async: barriers become things that are allocated and used; handles become i64.

What has no counterpart there becomes a call of the runtime at once.
"""

from vertebra.core import hooks
from vertebra.core.errors import CompileError
from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir
from vertebra.dialects import xsmt, xsmt_async
from vertebra.lowering.kernel_entry import PROGRAMS_WAIT
from vertebra.lowering.service_calls import call_service, function_of, place_text, program_of
from vertebra.lowering.tt_to_linalg import build

LOOPS = ("scf.for", "scf.while", "scf.forall", "scf.parallel")
MAKERS = (xsmt.MBarrierCreateOp, xsmt.MBarrierCopiesOp, xsmt.GlobalMBarrierInitOp)


@pattern(xsmt.MBarrierCreateOp)
def mbarrier_create_to_alloc(op):
    counts = [op.flag, op.arrive_count, op.transaction_count, op.expect_count]
    return xsmt_async.MBarrierAllocOp(*counts, 1, op.result.type).result


@pattern(xsmt.MBarrierCopiesOp)
def mbarrier_copies_to_alloc(op):
    counts = [_i32(n.value) for n in (op.flag, op.arrive_count, op.transaction_count, op.expect_count)]
    return xsmt_async.MBarrierAllocOp(*counts, op.copies.value, op.result.type).result


@pattern(xsmt.BarrierArriveOp)
def barrier_arrive_to_arrive(op):
    xsmt_async.MBarrierArriveOp(op.barrier)
    return []


@pattern(xsmt.BarrierWaitOp)
def barrier_wait_to_wait(op):
    xsmt_async.MBarrierWaitOp(op.barrier, op.flag)
    return []


@pattern(xsmt.MBarrierSubviewOp)
def mbarrier_subview_to_call(op):
    operands = [op.barriers, op.index, place_text(op), *program_of(op)]
    return call_service(op, "vertebra_barrier_at", operands, [op.result.type])


@pattern(xsmt.BarrierSetExpectOp)
def barrier_set_expect_to_call(op):
    operands = [op.barrier, op.expect_count, place_text(op), *program_of(op)]
    return call_service(op, "vertebra_barrier_expect", operands)


@pattern(xsmt.GlobalMBarrierInitOp)
def global_mbarrier_init_to_call(op):
    function_of(op).attributes[PROGRAMS_WAIT] = ir.UnitAttr.get()
    operands = [_i32(op.id.value), place_text(op), *program_of(op)]
    return call_service(op, "vertebra_barrier_global", operands, [op.result.type])


PATTERNS = (
    mbarrier_create_to_alloc,
    mbarrier_copies_to_alloc,
    barrier_arrive_to_arrive,
    barrier_wait_to_wait,
    mbarrier_subview_to_call,
    barrier_set_expect_to_call,
    global_mbarrier_init_to_call,
)


def lower_barriers(module, core=None, options=None) -> None:
    """Replaces the barriers of xsmt.

    Raises CompileError for one that a loop makes, and where no plugin has xsmt_async.
    """
    names = {p.root.OPERATION_NAME for p in PATTERNS}
    found = []

    def visit(op):
        if op.name in names:
            found.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    if not found:
        return
    if "xsmt_async" not in hooks.dialects():
        raise CompileError(
            f"{found[0].name} becomes operations of dialect xsmt_async, which no installed plugin has",
            at=found[0],
            fix="install the plugin xsmt_async; `vertebra plugins` lists the installed ones",
        )
    for op in found:
        _check_outside_loops(op)
    _handles_to_integers(module)
    apply(module.operation, PATTERNS)


def _check_outside_loops(op) -> None:
    if op.name not in {kind.OPERATION_NAME for kind in MAKERS}:
        return
    outer = op.parent
    while outer is not None:
        if outer.name in LOOPS:
            raise CompileError(
                f"{op.name} is inside of a loop, each turn of which would make another barrier",
                at=op,
                fix="make it before the loop, or several at once with smt.mbarrier_copies",
            )
        outer = outer.parent


def _handles_to_integers(module) -> None:
    """Gives every value of type !xsmt.mbarrier, or tensor of them, the type i64."""

    def convert(value) -> None:
        type = build.element_of(value.type)
        if isinstance(type, xsmt.MBarrierType):
            value.set_type(build.like(value.type, build.integer(64)))

    def visit(op):
        for result in op.results:
            convert(result)
        for region in op.regions:
            for block in region.blocks:
                for argument in block.arguments:
                    convert(argument)
        if op.name == "func.func" and len(op.regions[0].blocks):
            inputs = [a.type for a in op.regions[0].blocks[0].arguments]
            results = op.attributes["function_type"].value.results
            op.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, results))
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)


def _i32(value: int) -> ir.Value:
    return arith.ConstantOp(build.integer(32), value).result
