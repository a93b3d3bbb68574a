"""Leaves that are not plain integers: symbolic sizes, and coordinates as strides.

`Sym` is a polynomial with integer coefficients in named positive sizes.  `Coord` is a sparse
integer vector over positions in a tree of modes; a stride that is one makes a layout whose values
are coordinates (an identity tensor), as a tiled memory copy takes them.
"""

from vertebra.core.layout.errors import LayoutError


class Sym:
    """A polynomial in named sizes, each a positive integer that is not known yet."""

    __slots__ = ("terms",)

    def __init__(self, name: str):
        self.terms: tuple[tuple[tuple, int], ...] = ((((name, 1),), 1),)

    @staticmethod
    def _of(terms: dict):
        """An integer where no name is left, else a Sym."""
        kept = {names: factor for names, factor in terms.items() if factor}
        if not kept.keys() - {()}:
            return kept.get((), 0)
        made = object.__new__(Sym)
        made.terms = tuple(sorted(kept.items()))
        return made

    @staticmethod
    def _terms(value) -> dict:
        return dict(value.terms) if isinstance(value, Sym) else {(): value}

    def __add__(self, other):
        if not isinstance(other, int | Sym):
            return NotImplemented
        total = self._terms(self)
        for names, factor in self._terms(other).items():
            total[names] = total.get(names, 0) + factor
        return self._of(total)

    def __mul__(self, other):
        if not isinstance(other, int | Sym):
            return NotImplemented
        total = {}
        for a, x in self.terms:
            for b, y in self._terms(other).items():
                powers = dict(a)
                for name, power in b:
                    powers[name] = powers.get(name, 0) + power
                names = tuple(sorted(powers.items()))
                total[names] = total.get(names, 0) + x * y
        return self._of(total)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def divided_by(self, divisor):
        """self / divisor where that is a polynomial for every value of the names, else None."""
        by = self._terms(divisor)
        if len(by) != 1:
            return 1 if self == divisor else None
        ((names, factor),) = by.items()
        quotient = {}
        for own, own_factor in self.terms:
            powers = dict(own)
            for name, power in names:
                powers[name] = powers.get(name, 0) - power
            if own_factor % factor or min(powers.values(), default=0) < 0:
                return None
            quotient[tuple((n, p) for n, p in sorted(powers.items()) if p)] = own_factor // factor
        return self._of(quotient)

    def bind(self, sizes) -> "int | Sym":
        """The value where `sizes` (name -> integer) gives every name, else what is left."""
        total = 0
        for names, factor in self.terms:
            term = factor
            for name, power in names:
                for _ in range(power):
                    term = term * (sizes[name] if name in sizes else Sym(name))
            total = total + term
        return total

    def __eq__(self, other):
        return isinstance(other, Sym) and self.terms == other.terms

    def __hash__(self):
        return hash(self.terms)

    def __str__(self):
        parts = []
        for names, factor in self.terms:
            product = "*".join(name for name, power in names for _ in range(power))
            shown = product if factor == 1 and product else f"{factor}*{product}" if product else str(factor)
            parts.append(shown)
        return "+".join(parts).replace("+-", "-")

    __repr__ = __str__


class Coord:
    """A sparse vector of coordinates: (path into the tree of modes) -> integer or Sym."""

    __slots__ = ("parts",)

    def __init__(self, parts):
        self.parts = tuple(sorted((path, value) for path, value in dict(parts).items() if value != 0))

    def __add__(self, other):
        if isinstance(other, int) and other == 0:
            return self
        if not isinstance(other, Coord):
            return NotImplemented
        total = dict(self.parts)
        for path, value in other.parts:
            total[path] = total.get(path, 0) + value
        return Coord(total)

    def __mul__(self, factor):
        if not isinstance(factor, int | Sym):
            return NotImplemented
        return Coord({path: value * factor for path, value in self.parts})

    __radd__, __rmul__ = __add__, __mul__

    def at(self, path: tuple[int, ...]):
        """The entry at one position."""
        return dict(self.parts).get(path, 0)

    def bind(self, sizes) -> "Coord":
        return Coord({path: v.bind(sizes) if isinstance(v, Sym) else v for path, v in self.parts})

    def __eq__(self, other):
        return isinstance(other, Coord) and self.parts == other.parts

    def __hash__(self):
        return hash(self.parts)

    def __str__(self):
        terms = [f"{value}@" + "@".join(map(str, reversed(path))) for path, value in self.parts]
        return "+".join(terms) or "0"

    __repr__ = __str__


def basis(*path: int) -> Coord:
    """The unit coordinate of the mode at `path`: basis(1) counts along mode 1, basis(1, 0) inside it."""
    return Coord({path: 1})


def divide_exactly(a, b):
    """a / b for integers and symbols where b divides a for every value of the names, else None."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b and a % b == 0 else None
    if a == b:
        return 1
    if isinstance(a, Sym):
        return a.divided_by(b)
    return 0 if a == 0 else None


def known(value, what: str) -> int:
    """`value`, which has to be an integer by now.  Raises LayoutError for a symbolic size."""
    if isinstance(value, Sym):
        raise LayoutError(f"{what} is {value}, which is not known yet", fix="bind the size first")
    return value
