"""The base of dialects that are defined in Python.

It adds to the bindings' `ext` what a dialect with a textual form needs: loading that
may be repeated, kinds of attributes that `ext` cannot name, attributes that may be
absent, and the two declarations that the reader and printer of `core.assembly` use.

    class Tile(Dialect, name="tile"):
        pass

    class DotOp(Tile.Operation, name="dot", traits=[ext.Pure]):
        a: ext.Operand[ir.RankedTensorType]
        out: ext.Result[ir.RankedTensorType]
        rounding = optional(Rounding)
        assembly = "$a (`,` `rounding` `=` $rounding^)? attr-dict `:` type($a)"
        infer = {"out": ("a", halved)}
"""

import contextlib
import inspect
import re
from typing import ClassVar

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir, passmanager

# Dialects that some context has loaded, by namespace: those whose text can be read.
LOADED: dict[str, type] = {}


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


class optional:  # noqa: N801 - reads as a keyword where ops are declared
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


def _attribute(kind, value):
    """`value` as an attribute: left alone when it is one, else built by its kind."""
    if value is None or isinstance(value, ir.Attribute) or not hasattr(kind, "of"):
        return value
    return kind.of(value)


class Operation(ext.Operation):
    """The base of operations.

    assembly: the operation's textual form in ODS notation; without one it is generic.
    infer: field -> (field, function): the type text of the first is that function of the
        type text of the second, where `assembly` does not state it.  Fields of one
        TypeVar need no entry, nor do those of a single builtin type such as `index`.
    """

    # Without annotations: `ext` takes every annotated name for a field.
    assembly = None
    infer = {}
    attribute_kinds = {}
    optional_attributes = {}

    def __init_subclass__(cls, *, name: str | None = None, traits: list[type] | None = None, **kwargs):
        super().__init_subclass__(name=name, traits=traits, **kwargs)
        if name is None:
            return
        cls.optional_attributes = {n: v for n, v in vars(cls).items() if isinstance(v, optional)}
        kinds = {f.name: f.constraint for f in cls._fields if isinstance(f, ext.AttributeDef)}
        cls.attribute_kinds = kinds | {n: d.kind for n, d in cls.optional_attributes.items()}
        for field, kind in kinds.items():
            if inspect.isclass(kind) and issubclass(kind, EnumAttr):
                setattr(cls, field, property(lambda op, f=field, k=kind: k(op.attributes[f])))
        _ranges(cls, [f for f in cls._fields if isinstance(f, ext.OperandDef)], "operands")
        _ranges(cls, [f for f in cls._fields if isinstance(f, ext.ResultDef)], "results")
        cls.__init__ = _builder(cls.__init__, kinds, cls.optional_attributes)


def _ranges(cls, fields, side: str) -> None:
    """Accessors that need no list of segment sizes, where only one field is not a single value.

    MLIR asks for the list only with several such fields, and texts have it only then.
    """
    variadic = [i for i, f in enumerate(fields) if f.variadicity.name != "single"]
    if len(variadic) != 1:
        return
    (first,), after = variadic, len(fields) - 1 - variadic[0]

    def many(op):
        values = getattr(op.operation, side)
        return values[first : len(values) - after]

    def at_most_one(op):
        values = getattr(op.operation, side)
        return values[first] if len(values) == len(fields) else None

    def behind(op, back):
        values = getattr(op.operation, side)
        return values[len(values) - back]

    for i, field in enumerate(fields):
        if i == first:
            getter = many if field.variadicity.name == "variadic" else at_most_one
        elif i < first:
            getter = lambda op, i=i: getattr(op.operation, side)[i]  # noqa: E731
        else:
            getter = lambda op, back=len(fields) - i: behind(op, back)  # noqa: E731
        setattr(cls, field.name, property(getter))


def _builder(build, kinds, optionals):
    """`build` taking Python values for attributes, and the optional ones by keyword."""
    names = list(inspect.signature(build).parameters)[1:]

    def __init__(self, *args, **kwargs):
        given = {n: _attribute(d.kind, kwargs.pop(n)) for n, d in optionals.items() if n in kwargs}
        args = [_attribute(kinds.get(n), a) for n, a in zip(names, args, strict=False)]
        kwargs = {n: _attribute(kinds.get(n), a) for n, a in kwargs.items()}
        build(self, *args, **kwargs)
        for n, attribute in given.items():
            if attribute is not None:
                self.attributes[n] = attribute

    __init__.__signature__ = inspect.signature(build)
    return __init__


class _Unverified(passmanager.PassManager):
    def __init__(self):
        super().__init__()
        self.enable_verifier(False)


@contextlib.contextmanager
def _any_names():
    """Within it, `ext` defines names that IRDL's verifier refuses for its own sake: reduce.return, combineOp."""
    verifying, ext.PassManager = ext.PassManager, _Unverified
    try:
        yield
    finally:
        ext.PassManager = verifying


class Dialect(ext.Dialect, name="vertebra"):
    """The base of dialects.  Operations and types derive from `Operation` and `Type` of the subclass.

    spellings: (pattern, replacement) pairs that bring other spellings of the dialect's
        types to the one it prints, before the text is read.
    """

    spellings: ClassVar[tuple[tuple[re.Pattern, str], ...]] = ()

    def __init_subclass__(cls, *, name: str, **kwargs):
        super().__init_subclass__(name=name, **kwargs)
        cls.Operation = type("Operation", (Operation,), {}, dialect=cls)

    @classmethod
    def load(cls) -> None:
        """Makes the dialect known to the current context; a second time does nothing."""
        LOADED[cls.DIALECT_NAMESPACE] = cls
        if not ir.Context.current.is_dialect_loaded(cls.DIALECT_NAMESPACE):
            with ir.Location.unknown(), _any_names():
                super().load()
