"""Custom form to generic form, for the operations of dialects that MLIR has no parser for.

Only the text of those operations changes, and never the number of lines, so what MLIR
says about a line is true of the original.
"""

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache

from vertebra.core.assembly import function, text
from vertebra.core.assembly.format import form_of
from vertebra.core.dialect import LOADED

_GENERIC = re.compile(
    rf'"[\w.$]+"\s*\((?:\s*{text.VALUES}?\s*)\)\s*(?:\[[^\]]*\]\s*)?(<{text.DICTIONARY}>)?\s*(?P<region>\(\{{)?'
    rf"\s*(?P<dictionary>{text.DICTIONARY})?"
)
_DICTIONARY = re.compile(rf"\s*({text.DICTIONARY})")
_BEFORE_ATTRIBUTE = re.compile(r"[{,]\s*$")
_AFTER_ATTRIBUTE = re.compile(r"\s*[=},]")


@lru_cache(maxsize=64)
def scanner(namespaces: tuple[str, ...]) -> re.Pattern:
    """Finds operations of these dialects, stepping over strings and comments."""
    names = "|".join(map(re.escape, namespaces))
    return re.compile(
        rf'(?P<generic>"(?:{names})\.[\w.$]+"(?=\s*\())|{text.STRING}|{text.COMMENT}'
        rf"|(?<![\w.!#@%$\-\"])(?P<custom>(?:{names})\.[A-Za-z_][\w.]*)"
    )


class Reader:
    """Rewrites one text.  `edits` are (start, end, replacement)."""

    def __init__(self, source: str, dialects: Iterable[type], name: str):
        self.source = source
        self.name = name
        self.ops = {op.OPERATION_NAME: op for d in dialects for op in d.operations}
        self.namespaces = tuple(sorted(d.DIALECT_NAMESPACE for d in dialects))
        self.edits: list[tuple[int, int, str]] = []

    def error(self, position: int, message: str, fix: str | None = None):
        return text.parse_error(self.source, position, message, name=self.name, fix=fix)

    def run(self) -> str:
        for found in scanner(self.namespaces).finditer(self.source):
            if (name := found["custom"]) is not None:
                self._custom(name, found.start())
            elif found["generic"] is not None:
                self._generic(found.start())
        return text.edited(self.source, self.edits)

    def _custom(self, name: str, start: int) -> None:
        op = self.ops.get(name)
        if op is None:
            if not self._is_attribute(name, start):
                raise self.error(start, f"there is no operation {name}", self._similar(name))
            return
        if function.is_function(op):
            self.edits += function.read(self, op, start)
            return
        form = form_of(op)
        if form is None:
            raise self.error(start, f"{name} has no custom form", f'write it in generic form, "{name}"(...)')
        match = form.regex.match(self.source, start)
        if match is None:
            if _AFTER_ATTRIBUTE.match(self.source, start + len(name)):
                return
            position, expected = form.diagnose(self.source, start)
            raise self.error(position, f"{name}: expected {' or '.join(expected)}", f"the form is: {_plain(op)}")
        try:
            replacement = form.read(match)
        except KeyError:
            position, expected = form.bad_keyword(match)
            raise self.error(position, f"{name}: expected one of {', '.join(expected)}") from None
        if "\n" in match[0]:
            replacement += "\n" * match[0].count("\n")
        self.edits.append((start, match.end(), replacement))

    def _is_attribute(self, name: str, start: int) -> bool:
        """Whether `dialect.name` at `start` is the name of an attribute, not of an operation."""
        before = self.source[max(0, start - 80) : start]
        after = _AFTER_ATTRIBUTE.match(self.source, start + len(name))
        return bool(after or _BEFORE_ATTRIBUTE.search(before))

    def _similar(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.ops, n=3, cutoff=0.5)
        return f"did you mean {' or '.join(near)}?" if near else f"known dialects: {', '.join(self.namespaces)}"

    def _generic(self, start: int) -> None:
        """Moves properties, `<{...}>`, to the attributes: dialects defined in Python have none."""
        match = _GENERIC.match(self.source, start)
        if match is None or match[1] is None:
            return
        inside = match[1][2:-2].strip()
        self.edits.append((match.start(1), match.end(1), ""))
        position, dictionary = match.end(1), match["dictionary"]
        if match["region"]:
            opening = match.start("region")
            closing = text.closing(self.source, opening)
            if closing < 0:
                raise self.error(opening, "this region is never closed", "add `})` after its last operation")
            position = closing + 1
            found = _DICTIONARY.match(self.source, position)
            dictionary = found and found[1]
            at = found.start(1) if found else None
        else:
            at = match.start("dictionary") if dictionary else None
        if dictionary and dictionary.strip("{} "):
            self.edits.append((at + 1, at + 1, f"{inside}, "))
        elif dictionary:
            self.edits.append((at, at + len(dictionary), f"{{{inside}}}"))
        else:
            self.edits.append((position, position, f" {{{inside}}}"))


def _plain(op: type) -> str:
    return " ".join(op.assembly.split())


def respell(source: str, dialects: Iterable[type]) -> str:
    for dialect in dialects:
        for pattern, replacement in dialect.spellings:
            source = pattern.sub(replacement, source)
    return source


def to_generic(source: str, dialects: Iterable[type] | None = None, *, name: str = "-") -> str:
    """`source` with every operation of `dialects` in generic form; all else, and all lines, unchanged.

    dialects: by default all that a context has loaded.
    name: what errors call the text.
    Raises ParseError with line and column where an operation does not have its form.
    """
    dialects = tuple(LOADED.values() if dialects is None else dialects)
    if not dialects:
        return source
    return Reader(respell(source, dialects), dialects, name).run()
