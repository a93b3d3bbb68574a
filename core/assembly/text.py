"""Fragments of MLIR's syntax, as regular expressions, and walks over bracketed text."""

import re
from functools import lru_cache

from vertebra.core.errors import ParseError

STRING = r'"(?:[^"\\]|\\.)*"'
COMMENT = r"//[^\n]*"
VALUE = r"%[\w$.-]+(?:#\d+)?"
VALUES = rf"(?:{VALUE}(?:\s*,\s*{VALUE})*)"
SYMBOL = rf"@(?:[\w$.-]+|{STRING})"
KEYWORD = r"[A-Za-z_][\w$.]*"

# What may stand between two brackets, with brackets inside it, to a depth that texts do not exceed.
_PLAIN = rf'(?:[^<>(){{}}\[\]"-]++|->?|{STRING}'
BRACKETED = rf"{_PLAIN})*+"
for _ in range(4):
    BRACKETED = rf"{_PLAIN}|[<({{\[]{BRACKETED}[>)}}\]])*+"

_ANGLED = r"<[^<>]*+(?:<[^<>]*+(?:<[^<>]*+>[^<>]*+)*+>[^<>]*+)*+>"
TYPE = rf"(?:(?:![\w.$]++|[A-Za-z]\w*+(?!\.))(?:{_ANGLED})?+|{_ANGLED})"
TYPES = rf"(?:{TYPE}(?:\s*,\s*{TYPE})*)"
TYPES_ARROW_TYPES = rf"\([^()]*+\)\s*->\s*(?:\([^()]*+\)|{TYPE})"
DICTIONARY = rf"\{{{BRACKETED}\}}"
ANY_ATTRIBUTE = rf"(?:{STRING}|[#\w@.+-]+(?:<{BRACKETED}>)?|[\[{{<]{BRACKETED}[\]}}>])(?:\s*:\s*{TYPE})?"

_CLOSERS = {"(": ")", "{": "}"}
# Alternatives that begin with a literal let `re` skip to the next candidate at the speed of C.
_STEPS = {
    opener: re.compile(rf"\{opener}|\{closer}|{STRING}|{COMMENT}") for opener, closer in _CLOSERS.items()
}
_TYPE = re.compile(TYPE)
_ENTRY = re.compile(
    rf'\s*({STRING}|[\w.$-]+)(?:\s*=\s*((?:->|[^<>(){{}}\[\]",]|{STRING}|[<({{\[]{BRACKETED}[>)}}\]])*+))?,?'
)


def closing(text: str, start: int) -> int:
    """The position of the bracket that closes the one at `start`; -1 where there is none."""
    opener = text[start]
    closer = _CLOSERS[opener]
    depth = 0
    for found in _STEPS[opener].finditer(text, start):
        token = found[0]
        if token == opener:
            depth += 1
        elif token == closer:
            depth -= 1
            if depth == 0:
                return found.start()
    return -1


@lru_cache(maxsize=4096)
def split_types(text: str) -> tuple[str, ...]:
    """'i32, tensor<2xf32>' -> ('i32', 'tensor<2xf32>')."""
    return tuple(_TYPE.findall(text)) if text else ()


def split_values(text: str) -> list[str]:
    """'%a, %b#1' -> ['%a', '%b#1']."""
    return text.replace(" ", "").split(",") if text else []


@lru_cache(maxsize=4096)
def split_entries(inside: str) -> tuple[tuple[str, str | None], ...]:
    """The (name, value) pairs of a dictionary's inside, in order; value None for a unit attribute."""
    return tuple((name, value.strip() if value else None) for name, value in _ENTRY.findall(inside))


def matched(pattern: re.Pattern[str], source: str, position: int = 0) -> re.Match[str]:
    """The match at `position`, in text that is known to have one."""
    found = pattern.match(source, position)
    assert found is not None, f"{pattern.pattern} does not match {source[position : position + 80]!r}"
    return found


def array_items(array: str) -> list[str]:
    """'array<i64: 4, 2>' -> ['4', '2']."""
    return [
        item.strip() for item in array[array.index("<") + 1 : -1].partition(":")[2].split(",") if item.strip()
    ]


def edited(source: str, edits: list[tuple[int, int, str]]) -> str:
    """`source` with each (start, end, replacement) carried out; they do not overlap."""
    pieces: list[str] = []
    at = 0
    for start, end, replacement in sorted(edits, key=lambda edit: edit[0]):
        pieces += (source[at:start], replacement)
        at = end
    pieces.append(source[at:])
    return "".join(pieces)


def join_entries(entries) -> str:
    return ", ".join(name if value is None else f"{name} = {value}" for name, value in entries)


def place(text: str, position: int) -> tuple[int, int]:
    """Line and column of `position`, both from 1."""
    line = text.count("\n", 0, position) + 1
    return line, position - (text.rfind("\n", 0, position) + 1) + 1


def parse_error(
    text: str, position: int, message: str, *, name: str = "-", fix: str | None = None
) -> ParseError:
    """An error at `position` of `text`, which came from the file `name`."""
    line, column = place(text, position)
    begin = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    source = text[begin : end if end >= 0 else len(text)].rstrip()
    return ParseError(f"{name}:{line}:{column}: {message}\n{source}\n{' ' * (column - 1)}^", fix=fix)
