"""What one `linalg.generic` computes: a product of matrices, or arithmetic on single elements."""

from collections.abc import Set
from typing import NamedTuple

from vertebra.core.mlir import ir

_CONVERSIONS = frozenset(
    f"arith.{name}" for name in ("extsi", "extui", "extf", "trunci", "truncf", "index_cast", "index_castui")
)
# What no instruction is needed for, or only the arithmetic of addresses.
_FREE = frozenset({"arith.constant", "arith.bitcast", "linalg.index", "linalg.yield", "scf.yield"})
_FUSED = "math.fma"


class Body(NamedTuple):
    """Per element: operations (a multiply-add is two), results, bits of results.

    types: of the factors and the sum, where it is a product; then nothing else is counted.
    """

    operations: int
    results: int
    bits: int
    types: tuple[str, str, str] | None


def body_of(op: ir.Operation, computes: Set[str]) -> Body:
    """computes: the float types that vectors compute in; others take 32 bits."""
    block = op.regions[0].blocks[0]
    if types := _product_types(op, block):
        return Body(0, 0, 0, types)
    return Body(*_count(block, computes), None)


def _count(block, computes: Set[str]) -> tuple[int, int, int]:
    operations = results = bits = 0
    for view in block.operations:
        op = view.operation
        for region in op.regions:
            for inner in region.blocks:
                more, others, wider = _count(inner, computes)
                operations, results, bits = operations + more, results + others, bits + wider
        if op.name in _FREE or not op.name.startswith(("arith.", "math.")):
            continue
        kinds = [value.type for value in (*op.operands, *op.results)]
        if all(isinstance(kind, ir.IndexType) for kind in kinds):
            continue
        operations += 0 if op.name in _CONVERSIONS else 2 if op.name == _FUSED else 1
        results += 1
        bits += max(width(kind, computes) for kind in kinds)
    return operations, results, bits


def width(kind: ir.Type, computes: Set[str]) -> int:
    """Bits of an element while it is computed with; those of a truth value are not counted."""
    if isinstance(kind, ir.IntegerType):
        return kind.width if kind.width > 1 else 0
    if isinstance(kind, ir.FloatType):
        return kind.width if str(kind) in computes else max(32, kind.width)
    return 0 if not isinstance(kind, ir.IndexType) else 32


def _product_types(op: ir.Operation, block) -> tuple[str, str, str] | None:
    """The element types of acc + a * b over a reduced dimension, or None where it is something else."""
    arguments = list(block.arguments)
    if "reduction" not in str(op.attributes["iterator_types"]) or len(arguments) != 3:
        return None
    a, b, acc = arguments
    last = list(block.operations)[-1].operation
    if len(last.operands) != 1:
        return None
    total = _maker(last.operands[0])
    if total is None or total.name not in ("arith.addf", "arith.addi"):
        return None
    terms = [v for v in total.operands if v != acc]
    factor = _maker(terms[0]) if len(terms) == 1 else None
    if factor is None or factor.name not in ("arith.mulf", "arith.muli"):
        return None
    sources = [_source(v) for v in factor.operands]
    if {value for value, _ in sources} != {a, b}:
        return None
    unsigned = dict(sources)
    a_type, b_type, acc_type = (_name(v, unsigned.get(v, False)) for v in (a, b, acc))
    return a_type, b_type, acc_type


def _maker(value) -> ir.Operation | None:
    return value.owner if isinstance(value.owner, ir.Operation) else getattr(value.owner, "operation", None)


def _source(value) -> tuple[object, bool]:
    """The value before conversions, and whether they take it for unsigned."""
    unsigned = False
    while (op := _maker(value)) is not None and op.name in _CONVERSIONS:
        unsigned |= op.name == "arith.extui"
        value = op.operands[0]
    return value, unsigned


def _name(value, unsigned: bool) -> str:
    return f"u{value.type}" if unsigned else str(value.type)
