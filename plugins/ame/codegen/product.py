"""The assembler text of a product of panels on the unit, in three pieces: sums in, along K, sums out."""

from vertebra.plugins.ame.codegen.assembly import instruction
from vertebra.plugins.ame.codegen.registers import Plan

_NEAR = 2047  # the largest constant that one instruction adds
_LONG_TURN = 64  # multiplications in a turn of the loop, from which on the branch counts for little
_MOST_STEPS = 8  # along K in a turn
OPERANDS = ("a", "a_tile", "a_step", "a_stride", "b", "b_tile", "b_step", "b_stride")


class Lines:
    """Lines of inline assembly.  own: names of X registers that they change; inputs: of those that are given.

    x: the text by which a line names each of them.
    """

    def __init__(self, own: tuple[str, ...], inputs: tuple[str, ...]):
        self.own = own
        self.x = {name: f"${number}" for number, name in enumerate((*own, *inputs))}
        self.text: list[str] = []

    def write(self, *lines: str) -> None:
        self.text += lines

    def unit(self, name: str, **operands: int | str) -> None:
        """An instruction of the unit, with the names of X registers."""
        self.write(instruction(name, **{k: self.x.get(v, v) for k, v in operands.items()}))

    def add(self, to: str, base: str, number: int, spare: str) -> None:
        """to = base + number; all are names, and `spare` is a register for a large number."""
        x = self.x
        if abs(number) <= _NEAR:
            self.write(f"addi {x[to]}, {x[base]}, {number}")
        else:
            self.write(f"li {x[spare]}, {number}", f"add {x[to]}, {x[base]}, {x[spare]}")


def begin(plan: Plan, tile: tuple[int, int], start: bool) -> Lines:
    """The sums begin at what a panel holds where `start`, else at zero.

    tile: (rows, bytes of a row) of sums.
    """
    if not start:
        lines = Lines((), ())
        for product in range(plan.rows * plan.columns):
            lines.unit("mzero.2d.acc", acc=product)
        return lines
    lines = Lines(("at", "number"), ("panel",))
    _each_tile(lines, plan, tile, ("mls", "md"), before=False)
    return lines


def begin_at_row(plan: Plan, tile: tuple[int, int]) -> Lines:
    """Every row of the sums begins at the same numbers."""
    lines = Lines(("at", "number"), ("row",))
    lines.write(f"mv {lines.x['at']}, {lines.x['row']}")
    for column in range(0, plan.columns, plan.squares):
        lines.unit("mls.st", md=plan.sums, rs1="at", rs2=0)
        for row in range(plan.rows):
            lines.unit("mmov.a.m", acc=row * plan.columns + column, ms=plan.sums)
        lines.add("at", "at", tile[1], "number")
    return lines


def end(plan: Plan, tile: tuple[int, int]) -> Lines:
    """The sums go into a panel."""
    lines = Lines(("at", "number"), ("panel",))
    _each_tile(lines, plan, tile, ("mss", "ms1"), before=True)
    return lines


def _each_tile(lines: Lines, plan: Plan, tile: tuple[int, int], move: tuple[str, str], before: bool) -> None:
    """Moves tiles between the panel and their register, `before` that between it and the accumulators."""
    (rows, row_bytes), (prefix, operand) = tile, move
    lines.write(f"mv {lines.x['at']}, {lines.x['panel']}")
    for product in range(0, plan.rows * plan.columns, plan.squares):
        if before:
            lines.unit("mmov.m.a", md=plan.sums, acc=product)
        at = {operand: plan.sums, "rs1": "at"}
        if plan.squares == 1:
            lines.unit(f"{prefix}.rm", **at)
        else:  # squares side by side are strided in memory
            lines.write(f"li {lines.x['number']}, {row_bytes}")
            lines.unit(f"{prefix}.st", **at, rs2="number")
        if not before:
            lines.unit("mmov.a.m", acc=product, ms=plan.sums)
        lines.add("at", "at", rows * row_bytes, "number")


def run(plan: Plan, steps: int | None, loads: tuple[str, str]) -> Lines:
    """Multiplies along K.  steps: how many, None where the last input says.  loads: of both sides' tiles."""
    return _Run(plan, loads).made(steps)


class _Run:
    def __init__(self, plan: Plan, loads: tuple[str, str]):
        self.plan, self.loads = plan, loads
        self.tiles, self.products = plan.rows + plan.columns, plan.rows * plan.columns
        self.pointers = tuple(f"pointer{n}" for n in range(self.tiles))
        self.unroll = plan.buffers
        while self.unroll * self.products < _LONG_TURN and self.unroll < _MOST_STEPS:
            self.unroll *= 2

    def made(self, steps: int | None) -> Lines:
        self.lines = Lines(
            (*self.pointers, "count", "bit"), (*OPERANDS, *(["steps"] if steps is None else []))
        )
        self._point()
        for number in range(self.tiles):
            self._load(number, 0)
        self._counted() if steps is None else self._known(steps)
        return self.lines

    def _known(self, steps: int) -> None:
        turns = (steps - 1) // self.unroll
        if turns > 1:
            self.lines.write(f"li {self.lines.x['count']}, {turns}")
            self._loop()
        done = turns * self.unroll if turns > 1 else 0
        for step in range(done, steps):
            self._step(step, last=step == steps - 1)

    def _counted(self) -> None:
        """Turns of the loop, then half as many steps, half of those again, and so on, and the last step."""
        x, shift, step = self.lines.x, self.unroll.bit_length() - 1, 0
        count, bit, steps = x["count"], x["bit"], x["steps"]
        self.lines.write(f"addi {count}, {steps}, -1", f"srli {count}, {count}, {shift}", f"beqz {count}, 2f")
        self._loop()
        self.lines.write("2:", f"addi {count}, {steps}, -1")
        for place in reversed(range(shift)):
            label = 3 + place
            self.lines.write(f"slli {bit}, {count}, {63 - place}", f"bgez {bit}, {label}f")
            for step in range(1 << place):
                self._step(step, last=False)
            if place or self.plan.buffers == 1:
                self.lines.write(f"{label}:")
        if self.plan.buffers == 2:  # the last step's operands are where the number of steps says
            self._step(1, last=True)
            self.lines.write("j 2f", "3:")
            self._step(0, last=True)
            self.lines.write("2:")
        else:
            self._step(0, last=True)

    def _loop(self) -> None:
        """`count` turns."""
        count = self.lines.x["count"]
        self.lines.write("1:")
        for step in range(self.unroll):
            self._step(step, last=False)
        self.lines.write(f"addi {count}, {count}, -1", f"bnez {count}, 1b")

    def _side(self, number: int) -> str:
        return "a" if number < self.plan.rows else "b"

    def _point(self) -> None:
        """At the first step of every tile."""
        x = self.lines.x
        for number, pointer in enumerate(self.pointers):
            side = self._side(number)
            if number in (0, self.plan.rows):
                self.lines.write(f"mv {x[pointer]}, {x[side]}")
            else:
                self.lines.write(f"add {x[pointer]}, {x[self.pointers[number - 1]]}, {x[f'{side}_tile']}")

    def _load(self, number: int, step: int) -> None:
        """A tile of `step`; its pointer goes on to the next step."""
        x, side, pointer = self.lines.x, self._side(number), self.pointers[number]
        name = self.loads[side == "b"]
        lines = {"rs2": f"{side}_stride"} if name in ("mls.st", "mls.tst") else {}
        self.lines.unit(name, md=self.plan.operand(number, step), rs1=pointer, **lines)
        self.lines.write(f"add {x[pointer]}, {x[pointer]}, {x[f'{side}_step']}")

    def _step(self, step: int, last: bool) -> None:
        """Multiplications between the loads for the next step; with one buffer, the loads come last."""
        loads = [] if last else list(range(self.tiles))
        early = loads if self.plan.buffers == 2 else []
        for product in range(self.products):
            i, j = divmod(product, self.plan.columns)
            a, b = (self.plan.operand(number, step) for number in (i, self.plan.rows + j))
            self.lines.unit("mmulbtacc.2d", acc=product, ms1=a, ms2=b)
            share = -(-len(early) // (self.products - product))
            for number in early[:share]:
                self._load(number, step + 1)
            early = early[share:]
        if self.plan.buffers == 1:
            for number in loads:
                self._load(number, step + 1)
