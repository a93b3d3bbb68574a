"""SpacemiT's integrated matrix extension (IME, version 0.6): 46 instructions on vector registers.

Every matrix instruction multiplies an M x K tile A (vs1, row by row) by a K x N tile B (vs2, column
by column) and adds the product to the M x N tile C (vd, row by row).  One register row of A or of B
has the same number of bits whatever the type, so that narrower elements make K larger.
Source of the encodings and operand rules: SpacemiT docs-ai, ime_extension.md, chapters 4 to 8.
"""

from collections.abc import Iterator

import attrs

from vertebra.core import matrix
from vertebra.core.errors import ConfigError
from vertebra.core.instruction import Instruction, Operand
from vertebra.core.target import Core, Mode
from vertebra.plugins.ime import semantics
from vertebra.plugins.ime.form_loop import most_tiles
from vertebra.plugins.ime.geometry import WIDTHS, tile_of

_OPCODE = "0101011"  # custom-1
# The control register whose lowest bit, MCPM.BF16, says that 16-bit floats are bfloat16.  Its number is
# not published; this one is in the range for custom registers that user programs read and write.
MCPM = 0x8C0
_BF16 = Mode(semantics.BF16, enter=f"csrrsi $0, {MCPM:#x}, 1", leave=f"csrw {MCPM:#x}, $0")
# Suffix of the mnemonic -> (whether A is signed, whether B is), and how instructions spell it.
_SIGNS = {"": (True, True), "u": (False, False), "us": (False, True), "su": (True, False)}
_SIGN_BITS = {"u": "000", "us": "001", "su": "010", "": "011"}
_SCALED_SIGN_BITS = {"u": "011", "us": "110", "su": "101", "": "100"}
_TYPE_BITS = {4: "110", 8: "111"}
_SLIDE_BITS = {1: "00", 2: "01", 3: "10"}

_STATE = "LMUL 1, vstart 0 and a SEW that is legal for it"

_VS1 = Operand("vs1", "a")
_VS1_PAIR = Operand("vs1", "a", group=2, multiple=2)
_VS2 = Operand("vs2", "b")
_SELECTOR = Operand("selector", "v")
_IMMEDIATE = Operand("immediate", "i", file="")


def _vd(*, pair: bool, read: bool) -> Operand:
    size = 2 if pair else 1
    return Operand("vd", "d", group=size, multiple=size, written=True, read=read)


@attrs.frozen(kw_only=True)
class MatrixInstruction(matrix.MatrixInstruction):
    """C += A @ B on register tiles.

    slide: row i of the product takes row i + slide of A, whose two registers are a window of 2 M
    rows.  sparse: B holds two of every four elements of a column, and a mask says which.  scaled:
    the sums of column n are multiplied by scale n before they are added.
    """

    family: str
    slide: int = 0

    @property
    def sparse(self) -> bool:
        return self.family == "sparse"

    @property
    def scaled(self) -> bool:
        return self.family == "scaled"


def _matrix(*, family: str, a: str, acc: str, **fields) -> MatrixInstruction:
    """The record, with what follows from its family and its types."""
    sizes = {
        vlen: tile_of(vlen, int(acc.lstrip("if")), matrix.BITS[a], sparse=family == "sparse")
        for vlen in WIDTHS
    }
    halves = family in ("scaled", "float", "float_slide")
    plain = family in ("base", "float")
    return MatrixInstruction(
        family=family,
        a=a,
        acc=acc,
        tiles={vlen: tile for vlen, tile in sizes.items() if tile},
        plain=plain,
        most=None if plain else most_tiles(2 if _VS1_PAIR in fields["operands"] else 1),
        moves=_moves,
        registers=_registers,
        modes=(_BF16,) if halves else (),
        mode_types={_BF16.name: {"f16": "bf16"}} if halves else {},
        **fields,
    )


def _moves(record: MatrixInstruction, core: Core):
    from vertebra.plugins.ime.moves import moves_of

    return moves_of(record, core)


def _registers(core: Core):
    from vertebra.plugins.ime.layouts import registers_of

    return registers_of(core)


@attrs.frozen(kw_only=True)
class LayoutInstruction(Instruction):
    """Moves blocks of bits of two registers into one or two.

    kind: pack interleaves blocks of the sources, unpack takes them apart, narrow halves the elements
    and then interleaves.  element_bits: of the result; 0 where vtype says.
    """

    kind: str
    saturating: bool = False
    element_bits: int = 0


def _integers() -> Iterator[MatrixInstruction]:
    for bits in (8, 4):
        for sign, (a_signed, b_signed) in _SIGNS.items():
            types = {
                "a": f"{'' if a_signed else 'u'}i{bits}",
                "b": f"{'' if b_signed else 'u'}i{bits}",
                "suffix": "" if bits == 8 else "i4",  # assemblers take i8 for granted, and some know no other
            }
            base = f"smt.vmadot{sign}"
            vd = _vd(pair=True, read=True)
            yield _matrix(
                name=f"{base}.i{bits}",
                mnemonic=base,
                encoding=f"{_TYPE_BITS[bits]}000 1 bbbbb aaaaa {_SIGN_BITS[sign]} dddd0 {_OPCODE}",
                operands=(vd, _VS1, _VS2),
                requires=frozenset({f"xsmti{bits}i32mm"}),
                semantics=semantics.dot,
                family="base",
                acc="i32",
                state=_STATE,
                **types,
            )
            yield _matrix(
                name=f"{base}.sp.i{bits}",
                mnemonic=f"{base}.sp",
                encoding=f"{_TYPE_BITS[bits]}010 v bbbbb aaaa{'i' if bits == 8 else '0'}"
                f"{_SIGN_BITS[sign]} ddddi {_OPCODE}",
                operands=(vd, _VS1_PAIR, _VS2, _SELECTOR, _IMMEDIATE),
                requires=frozenset({f"xsmti{bits}i32mm_42sp"}),
                semantics=semantics.sparse_dot,
                family="sparse",
                acc="i32",
                state=_STATE,
                **types,
            )
            yield _matrix(
                name=f"{base}.hp.i{bits}",
                mnemonic=f"{base}.hp",
                encoding=f"{_TYPE_BITS[bits]}{_SCALED_SIGN_BITS[sign]} v bbbbb aaaaa iii ddddd {_OPCODE}",
                operands=(_vd(pair=False, read=True), _VS1, _VS2, _SELECTOR, _IMMEDIATE),
                requires=frozenset({f"xsmti{bits}fp16mm_scl16f", f"xsmti{bits}bf16mm_scl16f"}),
                semantics=semantics.scaled_dot,
                family="scaled",
                acc="f16",
                state=_STATE,
                **types,
            )


def _integer_slides() -> Iterator[MatrixInstruction]:
    for slide, (high, low) in _SLIDE_BITS.items():
        for sign, (a_signed, b_signed) in _SIGNS.items():
            yield _matrix(
                name=f"smt.vmadot{slide}{sign}.i8",
                mnemonic=f"smt.vmadot{slide}{sign}",
                encoding=f"111001 1 bbbbb aaaa{high} {low}{_SIGN_BITS[sign][1:]} dddd0 {_OPCODE}",
                operands=(_vd(pair=True, read=True), _VS1_PAIR, _VS2),
                requires=frozenset({"xsmti8i32mm_slide"}),
                semantics=semantics.dot,
                family="slide",
                a="i8" if a_signed else "ui8",
                b="i8" if b_signed else "ui8",
                acc="i32",
                state=_STATE,
                slide=slide,
            )


def _floats() -> Iterator[MatrixInstruction]:
    for slide in range(4):
        yield _matrix(
            name=f"smt.vfwmadot{slide or ''}",
            mnemonic=f"smt.vfwmadot{slide or ''}",
            encoding=f"100111 1 bbbbb {'aaaa0' if slide else 'aaaaa'} 1{slide:02b} dddd0 {_OPCODE}",
            operands=(_vd(pair=True, read=True), _VS1_PAIR if slide else _VS1, _VS2),
            requires=frozenset(f"xsmt{half}fp32mm{'_slide' if slide else ''}" for half in ("fp16", "bf16")),
            semantics=semantics.float_dot,
            family="float_slide" if slide else "float",
            a="f16",
            b="f16",
            acc="f32",
            state=_STATE,
            slide=slide,
        )


def _layouts() -> Iterator[LayoutInstruction]:
    # The two forms of a pair differ in one bit; (mnemonics, bits 31:26, kind, fixed result width).
    for names, major, kind, bits in (
        (("vpack", "vupack"), "011001", "pack", 0),
        (("vnpack", "vnspack"), "011000", "narrow", 0),
        (("vnpack4", "vnspack4"), "010000", "narrow", 4),
    ):
        pair = kind == "pack"
        for which, name in enumerate(names):
            yield LayoutInstruction(
                name=f"smt.{name}.vv",
                mnemonic=f"smt.{name}.vv",
                encoding=f"{major} 1 bbbbb aaaaa {which}ii {'dddd0' if pair else 'ddddd'} {_OPCODE}",
                operands=(_vd(pair=pair, read=False), _VS1, _VS2, _IMMEDIATE),
                requires=frozenset({"xsmtlayout"}),  # it has no name of its own in the specification
                semantics=(semantics.unpack if which else semantics.pack) if pair else semantics.narrow,
                kind=("unpack" if which else "pack") if pair else "narrow",
                saturating=kind == "narrow" and bool(which),
                element_bits=bits,
                state=_STATE,
            )


# Name ("smt.vmadot.i8", "smt.vfwmadot") -> record.
INSTRUCTIONS: dict[str, Instruction] = {
    record.name: record for group in (_integers, _integer_slides, _floats, _layouts) for record in group()
}
MATRIX: tuple[MatrixInstruction, ...] = tuple(
    record for record in INSTRUCTIONS.values() if isinstance(record, MatrixInstruction)
)


def instruction(name: str) -> Instruction:
    """The record of `name`; of the i8 form where a mnemonic has two.  Raises ConfigError."""
    try:
        return INSTRUCTIONS.get(name) or INSTRUCTIONS[f"{name}.i8"]
    except KeyError:
        raise ConfigError(
            f"there is no IME instruction {name!r}", fix=f"use one of {', '.join(INSTRUCTIONS)}"
        ) from None


def encode(name: str, **operands: int) -> int:
    """The word of an instruction: encode("smt.vmadot", vd=28, vs1=0, vs2=1).

    operands: vd, vs1 (A), vs2 (B), and where the form has them selector (0 or 1, for v0 or v1) and
    immediate.  Raises ConfigError for what the hardware would not execute.
    """
    return instruction(name).encode(**operands)
