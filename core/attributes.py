"""Kinds of attributes that operations declare, beside those that `ext` can name.

Each has `of(value)`, which makes the attribute of a Python value.  What text looks like in
an operation's custom form follows from the kind.
"""

from typing import ClassVar

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir


class EnumAttr(ir.IntegerAttr):
    """A 32-bit integer that reads and prints as a keyword.

    class Rounding(EnumAttr, cases={"rtz": 0, "rtne": 1}): ...
    """

    attr_name = ir.IntegerAttr.attr_name
    cases: ClassVar[dict[str, int]] = {}
    keywords: ClassVar[dict[int, str]] = {}

    def __init_subclass__(cls, *, cases: dict[str, int]):
        cls.cases = cases
        cls.keywords = {value: keyword for keyword, value in cases.items()}

    @property
    def keyword(self) -> str:
        """The keyword of this value.  Raises CompileError for a number that has none."""
        if self.value not in self.keywords:
            raise CompileError(
                f"{type(self).__name__} has no value {self.value}",
                fix=f"use one of {', '.join(f'{v} ({k})' for k, v in self.cases.items())}",
            )
        return self.keywords[self.value]

    @classmethod
    def of(cls, value: str | int) -> "EnumAttr":
        number = cls.cases[value] if isinstance(value, str) else value
        return cls(ir.IntegerAttr.get(ir.IntegerType.get_signless(32), number))


class I32Attr(ir.IntegerAttr):
    """A 32-bit integer, printed without its type."""

    attr_name = ir.IntegerAttr.attr_name
    width = 32

    @classmethod
    def of(cls, value: int) -> ir.IntegerAttr:
        return ir.IntegerAttr.get(ir.IntegerType.get_signless(cls.width), value)


class I64Attr(I32Attr):
    """A 64-bit integer, printed without its type."""

    width = 64


class BoolAttr(ir.BoolAttr):
    """true or false."""

    attr_name = ir.IntegerAttr.attr_name

    @classmethod
    def of(cls, value: bool) -> ir.BoolAttr:
        return ir.BoolAttr.get(bool(value))


class UnitAttr(ir.UnitAttr):
    """There or not there; given as True or False."""

    @classmethod
    def of(cls, value: bool) -> ir.UnitAttr | None:
        return ir.UnitAttr.get() if value else None


class StrAttr(ir.StringAttr):
    """Text in quotes."""

    attr_name = ir.StringAttr.attr_name

    @classmethod
    def of(cls, value: str) -> ir.StringAttr:
        return ir.StringAttr.get(value)


class SymbolAttr(ir.FlatSymbolRefAttr):
    """The name of a function, @name."""

    attr_name = ir.FlatSymbolRefAttr.attr_name

    @classmethod
    def of(cls, value: str) -> ir.FlatSymbolRefAttr:
        return ir.FlatSymbolRefAttr.get(value)


class I32ArrayAttr(ir.DenseI32ArrayAttr):
    """A list of 32-bit integers, printed as [1, 0]."""

    attr_name = "builtin.dense_array"
    element = "i32"

    @classmethod
    def of(cls, values) -> ir.DenseI32ArrayAttr:
        return ir.DenseI32ArrayAttr.get(list(values))


class I64ArrayAttr(ir.DenseI64ArrayAttr):
    """A list of 64-bit integers, printed as [1, 0]."""

    attr_name = "builtin.dense_array"
    element = "i64"

    @classmethod
    def of(cls, values) -> ir.DenseI64ArrayAttr:
        return ir.DenseI64ArrayAttr.get(list(values))


class optional:
    """An attribute that may be absent; IRDL itself knows only attributes that must be there.

    kind: one of the classes above, or a class of `ir`.
    default: the value that an absent attribute stands for, given as `kind.of` takes it.
    Reading it gives an attribute of `kind`; None where it is absent and has no default.
    """

    def __init__(self, kind: type, default=None):
        self.kind = kind
        self.default = default

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, op, owner=None):
        if op is None:
            return self
        attributes = op.attributes
        if self.name in attributes:
            return _as(self.kind, attributes[self.name])
        if self.default is None:
            return None
        with op.context:
            return _as(self.kind, self.kind.of(self.default))


def _as(kind: type, attribute: ir.Attribute) -> ir.Attribute:
    return kind(attribute) if issubclass(kind, EnumAttr) else attribute


def attribute_of(kind, value):
    """`value` as an attribute: left alone when it is one, else built by its kind."""
    if value is None or isinstance(value, ir.Attribute) or not hasattr(kind, "of"):
        return value
    return kind.of(value)
