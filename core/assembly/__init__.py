"""The textual form of dialects, in both directions.

MLIR's bindings read and print only the generic form of operations that are defined in
Python.  Here each operation's own form, declared beside it in the notation of ODS, is
brought to the generic form before MLIR reads, and back after MLIR printed.
"""

import re

from vertebra.core.assembly.printer import print_module
from vertebra.core.assembly.reader import to_generic
from vertebra.core.errors import CompileError, ParseError, VertebraError
from vertebra.core.mlir import ir

__all__ = ["parse", "print_module", "to_generic"]

_UNKNOWN = re.compile(r"unregistered dialect|Dialect `(\w+)' not found")
_OPERATION = re.compile(r'"([a-z_]\w*\.[\w.]+)"\s*\(')
_HERE = re.compile(r'^loc\("-":(\d+):(\d+)\)')


def parse(source: str, context=None, *, name: str = "-"):
    """The module in `source`, whose operations may be in custom or generic form; verified.

    context: an `ir.Context` with the dialects loaded; the current one by default.
    name: what errors call the text.
    Raises ParseError for text that is not IR, CompileError from an operation's verifier.
    """
    generic = to_generic(source, name=name)
    try:
        module = ir.Module.parse(generic, context)
    except ir.MLIRError as error:
        raise _translated(error, source, generic, name, context or ir.Context.current) from error
    if " loc(" in source:
        _place_arguments(module)
    return module


def _place_arguments(module) -> None:
    """Arguments of loops, which Triton prints without a location, get that of their operation."""

    def visit(op):
        for region in op.regions:
            for block in region:
                for argument in block.arguments:
                    if _HERE.match(str(argument.location)):
                        argument.set_location(op.location)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)


def _translated(error, source: str, generic: str, name: str, context) -> VertebraError:
    """MLIR's first complaint about the generic text, as one about the original."""
    if not error.error_diagnostics:
        return ParseError(f"{name}:1:1: {error}")
    first = error.error_diagnostics[0]
    found = _HERE.search(str(first.location))
    if found is None:  # the text says where its operations come from
        return CompileError(first.message, at=first.location)
    line, column = int(found[1]), int(found[2])
    lines, changed = source.splitlines(), generic.splitlines()
    text = lines[line - 1] if line <= len(lines) else ""
    if line <= len(changed) and changed[line - 1] != text:
        # Columns of a rewritten line mean nothing to the reader: show where the operation starts.
        same = next((i for i, (a, b) in enumerate(zip(text, changed[line - 1], strict=False)) if a != b), 0)
        column = min(column, same + 1)
    shown = f"\n{text}\n{' ' * (column - 1)}^"
    unknown = _UNKNOWN.search(first.message)
    if unknown is None:
        return ParseError(f"{name}:{line}:{column}: {first.message}{shown}")
    # MLIR does not name the operation that it does not know, but it reads in order.
    called = _OPERATION.findall(changed[line - 1]) if line <= len(changed) else []
    dialect = (
        unknown[1] or next(n for n in called if not context.is_registered_operation(n)).partition(".")[0]
    )
    return ParseError(
        f"{name}:{line}:{column}: no installed plugin has the dialect {dialect}{shown}",
        fix=f"install the plugin {dialect}; `vertebra plugins` lists the installed ones",
    )
