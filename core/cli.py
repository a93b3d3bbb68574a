"""The `vertebra` program."""

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence

from vertebra.core import commands, hooks
from vertebra.core.errors import CompileError, ParseError, VertebraError

# The exit code of everything that a user can get wrong; argparse has the same.
USER_ERROR = 2


def parser() -> argparse.ArgumentParser:
    """The program's parser, with the commands of every installed plugin."""
    program = argparse.ArgumentParser(
        prog="vertebra",
        description="Compiles Triton kernels for SpacemiT's RISC-V cores and for this machine.",
    )
    program.add_argument("--version", action="version", version=f"vertebra {_version()}")
    subparsers = program.add_subparsers(metavar="COMMAND", required=True)
    for command in (*hooks.commands().values(), *commands.COMMANDS):
        sub = subparsers.add_parser(command.name, help=command.help, description=command.help)
        command.configure(sub)
        sub.set_defaults(run=command.run)
    return program


def _version() -> str:
    try:
        return importlib.metadata.version("vertebra")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, or 2 for what the user has to change."""
    try:
        args = parser().parse_args(argv)
        args.run(args)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        sys.stderr.close()
        return 0
    except VertebraError as error:
        # Errors in a file start with its name and line, as a compiler's do.
        in_file = isinstance(error, CompileError | ParseError)
        print(error if in_file else f"vertebra: {error}", file=sys.stderr)
        return USER_ERROR
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"vertebra: {where}{error.strerror or error}", file=sys.stderr)
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
