"""linalg -> vector: loops over vectors of the core's width.

Tensors are computed where they are used or materialised once (`plan`); every
operation that must produce something in memory becomes a loop nest around vector
transfers, in its own place.  What is left on tensors afterwards is control flow and
the buffers that travel through it, which bufferisation turns into memory.
"""

from vertebra.core.mlir import ir
from vertebra.core.target import MicroKernel, PanelKernel, VectorUnit
from vertebra.lowering.linalg_to_vector import integer_starts, memory
from vertebra.lowering.linalg_to_vector.access import mixed
from vertebra.lowering.linalg_to_vector.accumulate import accumulate, match
from vertebra.lowering.linalg_to_vector.contract import contract
from vertebra.lowering.linalg_to_vector.elementwise import Scope, materialise
from vertebra.lowering.linalg_to_vector.irregular import element_by_element
from vertebra.lowering.linalg_to_vector.lanes import Constants, Uniform
from vertebra.lowering.linalg_to_vector.operations import (
    is_parallel,
    is_simple_reduce,
    is_tensor,
    producer,
)
from vertebra.lowering.linalg_to_vector.panel_form_products import product_of_form
from vertebra.lowering.linalg_to_vector.panel_products import product
from vertebra.lowering.linalg_to_vector.panels import Engine
from vertebra.lowering.linalg_to_vector.plan import Plan
from vertebra.lowering.linalg_to_vector.reduce import reduce
from vertebra.lowering.linalg_to_vector.store import effects, store


def linalg_to_vector(
    module,
    unit: VectorUnit,
    micro_kernels: tuple[MicroKernel, ...] = (),
    panel_kernels: tuple[PanelKernel, ...] = (),
) -> None:
    """Lowers every function of `module`, in place.  *_kernels: for matrix products, the best first."""
    for func in module.body.operations:
        func = func.operation
        if func.name == "func.func" and len(func.regions[0].blocks):
            block = func.regions[0].blocks[0]
            _separate_starts(block)
            if any(kernel.resident for kernel in panel_kernels):
                integer_starts.prepare(block)
            engine = Engine(panel_kernels, block)
            plan = Plan(block, mixed, match)
            _lower_block(Scope(plan, Constants(block), unit, micro_kernels, engine), block)
            engine.set_modes(func)


def _separate_starts(block) -> None:
    """Gives every loop constants of its own to start from.

    Where a loop starts, a tensor is put into memory; what is computed with the constant needs no memory.
    """
    for op in [o.operation for o in block.operations]:
        for region in op.regions:
            for inner in region.blocks:
                _separate_starts(inner)
        if op.name == "scf.for":
            for number, value in enumerate(op.operands):
                maker = producer(value)
                shared = is_tensor(value) and len(list(value.uses)) > 1
                if maker is not None and maker.name == "arith.constant" and shared:
                    with ir.InsertionPoint(op):
                        op.operands[number] = maker.operation.clone().results[0]


def _lower_block(scope: Scope, block) -> None:
    for op in [o.operation for o in block.operations]:
        with ir.InsertionPoint(op), op.location:
            _lower(scope, op)
    _erase_unused(scope, block)


def _erase_unused(scope: Scope, block) -> None:
    left = [o.operation for o in block.operations]
    candidates = [op for op in left if not scope.plan.is_piece(op) or scope.plan.load_of(op)]
    for op in reversed(candidates):
        if scope.plan.inlines(op) and not any(list(r.uses) for r in op.results):
            _erase(scope.plan, op)


def _erase(plan: Plan, op) -> None:
    load = plan.load_of(op)
    pieces = load.pieces if load else [op]
    # Users before what they use: a buffer goes after the copies into it.
    while pieces:
        dead = [not any(list(r.uses) for r in p.results) for p in pieces]
        if not any(dead):
            return
        kept = [p for p, gone in zip(pieces, dead, strict=True) if not gone]
        for p, gone in zip(pieces, dead, strict=True):
            if gone:
                p.erase()
        pieces = kept


def _lower(scope: Scope, op) -> None:
    plan, name = scope.plan, op.name
    if scope.engine and scope.engine.replaces(op):
        return
    if scope.engine and (form := scope.engine.form(op)):
        _replace([form.result], [product_of_form(scope, form)])
        for each in reversed(form.operations):
            each.erase()
    elif plan.inlines(op):
        buffered = [r for r in op.results if r in plan.materialised]
        if buffered:
            _replace(buffered, materialise(scope, buffered))
    elif name == "bufferization.materialize_in_destination":
        store(scope, op)
        op.erase()
    elif is_simple_reduce(op):
        _finish(op, reduce(scope, op))
    elif name in ("linalg.matmul", "linalg.batch_matmul"):
        _finish(op, [product(scope, op) or contract(scope, op)])
    elif name == "tensor.extract":
        ev = scope.evaluator(1)
        at = [Uniform(i) for i in list(op.operands)[1:]]
        _finish(op, [ev.b.scalar(ev.at(op.operands[0], at))])
    elif name == "linalg.generic" and is_parallel(op) and any(is_tensor(v) for v in op.operands):
        _generic(scope, op)
    elif name == "memref.copy" and not plan.is_piece(op):
        memory.copy(scope, op)
        op.erase()
    elif name == "linalg.fill" and not is_tensor(op.operands[1]) and not plan.is_piece(op):
        memory.fill(scope, op)
        op.erase()
    elif not name.startswith("linalg."):
        for region in op.regions:
            for block in region.blocks:
                _lower_block(scope, block)
        if name == "scf.for" and any(r in plan.accumulations for r in op.results):
            _erase_carried(scope, accumulate(scope, op))


def _erase_carried(scope: Scope, block) -> None:
    """Takes the tensor out of `block`, the body of a loop that now carries vectors instead."""
    _erase_unused(scope, block)
    block.erase_argument(1)


def _generic(scope: Scope, op) -> None:
    """A body with effects, or with operations that have no vector form."""
    outs = [v for v in op.operands if is_tensor(v)][-len(op.results) :]
    used = any(list(r.uses) for r in op.results)
    if scope.plan.vectorises(op) and (not used or _yields_outs(op)):
        effects(scope, op)
        _finish(op, outs)
    else:
        _finish(op, element_by_element(scope, op))


def _yields_outs(op) -> bool:
    block = op.regions[0].blocks[0]
    *_, last = block.operations
    return list(last.operands) == list(block.arguments)[-len(op.results) :]


def _replace(old: list, new: list) -> None:
    for a, b in zip(old, new, strict=True):
        if b is not None and a != b:
            a.replace_all_uses_with(b)


def _finish(op, new: list) -> None:
    _replace(list(op.results), new)
    op.erase()


def copies_to_vector(module, unit: VectorUnit) -> None:
    """Loops for the copies between memrefs that bufferisation left.

    Plain ones stay memcpy where vectors are short: a library is as fast there.  Where one operation
    spans a group of registers, memcpy may well be a loop over bytes.
    """
    for func in module.body.operations:
        func = func.operation
        if func.name != "func.func" or not len(func.regions[0].blocks):
            continue
        block = func.regions[0].blocks[0]
        found = []

        def visit(op, found=found):
            if op.name == "memref.copy" and (_any_strided(op) or (unit.group > 1 and not _holds_bits(op))):
                found.append(op.operation)
            return ir.WalkResult.ADVANCE

        func.walk(visit)
        if not found:
            continue
        scope = Scope(None, Constants(block), unit)
        for op in found:
            with ir.InsertionPoint(op), op.location:
                memory.copy(scope, op)
            op.erase()


def _any_strided(copy) -> bool:
    return any("strided" in str(v.type) for v in copy.operands)


def _holds_bits(copy) -> bool:
    """Whether it copies i1, which takes a byte an element in memory and a bit in a vector."""
    return getattr(copy.operands[0].type.element_type, "width", 64) < 8
