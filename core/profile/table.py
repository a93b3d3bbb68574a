"""A session as a table in the terminal."""

from collections.abc import Sequence

from vertebra.core.command import print_table
from vertebra.core.profile.session import (
    COUNT,
    ENTRIES,
    INSTRUCTIONS,
    SCOPE_CYCLES,
    SCOPE_EMULATED,
    SCOPE_INSTRUCTIONS,
    SCOPE_TIME,
    TIME,
    Node,
)

# Columns of scopes inside of kernels, in this order; the first that is there orders them.
_INSIDE = (SCOPE_TIME, SCOPE_EMULATED, SCOPE_CYCLES, SCOPE_INSTRUCTIONS)
_NANOSECONDS = " (ns)"


def show(root: Node, notes: Sequence[str] = ()) -> None:
    """Prints the table, and the notes below it."""
    print_table(*table(root))
    for note in notes:
        print(note)


def table(root: Node) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(head, rows): scopes and kernels, indented, those that took most first.

    Time is shown with its share of the whole; under emulation instructions are, labelled as such.  What
    programs spent in scopes inside of kernels is that of all of them together, with no share.
    """
    metric = INSTRUCTIONS if root.total(INSTRUCTIONS) > 0 else TIME
    whole = root.total(metric) or 1
    used = _metrics(root)
    others = [name for name in (ENTRIES, *_INSIDE) if name in used]
    others += sorted(used - {COUNT, INSTRUCTIONS, TIME, *others})
    rows = []

    def weight(node: Node) -> tuple:
        return tuple(node.total(name) for name in (metric, *_INSIDE))

    def add(node: Node, depth: int) -> None:
        amount, count = node.total(metric), node.total(COUNT)
        shown = ["", "", "", ""]
        if ENTRIES not in node.metrics:
            each = amount / count if count else 0
            share = f"{100 * amount / whole:.1f} %"
            shown = [share, _amount(metric, amount), _amount(metric, each), f"{count:g}"]
        more = [_amount(name, node.metrics[name]) if name in node.metrics else "" for name in others]
        rows.append(("  " * depth + node.name, *shown, *more))
        for child in sorted(node.children.values(), key=weight, reverse=True):
            add(child, depth + 1)

    for child in sorted(root.children.values(), key=weight, reverse=True):
        add(child, 0)
    heads = (name.removesuffix(_NANOSECONDS) for name in (metric, "each", "launches", *others))
    return ("scope or kernel", "share", *heads), rows


def _metrics(node: Node) -> set[str]:
    return set(node.metrics).union(*(_metrics(child) for child in node.children.values()))


def _amount(metric: str, value: float) -> str:
    if metric.endswith(_NANOSECONDS):
        for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
            if value >= size:
                return f"{value / size:.3g} {unit}"
        return f"{value:.0f} ns"
    if metric == INSTRUCTIONS or (float(value).is_integer() and abs(value) < 1e15):
        return f"{value:.0f}"
    return f"{value:g}"
