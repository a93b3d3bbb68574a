"""What a subcommand of the `vertebra` program is."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import attrs

from vertebra.core.errors import ConfigError


@attrs.frozen
class Command:
    """A subcommand.

    configure: adds its arguments to a parser.  run: does it, given the parsed arguments; what it
    raises of `VertebraError` or `OSError` is shown without a traceback and ends in exit code 2.
    Both must import what is slow only when they are called.
    """

    name: str
    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def read_text(path: str) -> str:
    """The file's text, or standard input's for "-"."""
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not text: byte {error.start} is {error.object[error.start]:#04x}"
        ) from None


def check_readable(path: str) -> None:
    """Raises OSError where `path` is no file that can be read."""
    with open(path, "rb"):
        pass


def write_output(data: str | bytes, path: str | None) -> None:
    """Writes to the file `path`, or text to standard output."""
    if path is not None and path != "-":
        file = Path(path)
        if isinstance(data, bytes):
            file.write_bytes(data)
        else:
            file.write_text(data if data.endswith("\n") else data + "\n")
    elif isinstance(data, bytes):
        raise ConfigError(f"{len(data)} bytes of machine code are not for the terminal", fix="add -o FILE")
    else:
        print(data.rstrip("\n"))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one is not padded."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
