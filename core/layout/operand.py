"""Where tiles live: memories and register files, and the operands of instructions in them, as data."""

from collections.abc import Callable
from typing import NamedTuple

from vertebra.core.layout import tree
from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.owners import Owners
from vertebra.core.layout.swizzle import Composed, Xor


class Banks(NamedTuple):
    """count banks of `bytes` bytes; one wavefront moves each bank's word once.

    A vector access is served in phases of as many lanes as fill `count * bytes` bytes.
    """

    count: int = 32
    bytes: int = 4

    @property
    def row(self) -> int:
        return self.count * self.bytes


class Instruction(NamedTuple):
    """An access of `bytes` bytes per thread.

    rows: for a collective store, the rows of its matrices: lane l supplies word l % (row bytes / 4)
    of row l // (row bytes / 4), and a row is `row_bytes` contiguous bytes.  matrices: how many at once.
    """

    name: str
    bytes: int
    rows: int = 0
    row_bytes: int = 0
    matrices: int = 1


class Step(NamedTuple):
    """One step in the order of a transfer.

    kind: wait, load, drain, release, convert, store, fence, arrive, issue or commit.
    who: which threads do it.  edge: the barrier of a wait, an arrive or a commit.
    count: arrivals that the barrier expects.  proxies: what a fence orders, (from, to).
    """

    kind: str
    text: str
    who: str
    edge: str = ""
    count: int = 0
    proxies: tuple[str, str] = ("", "")


class Space(NamedTuple):
    """A memory, or a file of registers.

    kind: "registers" (of threads), "vector" (whole vector registers), "lanes" (vectors of a loop), "tensor"
    (values that lie nowhere yet) or "memory".
    group: threads that issue together; vector registers that one instruction takes.
    banks: None where accesses do not conflict.
    proxy: the path by which threads reach it.  fences: Steps that order one proxy's writes before
    another's reads.
    alignment: of the buffer's base, bytes.  swizzles: what its hardware knows, least first.
    lane_bytes: address distance of lanes where a group reaches only its own `group` lanes (0: all).
    capacity: bytes.  bits: width of one vector register.  operations: of vector registers.
    transfers: `Form`s of loads and stores of whole registers.
    """

    name: str
    kind: str
    stores: tuple[Instruction, ...] = ()
    loads: tuple[Instruction, ...] = ()
    group: int = 32
    banks: Banks | None = None
    proxy: str = "generic"
    fences: tuple[Step, ...] = ()
    alignment: int = 16
    swizzles: tuple[Xor, ...] = ()
    lane_bytes: int = 0
    capacity: int = 0
    bits: int = 0
    operations: tuple = ()
    transfers: tuple = ()


class Operand(NamedTuple):
    """A tile of `shape` in `space`: what an instruction reads or writes, or plain storage.

    layout: logical (m, n) -> offset in elements; for registers of threads None, and `owners` says
    who holds what.  An operand in memory that threads load has both.
    swizzle: XOR on its byte addresses.  reader: the proxy of whoever reads it.
    contraction: the mode over which its instruction sums, whose order is free.
    before, after: steps that come before it may be written (after it may be read), and after.
    budgets: -> rows of text, the space that a kernel around it takes.  notes: what a user should know.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    space: Space
    layout: Layout | Composed | None = None
    owners: Owners | None = None
    swizzle: Xor | None = None
    reader: str = ""
    contraction: int | None = None
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    budgets: Callable | None = None
    notes: tuple[str, ...] = ()

    def bit_addresses(self, bits: int):
        """The address of every element by logical index m + M * n, in bits: an int64 array."""
        if self.layout is None:
            raise LayoutError(f"{self.name} is held in registers and has no addresses")
        table = self.layout.offsets() * bits
        if self.swizzle is not None:
            table = (self.swizzle(table >> 3) << 3) | (table & 7)
        return table

    def check(self) -> None:
        """Raises LayoutError where two elements share an address, with their coordinates."""
        if self.layout is None:
            self.owners.check()
            return
        sizes = tuple(tree.size(m.shape) for m in _plain(self.layout).modes)
        if sizes != self.shape:
            raise LayoutError(
                f"{self.name}: layout {self.layout} covers {sizes}, and the tile is {self.shape}"
            )
        if int(self.layout.offsets().min()) < 0:
            raise LayoutError(
                f"{self.name} reaches offset {int(self.layout.offsets().min())}, before its start"
            )
        check_swizzle(self)
        check_injective(self)


def check_swizzle(operand: Operand) -> None:
    """Raises LayoutError for an XOR that reads address bits which the operand does not have."""
    xor = operand.swizzle
    if xor is None or fits(xor, operand):
        return
    raise LayoutError(
        f"{xor} reads {xor.reach} bits of a byte address, and {operand.name} in {operand.dtype} spans"
        f" {_span(operand)} bytes",
        fix=f"use a narrower swizzle, or a tile of at least {1 << xor.reach} bytes",
    )


def fits(xor: Xor, operand: Operand) -> bool:
    """Whether every address bit that the XOR reads can be set in the operand."""
    return 1 << xor.reach <= 1 << max(_span(operand) - 1, 0).bit_length()


def _span(operand: Operand) -> int:
    return -(-int(operand.layout.offsets().max() + 1) * bits_of(operand.dtype) // 8)


def check_injective(operand: Operand) -> None:
    import numpy as np

    table = operand.layout.offsets()
    if np.diff(np.sort(table)).all():
        return
    first: dict[int, int] = {}
    for i, offset in enumerate(table.tolist()):
        if offset in first:
            a, b = (_coordinate(j, operand.shape) for j in (first[offset], i))
            raise LayoutError(
                f"{operand.name} is not injective: {a} and {b} both lie at offset {offset}",
                fix="give every mode a stride past the ones before it",
            )
        first[offset] = i


def _plain(layout) -> Layout:
    return layout.layout if isinstance(layout, Composed) else layout


def _coordinate(index: int, shape) -> tuple[int, ...]:
    found = []
    for extent in shape:
        found.append(index % extent)
        index //= extent
    return tuple(found)


class Family(NamedTuple):
    """Operands of one name and many tile sizes.

    make: (shape) -> Operand; raises LayoutError for a shape that the hardware does not take.
    shape: the default.
    """

    name: str
    shape: tuple[int, ...]
    make: Callable[[tuple[int, ...]], Operand]
    description: str = ""
