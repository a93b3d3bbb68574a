"""The loop over K: what it computes, on a machine of names, and how many instructions it takes."""

import re

import pytest

from vertebra.plugins.rvv.matrix.assembly import panel_loop
from vertebra.plugins.rvv.matrix.blocking import grid, panels
from vertebra.plugins.rvv.matrix.schedule import REGISTERS, Group, fits, schedule

WIDTH = 32
SHAPES = [(r, c, span) for span in (1, 2) for r in range(1, 12) for c in range(1, 12) if fits(r, c, span)]
STEPS = [1, 2, 3, 4, 5, 16, 17, 37]


class Machine:
    """Runs the text on registers that hold names: an operand's tile and step, or the products of a sum."""

    def __init__(self, rows: int, columns: int, steps: int):
        self.rows, self.columns, self.steps = rows, columns, steps
        self.at = {"$0": 0, "$1": 0, "$2": 0, "$3": 0}
        self.registers: dict = {}
        self.stored: dict = {}
        self.executed = 0

    def run(self, lines: list[str]) -> None:
        label = lines.index("1:") if "1:" in lines else None
        n = 0
        while n < len(lines):
            line = lines[n]
            n += 1
            if line.endswith(":"):
                continue
            self.executed += 1
            name, *words = re.findall(r"[\w.$-]+", line)
            if name == "bne":
                if self.at[words[0]] != self.at[words[1]]:
                    n = label
            elif name in ("addi", "add"):
                self.at[words[0]] = self.at[words[1]] + (
                    int(words[2]) if name == "addi" else self.at[words[2]]
                )
            elif name == "li":
                self.at[words[0]] = int(words[1])
            elif name == "dot":
                vd, a, b = words
                self.registers[vd].append((self.registers[a], self.registers[b]))
            else:
                self.whole_registers(name, words)

    def whole_registers(self, name: str, words: list[str]) -> None:
        if name == "vsetvli":
            self.group = int(words[3][1:])
            return
        if name == "vmv.v.i":
            for i in range(self.group):
                self.registers[f"v{int(words[0][1:]) + i}"] = []
            return
        direction, size = re.fullmatch(r"v([ls])(\d)r(?:e8)?\.v", name).groups()
        first, place = int(words[0][1:]), self.at[words[1]]
        assert place % WIDTH == 0 and first % int(size) == 0
        for i in range(int(size)):
            at, register = place // WIDTH + i, f"v{first + i}"
            if words[1] == "$2":
                if direction == "s":
                    self.stored[at] = self.registers[register]
                else:
                    self.registers[register] = [("start", at)]
                continue
            per_step = self.rows if words[1] == "$0" else self.columns
            assert 0 <= at < per_step * self.steps, "reads behind the panel"
            self.registers[register] = ("ab"[words[1] == "$1"], at % per_step, at // per_step)


def _text(rows, columns, span, steps, zero):
    return panel_loop(
        schedule(rows, columns, span),
        steps,
        bytes_per_register=WIDTH,
        sew=8,
        dot=lambda vd, a, b: f"dot v{vd}, v{a}, v{b}",
        zero=zero,
    )


@pytest.mark.parametrize("rows, columns, span", SHAPES)
def test_every_sum_takes_up_all_its_products(rows, columns, span):
    for steps in STEPS:
        for zero in (False, True):
            machine = Machine(rows, columns, steps)
            machine.run(_text(rows, columns, span, steps, zero))
            for i in range(rows):
                for j in range(columns):
                    at = (i * columns + j) * span
                    start = [] if zero else [("start", at)]
                    products = [(("a", i, s), ("b", j, s)) for s in range(steps)]
                    assert machine.stored[at] == start + products


@pytest.mark.parametrize("rows, columns, span", SHAPES)
def test_registers_are_aligned_and_apart(rows, columns, span):
    plan = schedule(rows, columns, span)
    taken = [r for g in plan.groups for first in g.buffers for r in range(first, first + g.size)]
    assert all(first % g.size == 0 for g in plan.groups for first in g.buffers)
    assert len(set(taken)) == len(taken) and max(taken) < plan.sums
    assert plan.sums + rows * columns * span == REGISTERS
    assert plan.sums % span == 0


@pytest.mark.parametrize("rows, columns, span", [(3, 4, 2), (4, 3, 2), (2, 4, 2), (4, 4, 1), (1, 8, 2)])
def test_the_loop_takes_at_most_two_instructions_per_product(rows, columns, span):
    counts = []
    for steps in (64, 128):
        machine = Machine(rows, columns, steps)
        machine.run(_text(rows, columns, span, steps, False))
        counts.append(machine.executed)
    assert (counts[1] - counts[0]) / (64 * rows * columns) <= 2.0


@pytest.mark.parametrize("rows, columns, span", [(3, 4, 2), (4, 3, 2), (2, 4, 2), (4, 4, 1), (1, 8, 2)])
def test_loads_are_ahead_of_their_use(rows, columns, span):
    plan = schedule(rows, columns, span)
    order = list(plan.order)
    for place, group in enumerate(order):
        if isinstance(group, Group):
            users = [
                n
                for n, what in enumerate(order)
                if not isinstance(what, Group)
                and group.first <= what[group.operand == "b"] < group.first + group.size
            ]
            between = order[place + 1 :] + order[: users[0]]
            assert sum(not isinstance(x, Group) for x in between) >= 4


def test_one_vector_configuration_in_front_of_the_loop():
    lines = _text(3, 4, 2, 64, False)
    assert [n for n, line in enumerate(lines) if line.startswith("vset")] == [0]


def test_large_products_get_twelve_tiles():
    assert grid(60, 60, 2) == (3, 4)
    assert grid(1, 64, 2)[0] == 1 and grid(64, 1, 2)[1] == 1
    assert grid(2, 2, 2) == (2, 2)


def test_runs_cover_all_tiles():
    for total in range(1, 40):
        for most in range(1, 9):
            sizes = panels(total, most)
            assert sum(sizes) == total and max(sizes) <= most and max(sizes) - min(sizes) <= 1
