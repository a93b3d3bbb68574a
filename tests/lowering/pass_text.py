"""A pass as text: what it makes of a function, one operation a line."""

from vertebra.core import assembly
from vertebra.core.context import context
from vertebra.core.mlir import ir

GRID = "%gx: i32, %gy: i32, %gz: i32, %px: i32, %py: i32, %pz: i32"


def after(step, body: str, arguments: str = "", *, whole: bool = False) -> str:
    """The text of kernel @k, which takes `arguments` and the grid, after `step`; `whole`: of the module."""
    inputs = f"{arguments}, {GRID}" if arguments else GRID
    text = f"func.func @k({inputs}) attributes {{vertebra.kernel}} {{\n{body}\nreturn }}"
    with context(), ir.Location.unknown():
        module = assembly.parse(text, context(), name="k.mlir")
        step(module, None, None)
        module.operation.verify()
        printed = assembly.print_module(module)
    if whole:
        return normal(printed)
    lines = printed[printed.index("func.func @k(") :].splitlines()[1:]
    ends = next(i for i, line in enumerate(lines) if line.strip() == "return")
    return normal("\n".join(lines[:ends]))


def normal(text: str) -> str:
    """`text` without indentation, one operation a line."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
