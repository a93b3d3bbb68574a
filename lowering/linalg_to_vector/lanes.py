"""Values as a vector loop sees them, and arithmetic on them.

A value of `width` lanes is the same in every lane (`Uniform`), evenly spaced
(`Affine`), or anything (`Lanes`).  Keeping the first two apart is what finds
contiguous accesses in arbitrary index arithmetic, and keeps scalar work scalar.
"""

import math
import operator
from typing import overload

import numpy as np

from vertebra.core.mlir import ir


class Uniform:
    """One value for all lanes: a known integer, or a scalar SSA value.

    multiple: an integer of which it is known to be a multiple (0 for zero itself).
    below: an index value that it is known to be smaller than, or None.
    """

    __slots__ = ("below", "const", "multiple", "type", "value")

    def __init__(self, value=None, *, const: int | None = None, type=None, multiple: int = 1):
        self.value = value
        self.const = const
        self.multiple = multiple if const is None else abs(const)
        self.below = None
        self.type = type if type is not None else value.type


class Merged(Uniform):
    """The index of a dimension that the next one walks with it: 0, with the next one's index going on."""

    __slots__ = ()

    def __init__(self, index):
        super().__init__(const=0, type=index)


class Affine:
    """Lane l holds base + l * step.

    base: Uniform of integer or index type.  step: Uniform of that type.
    below: an index value that every lane is known to be smaller than, or None.
    since: (bound, start) where the lanes are an index below the index value `bound`, not negative, plus
    the scalar `start` (None for 0), in whatever integer type; None where nothing like it is known.
    """

    __slots__ = ("base", "below", "since", "step", "type")

    def __init__(self, base: Uniform, step: Uniform, below=None, since=None):
        self.base = base
        self.below = below
        self.step = step
        self.type = base.type
        self.since = since if below is None else (below, None)

    @property
    def contiguous(self) -> bool:
        return self.step.const == 1


class Lanes:
    """A vector SSA value.  type: that of one element."""

    __slots__ = ("type", "value")

    def __init__(self, value):
        self.value = value
        self.type = value.type.element_type


Chunk = Uniform | Affine | Lanes

# Beyond this a step is a hash multiplier rather than a stride, and may wrap within the lanes.
_LARGEST_STRIDE = 1 << 16


# The multiple of a result, from those of the operands; no index wraps.
_MULTIPLE = {
    "arith.addi": math.gcd,
    "arith.subi": math.gcd,
    "arith.muli": operator.mul,
    "arith.remui": math.gcd,
}


def create(name: str, result, operands, attributes=None):
    """One operation with one result, at the current insertion point."""
    return ir.Operation.create(name, [result], operands, attributes).result


def _holds_indices(type) -> bool:
    return isinstance(type, ir.IndexType) or type.width >= 32


class Builder:
    """Builds scalar and vector operations of one width at the current insertion point.

    What is made of uniform chunks alone is uniform.
    constants: the function's scalar and vector constants, made once in its entry block.
    """

    def __init__(self, width: int, constants: "Constants"):
        self.width = width
        self.constants = constants
        self.index = constants.index

    # -- making values

    def const(self, value: int, type=None) -> Uniform:
        return Uniform(const=value, type=type if type is not None else self.index)

    def scalar(self, chunk: Uniform):
        """The SSA value of a uniform chunk."""
        if chunk.value is None:
            chunk.value = self.constants.scalar(chunk.type, chunk.const)
        return chunk.value

    def vector_type(self, type):
        return ir.VectorType.get([self.width], type)

    def vector(self, chunk: Chunk):
        """The SSA vector of any chunk."""
        if isinstance(chunk, Lanes):
            return chunk.value
        if isinstance(chunk, Uniform):
            if chunk.const is not None:
                return self.constants.splat(self.vector_type(chunk.type), chunk.const)
            return create("vector.broadcast", self.vector_type(chunk.type), [chunk.value])
        ramp = Lanes(self.constants.ramp(self.vector_type(chunk.type)))
        spaced = self.binary("arith.muli", ramp, chunk.step) if chunk.step.const != 1 else ramp
        if chunk.base.const == 0:
            return self.vector(spaced)
        return create(
            "arith.addi",
            self.vector_type(chunk.type),
            [self.vector(Uniform(self.scalar(chunk.base))), self.vector(spaced)],
        )

    @overload
    def binary(self, name: str, a: Uniform, b: Uniform) -> Uniform: ...
    @overload
    def binary(self, name: str, a: Chunk, b: Chunk) -> Chunk: ...
    def binary(self, name: str, a: Chunk, b: Chunk) -> Chunk:
        """An operation on two chunks of one type, as scalars where both are uniform."""
        if isinstance(a, Uniform) and isinstance(b, Uniform):
            multiple = _MULTIPLE[name](a.multiple, b.multiple) if name in _MULTIPLE else 1
            return Uniform(create(name, a.type, [self.scalar(a), self.scalar(b)]), multiple=multiple)
        return Lanes(create(name, self.vector_type(a.type), [self.vector(a), self.vector(b)]))

    # -- integer arithmetic that keeps what is known

    @overload
    def add(self, a: Uniform, b: Uniform) -> Uniform: ...
    @overload
    def add(self, a: Chunk, b: Chunk) -> Chunk: ...
    def add(self, a: Chunk, b: Chunk) -> Chunk:
        if isinstance(a, Uniform) and a.const == 0:
            return b
        if isinstance(b, Uniform) and b.const == 0:
            return a
        match a, b:
            case Uniform(), Uniform():
                if a.const is not None and b.const is not None:
                    return self._wrapped(a.const + b.const, a.type)
                return self.binary("arith.addi", a, b)
            case Affine(), Uniform():
                return Affine(self.add(a.base, b), a.step, since=_started(a.since, b))
            case Uniform(), Affine():
                return Affine(self.add(a, b.base), b.step, since=_started(b.since, a))
            case Affine(), Affine():
                return self._spaced(self.add(a.base, b.base), self.add(a.step, b.step))
        return self.binary("arith.addi", a, b)

    @overload
    def sub(self, a: Uniform, b: Uniform) -> Uniform: ...
    @overload
    def sub(self, a: Chunk, b: Chunk) -> Chunk: ...
    def sub(self, a: Chunk, b: Chunk) -> Chunk:
        if isinstance(b, Uniform) and b.const == 0:
            return a
        match a, b:
            case Uniform(), Uniform():
                if a.const is not None and b.const is not None:
                    return self._wrapped(a.const - b.const, a.type)
                return self.binary("arith.subi", a, b)
            case Affine(), Uniform():
                return Affine(self.sub(a.base, b), a.step)
            case Uniform(), Affine():
                return Affine(self.sub(a, b.base), self.sub(self.const(0, b.type), b.step))
            case Affine(), Affine():
                return self._spaced(self.sub(a.base, b.base), self.sub(a.step, b.step))
        return self.binary("arith.subi", a, b)

    @overload
    def mul(self, a: Uniform, b: Uniform) -> Uniform: ...
    @overload
    def mul(self, a: Chunk, b: Chunk) -> Chunk: ...
    def mul(self, a: Chunk, b: Chunk) -> Chunk:
        if isinstance(a, Uniform) and not isinstance(b, Uniform):
            a, b = b, a
        if isinstance(b, Uniform) and b.const in (0, 1):
            return a if b.const == 1 else self.const(0, a.type)
        match a, b:
            case Uniform(), Uniform():
                if a.const == 0 or a.const == 1:
                    return b if a.const == 1 else a
                if a.const is not None and b.const is not None:
                    return self._wrapped(a.const * b.const, a.type)
                return self.binary("arith.muli", a, b)
            case Affine(), Uniform() if b.const is None or abs(b.const) <= _LARGEST_STRIDE:
                return self._spaced(self.mul(a.base, b), self.mul(a.step, b))
        return self.binary("arith.muli", a, b)

    def _wrapped(self, value: int, type) -> Uniform:
        bits = 64 if isinstance(type, ir.IndexType) else type.width
        value &= (1 << bits) - 1
        return self.const(value - (1 << bits) if value >> (bits - 1) and bits > 1 else value, type)

    def _spaced(self, base: Uniform, step: Uniform) -> Chunk:
        return base if step.const == 0 else Affine(base, step)

    @overload
    def to_index(self, chunk: Uniform) -> Uniform: ...
    @overload
    def to_index(self, chunk: Chunk) -> Chunk: ...
    def to_index(self, chunk: Chunk) -> Chunk:
        return self.cast("arith.index_cast", chunk, self.index)

    @overload
    def cast(self, name: str, chunk: Uniform, type) -> Uniform: ...
    @overload
    def cast(self, name: str, chunk: Chunk, type) -> Chunk: ...
    def cast(self, name: str, chunk: Chunk, type) -> Chunk:
        """An integer cast.

        Even spacing survives the way to an index, since addresses do not wrap; it survives
        widening where the lanes are known not to wrap.
        """
        if chunk.type == type:
            return chunk
        match chunk:
            case Uniform():
                if chunk.const is not None and name in ("arith.index_cast", "arith.extsi"):
                    return self.const(chunk.const, type)
                return Uniform(create(name, type, [self.scalar(chunk)]))
            case Affine() if name in ("arith.index_cast", "arith.extsi", "arith.trunci") and (
                _holds_indices(chunk.type) and _holds_indices(type)
            ):
                safe = name != "arith.extsi" or self._fits(chunk)
                if safe and (chunk.step.const is None or abs(chunk.step.const) <= _LARGEST_STRIDE):
                    base, step = (self.cast(name, part, type) for part in (chunk.base, chunk.step))
                    return Affine(base, step, since=chunk.since)
        return Lanes(create(name, self.vector_type(type), [self.vector(chunk)]))

    def _fits(self, chunk: Affine) -> bool:
        """Whether no lane wraps in the chunk's type."""
        if chunk.base.const is None or chunk.step.const is None:
            return False
        last = chunk.base.const + chunk.step.const * (self.width - 1)
        return abs(last) < 1 << (chunk.type.width - 1)

    # -- masks

    def both(self, a: Chunk | None, b: Chunk | None) -> Chunk | None:
        """a and b; None is all true."""
        if a is None or b is None:
            return a if b is None else b
        for mask, other in ((a, b), (b, a)):
            if isinstance(mask, Uniform) and mask.const is not None:
                return other if mask.const else mask
        return self.binary("arith.andi", a, b)

    @overload
    def negate(self, mask: Uniform) -> Uniform: ...
    @overload
    def negate(self, mask: Chunk) -> Chunk: ...
    def negate(self, mask: Chunk) -> Chunk:
        return self.binary("arith.xori", mask, self.const(1, mask.type))

    def all_true(self):
        return self.constants.splat(self.vector_type(self.constants.i1), 1)

    def within(self, chunk: Chunk, bound: Uniform) -> Chunk:
        """The lanes in which the index `chunk` is below `bound` (signed)."""
        if isinstance(chunk, Affine) and chunk.contiguous:
            left = self.sub(bound, chunk.base)
            mask = ir.VectorType.get([self.width], self.constants.i1)
            return Lanes(create("vector.create_mask", mask, [self.scalar(left)]))
        return self.compare(SLT, chunk, bound)

    @overload
    def compare(self, predicate: int, a: Uniform, b: Uniform) -> Uniform: ...
    @overload
    def compare(self, predicate: int, a: Chunk, b: Chunk) -> Chunk: ...
    def compare(self, predicate: int, a: Chunk, b: Chunk) -> Chunk:
        attributes = {"predicate": self.constants.i64_attr(predicate)}
        i1 = self.constants.i1
        if isinstance(a, Uniform) and isinstance(b, Uniform):
            return Uniform(create("arith.cmpi", i1, [self.scalar(a), self.scalar(b)], attributes))
        return Lanes(create("arith.cmpi", self.vector_type(i1), [self.vector(a), self.vector(b)], attributes))

    @overload
    def select(self, mask: Uniform, yes: Uniform, no: Uniform) -> Uniform: ...
    @overload
    def select(self, mask: Chunk, yes: Chunk, no: Chunk) -> Chunk: ...
    def select(self, mask: Chunk, yes: Chunk, no: Chunk) -> Chunk:
        if isinstance(mask, Uniform) and mask.const is not None:
            return yes if mask.const else no
        if all(isinstance(c, Uniform) for c in (mask, yes, no)):
            return Uniform(
                create("arith.select", yes.type, [self.scalar(mask), self.scalar(yes), self.scalar(no)])
            )
        condition = self.scalar(mask) if isinstance(mask, Uniform) else mask.value
        return Lanes(
            create("arith.select", self.vector_type(yes.type), [condition, self.vector(yes), self.vector(no)])
        )


SLT, SGE = 2, 5  # arith.cmpi predicates


def _started(since, start: Uniform):
    """`since` of lanes to which the scalar `start` is added."""
    if since is None or since[1] is not None or start.value is None:
        return None
    return since[0], start.value


class Constants:
    """A function's constants, each made once at the head of its entry block."""

    def __init__(self, block):
        self.index = ir.IndexType.get()
        self.i1 = ir.IntegerType.get_signless(1)
        self._i64 = ir.IntegerType.get_signless(64)
        self._made: dict = {}
        self._attrs: dict = {}
        # Inserting before an operation of our own: the block's first one may be erased.
        with ir.InsertionPoint.at_block_begin(block), ir.Location.unknown():
            zero = create("arith.constant", self.index, [], {"value": ir.IntegerAttr.get(self.index, 0)})
        self._made[(self.index, 0)] = zero
        self._ip = ir.InsertionPoint(zero.owner)

    def i64_attr(self, value: int):
        if value not in self._attrs:
            self._attrs[value] = ir.IntegerAttr.get(self._i64, value)
        return self._attrs[value]

    def _constant(self, key, attribute):
        if key not in self._made:
            attr = attribute()
            with self._ip, ir.Location.unknown():
                self._made[key] = create("arith.constant", attr.type, [], {"value": attr})
        return self._made[key]

    def scalar(self, type, value):
        return self._constant((type, value), lambda: _scalar_attr(type, value))

    def attribute(self, attr):
        """A scalar constant given as an attribute."""
        return self._constant(attr, lambda: attr)

    def splat(self, type, value):
        return self._constant(
            (type, value),
            lambda: ir.DenseElementsAttr.get_splat(type, _scalar_attr(type.element_type, value)),
        )

    def ramp(self, type):
        """0, 1, 2, ... of integer vector type `type`."""

        def attribute():
            element = type.element_type
            bits = 64 if isinstance(element, ir.IndexType) else element.width
            dtype = {8: np.int8, 16: np.int16, 32: np.int32, 64: np.int64}[bits]
            return ir.DenseElementsAttr.get(np.arange(type.shape[0], dtype=dtype), type=type)

        return self._constant((type, "ramp"), attribute)

    def poison(self, type):
        key = (type, "poison")
        if key not in self._made:
            with self._ip, ir.Location.unknown():
                self._made[key] = create("ub.poison", type, [])
        return self._made[key]


def _scalar_attr(type, value):
    if isinstance(type, ir.IntegerType | ir.IndexType):
        if isinstance(type, ir.IntegerType) and type.width == 1:
            return ir.IntegerAttr.get(type, bool(value))
        return ir.IntegerAttr.get(type, value)
    return ir.FloatAttr.get(type, value)
