"""The most operations per cycle that a core can do of one kind of product."""

import math
from collections.abc import Iterable, Sequence

from vertebra.core import pipeline
from vertebra.core.roofline.machine_code import Loop
from vertebra.core.roofline.values import Product
from vertebra.core.target import Core, Throughput
from vertebra.core.tiles import MatrixTile


def tiles_in(loops: Sequence[Loop], tiles: Iterable[MatrixTile]) -> tuple[MatrixTile, ...]:
    """Those of `tiles` whose instructions are in `loops`."""
    names = {step.matrix.name for loop in loops for step in loop.steps if step.matrix is not None}
    return tuple(tile for tile in tiles if tile.instruction in names)


def best_peak(
    product: Product,
    core: Core,
    rates: Throughput,
    tiles: Iterable[MatrixTile],
    present: Iterable[MatrixTile],
) -> float:
    """On the engine, if it has the types; never less than what the code's own instructions reach.

    tiles: of the core.  present: those in the code.  Instructions that need more registers than others for
    the same types (masks of structured sparsity) are no peak of dense products.
    """
    fitting = [tile for tile in tiles if _takes(tile, product)]
    least = min((tile.other_registers for tile in fitting), default=0)
    dense = [tile.peak for tile in fitting if tile.other_registers == least]
    reached = reached_peak(product, core, rates, present)[0]
    return max(*dense, vector_peak(product, core, rates), reached)


def reached_peak(
    product: Product, core: Core, rates: Throughput, present: Iterable[MatrixTile]
) -> tuple[float, bool]:
    """Of the code's own matrix instructions for `product`, else on vectors; and whether it is the former.

    An instruction for narrower integers is for `product` too: the values may be known to fit.  What a
    tile does beyond the product's edges is not counted.
    """
    exact = [tile for tile in present if _takes(tile, product)]
    narrower = [tile for tile in present if _takes(tile, product, narrower=True)]
    if exact or narrower:
        return max(tile.peak * _filled(tile, product) for tile in exact or narrower), True
    return vector_peak(product, core, rates), False


def _filled(tile: MatrixTile, product: Product) -> float:
    """How much of the tiles the product fills; its innermost loops go along M, N and K."""
    sizes = product.shape[-3:]
    if len(sizes) < 3 or not min(sizes):
        return 1.0
    pairs = zip(sizes, (tile.m, tile.n, tile.k), strict=True)
    return math.prod(size / (-(-size // side) * side) for size, side in pairs)


def vector_peak(product: Product, core: Core, rates: Throughput) -> float:
    """With multiply-adds of vectors, or the dot products that the core's micro-kernels are made of."""
    steps = [
        kernel.shape[2]
        for kernel in pipeline.micro_kernels_of(core)
        if kernel.acc == product.acc and {kernel.a, kernel.b} <= _signed(product)
    ]
    bits = bits_of(product.acc)
    if product.acc.lstrip("bf").isdecimal() and product.acc not in core.vector.arithmetic:
        bits = max(32, bits)
    return 2 * rates.vector_bits / bits * max(steps, default=1)


def bits_of(kind: str) -> int:
    """Of an element type, by the number in its name ("ui8", "bf16", "f8E5M2")."""
    digits = "".join(c if c.isdigit() else " " for c in kind).split()
    return int(digits[0]) if digits else 32


def _signed(product: Product) -> set[str]:
    """The types of the factors with and without a sign: a kernel for one serves the other by an offset."""
    return {product.a, product.b, product.a.lstrip("u"), product.b.lstrip("u")}


def _takes(tile: MatrixTile, product: Product, *, narrower: bool = False) -> bool:
    if product.acc not in tile.acc.split("|"):
        return False
    for theirs, ours in ((tile.a, product.a), (tile.b, product.b)):
        if narrower and _is_integer(theirs) and _is_integer(ours):
            if bits_of(theirs) > bits_of(ours):
                return False
        elif ours not in theirs.split("|"):
            return False
    return True


def _is_integer(kind: str) -> bool:
    return kind.lstrip("u").startswith("i")
