"""Custom form to generic form, for the operations of dialects that MLIR has no parser for.

Only the text of those operations changes, and never the number of lines, so what MLIR
says about a line is true of the original.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from vertebra.core import hooks
from vertebra.core.assembly import function, text
from vertebra.core.assembly.format import form_of, result_count, segments
from vertebra.core.dialect import LOADED, Dialect, Operation

_GENERIC = re.compile(
    rf'"([\w.$]+)"\s*\(\s*(?P<operands>{text.VALUES}?)\s*\)\s*(?:\[[^\]]*\]\s*)?'
    rf"(?:<(?P<properties>{text.DICTIONARY})>)?\s*(?P<region>\(\{{)?"
)
_TAIL = re.compile(rf"\s*({text.DICTIONARY})?\s*:\s*(?P<types>{text.TYPES_ARROW_TYPES})")
_INSIDE = re.compile(r'[\w.!#@%$"-]')


@lru_cache(maxsize=64)
def _scanner(namespaces: tuple[str, ...]) -> re.Pattern:
    names = [re.escape(n) for n in namespaces]
    # Alternatives that begin with a literal let `re` skip to the next candidate at the speed of C.
    return re.compile(
        rf'"(?:(?:{"|".join(names)})\.[\w.$]+"(?=\s*\()|(?:[^"\\]|\\.)*")|//[^\n]*|'
        + "|".join(rf"{n}\.[A-Za-z_][\w.]*" for n in names)
    )


def operations(source: str, namespaces: tuple[str, ...]) -> Iterator[tuple[str, int, bool]]:
    """(name, position, whether in generic form) of what may be an operation of these dialects, in order.

    Strings and comments are stepped over.
    """
    quoted = tuple(f'"{n}.' for n in namespaces)
    for found in _scanner(namespaces).finditer(source):
        token = found[0]
        first, start = token[0], found.start()
        if first == '"':
            if token.startswith(quoted) and source.startswith("(", found.end()):
                yield token[1:-1], start, True
        elif first != "/" and not (start and _INSIDE.match(source, start - 1)):
            yield token, start, False


class Reader:
    """Rewrites one text.  `edits` are (start, end, replacement)."""

    def __init__(self, source: str, dialects: Iterable[type[Dialect]], name: str):
        self.source = source
        self.name = name
        self.ops = {op.OPERATION_NAME: op for d in dialects for op in d.operations}
        self.namespaces = tuple(sorted(d.DIALECT_NAMESPACE for d in dialects))
        self.edits: list[tuple[int, int, str]] = []
        self.done = 0  # where the last operation without a region ended

    def error(self, position: int, message: str, fix: str | None = None):
        return text.parse_error(self.source, position, message, name=self.name, fix=fix)

    def run(self) -> str:
        for name, start, generic in operations(self.source, self.namespaces):
            if start < self.done:
                continue
            if generic:
                self._generic(start)
            elif not self._is_attribute(name, start):
                self._custom(name, start)
        return text.edited(self.source, self.edits)

    def _custom(self, name: str, start: int) -> None:
        op = self.ops.get(name)
        if op is None:
            raise self.error(start, f"there is no operation {name}", self._similar(name))
        if function.is_function(op):
            self.edits += function.read(self, op, start)
            return
        form = form_of(op)
        if form is None:
            raise self.error(start, f"{name} has no custom form", f'write it in generic form, "{name}"(...)')
        match = form.regex.match(self.source, start)
        if match is None:
            position, expected = form.diagnose(self.source, start)
            raise self.error(
                position, f"{name}: expected {' or '.join(expected)}", f"the form is: {_plain(op)}"
            )
        try:
            replacement = form.read(match)
        except KeyError:
            position, expected = form.bad_keyword(match)
            raise self.error(position, f"{name}: expected one of {', '.join(expected)}") from None
        except ValueError as error:
            raise self.error(start, f"{name}: {error}") from None
        if "\n" in match[0]:
            replacement += "\n" * match[0].count("\n")
        self.done = match.end()
        self.edits.append((start, self.done, replacement))

    def _is_attribute(self, name: str, start: int) -> bool:
        """Whether `dialect.name` at `start` is the name of an attribute, not of an operation.

        `{name}` alone may be either, a dictionary or a region: where there is such an operation it is one.
        """
        source, end = self.source, start + len(name)
        while source.startswith(" ", end):
            end += 1
        if source.startswith(("=", ","), end) or source[max(0, start - 2) : start].strip() == ",":
            return True
        return name not in self.ops and source.startswith("}", end)

    def _similar(self, name: str) -> str:
        near, dialect = difflib.get_close_matches(name, self.ops, n=3, cutoff=0.5), name.partition(".")[0]
        if dialect not in hooks.dialects() and not any(n.startswith(f"{dialect}.") for n in near):
            # Another plugin's dialect is built on it, and has loaded a part of it.
            return f"install the plugin {dialect}; `vertebra plugins` lists the installed ones"
        return (
            f"did you mean {' or '.join(near)}?" if near else f"known dialects: {', '.join(self.namespaces)}"
        )

    def _generic(self, start: int) -> None:
        """Brings an operation in generic form to what MLIR takes of a dialect defined in Python.

        It has no properties, `<{...}>`: they become attributes, which stand behind the regions.
        """
        match = _GENERIC.match(self.source, start)
        if match is None:
            return
        op = self.ops.get(match[1])
        if op is None:
            raise self.error(start, f"there is no operation {match[1]}", self._similar(match[1]))
        position = match.end()
        if match["region"]:
            closing = text.closing(self.source, match.start("region"))
            if closing < 0:
                raise self.error(
                    match.start("region"), "this region is never closed", "add `})` after its last operation"
                )
            position = closing + 1
        tail = _TAIL.match(self.source, position)
        if tail is None:
            raise self.error(position, f"{match[1]}: expected {{attributes}} or `: (types) -> types`")
        inside = [d[1:-1].strip() for d in (match["properties"], tail[1]) if d]
        try:
            inside += self._missing_segments(op, match, tail, " ".join(inside))
        except ValueError as error:
            raise self.error(start, f"{match[1]}: {error}") from None
        if match["properties"]:
            self._replace(match.start("properties") - 1, match.end("properties") + 1, "")
        if inside := [i for i in inside if i]:
            begin, end = tail.span(1) if tail[1] else (position, position)
            self._replace(begin, end, f"{'' if tail[1] else ' '}{{{', '.join(inside)}}}")

    def _missing_segments(self, op, match, tail, given: str):
        """The segment sizes that Triton's text does not need."""
        for side, count in (
            (op.inputs, lambda: match["operands"].count("%")),
            (op.outputs, lambda: result_count(tail["types"])),
        ):
            if side.only is not None and side.needs_segments and side.segments not in given:
                yield segments(side, side.counts(count()))

    def _replace(self, start: int, end: int, replacement: str) -> None:
        """Keeps the number of lines."""
        lines = self.source.count("\n", start, end) - replacement.count("\n")
        self.edits.append((start, end, replacement + "\n" * lines))


def _plain(op: type[Operation]) -> str:
    return " ".join((op.assembly or "").split())


def respell(source: str, dialects: Iterable[type[Dialect]]) -> str:
    for dialect in dialects:
        for pattern, replacement in dialect.spellings:
            source = pattern.sub(replacement, source)
    return source


def to_generic(source: str, dialects: Iterable[type[Dialect]] | None = None, *, name: str = "-") -> str:
    """`source` with every operation of `dialects` in generic form; all else, and all lines, unchanged.

    dialects: by default all that a context has loaded.
    name: what errors call the text.
    Raises ParseError with line and column where an operation does not have its form.
    """
    dialects = tuple(LOADED.values() if dialects is None else dialects)
    if not dialects:
        return source
    return Reader(respell(source, dialects), dialects, name).run()
