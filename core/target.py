"""Hardware as data: what a core is, and how a target makes code for it."""

import enum
from collections.abc import Callable, Mapping

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
    """

    bits: int
    registers: int = 32
    group: int = 1
    scalar_operand: bool = True
    arithmetic: frozenset[str] = frozenset({"f32", "f64"})
    conversion: frozenset[str] = frozenset({"f32", "f64"})
    reach: int = 1 << 31

    def lanes(self, element_bits: int) -> int:
        """How many elements of `element_bits` bits one operation should cover."""
        return max(1, self.bits * self.group // element_bits)


@attrs.frozen
class Core:
    """One kind of processor core.

    target: the name of the target that makes its code.  arch: the machine's name as
    `platform.machine()` gives it.  features: LLVM's, each with its sign.  isa: the
    name people use.  arch_id: the vendor's number.  caches: bytes per level, from
    the first.  clock: GHz.  emulator: options for a CPU emulator to behave like this core.
    extensions: names of instruction sub-extensions that plugins serve and LLVM need not know.
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
    """

    name: str
    shape: tuple[int, int, int]
    a: str
    b: str
    acc: str
    emit: Callable
    a_offset: int = 0


@attrs.frozen
class Mode:
    """A state of the processor that some instructions need, other than that in which kernels are called.

    enter, leave: assembler text that keeps the old state in register $0 and sets the new one, and
    that brings back the old one.
    """

    name: str
    enter: str
    leave: str


@attrs.frozen
class RowLoop:
    """A matrix engine's inner loop for one row of A and columns of B, each of which lies in memory along K.

    width: elements along K of one step.  columns: how many it takes at once, at most.
    sums: how many it keeps for each column, one column after the other.  places: those that add up
    to the column's product; it starts at what all of them hold.
    emit: (row, column, acc, stride, columns=, steps=) emits the loop at the insertion point and
    returns the operation: the addresses of the row, the first column and its sums, and the bytes
    from one column to the next, as i64 values.
    """

    width: int
    columns: int
    sums: int
    places: tuple[int, ...]
    emit: Callable


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
    blocking: (tiles along M, tiles along N) -> the (r, c) in which to cover them; smaller grids cover edges.
    emit: (a, b, acc, rows=r, columns=c, steps=, zero=) emits the loop at the insertion point and
    returns the operation; a, b and acc are the panels' addresses as i64 values.  zero: the sums
    begin at zero, else at what the acc panel holds.
    mode: what the loops need; set once per launch where a kernel needs no other.
    row: the loop for products with one row, on elements of the same types.
    """

    name: str
    tile: tuple[int, int, int]
    a: str
    b: str
    acc: str
    blocking: Callable[[int, int], tuple[int, int]]
    emit: Callable
    mode: Mode | None = None
    row: RowLoop | None = None


@attrs.frozen
class Target:
    """How one kind of hardware gets from `linalg` to machine code.

    stages: for each stage the passes that make it from the one before; a stage it
    leaves out is the one of the target it extends.
    micro_kernels: core -> its `MicroKernel` records, the best ones first; those of the target it
    extends come after them, and multiply-adds of whole vectors, which every core has, come last.
    """

    name: str
    extends: str | None = None
    stages: Mapping[str, tuple[Pass, ...]] = attrs.field(factory=dict, hash=False)
    micro_kernels: Callable[[Core], tuple[MicroKernel, ...]] | None = None
    panel_kernels: Callable[[Core], tuple[PanelKernel, ...]] | None = None
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
