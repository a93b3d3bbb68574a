"""Products of matrices on IME: one inner loop per pair of panels, in registers that we allocate."""

from vertebra.core.mlir import ir
from vertebra.core.target import Core, Mode, PanelKernel, RowLoop
from vertebra.plugins.ime.codegen import blocking
from vertebra.plugins.ime.codegen.assembly import panel_loop
from vertebra.plugins.ime.codegen.row_loop import MOST_COLUMNS, row_loop
from vertebra.plugins.ime.codegen.schedule import schedule
from vertebra.plugins.ime.instructions import MATRIX, MCPM, MatrixInstruction

_FAMILIES = ("base", "float")
_ACC_BITS = 32
_BYTE = 8
# What the text changes beside its results.
_CLOBBERS = [f"~{{{name}}}" for name in (*(f"v{n}" for n in range(32)), "vl", "vtype", "memory")]
_BF16 = Mode("MCPM.BF16", enter=f"csrrsi $0, {MCPM:#x}, 1", leave=f"csrw {MCPM:#x}, $0")


def panel_kernels(core: Core) -> tuple[PanelKernel, ...]:
    """One for each type of matrix instruction of `core` with 32-bit sums, the narrowest operands first."""
    found = []
    for instruction in sorted(MATRIX, key=lambda record: record.element_bits):
        if instruction.family in _FAMILIES and instruction.tile(core):
            found.append(panel_kernel(core, instruction))
            if instruction.family == "float":
                found.append(panel_kernel(core, instruction, bf16=True))
    return tuple(found)


def panel_kernel(core: Core, instruction: MatrixInstruction, *, bf16: bool = False) -> PanelKernel:
    """`instruction` in a loop over K, on grids of any size that the registers hold.

    bf16: 16-bit floats are bfloat16.
    """
    m, n, k = instruction.tile(core)
    width = core.vlen // 8
    span = m * n * _ACC_BITS // core.vlen
    sew = 16 if instruction.family == "float" else 8

    def dot(vd: int, vs1: int, vs2: int) -> str:
        return instruction.directive(vd=vd, vs1=vs1, vs2=vs2)

    def emit(a, b, acc, *, rows: int, columns: int, steps: int, zero: bool):
        lines = panel_loop(
            schedule(rows, columns, span), steps, bytes_per_register=width, sew=sew, dot=dot, zero=zero
        )
        return inline_assembly(lines, [a, b, acc], own=1)

    def emit_row(row, column, acc, stride, *, columns: int, steps: int):
        lines = row_loop(columns, steps, span=span, bytes_per_register=width, sew=sew, dot=dot)
        return inline_assembly(lines, [row, column, acc], own=2, fixed=[stride])

    return PanelKernel(
        name=f"{instruction.name} bf16" if bf16 else instruction.name,
        tile=(m, n, k),
        a="bf16" if bf16 else instruction.a,
        b="bf16" if bf16 else instruction.b,
        acc=instruction.acc,
        blocking=lambda rows, columns: blocking.grid(rows, columns, span),
        emit=emit,
        mode=_BF16 if bf16 else None,
        row=RowLoop(m * k, MOST_COLUMNS, m * n, tuple(i * (n + 1) for i in range(m)), emit_row)
        if instruction.element_bits >= _BYTE
        else None,
    )


def inline_assembly(lines: list[str], changed: list, *, own: int, fixed: list = ()):
    """`lines` on i64 values: those they change (from $0 on), `own` registers of their own, `fixed` ones."""
    i64, count = changed[0].type, len(changed) + own
    outputs = ["=&r"] * count
    inputs = [*map(str, range(len(changed))), *["r"] * len(fixed)]
    return ir.Operation.create(
        "llvm.inline_asm",
        [ir.Type.parse(f"!llvm.struct<({', '.join([str(i64)] * count)})>")],
        [*changed, *fixed],
        {
            "asm_string": ir.StringAttr.get("\n".join(lines)),
            "constraints": ir.StringAttr.get(",".join([*outputs, *inputs, *_CLOBBERS])),
            "has_side_effects": ir.UnitAttr.get(),
        },
    )
