"""Generic form, as MLIR prints it, to custom form."""

import re
from collections.abc import Iterable

from vertebra.core.assembly import function, text
from vertebra.core.assembly.format import ALL, DYNAMIC, Form, Generic, form_of
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
from vertebra.core.assembly.reader import operations
from vertebra.core.attributes import UnitAttr
from vertebra.core.dialect import LOADED, Dialect, Operation

_HEAD = re.compile(r'"([\w.$]+)"\(([^()]*)\)\s*')
_TAIL = re.compile(
    rf"\s*(?:\{{({text.BRACKETED})\}}\s*)?:\s*\(({text.TYPES}?)\)\s*->\s*({text.TYPE}|\(({text.TYPES}?)\))"
)


class Shown:
    """One operation on its way to text, spaced by the rules of MLIR's generated printers."""

    def __init__(self, form: Form, op: Generic):
        self.form, self.op = form, op
        self.pieces = [form.name]
        self.space, self.punctuation = True, False
        self.values: dict[str, list[str]] = {}
        self.types: dict[str, list[str]] = {}
        self._divide(form.op.inputs, op.values, op.types)
        self._divide(form.op.outputs, None, op.results)

    def text(self) -> str:
        for element in self.form.elements:
            self.element(element)
        return "".join(self.pieces)

    def _divide(self, side, values, types) -> None:
        """Shares operands (or results) and their types out to the fields they belong to."""
        stated = self.op.entries.get(side.segments)
        sizes = [int(n) for n in text.array_items(stated)] if stated else None
        at = 0
        for field, count in zip(side.fields, side.counts(len(types), sizes), strict=True):
            self.types[field.name] = types[at : at + count]
            if values is not None:
                self.values[field.name] = values[at : at + count]
            at += count

    def put(self, piece: str) -> None:
        """A piece that is not punctuation."""
        if self.space or not self.punctuation:
            self.pieces.append(" ")
        self.pieces.append(piece)
        self.space, self.punctuation = True, False

    def literal(self, word: str) -> None:
        if not word.strip():
            self.pieces.append(word)
            self.space, self.punctuation = False, True
            return
        first = word[0]
        tight = ">)}]," if self.punctuation else "<>(){}[],"
        if self.space and ((len(word) != 1 and word != "->") or first not in tight):
            self.pieces.append(" ")
        self.pieces.append(word)
        self.space = len(word) != 1 or first not in "<({["
        self.punctuation = not (first == "_" or first.isalpha())

    def element(self, element) -> None:
        match element:
            case Literal(word):
                self.literal(word)
            case Field(name):
                self.field(name)
            case TypeOf(name, qualified):
                self.put(self.type_of(name, qualified))
            case FunctionalType():
                results = self.op.results
                single = len(results) == 1 and not results[0].startswith("(")
                output = results[0] if single else f"({', '.join(results)})"
                self.put(f"({', '.join(self.op.types)}) -> {output}")
            case AttrDict():
                self.attributes()
            case Group(elements, anchor):
                if self.present(anchor):
                    for inner in elements:
                        self.element(inner)
            case AnyOrder(clauses):
                for clause in clauses:
                    if all(self.present(e.name) for e in clause if isinstance(e, Field)):
                        for inner in clause:
                            self.element(inner)
            case Custom(_, (dynamic, static)):
                self.put(self.mixed(dynamic, static))

    def field(self, name: str) -> None:
        if name == "operands":
            self.put(", ".join(self.op.values))
        elif name in self.values:
            self.put(", ".join(self.values[name]))
        elif not issubclass(self.form.op.attribute_kinds[name], UnitAttr):
            self.put(self.form.kinds[name].show(self.entry(name)))

    def entry(self, name: str) -> str:
        """The text of an attribute that is no unit attribute."""
        found = self.op.entries[name]
        assert found is not None, f"{self.op.name}: {name} has no value"
        return found

    def type_of(self, name: str, qualified: bool) -> str:
        if name in ALL:
            return ", ".join(self.op.types if name == "operands" else self.op.results)
        types = ", ".join(self.types[name])
        prefix = None if qualified else self.form.prefixes.get(name)
        return types.removeprefix(prefix) if prefix else types

    def present(self, anchor: str) -> bool:
        """Whether the field (or its type) is there, and not an attribute at its default."""
        name = anchor.removeprefix("type:")
        if name in self.types:
            return bool(self.types[name])
        if name in ALL:
            return bool(self.op.values if name == "operands" else self.op.results)
        entries = self.op.entries
        return name in entries and (entries[name] is None or entries[name] != self.form.defaults.get(name))

    def attributes(self) -> None:
        form = self.form
        shown = [
            (name, value)
            for name, value in self.op.entries.items()
            if name not in form.shown and not (value is not None and form.defaults.get(name) == value)
        ]
        if shown:
            self.pieces.append(f" {{{text.join_entries(shown)}}}")
            self.space, self.punctuation = True, False

    def mixed(self, dynamic: str, static: str) -> str:
        """A list whose entries are numbers or operands, [4, %n]."""
        values = iter(self.values[dynamic])
        items = text.array_items(self.entry(static))
        return f"[{', '.join(next(values) if i == DYNAMIC else i for i in items)}]"


class Printer:
    """Rewrites one printed text."""

    def __init__(self, source: str, dialects: Iterable[type[Dialect]]):
        self.source = source
        self.ops = {op.OPERATION_NAME: op for d in dialects for op in d.operations}
        self.edits: list[tuple[int, int, str]] = []
        self.namespaces = tuple(sorted(d.DIALECT_NAMESPACE for d in dialects))

    def error(self, position: int, message: str, fix: str | None = None):
        return text.parse_error(self.source, position, message, fix=fix)

    def run(self) -> str:
        for _, start, generic in operations(self.source, self.namespaces):
            if generic:
                self._operation(start)
        return text.edited(self.source, self.edits)

    def _operation(self, start: int) -> None:
        source = self.source
        head = text.matched(_HEAD, source, start)
        name = head[1]
        op = self.ops[name]
        if source.startswith("({", head.end()):
            closing = text.closing(source, head.end())
            tail = text.matched(_TAIL, source, closing + 1)
            if function.is_function(op):
                self.edits += function.show(self, start, head.end(), closing, tail)
            else:
                self._region_first(op, head.end(), tail)
            return
        tail = text.matched(_TAIL, source, head.end())
        form = form_of(op)
        if form is None:
            self._as_properties(op, tail)
            return
        results = (tail[4] or "") if tail[3][0] == "(" else tail[3]
        shown = Shown(
            form,
            Generic(
                name,
                text.split_values(head[2]),
                text.split_types(tail[2]),
                text.split_types(results),
                dict(text.split_entries(tail[1] or "")),
            ),
        ).text()
        self.edits.append((start, tail.end(), shown))

    def _region_first(self, op: type[Operation], opening: int, tail: re.Match) -> None:
        """Properties stand before the regions, as MLIR prints them for dialects that have any."""
        if tail[1] is not None:
            self.edits.append((opening, opening, self._properties(op, tail)))
            self.edits.append((tail.start(1) - 2, tail.end(1) + 1, ""))

    def _as_properties(self, op: type[Operation], tail: re.Match) -> None:
        """Attributes as properties, for operations that have no other form."""
        if tail[1] is not None:
            self.edits.append((tail.start(1) - 1, tail.end(1) + 2, self._properties(op, tail)))

    def _properties(self, op: type[Operation], tail: re.Match) -> str:
        """`<{...}> `, without the segment sizes that follow from the number of values."""
        implied = {side.segments for side in (op.inputs, op.outputs) if side.only is not None}
        entries = [e for e in text.split_entries(tail[1]) if e[0] not in implied]
        return f"<{{{text.join_entries(entries)}}}> " if entries else ""


def print_module(op, *, locations: bool = False, names: bool = True) -> str:
    """The text of `op` (a module or any operation), with operations of loaded dialects in custom form.

    locations: print `loc(...)` too.
    names: name values after the variables they came from, as Triton does.
    """
    operation = op.operation
    source = operation.get_asm(enable_debug_info=locations, use_name_loc_as_prefix=names)
    return to_custom(source)


def to_custom(source: str, dialects: Iterable[type[Dialect]] | None = None) -> str:
    """`source`, as MLIR printed it, with every operation of `dialects` in custom form."""
    dialects = tuple(LOADED.values() if dialects is None else dialects)
    return Printer(source, dialects).run() if dialects else source
