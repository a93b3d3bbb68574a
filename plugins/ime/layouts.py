"""Operands of the matrix instructions as layouts, and the register operations that lead between them.

A is row-major M x K in one register, B is N rows of K, C row-major M x N in one or two (IME
specification, "Register layout").  An operand of several tiles takes as many groups of registers,
tiles along the second dimension first.
"""

from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.operand import Family, Operand, Space
from vertebra.core.layout.registers import Operation
from vertebra.core.layout.tiling import whole_tiles
from vertebra.core.layout.transfers import Form
from vertebra.core.target import Core
from vertebra.plugins.ime.geometry import tile_of
from vertebra.plugins.ime.instructions import instruction

_VLEN = {"a60": 256, "a100": 1024}
_GROUP = 8  # registers that one instruction takes, sources or result
# Core -> (type of A and B, type of the accumulator).
_PRODUCTS = {"a60": (("i8", "i32"),), "a100": (("i8", "i32"), ("i4", "i32"), ("f16", "f32"), ("bf16", "f32"))}


def narrowing(bits: int, size: int) -> tuple[Operation, ...]:
    """vnsrl.wi by 0: the low halves of elements of 2 * size bytes, of one register or of a group of two."""
    per = bits // 8 // size
    low = tuple(((2 * e) // per, (2 * e) % per) for e in range(per))
    return (
        Operation(
            f"vnsrl.wi e{8 * size},mf2",
            1,
            size,
            (*low[: per // 2], *[None] * (per // 2)),
            ("vnsrl.wi {d}, {0}, 0",),
            group=_GROUP,
        ),
        Operation(f"vnsrl.wi e{8 * size},m1", 2, size, low, ("vnsrl.wi {d}, {0}:{1}, 0",), group=_GROUP // 2),
    )


def float_narrowing(bits: int, dtype: str, mnemonic: str) -> Operation:
    """A group of two registers of f32 to one of 16-bit floats."""
    per = bits // 16
    sources = tuple((e // (per // 2), e % (per // 2)) for e in range(per))
    text = (f"{mnemonic} {{d}}, {{0}}:{{1}}",)
    return Operation(mnemonic, 2, 2, sources, text, ("f32", dtype), group=_GROUP // 2)


def narrow_packs(bits: int, size: int) -> tuple[Operation, ...]:
    """smt.vnpack.vv at SEW = 8 * size: low halves of both sources, 4 << imm bytes of each in turn."""
    made = []
    for imm in range(4):
        block = (4 << imm) // size
        if block == 0 or 2 * block * size > bits // 8:
            continue
        sources = []
        for e in range(bits // 8 // size):
            turn, inside = divmod(e, block)
            sources.append((turn % 2, 2 * (turn // 2 * block + inside)))
        text = (f"smt.vnpack.vv {{d}}, {{0}}, {{1}}, {imm}",)
        made.append(Operation(f"smt.vnpack.vv e{8 * size},{imm}", 2, size, tuple(sources), text))
    return tuple(made)


def interleaves(bits: int) -> tuple[Operation, ...]:
    """Words of the low halves of two registers in turn, and bytes of every second byte in turn.

    Words: a widening add, and a widening multiply-add by all ones, make low + 2**32 * high.  The
    other way spreads both, slides one up by a word and merges (a masked slide; v0 holds the odd words).
    """
    words, count = bits // 32, bits // 8
    zipped = tuple((e % 2, e // 2) for e in range(words))
    spread = tuple((0, e // 2) if e % 2 == 0 else None for e in range(words))
    slid = tuple((0, e) if e % 2 == 0 else (1, e - 1) for e in range(words))
    merged = tuple((e % 2, e - e % 2) for e in range(count))
    return (
        Operation(
            "interleave words", 2, 4, zipped, ("vwaddu.vv {d}, {0}, {1}", "vwmaccu.vx {d}, minus_one, {1}")
        ),
        Operation("vzext.vf2 e64", 1, 4, spread, ("vzext.vf2 {d}, {0}",)),
        Operation("vslideup.vi e32,1", 2, 4, slid, ("vmv.v.v {d}, {0}", "vslideup.vi {d}, {1}, 1, v0.t")),
        Operation(
            "merge bytes",
            2,
            1,
            merged,
            ("vsll.vi {d}, {1}, 8", "vand.vx tmp, {0}, 255", "vor.vv {d}, {d}, tmp"),
        ),
    )


def _space(name: str, bits: int, *, packs: bool) -> Space:
    """packs: whether there are the layout instructions, and 16-bit floats."""
    operations = (*narrowing(bits, 1), *narrowing(bits, 2), *interleaves(bits))
    if packs:
        operations = (
            *narrow_packs(bits, 1),
            *narrow_packs(bits, 2),
            float_narrowing(bits, "f16", "vfncvt.f.f.w"),
            float_narrowing(bits, "bf16", "vfncvtbf16.f.f.w"),
            *operations,
        )
    loads = tuple(Form(f"vl1re{size}.v", "vs1r.v", size, Layout(bits // size)) for size in (8, 16, 32))
    return Space(
        f"ime.{name}.registers", "vector", group=_GROUP, bits=bits, operations=operations, transfers=loads
    )


SPACES = {name: _space(name, bits, packs=name == "a100") for name, bits in _VLEN.items()}


def registers_of(core: Core) -> Space:
    """The vector registers of a core with matrix instructions, and what it does with them."""
    packs = not instruction("smt.vpack.vv").requires.isdisjoint(core.extensions)
    for name, bits in _VLEN.items():
        if (bits, name == "a100") == (core.vlen, packs):
            return SPACES[name]
    return _space(core.name, core.vlen, packs=packs)


def _tiled(name: str, shape, tile, strides) -> Layout:
    """Tiles of (rows, columns) with `strides` inside, the next one along the second dimension first."""
    counts = whole_tiles(name, shape, tile)
    area = tile[0] * tile[1]
    return Layout(
        ((tile[0], counts[0]), (tile[1], counts[1])),
        ((strides[0], area * counts[1]), (strides[1], area)),
    )


def _families(core: str):
    for kind, acc in _PRODUCTS[core]:
        m, n, k = tile_of(_VLEN[core], bits_of(acc), bits_of(kind))
        for role, dtype, tile, strides, contraction, what in (
            ("A", kind, (m, k), (k, 1), 1, "A, row-major M x K"),
            ("B", kind, (k, n), (1, k), 0, "B, N rows of K"),
            ("C", acc, (m, n), (n, 1), None, "accumulator, row-major M x N"),
        ):
            name = f"ime.{core}.{role}.{dtype}"

            def make(
                shape, name=name, dtype=dtype, tile=tile, strides=strides, contraction=contraction
            ) -> Operand:
                layout = _tiled(name, shape, tile, strides)
                return Operand(name, shape, dtype, SPACES[core], layout, contraction=contraction)

            # Two accumulators side by side are as wide as one A of a type a quarter as long.
            wide = k if role == "C" and k % n == 0 and kind == "i8" else tile[1]
            yield Family(name, (tile[0], wide), make, f"{what}, tile {tile[0]}x{tile[1]}")


def _unique():
    seen = {}
    for core in _VLEN:
        for family in _families(core):
            seen.setdefault(family.name, family)
    return tuple(seen.values())


FAMILIES = _unique()
