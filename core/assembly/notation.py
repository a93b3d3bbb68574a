"""The notation of `assembly`: ODS's declarative assembly format, taken apart.

Elements: `literals`, $field, type($field), qualified(type($field)), operands, results,
functional-type(inputs, results), attr-dict, ( ... )? with the anchor ^, oilist( a | b ),
custom<Directive>(...).
"""

import re

import attrs

_TOKEN = re.compile(r"\s*(`[^`]*`|\$\w+|[\w-]+|[()<>,?|^])")


@attrs.frozen
class Literal:
    text: str


@attrs.frozen
class Field:
    """An operand, attribute or group of operands by name; `operands` stands for all of them."""

    name: str


@attrs.frozen
class TypeOf:
    """The type of a field, or of all `operands` or `results`.

    It is printed without its `!dialect.name` where no other is possible, unless qualified.
    """

    name: str
    qualified: bool = False


@attrs.frozen
class FunctionalType:
    inputs: str
    results: str


@attrs.frozen
class AttrDict:
    """The attributes that nothing else in the format shows."""


@attrs.frozen
class Group:
    """Elements that are there only if the anchor is: a field's name, or `type:name` for its type."""

    elements: tuple
    anchor: str


@attrs.frozen
class AnyOrder:
    """Clauses that may come in any order, each at most once."""

    clauses: tuple[tuple, ...]


@attrs.frozen
class Custom:
    directive: str
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """What an anchor on it looks at: its last argument, the static part of a list."""
        return self.arguments[-1]


class _Parser:
    def __init__(self, notation: str):
        self.notation = notation
        self.tokens = _TOKEN.findall(notation)
        assert "".join(self.tokens) == re.sub(r"\s(?=[^`]*(?:`[^`]*`[^`]*)*$)", "", notation), (
            f"not an assembly format: {notation}"
        )
        self.next = 0
        self.anchor: str | None = None

    def peek(self):
        return self.tokens[self.next] if self.next < len(self.tokens) else None

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        assert token is not None and expected in (None, token), (
            f"expected {expected} at token {self.next} ({token}) of the assembly format: {self.notation}"
        )
        self.next += 1
        return token

    def elements(self, *ends: str | None) -> tuple:
        found = []
        while self.peek() not in ends:
            found.append(self.element())
            if self.peek() == "^":
                self.take()
                last = found[-1]
                self.anchor = f"type:{last.name}" if isinstance(last, TypeOf) else last.name
        return tuple(found)

    def element(self):
        token = self.take()
        if token.startswith("`"):
            return Literal(token[1:-1])
        if token.startswith("$"):
            return Field(token[1:])
        if token in ("operands", "results"):
            return Field(token)
        if token == "attr-dict":
            return AttrDict()
        if token == "type":
            return TypeOf(self.arguments()[0])
        if token == "qualified":
            self.take("(")
            self.take("type")
            name = self.arguments()[0]
            self.take(")")
            return TypeOf(name, qualified=True)
        if token == "functional-type":
            return FunctionalType(*self.arguments())
        if token == "oilist":
            self.take("(")
            clauses = [self.elements("|", ")")]
            while self.peek() == "|":
                self.take()
                clauses.append(self.elements("|", ")"))
            self.take(")")
            return AnyOrder(tuple(clauses))
        if token == "custom":
            self.take("<")
            directive = self.take()
            self.take(">")
            return Custom(directive, self.arguments())
        assert token == "(", f"unknown directive {token} in the assembly format: {self.notation}"
        outer, self.anchor = self.anchor, None
        elements = self.elements(")")
        self.take(")")
        self.take("?")
        assert self.anchor is not None, f"a group without anchor ^ in the assembly format: {self.notation}"
        group, self.anchor = Group(elements, self.anchor), outer
        return group

    def arguments(self) -> tuple[str, ...]:
        self.take("(")
        names = [self.take().lstrip("$")]
        while self.peek() == ",":
            self.take()
            names.append(self.take().lstrip("$"))
        self.take(")")
        return tuple(names)


def parse(notation: str) -> tuple:
    """The elements of an assembly format.  Raises AssertionError where it is not one."""
    return _Parser(notation).elements(None)
