"""The textual form of functions: `custom<Function>`.

    tt.func public @name(%x: f32 {attributes} loc(...), ...) -> (i32 {attributes}) attributes {...} { body }

The operation has sym_name, function_type, and where given sym_visibility, arg_attrs and
res_attrs, as every function of MLIR has.
"""

import re
from typing import Any, NamedTuple

from vertebra.core.assembly import text
from vertebra.core.dialect import Operation

ENTRY = "^__entry"  # a label that no printer makes, for the block that the custom form leaves unnamed

_HEAD = re.compile(rf"[\w.]+\s+(?:(public|private|nested)\s+)?({text.SYMBOL})\s*\(")
_ITEM = re.compile(rf"\s*(?:({text.VALUE})\s*:\s*)?({text.TYPE})\s*({text.DICTIONARY})?\s*")
_LOCATION = re.compile(r"loc(?=\()")
_NEXT = re.compile(r"\s*(,|\))")
_EMPTY = re.compile(r"\s*\)")
_ARROW = re.compile(r"\s*->\s*(\()?")
_ATTRIBUTES = re.compile(rf"\s*attributes\s*({text.DICTIONARY})")
_BLOCK = re.compile(r"\(\{\s*(?:\^\w+(\())?")
_SIGNATURE = re.compile(rf"\(({text.TYPES}?)\)\s*->\s*(?:({text.TYPE})|\(({text.TYPES}?)\))")
_DICTIONARIES = re.compile(text.DICTIONARY)
_KNOWN = ("sym_name", "sym_visibility", "function_type", "arg_attrs", "res_attrs")
_BODY = re.compile(r"\s*\{")


def is_function(op: type[Operation]) -> bool:
    return op.assembly == "custom<Function>"


class Item(NamedTuple):
    """An argument or a result of a function; each part is text."""

    value: str | None
    type: str
    attributes: str | None
    location: str | None


def read(reader, op: type[Operation], start: int) -> list[tuple[int, int, str]]:
    """The edits that bring the function at `start` of the reader's text to generic form."""
    source, name = reader.source, op.OPERATION_NAME
    head = _HEAD.match(source, start)
    if head is None:
        raise reader.error(start + len(name) + 1, f"{name}: expected [public|private] @name(arguments)")
    arguments, at = _list(reader, head.end(), f"{name}: expected an argument, %name: type")
    results, at = _read_results(reader, at, name)
    attributes = _ATTRIBUTES.match(source, at)
    at = attributes.end() if attributes else at
    tail = f" {{{_entries(head, arguments, results, attributes)}}} : () -> ()"
    body = _BODY.match(source, at)
    lines = "\n" * source.count("\n", start, body.end() if body else at)
    if body is None:
        return [(start, at, f'"{name}"() ({{}}){tail}{lines}')]
    if any(a.value is None for a in arguments):
        raise reader.error(head.end(), f"{name}: a function with a body needs a name for each argument")
    opening = body.end() - 1
    closing = text.closing(source, opening)
    if closing < 0:
        raise reader.error(
            opening, f"the body of {head[2]} is never closed", "add `}` after its last operation"
        )
    block = ", ".join(f"{a.value}: {a.type}" + (f" {a.location}" if a.location else "") for a in arguments)
    label = f"{ENTRY}({block}):" if arguments else f"{ENTRY}:"
    return [(start, opening + 1, f'"{name}"() ({{{label}{lines}'), (closing, closing + 1, f"}}){tail}")]


def _entries(head, arguments: list[Item], results: list[Item], attributes) -> str:
    """The inside of the attribute dictionary of a function."""
    types = [r.type for r in results]
    output = types[0] if len(types) == 1 else f"({', '.join(types)})"
    symbol = head[2][1:]
    entries = [
        ("function_type", f"({', '.join(a.type for a in arguments)}) -> {output}"),
        ("sym_name", symbol if symbol[0] == '"' else f'"{symbol}"'),
    ]
    for key, items in (("arg_attrs", arguments), ("res_attrs", results)):
        if any(i.attributes for i in items):
            entries.append((key, f"[{', '.join(i.attributes or '{}' for i in items)}]"))
    if head[1]:
        entries.append(("sym_visibility", f'"{head[1]}"'))
    inside = text.join_entries(entries)
    extra = attributes[1][1:-1].strip() if attributes else ""
    return f"{inside}, {extra}" if extra else inside


def _list(reader, at: int, expected: str) -> tuple[list[Item], int]:
    """The comma-separated items up to `)`, and the position after it."""
    source = reader.source
    found: list[Item] = []
    if empty := _EMPTY.match(source, at):
        return found, empty.end()
    while True:
        match = _ITEM.match(source, at)
        if match is None:
            raise reader.error(at, expected)
        at, location = match.end(), None
        if found_location := _LOCATION.match(source, at):
            end = text.closing(source, found_location.end()) + 1
            location, at = source[at:end], end
        found.append(Item(match[1], match[2], match[3], location))
        separator = _NEXT.match(source, at)
        if separator is None:
            raise reader.error(at, "expected `,` or `)`")
        at = separator.end()
        if separator[1] == ")":
            return found, at


def _read_results(reader, at: int, name: str) -> tuple[list[Item], int]:
    arrow = _ARROW.match(reader.source, at)
    if arrow is None:
        return [], at
    expected = f"{name}: expected a result type"
    if arrow[1]:
        return _list(reader, arrow.end(), expected)
    single = _ITEM.match(reader.source, arrow.end())
    if single is None:
        raise reader.error(arrow.end(), expected)
    return [Item(None, single[2], None, None)], single.end(2)


def show(reader, start: int, opening: int, closing: int, tail: re.Match) -> list[tuple[int, int, str]]:
    """The edits that bring the generic form at `start` of the reader's text to the custom form.

    opening, closing: the parentheses around the region.  tail: what follows, with the attributes in group 1.
    """
    source = reader.source
    name = source[start + 1 : source.index('"', start + 1)]
    entries: dict[str, Any] = dict(text.split_entries(tail[1]))  # None for unit attributes
    signature = text.matched(_SIGNATURE, entries["function_type"])
    block = text.matched(_BLOCK, source, opening)
    if block[1]:
        arguments, at = _list(reader, block.end(), "a block argument")
        at += 1  # the colon
    else:
        arguments = [Item(None, t, None, None) for t in text.split_types(signature[1])]
        at = opening + 2
    arguments = _with_attributes(arguments, entries.get("arg_attrs"))
    results = [Item(None, t, None, None) for t in text.split_types(signature[2] or signature[3] or "")]
    results = _with_attributes(results, entries.get("res_attrs"))
    visibility = entries.get("sym_visibility", "").strip('"')
    head = (
        f"{name} {visibility + ' ' if visibility else ''}{_symbol(entries['sym_name'])}({_shown(arguments)})"
    )
    if len(results) == 1 and not results[0].attributes:
        head += f" -> {results[0].type}"
    elif results:
        head += f" -> ({_shown(results)})"
    if extra := [e for e in entries.items() if e[0] not in _KNOWN]:
        head += f" attributes {{{text.join_entries(extra)}}}"
    if not source[opening + 2 : closing - 1].strip():
        return [(start, tail.end(), head)]
    return [(start, at, f"{head} {{"), (closing, tail.end(), "")]


def _with_attributes(items: list[Item], given: str | None) -> list[Item]:
    if given is None:
        return items
    dictionaries = _DICTIONARIES.findall(given)
    return [i._replace(attributes=d if d != "{}" else None) for i, d in zip(items, dictionaries, strict=True)]


def _shown(items: list[Item]) -> str:
    """The items of a signature: `%x: f32 {attributes} loc(...)`, or the type alone."""
    return ", ".join(
        f"{i.value}: " * (i.value is not None)
        + i.type
        + f" {i.attributes}" * (i.attributes is not None)
        + f" {i.location}" * (i.location is not None)
        for i in items
    )


def _symbol(quoted: str) -> str:
    bare = quoted[1:-1]
    return f"@{bare}" if re.fullmatch(r"[A-Za-z_][\w$.]*", bare) else f"@{quoted}"
