"""Errors that a user sees: what, where in the user's kernel, how to fix it.

Our own bugs are asserts.  Everything else that can go wrong is one of these,
and crosses patterns, verifiers and passes unharmed.
"""

import linecache
import re
from typing import NamedTuple

# The innermost file location inside whatever kind of location MLIR prints.
_FILE_LOCATION = re.compile(r'"((?:[^"\\]|\\.)*)":(\d+):(\d+)')


class VertebraError(Exception):
    """The base of every error that vertebra raises on purpose.

    step: the pass in which it ended a compilation, (stage, pass name).  unexpected: whether the pass
    itself did not know what to say.
    """

    step: tuple[str, str] | None = None
    unexpected = False
    kernel_name: str | None = None

    def __init__(self, message: str, *, fix: str | None = None):
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return self.message if self.fix is None else f"{self.message}\nfix: {self.fix}"


class ToolError(VertebraError):
    """An external program (compiler, linker, emulator) is missing, failed or took too long."""


class ConfigError(VertebraError):
    """A name, option or setting that the user chose does not exist or does not fit."""


class LaunchError(VertebraError):
    """A compiled kernel could not be run, or died while it ran."""


class BackendError(VertebraError):
    """LLVM cannot make code of a module, or made code that cannot be linked."""


class ParseError(VertebraError):
    """Text that is not valid IR; the message starts with `file:line:column:`."""


class Place(NamedTuple):
    """A position in the user's source; line and column start at 1."""

    filename: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.filename}:{self.line}:{self.column}"


def place_of(location) -> Place | None:
    """The file position inside an MLIR location of any kind, or None where there is none."""
    found = _FILE_LOCATION.search(str(location))
    return Place(_unescaped(found[1]), int(found[2]), int(found[3])) if found else None


def _unescaped(text: str) -> str:
    """A string as MLIR prints it, where \\C3\\A9 are two bytes in hexadecimal."""
    raw = re.sub(
        rb"\\([0-9A-Fa-f]{2}|.)",
        lambda m: bytes.fromhex(m[1].decode()) if len(m[1]) == 2 else m[1],
        text.encode(),
    )
    return raw.decode(errors="replace")


def kernel_of(op) -> str | None:
    """The name of the function around `op`, or its own when it is one."""
    while op is not None:
        op = op.operation
        if op.name.endswith(".func") and "sym_name" in op.attributes:
            return op.attributes["sym_name"].value
        op = op.parent
    return None


def _margin(source: str, column: int) -> str:
    """White space as wide as `source` before its `column`, a byte number from 1."""
    before = source.encode()[: max(0, column - 1)].decode(errors="ignore")
    return re.sub(r"[^\t]", " ", before)


class CompileError(VertebraError):
    """A kernel that cannot be compiled.

    at: the operation (or location) to blame.  It is read at once and not kept.
    fix: what would be legal.
    """

    def __init__(self, message: str, *, at=None, fix: str | None = None, kernel: str | None = None):
        location = getattr(at, "location", at)
        self.place = place_of(location) if location is not None else None
        self.kernel = kernel or (kernel_of(at) if hasattr(at, "operation") else None)
        super().__init__(message, fix=fix)

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        inside = f" in kernel {self.kernel}" if self.kernel else ""
        lines = [f"{where}error{inside}: {self.message}"]
        if self.place and (source := linecache.getline(self.place.filename, self.place.line).rstrip()):
            lines += [source, _margin(source, self.place.column) + "^"]
        if self.fix:
            lines.append(f"fix: {self.fix}")
        return "\n".join(lines)
