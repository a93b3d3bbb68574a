"""What starts a parallel loop, in LLVM's dialect: the loop itself on one thread, tasks on more.

For each outlined @body(captures, begin, end, step, scratch) there is @body__task, which takes the captures
from memory, and @body__launch, which the program calls: it runs @body at once where the program has one
thread only, so that the loop costs what any loop costs, and asks the runtime otherwise.
"""

from vertebra.core.mlir import ir
from vertebra.lowering.buffers import SCRATCH_BYTES
from vertebra.lowering.outline_parallel import BODY, LAUNCH
from vertebra.lowering.parallel_loops import WAITS

_SCRATCH_FIELDS = 5  # scalars of a memref of rank 1: two pointers, offset, size, stride
_SERVICES = {
    "vertebra_stream_threads": "() -> i32",
    "vertebra_parallel": "(!llvm.ptr, !llvm.ptr, i64, i64, i64, i64, !llvm.ptr, i32)",
}
_FUNCTIONS = """
llvm.func @{name}__task(%context: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr) {{
{enter}
{loads}
{narrowed}
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %unbounded = llvm.mlir.constant(9223372036854775807 : i64) : i64
  llvm.call @{name}({task_operands}) : ({types}) -> ()
{leave}
  llvm.return
}}
llvm.func @{name}__launch({parameters}) {{
  %one = llvm.mlir.constant(1 : i32) : i32
  %context = llvm.alloca %one x {struct} {{alignment = 64 : i64}} : (i32) -> !llvm.ptr
  %bytes = llvm.mlir.constant({scratch} : i64) : i64
  %together = llvm.mlir.constant({together} : i32) : i32
{choice}
^tasks:
{stores}
{widened}
  %task = llvm.mlir.addressof @{name}__task : !llvm.ptr
  llvm.call @vertebra_parallel(%task, %context, {bounds}, %bytes, {own}, %together)
      : {service} -> ()
  llvm.return
}}
"""
_CHOICE = """  %threads = llvm.call @vertebra_stream_threads() : () -> i32
  %several = llvm.icmp "sgt" %threads, %one : i32
  llvm.cond_br %several, ^tasks, ^loop
^loop:
  llvm.call @{name}({operands}) : ({types}) -> ()
  llvm.return"""


def emit_parallel(module, modes: dict[str, dict[str, str]]) -> None:
    """Puts the functions in the place of the declarations of launches.

    modes: kernel -> the operations that `enter` and `leave` the mode that it runs in, which are a
    thread's own.
    """
    functions = {}
    for op in module.body.operations:
        if op.operation.name == "llvm.func":
            functions[op.operation.attributes["sym_name"].value] = op.operation
    for launch in list(functions.values()):
        if LAUNCH in launch.attributes:
            _emit(module, launch, functions, modes)


def _emit(module, launch, functions: dict, modes: dict) -> None:
    name = launch.attributes[LAUNCH].value
    body, together = functions[name], WAITS in launch.attributes
    types = [str(a.type) for a in body.regions[0].blocks[0].arguments]
    count = len(types) - _SCRATCH_FIELDS - 3
    captured, index = types[:count], types[count]
    struct = f"!llvm.struct<({', '.join([*captured, index])})>"
    values = [f"%a{i}" for i in range(len(types))]
    step = values[count + 2]
    numbered = [*enumerate(captured), (count, index)]
    loads = [_field(i, struct, f"%a{i} = llvm.load %at{i} : !llvm.ptr -> {t}") for i, t in numbered]
    kept = [(i, values[i] if i < count else step, t) for i, t in numbered]
    stores = [_field(i, struct, f"llvm.store {v}, %at{i} : {t}, !llvm.ptr") for i, v, t in kept]
    part, narrowed = _cast("llvm.trunc", ["%begin", "%end"], "i64", index)
    bounds, widened = _cast("llvm.sext", values[count : count + 3], index, "i64")
    whole = {"name": name, "operands": ", ".join(values), "types": ", ".join(types)}
    inner = [*(f"%a{i}" for i in range(count)), *part, f"%a{count}"]
    text = _FUNCTIONS.format(
        name=name,
        **modes[body.attributes[BODY].value],
        loads="\n".join(loads),
        narrowed=narrowed,
        task_operands=", ".join([*inner, "%scratch", "%scratch", "%zero", "%unbounded", "%one"]),
        types=whole["types"],
        parameters=", ".join(f"{v}: {t}" for v, t in zip(values, types, strict=True)),
        struct=struct,
        scratch=body.attributes[SCRATCH_BYTES].value,
        together=int(together),
        choice="  llvm.br ^tasks" if together else _CHOICE.format(**whole),
        stores="\n".join(stores),
        widened=widened,
        bounds=", ".join(bounds),
        own=values[1 - _SCRATCH_FIELDS],
        service=_SERVICES["vertebra_parallel"],
    )
    declarations = [f"llvm.func @{name}({whole['types']})"]
    declarations += [f"llvm.func @{s}{t}" for s, t in _SERVICES.items()]
    made = ir.Module.parse("\n".join(declarations) + text)
    launch.erase()
    for op in list(made.body.operations)[1:]:
        symbol = op.operation.attributes["sym_name"].value
        if symbol in _SERVICES and symbol in functions:
            continue
        functions[symbol] = op.operation
        op.operation.detach_from_parent()
        module.body.append(op)
    for attribute in (BODY, SCRATCH_BYTES):
        if attribute in body.attributes:
            del body.attributes[attribute]


def _field(number: int, struct: str, use: str) -> str:
    at = f"%at{number} = llvm.getelementptr %context[0, {number}] : (!llvm.ptr) -> !llvm.ptr, {struct}"
    return f"  {at}\n  {use}"


def _cast(operation: str, values: list[str], of: str, to: str) -> tuple[list[str], str]:
    """(names of the values as type `to`, the operations that make them)"""
    if of == to:
        return values, ""
    names = [f"%cast{i}" for i in range(len(values))]
    lines = (f"  {n} = {operation} {v} : {of} to {to}" for n, v in zip(names, values, strict=True))
    return names, "\n".join(lines)
