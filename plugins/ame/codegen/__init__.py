"""Products of matrices on the unit: tiles read where they lie, sums in accumulators over the whole of K."""

import functools

from vertebra.core.mlir import ir
from vertebra.core.target import Core, Mode, PanelKernel
from vertebra.plugins.ame.codegen import assembly, registers
from vertebra.plugins.ame.codegen.finish import FinishedText, can_finish
from vertebra.plugins.ame.geometry import WIDEST, Geometry, geometry_of
from vertebra.plugins.ame.types import NAMED

# (A, B, sums) of the products, the narrowest operands first.
PRODUCTS = (
    *((a, b, "i32") for a in ("i8", "ui8") for b in ("i8", "ui8")),
    ("f16", "f16", "f32"),
    ("bf16", "bf16", "f32"),
    ("f32", "f32", "f32"),
)


def panel_kernels(core: Core) -> tuple[PanelKernel, ...]:
    """One for each product; none where the unit keeps several squares of sums in a register."""
    g = geometry_of(core.extensions)
    if g is None or g.pack(WIDEST) > 1:
        return ()
    return tuple(_kernel(g, *types) for types in PRODUCTS)


def _mode(g: Geometry, kinds: tuple[str, str], acc: str) -> Mode:
    a, b = (NAMED[kind] for kind in kinds)
    sums, (rows, columns) = NAMED[acc], registers.largest(g, a, NAMED[acc])
    plan = registers.needed(g, a, sums, rows, columns)
    names = {"n": g.n, "u": g.u, "kind": " and ".join(dict.fromkeys(kinds)), "acc": acc}
    return Mode(
        f"unit for {kinds[0]} x {kinds[1]}",
        enter=assembly.enter(g, (a, b), sums, plan),
        leave=assembly.leave(),
        failures=tuple(text.format(**names) for text in assembly.FAILURES),
    )


def _kernel(g: Geometry, a: str, b: str, acc: str) -> PanelKernel:
    kind, sums = NAMED[a], NAMED[acc]
    m, n, k = registers.shape_of(g, kind)

    def emit(left, right, out, *, rows: int, columns: int, steps: int, zero: bool, finish=None):
        plan = registers.needed(g, kind, sums, rows, columns)
        what = plan, steps, m * n * sums.bits // 8, (left.turned, right.turned), zero
        made = FinishedText(g, finish, *what) if finish else assembly.Text(*what)
        given = [v for x in (left, right) for v in (x.address, x.tile, x.step, x.stride)]
        given += FinishedText.values(finish) if finish else [out]
        return inline_assembly(made.text(), given, own=made.own_count)

    return PanelKernel(
        name=f"mmulbtacc.2d {a} {b}",
        tile=(m, n, k),
        a=a,
        b=b,
        acc=acc,
        blocking=lambda down, across: registers.grid(g, kind, sums, down, across),
        emit=emit,
        mode=_mode(g, (a, b), acc),
        strided=True,
        finishes=functools.partial(can_finish, g, acc),
    )


def inline_assembly(lines: list[str], inputs: list, *, own: int):
    """`lines` on i64 values: `own` registers of their own, from $0 on, and then the inputs."""
    i64 = inputs[0].type
    constraints = ["=&r"] * own + ["r"] * len(inputs) + ["~{memory}"]
    return ir.Operation.create(
        "llvm.inline_asm",
        [ir.Type.parse(f"!llvm.struct<({', '.join([str(i64)] * own)})>")],
        inputs,
        {
            "asm_string": ir.StringAttr.get("\n".join(lines)),
            "constraints": ir.StringAttr.get(",".join(constraints)),
            "has_side_effects": ir.UnitAttr.get(),
        },
    )
