"""Inverses of layouts, and what two layouts have in common."""

from vertebra.core.layout.algebra import coalesce, coalesced, composition, from_modes
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.swizzle import Composed, Xor
from vertebra.core.layout.symbol import Coord, divide_exactly, known


def right_inverse(layout):
    """The longest r with layout(r(i)) = i for every i below r's size."""
    if isinstance(layout, Composed):
        return _inverse_of_composed(layout, right_inverse)
    starts, modes = 1, []
    for count, stride in coalesced(layout.flat_modes):
        modes.append((stride, count, starts))
        starts = starts * count
    found, current = [], 1
    for stride, count, start in sorted(_sortable(modes, layout)):
        if abs(stride) != current:
            continue
        found.append((count, start if stride > 0 else -start))
        current *= count
    return from_modes(coalesced(found))


def left_inverse(layout):
    """l with l(layout(i)) = i for every i.  Raises LayoutError where layout is not injective.

    Strides that do not divide one another have none that is a layout, which is an error too.
    """
    if isinstance(layout, Composed):
        return _inverse_of_composed(layout, left_inverse)
    starts, modes = 1, []
    for count, stride in coalesced(layout.flat_modes):
        if stride == 0:
            raise LayoutError(f"layout {layout} is not injective: a mode of size {count} has stride 0")
        modes.append((stride, count, starts))
        starts = starts * count
    modes = sorted(_sortable(modes, layout), key=lambda m: abs(m[0]))
    if not modes:
        return Layout(1, 0)
    found = [(abs(modes[0][0]), 0)]
    for (stride, count, start), after in zip(modes, [*modes[1:], None], strict=True):
        digit = count if after is None else divide_exactly(abs(after[0]), abs(stride))
        if digit is None or digit < count:
            raise LayoutError(
                f"layout {layout} has no left inverse: mode {count}:{stride} reaches past the next stride"
                f" {after[0]}, or does not divide it"
            )
        found.append((digit, start if stride > 0 else -start))
    return from_modes(coalesced(found))


def _sortable(modes, layout):
    for stride, count, start in modes:
        if isinstance(stride, Coord):
            raise LayoutError(f"layout {layout} gives coordinates; invert the mode it counts along")
        yield known(stride, f"a stride of {layout}"), known(count, f"a size of {layout}"), start


def _inverse_of_composed(composed, invert):
    """(x o l)^-1 = l^-1 o x: an XOR is its own inverse."""
    if composed.offset != 0 or not all(isinstance(f, Xor) for f in composed.outer):
        raise LayoutError(f"{composed} has no inverse in closed form", fix="invert its parts")
    inner = invert(composed.layout)
    return Composed((inner, *reversed(composed.outer)), 0, Layout(inner.size, 1))


def max_common_layout(a, b) -> Layout:
    """The longest r such that a and b both send r(i) to i."""
    inverse = right_inverse(b)
    common = coalesce(composition(a, inverse)) if not isinstance(inverse, Composed) else Layout(1, 0)
    if isinstance(common, Layout) and common.flat_modes[0][1] == 1:
        return composition(inverse, Layout(common.flat_modes[0][0]))
    return Layout(1, 0)


def max_common_vector(a, b) -> int:
    """How many consecutive offsets hold the same elements, in the same order, in both layouts."""
    return max_common_layout(a, b).size


def is_injective(layout) -> bool:
    return len(set(layout.offsets().tolist())) == layout.size


def is_surjective(layout, count: int | None = None) -> bool:
    """Every offset below `count` (the largest offset plus one by default) is reached."""
    values = set(layout.offsets().tolist())
    return values >= set(range(max(values) + 1 if count is None else count))


def first_collision(layout) -> tuple[int, int, int] | None:
    """(i, j, offset) of the first two linear indices that share an offset."""
    seen: dict[int, int] = {}
    for i, offset in enumerate(layout.offsets().tolist()):
        if offset in seen:
            return seen[offset], i, offset
        seen[offset] = i
    return None
