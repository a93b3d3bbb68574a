"""Long scans in tiles: each is scanned for itself, and then combined with what the tiles before it come to.

    out[tile] = combine(last of the tile before, scan(in[tile]))

A rounding error then grows with the size of a tile and the number of tiles, not with that of all
elements, and the second half of the work has no dependency from element to element.  The combination
has to be associative, as that of a scan has to be anyway.
"""

import math

from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, ir, scf
from vertebra.dialects import tt
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.reduce import combine_slices
from vertebra.lowering.tt_to_linalg.shape import broadcast

TILE = 1024  # elements along the axis, at most
LONG = 4 * TILE
MOST = 1 << 16  # elements of a tile, which has a buffer


@pattern(tt.ScanOp)
def long_scan_to_tiles(op):
    """A loop over the tiles of a scan that is long, from the other end when reversed."""
    sources, axis, backward = list(op.operands), op.axis.value, op.reverse.value
    shape = list(sources[0].type.shape)
    size, across = shape[axis], math.prod(shape) // shape[axis]
    tile = min(TILE, max(16, MOST // across))
    if size < LONG or size % tile:
        return None
    count, block = size // tile, op.regions[0].blocks[0]
    lengths = [tile if d == axis else n for d, n in enumerate(shape)]

    def place(at):
        return [at if d == axis else 0 for d in range(len(shape))]

    def scanned(at):
        """The scan of the tile at `at` alone."""
        parts = [build.extract_slice(source, place(at), lengths) for source in sources]
        inner = op.operation.clone()
        for i, part in enumerate(parts):
            inner.operands[i] = part
            inner.results[i].set_type(part.type)
        return list(inner.results)

    first = (count - 1) * tile if backward else 0
    outs = [
        build.insert_slice(part, build.empty(source.type), place(first), lengths)
        for part, source in zip(scanned(first), sources, strict=True)
    ]
    loop = scf.ForOp(build.index(1), build.index(count), build.index(1), outs)
    with ir.InsertionPoint(loop.body):
        number = loop.induction_variable
        number = arith.subi(build.index(count - 1), number) if backward else number
        at = arith.muli(number, build.index(tile))
        edge = arith.addi(at, build.index(tile)) if backward else arith.subi(at, build.index(1))
        outs = list(loop.inner_iter_args)
        before = [_repeated(o, place(edge), lengths, axis) for o in outs]
        parts = combine_slices(block, before + scanned(at))
        scf.YieldOp([build.insert_slice(p, o, place(at), lengths) for p, o in zip(parts, outs, strict=True)])
    return list(loop.results)


def _repeated(x: ir.Value, at: list, lengths: list[int], axis: int) -> ir.Value:
    """The slice of `x` at `at`, one element along `axis`, repeated there."""
    one = build.extract_slice(x, at, [1 if d == axis else n for d, n in enumerate(lengths)])
    return broadcast(one, lengths)


PATTERNS = (long_scan_to_tiles,)
