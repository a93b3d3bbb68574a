"""What an operation of the `linalg` stage is: who makes a value, what computes, what a body holds."""

from vertebra.core.mlir import ir


def is_tensor(value) -> bool:
    return isinstance(value.type, ir.RankedTensorType)


def producer(value):
    """The operation that makes `value`, or None for a block argument."""
    owner = value.owner
    return None if isinstance(owner, ir.Block) else owner


def block_of(value):
    """The block in which `value` comes into being."""
    op = producer(value)
    return value.owner if op is None else op.operation.block


def is_elementwise(op) -> bool:
    """An arith or math operation on tensors."""
    dialect = op.name.partition(".")[0]
    return dialect in ("arith", "math") and op.name != "arith.constant" and is_tensor(op.results[0])


def body_names(op) -> set[str]:
    names = set()
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                inner = inner.operation
                names.add(inner.name)
                if len(inner.regions):
                    names |= body_names(inner)
    return names


def is_simple_reduce(op) -> bool:
    """A linalg.reduce of tensors over one dimension that calls nothing."""
    return (
        op.name == "linalg.reduce"
        and is_tensor(op.operands[0])
        and len(op.attributes["dimensions"]) == 1
        and not _calls(op)
    )


def _calls(op) -> bool:
    found = []

    def visit(inner):
        if inner.name == "func.call":
            found.append(inner)
            return ir.WalkResult.INTERRUPT
        return ir.WalkResult.ADVANCE

    op.walk(visit)
    return bool(found)


def is_parallel(op) -> bool:
    return all("parallel" in str(kind) for kind in op.attributes["iterator_types"])


def divides_indices(op) -> bool:
    """Whether a generic finds an operand's element by a division."""
    divisions = ir.AffineFloorDivExpr | ir.AffineModExpr | ir.AffineCeilDivExpr
    todo = [e for attr in op.attributes["indexing_maps"] for e in attr.value.results]
    while todo:
        e = todo.pop()
        if isinstance(e, divisions):
            return True
        if isinstance(e, ir.AffineAddExpr | ir.AffineMulExpr):
            todo += [e.lhs, e.rhs]
    return False


def extracted_from(region):
    for block in region.blocks:
        for inner in block.operations:
            inner = inner.operation
            if inner.name == "tensor.extract":
                yield inner.operands[0]
            for nested in inner.regions:
                yield from extracted_from(nested)
