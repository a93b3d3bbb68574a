"""Vectors stored as a plan says (`vertebra.core.layout.lanes`)."""

from vertebra.core.layout.lanes import Stores
from vertebra.core.layout.plan import Plan
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Uniform, create
from vertebra.lowering.linalg_to_vector.panel_vectors import interleaved, scatter

PLAN = "vertebra.plan"  # an attribute of buffers: how what is in them got there


def describe(buffer, plan: Plan) -> None:
    """Says in dumps by which plan `buffer`, just allocated, is filled."""
    text = f"{plan.source.name} to {plan.destination.name}: {plan.method}"
    buffer.owner.attributes[PLAN] = ir.StringAttr.get(text)


def put(scope: Scope, vectors: list, stores: Stores, buffer, at: Uniform, unit: int) -> None:
    """Stores `vectors`, of integers, into a buffer of bytes.

    at: where the plan's position 0 is, counted in `unit` bits, a multiple of what is stored at a time.
    """
    bits = vectors[0].type.element_type.width
    starts = iter(stores.starts)
    for group in stores.groups:
        members, first = [vectors[v] for v in group], next(starts) * bits
        if stores.method == "scattered":
            _scatter(scope, members[0], stores, buffer, (at, unit, first))
            continue
        assert stores.method in ("direct", "woven"), stores.method
        if stores.method == "woven":
            vector = interleaved([as_words(x, bits * stores.word) for x in members])
        else:
            (vector,) = members
        memory = panel_buffers.view(scope.builder(1), buffer, vector.type.element_type)
        panel_buffers.store(scope.builder(1), vector, memory, _index(scope, vector, at, unit, first))


def _scatter(scope: Scope, vector, stores: Stores, buffer, place: tuple) -> None:
    """Every run in words: those with the same place in their runs at once."""
    bits = vector.type.element_type.width
    words = as_words(vector, stores.moved)
    memory = panel_buffers.view(scope.builder(1), buffer, words.type.element_type)
    first = _index(scope, words, *place)
    (count,), parts = words.type.shape, stores.run * bits // stores.moved
    for part in range(parts):
        mine = words
        if parts > 1:
            mask = {"mask": ir.DenseI64ArrayAttr.get(list(range(part, count, parts)))}
            type = ir.VectorType.get([count // parts], words.type.element_type)
            mine = create("vector.shuffle", type, [words, words], mask)
        b = scope.builder(count // parts)
        scatter(b, mine, memory, b.add(first, b.const(part)), stores.pitch * bits // stores.moved)


def _index(scope: Scope, vector, at: Uniform, unit: int, first: int) -> Uniform:
    """The element of `vector`'s type that is `first` bits behind `at`."""
    b, width = scope.builder(1), vector.type.element_type.width
    assert first % width == 0 and (unit % width == 0 or width % unit == 0)
    at = (
        b.mul(at, b.const(unit // width))
        if unit >= width
        else b.binary("arith.divui", at, b.const(width // unit))
    )
    return b.add(at, b.const(first // width))


def as_words(vector, bits: int):
    """`vector` as a shorter one of elements of `bits` bits."""
    (lanes,), width = vector.type.shape, vector.type.element_type.width
    if bits == width:
        return vector
    type = ir.VectorType.get([lanes * width // bits], ir.IntegerType.get_signless(bits))
    return create("vector.bitcast", type, [vector])
