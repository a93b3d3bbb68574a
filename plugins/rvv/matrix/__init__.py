"""Products by matrix instructions: one inner loop per pair of panels, in registers that we allocate.

Every installed instruction that says of itself that it is a plain product gets its loops here, whoever
declares it.
"""

from collections.abc import Sequence

from vertebra.core import hooks
from vertebra.core.layout.operand import Space
from vertebra.core.matrix import ACC, BITS, A, B, MatrixInstruction, Tile, modes_of
from vertebra.core.mlir import ir
from vertebra.core.target import Core, Mode, PanelKernel, RowLoop
from vertebra.plugins.rvv.matrix import blocking
from vertebra.plugins.rvv.matrix.assembly import panel_loop
from vertebra.plugins.rvv.matrix.row_loop import most_columns, row_loop
from vertebra.plugins.rvv.matrix.schedule import REGISTERS, schedule
from vertebra.plugins.rvv.matrix.turned_row import MOST_COLUMNS as MOST_FIELDS
from vertebra.plugins.rvv.matrix.turned_row import turned_row_loop

_BYTE = 8
# What the text changes beside its results.
_CLOBBERS = [f"~{{{name}}}" for name in (*(f"v{n}" for n in range(32)), "vl", "vtype", "memory")]


def panel_kernels(core: Core) -> tuple[PanelKernel, ...]:
    """One for each plain matrix instruction of `core` and mode of it, the narrowest operands first."""
    records = [r for r in hooks.instructions().values() if isinstance(r, MatrixInstruction)]
    return tuple(
        panel_kernel(core, record, tile, mode)
        for record in sorted(records, key=lambda record: record.element_bits)
        if record.plain and (tile := record.tile(core)) and _in_single_registers(record)
        for mode in modes_of(record)
    )


def _in_single_registers(record: MatrixInstruction) -> bool:
    """Whether the loops know how to load its operands: a tile of A, and one of B, in one register each."""
    return record.operand(A).group == record.operand(B).group == 1


def panel_kernel(core: Core, record: MatrixInstruction, tile: Tile, mode: Mode | None = None) -> PanelKernel:
    """`record`, of `tile`, in `mode`, in a loop over K, on grids of any size that the registers hold."""
    m, n, k = tile
    names = record.mode_types[mode.name] if mode else {}
    width = core.vlen // 8
    span = record.operand(ACC).group
    sew = max(_BYTE, record.element_bits)

    def dot(vd: int, vs1: int, vs2: int) -> str:
        return record.directive(vd=vd, vs1=vs1, vs2=vs2)

    def emit(a, b, acc, *, rows: int, columns: int, steps: int, zero: bool):
        lines = panel_loop(
            schedule(rows, columns, span), steps, bytes_per_register=width, sew=sew, dot=dot, zero=zero
        )
        return inline_assembly(lines, [a, b, acc], own=1)

    def row_of(loop):
        def emit_row(row, column, acc, stride, *, columns: int, steps: int):
            lines = loop(columns, steps, span=span, bytes_per_register=width, sew=sew, dot=dot)
            return inline_assembly(lines, [row, column, acc], own=2, fixed=[stride])

        return emit_row

    # Equal pieces of the row and of a column meet on the diagonal of the tile.
    diagonal = tuple(i * (n + 1) for i in range(m))
    bytewise = record.element_bits >= _BYTE and BITS[record.a] == BITS[record.b]
    return PanelKernel(
        name=f"{record.name} {mode.name}" if mode else record.name,
        tile=(m, n, k),
        a=names.get(record.a, record.a),
        b=names.get(record.b, record.b),
        acc=record.acc,
        blocking=lambda rows, columns: blocking.grid(rows, columns, span),
        emit=emit,
        mode=mode,
        moves=record.moves and record.moves(record, core),
        registers=record.registers(core) if record.registers else _registers(core),
        row=RowLoop(
            m * k,
            most_columns(span),
            m * n,
            diagonal,
            row_of(row_loop),
            emit_turned=row_of(turned_row_loop),
            turned_columns=min(MOST_FIELDS, (REGISTERS - MOST_FIELDS - 4) // span),
        )
        if m == n and bytewise
        else None,
    )


def _registers(core: Core) -> Space:
    return Space("vector registers", "vector", group=core.vector.group, bits=core.vlen)


def inline_assembly(lines: list[str], changed: list, *, own: int, fixed: Sequence = ()):
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
