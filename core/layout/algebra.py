"""The algebra of layouts: what composes, inverts and completes them.

Every function here keeps the meaning of layouts as functions of a linear index; the definitions
are those of CuTe (NVIDIA CUTLASS, media/docs/cpp/cute/02_layout_algebra.md).
"""

from vertebra.core.layout import tree
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout, join
from vertebra.core.layout.swizzle import Composed, Xor
from vertebra.core.layout.symbol import Coord, Sym, divide_exactly, known

# Up to this many coordinates a composition that may carry is settled by trying them all.
ENUMERATED = 1 << 16


def from_modes(modes) -> Layout:
    """One level of modes, each (size, stride); a single one without a tuple."""
    modes = list(modes)
    if not modes:
        return Layout(1, 0)
    if len(modes) == 1:
        return Layout(*modes[0])
    return Layout(*(tuple(column) for column in zip(*modes, strict=True)))


def coalesce(layout, profile=None):
    """The same function of the linear index with as few modes as possible.

    profile: a tree; below each of its leaves the modes are joined, above them they stay.
    """
    if isinstance(layout, Composed):
        return Composed(layout.outer, layout.offset, coalesce(layout.layout, profile))
    if isinstance(profile, tuple):
        if len(profile) > layout.rank:
            raise LayoutError(f"profile {tree.show(profile)} has more modes than layout {layout}")
        return join(
            *(coalesce(m, p) for m, p in zip(layout.modes, profile, strict=False)),
            *layout.modes[len(profile) :],
        )
    return from_modes(coalesced(layout.flat_modes))


def coalesced(modes) -> list:
    """(size, stride) of modes of one level, joined where one goes on where the last ended."""
    done: list[tuple] = []
    for count, stride in modes:
        if count == 1:
            continue
        if done and done[-1][0] * done[-1][1] == stride:
            done[-1] = (done[-1][0] * count, done[-1][1])
        else:
            done.append((count, stride))
    return done


def filter_zeros(layout: Layout) -> Layout:
    """The layout with every mode of stride 0 shrunk to size 1, in place."""
    counts = [1 if stride == 0 else count for count, stride in layout.flat_modes]
    return Layout(tree.like(counts, layout.shape), layout.stride)


def strip(layout: Layout) -> Layout:
    """Without modes of stride 0 or size 1, coalesced: as many coordinates as there are offsets."""
    return coalesce(filter_zeros(layout))


def flatten(layout: Layout) -> Layout:
    """One mode per leaf."""
    return Layout(tree.leaves(layout.shape), tree.leaves(layout.stride))


def group(layout: Layout, begin: int, end: int) -> Layout:
    """Modes begin <= i < end as one mode.  Raises LayoutError outside the rank."""
    if not 0 <= begin <= end <= layout.rank:
        raise LayoutError(f"modes {begin} to {end} of {layout} do not exist: its rank is {layout.rank}")
    modes = layout.modes
    return join(*modes[:begin], join(*modes[begin:end]), *modes[end:])


def composition(a, b):
    """a o b: the layout with b's coordinates and the values a(b(c)).

    b may be a tuple of tilers, one per mode of a.
    Raises LayoutError, with the mode and the sizes, where no layout has these values.
    """
    if isinstance(b, tuple):
        return _by_mode(a, b)
    if isinstance(b, int):
        b = Layout(b)
    if isinstance(b, Composed):
        return Composed((*_functions(a), *b.outer), b.offset, b.layout)
    if isinstance(a, Composed):
        return Composed(a.outer, a.offset, composition(a.layout, b))
    if isinstance(a, Xor):
        return Composed((a,), 0, b)
    digits = coalesced(a.flat_modes)
    last = a.flat_modes[-1]
    if not digits or (last[0] == 1 and digits[-1][0] * digits[-1][1] != last[1]):
        digits.append(last)  # past its size a layout goes on in its last mode, also in one of size 1
    used: list[list] = [[] for _ in digits]
    parts = [_compose_leaf(a, digits, count, stride, used) for count, stride in b.flat_modes]
    if _may_carry(digits, used) and not _adds_up(a, b, parts):
        raise LayoutError(
            f"{a} o {b} is no layout: the modes of the second carry into one another inside a mode of the"
            " first",
            fix="order the modes of the second so that they index separate modes of the first",
        )
    built = iter(parts)

    def rebuild(shape):
        if isinstance(shape, tuple):
            return tuple(map(rebuild, shape))
        return next(built)

    pairs = rebuild(b.shape)
    return Layout(_pick(pairs, 0), _pick(pairs, 1))


def _functions(a) -> tuple:
    """What is applied to a value by `a`, the last function first."""
    if not isinstance(a, Composed):
        return (a,)
    if a.offset:
        raise LayoutError(f"{a} adds {a.offset} between its functions", fix="compose it with a plain layout")
    return (*a.outer, a.layout)


def _by_mode(a, tilers):
    if len(tilers) > a.rank:
        raise LayoutError(f"{len(tilers)} tilers for the {a.rank} modes of {a}")
    if isinstance(a, Composed):
        return Composed(a.outer, a.offset, _by_mode(a.layout, tilers))
    done = [m if t is None else composition(m, t) for m, t in zip(a.modes, tilers, strict=False)]
    return join(*done, *a.modes[len(tilers) :])


def _pick(pairs, which):
    """The shape (0) or stride (1) of a tree of (shape, stride) pairs made by _compose_leaf."""
    if isinstance(pairs, _Leaf):
        return pairs[which]
    return tuple(_pick(p, which) for p in pairs)


class _Leaf(tuple):
    """(shape, stride) of one mode of a composition."""


def _compose_leaf(a, digits, count, stride, used) -> _Leaf:
    """a o (count:stride); notes in `used`, digit by digit, how far it reaches there."""
    if isinstance(stride, Coord):
        return _compose_coord(a, count, stride)
    if stride == 0 or count == 1:
        return _Leaf((count, 0))
    rest, step, found = count, stride, []
    for i, (digit, outer) in enumerate(digits):
        if i == len(digits) - 1:
            found.append((rest, step * outer))
            rest = 1
            break
        whole = divide_exactly(step, digit)
        if whole is not None:
            step = whole
            continue
        sign, far = (1, step) if isinstance(step, Sym) else ((1, step) if step > 0 else (-1, -step))
        if isinstance(rest, int) and isinstance(far, int) and isinstance(digit, int):
            inside = -(-digit // far)
            if rest <= inside:  # it ends within this digit
                found.append((rest, step * outer))
                used[i].append((rest - 1) * far)
                rest = 1
                break
        inside = divide_exactly(digit, far)
        left = None if inside is None else divide_exactly(rest, inside)
        if left is None:
            raise LayoutError(
                f"{a} o {count}:{stride}: {rest} steps of {step} do not divide mode {i} of the coalesced"
                f" first layout, whose size is {digit}",
                fix=f"use a stride that divides {digit} and a size that is a multiple of what it leaves",
            )
        found.append((inside, step * outer))
        used[i].append((inside - 1) * far)
        rest, step = left, sign
        if rest == 1:
            break
    found = [(c, d) for c, d in coalesced(found)] or [(1, 0)]
    if len(found) == 1:
        return _Leaf(found[0])
    return _Leaf((tuple(c for c, _ in found), tuple(d for _, d in found)))


def _compose_coord(a, count, stride: Coord) -> _Leaf:
    if len(stride.parts) != 1:
        raise LayoutError(f"{a} o {count}:{stride}: the stride counts along more than one mode")
    ((path, step),) = stride.parts
    inner = composition(a.mode(*path), Layout(count, step))
    return _Leaf((inner.shape, inner.stride))


def _may_carry(digits, used) -> bool:
    """Whether two modes together can pass the size of a digit (the last one has none)."""
    return any(
        (len(reached) > 1 and any(isinstance(x, Sym) for x in (*reached, digit)))
        or (len(reached) > 1 and sum(reached) >= digit)
        for (digit, _), reached in zip(digits[:-1], used, strict=False)
    )


def _adds_up(a, b, parts) -> bool:
    total = b.size
    if isinstance(total, Sym) or total > ENUMERATED:
        return False
    shape = tuple(p[0] for p in parts)
    made = Layout(shape, tuple(p[1] for p in parts))
    flat = Layout(tree.leaves(b.shape), tree.leaves(b.stride))
    return all(made(i) == a(flat(i)) for i in range(total))


def complement(layout, cotarget=None) -> Layout:
    """What tiles `layout` over offsets below `cotarget` (a size or a shape; the cosize by default).

    Its offsets are ordered, and each but the first lies outside the layout.
    Raises LayoutError for a layout that maps two coordinates to one offset.
    """
    if isinstance(layout, Composed):
        layout = layout.layout
    target = layout.cosize if cotarget is None else tree.size(cotarget)
    modes = [(c, d) for c, d in layout.flat_modes if d != 0 and c != 1]
    for count, stride in modes:
        if isinstance(stride, Coord) or (isinstance(stride, int) and stride < 0):
            raise LayoutError(
                f"mode {count}:{stride} of {layout} has no complement: strides are positive there"
            )
    if len(modes) > 1:
        modes.sort(key=lambda m: (known(m[1], f"a stride of {layout}"), known(m[0], f"a size of {layout}")))
    result, current = [], 1
    for count, stride in modes:
        gap = stride // current if isinstance(stride, int) and isinstance(current, int) else None
        if gap is None:
            gap = divide_exactly(stride, current)
        if not gap:
            raise LayoutError(
                f"layout {layout} is not injective: mode {count}:{stride} starts below {current}, where the"
                " modes of smaller strides end"
            )
        result.append((gap, current))
        current = count * stride
    rest = -(-target // current) if isinstance(target, int) and isinstance(current, int) else None
    if rest is None and (rest := divide_exactly(target, current)) is None:
        raise LayoutError(f"{target} offsets are no whole number of {layout}, which spans {current}")
    return from_modes(coalesced([*result, (rest, current)]))


def nullspace(layout: Layout) -> Layout:
    """The coordinates that the layout sends to 0, as linear indices."""
    found, start = [], 1
    for count, stride in layout.flat_modes:
        if stride == 0:
            found.append((count, start))
        start = start * count
    return from_modes(coalesced(found))
