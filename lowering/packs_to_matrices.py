"""linalg on packed matrices -> linalg on plain ones, for cores whose vector code packs as it goes.

Every packed value that comes from a pack or a product, elementwise work on such values, and loops that
carry them, gets a plain twin, on which the work is done: pack and unpack become nothing, mmt4d a
linalg.matmul.  Other users of a packed value get it by reshape and transpose of its twin, which are
index mappings where the value is read.  A pack with zeros at the ends is a window of its matrix.
"""

from vertebra.core.layout.tiling import as_pack
from vertebra.core.mlir import arith, ir
from vertebra.dialects.xsmt_types import matrix_of, tiles_of
from vertebra.lowering import packs
from vertebra.lowering.packs import (
    PACK,
    TURN_TILES,
    UNPACK,
    is_elementwise,
    is_packed,
    is_packing,
    is_turned_pack,
    maker,
    respread,
)
from vertebra.lowering.relayouts import into_layout, out_of_layout, relayout
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.dot import matmul
from vertebra.lowering.tt_to_linalg.shape import transpose

_MOVES = ("linalg.transpose", "tensor.expand_shape", "tensor.collapse_shape")


def packs_to_matrices(module, core=None, options=None) -> None:
    """Rewrites every linalg.pack, linalg.unpack and linalg.mmt4d of `module`, in place."""
    if _any_packing(module):
        twins = _Twins()
        twins.block(module.body)
        twins.drop_unused()


def _any_packing(module) -> bool:
    found = []

    def visit(op):
        if op.name in (PACK, UNPACK, "linalg.mmt4d"):
            found.append(op.name)
            return ir.WalkResult.INTERRUPT
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return bool(found)


class _Twins:
    """Packed values and the plain matrices with the same elements."""

    def __init__(self):
        self._plain: dict = {}
        self._taken: dict = {}  # a matrix -> the packed value that it was taken out of

    def block(self, block) -> None:
        for op in [o.operation for o in block.operations]:
            with ir.InsertionPoint(op), op.location:
                self._visit(op)

    def drop_unused(self) -> None:
        """Erases what nobody asked for: a use that is dead keeps others from a buffer's place."""
        for value in [*reversed(self._plain), *reversed(self._taken)]:
            made = None if isinstance(value.owner, ir.Block) else value.owner.operation
            while made is not None and made.name in _MOVES and not list(made.results[0].uses):
                source = made.operands[0]
                made.erase()
                made = None if isinstance(source.owner, ir.Block) else source.owner.operation

    def _visit(self, op) -> None:
        if op.name == "scf.for":
            self._loop(op)
        elif len(op.regions) and not op.name.startswith("linalg."):
            for region in op.regions:
                for block in region.blocks:
                    self.block(block)
        elif is_packing(op, PACK) or is_turned_pack(op):
            self._put(op, self._packed(op))
        elif is_packing(op, UNPACK):
            self._unpack(op)
        elif op.name == "linalg.mmt4d":
            self._put(op, self._product(op))
        elif op.name == "linalg.transpose" and op.operands[0] in self._plain:
            if list(op.attributes["permutation"]) == TURN_TILES:
                self._put(op, turned(self._plain[op.operands[0]]))
        elif is_elementwise(op) and any(v in self._plain for v in op.operands):
            self._put(op, self._elementwise(op))
        elif op.name == "tensor.extract_slice" and (part := self._tiles_cut(op)) is not None:
            self._put(op, part)

    def _put(self, op, plain: ir.Value) -> None:
        """`plain` holds the elements of the result of `op`, which goes."""
        (result,) = op.results
        packed = self._tiles(plain, list(result.type.shape)[2:])
        self._plain[packed] = plain
        result.replace_all_uses_with(packed)
        op.erase()

    def plain(self, packed: ir.Value) -> ir.Value:
        """The matrix in `packed`."""
        if packed not in self._plain:
            found = matrix(packed)
            self._taken[found] = packed
            return found
        return self._plain[packed]

    def _tiles(self, plain: ir.Value, tile: list[int]) -> ir.Value:
        """Matrix `plain` in tiles: of what it was taken out of, where that has other ones."""
        if plain not in self._taken:
            return tiles(plain, tile)
        source, shape = self._taken[plain], list(plain.type.shape)
        return relayout(source, as_pack(shape, list(source.type.shape)[2:]), as_pack(shape, tile))

    # -- what becomes of each operation

    def _packed(self, op) -> ir.Value:
        source, height, width = op.operands[0], *op.attributes["static_inner_tiles"]
        if is_turned_pack(op):
            tile = [width, height]
            return turned(self._padded(source, tile))
        return self._padded(source, [height, width])

    @staticmethod
    def _padded(x: ir.Value, tile: list[int]) -> ir.Value:
        shape = list(x.type.shape)
        sizes = matrix_of(tiles_of(shape, tile))
        if sizes == shape:
            return x
        cut = maker(x, "tensor.extract_slice")
        offsets = list(cut.attributes["static_offsets"]) if cut is not None else []
        if len(offsets) == 2 and len(cut.operands) == 1 and set(cut.attributes["static_strides"]) == {1}:
            source = cut.operands[0]
            ahead = [o + s <= n for o, s, n in zip(offsets, shape, source.type.shape, strict=True)]
            if len(source.type.shape) == 2 and all(ahead):
                return packs.window(source, offsets, sizes, shape)
        return packs.window(x, [0, 0], sizes, shape)

    def _unpack(self, op) -> None:
        (result,) = op.results
        plain, shape = self.plain(op.operands[0]), list(result.type.shape)
        if list(plain.type.shape) != shape:
            plain = build.extract_slice(plain, [0, 0], shape)
        result.replace_all_uses_with(plain)
        op.erase()

    def _product(self, op) -> ir.Value:
        """Factors of different types are widened to the type of the sums."""
        a, b, acc = op.operands
        wide = acc.type.element_type
        left, right = self.plain(a), turned(self.plain(b))
        if left.type.element_type != right.type.element_type:
            left, right = (_widened(x, wide) for x in (left, right))
        fill = maker(acc, "linalg.fill")
        if fill is not None and acc not in self._plain:
            sums = respread(acc, matrix_of(acc.type.shape))
        else:
            sums = self.plain(acc)
        return matmul(op, left, right, sums)

    def _elementwise(self, op) -> ir.Value:
        (result,) = op.results
        operands = [self._operand(v) for v in op.operands]
        plain = build.tensor_type(matrix_of(result.type.shape), result.type.element_type)
        attributes = {name: op.attributes[name] for name in op.attributes}
        return ir.Operation.create(op.name, [plain], operands, attributes).results[0]

    def _operand(self, value: ir.Value) -> ir.Value:
        """What a plain elementwise operation takes in the place of `value`."""
        if not isinstance(value.type, ir.RankedTensorType) or value in self._plain:
            return self._plain.get(value, value)
        sizes = matrix_of(value.type.shape)
        found = respread(value, sizes)
        return matrix(value) if found is None else found

    def _tiles_cut(self, op) -> ir.Value | None:
        """A slice of whole tiles, at known places, as a slice of the matrix."""
        if op.operands[0] not in self._plain:
            return None
        offsets, sizes = (list(op.attributes[f"static_{n}"]) for n in ("offsets", "sizes"))
        packed, shape = list(op.operands[0].type.shape), list(op.results[0].type.shape)
        if len(op.operands) > 1 or sizes != shape or offsets[2:] != [0, 0] or sizes[2:] != packed[2:]:
            return None
        if set(op.attributes["static_strides"]) != {1}:
            return None
        at = [o * t for o, t in zip(offsets, packed[2:], strict=False)]
        return build.extract_slice(self._plain[op.operands[0]], at, matrix_of(shape))

    # -- loops

    def _loop(self, op) -> None:
        """A loop carries the plain twins of packed values that each turn computes of products or packs."""
        block = op.regions[0].blocks[0]
        *_, last = block.operations
        chosen = [
            k for k, a in enumerate(list(block.arguments)[1:]) if is_packed(a) and computes(last.operands[k])
        ]
        for k in chosen:
            argument, initial = block.arguments[1 + k], op.operands[3 + k]
            tile = list(argument.type.shape)[2:]
            start = self._operand(initial)
            op.operands[3 + k] = start
            argument.set_type(start.type)
            with ir.InsertionPoint.at_block_begin(block):
                packed = tiles(argument, tile)
            made = packed.owner.operation
            first = made.operands[0].owner.operation
            argument.replace_all_uses_except(packed, first)
            self._plain[packed] = argument
        self.block(block)
        *_, last = block.operations
        for k in chosen:
            with ir.InsertionPoint(last):
                last.operation.operands[k] = self.plain(last.operands[k])
            result = op.results[k]
            tile = list(result.type.shape)[2:]
            result.set_type(op.operands[3 + k].type)
            with ir.InsertionPoint.after(op):
                packed = tiles(result, tile)
            first = packed.owner.operation.operands[0].owner.operation
            result.replace_all_uses_except(packed, first)
            self._plain[packed] = result


def computes(value: ir.Value, depth: int = 0) -> bool:
    """Whether packed `value` is made, by elementwise operations, of a product or a pack."""
    if isinstance(value.owner, ir.Block) or depth > 64:
        return False
    op = value.owner.operation
    if op.name in ("linalg.mmt4d", PACK):
        return True
    if op.name == "scf.for":
        *_, last = op.regions[0].blocks[0].operations
        number = next(i for i, r in enumerate(op.results) if r == value)
        return computes(last.operands[number], depth + 1)
    return is_elementwise(op) and any(computes(v, depth + 1) for v in op.operands if is_packed(v))


# -- index mappings


def matrix(packed: ir.Value) -> ir.Value:
    """The matrix in `packed`, (R, C, r, c) -> (R * r, C * c)."""
    shape = list(packed.type.shape)
    return out_of_layout(packed, as_pack(matrix_of(shape), shape[2:]))


def tiles(x: ir.Value, tile: list[int]) -> ir.Value:
    """The matrix `x` in tiles of `tile`, which divide it."""
    return into_layout(x, as_pack(list(x.type.shape), tile))


def turned(x: ir.Value) -> ir.Value:
    """The transpose of matrix `x`; of one that is extended, the narrow one is turned: engines look for it."""
    before = maker(x, "linalg.transpose")
    if before is not None and list(before.attributes["permutation"]) == [1, 0]:
        return before.operands[0]
    for name in ("arith.extsi", "arith.extui"):
        if (made := maker(x, name)) is not None:
            narrow = turned(made.operands[0])
            wide = build.like(narrow.type, x.type.element_type)
            return ir.Operation.create(name, [wide], [narrow]).results[0]
    return transpose(x, [1, 0])


def _widened(x: ir.Value, element: ir.Type) -> ir.Value:
    if x.type.element_type == element:
        return x
    kind = arith.ExtSIOp if isinstance(element, ir.IntegerType) else arith.ExtFOp
    return kind(build.like(x.type, element), x).result
