"""Loop nests that carry tensors."""

import math
from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.bounds import at_least, number_of
from vertebra.lowering.linalg_to_vector.lanes import Builder, Uniform, create


def loop(b: Builder, start, stop, step: int, inits: list, body: Callable, *, below=None) -> list:
    """for i = start to stop by step; body(i, carried) returns the next carried values.

    start, stop: ints, or index values; one of the latter that starts a loop is a multiple of the
    step.  i is a Uniform, known to be below `below`.  One known turn makes no loop.
    """
    if isinstance(start, int) and isinstance(stop, int):
        turns = max(0, -(-(stop - start) // step))
        if turns == 0:
            return inits
        if turns == 1:
            return body(b.const(start), inits)
    first, high = (b.scalar(b.const(x)) if isinstance(x, int) else x for x in (start, stop))
    operands = [first, high, b.scalar(b.const(step)), *inits]
    op = ir.Operation.create("scf.for", [v.type for v in inits], operands, regions=1)
    block = op.regions[0].blocks.append(b.index, *[v.type for v in inits])
    with ir.InsertionPoint(block):
        i, *carried = block.arguments
        at = Uniform(i, multiple=math.gcd(start, step) if isinstance(start, int) else step)
        at.below = below
        ir.Operation.create("scf.yield", [], body(at, list(carried)))
    return list(op.results)


def nest(
    b: Builder,
    sizes: list[int],
    inits: list,
    body: Callable,
    limits: list | None = None,
    inside: bool = False,
) -> list:
    """Loops over all of `sizes`, the last one innermost; body(indices, carried).

    limits: for each dimension an index value between 0 and its size where masks change, or None.
    Such a dimension is walked in two loops, of which the first knows that it is below the limit;
    `inside` leaves the second one out.
    """

    def level(d: int, idx: list, carried: list, known: bool) -> list:
        if d == len(sizes):
            return body(idx, carried)
        limit = limits[d] if limits and known else None
        if limit is None:
            return loop(b, 0, sizes[d], 1, carried, lambda i, c: level(d + 1, [*idx, i], c, known))
        carried = loop(b, 0, limit, 1, carried, lambda i, c: level(d + 1, [*idx, i], c, True), below=limit)
        if inside:
            return carried
        return loop(b, limit, sizes[d], 1, carried, lambda i, c: level(d + 1, [*idx, i], c, False))

    return level(0, [], inits, True)


def whole_chunks(b: Builder, limit, size: int, width: int):
    """Where the last whole chunk of `width` (a power of two) below both `limit` and `size` ends."""
    within = any(number is not None and number <= size for number in map(number_of, at_least(limit)))
    end = limit if within else create("arith.minsi", b.index, [limit, b.scalar(b.const(size))])
    return create("arith.andi", b.index, [end, b.scalar(b.const(-width))])


def pieces(size: int, width: int) -> list[tuple[int, int, int]]:
    """(start, stop, width) of the runs of whole chunks that cover `size` elements.

    `width` is a power of two; what it leaves over is covered by smaller powers of two.
    """
    runs, start = [], 0
    while start < size:
        while width > size - start:
            width //= 2
        stop = start + (size - start) // width * width
        runs.append((start, stop, width))
        start = stop
    return runs


def either(condition, types: list, yes, no) -> list:
    """The values of yes() where `condition` (i1) holds, else of no()."""
    branch = ir.Operation.create("scf.if", types, [condition], regions=2)
    for region, make in zip(branch.regions, (yes, no), strict=True):
        with ir.InsertionPoint(region.blocks.append()):
            ir.Operation.create("scf.yield", [], make())
    return list(branch.results)
