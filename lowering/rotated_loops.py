"""scf.for -> a test for no trip at all around a loop whose condition stands at its end.

Code generation wants loops in this form.  LLVM can rotate them too, but mends its dominator tree
after each, which for a row of loops is a tree as deep as the row is long: quadratic time.
"""

from vertebra.core.mlir import arith, ir, scf

_BELOW = {False: arith.CmpIPredicate.slt, True: arith.CmpIPredicate.ult}


def rotate_loops(module, core=None, options=None) -> None:
    """Replaces every `scf.for` below `module` in place; their results and order of effects stay."""
    found = []

    def visit(op):
        if op.name == "scf.for":
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.POST_ORDER)
    for op in found:
        _rotate(op)


def _rotate(op: ir.Operation) -> None:
    low, high, step, *initial = op.operands
    below = _BELOW["unsignedCmp" in op.attributes]
    types = [value.type for value in initial]
    with op.location, ir.InsertionPoint(op):
        if _runs(low, high):
            results = _loop(op, low, high, step, initial, below)
        else:
            guard = scf.IfOp(arith.cmpi(below, low, high), types, has_else=True)
            with ir.InsertionPoint(guard.then_block):
                scf.YieldOp(_loop(op, low, high, step, initial, below))
            with ir.InsertionPoint(guard.else_block):
                scf.YieldOp(initial)
            results = guard.results
    for old, new in zip(op.results, results, strict=True):
        old.replace_all_uses_with(new)
    op.erase()


def _runs(low: ir.Value, high: ir.Value) -> bool:
    """Whether the bounds are constants with a trip between them."""
    numbers = []
    for value in (low, high):
        owner = value.owner
        if isinstance(owner, ir.Block) or owner.name != "arith.constant":
            return False
        numbers.append(ir.IntegerAttr(owner.attributes["value"]).value)
    return 0 <= numbers[0] < numbers[1]  # in either sense of the comparison


def _loop(op, low, high, step, initial, below) -> list[ir.Value]:
    """The loop without its guard; takes the body of `op`.  Returns what the last trip yields."""
    carried = [low, *initial]
    kinds = [value.type for value in carried]
    loop = ir.Operation.create("scf.while", results=kinds, operands=carried, regions=2)
    body = op.regions[0].blocks[0]
    body.append_to(loop.regions[0])
    last = list(body.operations)[-1]
    with ir.InsertionPoint(last):
        following = arith.addi(body.arguments[0], step)
        scf.ConditionOp(arith.cmpi(below, following, high), [following, *last.operands])
    last.erase()
    after = loop.regions[1].blocks.append(*kinds, arg_locs=[op.location] * len(kinds))
    with ir.InsertionPoint(after):
        scf.YieldOp(list(after.arguments))
    return list(loop.results)[1:]
