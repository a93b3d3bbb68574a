"""An operation's textual form, compiled from its `assembly` into a reader and a printer.

Reading is one regular expression per operation; only when it fails are the elements
tried one after the other, to say what was expected where.
"""

import copy
import re
from collections.abc import Callable
from functools import cache
from typing import TypeVar, get_args, get_origin

import attrs

from vertebra.core.assembly import notation, text
from vertebra.core.assembly.notation import (
    AnyOrder,
    AttrDict,
    Custom,
    Field,
    FunctionalType,
    Group,
    Literal,
    TypeOf,
)
from vertebra.core.attributes import (
    BoolAttr,
    EnumAttr,
    I32ArrayAttr,
    I32Attr,
    I64ArrayAttr,
    StrAttr,
    SymbolAttr,
    UnitAttr,
)
from vertebra.core.dialect import Operation
from vertebra.core.mlir import ext, ir

_BLANKS = re.compile(r"[ \t]*")

DYNAMIC = "-9223372036854775808"  # how MLIR marks an entry of a static list that an operand holds
SEGMENTS = "operandSegmentSizes"
RESULT_SEGMENTS = "resultSegmentSizes"
ALL = ("operands", "results")


@attrs.frozen
class Generic:
    """An operation in generic form, in pieces of text.

    values, types, results: one text for each operand and result.  entries: its attributes.
    """

    name: str
    values: list[str]
    types: tuple[str, ...]
    results: tuple[str, ...]
    entries: dict[str, str | None]


@attrs.frozen
class Kind:
    """How an attribute is written in a custom form: its syntax, and the way to and from generic text."""

    pattern: str
    read: Callable[[str], str]
    show: Callable[[str], str]


def _kind(cls) -> Kind:
    if isinstance(cls, type):
        if issubclass(cls, EnumAttr):
            return Kind(
                r"\w+(?:\|\w+)*",  # several keywords where the enumeration is a set of bits
                lambda keyword: f"{cls.cases[keyword]} : i32",
                lambda value: cls.keywords[int(value.partition(" ")[0])],
            )
        if issubclass(cls, I32Attr):
            return Kind(r"-?\d+", lambda n: f"{n} : i{cls.width}", lambda value: value.partition(" ")[0])
        if issubclass(cls, BoolAttr):
            return Kind(r"(?:true|false)\b", str, str)
        if issubclass(cls, I32ArrayAttr | I64ArrayAttr):
            return Kind(r"\[[\s\d,-]*\]", lambda items: _array(items[1:-1], cls.element), _items)
        if issubclass(cls, SymbolAttr):
            return Kind(text.SYMBOL, str, str)
        if issubclass(cls, StrAttr):
            return Kind(text.STRING, str, str)
        if issubclass(cls, UnitAttr):
            return Kind("", lambda _: "unit", lambda _: "")
    return Kind(text.ANY_ATTRIBUTE, str, str)


def _array(items: str, element: str) -> str:
    return f"array<{element}: {items}>" if items.strip() else f"array<{element}>"


def _items(array: str) -> str:
    """'array<i64: 4, 2>' -> '[4, 2]'."""
    return f"[{', '.join(text.array_items(array))}]"


def default_text(optional) -> str | None:
    """The generic text of an optional attribute's default."""
    kind, default = optional.kind, optional.default
    if default is None:
        return None
    if issubclass(kind, EnumAttr):
        return f"{kind.cases[default]} : i32"
    if issubclass(kind, I32ArrayAttr | I64ArrayAttr):
        return _array(", ".join(map(str, default)), kind.element)
    if issubclass(kind, BoolAttr):
        return str(default).lower()
    if issubclass(kind, I32Attr):
        return f"{default} : i{kind.width}"
    return f'"{default}"'


def _constraint(constraint):
    return constraint.__bound__ if isinstance(constraint, TypeVar) else constraint


def _builtin(constraint) -> str | None:
    """The text of the one type a constraint allows, or None."""
    constraint = _constraint(constraint)
    if get_origin(constraint) is ir.IntegerType:
        return f"i{get_args(constraint)[0]}"
    return "index" if constraint is ir.IndexType else None


def _prefix(constraint) -> str | None:
    """'!tt.ptr' where a constraint allows that parametric type only: it is left out in print."""
    constraint = _constraint(constraint)
    parametric = isinstance(constraint, type) and issubclass(constraint, ext.Type)
    return f"!{constraint.type_name}" if parametric else None


def segments(side, counts) -> str:
    """The dictionary entry that tells MLIR how many values each field has."""
    return f"{side.segments} = array<i32: {', '.join(map(str, side.sizes(counts)))}>"


def result_count(types: str) -> int:
    """How many results a function type has, '(i32) -> (i32, f32)'."""
    outputs = types[types.rindex("->") + 2 :].strip()
    return len(text.split_types(outputs[1:-1])) if outputs[0] == "(" else 1


class Form:
    """The textual form of one operation class."""

    def __init__(self, op: type[Operation]):
        self.op = op
        self.name = op.OPERATION_NAME
        self.elements = notation.parse(op.assembly or "")
        self.operands, self.results = op.inputs.fields, op.outputs.fields
        self.fields = {f.name: f for f in (*self.operands, *self.results)}
        self.kinds = {name: _kind(kind) for name, kind in op.attribute_kinds.items()}
        self.enums = {
            n: k for n, k in op.attribute_kinds.items() if isinstance(k, type) and issubclass(k, EnumAttr)
        }
        self.defaults = {n: default_text(d) for n, d in op.optional_attributes.items()}
        self.prefixes = {n: p for n, f in self.fields.items() if (p := _prefix(f.constraint))}
        self.shown = {SEGMENTS, RESULT_SEGMENTS}  # the attributes that attr-dict leaves out
        self.groups: dict[str, int] = {}  # what is captured -> number of its group
        self.lists: dict[str, str] = {}  # static list of a custom<DynamicIndexList> -> its operands
        pattern = "".join(self._pattern(e) for e in self.elements)
        self.regex = re.compile(rf"{re.escape(self.name)}(?![\w.]){pattern}")
        self._plan()

    # -- the syntax of elements

    def _capture(self, key: str, pattern: str) -> str:
        self.groups[key] = len(self.groups)
        return f"({pattern})"

    def _pattern(self, element) -> str:
        if isinstance(element, Literal):
            if not element.text.strip():
                return ""
            return rf"\s*{re.escape(element.text)}" + (r"\b" if element.text[-1].isalnum() else "")
        return r"\s*" + self._body(element)

    def _body(self, element) -> str:
        if isinstance(element, Field):
            return self._field(element.name)
        if isinstance(element, TypeOf):
            variadicity = "variadic" if element.name in ALL else self.fields[element.name].variadicity.name
            pattern = {"single": text.TYPE, "optional": f"{text.TYPE}?", "variadic": f"{text.TYPES}?"}[
                variadicity
            ]
            return self._capture(f"type:{element.name}", pattern)
        if isinstance(element, FunctionalType):
            return self._capture("functional", text.TYPES_ARROW_TYPES)
        if isinstance(element, AttrDict):
            return f"(?:{self._capture('attr-dict', text.DICTIONARY)})?"
        if isinstance(element, Group):
            return f"(?:{''.join(self._pattern(e) for e in element.elements)})?"
        if isinstance(element, AnyOrder):
            return f"(?:{'|'.join(''.join(self._pattern(e) for e in c) for c in element.clauses)})*"
        dynamic, static = element.arguments
        self.lists[static] = dynamic
        self.shown.add(static)
        return self._capture(f"list:{static}", r"\[[^\[\]]*\]")

    def _field(self, name: str) -> str:
        if name == "operands":
            return self._capture("operands", text.VALUES + "?")
        if name in self.fields:
            single = self.fields[name].variadicity.name != "variadic"
            return self._capture(name, text.VALUE if single else text.VALUES + "?")
        self.shown.add(name)
        return self._capture(name, self.kinds[name].pattern)

    # -- how a match becomes generic text

    def _plan(self) -> None:
        """Decides where every operand, attribute and type of the generic form comes from."""
        groups = self.groups
        self.attribute_groups = [(n, groups[n], self.kinds[n].read) for n in self.kinds if n in groups]
        self.list_groups = [(s, groups[f"list:{s}"], d) for s, d in self.lists.items()]
        self.type_steps: list[tuple] = []
        if "functional" in groups:
            return
        known: dict[str, str] = {}  # TypeVar -> the field that states it
        for name, field in self.fields.items():
            if f"type:{name}" in groups:
                self.type_steps.append((name, groups[f"type:{name}"], self.prefixes.get(name), None, None))
                if isinstance(field.constraint, TypeVar):
                    known.setdefault(field.constraint.__name__, name)
        if "type:operands" in groups:
            known.update((f.name, f.name) for f in self.operands)
        todo = [n for n in self.fields if f"type:{n}" not in groups and not self._whole(n)]
        done = [n for n in self.fields if n not in todo]
        while todo:
            ready = [(n, source) for n in todo if (source := self._source(n, known, done)) is not None]
            assert ready, f"{self.name}: nothing states the type of {', '.join(todo)}"
            for name, (origin, function) in ready:
                self.type_steps.append((name, None, None, origin, function))
                todo.remove(name)
                done.append(name)

    def _whole(self, name: str) -> bool:
        side = "operands" if name in {f.name for f in self.operands} else "results"
        return f"type:{side}" in self.groups

    def _source(self, name, known, done):
        """(field, function) for a type that the text does not state; the field is None for a constant."""
        if name in self.op.infer:
            origin, function = self.op.infer[name]
            return (origin, function) if origin in done else None
        constraint = self.fields[name].constraint
        if isinstance(constraint, TypeVar) and constraint.__name__ in known:
            return known[constraint.__name__], None
        builtin = _builtin(constraint)
        return (None, builtin) if builtin else None

    def read(self, match: re.Match) -> str:
        """The generic form of the operation that `match` found."""
        found = match.groups()
        groups, op = self.groups, self.op
        entries = []
        values = {}
        for name, group, read in self.attribute_groups:
            if (value := found[group]) is not None:
                entries.append(f"{name} = {read(value)}")
        for static, group, dynamic in self.list_groups:
            if found[group] is None:
                values[dynamic] = ""
                continue
            items = [i.strip() for i in found[group][1:-1].split(",") if i.strip()]
            values[dynamic] = ", ".join(i for i in items if i[0] == "%")
            array = _array(", ".join(DYNAMIC if i[0] == "%" else i for i in items), "i64")
            entries.append(f"{static} = {array}")
        if "attr-dict" in groups and found[groups["attr-dict"]]:
            inside = found[groups["attr-dict"]][1:-1]
            if inside.strip():
                entries.append(inside)
        if "operands" in groups:
            operands = found[groups["operands"]] or ""
            counts = op.inputs.counts(operands.count("%"))
        else:
            texts = [
                values[f.name] if f.name in values else found[groups[f.name]] or "" for f in self.operands
            ]
            counts = [t.count("%") for t in texts]
            operands = ", ".join([t for t in texts if t])
        types = self._types(found, counts)
        if op.inputs.needs_segments:
            entries.append(segments(op.inputs, counts))
        if op.outputs.needs_segments:
            entries.append(segments(op.outputs, op.outputs.counts(result_count(types))))
        attributes = f" {{{', '.join(entries)}}}" if entries else ""
        return f'"{self.name}"({operands}){attributes} : {types}'

    def _types(self, found, counts) -> str:
        groups = self.groups
        if "functional" in groups:
            return found[groups["functional"]]
        types = {}
        for name, group, prefix, origin, function in self.type_steps:
            if group is not None:
                stated = found[group] or ""
                types[name] = prefix + stated if prefix and stated[:1] == "<" else stated
            elif origin is None:
                types[name] = function
            else:
                types[name] = types[origin] if function is None else function(types[origin])
        if "type:operands" in groups:
            inputs = found[groups["type:operands"]] or ""
        else:
            inputs = ", ".join(self._repeated(types, counts))
        if "type:results" in groups:
            results = found[groups["type:results"]] or ""
        else:
            results = ", ".join([t for f in self.results if (t := types[f.name])])
        return f"({inputs}) -> ({results})"

    def _repeated(self, types, counts):
        """The type of each operand; where one type stands for many operands, that many times."""
        for field, count in zip(self.operands, counts, strict=True):
            stated = types[field.name]
            if count == 1 or (count and f"type:{field.name}" in self.groups):
                yield stated
            elif count:
                yield ", ".join([stated] * count)

    # -- what is wrong with text that does not match

    def diagnose(self, source: str, start: int) -> tuple[int, list[str]]:
        """Where reading stops, and what could have come next."""
        at = start + len(self.name)
        for index, element in enumerate(self.elements):
            probe = copy.copy(self)
            probe.groups, probe.lists, probe.shown = {}, {}, set()
            match = re.compile(probe._pattern(element)).match(source, at)
            if match is None:
                before = index
                expected = []
                while before > 0 and isinstance(self.elements[before - 1], Group | AnyOrder | AttrDict):
                    before -= 1
                for e in self.elements[before : index + 1]:
                    expected += self._describe(e)
                return at + len(text.matched(_BLANKS, source, at)[0]), expected
            at = match.end()
        raise AssertionError(f"{self.name}: every element matches, the whole does not")

    def bad_keyword(self, match: re.Match) -> tuple[int, list[str]]:
        """The position of a keyword that its enumeration does not know, and what it knows."""
        for name, enum in self.enums.items():
            group = self.groups.get(name)
            if group is not None and match[group + 1] is not None and match[group + 1] not in enum.cases:
                return match.start(group + 1), list(enum.cases)
        raise AssertionError(f"{self.name}: every keyword is known")

    def _describe(self, element) -> list[str]:
        if isinstance(element, Literal):
            return [f"`{element.text}`"] if element.text.strip() else []
        if isinstance(element, Field):
            if element.name in self.enums:
                return sorted(self.enums[element.name].cases)
            return [f"{'operand' if element.name in self.fields else 'attribute'} {element.name}"]
        if isinstance(element, TypeOf):
            return [f"the type of {element.name}"]
        if isinstance(element, FunctionalType):
            return ["a function type, (operands) -> result"]
        if isinstance(element, Group):
            return self._describe(element.elements[0])
        if isinstance(element, AnyOrder):
            return [d for clause in element.clauses for d in self._describe(clause[0])]
        if isinstance(element, Custom):
            return ["a list in [ ]"]
        return ["{attributes}"]


@cache
def form_of(op: type[Operation]) -> Form | None:
    """The compiled textual form of an operation class; None where it has only the generic one."""
    return Form(op) if op.assembly else None
