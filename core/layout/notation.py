"""Layouts as text: `(128,(64,2)):(64,(1,8192))`, `S<3,4,3> o LAYOUT`, `pack 128x128 by 8x64 outer 1,0`."""

import re

from vertebra.core.layout import tree
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.swizzle import Composed, Xor, swizzled
from vertebra.core.layout.symbol import Sym, basis
from vertebra.core.layout.tiling import as_pack

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|(.))")
_SWIZZLE = re.compile(r"\s*S<\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*>\s*o\s*(?:0\s*o\s*)?")
_PACK = re.compile(
    r"\s*pack\s+(?P<shape>\d+(x\d+)*)\s+by\s+(?P<tiles>\d+(x\d+)*)"
    r"(\s+inner\s+(?P<inner>\d+(,\d+)*))?(\s+outer\s+(?P<outer>\d+(,\d+)*))?\s*"
)


def parse_layout(text: str) -> Layout | Composed:
    """A layout from its notation; the stride may be left out (compact, leftmost fastest).

    Leaves are integers, names of sizes and products of the two, and strides also `2@1` (two steps
    along mode 1).  Raises LayoutError with the position of what it does not understand.
    """
    if (found := _PACK.fullmatch(text)) is not None:
        numbers = {k: tuple(map(int, re.split("[x,]", v))) for k, v in found.groupdict().items() if v}
        return as_pack(
            numbers["shape"], numbers["tiles"], inner=numbers.get("inner"), outer=numbers.get("outer")
        )
    if (found := _SWIZZLE.match(text)) is not None:
        return swizzled(Xor(*map(int, found.groups())), parse_layout(text[found.end() :]))
    reader = _Reader(text)
    shape = reader.tree()
    stride = reader.tree() if reader.take(":") else None
    reader.end()
    return Layout(shape, stride)


def parse_sizes(text: str, what: str) -> tuple[int, ...]:
    """128x64 -> (128, 64)."""
    if not re.fullmatch(r"\d+(x\d+)*", text):
        raise LayoutError(f"{what} {text!r} is not of the form 128x64")
    sizes = tuple(map(int, text.split("x")))
    if 0 in sizes:
        raise LayoutError(f"{what} {text} is empty; sizes are at least 1")
    return sizes


class _Reader:
    def __init__(self, text: str):
        self.text = text
        self.tokens = [m for m in _TOKEN.finditer(text) if m[0].strip()]
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, mark: str) -> bool:
        token = self.peek()
        if token is not None and token[3] == mark:
            self.at += 1
            return True
        return False

    def fail(self, wanted: str):
        token = self.peek()
        where = f"{token[0].strip()!r} at column {token.start() + 1}" if token else "the end"
        raise LayoutError(
            f"layout {self.text!r}: {wanted} is due at {where}", fix="write it like (4,(2,3)):(6,(3,1))"
        )

    def tree(self):
        if not self.take("("):
            return self.leaf()
        parts = [self.tree()]
        while self.take(","):
            if (token := self.peek()) is not None and token[3] == ")":
                break
            parts.append(self.tree())
        if not self.take(")"):
            self.fail("',' or ')'")
        return tuple(parts)

    def leaf(self):
        value = self.factor()
        while self.take("*"):
            value = value * self.factor()
        path = []
        while self.take("@"):
            path.append(self.integer())
        return basis(*reversed(path)) * value if path else value

    def factor(self):
        negative = self.take("-")
        token = self.peek()
        if token is None or token[3]:
            self.fail("a size")
        self.at += 1
        value = int(token[1]) if token[1] else Sym(token[2])
        return -value if negative else value

    def integer(self) -> int:
        token = self.peek()
        if token is None or not token[1]:
            self.fail("the number of a mode")
        self.at += 1
        return int(token[1])

    def end(self) -> None:
        if self.peek() is not None:
            self.fail("the end of the layout" if ":" in self.text else "':'")


def formula(layout: Layout, names) -> str:
    """The offset as an expression of one variable per mode: `64*m + n%64 + 8192*(n/64)`."""
    from vertebra.core.layout.algebra import coalesce

    terms = []
    for name, mode in zip(names, layout.modes, strict=True):
        terms += _terms(name, coalesce(mode))
    return " + ".join(terms) or "0"


def _terms(name: str, mode: Layout) -> list[str]:
    terms, before = [], 1
    modes = mode.flat_modes
    for i, (count, stride) in enumerate(modes):
        part = name if before == 1 else f"({name}/{before})"
        if i < len(modes) - 1:
            part = f"{part}%{count}" if before == 1 else f"({name}/{before}%{count})"
        if stride != 0:
            terms.append(
                part
                if stride == 1
                else f"{stride}*{part}"
                if "%" not in part or part[0] == "("
                else f"{stride}*({part})"
            )
        before = before * count
    return terms


def owner_formula(layout: Layout, shape) -> tuple[str, str]:
    """(m, n) of (t, v) for a thread-value layout over a tile of `shape`, as expressions."""
    from vertebra.core.layout.algebra import coalesce

    rows: dict[int, list[str]] = {0: [], 1: []}
    for name, mode in zip("tv", layout.modes, strict=True):
        merged, split = coalesce(mode), []
        for count, stride in merged.flat_modes:
            inside = shape[0] // stride if stride and stride < shape[0] else 0
            if inside and count > inside and count % inside == 0:
                split += [(inside, stride), (count // inside, shape[0])]
            else:
                split.append((count, stride))
        for axis in (0, 1):
            # A leaf that counts along the other mode keeps its place with stride 0.
            kept = [
                (c, (d if axis == 0 else d // shape[0]) if (d < shape[0]) == (axis == 0) else 0)
                for c, d in split
            ]
            rows[axis] += _terms(name, Layout(tuple(c for c, _ in kept), tuple(d for _, d in kept)))
    m, n = (" + ".join(rows[axis]) or "0" for axis in (0, 1))
    return m, n


def shape_text(shape) -> str:
    return "x".join(map(str, shape)) if not isinstance(shape, int) else str(tree.size(shape))
