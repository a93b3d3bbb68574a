"""tt.func -> func.func: one function of one block for each kernel.

It runs in two steps around everything else.  `convert_functions` comes first, so that all later
steps see structured control flow only, no calls, and program ids as plain integers.
`convert_signatures` comes last, when nothing needs the pointers of Triton any more.
"""

import functools
from typing import Any

from vertebra.core.errors import CompileError
from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, func, ir, passmanager, scf
from vertebra.dialects.tt import (
    CallOp,
    FuncOp,
    GetNumProgramsOp,
    GetProgramIdOp,
    MakeTensorDescOp,
    PtrType,
    ReturnOp,
    TensorDescType,
)
from vertebra.lowering.tt_to_linalg.build import index, move_body
from vertebra.lowering.tt_to_linalg.messages import print_addresses
from vertebra.lowering.tts_to_memref.addresses import storage

KERNEL = "vertebra.kernel"
# On a kernel that checks bounds: for each pointer the place of the argument, then that of its extents.
BOUNDS = "vertebra.bounds"
GRID_ARGUMENTS = 6  # number of programs x, y, z, then program id x, y, z; each i32


@pattern(ReturnOp)
def return_to_return(op):
    func.ReturnOp(list(op.operands))
    return []


@pattern(CallOp)
def call_to_call(op):
    return func.CallOp([r.type for r in op.results], op.attributes["callee"].value, list(op.operands)).results


@pattern("scf.index_switch")
def index_switch_to_if(op):
    """What `lift-cf-to-scf` makes where several returns meet; all else is scf.if already."""
    default, *cases = op.regions
    values = list(op.attributes["cases"])
    types = [r.type for r in op.results]

    def choose(remaining):
        if not remaining:
            return move_body(default.blocks[0], [])
        (value, region), *others = remaining
        here = arith.cmpi(arith.CmpIPredicate.eq, op.operands[0], index(value))
        branch = scf.IfOp(here, types, has_else=True)
        with ir.InsertionPoint(branch.then_block):
            scf.YieldOp(move_body(region.blocks[0], []))
        with ir.InsertionPoint(branch.else_block):
            scf.YieldOp(choose(others))
        return list(branch.results)

    return choose(list(zip(values, cases, strict=True)))


def convert_functions(module, core, options) -> None:
    """Public tt.func -> func.func of a single block, with six trailing i32 for the grid and no calls inside.

    A call of a function that is only declared stands for another dialect's operation and is left.
    A tensor descriptor argument becomes its base pointer: Triton passes shape (i32 each) and
    strides (i64 each) as arguments of their own, right behind it.
    """
    apply(module.operation, (return_to_return, call_to_call, print_addresses))
    functions = [_convert_function(op) for op in list(module.body.operations) if isinstance(op, FuncOp)]
    if _has_branches(module):
        _pipeline("lift-cf-to-scf", module.context).run(module.operation)
        apply(module.operation, (index_switch_to_if,))
    defined = [f for f in functions if len(f.regions[0].blocks)]
    kernels = [f for f in defined if KERNEL in f.attributes]
    helpers = {f.name.value: f for f in defined if KERNEL not in f.attributes}
    declared = {f.name.value for f in functions} - {f.name.value for f in defined}
    for kernel in kernels:
        _inline_calls(kernel, helpers, declared)
        if options is not None and options.bounds_check:
            _append_extents(kernel)
        _append_grid(kernel)
        _rebuild_descriptors(kernel)
    for helper in helpers.values():
        helper.operation.erase()


def convert_signatures(module, core, options) -> None:
    """Pointer arguments become `memref<?xT>`; the casts that stood for this are dropped."""
    for function in module.body.operations:
        if not isinstance(function, func.FuncOp) or KERNEL not in function.attributes:
            continue
        for argument in function.entry_block.arguments:
            if isinstance(argument.type, PtrType):
                _convert_pointer(argument)
        inputs = [a.type for a in function.entry_block.arguments]
        function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, []))


@functools.lru_cache(maxsize=16)
def _pipeline(text: str, context):
    return passmanager.PassManager.parse(f"builtin.module({text})", context)


def _convert_function(old) -> func.FuncOp:
    """The func.func that takes over the body, name and argument attributes of `old`."""
    private = "sym_visibility" in old.attributes and old.attributes["sym_visibility"].value == "private"
    with ir.InsertionPoint(old), old.location:
        new = func.FuncOp(
            old.attributes["sym_name"].value,
            old.attributes["function_type"].value,
            visibility="private" if private else None,
        )
    if "arg_attrs" in old.attributes:
        new.attributes["arg_attrs"] = old.attributes["arg_attrs"]
    if not private:
        new.attributes[KERNEL] = ir.UnitAttr.get()
    for block in list(old.regions[0].blocks):
        block.append_to(new.regions[0])
    old.operation.erase()
    return new


def _inline_calls(kernel, helpers, declared) -> None:
    """Puts the bodies of all callees, and of theirs, in the place of the calls."""
    pending: list[tuple[Any, tuple]] = [(call, ()) for call in _calls(kernel)]
    while pending:
        call, chain = pending.pop()
        name = call.attributes["callee"].value
        if name in declared:
            continue
        if name not in helpers:
            raise CompileError(f"there is no function {name}", at=call, fix="define it in the same module")
        if name in chain:
            raise CompileError(
                f"function {name} calls itself", at=call, fix="write the recursion as a loop over tensors"
            )
        copy = helpers[name].operation.clone(ip=ir.InsertionPoint(kernel))
        inner = [(c, (*chain, name)) for c in _calls(copy)]
        _inline(call, copy)
        pending += inner


def _calls(op) -> list:
    """Every func.call inside `op`."""
    return [inner.opview for inner in _inside(op) if inner.name == "func.call"]


def _has_branches(module) -> bool:
    return any(inner.name in ("cf.br", "cf.cond_br") for inner in _inside(module))


def _inside(op) -> list:
    """All operations inside `op`."""
    found = []

    def visit(inner):
        found.append(inner)
        return ir.WalkResult.ADVANCE

    op.operation.walk(visit)
    return found


def _inline(call, callee) -> None:
    """Moves the body of `callee`, a copy made for this call, before `call`, and erases both."""
    (block,) = callee.regions[0].blocks
    for argument, operand in zip(block.arguments, call.operands, strict=True):
        argument.replace_all_uses_with(operand)
    *body, terminator = block.operations
    for op in body:
        op.operation.move_before(call.operation)
    for result, value in zip(call.results, terminator.operands, strict=True):
        result.replace_all_uses_with(value)
    call.operation.erase()
    callee.operation.erase()


def _append_extents(kernel) -> None:
    """Adds the hidden arguments by which a kernel knows its pointers' bounds (see `core/bounds.py`)."""
    i64 = ir.IntegerType.get_signless(64)
    block = kernel.entry_block
    pointers = [i for i, a in enumerate(block.arguments) if isinstance(a.type, PtrType | TensorDescType)]
    places = []
    for pointer in pointers:
        places += [pointer, len(block.arguments)]
        for _ in range(2):
            block.add_argument(i64, kernel.location)
    _set_inputs(kernel, extra=2 * len(pointers))
    kernel.attributes[BOUNDS] = ir.ArrayAttr.get([ir.IntegerAttr.get(i64, place) for place in places])


def _append_grid(kernel) -> None:
    """Adds the grid arguments and puts them in the place of the operations that ask for them."""
    i32 = ir.IntegerType.get_signless(32)
    grid = [kernel.entry_block.add_argument(i32, kernel.location) for _ in range(GRID_ARGUMENTS)]
    _set_inputs(kernel, extra=GRID_ARGUMENTS)
    sizes = pattern(GetNumProgramsOp)(lambda op: grid[op.axis.value])
    ids = pattern(GetProgramIdOp)(lambda op: grid[3 + op.axis.value])
    apply(kernel.operation, (sizes, ids))


def _rebuild_descriptors(kernel) -> None:
    """A descriptor argument becomes its base pointer; the descriptor is made of it on entry."""
    block = kernel.entry_block
    arguments = list(block.arguments)
    for place, argument in enumerate(arguments):
        if not isinstance(argument.type, TensorDescType):
            continue
        described, tile = argument.type, argument.type.block
        rank = len(tile.shape)
        shape = arguments[place + 1 : place + 1 + rank]
        strides = arguments[place + 1 + rank : place + 1 + 2 * rank]
        argument.set_type(PtrType.get(tile.element_type))
        with ir.InsertionPoint.at_block_begin(block), kernel.location:
            made = MakeTensorDescOp(argument, shape, strides, described)
        argument.replace_all_uses_except(made.result, made.operation)
    _set_inputs(kernel)


def _set_inputs(kernel, extra: int = 0) -> None:
    """The function type that the entry block now has; `extra` arguments at its end are new."""
    inputs = [a.type for a in kernel.entry_block.arguments]
    kernel.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, []))
    if extra and "arg_attrs" in kernel.attributes:
        known = list(kernel.attributes["arg_attrs"])
        kernel.attributes["arg_attrs"] = ir.ArrayAttr.get(known + [ir.DictAttr.get({})] * extra)


def _convert_pointer(argument) -> None:
    """Gives a pointer argument its memref type; casts of it to that type give way to it."""
    memref = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], storage(argument.type))
    casts = [use.owner for use in argument.uses]
    argument.set_type(memref)
    for cast in casts:
        assert cast.name == "builtin.unrealized_conversion_cast", f"{cast.name} still uses a pointer"
        assert cast.results[0].type == memref, f"a pointer was taken for {cast.results[0].type}"
        cast.results[0].replace_all_uses_with(argument)
        cast.operation.erase()
