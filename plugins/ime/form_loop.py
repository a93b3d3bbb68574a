"""The assembler text of products by the instructions that do more than multiply two tiles.

Windows of rows (slides), scales for columns, and structured sparsity: A or a selector takes registers
that the loops of plain products do not know of.  The registers, from the lowest:

    selectors   v0 and v1, which take turns          (scales or masks of a step)
    A           two buffers of 4, which take turns
    B           two buffers of 4 that take turns, or halves of one of 4 where there are selectors
    sums        the upper ones

Loads of the next step are issued ahead of the matrix instructions of this one.
"""

from collections.abc import Callable

import attrs

REGISTERS = 32
A_REGISTERS = 4  # of one step
MOST_COLUMNS = 4
_SELECTED_A, _SELECTED_B = 4, 12
_PLAIN_A, _PLAIN_B = 0, 8
_NEAR = 2047  # the largest constant that one instruction adds


@attrs.frozen
class Shape:
    """A grid of rows x columns tiles.

    span: registers of a tile's sums.  a_span: registers of A for each tile; of a window the second one
    is the next tile.  taps: products with shifted rows.  width: bytes of a register.
    selector_step: bytes from the selectors of one step to the next, None where there are none.
    a_step: bytes from A of one step to the next in a window; else the grid's tiles are all there is.
    """

    rows: int
    columns: int
    span: int
    a_span: int
    taps: int
    width: int
    window: bool = False
    selector_step: int | None = None
    a_step: int | None = None


def most_tiles(a_span: int) -> tuple[int, int]:
    """The (rows, columns) of a grid's tiles, at most, whose A takes `a_span` registers each."""
    return A_REGISTERS // a_span, MOST_COLUMNS


def form_loop(shape: Shape, steps: int, *, sew: int, dot: Callable[..., str], zero: bool) -> list[str]:
    """The lines of acc += A @ B over `steps` steps of K.

    The text's operands: $0 the address of A, $1 of the sums, $2 of B for each tap, then of the
    selectors where there are any, and two registers of its own.  All are changed.
    dot: (tap, column, vd, vs1, vs2, selector) -> a line.  sew: the element width of vtype.
    """
    return _Writer(shape, steps, sew, dot, zero).text()


class _Writer:
    def __init__(self, shape: Shape, steps: int, sew: int, dot: Callable, zero: bool):
        self.shape = shape
        self.steps = steps
        self.sew = sew
        self.dot = dot
        self.zero = zero
        self.lines: list[str] = []
        self.selected = shape.selector_step is not None
        self.sums = REGISTERS - shape.rows * shape.columns * shape.span
        self.selector = f"${2 + shape.taps}"
        self.own, self.far = (f"${2 + shape.taps + self.selected + i}" for i in range(2))
        # From the last tile of a step's window to the first one of the next.
        self.onward = shape.a_step - shape.rows * shape.width if shape.window else 0

    def text(self) -> list[str]:
        self._begin()
        self._load_step(0)
        for group in self._groups():
            self._load_b(0, 0, group)
        turns = (self.steps - 1) // 2  # buffers are where they were after two steps
        done = 0
        if turns > 1:
            self._write(f"li {self.own}, {2 * turns * self._a_step()}")
            self._write(f"add {self.own}, {self.own}, $0")
            self._write("1:")
            self._step(0, last=False)
            self._step(1, last=False)
            self._write(f"bne $0, {self.own}, 1b")
            done = 2 * turns
        for step in range(done, self.steps):
            self._step(step, last=step == self.steps - 1)
        self.lines += move_sums(self.sums, self.shape.width, "$1", store=True)
        return self.lines

    def _a_step(self) -> int:
        """Bytes from A of one step to the next."""
        shape = self.shape
        return shape.a_step if shape.window else shape.rows * shape.a_span * shape.width

    def _begin(self) -> None:
        if self.onward > _NEAR:
            self._write(f"li {self.far}, {self.onward}")
        if self.zero:
            for register, size in pieces(self.sums, REGISTERS):
                self._write(f"vsetvli {self.own}, zero, e8, m{size}, ta, ma")
                self._write(f"vmv.v.i v{register}, 0")
        self._write(f"vsetvli {self.own}, zero, e{self.sew}, m1, ta, ma")
        if not self.zero:
            self.lines += move_sums(self.sums, self.shape.width, "$1", store=False)

    def _groups(self) -> list[range]:
        """Columns of B whose registers are loaded together, again when all of them have been used."""
        columns = self.shape.columns
        if not self.selected:
            return [range(columns)]
        return [range(first, min(first + 2, columns)) for first in range(0, columns, 2)]

    def _step(self, step: int, last: bool) -> None:
        shape = self.shape
        if not last:
            self._load_step(step + 1)
        for tap in range(shape.taps):
            ends = tap == shape.taps - 1
            following = None if last and ends else (step + ends, (tap + 1) % shape.taps)
            if following and not self.selected:
                self._load_b(*following, self._groups()[0])
            for group in self._groups():
                for i in range(shape.rows):
                    for j in group:
                        sums = self.sums + (i * shape.columns + j) * shape.span
                        operands = self._a(step) + i * shape.a_span, self._b(step, tap) + j
                        self._write(self.dot(tap, j, sums, *operands, step % 2))
                if following and self.selected:
                    self._load_b(*following, group)

    def _a(self, step: int) -> int:
        return (_SELECTED_A if self.selected else _PLAIN_A) + step % 2 * A_REGISTERS

    def _b(self, step: int, tap: int) -> int:
        if self.selected:
            return _SELECTED_B
        return _PLAIN_B + (step * self.shape.taps + tap) % 2 * MOST_COLUMNS

    def _load_step(self, step: int) -> None:
        """A, and the selectors."""
        shape = self.shape
        if self.selected:
            self._load(step % 2, 1, self.selector, shape.selector_step)
        register = self._a(step)
        if shape.window:
            for i in range(shape.rows):
                self._load(register + 2 * i, 2, "$0", shape.width)
            if self.onward > _NEAR:
                self._write(f"add $0, $0, {self.far}")
            else:
                self._advance("$0", self.onward)
            return
        for first, size in pieces(register, register + shape.rows * shape.a_span):
            self._load(first, size, "$0", size * shape.width)

    def _load_b(self, step: int, tap: int, group: range) -> None:
        register = self._b(step, tap)
        for first, size in pieces(register + group.start, register + group.stop):
            self._load(first, size, f"${2 + tap}", size * self.shape.width)

    def _load(self, register: int, size: int, pointer: str, advance: int) -> None:
        self._write(f"vl{size}re8.v v{register}, ({pointer})")
        self._advance(pointer, advance)

    def _advance(self, pointer: str, by: int) -> None:
        self.lines += added(pointer, by)

    def _write(self, line: str) -> None:
        self.lines.append(line)


def added(pointer: str, by: int) -> list[str]:
    lines = []
    while by:
        part = max(-_NEAR, min(_NEAR, by))
        lines.append(f"addi {pointer}, {pointer}, {part}")
        by -= part
    return lines


def move_sums(first: int, width: int, pointer: str, *, store: bool) -> list[str]:
    """Loads or stores of the registers from `first` on, `width` bytes each; `pointer` is as before."""
    lines, moved, size = [], 0, 0
    for register, size in pieces(first, REGISTERS):
        name = f"vs{size}r.v" if store else f"vl{size}re8.v"
        lines += [*(added(pointer, moved) if moved else []), f"{name} v{register}, ({pointer})"]
        lines += added(pointer, -moved) if moved else []
        moved += size * width
    return lines


def pieces(first: int, stop: int) -> list[tuple[int, int]]:
    """(register, count) for whole-register loads and stores of the registers first <= r < stop."""
    found = []
    while first < stop:
        size = min(8, first & -first) if first else 8
        while size > stop - first:
            size //= 2
        found.append((first, size))
        first += size
    return found
