"""The body of every parallel loop becomes a function, which `parallel_entry` makes a task of the runtime.

    scf.for %i = %lb to %ub step %s {bind_sub_block} { ... }
      ->  call @kernel__parallel0__launch(captures, %lb, %ub, %s, scratch)

with the loop itself in @kernel__parallel0, over the part of its range that a thread takes.
"""

from vertebra.core.mlir import ir
from vertebra.lowering.parallel_loops import PARALLEL, WAITS, defined_inside, inside, parallel_loops, waits

BODY = "vertebra.parallel_body"  # on the function with the loop: the name of its kernel
LAUNCH = "vertebra.parallel_launch"  # on the declaration: the name of that function
SCRATCH_OF = "vertebra.scratch_of"  # on an allocation: whose scratch it is
_CLONED = ("arith.constant", "ub.poison", "memref.get_global", "llvm.mlir.constant")


def outline_parallel(module, core=None, options=None) -> None:
    """Moves every marked loop, inner ones first, into a function of its own."""
    for view in list(module.body.operations):
        func = view.operation
        if func.name == "func.func" and "vertebra.kernel" in func.attributes:
            waiting: set[str] = set()
            for number, loop in enumerate(parallel_loops(func)):
                del loop.attributes[PARALLEL]
                if not len(loop.results):
                    _outline(func, loop, f"{func.attributes['sym_name'].value}__parallel{number}", waiting)


def _outline(kernel, loop, name: str, waiting: set[str]) -> None:
    launch = f"{name}__launch"
    together = waits(loop, waiting)
    if together:
        waiting.add(launch)
    _clone_constants(loop)
    captured = _captured(loop)
    bounds = list(loop.operands)[:3]
    arguments = [*captured, *bounds]
    types = [v.type for v in arguments]
    scratch = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], ir.IntegerType.get_signless(8))
    with loop.location:
        _declare(kernel, launch, [*types, scratch], {LAUNCH: ir.FlatSymbolRefAttr.get(name)}, together)
        body = _function(kernel, name, types, {BODY: kernel.attributes["sym_name"]})
        block = body.regions[0].blocks.append(*types, arg_locs=[loop.location] * len(types))
        with ir.InsertionPoint(loop):
            own = _scratch(name, scratch)
            callee = ir.FlatSymbolRefAttr.get(launch)
            ir.Operation.create("func.call", [], [*arguments, own], {"callee": callee})
        with ir.InsertionPoint(block):
            end = ir.Operation.create("func.return", [], [])
    loop.move_before(end)
    inner = dict(zip(captured, block.arguments, strict=False))
    for op in inside(loop):
        for number, operand in enumerate(op.operands):
            if operand in inner:
                op.operands[number] = inner[operand]
    for number, argument in enumerate(list(block.arguments)[-3:]):
        loop.operands[number] = argument


def _clone_constants(loop) -> None:
    """Gives the loop constants of its own: as captures nobody would know their values."""
    top = loop.regions[0].blocks[0]
    copies: dict = {}
    for op in inside(loop):
        for number, operand in enumerate(op.operands):
            owner = operand.owner
            if isinstance(owner, ir.Block) or owner.name not in _CLONED or defined_inside(operand, loop):
                continue
            if operand not in copies:
                copies[operand] = owner.operation.clone(ip=ir.InsertionPoint.at_block_begin(top)).results[0]
            op.operands[number] = copies[operand]


def _captured(loop) -> list[ir.Value]:
    """What the body uses of the program around it, each once."""
    found: dict = {}
    for op in inside(loop):
        for operand in op.operands:
            if operand not in found and not defined_inside(operand, loop):
                found[operand] = None
    return list(found)


def _scratch(body: str, type) -> ir.Value:
    """A buffer that `place_buffers` will make as large as the scratch memory of `body`."""
    one = ir.Operation.create(
        "memref.alloc",
        [ir.MemRefType.get([1], type.element_type)],
        attributes={
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([0, 0]),
            SCRATCH_OF: ir.FlatSymbolRefAttr.get(body),
        },
    )
    return ir.Operation.create("memref.cast", [type], [one.result]).result


def _declare(kernel, name: str, types, attributes: dict, together: bool) -> None:
    if together:
        attributes = attributes | {WAITS: ir.UnitAttr.get()}
    _function(kernel, name, types, attributes)


def _function(kernel, name: str, types, attributes: dict):
    attributes = attributes | {
        "sym_name": ir.StringAttr.get(name),
        "function_type": ir.TypeAttr.get(ir.FunctionType.get(types, [])),
        "sym_visibility": ir.StringAttr.get("private"),
    }
    return ir.Operation.create("func.func", attributes=attributes, regions=1, ip=ir.InsertionPoint(kernel))
