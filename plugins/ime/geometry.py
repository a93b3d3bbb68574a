"""The sizes of a matrix instruction's tiles, from the width of the vector registers."""

from vertebra.core.matrix import Tile

# The specification's lambda, a number of each implementation: (VLEN, accumulator's bits) -> lambda.
# One row of A, or column of B, is lambda accumulators wide.
_LAMBDA = {(256, 32): 2, (1024, 32): 4, (1024, 16): 8}

# The widths of vector registers that have matrix instructions, in bits.
WIDTHS = tuple(sorted({vlen for vlen, _ in _LAMBDA}))


def tile_of(vlen: int, acc_bits: int, element_bits: int, *, sparse: bool = False) -> Tile | None:
    """The tile of registers of `vlen` bits, None where no implementation has such a size.

    Structured sparsity keeps half of B, so that the dense K is twice as long.
    """
    row = _LAMBDA.get((vlen, acc_bits), 0) * acc_bits
    if not row:
        return None
    side = vlen // row
    return Tile(side, side, row // element_bits * (2 if sparse else 1))
