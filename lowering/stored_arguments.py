"""Which pointer arguments a kernel stores through, for the check of a launch's memory (`core/buffers.py`).

It follows the pointers that are made of each argument, through loops and branches, to what writes through
them.  An address that becomes a number, or comes out of memory, is nobody's: nothing is said of it.
"""

from vertebra.core.mlir import ir
from vertebra.dialects.tt import PtrType, TensorDescType
from vertebra.lowering.tt_to_func import KERNEL

# On a kernel: the numbers of those arguments.
STORED = "vertebra.stored"
_WRITES = ("store", "atomic_rmw", "atomic_cas", "descriptor_store", "descriptor_reduce", "descriptor_scatter")
_LOADS = ("tt.load", "tt.atomic_rmw", "tt.atomic_cas")  # whose results point elsewhere
# Operations with regions: name -> how many operands come before those that the region's block is given.
_LOOPS = {"scf.for": 3, "scf.while": 0}


def mark_stored_arguments(module, core=None, options=None) -> None:
    """Runs behind `convert_functions`, when control flow is structured, and before accesses are analysed."""
    for function in module.body.operations:
        if KERNEL in function.operation.attributes:
            _mark(function.operation)


def _mark(kernel) -> None:
    i64 = ir.IntegerType.get_signless(64)
    arguments = list(kernel.regions[0].blocks[0].arguments)
    found = [number for number, value in enumerate(arguments) if _points(value) and _is_stored(value)]
    kernel.attributes[STORED] = ir.ArrayAttr.get([ir.IntegerAttr.get(i64, number) for number in found])


def _points(value: ir.Value) -> bool:
    kind = value.type
    if isinstance(kind, ir.RankedTensorType):
        kind = kind.element_type
    return isinstance(kind, PtrType | TensorDescType)


def _is_stored(argument: ir.Value) -> bool:
    seen, left = set(), [argument]
    while left:
        value = left.pop()
        if value in seen:
            continue
        seen.add(value)
        for use in value.uses:
            op, place = use.owner.operation, use.operand_number
            dialect, _, name = op.name.partition(".")
            if dialect == "tt" and name in _WRITES and place == 0:
                return True
            left += [made for made in _made_of(op, place) if _points(made)]
    return False


def _made_of(op, place: int) -> list[ir.Value]:
    """The values that operand `place` of `op` may become."""
    if op.name in _LOOPS:
        number = place - _LOOPS[op.name]
        return _carried(op, number) if number >= 0 else []
    if op.name == "scf.yield":
        return _carried(op.parent.operation, place)
    if op.name == "scf.condition":
        loop = op.parent.operation
        return [loop.regions[1].blocks[0].arguments[place - 1], loop.results[place - 1]] if place else []
    return [] if op.name in _LOADS else list(op.results)


def _carried(op, number: int) -> list[ir.Value]:
    """What the value `number` that a loop begins with, or that a region of `op` ends with, is afterwards."""
    if op.name == "scf.while":
        return [op.regions[0].blocks[0].arguments[number]]
    if op.name == "scf.for":
        return [op.regions[0].blocks[0].arguments[1 + number], op.results[number]]
    return [op.results[number]]
