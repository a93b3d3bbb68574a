"""Products of matrices on the unit: tiles read where they lie, sums in accumulators over the whole of K."""

import functools

import attrs

from vertebra.core.layout.operand import Space
from vertebra.core.mlir import ir
from vertebra.core.target import Core, Finish, Mode, PanelKernel, Resident, StartRow
from vertebra.plugins.ame.codegen import assembly, product, registers
from vertebra.plugins.ame.codegen.finish import finish, finishes
from vertebra.plugins.ame.geometry import Geometry, geometry_of
from vertebra.plugins.ame.layouts import load_of, whole_tile
from vertebra.plugins.ame.types import NAMED

# (A, B, sums) of the products, the narrowest operands first.
PRODUCTS = (
    *((a, b, "i32") for a in ("i8", "ui8") for b in ("i8", "ui8")),
    ("f16", "f16", "f32"),
    ("bf16", "bf16", "f32"),
    ("f32", "f32", "f32"),
)


def panel_kernels(core: Core) -> tuple[PanelKernel, ...]:
    """One for each product."""
    g = geometry_of(core.extensions)
    if g is None:
        return ()
    between = Space("vector registers", "vector", group=core.vector.group, bits=core.vlen)
    return tuple(_kernel(g, *types, between) for types in PRODUCTS)


def _mode(g: Geometry, kinds: tuple[str, str], acc: str) -> Mode:
    return Mode(
        f"unit for {kinds[0]} x {kinds[1]}",
        enter=assembly.enter(g, (NAMED[kinds[0]], NAMED[kinds[1]]), NAMED[acc]),
        leave=assembly.leave(),
        failures=assembly.failures(g, kinds, acc),
    )


def _kernel(g: Geometry, a: str, b: str, acc: str, between: Space) -> PanelKernel:
    """between: the vector registers through which sums go to another product."""
    kinds, sums = (NAMED[a], NAMED[b]), NAMED[acc]
    kind = kinds[0]
    m, n, k = registers.shape_of(g, kind)
    squares = g.pack(sums.bits)
    tile = m, squares * n * sums.bits // 8

    def plan(rows: int, columns: int) -> registers.Plan:
        return registers.needed(g, kind, sums, rows, columns * squares)

    def begin(start, *, rows: int, columns: int):
        if isinstance(start, StartRow):
            return inline_assembly(product.begin_at_row(plan(rows, columns), tile), [start.address])
        made = product.begin(plan(rows, columns), tile, start is not None)
        return inline_assembly(made, [] if start is None else [start])

    def add(left, right, *, rows: int, columns: int, steps):
        right = attrs.evolve(right, tile=_part(right.tile, squares))
        given = [v for x in (left, right) for v in (x.address, x.tile, x.step, x.stride)]
        known = steps if isinstance(steps, int) else None
        loads = tuple(load_of(g, kind.bits, x.turned, x.whole) for x in (left, right))
        made = product.run(plan(rows, columns), known, loads)
        return inline_assembly(made, given if known else [*given, steps])

    def end(to, *, rows: int, columns: int):
        if isinstance(to, Finish):
            return inline_assembly(*finish(g, plan(rows, columns), kinds, sums, to))
        return inline_assembly(product.end(plan(rows, columns), tile), [to])

    return PanelKernel(
        name=f"mmulbtacc.2d {a} {b}",
        tile=(m, squares * n, k),
        a=a,
        b=b,
        acc=acc,
        blocking=lambda down, across, beside=1: registers.grid(g, kind, sums, down, across, beside),
        emit=None,
        mode=_mode(g, (a, b), acc),
        resident=Resident(begin, add, end),
        finishes=functools.partial(finishes, g, kinds, sums),
        registers=between,
        whole=whole_tile(g, kind.bits),
    )


def _part(value, parts: int):
    """An i64 value divided by a power of two."""
    if parts == 1:
        return value
    by = ir.IntegerAttr.get(value.type, parts.bit_length() - 1)
    shift = ir.Operation.create("arith.constant", [value.type], attributes={"value": by}).result
    return ir.Operation.create("arith.shrsi", [value.type], [value, shift]).result


def inline_assembly(lines: product.Lines, inputs: list):
    """`lines` on i64 values."""
    i64, own = ir.IntegerType.get_signless(64), len(lines.own)
    constraints = ["=&r"] * own + ["r"] * len(inputs) + ["~{memory}"]
    results = [str(i64)] * own
    types = [i64] if own == 1 else [ir.Type.parse(f"!llvm.struct<({', '.join(results)})>")] if own else []
    return ir.Operation.create(
        "llvm.inline_asm",
        types,
        inputs,
        {
            "asm_string": ir.StringAttr.get("\n".join(lines.text)),
            "constraints": ir.StringAttr.get(",".join(constraints)),
            "has_side_effects": ir.UnitAttr.get(),
        },
    )
