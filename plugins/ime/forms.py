"""Kernels for the instructions that do more than a plain product: slides, scales, structured sparsity."""

from vertebra.core.mlir import ir
from vertebra.core.target import Core, Mode, PanelKernel
from vertebra.plugins.ime.form_loop import Shape, form_loop, most_tiles
from vertebra.plugins.ime.instructions import MATRIX, MatrixInstruction
from vertebra.plugins.ime.moves import moves_of

_CLOBBERS = [f"~{{{name}}}" for name in (*(f"v{n}" for n in range(32)), "vl", "vtype", "memory")]
_FORMS = {"slide": "window", "float_slide": "window", "scaled": "scaled", "sparse": "sparse"}
_BASES = {"slide": "base", "float_slide": "float"}


def form_kernels(core: Core) -> tuple[PanelKernel, ...]:
    """One for each type and mode of the forms that `core` has, the narrowest operands first."""
    found = []
    for record in sorted(MATRIX, key=lambda record: record.element_bits):
        if record.family in _FORMS and record.tile(core) and record.slide <= 1:
            found += [_kernel(core, record, mode) for mode in (None, *record.modes)]
    return tuple(found)


def _taps(record: MatrixInstruction) -> tuple[MatrixInstruction, ...]:
    """The instructions for rows shifted by 0, 1, ...: those that differ from `record` in nothing else."""
    families = (record.family, _BASES[record.family])
    alike = [
        r for r in MATRIX if r.family in families and (r.a, r.b, r.acc) == (record.a, record.b, record.acc)
    ]
    return tuple(sorted(alike, key=lambda r: r.slide))


def _kernel(core: Core, record: MatrixInstruction, mode: Mode | None) -> PanelKernel:
    form, width = _FORMS[record.family], core.vlen // 8
    m, n, k = record.tile(core)
    names = record.mode_types[mode.name] if mode else {}
    taps = _taps(record) if form == "window" else (record,)
    span, a_span = record.operand("vd").group, record.operand("vs1").group
    # Bytes of selectors for a tile: a scale of 16 bits or, for every four rows, a nibble, in each column.
    selectors = {"window": 0, "scaled": 16 * n // 8, "sparse": n * k // 4 // 2}[form]
    most_rows, most = most_tiles(a_span)
    if form != "window":
        most = min(most, width // selectors)
    sew = 16 if record.family in ("scaled", "float_slide") else 8

    def dot(tap: int, column: int, vd: int, vs1: int, vs2: int, selector: int) -> str:
        others = {} if form == "window" else {"selector": selector, "immediate": column}
        return taps[tap].directive(vd=vd, vs1=vs1, vs2=vs2, **others)

    def emit(a, acc, b: list, other=None, *, rows: int, columns: int, steps: int, zero: bool, tiles: int = 0):
        shape = Shape(
            rows,
            columns,
            span,
            a_span,
            len(b),
            width,
            window=form == "window",
            selector_step=None if form == "window" else columns * selectors,
            a_step=tiles * width,
        )
        lines = form_loop(shape, steps, sew=sew, dot=dot, zero=zero)
        return _assembly(lines, [a, acc, *b, *([] if other is None else [other])])

    return PanelKernel(
        name=f"{record.name} {mode.name}" if mode else record.name,
        tile=(m, n, k),
        a=names.get(record.a, record.a),
        b=names.get(record.b, record.b),
        acc=names.get(record.acc, record.acc),
        blocking=lambda rows, columns: (min(rows, most_rows), min(columns, most)),
        emit=emit,
        mode=mode,
        form=form,
        taps=len(taps),
        slack=width,
        moves=moves_of(record, core),
    )


def _assembly(lines: list[str], changed: list):
    """`lines` on i64 values, all of which they change, and two registers of their own."""
    i64, count = changed[0].type, len(changed) + 2
    return ir.Operation.create(
        "llvm.inline_asm",
        [ir.Type.parse(f"!llvm.struct<({', '.join([str(i64)] * count)})>")],
        changed,
        {
            "asm_string": ir.StringAttr.get("\n".join(lines)),
            "constraints": ir.StringAttr.get(
                ",".join([*["=&r"] * count, *map(str, range(len(changed))), *_CLOBBERS])
            ),
            "has_side_effects": ir.UnitAttr.get(),
        },
    )
