"""The loops of slides, scales and sparsity: registers that do not meet, and few instructions."""

import re

import pytest

from vertebra.core import hooks
from vertebra.core.instruction import find
from vertebra.plugins.ime.form_loop import Shape, form_loop
from vertebra.plugins.ime.instructions import instruction

# Kind -> (instructions by tap, Shape fields beside the grid, instructions per matrix instruction).
KINDS = {
    "window of 4": (
        [f"smt.vmadot{t or ''}" for t in range(4)],
        {"span": 2, "a_span": 2, "taps": 4, "window": True, "a_step": 9 * 128},
        1.5,
    ),
    "window of 3": (
        [f"smt.vfwmadot{t or ''}" for t in range(3)],
        {"span": 2, "a_span": 2, "taps": 3, "window": True, "a_step": 9 * 128},
        1.5,
    ),
    "scaled": (["smt.vmadot.hp"], {"span": 1, "a_span": 1, "taps": 1, "selector_step": 64}, 1.6),
    "sparse": (["smt.vmadot.sp"], {"span": 2, "a_span": 2, "taps": 1, "selector_step": 128}, 2.1),
}
GRIDS = [(2, 4), (2, 3), (1, 4), (2, 1), (1, 1), (1, 2)]


def lines_of(kind: str, rows: int, columns: int, steps: int) -> list[str]:
    names, fields, _ = KINDS[kind]
    window = fields.get("window")

    def dot(tap, column, vd, vs1, vs2, selector):
        others = {} if window else {"selector": selector, "immediate": column}
        return instruction(names[tap]).directive(vd=vd, vs1=vs1, vs2=vs2, **others)

    return form_loop(Shape(rows, columns, width=128, **fields), steps, sew=8, dot=dot, zero=True)


def executed(lines: list[str], steps: int) -> list[str]:
    """The lines in the order in which they run, for the turns that the loop makes."""
    if "1:" not in lines:
        return lines
    start = lines.index("1:")
    end = next(i for i, line in enumerate(lines) if line.startswith("bne"))
    turns = (steps - 1) // 2
    return lines[:start] + lines[start + 1 : end] * turns + lines[end + 1 :]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows, columns", GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 6, 7])
def test_what_a_product_reads_was_loaded_since_and_not_overwritten(kind, rows, columns, steps):
    """Every register is read as often as the step that it was loaded for wants, and sums stay."""
    names, fields, _ = KINDS[kind]
    loads: dict[int, int] = {}
    seen, count = [], 0
    known = tuple(hooks.instructions().values())
    sums = 32 - rows * columns * fields["span"]
    for line in executed(lines_of(kind, rows, columns, steps), steps):
        if load := re.match(r"vl(\d)re8.v v(\d+), \(\$(\d)\)", line):
            size, first, pointer = map(int, load.groups())
            assert first + size <= sums
            for register in range(first, first + size):
                count += 1
                loads[register] = (pointer, count)
        elif line.startswith(".insn"):
            record, operands = find(known, int(line.split(", ")[1], 16))
            tap = names.index(record.mnemonic)
            assert operands["vd"] >= sums
            used = [operands["vs1"] + i for i in range(fields["a_span"])]
            assert all(loads[register][0] == 0 for register in used)
            assert loads[operands["vs2"]][0] == 2 + tap
            if "selector" in operands:
                assert loads[operands["selector"]][0] == 3
            seen.append((tap, operands["vd"], *(loads[r][1] for r in (*used, operands["vs2"]))))
    assert len(seen) == steps * rows * columns * fields["taps"] == len(set(seen))


@pytest.mark.parametrize("kind", KINDS)
def test_few_instructions_stand_beside_the_products(kind):
    lines = lines_of(kind, 4 if kind == "scaled" else 2, 4, 64)
    start = lines.index("1:")
    end = next(i for i, line in enumerate(lines) if line.startswith("bne"))
    body = lines[start + 1 : end + 1]
    assert len(body) <= KINDS[kind][2] * sum(line.startswith(".insn") for line in body)
