"""Removes what nothing needs any more, values that loops carry round for themselves alone included."""

from vertebra.core.mlir import ir

_PURE_DIALECTS = ("arith.", "math.", "tensor.", "ub.", "builtin.unrealized_conversion_cast", "tts.make_")
_PURE = frozenset((
    "tt.addptr", "tt.advance", "tt.bitcast", "tt.broadcast", "tt.cat", "tt.clampf", "tt.dot", "tt.dot_scaled",
    "tt.expand_dims", "tt.fp_to_fp", "tt.gather", "tt.get_num_programs", "tt.get_program_id", "tt.histogram",
    "tt.int_to_ptr", "tt.join", "tt.make_range", "tt.make_tensor_descriptor", "tt.make_tensor_ptr",
    "tt.mulhiui",
    "tt.precise_divf", "tt.precise_sqrt", "tt.ptr_to_int", "tt.reduce", "tt.reshape", "tt.scan", "tt.splat",
    "tt.split", "tt.trans", "tt.unsplat", "tts.get_structured_state",
    # Reads whose result nobody wants.
    "tt.descriptor_gather", "tt.descriptor_load", "tt.load", "tts.gather", "tts.load",
))  # fmt: skip
_FOR, _IF, _WHILE = "scf.for", "scf.if", "scf.while"


def remove_dead(function) -> None:
    """Erases the operations of `function` without effect or use, and what loops carry in vain."""
    live = _Liveness()
    for block in function.regions[0].blocks:
        live.roots(block)
    live.spread()
    for block in function.regions[0].blocks:
        _sweep(block, live)


def _is_pure(op) -> bool:
    name = op.name
    if name == "tt.load" and "isVolatile" in op.attributes:
        return not ir.BoolAttr(op.attributes["isVolatile"]).value
    return name in _PURE or name.startswith(_PURE_DIALECTS)


class _Liveness:
    """Which operations and values something with an effect depends on."""

    def __init__(self):
        # Operations by a value or block of theirs: an operation's own hash changes with its operands.
        self._ops: set = set()
        self.values: set[ir.Value] = set()
        self._todo: list[ir.Value] = []

    def roots(self, block: ir.Block) -> None:
        for view in block.operations:
            op = view.operation
            if op.name in (_FOR, _IF, _WHILE):
                for region in op.regions:
                    for inner in region.blocks:
                        self.roots(inner)
            elif not _is_pure(op) and op.name not in ("scf.yield", "scf.condition"):
                self.use(op)

    def use(self, op) -> None:
        """Marks an operation, what it needs, and what it is nested in."""
        key = _key(op)
        if key in self._ops:
            return
        if key is not None:
            self._ops.add(key)
        name = op.name
        if name == _FOR:
            self._todo += list(op.operands)[:3]
        elif name == _IF:
            self._todo.append(op.operands[0])
        elif name == _WHILE:
            self._todo.append(_last(op.regions[0].blocks[0]).operands[0])
        else:
            self._todo += op.operands
            for region in op.regions:
                self._inside(region)
        parent = op.parent.operation
        if parent.name in (_FOR, _IF, _WHILE):
            self.use(parent)

    def _inside(self, region: ir.Region) -> None:
        """Everything that the body of an operation uses."""
        for block in region.blocks:
            for view in block.operations:
                op = view.operation
                self._todo += op.operands
                for inner in op.regions:
                    self._inside(inner)

    def has(self, op) -> bool:
        """Whether `op` is needed; one without results and regions is there for its effect."""
        key = _key(op)
        return key is None or key in self._ops

    def spread(self) -> None:
        while self._todo:
            value = self._todo.pop()
            if value in self.values:
                continue
            self.values.add(value)
            owner = value.owner
            if isinstance(owner, ir.Block):
                self._argument(ir.BlockArgument(value), owner)
            else:
                self._result(value, owner.operation)

    def _argument(self, value: ir.BlockArgument, block: ir.Block) -> None:
        op = block.owner.operation
        if op.name not in (_FOR, _WHILE):
            return
        self.use(op)
        number = value.arg_number
        if op.name == _FOR:
            if number:
                self._loop(op, number - 1)
        elif op.regions[0].blocks[0] == block:
            self._todo += [op.operands[number], _last(op.regions[1].blocks[0]).operands[number]]
        else:
            self._todo.append(_last(op.regions[0].blocks[0]).operands[number + 1])

    def _loop(self, op, i: int) -> None:
        self._todo += [op.operands[3 + i], _last(op.regions[0].blocks[0]).operands[i]]

    def _result(self, value: ir.Value, op) -> None:
        self.use(op)
        number = ir.OpResult(value).result_number
        if op.name == _FOR:
            self._loop(op, number)
        elif op.name == _IF:
            self._todo += [_last(region.blocks[0]).operands[number] for region in op.regions]
        elif op.name == _WHILE:
            self._todo.append(_last(op.regions[0].blocks[0]).operands[number + 1])


def _key(op) -> "ir.Value | ir.Block | None":
    if len(op.results):
        return op.results[0]
    return op.regions[0].blocks[0] if len(op.regions) and len(op.regions[0].blocks) else None


def _last(block: ir.Block):
    *_, last = block.operations
    return last.operation


def _sweep(block: ir.Block, live: _Liveness) -> None:
    for view in reversed(list(block.operations)):
        op = view.operation
        if op.name in ("scf.yield", "scf.condition"):
            continue
        if not live.has(op):
            op.erase()
        elif op.name in (_FOR, _IF, _WHILE):
            _shrink(op, live)


def _shrink(op, live: _Liveness) -> None:
    """Rebuilds a loop or branch without the values that are dead, and sweeps its regions."""
    results = list(op.results)
    blocks = [region.blocks[0] for region in op.regions if len(region.blocks)]
    needed = [value in live.values for value in results]
    if op.name == _FOR:
        needed = [n or a in live.values for n, a in zip(needed, list(blocks[0].arguments)[1:], strict=True)]
        kept = [needed]
        lead = [3, 1]
    elif op.name == _IF:
        kept = [needed] * len(blocks)
        lead = [1, 0]
    else:
        needed = [n or a in live.values for n, a in zip(needed, blocks[1].arguments, strict=True)]
        entering = [a in live.values for a in blocks[0].arguments]
        kept = [needed, entering]
        lead = [0, 0]
    if all(map(all, kept)):
        for block in blocks:
            _sweep(block, live)
        return
    operands = list(op.operands)
    fixed, own = operands[: lead[0]], operands[lead[0] :]
    inits = [v for v, k in zip(own, kept[-1], strict=True) if k] if op.name != _IF else []
    new = ir.Operation.create(
        op.name,
        [v.type for v, k in zip(results, needed, strict=True) if k],
        [*fixed, *inits],
        {name: op.attributes[name] for name in op.attributes},
        regions=len(op.regions),
        loc=op.location,
        ip=ir.InsertionPoint(op),
    )
    arguments = {_FOR: [[True] * lead[1] + needed], _IF: kept, _WHILE: [kept[-1], needed]}[op.name]
    for i, block in enumerate(blocks):
        _drop_passed(block, kept[i])
        _sweep(block, live)
        _move(block, new.regions[i], arguments[i] if op.name != _IF else [])
    for old, value in zip([v for v, k in zip(results, needed, strict=True) if k], new.results, strict=True):
        old.replace_all_uses_with(value)
    op.erase()


def _drop_passed(block: ir.Block, kept: list[bool]) -> None:
    """Shortens what a terminator passes on."""
    last = _last(block)
    operands = list(last.operands)
    lead = len(operands) - len(kept)
    passed = operands[:lead] + [v for v, k in zip(operands[lead:], kept, strict=True) if k]
    ir.Operation.create(last.name, [], passed, loc=last.location, ip=ir.InsertionPoint(last))
    last.erase()


def _move(block: ir.Block, region: ir.Region, kept: list[bool]) -> None:
    """Moves the contents of `block` into a new block of `region` that has the kept arguments."""
    arguments = [a for a, k in zip(block.arguments, kept, strict=True) if k]
    target = region.blocks.append(*[a.type for a in arguments], arg_locs=[a.location for a in arguments])
    for old, new in zip(arguments, target.arguments, strict=True):
        old.replace_all_uses_with(new)
    for op in list(block.operations):
        target.append(op)
