"""Values that are known when a kernel is compiled, for verifiers and lowerings."""

from vertebra.core.mlir import ir


def constant_of(value) -> int | None:
    """The number that an integer `value` is known to be, else None."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return None
    return ir.IntegerAttr(owner.operation.attributes["value"]).value
