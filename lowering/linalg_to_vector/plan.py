"""Which tensors exist in memory, and which are computed where they are used.

A value that is cheap, or used once, is computed lane by lane inside the loop that
consumes it.  The others are materialised at their own place.  A load may move to its
consumer only while nothing in between can write memory.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.loads import Load, is_own_buffer, match_load
from vertebra.lowering.linalg_to_vector.operations import (
    body_names,
    divides_indices,
    extracted_from,
    is_elementwise,
    is_parallel,
    is_simple_reduce,
    is_tensor,
    producer,
)

# How a consumer looks at an operand.
SAME = "same"  # element by element
MAPPED = "mapped"  # each element at most once, elsewhere
SPREAD = "spread"  # elements more than once
WHOLE = "whole"  # as a tensor in memory

_SHAPE_OPS = {
    "tensor.expand_shape": SAME,
    "tensor.collapse_shape": SAME,
    "tensor.cast": SAME,
    "tensor.extract_slice": MAPPED,
    "linalg.transpose": MAPPED,
    "linalg.broadcast": SPREAD,
}
_FREE = {"arith.constant", "tensor.splat", "tensor.empty", "linalg.fill"}
_CONTRACTIONS = {"linalg.matmul", "linalg.batch_matmul"}
_WRITES = {
    "bufferization.materialize_in_destination",
    "memref.store",
    "memref.copy",
    "memref.atomic_rmw",
    "memref.generic_atomic_rmw",
    "func.call",
}
_BODY = {
    "linalg.index",
    "linalg.yield",
    "scf.if",
    "scf.yield",
    "memref.load",
    "memref.store",
    "tensor.extract",
}

# What an operation costs, in simple ones; other arith operations cost 1, other math ones _MATH_COST.
_HEAVY = {
    **dict.fromkeys(("arith.divsi", "arith.divui", "arith.remsi", "arith.remui", "arith.remf"), 20),
    **dict.fromkeys(("math.absf", "math.absi", "math.fma", "math.copysign"), 1),
    **dict.fromkeys(("math.floor", "math.ceil", "math.trunc", "math.roundeven"), 1),
    "arith.divf": 4,
    "math.sqrt": 6,
}
_MATH_COST = 20
_GATHER_COST = 20
_WORTH_A_BUFFER = 8  # a store, a load and a loop
_PIECE = "vertebra.piece"  # marks the operations of a structured load
PANELS = "vertebra.panels"  # marks a store into a buffer of ours that no load reads
_SHORTEST_ROW = 4  # of tiles that are worth a loop of their own
_WORTH_A_ROW = 4  # for an operand that is spread over a dimension


@attrs.define
class Facts:
    """What inlining `value` would cost, and the loads it would move."""

    cost: int
    loads: frozenset
    free: bool


class Plan:
    """The decisions for one function.

    materialised: values that get a buffer.  accumulations: result of a loop -> what `accumulation_of` finds.
    """

    def __init__(self, block, mixed, accumulation_of=None):
        self._mixed = mixed
        self.accumulations: dict = {}
        self._loads: dict = {}
        self.materialised: set = set()
        self._names: dict = {}
        self._find_loads(block)
        if accumulation_of is not None:
            self._find_accumulations(block, accumulation_of)
        while self._survey(block):
            pass

    # -- what operations are
    #
    # Operations hash by what they hold, which changes: what is remembered is keyed by their results.

    def load_of(self, op) -> "Load | None":
        """The structured load that `op` ends."""
        # Another operation may lie where one lay that is gone: pieces are marked.
        known = op.name == "bufferization.to_tensor" and self.is_piece(op)
        return self._loads.get(op.results[0]) if known else None

    def _is_load(self, value) -> bool:
        op = producer(value)
        return op is not None and self.load_of(op) is not None

    def is_piece(self, op) -> bool:
        """Whether `op` belongs to a structured load."""
        return _PIECE in op.attributes

    def names(self, op) -> set[str]:
        """The names of the operations in the body of `op`."""
        if not len(op.results):
            return body_names(op)
        if op.results[0] not in self._names:
            self._names[op.results[0]] = body_names(op)
        return self._names[op.results[0]]

    def is_pure_generic(self, op) -> bool:
        return op.name == "linalg.generic" and is_parallel(op) and self.vectorises(op) and not self.stores(op)

    def stores(self, op) -> bool:
        return bool(self.names(op) & (_WRITES - {"memref.copy"}))

    def vectorises(self, op) -> bool:
        """Whether a generic's body has a form for all lanes at once."""
        names = self.names(op)
        if {"memref.load", "memref.store"} <= names:
            return False
        return all(n in _BODY or n.partition(".")[0] in ("arith", "math") for n in names)

    def inlines(self, op) -> bool:
        """Whether the results of `op` can be computed where they are used."""
        name = op.name
        if name == "arith.constant":
            return is_tensor(op.results[0]) and ir.DenseElementsAttr(op.attributes["value"]).is_splat
        if name in _FREE or name in _SHAPE_OPS:
            return len(op.results) == 1 and is_tensor(op.results[0])
        if name == "bufferization.to_tensor":
            return self.load_of(op) is not None
        if name == "linalg.generic":
            return self.is_pure_generic(op)
        return len(op.results) == 1 and is_elementwise(op)

    def is_root(self, op) -> bool:
        return (
            op.name in ("bufferization.materialize_in_destination", "tensor.extract")
            or is_simple_reduce(op)
            or op.name in _CONTRACTIONS
            or (op.name == "linalg.generic" and not self.is_pure_generic(op) and is_parallel(op))
        )

    def looks(self, op) -> list[tuple[object, str]]:
        """(tensor operand, how it is looked at) for every tensor operand that `op` reads."""
        name = op.name
        operands = [v for v in op.operands if is_tensor(v)]
        if self._accumulates(op):
            return []
        if name in ("tensor.splat", "tensor.empty", "arith.constant"):
            return []
        if name == "linalg.fill":
            return []
        if name in _SHAPE_OPS:
            return [(op.operands[0], _SHAPE_OPS[name])]
        if name == "bufferization.materialize_in_destination":
            return [(op.operands[0], SAME)]
        if is_simple_reduce(op):
            count = len(operands) // 2
            return [(v, SAME) for v in operands[:count]] + [(v, SPREAD) for v in operands[count:]]
        if name == "tensor.extract":
            return [(op.operands[0], MAPPED)]
        if name in _CONTRACTIONS:
            return [(v, SAME) for v in operands]
        if name == "linalg.generic" and is_parallel(op):
            return self._generic_looks(op)
        if is_elementwise(op) and len(op.results) == 1:
            return [(v, SAME) for v in operands]
        return [(v, WHOLE) for v in operands]

    def _generic_looks(self, op) -> list[tuple[object, str]]:
        found = []
        block = op.regions[0].blocks[0]
        for i, (value, attr) in enumerate(zip(op.operands, op.attributes["indexing_maps"], strict=False)):
            if is_tensor(value) and list(block.arguments[i].uses):
                found.append((value, _look_of(attr.value)))
        if "tensor.extract" in self.names(op):
            # What a load gives is read where it is in memory.
            found += [(v, MAPPED if self._is_load(v) else WHOLE) for v in extracted_from(op.regions[0])]
        return found

    # -- loads

    def inlined_loads(self, value) -> list[tuple[object, bool]]:
        """The structured loads that move to where `value` is used; whether each is read index by index."""
        found: dict = {}
        seen, todo = set(), [(value, True)]
        while todo:
            v, aligned = todo.pop()
            op = producer(v)
            if (v, aligned) in seen or op is None or not self.inlines(op):
                continue
            seen.add((v, aligned))
            op = op.operation
            if self.load_of(op) is not None:
                found[op] = found.get(op, True) and aligned
                continue
            straight = aligned and is_elementwise(op)
            todo += [(x, straight and look == SAME) for x, look in self.looks(op) if look != WHOLE]
        return list(found.items())

    def _find_loads(self, block) -> None:
        copied: dict = {}  # buffer -> writes to memory before the copy that fills it
        writes = 0
        for op in block.operations:
            op = op.operation
            if op.name == "memref.copy":
                target = producer(op.operands[1])
                partial = target is not None and target.name == "memref.subview"
                copied[target.operands[0] if partial else op.operands[1]] = writes
            elif op.name == "bufferization.to_tensor":
                load = match_load(op, self._mixed)
                if load and copied.get(op.operands[0]) == writes:
                    self._loads[op.results[0]] = load
                    for piece in load.pieces:
                        piece.attributes[_PIECE] = ir.UnitAttr.get()
            for region in op.regions:
                for inner in region.blocks:
                    self._find_loads(inner)
            writes += self._may_write(op)

    def _find_accumulations(self, block, accumulation_of) -> None:
        for op in block.operations:
            op = op.operation
            for region in op.regions:
                for inner in region.blocks:
                    self._find_accumulations(inner, accumulation_of)
            if op.name == "scf.for" and (found := accumulation_of(op, self._may_write)) is not None:
                self.accumulations[op.results[0]] = found

    def _accumulates(self, op) -> bool:
        """Whether `op` is, or ends a turn of, a loop of `accumulations`: it looks at no tensor in memory."""
        around = op.parent if op.name == "scf.yield" else op
        return around.name == "scf.for" and any(r in self.accumulations for r in around.results)

    def _may_write(self, op) -> bool:
        """Whether `op`, or anything inside it, writes memory that a load may read."""
        if PANELS in op.attributes:
            return False
        if op.name in _WRITES and op.name != "memref.copy" and not (op.name == "func.call" and is_view(op)):
            return True
        return len(op.regions) > 0 and bool(self.names(op) & (_WRITES - {"memref.copy"}))

    # -- the survey

    def _survey(self, block) -> bool:
        """Decides every value below `block`; true when a late finding asks for another round."""
        self._facts: dict = {}
        self._again = False
        self._survey_block(block)
        return self._again

    def _survey_block(self, block) -> bool:
        """Returns whether anything in the block writes memory."""
        epoch, wrote = 0, False
        for op in block.operations:
            op = op.operation
            nested = False
            for region in op.regions:
                if op.name.startswith("linalg."):
                    continue
                for inner in region.blocks:
                    nested |= self._survey_block(inner)
            if self.inlines(op):
                self._decide(op, block, epoch)
            elif self.is_root(op):
                for value, look in self.looks(op):
                    if look != WHOLE:
                        self._check_loads(value, epoch)
                        self._keep_loads_ahead(op, value)
            if nested or self._writes(op):
                epoch += 1
                wrote = True
        return wrote

    def _writes(self, op) -> bool:
        if self.is_piece(op) or PANELS in op.attributes:
            return False
        if op.name == "linalg.generic":
            return self.stores(op)
        if op.name == "linalg.fill":
            return not is_tensor(op.operands[1])
        if op.name == "memref.copy" and is_own_buffer(op.operands[1]):
            return False  # only what comes after it reads that buffer
        return op.name in _WRITES and not (op.name == "func.call" and is_view(op))

    def _decide(self, op, block, epoch: int) -> None:
        free = op.name in _FREE
        cost, loads = self.own_cost(op), frozenset()
        if self.load_of(op) or "memref.load" in (self.names(op) if op.name == "linalg.generic" else ()):
            loads = frozenset([(op, epoch)])
        for value, _look in self.looks(op):
            facts = self._facts.get(value)
            if facts is None or value in self.materialised:
                cost += 1
                continue
            free = free or (facts.free and op.name in _SHAPE_OPS)
            cost += facts.cost
            loads |= facts.loads
        if op.name == "linalg.generic" and not self.looks(op) and not loads:
            free = True  # a range
        for result in op.results:
            self._facts[result] = Facts(0 if free else cost, loads, free)
            if result not in self.materialised and self._needs_buffer(result, block, self._facts[result]):
                if result.type.has_static_shape:
                    self.materialised.add(result)
                # A slice of run-time size stays a part of what it is cut from.
                elif (source := producer(op.operands[0])) is not None and self.inlines(source):
                    self._materialise_late(source)
            if result in self.materialised:
                self._check_facts(self._facts[result], epoch)

    def own_cost(self, op) -> int:
        name = op.name
        if name in _FREE or name in _SHAPE_OPS:
            return 0
        if (load := self.load_of(op)) is not None:
            return 1 if load.other is None else 2
        if name == "linalg.generic":
            names = self.names(op)
            heavy = sum(cost_of(n) for n in names if n.partition(".")[0] in ("arith", "math"))
            gathers = names & {"memref.load", "tensor.extract"} or divides_indices(op)
            return heavy + (_GATHER_COST if gathers else 0)
        return cost_of(name)

    def _needs_buffer(self, value, block, facts: Facts) -> bool:
        users = set()
        for use in value.uses:
            user = _reader(use.owner.operation)
            look = next((k for v, k in self.looks(user) if v == value), None)
            if look == WHOLE:
                return True
            if look is None:
                continue  # an operand that is only a shape
            if user.block != block and not facts.free and (facts.cost > 2 or facts.loads):
                return True
            if look == SPREAD and facts.cost > _WORTH_A_ROW:
                return True
            users.add(user)
        return (len(users) - 1) * facts.cost > _WORTH_A_BUFFER

    def _check_loads(self, value, epoch: int) -> None:
        if value not in self.materialised and value in self._facts:
            self._check_facts(self._facts[value], epoch)

    def _keep_loads_ahead(self, op, value) -> None:
        """A loop that stores must not read what it may have stored before.

        Structured loads are left to `store`, which compares addresses.
        """
        if value in self.materialised or value not in self._facts:
            return
        effects = op.name == "linalg.generic" and self.stores(op)
        if effects or op.name == "bufferization.materialize_in_destination":
            for load, _ in self._facts[value].loads:
                if effects or self.load_of(load) is None:
                    self._materialise_late(load)

    def _materialise_late(self, op) -> None:
        for result in op.results:
            if result not in self.materialised:
                self.materialised.add(result)
                self._again = True

    def _check_facts(self, facts: Facts, epoch: int) -> None:
        for op, read_at in facts.loads:
            if read_at != epoch:
                self._materialise_late(op)


def cost_of(name: str) -> int:
    if name in _HEAVY:
        return _HEAVY[name]
    return _MATH_COST if name.startswith("math.") else 1


def _look_of(map) -> str:
    if any(isinstance(e, ir.AffineConstantExpr) for e in map.results) or len(map.results) < map.n_dims:
        return SPREAD
    return SAME if map == ir.AffineMap.get_identity(map.n_dims) else MAPPED


def tiles_of(plan: Plan, value) -> tuple[object, list[list[int]]] | None:
    """(tiles, groups): the turned tiles whose dimensions `value` joins, and which ones each of its own has.

    None for other values.  Tile by tile, the lanes of a row stay together and no index is divided.
    """
    op = producer(value)
    if op is None or op.name != "tensor.collapse_shape" or not plan.inlines(op):
        return None
    tiles = op.operands[0]
    maker = producer(tiles)
    if maker is None or maker.name != "linalg.transpose":
        return None
    if tiles.type.shape[-1] < _SHORTEST_ROW or 1 in tiles.type.shape:
        return None
    return tiles, [[int(d) for d in group] for group in op.attributes["reassociation"]]


def _reader(op):
    """`op`, or the linalg.generic that it is a part of."""
    outer = op
    while outer.name in ("tensor.extract", "scf.if") and (parent := outer.parent) is not None:
        if parent.name == "linalg.generic":
            return parent.operation
        outer = parent.operation
    return op


def is_view(op) -> bool:
    """Whether a call makes a view of memory."""
    return "__vertebra_view" in str(op.attributes["callee"])
