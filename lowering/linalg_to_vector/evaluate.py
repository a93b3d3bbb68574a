"""The value of any tensor at any place, computed where it is asked for.

`Evaluator.at(value, idx)` follows the producers of `value` back to scalars, loads and
materialised tensors, and builds only what the lanes at `idx` need.
"""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import (
    DYNAMIC,
    Memory,
    Strided,
    in_bounds,
    joined,
    mixed,
    shape_of,
    uniform,
    view_of,
)
from vertebra.lowering.linalg_to_vector.bounds import always_below
from vertebra.lowering.linalg_to_vector.lanes import (
    SLT,
    Affine,
    Builder,
    Chunk,
    Lanes,
    Merged,
    Uniform,
    create,
)
from vertebra.lowering.linalg_to_vector.operations import is_elementwise, producer
from vertebra.lowering.linalg_to_vector.plan import Plan

_INTEGER = {"arith.addi": Builder.add, "arith.subi": Builder.sub, "arith.muli": Builder.mul}
_AFFINE_DIVISIONS = {
    ir.AffineModExpr: "arith.remsi",
    ir.AffineFloorDivExpr: "arith.floordivsi",
    ir.AffineCeilDivExpr: "arith.ceildivsi",
}
_DIVISIONS = {"arith.divsi", "arith.divui", "arith.remsi", "arith.remui"}
_CASTS = {"arith.index_cast", "arith.extsi", "arith.trunci", "arith.index_castui", "arith.extui"}


def element_type(type):
    return type.element_type if isinstance(type, ir.ShapedType) else type


class Evaluator:
    """Evaluates tensors for one width at the current insertion point.

    It remembers what it built, so one serves one loop body only.

    instead: tensor -> another to read in its place: its current version, where a loop overwrites
    it, or a copy in memory of what would be computed here.
    """

    def __init__(self, builder: Builder, plan: Plan):
        self.b = builder
        self.plan = plan
        self.memory = Memory(builder)
        self._made: dict = {}
        self._views: dict = {}
        self.instead: dict = {}

    def child(self) -> "Evaluator":
        """One for a loop inside this one's body, which may use what this one built."""
        inner = Evaluator(self.b, self.plan)
        inner._made = dict(self._made)
        inner._views = dict(self._views)
        inner.instead = self.instead
        return inner

    # -- tensors

    def at(self, value, idx: list[Chunk]) -> Chunk:
        """The lanes of tensor `value` at `idx`, one chunk per dimension."""
        made, place = self._made, tuple(map(_identity, idx))
        todo = [value]  # operands before what needs them, so that long chains need no deep stack
        while todo:
            v = todo[-1]
            if (v, place) in made:
                todo.pop()
                continue
            ahead = [x for x in self._straight(v) if (x, place) not in made]
            if ahead:
                todo += ahead
            else:
                made[(v, place)] = self._compute(v, idx)
                todo.pop()
        return made[(value, place)]

    def remember(self, value, idx: list[Chunk], chunk: Chunk) -> None:
        """Says what tensor `value` is at `idx`."""
        self._made[(value, tuple(map(_identity, idx)))] = chunk

    def _straight(self, value) -> list:
        """The tensors that computing `value` reads at the same place."""
        op = producer(value)
        if op is None or value in self.instead or not is_elementwise(op) or not self.plan.inlines(op):
            return []
        return [x for x in op.operands if isinstance(x.type, ir.RankedTensorType)]

    def _compute(self, value, idx: list[Chunk]) -> Chunk:
        op = producer(value)
        if value in self.instead:
            return self.memory.read(self.instead[value], idx)
        if op is None or not self.plan.inlines(op):
            return self.memory.read(value, idx)
        if is_elementwise(op):
            chunks = [
                self.at(v, idx) if isinstance(v.type, ir.RankedTensorType) else Uniform(v)
                for v in op.operands
            ]
            return self.apply(op, chunks)
        return getattr(self, "_" + op.name.replace(".", "_"))(op, value, idx)

    def _arith_constant(self, op, value, idx) -> Chunk:
        return self.constant(ir.DenseElementsAttr(op.attributes["value"]).get_splat_value())

    def _tensor_splat(self, op, value, idx) -> Chunk:
        return Uniform(op.operands[0])

    def _linalg_fill(self, op, value, idx) -> Chunk:
        return Uniform(op.operands[0])

    def _tensor_empty(self, op, value, idx) -> Chunk:
        return Uniform(self.b.constants.poison(value.type.element_type))

    def _tensor_cast(self, op, value, idx) -> Chunk:
        return self.at(op.operands[0], idx)

    def _linalg_transpose(self, op, value, idx) -> Chunk:
        source: list = [None] * len(idx)
        for i, d in enumerate(op.attributes["permutation"]):
            source[d] = idx[i]
        return self.at(op.operands[0], source)

    def _linalg_broadcast(self, op, value, idx) -> Chunk:
        added = set(op.attributes["dimensions"])
        return self.at(op.operands[0], [i for d, i in enumerate(idx) if d not in added])

    def _tensor_extract_slice(self, op, value, idx) -> Chunk:
        b = self.b
        offsets, steps = mixed(op, "offsets", 1), mixed(op, "strides", 3)
        rest = iter(idx)
        source = []
        for kept, offset, step in zip(kept_dims(op), offsets, steps, strict=True):
            at = next(rest) if kept else b.const(0)
            source.append(b.add(b.mul(at, uniform(b, step)), uniform(b, offset)))
        return self.at(op.operands[0], source)

    def _tensor_expand_shape(self, op, value, idx) -> Chunk:
        shape = shape_of(value)
        source = []
        for group in op.attributes["reassociation"]:
            dims = [int(d) for d in group]
            source.append(self._join([idx[d] for d in dims], [shape[d] for d in dims]))
        return self.at(op.operands[0], source)

    def _join(self, idx: list[Chunk], sizes: list[int]) -> Chunk:
        b, at, stride = self.b, self.b.const(0), 1
        for i, size in reversed(list(zip(idx, sizes, strict=True))):
            if size != 1:
                at = b.add(at, b.mul(i, b.const(stride)))
            stride *= size
        return at

    def _tensor_collapse_shape(self, op, value, idx) -> Chunk:
        shape = shape_of(op.operands[0])
        if self._in_memory(op.operands[0]) and any(isinstance(i, Affine) and not i.contiguous for i in idx):
            return self._read_collapsed(op, idx)
        source: list = [self.b.const(0)] * len(shape)
        for at, group in zip(idx, op.attributes["reassociation"], strict=True):
            dims = [int(d) for d in group]
            for d, i in zip(dims, self._split(at, [shape[d] for d in dims]), strict=True):
                source[d] = i
        return self.at(op.operands[0], source)

    def _in_memory(self, value) -> bool:
        op = producer(value)
        return value in self.instead or op is None or not self.plan.inlines(op)

    def _read_collapsed(self, op, idx: list[Chunk]) -> Chunk:
        """Evenly spaced elements stay so in a view: their indices need no division."""
        source = self.instead.get(op.operands[0], op.operands[0])
        groups = [[int(d) for d in group] for group in op.attributes["reassociation"]]
        return self.memory.read(joined(source, groups), idx)

    def _split(self, at: Chunk, sizes: list[int]) -> list[Chunk]:
        """The indices, one per size, of row-major position `at`."""
        b = self.b
        found: list = [b.const(0)] * len(sizes)
        real = [d for d, size in enumerate(sizes) if size != 1]
        for d in reversed(real[1:]):
            # Whole chunks that start on a multiple of their width stay inside one row.
            whole = isinstance(at, Affine) and at.contiguous and at.base.multiple % b.width == 0
            if whole and sizes[d] % b.width == 0:
                size = b.const(sizes[d])
                found[d] = Affine(b.binary("arith.remui", at.base, size), at.step)
                at = b.binary("arith.divui", at.base, size)
            else:
                size = b.const(sizes[d])
                found[d] = b.binary("arith.remui", at, size)
                at = b.binary("arith.divui", at, size)
        if real:
            found[real[0]] = at
        return found

    def _read(self, source, idx: list[Chunk], mask: Chunk | None) -> Chunk:
        """The lanes of `mask` of a tensor in memory, or of a structured load."""
        op = producer(source)
        if source not in self.instead and op is not None and self.plan.load_of(op) is not None:
            return self._bufferization_to_tensor(op, source, idx, mask)
        return self.memory.read(self.instead.get(source, source), idx, mask)

    def _bufferization_to_tensor(self, op, value, idx, only: Chunk | None = None) -> Chunk:
        """A structured load: inside its bounds from memory, outside `other`.  only: the lanes that count."""
        load, b = self.plan.load_of(op), self.b
        view, within = self.load_view(op, load)
        mask = None
        if load.other is not None:
            high = [hi if isinstance(hi, int) else hi.value for hi in within]
            mask = in_bounds(b, idx, load.low, high, shape_of(value))
        mask = b.both(only, mask)
        other = Uniform(load.other) if load.other is not None and mask is not None else None
        return self.memory.load(view.base, view.linear(b, idx), mask, other)

    def load_view(self, op, load) -> tuple[Strided, list]:
        """The view whose element i is the result's element i, and the upper bounds."""
        key = op.results[0]
        if key not in self._views:
            b = self.b
            view = view_of(b, load.view)
            if view is None:
                raise CompileError("a load from a memref that is not a strided view of a flat one", at=op)
            low = [b.mul(b.const(-1), uniform(b, lo)) for lo in load.low]
            shifted = Strided(view.base, view.linear(b, low), view.strides)
            high = [
                lo + size
                if isinstance(lo, int) and isinstance(size, int)
                else b.add(uniform(b, lo), uniform(b, size))
                for lo, size in zip(load.low, load.sizes, strict=True)
            ]
            self._views[key] = (shifted, high)
        return self._views[key]

    def _linalg_generic(self, op, value, idx) -> Chunk:
        results = self.generic(op, idx)
        position = next(i for i, r in enumerate(op.results) if r == value)
        for i, r in enumerate(op.results):
            self._made[(r, tuple(map(_identity, idx)))] = results[i]
        return results[position]

    # -- bodies

    def generic(self, op, idx: list[Chunk]) -> list[Chunk]:
        """The values that the body of linalg.generic `op` yields at `idx`."""
        block = op.regions[0].blocks[0]
        env = {}
        for value, argument, attr in zip(
            op.operands, block.arguments, op.attributes["indexing_maps"], strict=True
        ):
            if not list(argument.uses):
                continue
            if isinstance(value.type, ir.RankedTensorType):
                env[argument] = self.at(value, [self._affine(e, idx) for e in attr.value.results])
            elif isinstance(value.type, ir.MemRefType):
                raise CompileError("linalg.generic that mixes memrefs and tensors", at=op)
            else:
                env[argument] = Uniform(value)
        return self.body(block, env, idx, None)

    def _affine(self, expr, idx: list[Chunk]) -> Chunk:
        b = self.b
        if isinstance(expr, ir.AffineDimExpr):
            return idx[expr.position]
        if isinstance(expr, ir.AffineConstantExpr):
            return b.const(expr.value)
        left, right = self._affine(expr.lhs, idx), self._affine(expr.rhs, idx)
        if isinstance(expr, ir.AffineAddExpr):
            return b.add(left, right)
        if isinstance(expr, ir.AffineMulExpr):
            return b.mul(left, right)
        return b.binary(_AFFINE_DIVISIONS[type(expr)], left, right)

    def body(self, block, env: dict, idx: list[Chunk], mask: Chunk | None) -> list[Chunk]:
        """Runs the scalar operations of `block` on lanes.  mask: the lanes that may touch memory."""
        for op in block.operations:
            op = op.operation
            match op.name:
                case "linalg.yield" | "scf.yield":
                    return [self._get(env, v) for v in op.operands]
                case "linalg.index":
                    env[op.results[0]] = idx[int(op.attributes["dim"])]
                case "scf.if":
                    for result, chunk in zip(op.results, self._branch(op, env, idx, mask), strict=True):
                        env[result] = chunk
                case "memref.load":
                    env[op.results[0]] = self._load(op, env, mask, None)
                case "memref.store":
                    value, memref, *at = op.operands
                    base, linear = self._address(op, memref, [self._get(env, v) for v in at])
                    self.memory.store(self._get(env, value), base, linear, mask)
                case "tensor.extract":
                    source, *at = op.operands
                    env[op.results[0]] = self._read(source, [self._get(env, v) for v in at], mask)
                case "arith.constant":
                    env[op.results[0]] = self.constant(op.attributes["value"])
                case _:
                    chunks = [self._get(env, v) for v in op.operands]
                    if mask is not None and op.name in _DIVISIONS:  # a lane that is off must not trap
                        chunks[1] = self.b.select(mask, chunks[1], self.b.const(1, chunks[1].type))
                    env[op.results[0]] = self.apply(op, chunks)
        return []

    def _get(self, env: dict, value) -> Chunk:
        if value in env:
            return env[value]
        op = producer(value)
        if op is not None and op.name == "arith.constant":
            return self.constant(op.attributes["value"])
        return Uniform(value)

    def _branch(self, op, env: dict, idx: list[Chunk], mask: Chunk | None) -> list[Chunk]:
        """Both sides, each under its own mask, then a choice."""
        b = self.b
        condition = self._get(env, op.operands[0])
        then, other = (region.blocks[0] if len(region.blocks) else None for region in op.regions)
        yes_mask = b.both(mask, condition)
        no = (
            self.body(other, env, idx, b.both(mask, b.negate(condition))) if other and _matters(other) else []
        )
        if len(no) == 1 and (load := _lone_load(then)):
            return [self._load(load, env, yes_mask, no[0])]
        yes = self.body(then, env, idx, yes_mask)
        return [b.select(condition, y, n) for y, n in zip(yes, no, strict=True)]

    def _load(self, op, env: dict, mask: Chunk | None, other: Chunk | None) -> Chunk:
        memref, *at = op.operands
        base, linear = self._address(op, memref, [self._get(env, v) for v in at])
        return self.memory.load(base, linear, mask, other)

    def _address(self, op, memref, idx: list[Chunk]) -> tuple[object, Chunk]:
        view = view_of(self.b, memref)
        if view is None:
            raise CompileError("access to a memref that is not a strided view of a flat one", at=op)
        return view.base, view.linear(self.b, idx)

    # -- operations

    def constant(self, attr) -> Uniform:
        if isinstance(attr, ir.BoolAttr):
            return Uniform(const=int(attr.value), type=attr.type)
        if isinstance(attr, ir.IntegerAttr):
            return Uniform(const=attr.value, type=attr.type)
        return Uniform(self.b.constants.attribute(attr))

    def apply(self, op, chunks: list[Chunk]) -> Chunk:
        """The arith or math operation `op` on lanes."""
        b, name = self.b, op.name
        type = element_type(op.results[0].type)
        if name in _INTEGER:
            return _INTEGER[name](b, *chunks)
        if name in _CASTS:
            return b.cast(name, chunks[0], type)
        if name == "arith.select":
            return b.select(*chunks)
        if name == "arith.cmpi" and op.attributes["predicate"].value == SLT and always_below(*chunks):
            return b.const(1, type)
        attributes = {a: op.attributes[a] for a in op.attributes}
        with op.location:
            if all(isinstance(c, Uniform) for c in chunks):
                return Uniform(create(name, type, [b.scalar(c) for c in chunks], attributes))
            return Lanes(create(name, b.vector_type(type), [b.vector(c) for c in chunks], attributes))


def _identity(chunk: Chunk):
    """Equal for chunks that are known to hold the same."""
    match chunk:
        case Merged():
            return Merged
        case Uniform():
            return chunk.const if chunk.const is not None else chunk.value
        case Affine():
            return (_identity(chunk.base), _identity(chunk.step))
    return chunk.value


def kept_dims(op) -> list[bool]:
    """For each source dimension of a (possibly rank-reducing) extract_slice: is it in the result?"""
    left = shape_of(op.results[0])
    kept = []
    for size in mixed(op, "sizes", 2):
        keep = bool(left) and left[0] == (size if isinstance(size, int) else DYNAMIC)
        kept.append(keep)
        left = left[keep:]
    return kept


def _matters(block) -> bool:
    return len(list(block.operations)) > 1 or len(block.operations[0].operands) > 0


def _lone_load(block):
    """The memref.load of a block that only computes an address, loads and yields it."""
    *body, last = block.operations
    if len(body) != 1 or body[0].operation.name != "memref.load" or len(last.operands) != 1:
        return None
    return body[0].operation if last.operands[0] == body[0].operation.results[0] else None
