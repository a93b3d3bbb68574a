"""Which lines of the user's source a line of a stage's text comes from, by its debug location.

Each of the three functions takes the text of a stage and gives its lines as they are to be shown,
without the locations, and the places of each.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

Places = frozenset[tuple[str, int]]  # (file, line)
NOWHERE: Places = frozenset()

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_INNER = rf"(?:[^()\"]|{_QUOTED})*"
# Locations nest: callsite("name"("file":1:2) at ...).
_LOC = re.compile(rf"(?:^|\s)loc\(((?:{_INNER}|\((?:{_INNER}|\((?:{_INNER}|\({_INNER}\))*\))*\))*)\)")
_ALIAS = re.compile(r"^(#loc\d*) = loc\((.*)\)$", re.MULTILINE)
_ALIASES = re.compile(r"#loc\d*")
_FILE = re.compile(r'"((?:[^"\\]|\\.)*)":(\d+):\d+')

_METADATA = re.compile(r"^(!\d+) = (?:distinct )?!(DI\w+)\((.*)\)$", re.MULTILINE)
_FIELD = re.compile(rf"(\w+): ({_QUOTED}|[^,]+)")
_DBG = re.compile(r",? !dbg (!\d+)")

_DOT_FILE = re.compile(r'\s*\.file\s+(\d+)\s+(?:"((?:[^"\\]|\\.)*)"\s+)?"((?:[^"\\]|\\.)*)"')
_DOT_LOC = re.compile(r"\s*\.loc\s+(\d+)\s+(\d+)\s+(\d+)")
# What debugging and unwinding add to assembly text.
# To a label such as those for debugging have, which labels in inline assembly become.
_JUMP = re.compile(r"^\s+[a-z][^#\n]*?(\.Ltmp\d+)\b", re.MULTILINE)
_NOISE = re.compile(r"\s*(?:\.loc\s|\.file\s|\.cfi_|\.Ltmp\d+:|\.Lfunc_\w+:|\.addrsig|\.ident)")
_GAP = re.compile(r"\t| {3,}")


@attrs.frozen
class Line:
    """One line of a stage.  places: what it comes from; for code that was inlined, the calls too."""

    text: str
    places: Places = NOWHERE


def mlir_lines(text: str) -> list[Line]:
    """Of MLIR text with locations; an operation with regions has its own on the line that opens them."""
    aliases = {name: inside for name, inside in _ALIAS.findall(text)}
    known: dict[str, Places] = {}

    def places(inside: str) -> Places:
        if inside not in known:
            known[inside] = NOWHERE  # against an alias of itself
            own = {(file, int(line)) for file, line in _FILE.findall(inside)}
            others = [places(aliases[name]) for name in _ALIASES.findall(inside) if name in aliases]
            known[inside] = frozenset(own).union(*others)
        return known[inside]

    lines: list[Line] = []
    opened: list[int] = []
    for raw in text.splitlines():
        if raw.startswith("#loc"):
            continue
        shown, inside = _without_location(raw)
        line = Line(shown, places(inside) if inside else NOWHERE)
        body = shown.strip()
        opener = opened.pop() if body.startswith("}") and opened else None
        if opener is not None and line.places:
            lines[opener] = attrs.evolve(lines[opener], places=line.places)
        if body.endswith("{"):
            opened.append(len(lines) if opener is None else opener)
        lines.append(line)
    return lines


def _without_location(raw: str) -> tuple[str, str]:
    """(the line, what is inside of its last location or "")"""
    at = raw.rfind(" loc(")
    if at < 0 and not raw.startswith("loc("):
        return raw, ""
    # Nearly all lines end in one alias.
    if raw.startswith("#loc", at + 5) and raw.find(")", at) == len(raw) - 1 and raw.find(" loc(", 0, at) < 0:
        return raw[:at], raw[at + 5 : -1]
    found = _LOC.findall(raw)
    return (_LOC.sub("", raw), found[-1]) if found else (raw, "")


@attrs.frozen
class Frames:
    """LLVM's debug metadata: node -> the (file, line, column) of a location, and of its callers."""

    of: dict[str, tuple[tuple[str, int, int], ...]]

    @classmethod
    def in_module(cls, text: str) -> "Frames":
        nodes = {name: (kind, dict(_FIELD.findall(rest))) for name, kind, rest in _METADATA.findall(text)}

        def file(name: str | None) -> str:
            while name in nodes and nodes[name][0] != "DIFile":
                fields = nodes[name][1]
                name = fields.get("file") or fields.get("scope")
            if name not in nodes:
                return ""
            fields = nodes[name][1]
            return str(Path(fields.get("directory", '""').strip('"')) / fields["filename"].strip('"'))

        def frames(name: str | None) -> Iterator[tuple[str, int, int]]:
            while name in nodes:
                kind, fields = nodes[name]
                if kind not in ("DILocation", "DISubprogram"):
                    return
                yield (
                    file(fields.get("scope" if kind == "DILocation" else "file")),
                    int(fields.get("line", 0)),
                    int(fields.get("column", 0)),
                )
                name = fields.get("inlinedAt")

        return cls({name: tuple(frames(name)) for name in nodes})

    def callers(self) -> dict[tuple[str, int], Places]:
        """Innermost (file, line) -> the places of everything that was inlined from there."""
        found: dict[tuple[str, int], Places] = {}
        for frames in self.of.values():
            if frames:
                inner = frames[0][:2]
                found[inner] = found.get(inner, NOWHERE) | frozenset(frame[:2] for frame in frames)
        return found


def llvm_lines(text: str) -> list[Line]:
    """Of LLVM IR, without its metadata."""
    frames = Frames.in_module(text)
    lines = []
    for raw in text.splitlines():
        if raw.startswith("!"):
            continue
        found = _DBG.search(raw)
        places = frozenset(frame[:2] for frame in frames.of.get(found[1], ())) if found else NOWHERE
        lines.append(Line(_DBG.sub("", raw) if found else raw, places))
    return lines


def assembly_lines(text: str, llir: str = "") -> list[Line]:
    """Of assembly text, without directives for debugging.

    llir: the LLVM IR that it was made of, which knows what was inlined where; the text does not.
    """
    callers = Frames.in_module(llir).callers()
    targets = set(_JUMP.findall(text))
    files: dict[str, str] = {}
    current, debugging = NOWHERE, False
    lines = []
    for raw in text.splitlines():
        if found := _DOT_FILE.match(raw):
            files[found[1]] = str(Path(found[2] or "") / found[3])
        elif found := _DOT_LOC.match(raw):
            here = (files.get(found[1], ""), int(found[2]))
            current = callers.get(here, frozenset({here})) if here[1] else NOWHERE
        elif raw.lstrip().startswith(".section") or raw.strip() == ".text":
            debugging = ".debug" in raw
        noise = _NOISE.match(raw) and raw.strip().rstrip(":") not in targets
        if debugging or noise or not raw.strip():
            continue
        code = raw[:1] in " \t" and not raw.lstrip().startswith((".", "#"))
        shown = "    " * raw.startswith("\t") + _GAP.sub(" ", raw.strip())
        lines.append(Line(shown, current if code else NOWHERE))
    return lines
