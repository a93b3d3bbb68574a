"""Symbolic index arithmetic: integers known at compile time stay integers, the rest are polynomials.

An expression is an `int` or a `Poly` over atoms.  Atoms are interned by a `Table`, so
equal expressions compare equal wherever they came from; that is what tells a loop's
invariant strides from the offsets it moves.  Arithmetic is modulo 2**64, as on `index`.
"""

from vertebra.core.mlir import ir


class Atom:
    """What a polynomial does not look into: an SSA value, a symbol, or a function of expressions."""

    __slots__ = ("args", "kind", "serial")

    def __init__(self, serial: int, kind: str, args: tuple):
        self.serial, self.kind, self.args = serial, kind, args

    def __repr__(self):
        return f"{self.kind}#{self.serial}"


class Poly:
    """A sum of integer multiples of products of atoms; never a plain integer."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: dict[tuple[Atom, ...], int]):
        self.terms = terms
        self._hash = None

    def __eq__(self, other):
        return self is other or (isinstance(other, Poly) and self.terms == other.terms)

    def __hash__(self):
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __add__(self, other):
        if other == 0:  # the commonest case by far
            return self
        terms = dict(self.terms)
        for monomial, factor in _terms(other).items():
            terms[monomial] = terms.get(monomial, 0) + factor
        return _normal(terms)

    __radd__ = __add__

    def __neg__(self):
        return Poly({monomial: -factor for monomial, factor in self.terms.items()})

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        if isinstance(other, int):
            if other == 1:
                return self
            return Poly({m: f * other for m, f in self.terms.items()}) if other else 0
        terms: dict[tuple[Atom, ...], int] = {}
        for m, f in self.terms.items():
            for n, g in other.terms.items():
                product = tuple(sorted(m + n, key=_serial))
                terms[product] = terms.get(product, 0) + f * g
        return _normal(terms)

    __rmul__ = __mul__

    def __repr__(self):
        return " + ".join("*".join([str(f), *map(repr, m)]) for m, f in self.terms.items())


Expr = int | Poly


def _serial(atom: Atom) -> int:
    return atom.serial


def _terms(expr: Expr) -> dict[tuple[Atom, ...], int]:
    if isinstance(expr, Poly):
        return expr.terms
    return {(): expr} if expr else {}


def _normal(terms: dict[tuple[Atom, ...], int]) -> Expr:
    terms = {monomial: factor for monomial, factor in terms.items() if factor}
    if not terms:
        return 0
    if len(terms) == 1 and () in terms:
        return terms[()]
    return Poly(terms)


def _floordiv(a, b):
    return a // b


def _ceildiv(a, b):
    return -(-a // b)


def _rem(a, b):
    """The remainder that has the sign of `a`, as in C."""
    return abs(a) % abs(b) * (-1 if a < 0 else 1)


def _div(a, b):
    return abs(a) // abs(b) * (-1 if (a < 0) != (b < 0) else 1)


_FOLD = {"min": min, "max": max, "floordiv": _floordiv, "ceildiv": _ceildiv, "rem": _rem, "div": _div}
_COMPARE = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "slt": lambda a, b: a < b,
    "sle": lambda a, b: a <= b,
    "sgt": lambda a, b: a > b,
    "sge": lambda a, b: a >= b,
}


class Table:
    """Makes atoms, and expressions that stand for one of them."""

    def __init__(self):
        self._atoms: dict[tuple, Atom] = {}
        self._count = 0

    def atom(self, kind: str, *args) -> Atom:
        """The atom of this kind and these arguments; the same object every time."""
        key = (kind, *args)
        found = self._atoms.get(key)
        if found is None:
            found = self._atoms[key] = Atom(self._count, kind, args)
            self._count += 1
        return found

    def symbol(self, home: ir.Block) -> Atom:
        """A new unknown that lives in block `home`: a value that does not exist yet."""
        self._count += 1
        return Atom(self._count, "symbol", (home,))

    def expr(self, atom: Atom) -> Poly:
        return Poly({(atom,): 1})

    def value(self, value: ir.Value, unsigned: bool = False) -> Expr:
        """A scalar integer or index SSA value as an expression; constants become integers.

        unsigned: extend it with zeros rather than with its sign.
        """
        while True:
            owner = value.owner
            if isinstance(owner, ir.Block):
                break
            name = owner.operation.name
            if name == "arith.constant":
                attribute = owner.operation.attributes["value"]
                return constant_of(attribute, unsigned)
            if name == "arith.index_cast" or (name == "arith.extsi" and not unsigned and _bits(owner) > 1):
                value = owner.operands[0]
            elif name == "arith.extui" or name == "arith.index_castui":
                value, unsigned = owner.operands[0], True
            else:
                break
        return self.expr(self.atom("value", value, unsigned))

    def apply(self, kind: str, *args: Expr) -> Expr:
        """min, max, floordiv, ceildiv, rem, div (both as in C) of two expressions."""
        a, b = args
        if isinstance(a, int) and isinstance(b, int) and not (b == 0 and kind not in ("min", "max")):
            return _FOLD[kind](a, b)
        if kind in ("floordiv", "ceildiv", "div") and b == 1:
            return a
        if kind in ("min", "max") and a == b:
            return a
        return self.expr(self.atom(kind, a, b))

    def compare(self, predicate: str, a: Expr, b: Expr) -> "bool | Atom":
        """A condition on two expressions: known, or an atom whose value is an i1."""
        difference = a - b
        if isinstance(difference, int):
            return _COMPARE[predicate](difference, 0)
        return self.atom("compare", predicate, a, b)

    def select(self, condition: "bool | Atom", a: Expr, b: Expr) -> Expr:
        if a == b or condition is True:
            return a
        if condition is False:
            return b
        return self.expr(self.atom("select", condition, a, b))


def _bits(extension) -> int:
    return ir.IntegerType(extension.operands[0].type).width


def constant_of(attribute: ir.Attribute, unsigned: bool = False) -> int:
    """The number in an integer (or boolean) attribute."""
    kind = attribute.type
    number = (
        ir.IntegerAttr(attribute).value if isinstance(attribute, ir.IntegerAttr) else int(attribute.value)
    )
    if isinstance(kind, ir.IntegerType) and kind.width < 64:
        number %= 1 << kind.width
        if not unsigned and kind.width > 1 and number >> (kind.width - 1):
            number -= 1 << kind.width
    return number
