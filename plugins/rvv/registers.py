"""What LLVM has to be told so that groups of vector registers stay registers.

Two passes over a kernel on its way to LLVM IR; both change no result.
"""

from vertebra.core.mlir import ir
from vertebra.core.target import Core

_VSCALE_BITS = 64  # LLVM counts vector registers in units of this many bits


def state_register_length(module, core: Core, options=None) -> None:
    """Tells LLVM how long this core's registers are, exactly: `vscale_range` on every function.

    A group is then saved to the stack by two instructions instead of six that compute with `vlenb`,
    and an operation on a whole group needs no register for its length.
    """
    vscale = core.vector.bits // _VSCALE_BITS
    exact = ir.Attribute.parse(
        f"#llvm.vscale_range<minRange = {vscale} : i32, maxRange = {vscale} : i32>", module.context
    )
    for func in module.body.operations:
        func = func.operation
        if func.name == "llvm.func" and len(func.regions[0].blocks):
            func.attributes["vscale_range"] = exact


def keep_addends_scalar(module, core: Core, options=None) -> None:
    """Lets the constants that loops add in fused multiply-adds come from scalar registers.

    The addend of a vector multiply-add is always a vector: a polynomial needs one for every term.
    LLVM makes them all ahead of the loop, finds that so many groups of registers do not exist, and
    reloads them from the stack in every turn.  Here each is a scalar that the loop carries along
    behind an `llvm.arithmetic.fence`, which costs nothing but hides that it never changes, so that it
    is spread over a vector where it is used.
    """
    loops = []

    def visit(op):
        if op.name == "scf.for" and not _holds_loop(op):
            loops.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in loops:
        uses = _constant_addends(op, core.vector.bits)
        if uses:
            _carry(op, uses)


def _holds_loop(op) -> bool:
    found = []

    def visit(inner):
        if inner.name == "scf.for" and inner.operation != op.operation:
            found.append(inner)
            return ir.WalkResult.INTERRUPT
        return ir.WalkResult.ADVANCE

    op.walk(visit)
    return bool(found)


def _constant_addends(loop, register_bits: int) -> list[tuple[object, object]]:
    """(multiply-add, its addend's scalar) for the splats longer than a register inside `loop`."""
    found = []

    def visit(op):
        if op.name == "math.fma" and (attr := _long_splat(op.operands[2], register_bits)) is not None:
            found.append((op.operation, attr))
        return ir.WalkResult.ADVANCE

    loop.walk(visit)
    return found


def _long_splat(value, register_bits: int):
    """The scalar attribute of a constant splat longer than a register, else None."""
    type, maker = value.type, value.owner
    if not isinstance(type, ir.VectorType) or isinstance(maker, ir.Block) or maker.name != "arith.constant":
        return None
    if type.rank != 1 or type.shape[0] * type.element_type.width <= register_bits:
        return None
    dense = ir.DenseElementsAttr(maker.attributes["value"])
    return dense.get_splat_value() if dense.is_splat else None


def _carry(loop, uses: list) -> None:
    """Replaces `loop` by one that also carries the scalars of `uses`, and spreads them there."""
    with loop.location:
        scalars: dict = {}
        with ir.InsertionPoint(loop):
            for _, attr in uses:
                if attr not in scalars:
                    scalars[attr] = ir.Operation.create(
                        "arith.constant", [attr.type], [], {"value": attr}
                    ).result
            operands = [*loop.operands, *scalars.values()]
            results = [*(r.type for r in loop.results), *(v.type for v in scalars.values())]
            new = ir.Operation.create("scf.for", results, operands, regions=1)
        loop.regions[0].blocks[0].append_to(new.regions[0])
        block = new.regions[0].blocks[0]
        carried = {attr: block.add_argument(v.type, loop.location) for attr, v in scalars.items()}
        *_, last = block.operations
        with ir.InsertionPoint(last):
            fenced = [_fence(v) for v in carried.values()]
            ir.Operation.create("scf.yield", [], [*last.operation.operands, *fenced])
        last.operation.erase()
        for op, attr in uses:
            with ir.InsertionPoint(op):
                spread = ir.Operation.create("vector.broadcast", [op.operands[2].type], [carried[attr]])
            op.operands[2] = spread.result
        for old, value in zip(loop.results, new.results, strict=False):
            old.replace_all_uses_with(value)
        loop.erase()


def _fence(value):
    """`value`, which LLVM no longer knows to be the same."""
    attributes = {
        "intrin": ir.StringAttr.get("llvm.arithmetic.fence"),
        "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([1, 0]),
    }
    return ir.Operation.create("llvm.call_intrinsic", [value.type], [value], attributes).result
