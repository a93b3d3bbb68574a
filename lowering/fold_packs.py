"""Packs and unpacks that cancel, on linalg: what is left moves elements that have to move.

    transpose of tiles (pack x)         -> pack of x by columns
    pack (unpack x), in x's tiles       -> x
    unpack (pack x), of x's sizes       -> x
    pack (f (unpack x, ...))            -> f (x, pack ...), for elementwise f that nothing else reads
    unpack (f (pack x, ...))            -> f (x, unpack ...), likewise
    a loop that carries unpack x and packs what it got -> a loop that carries x

Values that repeat (constants, splats, one element a row or column) are made anew in either form.
A pack that pads is left alone where its zeros count.
"""

from vertebra.core.mlir import ir
from vertebra.dialects.xsmt_types import matrix_of, tiles_of
from vertebra.lowering import packs
from vertebra.lowering.packs import (
    PACK,
    TURN_TILES,
    UNPACK,
    is_elementwise,
    is_packed,
    is_packing,
    maker,
    respread,
)
from vertebra.lowering.tt_to_linalg import build

_ROUNDS = 16
_DROPPED = {PACK, UNPACK, "tensor.empty", "linalg.fill", "linalg.transpose", "tensor.splat", "arith.constant"}


def fold_packs(module, core=None, options=None) -> None:
    """Applies the rules until none fits; what they leave without a use goes."""
    loops, packing = _find(module)
    if not packing:
        return
    for _ in range(_ROUNDS):
        changed = [_fold(op) for op in packing] + [_carry_packed(op) for op in loops]
        _drop_unused(module)
        if not any(changed):
            return
        loops, packing = _find(module)


def _find(module) -> tuple[list, list]:
    """The loops of `module`, and its operations that pack, unpack or transpose."""
    loops, packing = [], []

    def visit(op):
        if op.name == "scf.for":
            loops.append(op.operation)
        elif op.name in (PACK, UNPACK, "linalg.transpose"):
            packing.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return loops, packing if any(op.name != "linalg.transpose" for op in packing) else []


def _fold(op: ir.Operation) -> bool:
    result = op.results[0]
    if not list(result.uses):
        return False
    with ir.InsertionPoint(op), op.location:
        new = None
        if op.name == "linalg.transpose":
            new = _turn(op)
        elif is_packing(op, PACK) and not _pads(op):
            new = _moved(op, packed=True)
        elif is_packing(op, UNPACK):
            new = _moved(op, packed=False)
    if new is None:
        return False
    result.replace_all_uses_with(new)
    return True


def _turn(op) -> ir.Value | None:
    """The tiles of a packed matrix turned, and each in itself: its columns packed."""
    inner = maker(op.operands[0], PACK)
    if inner is None or not is_packing(inner, PACK) or list(op.attributes["permutation"]) != TURN_TILES:
        return None
    return packs.pack_turned(inner.operands[0], list(inner.attributes["static_inner_tiles"])[::-1])


def _pads(pack: ir.Operation) -> bool:
    return matrix_of(pack.results[0].type.shape) != list(pack.operands[0].type.shape)


# -- through elementwise operations


def _moved(op, *, packed: bool) -> ir.Value | None:
    """The value that `op` packs (or unpacks), computed packed (or plainly); None where that saves nothing."""
    source, shape = op.operands[0], list(op.results[0].type.shape)
    gains = _gains(source, op, shape, packed, {})
    if not gains:
        return None
    return _computed(source, shape, packed, {})


def _gains(value: ir.Value, user: ir.Operation, shape: list[int], packed: bool, known: dict) -> int | None:
    """How many inverse operations `value` would do without in the other form; None where it has none."""
    if value not in known:
        known[value] = _count_gains(value, user, shape, packed, known)
    return known[value]


def _count_gains(value, user, shape: list[int], packed: bool, known: dict) -> int | None:
    if _undone(value, shape, packed) is not None:
        return 1
    if respread(value, shape, build_it=False):
        return 0
    if isinstance(value.owner, ir.Block) or not is_elementwise(value.owner.operation):
        return None
    if len({use.owner.operation for use in value.uses} | {user}) > 1:
        return None
    sides = [
        _gains(v, value.owner.operation, shape, packed, known)
        for v in value.owner.operation.operands
        if isinstance(v.type, ir.RankedTensorType)
    ]
    gains = [gain for gain in sides if gain is not None]
    return sum(gains) if len(gains) == len(sides) else None


def _undone(value: ir.Value, shape: list[int], packed: bool) -> ir.Value | None:
    """What `value` was before it was unpacked (or packed), where that has `shape`."""
    op = maker(value, UNPACK if packed else PACK)
    if op is None or not is_packing(op, op.name):
        return None
    before = op.operands[0]
    if list(before.type.shape) != shape:
        return None
    plain = value.type.shape if packed else shape
    tiled = shape if packed else value.type.shape
    # An unpack that leaves elements out has zeros in their place once it is packed again.
    if packed and list(plain) != matrix_of(tiled):
        return None
    return before


def _computed(value: ir.Value, shape: list[int], packed: bool, made: dict) -> ir.Value:
    if value not in made:
        made[value] = _compute(value, shape, packed, made)
    return made[value]


def _compute(value: ir.Value, shape: list[int], packed: bool, made: dict) -> ir.Value:
    before = _undone(value, shape, packed)
    if before is not None:
        return before
    repeated = respread(value, shape)
    if repeated is not None:
        return repeated
    op = value.owner.operation
    operands = [
        _computed(v, shape, packed, made) if isinstance(v.type, ir.RankedTensorType) else v
        for v in op.operands
    ]
    type = build.tensor_type(shape, value.type.element_type)
    attributes = {name: op.attributes[name] for name in op.attributes}
    with op.location:
        return ir.Operation.create(op.name, [type], operands, attributes).results[0]


# -- through loops


def _carry_packed(op: ir.Operation) -> bool:
    """Carries the packed form of a matrix that each turn packs, uses and unpacks again."""
    block = op.regions[0].blocks[0]
    *_, last = block.operations
    changed = False
    for k, argument in enumerate(list(block.arguments)[1:]):
        made = maker(last.operands[k], UNPACK)
        if made is None or not is_packing(made, UNPACK):
            continue
        inner = made.operands[0]
        shape, tile = list(inner.type.shape), list(inner.type.shape)[2:]
        initial = op.operands[3 + k]
        whole = matrix_of(shape) == list(argument.type.shape)
        before = _undone(initial, shape, True)
        if not whole or (before is None and not respread(initial, shape, build_it=False)):
            continue
        if not _reaches_pack(argument, shape):
            continue
        with ir.InsertionPoint(op), op.location:
            op.operands[3 + k] = before if before is not None else respread(initial, shape)
            argument.set_type(inner.type)
            op.results[k].set_type(inner.type)
        last.operation.operands[k] = inner
        places = (
            (argument, ir.InsertionPoint.at_block_begin(block)),
            (op.results[k], ir.InsertionPoint.after(op)),
        )
        for value, place in places:
            with place, op.location:
                plain = packs.unpack(value, matrix_of(tiles_of(matrix_of(shape), tile)))
            value.replace_all_uses_except(plain, plain.owner.operation)
        changed = True
    return changed


def _reaches_pack(value: ir.Value, shape: list[int]) -> bool:
    """Whether `value` is packed to `shape`, as it is or after elementwise operations."""
    for use in value.uses:
        user = use.owner.operation
        if user.name == PACK and list(user.results[0].type.shape) == shape and is_packing(user, PACK):
            return True
        if is_elementwise(user) and not is_packed(user.results[0]) and _reaches_pack(user.results[0], shape):
            return True
    return False


def _drop_unused(module) -> None:
    """Erases what only moves or computes elements that nothing uses, users before what they use."""
    found = []

    def visit(op):
        if op.name in _DROPPED or is_elementwise(op.operation) if len(op.results) == 1 else False:
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in reversed(found):
        if not list(op.results[0].uses):
            op.erase()
