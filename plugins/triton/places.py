"""Errors of builtins that say where they are: file, line and kernel.

Triton shows the last lines of source before an error, with line numbers from the function's start, and
of an error in a function that a kernel calls only the call.  `install` wraps `CodeGenerator.call_Function`,
from which these come, and changes them where our back end compiles.
"""

import functools
import re

# What a message begins with, of which `install` has said where it is: file, line, column.
PLACED = re.compile(r"(.+?):(\d+):(\d+): error in (?:kernel|function) \w+: ")


def install() -> None:
    """Idempotent."""
    from triton.compiler.code_generator import CodeGenerator

    if not hasattr(CodeGenerator.call_Function, "vertebra"):
        CodeGenerator.call_Function = _around(CodeGenerator.call_Function)


def _around(plain_call):
    from triton.compiler.errors import CompilationError

    from vertebra.plugins.triton.options import VertebraOptions

    @functools.wraps(plain_call)
    def call_function(self, node, *rest):
        try:
            return plain_call(self, node, *rest)
        except CompilationError as error:
            if not isinstance(self.builder.options, VertebraOptions):
                raise
            inner = error.__cause__
            if error.error_message is None and isinstance(inner, CompilationError):
                error.error_message = inner.error_message
            elif error.error_message and error.node is node and error.src == self.jit_fn.src:
                error.error_message = f"{_place(self, node)}: {error.error_message}"
            error.message = error._format_message()
            raise

    call_function.vertebra = True
    return call_function


def _place(generator, node) -> str:
    """`file:line:column: error in kernel name`, as `CompileError` has it."""
    line, column = generator.begin_line + node.lineno, node.col_offset + 1
    kind = "kernel" if generator.is_kernel else "function"
    return f"{generator.file_name}:{line}:{column}: error in {kind} {generator.jit_fn.__name__}"
