"""The assembler text of a panel kernel: our own loop in our own registers."""

from collections.abc import Callable

from vertebra.plugins.rvv.matrix.schedule import REGISTERS, Group, Schedule

# The operands of the text: the addresses of A, B and the sums, which it changes, and a register of its own.
A, B, ACC, OWN = "$0", "$1", "$2", "$3"
_POINTER = {"a": A, "b": B}
_LONG_TURN = 16  # matrix instructions in a turn of the loop, from which on the branch counts for little
_NEAR = 2047  # the largest constant that one instruction adds


def panel_loop(
    plan: Schedule, steps: int, *, bytes_per_register: int, sew: int, dot: Callable[..., str], zero: bool
) -> list[str]:
    """The lines of acc += A @ B over `steps` steps of K.

    sew: the element width that vtype has meanwhile.  dot: (vd, vs1, vs2) -> a line.
    """
    return _Writer(plan, steps, bytes_per_register, sew, dot, zero).text()


class _Writer:
    def __init__(self, plan: Schedule, steps: int, width: int, sew: int, dot: Callable, zero: bool):
        self.plan = plan
        self.steps = steps
        self.width = width
        self.sew = sew
        self.dot = dot
        self.zero = zero
        self.lines: list[str] = []
        # Where the pointers stand, in bytes from the start of step 0.
        self.at = {"a": 0, "b": 0}

    def text(self) -> list[str]:
        plan = self.plan
        self._sums(store=False)
        for group in plan.groups:
            self._load(group, 0)
        # Buffers that take turns are where they were after two steps.
        unroll = 2 * max(1, -(-_LONG_TURN // (2 * plan.rows * plan.columns)))
        turns = (self.steps - 1) // unroll
        if turns > 1:
            self._loop(turns, unroll)
        else:
            turns = 0
        for step in range(turns * unroll, self.steps):
            self._step(step, last=step == self.steps - 1)
        self._sums(store=True)
        return self.lines

    # -- the loop over K

    def _loop(self, turns: int, unroll: int) -> None:
        entry = self._after(unroll)
        for name, position in entry.items():
            self._move(name, position - unroll * self._stride(name))
        ahead = turns * unroll * self._stride("a")
        if ahead <= _NEAR:
            self._write(f"addi {OWN}, {A}, {ahead}")
        else:
            self._write(f"li {OWN}, {ahead}")
            self._write(f"add {OWN}, {OWN}, {A}")
        self._write("1:")
        for step in range(unroll):
            self._step(step, last=False)
        self._write(f"bne {A}, {OWN}, 1b")
        for name in self.at:
            self.at[name] += (turns - 1) * unroll * self._stride(name)

    def _after(self, unroll: int) -> dict[str, int]:
        """Where the pointers stand after `unroll` steps."""
        loads = [x for x in self.plan.order if isinstance(x, Group)]
        return {
            name: self._address(next(g for g in loads[::-1] if g.operand == name), unroll) for name in self.at
        }

    def _step(self, step: int, last: bool) -> None:
        plan = self.plan
        for what in plan.order:
            if isinstance(what, Group):
                if not last:
                    self._load(what, step + 1)
                continue
            i, j = what
            sums = plan.sums + (i * plan.columns + j) * plan.span
            self._write(self.dot(sums, plan.operand("a", i, step), plan.operand("b", j, step)))

    def _stride(self, name: str) -> int:
        return self.width * (self.plan.rows if name == "a" else self.plan.columns)

    def _address(self, group: Group, step: int) -> int:
        return step * self._stride(group.operand) + group.first * self.width

    def _load(self, group: Group, step: int) -> None:
        self._move(group.operand, self._address(group, step))
        register = group.register(group.first, step)
        self._write(f"vl{group.size}re8.v v{register}, ({_POINTER[group.operand]})")

    def _move(self, name: str, to: int) -> None:
        delta = to - self.at[name]
        self.at[name] = to
        pointer = _POINTER[name]
        while delta:
            part = max(-_NEAR, min(_NEAR, delta))
            self._write(f"addi {pointer}, {pointer}, {part}")
            delta -= part

    # -- sums between registers and memory

    def _sums(self, store: bool) -> None:
        if not store and self.zero:
            self._clear()
        if not store:
            # The only one: whole-register loads and stores do not look at it.
            self._write(f"vsetvli {OWN}, zero, e{self.sew}, m1, ta, ma")
        if store or not self.zero:
            self.lines += move_sums(self.plan.sums, self.width, ACC, store=store)

    def _clear(self) -> None:
        group = None
        for register, size in _pieces(self.plan.sums):
            if size != group:
                self._write(f"vsetvli {OWN}, zero, e{self.sew}, m{size}, ta, ma")
                group = size
            self._write(f"vmv.v.i v{register}, 0")

    def _write(self, line: str) -> None:
        self.lines.append(line)


def move_sums(first: int, width: int, pointer: str, *, store: bool) -> list[str]:
    """Loads or stores of the registers from `first` on, `width` bytes each; loads put `pointer` back."""
    lines, moved, size = [], 0, 0
    for register, size in _pieces(first):
        name = f"vs{size}r.v" if store else f"vl{size}re8.v"
        lines += [f"{name} v{register}, ({pointer})", f"addi {pointer}, {pointer}, {size * width}"]
        moved += size
    lines.pop()
    back = 0 if store else (moved - size) * width
    while back:
        part = min(_NEAR, back)
        lines.append(f"addi {pointer}, {pointer}, {-part}")
        back -= part
    return lines


def _pieces(first: int) -> list[tuple[int, int]]:
    """(register, count) for whole-register loads and stores from `first` to the last register."""
    found = []
    while first < REGISTERS:
        size = min(8, first & -first) if first else 8
        found.append((first, size))
        first += size
    return found
