"""Tiles of the 1024-bit cores brought into and out of panels by their layout instructions.

Eight columns of a matrix that lies row by row come into eight registers by one strided load of segments;
a register then holds eight rows of tiles, of 128 bits each, and three rounds of `smt.vpack.vv`, which
interleave blocks of 128, 256 and 512 bits, make eight tiles of them.  Sums leave likewise: two rounds, of
256 and 512 bits, make whole rows of four tiles side by side.
"""

from vertebra.core.mlir import ir
from vertebra.core.target import Core, Moves
from vertebra.plugins.ime.instructions import MatrixInstruction, instruction

_COLUMNS = 8  # of a tile, and fields of a segment
_ROW_BITS = 128  # one row of k elements
_SUMS_AT_ONCE = 4  # tiles side by side whose rows fill a register
_CLOBBERS = [f"~{{{name}}}" for name in (*(f"v{n}" for n in range(32)), "vl", "vtype", "memory")]


def moves_of(record: MatrixInstruction, core: Core) -> Moves | None:
    """What the layout instructions of `core` do for the operands of `record`."""
    if instruction("smt.vpack.vv").requires.isdisjoint(core.extensions):
        return None
    width = core.vlen // 8
    segments = record.element_bits >= 8

    def turn(source, panel, stride, *, steps: int, step_bytes: int):
        return _assembly(_turn(record.element_bits, width, steps, step_bytes), [source, panel], [stride])

    # A tile of sums takes two registers, of four rows each.
    rows_of_half = record.acc in ("i32", "f32")

    def untile(sums, into, stride):
        return _assembly(_untile(), [sums, into], [stride])

    return Moves(turn if segments else None, untile if rows_of_half else None, _SUMS_AT_ONCE)


def _pack(vd: int, vs1: int, vs2: int, bits: int) -> str:
    return instruction("smt.vpack.vv").directive(vd=vd, vs1=vs1, vs2=vs2, immediate=bits.bit_length() - 7)


def _transposed(registers: list[int], free, bits: int, wanted: int) -> tuple[list[str], list[int]]:
    """(lines, registers): blocks of `bits` bits of registers, those with number i in register i < wanted.

    free: pairs of registers, each by its first one, for the results.
    """
    packs: list[tuple[int, int, int, int]] = []
    free, groups = list(free), [[r] for r in registers]
    while len(groups) > 1:
        joined = []
        for first, second in zip(groups[::2], groups[1::2], strict=True):
            made = []
            for one, two in zip(first, second, strict=True):
                pair = free.pop(0)
                packs.append((pair, one, two, bits))
                made += [pair, pair + 1]
            joined.append(made)
        groups, bits = joined, bits * 2
    made, lines = groups[0][:wanted], []
    needed = set(made)
    for pair, one, two, size in reversed(packs):
        if needed & {pair, pair + 1}:
            needed |= {one, two}
            lines.insert(0, _pack(pair, one, two, size))
    return lines, made


def _turn(element_bits: int, width: int, steps: int, step_bytes: int) -> list[str]:
    """$0: the source, $1: the tile of the first step, $6: bytes between rows; $2, $3: own registers."""
    lines, rows = [], _ROW_BITS // element_bits
    most = width * 8 // _ROW_BITS  # steps that a register holds

    def chunk(count: int, ahead: bool) -> list[str]:
        found = [f"vlsseg{_COLUMNS}e{element_bits}.v v0, ($0), $6"]
        packs, made = _transposed(list(range(8)), list(range(8, 32, 2)), _ROW_BITS, count)
        found += packs
        for step, register in enumerate(made):
            found.append(f"vs1r.v v{register}, ($1)")
            if ahead or step < count - 1:
                found.append(_add("$1", step_bytes))
        return found

    whole, left = divmod(steps, most)
    if whole:
        lines.append(f"vsetvli $2, zero, e{element_bits}, m1, ta, ma")
    if whole > 1 or (whole and left):
        lines += [f"li $3, {rows * most}", "mul $3, $3, $6"]
    if whole > 1:
        body = [*chunk(most, True), "add $0, $0, $3"]
        lines += [f"li $2, {whole}", "1:", *body, "addi $2, $2, -1", "bnez $2, 1b"]
    elif whole:
        lines += [*chunk(most, bool(left)), *(["add $0, $0, $3"] if left else [])]
    if left:
        lines += [f"li $2, {rows * left}", f"vsetvli zero, $2, e{element_bits}, m1, ta, ma"]
        lines += chunk(left, False)
    return lines


def _untile() -> list[str]:
    """$0: sums of four tiles, $1: where their first row goes, $6: bytes between rows; $2: an own register."""
    lines = ["vsetvli $2, zero, e8, m1, ta, ma", "vl8re8.v v0, ($0)"]
    for half, free in enumerate((range(8, 16, 2), range(16, 24, 2))):
        packs, made = _transposed([half + 2 * tile for tile in range(4)], free, 256, 4)
        lines += packs
        for row, register in enumerate(made):
            lines.append(f"vs1r.v v{register}, ($1)")
            if (half, row) != (1, 3):
                lines.append("add $1, $1, $6")
    return lines


def _add(register: str, number: int) -> str:
    return f"addi {register}, {register}, {number}"


def _assembly(lines: list[str], changed: list, fixed: list):
    """`lines` on i64 values that they change, two registers of their own, and fixed values behind all."""
    i64, count = changed[0].type, len(changed) + 2
    return ir.Operation.create(
        "llvm.inline_asm",
        [ir.Type.parse(f"!llvm.struct<({', '.join([str(i64)] * count)})>")],
        [*changed, *fixed],
        {
            "asm_string": ir.StringAttr.get("\n".join(lines)),
            "constraints": ir.StringAttr.get(
                ",".join([*["=&r"] * count, *map(str, range(len(changed))), *["r"] * len(fixed), *_CLOBBERS])
            ),
            "has_side_effects": ir.UnitAttr.get(),
        },
    )
