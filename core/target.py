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
