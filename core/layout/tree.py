"""Nested tuples of integers (or symbols): the shapes, strides and coordinates of layouts.

Modes count from the left, and the leftmost leaf varies fastest.
"""

from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.symbol import Sym, known


def leaves(tree) -> tuple:
    """The leaves from left to right."""
    if not isinstance(tree, tuple):
        return (tree,)
    return tuple(leaf for part in tree for leaf in leaves(part))


def rank(tree) -> int:
    return len(tree) if isinstance(tree, tuple) else 1


def depth(tree) -> int:
    return 1 + max(map(depth, tree), default=0) if isinstance(tree, tuple) else 0


def size(shape):
    """The product of the leaves."""
    total = 1
    for leaf in leaves(shape):
        total = total * leaf
    return total


def inner_product(a, b):
    """The sum of the products of two congruent trees' leaves."""
    check_congruent(a, b, "the factors of an inner product")
    return sum(x * y for x, y in zip(leaves(a), leaves(b), strict=True))


def congruent(a, b) -> bool:
    """The two trees have the same profile."""
    if isinstance(a, tuple) != isinstance(b, tuple):
        return False
    if not isinstance(a, tuple):
        return True
    return len(a) == len(b) and all(map(congruent, a, b))


def check_congruent(a, b, what: str) -> None:
    """Raises LayoutError naming the mode where the profiles of `a` and `b` part."""
    path = _where_apart(a, b, ())
    if path is not None:
        where = f"mode {'.'.join(map(str, path))}" if path else "the top"
        raise LayoutError(f"{what} have different profiles at {where}: {show(a)} and {show(b)}")


def _where_apart(a, b, path):
    if isinstance(a, tuple) != isinstance(b, tuple) or (isinstance(a, tuple) and len(a) != len(b)):
        return path
    if isinstance(a, tuple):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            if (found := _where_apart(x, y, (*path, i))) is not None:
                return found
    return None


def compatible(a, b) -> bool:
    """Every coordinate into shape `a` is also one into shape `b`: b refines a."""
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(compatible, a, b))
    return a == size(b)


def like(leaf_values, profile):
    """The leaves of `leaf_values`, in the profile of `profile`."""
    values = iter(leaf_values)

    def build(part):
        return tuple(map(build, part)) if isinstance(part, tuple) else next(values)

    return build(profile)


def map_leaves(function, tree):
    return tuple(map_leaves(function, part) for part in tree) if isinstance(tree, tuple) else function(tree)


def prefix_products(shape, first=1):
    """Strides of the compact layout in which the leftmost leaf varies fastest."""
    strides, current = [], first
    for leaf in leaves(shape):
        strides.append(current)
        current = current * leaf
    return like(strides, shape)


def suffix_products(shape, first=1):
    """Strides of the compact layout in which the rightmost leaf varies fastest."""
    strides, current = [], first
    for leaf in reversed(leaves(shape)):
        strides.append(current)
        current = current * leaf
    return like(reversed(strides), shape)


def shape_div(shape, divisor):
    """`shape` with its leaves divided from the left until `divisor` is used up.

    Raises LayoutError for a leaf that neither divides nor is divided by what is left of the divisor.
    """
    left = divisor
    quotient = []
    for leaf in leaves(shape):
        if leaf % left and left % leaf:
            raise LayoutError(f"{left} and {leaf}, a leaf of {show(shape)}, do not divide one another")
        quotient.append(-(-leaf // left))
        left = -(-left // leaf)
    return like(quotient, shape)


def coordinate(index: int, shape):
    """The coordinate of linear `index`, in the profile of `shape`; the last leaf is not bounded.

    A negative index counts with truncating division, as the strides' signs ask for.
    """
    counts = leaves(shape)
    found = []
    for i, count in enumerate(counts):
        if i == len(counts) - 1:
            found.append(index)
            break
        count = known(count, f"leaf {i} of {show(shape)}")
        quotient = abs(index) // count * (1 if index >= 0 else -1)
        found.append(index - quotient * count)
        index = quotient
    return like(found, shape)


def dot(coord, shape, stride):
    """The offset of `coord`: every integer in it indexes the whole subtree of `shape` at its place."""
    if isinstance(coord, tuple):
        if not isinstance(shape, tuple) or len(coord) != len(shape):
            raise LayoutError(f"coordinate {show(coord)} does not index shape {show(shape)}")
        total = 0
        for parts in zip(coord, shape, stride, strict=True):
            total = total + dot(*parts)
        return total
    if not isinstance(shape, tuple):
        return coord * stride
    if isinstance(coord, Sym):
        raise LayoutError(f"{coord} cannot be split over {show(shape)}", fix="bind the size first")
    total = 0
    for c, d in zip(leaves(coordinate(coord, shape)), leaves(stride), strict=True):
        total = total + c * d
    return total


def show(tree) -> str:
    """(4,(2,3)) as text, without spaces."""
    return f"({','.join(map(show, tree))})" if isinstance(tree, tuple) else str(tree)
