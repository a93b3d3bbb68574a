"""The assembler text of a product of panels on the unit, and of the region in which the unit is ours."""

from vertebra.plugins.ame.codegen.registers import Plan
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import CSRS, INSTRUCTIONS
from vertebra.plugins.ame.types import NAMED, Type

_NEAR = 2047  # the largest constant that one instruction adds
_LONG_TURN = 16  # multiplications in a turn of the loop, from which on the branch counts for little
_WAIT = 1 | 3 << 2  # the descriptor of ame.acquire: wait for the longest bounded time
_SUCCESS = 1


def instruction(name: str, **operands: int | str) -> str:
    """A line for any assembler; X registers may be given by a name that is filled in later, such as $0."""
    record = INSTRUCTIONS[name]
    word = record.encode(**{k: 0 if isinstance(v, str) else v for k, v in operands.items()})
    fields = {"d": f"x{word >> 7 & 31}", "a": f"x{word >> 15 & 31}", "b": f"x{word >> 20 & 31}"}
    for operand in record.operands:
        if isinstance(operands[operand.name], str):
            fields[operand.letter] = operands[operand.name]
    opcode, funct3, funct7 = word & 0x7F, word >> 12 & 7, word >> 25
    return f".insn r {opcode:#x}, {funct3}, {funct7:#x}, {fields['d']}, {fields['a']}, {fields['b']}"


# --- The region ----------------------------------------------------------------------------------

FAILURES = (
    "the matrix unit has squares of another side (amenlen) than {n}, for which this code is made",
    "the matrix unit has another unit width (ameudsz) than {u} bits, for which this code is made",
    "the matrix unit is busy (ame.acquire)",
    "the matrix unit does not multiply {kind} into {acc} (amestatus)",
)


def enter(g: Geometry, kinds: tuple[Type, Type], acc: Type, plan: Plan) -> str:
    """Checks the unit's parameters, acquires it, sets all types and tries one multiplication of zeros.

    $0 becomes 0, or the number of the failure, with the unit as it was.
    """
    lines = []
    for number, (csr, value) in enumerate((("amenlen", g.n), ("ameudsz", g.u)), 1):
        lines += [f"csrr $0, {CSRS[csr]:#x}", f"addi $0, $0, -{value}", f"bnez $0, {number}f"]
    lines += [f"li $0, {_WAIT}", instruction("ame.acquire", rd="$0", rs1="$0")]
    lines += [f"andi $0, $0, {_SUCCESS}", "beqz $0, 3f"]
    end = min(plan.finish.values(), default=plan.sums or g.m)
    for side, kind in enumerate(kinds):
        operands = range(side * plan.tile, end - plan.tile + 1, 2 * plan.tile)
        lines += [f"li $0, {kind.code}", *(instruction("msettyp", md=r, rs1="$0") for r in operands)]
    for name in ("f16", "bf16"):
        if name in plan.finish:
            lines += [f"li $0, {NAMED[name].code}", instruction("msettyp", md=plan.finish[name], rs1="$0")]
    lines.append(f"li $0, {acc.code}")
    if plan.finish:
        wide = (plan.finish["row"], *range(plan.sums, g.m))
        lines += [instruction("msettyp", md=r, rs1="$0") for r in wide]
        lines.append(f"csrw {CSRS['amestype']:#x}, $0")
    elif plan.sums:
        lines.append(instruction("msettyp", md=plan.sums, rs1="$0"))
    lines += [instruction("asettyp", ad=number, rs1="$0") for number in range(g.acc)]
    lines.append(instruction("mmulbtacc.2d", acc=0, ms1=0, ms2=plan.tile))
    lines += [
        f"csrr $0, {CSRS['amestatus']:#x}",
        "beqz $0, 9f",
        instruction("ame.release"),
        "li $0, 4",
        "j 9f",
    ]
    for number in (1, 2, 3):
        lines += [f"{number}: li $0, {number}", "j 9f"]
    return "\n".join([*lines, "9:"])


def leave() -> str:
    return instruction("ame.release")


# --- The product ---------------------------------------------------------------------------------


INPUTS = ("a", "a_tile", "a_step", "a_stride", "b", "b_tile", "b_step", "b_stride", "acc")


class Text:
    """acc panel += A @ B.  The lines and the operands that they name, in the order of inline assembly.

    tile_bytes: of one tile of sums.  turned: whether A, and B, lie along M or N.  more: names of inputs
    behind INPUTS.
    """

    def __init__(
        self,
        plan: Plan,
        steps: int,
        tile_bytes: int,
        turned: tuple[bool, bool],
        zero: bool,
        more: tuple[str, ...] = (),
    ):
        self.plan = plan
        self.steps = steps
        self.tile_bytes = tile_bytes
        self.turned = turned
        self.zero = zero
        self.tiles = plan.rows + plan.columns
        self.pointers = [f"${n}" for n in range(self.tiles)]
        self.sums, self.own = f"${self.tiles}", f"${self.tiles + 1}"
        self.own_count = self.tiles + 2
        self.input = {name: f"${self.own_count + n}" for n, name in enumerate((*INPUTS, *more))}
        self.lines: list[str] = []

    def text(self) -> list[str]:
        self._point()
        self._sums_in()
        for number in range(self.tiles):
            self._load(number, 0)
        unroll = self.plan.buffers * max(1, -(-_LONG_TURN // (self.plan.buffers * self._products)))
        turns = (self.steps - 1) // unroll
        if turns > 1:
            # The first pointer tells the end of the loop.
            ahead = f"mul {self.own}, {self.own}, {self.input['a_step']}"
            self.write(f"li {self.own}, {turns * unroll}", ahead)
            self.write(f"add {self.own}, {self.own}, {self.pointers[0]}", "1:")
            for step in range(unroll):
                self._step(step, last=False)
            self.write(f"bne {self.pointers[0]}, {self.own}, 1b")
        else:
            turns = 0
        for step in range(turns * unroll, self.steps):
            self._step(step, last=step == self.steps - 1)
        self.sums_out()
        return self.lines

    @property
    def _products(self) -> int:
        return self.plan.rows * self.plan.columns

    def _side(self, number: int) -> str:
        return "a" if number < self.plan.rows else "b"

    def _point(self) -> None:
        """At the first step of every tile."""
        for number, pointer in enumerate(self.pointers):
            side = self._side(number)
            if number in (0, self.plan.rows):
                self.write(f"mv {pointer}, {self.input[side]}")
            else:
                self.write(f"add {pointer}, {self.pointers[number - 1]}, {self.input[f'{side}_tile']}")
        self.write(f"mv {self.sums}, {self.input['acc']}")

    def _load(self, number: int, step: int) -> None:
        """A tile of `step`; its pointer goes on to the next step."""
        side, pointer = self._side(number), self.pointers[number]
        name = "mls.tst" if self.turned[side == "b"] else "mls.st"
        register = self.plan.operand(number, step)
        self.write(instruction(name, md=register, rs1=pointer, rs2=self.input[f"{side}_stride"]))
        self.write(f"add {pointer}, {pointer}, {self.input[f'{side}_step']}")

    def _step(self, step: int, last: bool) -> None:
        """Multiplications between the loads for the next step; with one buffer, the loads come last."""
        loads = [] if last else list(range(self.tiles))
        early = loads if self.plan.buffers == 2 else []
        for product in range(self._products):
            i, j = divmod(product, self.plan.columns)
            a, b = (self.plan.operand(number, step) for number in (i, self.plan.rows + j))
            self.write(instruction("mmulbtacc.2d", acc=product, ms1=a, ms2=b))
            share = -(-len(early) // (self._products - product))
            for number in early[:share]:
                self._load(number, step + 1)
            early = early[share:]
        if self.plan.buffers == 1:
            for number in loads:
                self._load(number, step + 1)

    def _sums_in(self) -> None:
        for product in range(self._products):
            if self.zero:
                self.write(instruction("mzero.2d.acc", acc=product))
                continue
            self.write(instruction("mls.rm", md=self.plan.sums, rs1=self.sums))
            self.write(instruction("mmov.a.m", acc=product, ms=self.plan.sums))
            self._on()
        if not self.zero:
            self.write(f"mv {self.sums}, {self.input['acc']}")

    def sums_out(self) -> None:
        """From the accumulators into the panel."""
        for product in range(self._products):
            self.write(instruction("mmov.m.a", md=self.plan.sums, acc=product))
            self.write(instruction("mss.rm", ms1=self.plan.sums, rs1=self.sums))
            self._on()

    def _on(self) -> None:
        if self.tile_bytes <= _NEAR:
            self.write(f"addi {self.sums}, {self.sums}, {self.tile_bytes}")
        else:
            self.write(f"li {self.own}, {self.tile_bytes}", f"add {self.sums}, {self.sums}, {self.own}")

    def write(self, *lines: str) -> None:
        self.lines += lines
