"""Code for blocks that lie inside of what is loaded, beside code for those at the edges.

Most blocks of a kernel are whole, but which ones is known at run time only.  One test per block spares
whole ones all masks.
"""

import contextlib

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loads import Load

_EQ, _SLE = 0, 3  # arith.cmpi predicates


def whole_or_masked(scope: Scope, value, emit) -> None:
    """emit(), which computes `value` where it likes; twice, if loads in it are masked at run-time bounds."""
    found = [scope.plan.load_of(op) for op, _ in scope.plan.inlined_loads(value)]
    loads = [load for load in found if load.other is not None]
    tests = [test for load in loads if (test := tests_of(load)) is not None]
    if not loads or len(tests) < len(loads):
        emit()
        return
    b = scope.builder(1)
    condition = _all(b, [_compared(b, *test) for group in tests for test in group])
    branch = ir.Operation.create("scf.if", [], [condition], regions=2)
    with ir.InsertionPoint(branch.regions[0].blocks.append()), _assumed_whole(loads):
        emit()
        ir.Operation.create("scf.yield", [], [])
    with ir.InsertionPoint(branch.regions[1].blocks.append()):
        emit()
        ir.Operation.create("scf.yield", [], [])


def _shape(load: Load) -> list[int]:
    return list(load.pieces[0].results[0].type.shape)


def tests_of(load: Load) -> list[tuple] | None:
    """What has to hold for `load` to need no mask: (predicate, value, number); None where it never does."""
    found = []
    for low, size, extent in zip(load.low, load.sizes, _shape(load), strict=True):
        if (isinstance(low, int) and low > 0) or (isinstance(size, int) and size < extent):
            return None
        if not isinstance(low, int):
            found.append((_EQ, low, 0))
        if not isinstance(size, int):
            found.append((_SLE, extent, size))
    return found or None


def holds(b: Builder, load: Load) -> Uniform | None:
    """Whether `load`, of which `tests_of` tells when, needs no mask (i1); None where it never needs one."""
    if load.other is None:
        return None
    return Uniform(_all(b, [_compared(b, *test) for test in tests_of(load)]))


def _compared(b: Builder, predicate: int, left, right):
    sides = [b.scalar(b.const(x)) if isinstance(x, int) else b.scalar(Uniform(x)) for x in (left, right)]
    i64 = ir.IntegerType.get_signless(64)
    return create("arith.cmpi", b.constants.i1, sides, {"predicate": ir.IntegerAttr.get(i64, predicate)})


def _all(b: Builder, conditions: list):
    result = conditions[0]
    for condition in conditions[1:]:
        result = create("arith.andi", b.constants.i1, [result, condition])
    return result


@contextlib.contextmanager
def _assumed_whole(loads: list[Load]):
    """Within it the plan takes `loads` for unmasked."""
    kept = [attrs.evolve(load) for load in loads]
    for load in loads:
        load.low, load.sizes, load.other = [0] * len(load.low), _shape(load), None
    yield
    for load, old in zip(loads, kept, strict=True):
        load.low, load.sizes, load.other = old.low, old.sizes, old.other
