"""The base of dialects that are defined in Python.

It adds to the bindings' `ext` what a dialect with a textual form needs: loading that may be
repeated, attributes that may be absent, operands of mixed types, and the two declarations
that the reader and printer of `core.assembly` use.

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
import sys
from collections.abc import Sequence
from functools import partial
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, Union, get_args, get_origin

from vertebra.core.attributes import EnumAttr, attribute_of, optional
from vertebra.core.errors import CompileError
from vertebra.core.mlir import PROVIDER, ext, ir, irdl, passmanager

# Dialects that some context has loaded, by namespace: those whose text can be read.
LOADED: dict[str, type["Dialect"]] = {}

# How many values of different types one operand or result field can have.
AT_MOST = 32


class Operation(ext.Operation):
    """The base of operations.

    assembly: the operation's textual form in ODS notation; without one it is generic.
    infer: field -> (field, function): the type text of the first is that function of the
        type text of the second, where `assembly` does not state it.  Fields of one
        TypeVar need no entry, nor do those of a single builtin type such as `index`.
    """

    # Types in comments: `ext` takes every annotated name for a field.
    assembly = None  # type: str | None
    infer = {}  # type: dict[str, tuple]
    attribute_kinds = {}  # type: dict[str, Any]
    optional_attributes = {}  # type: dict[str, optional]
    inputs = outputs = None  # type: Any

    def __init_subclass__(cls, *, name: str | None = None, traits: list[type] | None = None, **kwargs):
        super().__init_subclass__(name=name, traits=traits, **kwargs)
        if name is None:
            return
        cls.optional_attributes = {n: v for n, v in vars(cls).items() if isinstance(v, optional)}
        attributes = [f for f in cls._fields if isinstance(f, ext.AttributeDef)]
        for field in attributes:  # `ext` takes false and empty attributes for missing ones
            field.process_attr = partial(_given_or_default, field.default_factory)
        kinds = {f.name: f.constraint for f in attributes}
        cls.attribute_kinds = kinds | {n: d.kind for n, d in cls.optional_attributes.items()}
        for field, kind in kinds.items():
            if inspect.isclass(kind) and issubclass(kind, EnumAttr):
                setattr(cls, field, property(partial(_member, kind, field)))
        cls.inputs = Side([f for f in cls._fields if isinstance(f, ext.OperandDef)], "operandSegmentSizes")
        cls.outputs = Side([f for f in cls._fields if isinstance(f, ext.ResultDef)], "resultSegmentSizes")
        for side, kind in ((cls.inputs, "operands"), (cls.outputs, "results")):
            if any(f.variadicity.name != "single" for f in side.fields):
                for index, field in enumerate(side.fields):
                    setattr(cls, field.name, side.accessor(index, kind))
        cls.__init__ = _builder(cls, kinds)  # type: ignore[method-assign]
        if "verify_invariants" in vars(cls):
            cls.verify_invariants = staticmethod(partial(_verify, cls, cls.verify_invariants))

    @classmethod
    def _emit_operation(cls) -> None:
        """What `ext` emits, but for fields of mixed types."""
        lowering = _Constraints(cls._dialect_obj)
        with ir.InsertionPoint(irdl.operation_(cls._op_name).body):
            for side, emit in ((cls.inputs, irdl.operands_), (cls.outputs, irdl.results_)):
                if side.fields:
                    emit(*_definitions(side, lowering))
            fields = [f for f in cls._fields if isinstance(f, ext.AttributeDef)]
            if fields:
                irdl.attributes_([lowering.lower(f.constraint) for f in fields], [f.name for f in fields])
            regions = [f.name for f in cls._fields if isinstance(f, ext.RegionDef)]
            if regions:
                irdl.regions_([irdl.region([]) for _ in regions], regions)


def _member(kind: type[EnumAttr], field: str, op) -> EnumAttr:
    return kind(op.attributes[field])


def _given_or_default(factory, attribute):
    return factory() if attribute is None and factory else attribute


def _verify(cls, verify, op) -> bool:
    """Runs an operation's verifier, which may trust the declared types.

    MLIR runs it before it checks those, so an exception may come from a type that they forbid.
    """
    try:
        return verify(op)
    except (AttributeError, TypeError, ValueError):
        for side, values in ((cls.inputs, op.operation.operands), (cls.outputs, op.operation.results)):
            counts = side.counts(len(values)) if side.only is not None else [1] * len(side.fields)
            fields = [f for f, count in zip(side.fields, counts, strict=True) for _ in range(count)]
            for field, value in zip(fields, values, strict=False):
                if not _admits(field.constraint, value.type):
                    raise CompileError(
                        f"{cls.OPERATION_NAME}: {field.name} is {value.type}",
                        at=op,
                        fix=f"see {cls.__name__}",
                    ) from None
        raise


def _admits(constraint, type_: ir.Type) -> bool:
    """Whether a declared constraint allows a type, as far as classes tell."""
    constraint = getattr(constraint, "__bound__", constraint)
    if constraint is Any or constraint is None:
        return True
    if get_origin(constraint) in (UnionType, Union):
        return any(_admits(c, type_) for c in get_args(constraint))
    return isinstance(type_, get_origin(constraint) or constraint)


class _Constraints(ext.ConstraintLoweringContext):
    """Names the types of other dialects, where `ext` would refer to symbols that are not there, and crash."""

    def __init__(self, dialect):
        super().__init__()
        self.dialect = dialect

    def _lower(self, type_):
        if isinstance(type_, type) and issubclass(type_, ext.Type) and type_._dialect_obj is not self.dialect:
            return irdl.base(base_name=f"!{type_.type_name}")
        return super()._lower(type_)


def _definitions(side, lowering):
    """Constraints, names and variadicities of the operands or results, for IRDL."""
    constraints, names, variadicities = [], [], []
    for field, width in zip(side.fields, side.widths, strict=True):
        for i in range(width):
            constraints.append(lowering.lower(field.constraint))
            names.append(field.name if width == 1 else f"{field.name}_{i}")
            variadicities.append(field.variadicity if width == 1 else irdl.Variadicity.optional)
    return constraints, names, variadicities


class Side:
    """The operands, or the results, of an operation class, and how its fields share them.

    IRDL gives all values of one variadic field the same type.  A field that admits more than
    one type is therefore declared to it as `AT_MOST` optional fields, and MLIR finds in
    `segments` which of them are there.
    """

    def __init__(self, fields, segments: str):
        self.fields = fields
        self.segments = segments
        self.widths = [AT_MOST if self.is_mixed(f) else 1 for f in fields]
        variadic = [i for i, f in enumerate(fields) if f.variadicity.name != "single"]
        self.only = variadic[0] if len(variadic) == 1 else None
        self.needs_segments = sum(self.widths[i] for i in variadic) > 1

    @staticmethod
    def is_mixed(field) -> bool:
        constraint = getattr(field.constraint, "__bound__", field.constraint)
        one_type = get_origin(constraint) is ir.IntegerType or constraint is ir.IndexType
        return field.variadicity.name == "variadic" and not one_type

    def sizes(self, counts: Sequence[int]) -> list[int]:
        """The segment sizes for as many values of each field.  Raises ValueError above AT_MOST."""
        found = []
        for count, width in zip(counts, self.widths, strict=True):
            if width == 1:
                found.append(count)
            elif count > width:
                raise ValueError(f"{count} values; at most {width} are possible")
            else:
                found += [1] * count + [0] * (width - count)
        return found

    def counts(self, total: int, sizes: Sequence[int] | None = None) -> list[int]:
        """How many of `total` values each field has; `sizes` is needed where more than one varies."""
        if self.only is not None:
            counts = [1] * len(self.fields)
            counts[self.only] = total - (len(counts) - 1)
            return counts
        if sizes is None:
            return [1] * len(self.fields)
        if len(sizes) == len(self.fields):
            return list(sizes)
        found, at = [], 0
        for width in self.widths:
            found.append(sum(sizes[at : at + width]))
            at += width
        return found

    def accessor(self, index: int, kind: str) -> property:
        """The values of one field of `op.operands` or `op.results`: a value, a list, or None."""
        variadicity = self.fields[index].variadicity.name

        def getter(op):
            values = getattr(op.operation, kind)
            sizes = (
                op.operation.attributes[self.segments] if self.only is None and self.needs_segments else None
            )
            counts = self.counts(len(values), sizes)
            first = sum(counts[:index])
            if variadicity == "variadic":
                return values[first : first + counts[index]]
            return values[first] if counts[index] else None

        return property(getter)


def _builder(cls, kinds):
    """The constructor of `ext`, taking Python values for attributes, and the optional ones by keyword."""
    build, optionals = cls.__init__, cls.optional_attributes
    names = list(inspect.signature(build).parameters)[1:]

    def __init__(self, *args, **kwargs):
        given = {n: attribute_of(d.kind, kwargs.pop(n)) for n, d in optionals.items() if n in kwargs}
        args = [attribute_of(kinds.get(n), a) for n, a in zip(names, args, strict=False)]
        kwargs = {n: attribute_of(kinds.get(n), a) for n, a in kwargs.items()}
        build(self, *args, **kwargs)
        attributes = self.operation.attributes
        for n, attribute in given.items():
            if attribute is not None:
                attributes[n] = attribute
        for side in (cls.inputs, cls.outputs):
            if any(width > 1 for width in side.widths):
                attributes[side.segments] = ir.DenseI32ArrayAttr.get(
                    side.sizes(list(attributes[side.segments]))
                )

    __init__.__signature__ = inspect.signature(build)
    return __init__


class _Unverified(passmanager.PassManager):
    def __init__(self):
        super().__init__()
        self.enable_verifier(False)


@contextlib.contextmanager
def _any_names():
    """Within it, `ext` defines names that IRDL's verifier refuses: reduce.return, combineOp."""
    verifying, ext.PassManager = ext.PassManager, _Unverified
    try:
        yield
    finally:
        ext.PassManager = verifying


def _end_search(dialect: type["Dialect"]) -> None:
    """Tells the bindings where the dialect's module is.

    Else they try to import one, in vain, whenever an operation or a type of the dialect comes to
    Python: 20 us each time, most of the time that a verifier takes.
    """
    name = f"{PROVIDER}.dialects.{dialect.DIALECT_NAMESPACE}"
    sys.modules[name] = sys.modules[dialect.__module__]
    try:
        ext._cext.globals._check_dialect_module_loaded(dialect.DIALECT_NAMESPACE)
    finally:
        del sys.modules[name]


class Dialect(ext.Dialect, name="vertebra"):  # type: ignore[call-arg]  # upstream's base has no types
    """The base of dialects.  Operations and types derive from `Operation` and `Type` of the subclass.

    spellings: (pattern, replacement) pairs that bring other spellings of the dialect's
        types to the one it prints, before the text is read.
    dependencies: dialects whose types its operations name; they are loaded first.
    """

    dependencies: ClassVar[tuple[type["Dialect"], ...]] = ()
    spellings: ClassVar[tuple[tuple[re.Pattern, str], ...]] = ()
    if TYPE_CHECKING:  # every dialect has classes of its own
        Operation: TypeAlias = Operation

        class Type(ext.Type):
            def __init_subclass__(cls, *, name: str, **kwargs): ...

    def __init_subclass__(cls, *, name: str, **kwargs):
        super().__init_subclass__(name=name, **kwargs)
        cls.Operation = type("Operation", (Operation,), {}, dialect=cls)  # type: ignore[assignment]

    @classmethod
    def load(cls) -> None:
        """Makes the dialect known to the current context; a second time does nothing."""
        for dialect in cls.dependencies:
            dialect.load()
        LOADED[cls.DIALECT_NAMESPACE] = cls
        if not ir.Context.current.is_dialect_loaded(cls.DIALECT_NAMESPACE):
            with ir.Location.unknown(), _any_names():
                super().load()
            _end_search(cls)
