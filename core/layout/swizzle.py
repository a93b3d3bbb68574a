"""XOR swizzles, and layouts with a function after them."""

from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout


class Xor:
    """x ^ ((x >> shift) & mask) with mask = `bits` ones at `base`; a negative shift moves the other way.

    The field's notation is Swizzle<bits, base, shift>.  It acts on whatever the layout counts; a
    swizzle of hardware counts bytes (`in_elements` gives the same one for offsets in elements).
    Raises LayoutError when source and target bits would overlap.
    """

    __slots__ = ("base", "bits", "shift")

    def __init__(self, bits: int, base: int, shift: int):
        if bits < 0 or base < 0 or abs(shift) < bits:
            raise LayoutError(
                f"Swizzle<{bits},{base},{shift}>: {bits} bits moved by {shift} overlap themselves",
                fix=f"use a shift of at least {max(bits, 1)}, and no negative bits or base",
            )
        self.bits, self.base, self.shift = bits, base, shift

    @property
    def reach(self) -> int:
        """How many low bits it reads or writes."""
        return self.base + self.bits + abs(self.shift) if self.bits else 0

    @property
    def _source(self) -> int:
        return ((1 << self.bits) - 1) << (self.base + max(self.shift, 0))

    def __call__(self, x):
        """Of an integer, or of a NumPy array of them."""
        moved = x & self._source
        return x ^ (moved >> self.shift if self.shift >= 0 else moved << -self.shift)

    def scaled(self, bits: int) -> "Xor":
        """The same swizzle on offsets in a unit 2**bits times as large (2**-bits as large, if negative)."""
        if self.bits and self.base < bits:
            raise LayoutError(
                f"{self} on bytes moves bits below {1 << bits}-byte elements and would tear them apart",
                fix=f"use a swizzle with base {bits} or more",
            )
        return Xor(self.bits, max(self.base - bits, 0), self.shift)

    def __eq__(self, other):
        mine = (self.bits, self.base, self.shift)
        return isinstance(other, Xor) and mine == (other.bits, other.base, other.shift)

    def __hash__(self):
        return hash((self.bits, self.base, self.shift))

    def __str__(self):
        return f"S<{self.bits},{self.base},{self.shift}>"

    def __repr__(self):
        return str(self)


class Composed:
    """outer[0](outer[1](... (offset + layout(c)))): swizzles, or layouts after swizzles, after a layout.

    Raises LayoutError when an outer swizzle is wider than what the layout spans.
    """

    __slots__ = ("layout", "offset", "outer")

    def __init__(self, outer, offset: int, layout: Layout):
        self.outer = outer if isinstance(outer, tuple) else (outer,)
        self.offset = offset
        self.layout = layout

    @property
    def shape(self):
        return self.layout.shape

    @property
    def size(self):
        return self.layout.size

    @property
    def rank(self) -> int:
        return self.layout.rank

    @property
    def cosize(self) -> int:
        return int(self.offsets().max()) + 1

    def __call__(self, *coord):
        x = self.offset + self.layout(*coord)
        for function in reversed(self.outer):
            x = function(x)
        return x

    def slice(self, coord) -> "tuple[Composed, int]":
        """(what is left with its offset inside, 0): an XOR does not split into a sum."""
        kept, offset = self.layout.slice(coord)
        return Composed(self.outer, self.offset + offset, kept), 0

    def mode(self, *path: int) -> "Composed":
        return Composed(self.outer, self.offset, self.layout.mode(*path))

    def offsets(self):
        """Every value by linear index: an int64 array of shape (size,)."""
        import numpy as np

        x = self.layout.offsets() + self.offset
        for function in reversed(self.outer):
            if isinstance(function, Layout):
                x = np.array([function(int(v)) for v in x], np.int64)
            else:
                x = function(x)
        return x

    def __eq__(self, other):
        mine = (self.outer, self.offset, self.layout)
        return isinstance(other, Composed) and mine == (other.outer, other.offset, other.layout)

    def __hash__(self):
        return hash((self.outer, self.offset, self.layout))

    def __str__(self):
        return f"{' o '.join(map(str, self.outer))} o {self.offset} o {self.layout}"

    def __repr__(self):
        return f"Composed({self})"


def swizzled(xor: Xor, layout: Layout) -> Composed:
    """xor o layout.  Raises LayoutError for a swizzle wider than the layout.

    Wider means that its source bits lie above every offset, so that part of it would do nothing.
    """
    span = layout.cosize
    if xor.bits and (1 << xor.reach) > _next_power(span):
        raise LayoutError(
            f"{xor} reads {xor.reach} bits of an offset, and {layout} spans {span}, which has"
            f" {(_next_power(span) - 1).bit_length()}",
            fix=f"use fewer bits, or a layout of at least {1 << xor.reach} units",
        )
    return Composed((xor,), 0, layout)


def _next_power(n: int) -> int:
    return 1 << (n - 1).bit_length()


def upcast(layout, factor: int):
    """Offsets counted in units `factor` times as large: `factor` consecutive offsets become one.

    Raises LayoutError where an element of the new size would not be contiguous.
    """
    if isinstance(layout, Composed):
        bits = factor.bit_length() - 1
        outer = tuple(f.scaled(bits) if isinstance(f, Xor) else upcast(f, factor) for f in layout.outer)
        if layout.offset % factor:
            raise LayoutError(f"offset {layout.offset} is no multiple of {factor}")
        return Composed(outer, layout.offset // factor, upcast(layout.layout, factor))

    from vertebra.core.layout import tree

    counts, strides = [], []
    for i, (count, stride) in enumerate(layout.flat_modes):
        if stride == 0 or stride % factor == 0:
            counts.append(count)
            strides.append(stride // factor)
        elif factor % stride == 0 and count % (factor // abs(stride)) == 0:
            counts.append(count // (factor // abs(stride)))
            strides.append(1 if stride > 0 else -1)
        elif factor % stride == 0 and (factor // abs(stride)) % count == 0:
            counts.append(1)
            strides.append(1 if stride > 0 else -1)
        else:
            raise LayoutError(
                f"leaf {i} of {layout}, {count}:{stride}, does not fall into groups of {factor}"
            )
    return Layout(tree.like(counts, layout.shape), tree.like(strides, layout.shape))


def downcast(layout, factor: int):
    """Offsets counted in units `factor` times as small: the element of a unit stride becomes `factor`."""
    if isinstance(layout, Composed):
        bits = factor.bit_length() - 1
        outer = tuple(f.scaled(-bits) if isinstance(f, Xor) else downcast(f, factor) for f in layout.outer)
        return Composed(outer, layout.offset * factor, downcast(layout.layout, factor))

    from vertebra.core.layout import tree

    counts, strides = [], []
    for count, stride in layout.flat_modes:
        unit = abs(stride) == 1
        counts.append(count * factor if unit else count)
        strides.append(stride if unit else stride * factor)
    return Layout(tree.like(counts, layout.shape), tree.like(strides, layout.shape))


def recast(layout, old_bits: int, new_bits: int):
    """Offsets in elements of `old_bits` bits, as offsets in elements of `new_bits` bits."""
    if old_bits == new_bits:
        return layout
    if new_bits > old_bits and new_bits % old_bits == 0:
        return upcast(layout, new_bits // old_bits)
    if new_bits < old_bits and old_bits % new_bits == 0:
        return downcast(layout, old_bits // new_bits)
    shared = new_bits
    while old_bits % shared or new_bits % shared:
        shared -= 1
    return recast(recast(layout, old_bits, shared), shared, new_bits)
