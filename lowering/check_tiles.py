"""Refuses packed products whose tiles the core's matrix instructions cannot express.

Whoever packs operands for `linalg.mmt4d` has chosen the tiles, so one that is no whole number of
instructions is an error; larger ones are taken apart.  `linalg.matmul`, which `tl.dot` becomes, has none.
"""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.core.tiles import tile_fault

# What widens integers, and how their narrow types begin.
_EXTENSIONS = {"arith.extsi": "", "arith.extui": "u"}


def check_tiles(module, core, options=None) -> None:
    """Raises CompileError at the first `linalg.mmt4d` of `module` with such a tile."""

    products = []

    def visit(op):
        if op.name == "linalg.mmt4d":
            products.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in products:
        _check(op, core)


def _kind(factor: ir.Value) -> str:
    """The type that the elements of `factor` have before they are extended: "ui8" for an unsigned i8."""
    made = None if isinstance(factor.owner, ir.Block) else factor.owner.operation
    if made is None or made.name not in _EXTENSIONS:
        return str(factor.type.element_type)
    return _EXTENSIONS[made.name] + str(made.operands[0].type.element_type)


def _check(op, core) -> None:
    a, _, acc = (operand.type for operand in op.operands)
    rows, columns, m, n = acc.shape
    _, steps, _, k = a.shape
    one, two = map(_kind, list(op.operands)[:2])
    sums = str(acc.element_type)
    if fault := tile_fault(core, one, two, sums, (m, n, k), (rows, columns, steps)):
        message, fix = fault
        raise CompileError(message, at=op, fix=fix)
