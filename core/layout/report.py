"""Plans as text: mapping, widths, conflicts, order, alternatives, budgets."""

from vertebra.core.layout import tree
from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.linear import linear
from vertebra.core.layout.notation import formula, owner_formula
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.plan import Accesses, Plan
from vertebra.core.layout.programs import Program
from vertebra.core.layout.swizzle import Composed
from vertebra.core.layout.transfers import Transfers

# Lines of a register program, or moves, that are shown in full.
_SHOWN = 24


def text(plans: tuple[Plan, ...]) -> str:
    """The best plan in full, the others as a table."""
    best = plans[0]
    parts = [*_ends(best), "", *_mapping(best), "", *_moves(best)]
    if best.order:
        parts += ["", "order", *(f"  {i}. {s.text} ({s.who})" for i, s in enumerate(best.order, 1))]
    if len(plans) > 1:
        rows = [("method", "instructions", "wavefronts (ideal)", "cost")]
        rows += [
            (
                p.method,
                str(p.instructions),
                f"{p.wavefronts} ({p.ideal})" if p.wavefronts else "-",
                f"{p.cost:g}",
            )
            for p in plans
        ]
        parts += ["", "ways, cheapest first", *_table(rows)]
    if best.destination.budgets is not None:
        parts += ["", "budgets", *_table(best.destination.budgets())]
    if best.destination.notes:
        parts += ["", "experiments, in this order, when the result is wrong"]
        parts += [f"  {i}. {note}" for i, note in enumerate(best.destination.notes, 1)]
    return "\n".join(parts)


def _table(rows) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _ends(plan: Plan) -> list[str]:
    return [f"from  {_describe(plan.source)}", f"to    {_describe(plan.destination)}"]


def _describe(operand: Operand) -> str:
    parts = [f"{operand.name}: {'x'.join(map(str, operand.shape))} {operand.dtype} in {operand.space.name}"]
    if operand.layout is not None:
        parts.append(f"layout {operand.layout}")
    if operand.swizzle is not None:
        parts.append(f"swizzle {operand.swizzle} on bytes")
    if operand.owners is not None:
        owners = operand.owners
        parts.append(f"{owners.threads} threads x {owners.values} values {owners.layout}")
    return ", ".join(parts)


def _mapping(plan: Plan) -> list[str]:
    lines = ["mapping"]
    source, destination = plan.source, plan.destination
    for operand in (source, destination):
        if operand.owners is not None and len(operand.shape) == 2:
            m, n = owner_formula(operand.owners.layout, operand.shape)
            lines.append(f"  {operand.name}: thread t, value v holds m = {m}, n = {n}")
    if source.owners is None and isinstance(source.layout, Layout) and len(source.shape) == 2:
        lines.append(f"  {source.name}: offset = {formula(source.layout, ('m', 'n'))}")
    if destination.layout is not None and not isinstance(destination.layout, Composed):
        letters = (
            ("m", "n")
            if len(destination.shape) == 2
            else tuple(f"c{i}" for i in range(len(destination.shape)))
        )
        lines.append(f"  {destination.name}: offset = {formula(destination.layout, letters)}")
        bits = bits_of(destination.dtype)
        scale = "offset" if bits == 8 else f"{bits // 8}*offset" if bits > 8 else f"offset/{8 // bits}"
        lines.append(f"  byte = {scale}" + _xor_text(destination))
    matrix = _matrix(plan)
    if matrix:
        lines.append(matrix)
    if plan.contraction:
        lines.append(
            f"  contraction renumbered, in both operands: k takes source index {_order(plan.contraction)}"
        )
    return lines


def _xor_text(operand: Operand) -> str:
    xor = operand.swizzle
    if xor is None or not xor.bits:
        return ""
    mask = (1 << xor.bits) - 1
    if xor.shift >= 0:
        return f"; byte ^= ((byte >> {xor.base + xor.shift}) & {mask}) << {xor.base}"
    return f"; byte ^= ((byte >> {xor.base}) & {mask}) << {xor.base - xor.shift}"


def _matrix(plan: Plan) -> str:
    """The address's bits by thread and value bit, where all sizes are powers of two."""
    source, destination = plan.source, plan.destination
    if source.owners is None or destination.layout is None or destination.space.kind != "memory":
        return ""
    try:
        owner = linear(source.owners.layout)
        place = linear(destination.layout)
        columns = [place(c) * bits_of(destination.dtype) // 8 for c in owner.columns]
    except LayoutError:
        return ""
    if destination.swizzle is not None:
        columns = [destination.swizzle(c) for c in columns]
    threads = tree.size(source.owners.layout.shape[0]).bit_length() - 1
    return (
        f"  over GF(2): thread bits give {', '.join(map(str, columns[:threads]))};"
        f" value bits {', '.join(map(str, columns[threads:]))}"
    )


def _order(order) -> str:
    if list(order) == list(range(len(order))):
        return "k"
    shown = ", ".join(map(str, order[:16]))
    return shown + (", ..." if len(order) > 16 else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)


def _moves(plan: Plan) -> list[str]:
    lines = [f"best: {plan.method}"]
    if isinstance(plan.body, Accesses):
        kinds: dict = {}
        for move in plan.body.moves:
            kinds.setdefault(move.instruction, []).append(move)
        for kind, moves in kinds.items():
            held = len(moves[0].values)
            lines.append(f"  {len(moves)} x {kind.name} per thread, {kind.bytes} bytes ({held} values) each")
        if plan.wavefronts:
            clash = "no conflicts" if plan.wavefronts <= plan.ideal else f"{plan.ways}-way conflicts"
            lines.append(f"  {plan.wavefronts} wavefronts per group of threads, ideal {plan.ideal}: {clash}")
        lines += [f"  not {width} bytes: {why}" for width, why in plan.refused]
    elif isinstance(plan.body, Program):
        shown = plan.body.text
        count = _counted(plan.instructions, "instruction")
        lines.append(f"  {count} for the tile; s<i> hold the source, t<i> are results")
        lines += [f"    {line}" for line in shown[:_SHOWN]]
    elif isinstance(plan.body, Transfers):
        stride = f", {plan.body.stride} bytes from line to line" if plan.body.stride else ""
        lines.append(f"  {_counted(plan.instructions, 'instruction')}; bases count elements{stride}")
        lines += [f"    {line}" for line in plan.body.text[:_SHOWN]]
    elif not plan.instructions:
        lines.append("  no instruction moves anything: the same thread holds the element on both sides")
    else:
        whom = "for the tile" if plan.source.space.kind == "vector" else "per thread"
        lines.append(f"  {_counted(plan.instructions, 'instruction')} {whom}")
    lines.append(f"  registers: {plan.registers}; bytes of destination memory: {plan.bytes}")
    return lines
