"""Turns expressions back into operations, as far out of loops as their parts allow."""

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts.expr import Atom, Expr, Poly


class Emitter:
    """Makes index arithmetic where it is needed, once for every block it is needed in.

    Operations must be asked for in program order, so that what a block already holds
    comes before every later place in it.
    """

    def __init__(self):
        self.index = ir.IndexType.get()
        self.i1 = ir.IntegerType.get_signless(1)
        self.i64 = ir.IntegerType.get_signless(64)
        self.bound: dict[Atom, ir.Value] = {}
        self._replaced: dict[ir.Value, ir.Value] = {}
        self._made: dict[tuple, ir.Value] = {}
        self._known: dict[Poly | Atom, tuple[ir.Value, ir.Block]] = {}

    def replace(self, old: ir.Value, new: ir.Value) -> None:
        """Lets `new` stand for `old` in expressions and in the IR; `old` must live on until all is done."""
        self._replaced[old] = new
        if old.type == new.type:
            old.replace_all_uses_with(new)

    def resolve(self, value: ir.Value) -> ir.Value:
        """The value that now stands for `value`."""
        while value in self._replaced:
            value = self._replaced[value]
        return value

    def bind(self, symbol: Atom, value: ir.Value) -> None:
        """Says what a symbol is, once its operation exists."""
        self.bound[symbol] = value

    def create(self, name: str, kind: ir.Type, *operands: ir.Value, at, **attributes) -> ir.Value:
        """A new operation with one result just before operation `at`."""
        return ir.Operation.create(
            name, [kind], operands, attributes, loc=at.location, ip=ir.InsertionPoint(at)
        ).result

    def constant(self, number: int, at, kind: ir.Type | None = None) -> ir.Value:
        """A constant, shared by all users in the function of `at`."""
        kind = kind or self.index
        first, place = self._entry(at)
        key = ("constant", number, kind, first)
        if key not in self._made:
            attribute = ir.IntegerAttr.get(kind, number)
            self._made[key] = self.create("arith.constant", kind, at=place, value=attribute)
        return self._made[key]

    def _entry(self, at):
        """The outermost block around `at` below the function, and the operation at its start."""
        chain = Place.of(at).chain
        block = chain[0][0]
        key = ("entry", block)
        if key not in self._made:
            self._made[key] = block.operations[0]
        return block, self._made[key]

    def emit(self, expr: Expr, at) -> ir.Value:
        """`expr` as an index value that is visible at operation `at`."""
        if isinstance(expr, int):
            return self.constant(expr, at)
        return self._emit(expr, Place.of(at))[0]

    def _emit(self, expr: Expr, place: "Place") -> tuple[ir.Value, int]:
        """A value and the depth, in `place`, of the block that it lives in."""
        if isinstance(expr, int):
            return self.constant(expr, place.chain[0][1]), 0
        return self._remember(expr, place, self._sum_up)

    def _remember(self, key, place: "Place", build) -> tuple[ir.Value, int]:
        """What was made for `key` in a block around `place`, or what `build` makes now."""
        found = self._known.get(key)
        if found is not None and found[1] in place.depths:
            return found[0], place.depths[found[1]]
        value, depth = build(key, place)
        self._known[key] = value, place.chain[depth][0]
        return value, depth

    def _sum_up(self, expr: Poly, place: "Place") -> tuple[ir.Value, int]:
        parts = []
        offset = 0
        for monomial, factor in expr.terms.items():
            if not monomial:
                offset = factor
                continue
            factors = sorted((self._atom(atom, place) for atom in monomial), key=_depth)
            value, depth = factors[0]
            for other, inner in factors[1:]:
                depth = max(depth, inner)
                value = self._binary("arith.muli", value, other, depth, place)
            parts.append((value, depth, factor))
        # Subtractions last, so that they need no negated copy.
        parts.sort(key=lambda part: (part[1], part[2] == -1))
        total, where = None, 0
        for value, depth, factor in parts:
            where = max(where, depth)
            if total is not None and factor == -1:
                total = self._binary("arith.subi", total, value, where, place)
                continue
            if factor != 1:
                value = self._binary("arith.muli", value, self._int(factor, place), depth, place)
            total = value if total is None else self._binary("arith.addi", total, value, where, place)
        if offset:
            total = self._binary("arith.addi", total, self._int(offset, place), where, place)
        return total, where

    def _int(self, number: int, place: "Place") -> ir.Value:
        return self.constant(number, place.chain[0][1])

    def _binary(self, name: str, a: ir.Value, b: ir.Value, depth: int, place: "Place") -> ir.Value:
        return self._once((name, a, b), name, a.type, (a, b), depth, place)

    def _once(self, key, name, kind, operands, depth, place, **attributes) -> ir.Value:
        block, before = place.chain[depth]
        key = (block, *key)
        if key not in self._made:
            self._made[key] = self.create(name, kind, *operands, at=before, **attributes)
        return self._made[key]

    def _depth_of(self, value: ir.Value, place: "Place") -> int:
        owner = value.owner
        block = owner if isinstance(owner, ir.Block) else owner.operation.block
        return place.depth(block)

    def _atom(self, atom: Atom, place: "Place") -> tuple[ir.Value, int]:
        return self._remember(atom, place, self._make_atom)

    def _make_atom(self, atom: Atom, place: "Place") -> tuple[ir.Value, int]:
        kind = atom.kind
        if kind == "symbol":
            value = self.bound[atom]
            return value, self._depth_of(value, place)
        if kind == "value":
            value, unsigned = self.resolve(atom.args[0]), atom.args[1]
            depth = self._depth_of(value, place)
            cast = "arith.index_castui" if unsigned else "arith.index_cast"
            if value.type == self.index or (value.type == self.i1 and not unsigned):
                return value, depth
            return self._once((cast, value), cast, self.index, (value,), depth, place), depth
        if kind == "compare":
            predicate, a, b = atom.args
            (x, i), (y, j) = self._emit(a, place), self._emit(b, place)
            depth = max(i, j)
            code = ir.IntegerAttr.get(self.i64, PREDICATES[predicate])
            operation = "arith.cmpi"
            key = (operation, predicate, x, y)
            return self._once(key, operation, self.i1, (x, y), depth, place, predicate=code), depth
        if kind == "select":
            (c, i), (x, j), (y, k) = (
                self._atom(atom.args[0], place),
                self._emit(atom.args[1], place),
                self._emit(atom.args[2], place),
            )
            depth = max(i, j, k)
            return self._once(
                ("arith.select", c, x, y), "arith.select", x.type, (c, x, y), depth, place
            ), depth
        (x, i), (y, j) = (self._emit(a, place) for a in atom.args)
        depth = max(i, j)
        if kind in _SIMPLE:
            return self._binary(_SIMPLE[kind], x, y, depth, place), depth
        return self._floordiv(atom, x, y, depth, place), depth

    def _floordiv(self, atom: Atom, x: ir.Value, y: ir.Value, depth: int, place: "Place") -> ir.Value:
        """Division that rounds down, or up, by a positive divisor; x86 and RISC-V divide towards zero."""
        divisor = atom.args[1]
        if atom.kind == "ceildiv":
            less = self._int(divisor - 1, place) if isinstance(divisor, int) else None
            less = less or self._binary("arith.subi", y, self._int(1, place), depth, place)
            x = self._binary("arith.addi", x, less, depth, place)
        if isinstance(divisor, int) and divisor & (divisor - 1) == 0:
            shift = self._int(divisor.bit_length() - 1, place)
            return self._binary("arith.shrsi", x, shift, depth, place)
        zero = self._int(0, place)
        code = ir.IntegerAttr.get(self.i64, PREDICATES["slt"])
        rest = self._binary("arith.remsi", x, y, depth, place)
        low = self._once(("slt", rest), "arith.cmpi", self.i1, (rest, zero), depth, place, predicate=code)
        whole = self._binary("arith.divsi", x, y, depth, place)
        below = self._binary("arith.subi", whole, self._int(1, place), depth, place)
        return self._once((low, below), "arith.select", x.type, (low, below, whole), depth, place)


class Place:
    """Where something is wanted: the blocks around it, and how deep each one is."""

    __slots__ = ("chain", "depths")

    @classmethod
    def of(cls, at) -> "Place":
        """The place just before operation `at`."""
        chain = []
        op = at.operation
        while not op.name.endswith(".func"):
            chain.append((op.block, op))
            op = op.parent.operation
        chain.reverse()
        return cls(chain)

    def __init__(self, chain):
        self.chain = chain
        self.depths = {block: depth for depth, (block, _) in enumerate(chain)}

    def depth(self, block: ir.Block) -> int:
        return self.depths.get(block, 0)  # another block of the function dominates this one


def _depth(pair) -> int:
    return pair[1]


_SIMPLE = {
    "min": "arith.minsi",
    "max": "arith.maxsi",
    "rem": "arith.remsi",
    "div": "arith.divsi",
}
PREDICATES = {
    "eq": 0, "ne": 1, "slt": 2, "sle": 3, "sgt": 4, "sge": 5, "ult": 6, "ule": 7, "ugt": 8, "uge": 9,
}  # fmt: skip
