"""Lengths of vectors of two, three and four components, and their inverses."""

from vertebra.lowering.math_to_arith.emit import Expr, select, two_product, two_sum

INF = float("inf")
# Beyond these, squares overflow or lose bits; the components are scaled by the power of two beside it.
HUGE, SHRINK = 2.0**500, 2.0**-600
SMALL, GROW = 2.0**-450, 2.0**600


def _edges(components: list[Expr], result: Expr, at_infinity: float) -> Expr:
    """`result`, or the value for an infinite component, which counts also beside a NaN."""
    infinite = components[0].abs().eq(INF)
    for x in components[1:]:
        infinite = infinite | x.abs().eq(INF)
    return select(infinite, at_infinity, result)


def _scaled(components: list[Expr]) -> tuple[list[Expr], Expr]:
    """The components times a power of two that keeps their squares in range, and that power."""
    largest = components[0].abs()
    for x in components[1:]:
        largest = select(largest > x.abs(), largest, x.abs())
    power = select(largest > HUGE, largest.const(SHRINK), largest.const(1.0))
    power = select(largest < SMALL, GROW, power)
    return [x * power for x in components], power


def _root(components: list[Expr]) -> Expr:
    """sqrt(x0*x0 + x1*x1 + ...), the squares and their sum with their rounding errors."""
    total, low = two_product(components[0], components[0])
    for x in components[1:]:
        square, square_low = two_product(x, x)
        total, lost = two_sum(total, square)
        low = low + (lost + square_low)
    root = total.sqrt()
    residue = root.fma(-root, total) + low
    return select(root > 0.0, root + residue / (root + root), root)


def norm(*components: Expr) -> Expr:
    """sqrt(x0*x0 + x1*x1 + ...); infinite beside any infinity.

    f32: 1 ULP (computed in f64), f64: 1 ULP.
    """
    name = components[0].kind.name
    if name == "f32":
        wide = [x.to("f64") for x in components]
        total = wide[0] * wide[0]
        for x in wide[1:]:
            total = x.fma(x, total)
        return _edges(list(components), total.sqrt().to(name), INF)
    scaled, power = _scaled(list(components))
    return _edges(list(components), _root(scaled) / power, INF)


def rnorm(*components: Expr) -> Expr:
    """1 / norm(x0, x1, ...).  f32: 1 ULP (computed in f64), f64: 2 ULP."""
    name = components[0].kind.name
    if name == "f32":
        wide = [x.to("f64") for x in components]
        total = wide[0] * wide[0]
        for x in wide[1:]:
            total = x.fma(x, total)
        return _edges(list(components), (1.0 / total.sqrt()).to(name), 0.0)
    scaled, power = _scaled(list(components))
    return _edges(list(components), power / _root(scaled), 0.0)
