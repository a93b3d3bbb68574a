"""Hardware as data: what a core is, and how a target makes code for it."""

import enum
from collections.abc import Callable, Mapping
from typing import Any

import attrs


@attrs.frozen
class VectorUnit:
    """The vector registers that generated code may use.

    bits: width of one register.  registers: how many there are.
    group: how many of them one operation should span (LMUL on RISC-V; 1 elsewhere).
    scalar_operand: multiply-add takes one factor from a scalar register or from memory.
    arithmetic: element types that it computes in; the others are computed in f32.
    conversion: element types that it converts to and from f32.
    reach: bytes from a base register that a load reaches by a constant offset.
    scaled_index: a load reaches a base register plus 1, 2, 4 or 8 times another one.
    number_extremes: the larger, or smaller, of two values, where NaN is no number, is one instruction.
    """

    bits: int
    registers: int = 32
    group: int = 1
    scalar_operand: bool = True
    arithmetic: frozenset[str] = frozenset({"f32", "f64"})
    conversion: frozenset[str] = frozenset({"f32", "f64"})
    reach: int = 1 << 31
    scaled_index: bool = False
    number_extremes: bool = True

    def lanes(self, element_bits: int) -> int:
        """How many elements of `element_bits` bits one operation should cover."""
        return max(1, self.bits * self.group // element_bits)


@attrs.frozen
class Throughput:
    """How much one core does per cycle, at best, beside its matrix engine (see `MatrixTile.cycles`).

    issue: instructions that it starts.  vector_bits: bits of results of vector arithmetic; a
    multiply-add has one result.  loads: load instructions.  load_bits: bits that they bring from the
    first cache into registers.  memory: GB/s (10^9 bytes) of main memory, which all cores share.
    cores: how many of this kind there are.  engines: how many matrix engines they have together, where
    not every one has its own.  cache: bytes of the last cache, where the core's record leaves it out.
    clock: GHz, where it is measured; else the core's.  source: for people, where the numbers come from; a
    guess is called one.
    """

    issue: float
    vector_bits: float
    load_bits: float
    memory: float
    source: str
    loads: float = 1.0
    cores: int = 1
    engines: int | None = None
    cache: int | None = None
    clock: float | None = None


@attrs.frozen
class Core:
    """One kind of processor core.

    target: the name of the target that makes its code.  arch: the machine's name as
    `platform.machine()` gives it.  features: LLVM's, each with its sign.  isa: the
    name people use.  arch_id: the vendor's number.  caches: bytes per level, from
    the first.  clock: GHz.  emulator: options for a CPU emulator to behave like this core.
    extensions: names of instruction sub-extensions that plugins serve and LLVM need not know.
    throughput: for predictions only, it changes no code; a function measures this machine's.
    """

    name: str
    target: str
    arch: str
    triple: str
    isa: str
    vector: VectorUnit
    cpu: str = ""
    features: tuple[str, ...] = ()
    abi: str = ""
    arch_id: int | None = None
    caches: tuple[int, ...] = (32 << 10, 512 << 10)
    clock: float = 1.6
    emulator: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    extensions: frozenset[str] = frozenset()
    description: str = ""
    throughput: Throughput | Callable[[], Throughput] | None = attrs.field(
        default=None, eq=False, repr=False, kw_only=True
    )

    @property
    def vlen(self) -> int:
        """Bits in one vector register."""
        return self.vector.bits


@attrs.frozen
class Pass:
    """One step of a pipeline.

    run: a function of (module, core, options) that changes the module in place, or
    the text of an upstream pass pipeline anchored at builtin.module.
    """

    name: str
    run: Callable | str


@attrs.frozen
class MicroKernel:
    """One step of a matrix product in registers: every sum of an m x n tile takes up k products.

        acc (m, n) += a (m, k) @ b (k, n)

    shape: (m, n, k).  a, b, acc: the names of the element types ("i8", "bf16", "f32"); integers
    are signed.  Operands of narrower types that these hold exactly are widened while they are packed.
    emit: (a, b, acc) -> acc, MLIR vectors of rank 1: a holds m * k elements row by row, b holds
    n * k column by column (the k elements of one column are neighbours), acc m * n row by row.
    a_offset: what the instruction wants added to every element of A, modulo the range of its
    type; whoever packs A adds it, and takes a_offset times the column sums of B off the sums.
    b_offset: the same for B, where b_offset times the row sums of A are taken off.
    by_lanes: like emit, but a holds n * k elements as b does: products stay in their lane.  Needed
    where there is a b_offset: it adds up rows of A.
    plain: a kernel of the same shape and types that takes A as it is, where this one has an a_offset.
    """

    name: str
    shape: tuple[int, int, int]
    a: str
    b: str
    acc: str
    emit: Callable
    a_offset: int = 0
    b_offset: int = 0
    by_lanes: Callable | None = None
    plain: "MicroKernel | None" = None


@attrs.frozen
class Mode:
    """A state of the processor that some instructions need, other than that in which kernels are called.

    enter, leave: assembler text that keeps the old state in register $0 and sets the new one, and
    that brings back the old one.
    failures: for a state that cannot always be entered: then $0 is 0, or n where entering has changed
    nothing because of what failures[n - 1] says, with which the launch ends.  n is the low byte of $0; what
    is above it is the number that "{}" in the text stands for.
    """

    name: str
    enter: str
    leave: str
    failures: tuple[str, ...] = ()


@attrs.frozen
class RowLoop:
    """A matrix engine's inner loop for one row of A and columns of B, each of which lies in memory along K.

    width: elements along K of one step.  columns: how many it takes at once, at most.
    sums: how many it keeps for each column, one column after the other.  places: those that add up
    to the column's product; it starts at what all of them hold.
    emit: (row, column, acc, stride, columns=, steps=) emits the loop at the insertion point and
    returns the operation: the addresses of the row, the first column and its sums, and the bytes
    from one column to the next, as i64 values.
    emit_turned: likewise where the matrix lies in memory row by row, None where there is no such loop:
    the bytes are from one row of it to the next, and there are at most turned_columns.
    """

    width: int
    columns: int
    sums: int
    places: tuple[int, ...]
    emit: Callable
    emit_turned: Callable | None = None
    turned_columns: int = 0


@attrs.frozen
class StridedOperand:
    """An operand that an engine reads where it lies; all but `turned` are i64 values.

    address: of its first element.  tile, step: bytes from one tile to the next along M or N, and along K.
    stride: bytes from one line to the next.  turned: lines run along M or N, else along K.
    whole: each tile lies in one piece, in the order of `PanelKernel.whole`; stride is then of no use.
    """

    address: Any
    tile: Any
    step: Any
    stride: Any
    turned: bool
    whole: bool = False


@attrs.frozen
class StartRow:
    """The row of numbers, of the type of the sums, at `address`, an i64 value."""

    address: Any


@attrs.frozen
class Resident:
    """An engine that keeps the sums of a panel in registers of its own, from `begin` to `end`.

    All three emit at the insertion point and return the operation; rows, columns: the panel's grid.
    begin: (start, rows=, columns=): the sums begin at what the panel at address `start` holds, an i64
    value; at the same row everywhere where it is a `StartRow`, at zero where it is None.
    add: (a, b, rows=, columns=, steps=) adds A @ B, both a `StridedOperand`; steps: along K, a number or an
    i64 value, at least 1.
    end: (to, rows=, columns=): the sums go into the panel at address `to`, or to where a `Finish` says.
    """

    begin: Callable
    add: Callable
    end: Callable


@attrs.frozen
class Finish:
    """What becomes of the sums of a panel, instead of a panel of sums.

    steps: (name, operand), one after the other, each rounded in the type of the sums:
      "convert" (None): sums of integers become f32, in which the other steps are;
      "add", "scale", "max", "min" with a number; the last two give NaN where there is one, "maxnum" and
      "minnum" a number where there is one; "relu" (None) takes what is not at least zero, NaN too, for zero;
      "add row", "scale row" with the row of numbers at an address (an i64 value), "add column",
      "scale column" with such a column, one number for each row;
      "add f32", "scale f32" with the panel of a matrix of numbers: (address, bytes from row to row); the same
      with "f16" and "bf16" in place of "f32", whose numbers become f32 first;
      "floor", "ceil", "trunc", "round" (None): to a whole number, the last one to even.
    A number is a float, or an i64 value whose low bits are one in f32.
    element: the type that is stored; whole numbers in its range where it is one of integers.
    address: of the panel's first element.  stride: bytes from one row to the next.  Both are i64 values.
    turned: the matrix is stored column by column, `stride` is from one column to the next.
    """

    steps: tuple[tuple[str, Any], ...]
    element: str
    address: Any
    stride: Any
    turned: bool = False


@attrs.frozen
class Moves:
    """How an engine brings tiles into and out of panels by instructions of its own; addresses are i64 values.

    turn: (source, panel, stride, steps=, step_bytes=) packs one tile of B for all steps from a matrix that
    lies row by row, `stride` bytes apart; panel is where its first step goes, the next is step_bytes further
    on.  None where it cannot.
    untile: (sums, into, stride) writes `columns` tiles of sums, side by side in their panel, row by row.
    None where it cannot.
    lay: (source, panel, stride, tiles=, steps=, step_bytes=) packs up to `rows` tiles of A, one below the
    other, for all steps from a matrix whose rows run along K; source and stride are multiples of
    `alignment` bytes.  None where it cannot.
    spread: (source, panel, stride, tiles=, panels=, panel_bytes=) packs one step of neighbouring panels of B,
    of `tiles` tiles each and up to `wide` in all, from a matrix that lies row by row.  It is less work than
    `turn` for products of a single step and `least` tiles or more.  None where it cannot.
    """

    turn: Callable | None
    untile: Callable | None
    columns: int
    lay: Callable | None = None
    rows: int = 0
    alignment: int = 1
    spread: Callable | None = None
    wide: int = 0
    least: int = 0


@attrs.frozen
class PanelKernel:
    """The inner loop of a matrix engine: the sums of a grid of tiles, over the whole of K.

        acc panel += A panel @ B panel

    tile: (m, n, k) of one operand tile.  a, b, acc: the names of the element types; "ui8" is an
    unsigned "i8".  acc names what products are summed up in.
    A panel of A is r tiles high.  For every step along K it holds r tiles, the top one first, each
    of m x k elements row by row.  A panel of B is c tiles wide: for every step c tiles, the left
    one first, each of n x k elements column by column.  The acc panel holds r x c tiles row by row,
    each of m x n sums row by row.  What K, M or N lack to whole tiles is filled with zeros.
    `vertebra.core.layout.panels` gives all of them as layouts, from which lowerings take every place.
    blocking: (tiles along M, tiles along N) -> the (r, c) in which to cover them; smaller grids cover edges.
    emit: (a, b, acc, rows=r, columns=c, steps=, zero=) emits the loop at the insertion point and
    returns the operation; a, b and acc are the panels' addresses as i64 values.  zero: the sums
    begin at zero, else at what the acc panel holds.
    mode: what the loops need; set once per launch where a kernel needs no other, once per program where
    entering it can fail.
    resident: in place of `emit`, for operands that are read where they lie: nothing is put into panels but
    sums.
    finishes: (names of steps, element type) -> how many tiles along N a resident engine finishes together, 0
    where it takes no `Finish` for such sums; its `blocking` takes beside=, of which c shall be a multiple.
    row: the loop for products with one row, on elements of the same types.
    moves: for panels of the layout above, where there is something faster than vectors of elements.
    registers: the vector registers that hold sums on their way to another product, by which that is planned:
    a `vertebra.core.layout.operand.Space`.
    whole: for a resident engine that reads tiles of A also in one piece: their order, (row, k) -> element, a
    `vertebra.core.layout.Layout`.
    form: what beside a plain product it is for; the order of what `emit` takes then changes.
      "window": the sums of up to `taps` products, the A of each of which begins one row further down:
        emit(a, acc, b, ...), one panel of B for each product.  A has one panel, `tiles` tiles high (given
        to emit), of which the last one holds the rows that stick out; a is the address of a tile in it.
      "scaled": acc += (a @ b) * scale, one scale for each column, all operations in the type of acc,
        each rounded; K is one tile deep.  emit(a, acc, [b], other): other is the address of the scales.
      "sparse": B holds two of every four rows, column by column its own: its tile and `b` are k / 2 deep.
        emit(a, acc, [b], other): other is the address of the masks, panels of nibbles, k / 4 for a column
        of a tile, the lowest bit for the first of four rows.
      Memory behind the last scales and masks, up to `slack` bytes, may be read.
    """

    name: str
    tile: tuple[int, int, int]
    a: str
    b: str
    acc: str
    blocking: Callable[..., tuple[int, int]]
    emit: Callable | None
    mode: Mode | None = None
    row: RowLoop | None = None
    resident: Resident | None = None
    finishes: Callable[[tuple[str, ...], str], int] | None = None
    form: str = "plain"
    taps: int = 1
    slack: int = 0
    moves: Moves | None = None
    registers: object | None = None
    whole: object | None = None


@attrs.frozen
class Target:
    """How one kind of hardware gets from `linalg` to machine code.

    stages: for each stage the passes that make it from the one before; a stage it
    leaves out is the one of the target it extends.
    micro_kernels: core -> its `MicroKernel` records, the best ones first; those of the target it
    extends come after them, and multiply-adds of whole vectors, which every core has, come last.
    assembly: (core, reader) -> the `vertebra.core.roofline.machine_code.Reader` of its assembler text,
    given that of the target it extends, or None; a target without has that one.
    ldexp: core -> its instruction (x, n) -> x * 2**n, rounded once, for values x and n of one floating type,
    n a whole number; it returns None for types that it does not take.  A target without has that of the
    one it extends.
    """

    name: str
    extends: str | None = None
    stages: Mapping[str, tuple[Pass, ...]] = attrs.field(factory=dict, hash=False)
    micro_kernels: Callable[[Core], tuple[MicroKernel, ...]] | None = None
    panel_kernels: Callable[[Core], tuple[PanelKernel, ...]] | None = None
    assembly: Callable | None = None
    ldexp: Callable[[Core], Callable | None] | None = None
    description: str = ""


class Phase(enum.IntEnum):
    """When a lowering runs on the way from a dialect to the `linalg` stage."""

    IMPORT = 0  # calls that language modules left become dialect operations
    EXPAND = 5  # operations on memory become those of the dialect whose structure is analysed
    STRUCTURE = 10  # find structure in what the frontend wrote; results are still dialect operations
    LOWER = 20  # replace dialect operations by upstream ones
    FINISH = 30  # join, fold and clean up; upstream operations only


@attrs.frozen
class Lowering:
    """One step on the way to the `linalg` stage, true on every target.

    run: as in `Pass`.
    """

    name: str
    phase: Phase
    run: Callable | str
