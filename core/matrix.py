"""Matrix instructions on vector registers, by declaration: C += A @ B in one word.

Types and sizes are enough.  From them come what the instruction does (here), its software where a
processor lacks it, its rows in the table of tiles, and the loops that the compiler makes of it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import attrs

from vertebra.core.errors import ConfigError
from vertebra.core.instruction import Instruction, Operand
from vertebra.core.target import Core, Mode, Moves
from vertebra.core.tiles import MatrixTile, largest_grid

ACC, A, B = "vd", "vs1", "vs2"
# Names of element types -> bits.  "ui8" is an unsigned "i8"; of two "i4" the low half of a byte comes first.
INTEGERS = {f"{sign}i{bits}": bits for sign in ("", "u") for bits in (4, 8, 16, 32)}
FLOATS = {"f16": 16, "bf16": 16, "f32": 32}
BITS = {**INTEGERS, **FLOATS, "i64": 64}


class Tile(NamedTuple):
    """C (m x n) += A (m x k) @ B (k x n)."""

    m: int
    n: int
    k: int

    def __str__(self) -> str:
        return f"{self.m}x{self.n}x{self.k}"


@attrs.frozen(kw_only=True)
class MatrixInstruction(Instruction):
    """C += A @ B on tiles in vector registers, in whole registers whatever the vector length is.

    operands: A (vs1) holds m x k elements row by row, B (vs2) n x k column by column, C (vd) m x n row
    by row; others beside them.  a, b, acc: element types, of `BITS`.
    tiles: width of a vector register in bits -> M, N, K; a width that it lacks has no such instruction.
    plain: it does no more than that, so that compilers may make a product of any size of it.
    most: (rows, columns) of tiles of sums that its loops keep, where the registers would hold more.
    moves: (instruction, core) -> what brings its tiles into panels and out of them, or None.
    registers: (core) -> the registers that hold its tiles, with what else they can do, as a
    `vertebra.core.layout.operand.Space`; without it only conversions and stores of vectors are known.
    mode_types: name of one of `modes` -> {element type: what it is in that mode}.
    """

    a: str
    b: str
    acc: str
    tiles: Mapping[int, Tile] = attrs.field(hash=False)
    plain: bool = True
    most: tuple[int, int] | None = None
    moves: Callable[["MatrixInstruction", Core], Moves | None] | None = attrs.field(default=None, eq=False)
    registers: Callable[[Core], object] | None = attrs.field(default=None, eq=False)
    mode_types: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict, hash=False)

    @property
    def element_bits(self) -> int:
        """Of A and B."""
        return BITS[self.a]

    def tile(self, core: Core) -> Tile | None:
        """M, N, K on `core`; None where the core does not have the instruction."""
        return None if self.requires.isdisjoint(core.extensions) else self.tiles.get(core.vlen)


@attrs.frozen(kw_only=True)
class DotInstruction(MatrixInstruction):
    """One whose tiles and types say everything: integers wrap, floats are rounded at every step of K."""

    def __attrs_post_init__(self) -> None:
        integer, wide = self.acc in ("i32", "i64"), BITS.get(self.acc, 0)
        known = INTEGERS if integer else FLOATS
        if not (integer or self.acc == "f32") or not {self.a, self.b} <= set(known):
            raise ConfigError(
                f"{self.name} multiplies {self.a} by {self.b} into {self.acc}",
                fix="use integers of 4 to 32 bits into i32 or i64, or f16, bf16 and f32 into f32; "
                "what does more is an Instruction with semantics of its own",
            )
        groups = {operand.name: operand.group for operand in self.operands if operand.file}
        if set(groups) != {ACC, A, B}:
            raise ConfigError(f"{self.name} has the operands {', '.join(groups)}", fix=f"use {ACC}, {A}, {B}")
        for operand in self.operands:
            if operand.group > operand.multiple > 1:
                raise ConfigError(
                    f"{self.name}: {operand.name} names groups of {operand.group} registers by multiples of "
                    f"{operand.multiple}",
                    fix=f"let it name multiples of {operand.group}, or every register",
                )
        for vlen, (m, n, k) in self.tiles.items():
            sizes = {A: m * k * BITS[self.a], B: n * k * BITS[self.b], ACC: m * n * wide}
            for name, bits in sizes.items():
                if bits != groups[name] * vlen:
                    raise ConfigError(
                        f"{self.name}: {name} is {groups[name]} x {vlen} bits, its part of the tile "
                        f"{m}x{n}x{k} is {bits}",
                        fix="let the tile fill its registers",
                    )


def run_dot(insn: DotInstruction, state, **numbers: int) -> None:
    """What a `DotInstruction` does: see `vertebra.core.elements.dot`."""
    from vertebra.core import elements

    elements.dot(insn, state, **numbers)


def dot(
    name: str,
    encoding: str,
    *,
    tile: tuple[int, int, int],
    vlen: int,
    types: tuple[str, str, str],
    requires: str,
    semantics: Callable[..., None] = run_dot,
    mnemonic: str = "",
) -> DotInstruction:
    """The declaration of `name vd, vs1, vs2`: vd += vs1 @ vs2 on registers of `vlen` bits.

    encoding: 32 characters, bit 31 first: 0, 1, d (vd), a (vs1), b (vs2).  tile: M, N, K.  types: of A, B
    and C.  requires: the name of the sub-extension that a core must list in its `extensions`.
    Registers that are not there to name (`dddd0`) make groups that start at a multiple of their size.
    Raises ConfigError for types it has no meaning for, and for tiles that do not fill their registers.
    """
    m, n, k = tile
    a, b, acc = types
    sizes = {ACC: m * n * BITS.get(acc, 0), A: m * k * BITS.get(a, 0)}
    sizes[B] = n * k * BITS.get(b, 0)
    letters = {ACC: "d", A: "a", B: "b"}
    text = "".join(encoding.split())
    operands = tuple(
        Operand(
            operand,
            letter,
            group=max(1, sizes[operand] // vlen),
            multiple=1 << 5 - text.count(letter),
            written=operand == ACC,
        )
        for operand, letter in letters.items()
    )
    return DotInstruction(
        name=name,
        mnemonic=mnemonic or name,
        encoding=encoding,
        operands=operands,
        requires=frozenset({requires}),
        semantics=semantics,
        state="vstart 0 and a legal vtype",
        a=a,
        b=b,
        acc=acc,
        tiles={vlen: Tile(*tile)},
    )


def table_row(core: Core, instruction: MatrixInstruction) -> MatrixTile | None:
    """The row of the table of tiles for `instruction`; None where `core` does not have it."""
    tile = instruction.tile(core)
    if tile is None:
        return None
    group = {operand.name: operand.group for operand in instruction.operands if operand.file}
    registers = {"a": group.pop(A), "b": group.pop(B), "acc": group.pop(ACC), "other": sum(group.values())}
    a, b, acc = (_shown(instruction, kind) for kind in (instruction.a, instruction.b, instruction.acc))
    return MatrixTile(
        instruction.name,
        a,
        b,
        acc,
        m=tile.m,
        n=tile.n,
        k=tile.k,
        a_registers=registers["a"],
        b_registers=registers["b"],
        acc_registers=registers["acc"],
        other_registers=registers["other"],
        grid=largest_grid(core.vector.registers, **registers, most=instruction.most),
        plain=instruction.plain,
    )


def _shown(instruction: MatrixInstruction, kind: str) -> str:
    """`kind`, and what it is in other modes."""
    return "|".join([kind, *(names[kind] for names in instruction.mode_types.values() if kind in names)])


def modes_of(instruction: Instruction) -> tuple[Mode | None, ...]:
    """Every state of the processor that changes its meaning; None for the usual one."""
    return (None, *instruction.modes)
