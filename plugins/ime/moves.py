"""Tiles of the 1024-bit cores brought into and out of panels by their layout instructions.

B        Eight columns of a matrix that lies row by row come into eight registers by one strided load of
         segments; a register then holds eight rows of tiles, of 128 bits each, and three rounds of
         `smt.vpack.vv`, which interleave blocks of 128, 256 and 512 bits, make eight tiles of them.  Where K
         is one tile deep, whole rows are loaded, and rounds that interleave elements, then pairs of them and
         so on, make tiles of many columns.
A        Rows come in words of 64 bits, two for a row of a tile, by one strided load of segments; one
         interleaving of words makes two tiles.
sums     Two rounds, of 256 and 512 bits, make whole rows of four tiles side by side, and two rounds of 128
         and 256 bits make two rows in a register of sums of 16 bits.
"""

from vertebra.core.mlir import ir
from vertebra.core.target import Core, Moves
from vertebra.plugins.ime.form_loop import added, pieces
from vertebra.plugins.ime.instructions import MatrixInstruction, instruction

_COLUMNS = 8  # of a tile, and fields of a segment
_ROW_BITS = 128  # one row of k elements
_SUMS_AT_ONCE = 4  # tiles side by side whose rows fill a register
_WORD = 64  # bits of an element of A's segments, of which there are eight at most
_WORDS = 8  # of A that come with one load, at most
_LEAST = 4  # tiles of B side by side for which whole rows are less work than segments
_CLOBBERS = [f"~{{{name}}}" for name in (*(f"v{n}" for n in range(32)), "vl", "vtype", "memory")]


def moves_of(record: MatrixInstruction, core: Core) -> Moves | None:
    """What the layout instructions of `core` do for the operands of `record`."""
    if instruction("smt.vpack.vv").requires.isdisjoint(core.extensions):
        return None
    width = core.vlen // 8
    segments = record.element_bits >= 8

    # Of structured sparsity K of A is twice that of B, and a tile of A two registers.
    long_rows = record.family == "sparse"

    def turn(source, panel, stride, *, steps: int, step_bytes: int):
        return _assembly(_turn(record.element_bits, width, steps, step_bytes), [source, panel], [stride])

    def untile(sums, into, stride):
        # A tile of sums takes two registers, of four rows each, or one.
        lines = _untile() if record.acc in ("i32", "f32") else _untile_halves(width)
        return _assembly(lines, [sums, into], [stride])

    def lay(source, panel, stride, *, tiles: int, steps: int, step_bytes: int):
        lines = _lay(tiles, steps, step_bytes, 2 * _ROW_BITS if long_rows else _ROW_BITS)
        return _assembly(lines, [source, panel], [stride])

    def spread(source, panel, stride, *, tiles: int, panels: int, panel_bytes: int):
        lines = _spread(record.element_bits, width, tiles, panels, panel_bytes)
        return _assembly(lines, [source, panel], [stride])

    return Moves(
        turn if segments else None,
        untile,
        _SUMS_AT_ONCE,
        lay=lay,
        rows=2,
        alignment=_WORD // 8,
        spread=spread if segments else None,
        wide=core.vlen // record.element_bits // _COLUMNS,
        least=_LEAST,
    )


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
    made, lines = groups[0][:wanted], list[str]()
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


def _lay(tiles: int, steps: int, step_bytes: int, row_bits: int) -> list[str]:
    """$0: the source, $1: the first tile, $6: bytes between rows; $2, $3: own registers.

    row_bits: of one row of a tile, two words or four.
    """
    words = row_bits // _WORD
    most, pack = _WORDS // words, instruction("smt.vpack.vv")

    def tiles_of(first: int, made: int) -> list[str]:
        """Of words in registers from `first` on, in registers from `made` on."""
        if words == 2:  # immediate 0: blocks of the element width
            return [pack.directive(vd=made, vs1=first, vs2=first + 1, immediate=0)]
        pairs = 8 + first
        lines = [pack.directive(vd=pairs + i, vs1=first + i, vs2=first + i + 1, immediate=0) for i in (0, 2)]
        return lines + [_pack(made + 2 * i, pairs + i, pairs + 2 + i, _ROW_BITS) for i in range(tiles)]

    def chunk(count: int, ahead: bool) -> list[str]:
        found = [f"vlsseg{words * count}e{_WORD}.v v0, ($0), $6"]
        places = [16 + words * step for step in range(count)]
        for step, made in enumerate(places):
            found += tiles_of(words * step, made)
        for step, made in enumerate(places):
            found.append(f"vs{tiles * words // 2}r.v v{made}, ($1)")
            if ahead or step < count - 1:
                found += added("$1", step_bytes)
        return found

    whole, left = divmod(steps, most)
    lines = [f"li $2, {_COLUMNS * tiles}", f"vsetvli zero, $2, e{_WORD}, m1, ta, ma"]
    onward = added("$0", most * row_bits // 8)
    if whole > 1:
        lines += [f"li $3, {whole}", "1:", *chunk(most, True), *onward, "addi $3, $3, -1", "bnez $3, 1b"]
    elif whole:
        lines += [*chunk(most, bool(left)), *(onward if left else [])]
    return [*lines, *(chunk(left, False) if left else [])]


def _spread(element_bits: int, width: int, tiles: int, panels: int, panel_bytes: int) -> list[str]:
    """$0: the source, $1: where the first panel's step goes, $6: bytes between rows; $2: an own register.

    Row i of the source comes into register i.  Every round interleaves each row with the next one, in blocks
    of twice the bits: then there are half as many rows, of twice the registers.
    """
    if panel_bytes == tiles * width:
        tiles, panels = tiles * panels, 1
    count, columns = _ROW_BITS // element_bits, tiles * panels * _COLUMNS
    lines = [f"li $2, {columns}", f"vsetvli zero, $2, e{element_bits}, m1, ta, ma"]
    for row in range(count):
        lines.append(f"vle{element_bits}.v v{row}, ($0)")
        if row < count - 1:
            lines.append("add $0, $0, $6")
    pack, rows, bits, free = instruction("smt.vpack.vv"), [[row] for row in range(count)], element_bits, 16
    while len(rows) > 1:
        if bits > element_bits:
            lines.append(f"vsetvli $2, zero, e{bits}, m1, ta, ma")
        needed = -(-columns * 2 * bits // (8 * width))  # registers of a row, behind this round
        vd, joined = free, []
        for even, odd in zip(rows[::2], rows[1::2], strict=True):
            made: list[int] = []
            for one, two in zip(even, odd, strict=True):
                lines.append(pack.directive(vd=vd, vs1=one, vs2=two, immediate=0))
                made += [vd, vd + 1]
                vd += 2
            joined.append(made[:needed])
        rows, bits, free = joined, 2 * bits, 16 - free
    first, reached = rows[0][0], 0
    for panel in range(panels):
        begin = first + panel * tiles
        for register, size in pieces(begin, begin + tiles):
            place = panel * panel_bytes + (register - begin) * width
            lines += [*added("$1", place - reached), f"vs{size}r.v v{register}, ($1)"]
            reached = place
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


def _untile_halves(width: int) -> list[str]:
    """As `_untile`, for sums of 16 bits: two rounds make registers of two rows each; $3: an own register."""
    lines = [f"li $3, {width // 2}", "vsetvli zero, $3, e8, m1, ta, ma", "vl4re8.v v0, ($0)"]
    packs, made = _transposed(list(range(_SUMS_AT_ONCE)), range(8, 32, 2), _ROW_BITS, _SUMS_AT_ONCE)
    lines += packs
    for number, register in enumerate(made):
        lines += [f"vse8.v v{register}, ($1)", "add $1, $1, $6"]
        lines += [f"vslidedown.vx v0, v{register}, $3", "vse8.v v0, ($1)"]
        if number < len(made) - 1:
            lines.append("add $1, $1, $6")
    return lines


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
