"""Reduction of rows, in several vector accumulators whose lanes combine at the end.

Loops begin at a row's first element where the combiner has an identity to start from: a stretch
that is loaded ahead of the loop, by instructions of its own, costs masks, and hides from the processor's
prefetcher that one row follows the other.
"""

import functools
from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.elementwise import limits_of
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Chunk, Lanes, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import either, loop, nest, pieces, whole_chunks
from vertebra.lowering.linalg_to_vector.reduction import (
    EXTREMES,
    Extreme,
    Reduction,
    chunks_of,
    store,
    values_of,
)

_ACCUMULATORS = 4  # independent chains at most: they hide the latency of the combining operation
_OEQ = 1  # arith.cmpf predicate
_LONGEST_CHAIN = 64  # lanes that one sum of floats takes in: some machines add them one after the other


def along(r: Reduction, sizes: list[int], width: int, inits: list) -> list:
    """The reduced dimension is the last one: lanes combine at the end."""
    b = r.scope.builder(width)
    *limits, limit = limits_of(r.scope, r.inputs, [*r.kept, r.axis])
    quick = None
    if r.combiner() in EXTREMES and not r.scope.unit.number_extremes:
        quick = Extreme(r.scope, r.op)

    def whole(how: Reduction, idx: list[Chunk], chains: int = _ACCUMULATORS) -> list[Chunk]:
        parts = [_run(how, idx, *piece, limit, chains) for piece in pieces(how.shape[how.axis], width)]
        scalar = how.scope.evaluator(1)
        return functools.reduce(functools.partial(how.combine, scalar), parts)

    def row(idx: list[Chunk], carried: list) -> list:
        scalar = r.scope.evaluator(1)
        if (found := r.scope.partial.pop(r.op.results[0], None)) is not None:
            lanes, accs = found
            total = _together(r, r.scope.evaluator(lanes), [chunks_of([acc]) for acc in accs])
        elif quick is not None:
            total = _checked(scalar, quick, whole(quick, idx), lambda: whole(r, idx, 1))
        else:
            total = whole(r, idx)
        if (start := r.start(scalar, idx)) is not None:
            total = r.combine(scalar, start, total)
        return store(scalar, total, carried, idx)

    return nest(b, sizes, inits, row, limits)


def _checked(scalar: Evaluator, quick: Extreme, found: list[Chunk], exact: Callable) -> list[Chunk]:
    """`found`, unless it is the identity: that may stand for NaN."""
    (value,) = values_of(scalar, found)
    (worst,) = values_of(scalar, [quick.identity(scalar)])
    equal = {"predicate": scalar.b.constants.i64_attr(_OEQ)}
    unsure = create("arith.cmpf", scalar.b.constants.i1, [value, worst], equal)
    return chunks_of(either(unsure, [value.type], lambda: values_of(scalar, exact()), lambda: [value]))


def _run(r: Reduction, idx: list[Chunk], start: int, stop: int, lanes: int, limit, most: int) -> list[Chunk]:
    """The elements start..stop-1 along the axis, in chunks of `lanes`, as scalars.

    limit: an index value below which the inputs need no mask along the axis, or None.  most: accumulators.
    """
    ev = r.scope.evaluator(lanes)
    b = ev.b
    turns = (stop - start) // lanes
    chains = min(chains_of(r, lanes), turns, most)

    def chunk(at: Uniform, inner: Evaluator, below=None) -> list[Chunk]:
        at.below = below
        return r.at(inner, idx, at if lanes == 1 else Affine(at, b.const(1), below))

    whole = turns // chains * chains
    count = len(r.inputs)
    ahead = 0  # chunks that the chains start with
    if (identity := r.identity(ev) if whole > chains or r.from_identity else None) is not None:
        accs = [[identity]] * chains
    else:
        ahead = chains
        accs = [chunk(b.const(start + c * lanes), ev) for c in range(chains)]

    def step(i, flat):
        inner = ev.child()
        new = []
        for c in range(chains):
            acc = chunks_of(flat[c * count : (c + 1) * count])
            at = b.add(i, b.const(c * lanes))
            new += values_of(inner, r.combine(inner, acc, chunk(at, inner, i.below)))
        return new

    if whole > ahead:
        flat = [v for acc in accs for v in values_of(ev, acc)]
        first, last, turn = start + ahead * lanes, start + whole * lanes, chains * lanes
        if limit is not None and start == 0:
            split = whole_chunks(b, limit, last, turn)
            if ahead:
                split = create("arith.maxsi", b.index, [split, b.scalar(b.const(first))])
            flat = loop(b, first, split, turn, flat, step, below=limit)
            first = split
        flat = loop(b, first, last, turn, flat, step)
        accs = [chunks_of(flat[c * count : (c + 1) * count]) for c in range(chains)]
    for turn in range(whole, turns):
        accs[0] = r.combine(ev, accs[0], chunk(b.const(start + turn * lanes), ev))
    return _together(r, ev, accs)


def _together(r: Reduction, ev: Evaluator, accs: list[list[Chunk]]) -> list[Chunk]:
    """All lanes of all accumulators in one, as scalars."""
    while len(accs) > 1:
        half = (len(accs) + 1) // 2
        accs = [
            r.combine(ev, accs[c], accs[c + half]) if c + half < len(accs) else accs[c] for c in range(half)
        ]
    return _lanes_together(r, ev, accs[0])


def chains_of(r: Reduction, lanes: int) -> int:
    """How many accumulators of `lanes` lanes to keep, a power of two.

    Where one operation spans a group of registers it takes longer than its latency, and half of what
    the accumulators do not take has to do for the inputs.
    """
    unit = r.scope.unit
    if unit.group == 1:
        return _ACCUMULATORS
    bits = max(_bits(v.type.element_type) for v in r.inputs)
    span = max(1, lanes * bits // unit.bits) * len(r.inputs)
    chains = (unit.registers - 2 * span) // (2 * span)
    return 1 << (min(_ACCUMULATORS, max(1, chains)).bit_length() - 1)


def _bits(type) -> int:
    return 64 if isinstance(type, ir.IndexType) else type.width


def _lanes_together(r: Reduction, ev: Evaluator, acc: list[Chunk]) -> list[Chunk]:
    if ev.b.width == 1:
        return acc
    vectors = [ev.b.vector(c) for c in acc]
    if (kind := r.kind()) is not None:
        if isinstance(acc[0].type, ir.FloatType) and ev.b.width > _LONGEST_CHAIN:
            half = r.scope.evaluator(ev.b.width // 2)
            return _lanes_together(r, half, r.combine(half, *_halves(half, vectors)))
        attributes = {"kind": ir.Attribute.parse(f"#vector.kind<{kind}>")}
        if kind in ("add", "mul") and isinstance(acc[0].type, ir.FloatType):
            attributes["fastmath"] = ir.Attribute.parse("#arith.fastmath<reassoc>")
        return [Uniform(create("vector.reduction", acc[0].type, vectors, attributes))]
    width = ev.b.width
    while width > 2:
        width //= 2
        half = r.scope.evaluator(width)
        vectors = [half.b.vector(c) for c in r.combine(half, *_halves(half, vectors))]
    low, high = ([_lane(v, at) for v in vectors] for at in (0, 1))
    return r.combine(r.scope.evaluator(1), low, high)


def _halves(half: Evaluator, vectors: list) -> list[list[Chunk]]:
    """The lower and the upper lanes of each vector, as `half` works on them."""
    width = half.b.width
    return [
        [Lanes(_slice(half.b.vector_type(v.type.element_type), v, at)) for v in vectors] for at in (0, width)
    ]


def _lane(vector, at: int) -> Uniform:
    position = ir.DenseI64ArrayAttr.get([at])
    return Uniform(
        create("vector.extract", vector.type.element_type, [vector], {"static_position": position})
    )


def _slice(type, vector, at: int):
    i64 = ir.IntegerType.get_signless(64)

    def one(x):
        return ir.ArrayAttr.get([ir.IntegerAttr.get(i64, x)])

    return create(
        "vector.extract_strided_slice",
        type,
        [vector],
        {"offsets": one(at), "sizes": one(type.shape[0]), "strides": one(1)},
    )
