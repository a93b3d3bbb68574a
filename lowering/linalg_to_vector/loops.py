"""Loop nests that carry tensors."""

import math
from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.lanes import Builder, Uniform


def loop(b: Builder, start: int, stop, step: int, inits: list, body: Callable) -> list:
    """for i = start to stop by step; body(i, carried) returns the next carried values.

    stop: an int, or an index value.  i is a Uniform.  One known turn makes no loop.
    """
    if isinstance(stop, int):
        turns = max(0, -(-(stop - start) // step))
        if turns == 0:
            return inits
        if turns == 1:
            return body(b.const(start), inits)
    high = b.scalar(b.const(stop)) if isinstance(stop, int) else stop
    operands = [b.scalar(b.const(start)), high, b.scalar(b.const(step)), *inits]
    op = ir.Operation.create("scf.for", [v.type for v in inits], operands, regions=1)
    block = op.regions[0].blocks.append(b.index, *[v.type for v in inits])
    with ir.InsertionPoint(block):
        i, *carried = block.arguments
        ir.Operation.create("scf.yield", [], body(Uniform(i, multiple=math.gcd(start, step)), list(carried)))
    return list(op.results)


def nest(b: Builder, sizes: list[int], inits: list, body: Callable) -> list:
    """Loops over all of `sizes`, the last one innermost; body(indices, carried)."""

    def level(d: int, idx: list, carried: list) -> list:
        if d == len(sizes):
            return body(idx, carried)
        return loop(b, 0, sizes[d], 1, carried, lambda i, inner: level(d + 1, [*idx, i], inner))

    return level(0, [], inits)


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
