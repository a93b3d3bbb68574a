"""Where the buffers of a program live: small ones on the stack, the others in the thread's scratch block.

All shapes are static, so every buffer gets its place at compile time, at the head of the
function: never inside a loop, where the stack would grow with every turn.
"""

from typing import Any

from vertebra.core.abi import SCRATCH_ALIGNMENT
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.outline_parallel import BODY, SCRATCH_OF

# Bytes of one buffer and of all: what is beyond goes to the scratch block.  Nor may they fill what a constant
# offset reaches from the stack pointer, which is where registers are saved.
_STACK_BUFFER = 4 << 10
_STACK_TOTAL = 64 << 10
# Processors tell by the lower 12 bits of addresses whether a load has to wait for a store before it.  What
# registers leave in the frame lies right below its buffers: at the page offset of the end of a buffer that
# fills a page, unless something is between.
_PAGE, _GAP = 4 << 10, 2 << 10
_SCRATCH_LIMIT = 256 << 20  # per thread; a kernel beyond it has a block size by mistake

SCRATCH_BYTES = "vertebra.scratch_bytes"


def _bytes(type) -> int:
    element = type.element_type
    size = 8 if isinstance(element, ir.IndexType) else max(1, element.width // 8)
    for extent in type.shape:
        size *= extent
    return size


def place_buffers(module, core=None, options=None) -> None:
    """Gives every memref.alloc of every function its place; adds the scratch argument, always last.

    The body of a parallel loop comes before what calls it, which has its scratch inside of its own.
    """
    nested: dict[str, int] = {}
    room = min(_STACK_TOTAL, core.vector.reach // 2) if core is not None else _STACK_TOTAL
    for func in module.body.operations:
        func = func.operation
        if func.name == "func.func" and ("vertebra.kernel" in func.attributes or BODY in func.attributes):
            nested[func.attributes["sym_name"].value] = _place(func, room, nested)


def _allocations(func) -> list:
    found = []

    def visit(op):
        if op.name == "memref.alloc":
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    func.walk(visit)
    return found


def _on_stack(memref, gap: int):
    """A buffer of type `memref` in the function's frame, behind `gap` bytes that nobody uses."""
    i8, i64 = (ir.IntegerType.get_signless(bits) for bits in (8, 64))
    block = ir.Operation.create(
        "memref.alloca",
        [ir.MemRefType.get([gap + _bytes(memref)], i8) if gap else memref],
        attributes={
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([0, 0]),
            "alignment": ir.IntegerAttr.get(i64, 64),
        },
    )
    return _view(memref, block.result, gap) if gap else block


def _view(memref, memory, offset: int):
    index = ir.IndexType.get()
    attributes = {"value": ir.IntegerAttr.get(index, offset)}
    at = ir.Operation.create("arith.constant", [index], attributes=attributes)
    return ir.Operation.create("memref.view", [memref], [memory, at.result])


def _place(func, room: int, nested: dict[str, int]) -> int:
    """The bytes of scratch that `func` needs.

    room: bytes of stack that buffers may take.  nested: what the functions before this one need.
    """
    block = func.regions[0].blocks[0]
    i8 = ir.IntegerType.get_signless(8)
    dynamic = ir.ShapedType.get_dynamic_size()
    with func.location:
        scratch = block.add_argument(ir.MemRefType.get([dynamic], i8), func.location)
    type = func.attributes["function_type"].value
    func.attributes["function_type"] = ir.TypeAttr.get(
        ir.FunctionType.get([*type.inputs, scratch.type], type.results)
    )
    if "arg_attrs" in func.attributes:
        func.attributes["arg_attrs"] = ir.ArrayAttr.get([*func.attributes["arg_attrs"], ir.DictAttr.get({})])
    stack, used = 0, 0
    largest: Any = None
    for op in _allocations(func):
        memref = op.results[0].type
        if not memref.has_static_shape:
            raise CompileError(
                f"a buffer of run-time size, {memref}", at=op, fix="give every tensor a static shape"
            )
        inner = nested[op.attributes[SCRATCH_OF].value] if SCRATCH_OF in op.attributes else None
        size = _bytes(memref) if inner is None else inner
        if largest is None or _bytes(memref) > _bytes(largest):
            largest = memref
        with ir.InsertionPoint.at_block_begin(block), op.location:
            if inner is None and size <= _STACK_BUFFER and stack + size <= room:
                stack += size
                new = _on_stack(memref, _GAP if size == _PAGE else 0)
            else:
                new = _view(memref, scratch, used)
                used += -(-size // SCRATCH_ALIGNMENT) * SCRATCH_ALIGNMENT
        op.results[0].replace_all_uses_with(new.result)
        op.erase()
    if used > _SCRATCH_LIMIT:
        raise CompileError(
            f"the blocks of one program take {used >> 20} MiB of buffers; "
            f"{_SCRATCH_LIMIT >> 20} MiB is the limit",
            at=func,
            fix=f"make the blocks smaller; the largest has shape {'x'.join(map(str, largest.shape))}",
        )
    func.attributes[SCRATCH_BYTES] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), used)
    return used
