"""The function that a runtime calls (see core/abi.py): unpacks the arguments and walks the programs."""

import re

from vertebra.core.buffers import Arguments
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.buffers import SCRATCH_BYTES
from vertebra.lowering.parallel_entry import emit_parallel
from vertebra.lowering.stored_arguments import STORED

# An attribute of a kernel: assembler texts as of `vertebra.core.target.Mode`, (enter, leave).
MODE = "vertebra.mode"
ENGINE = "vertebra.engine"  # on a kernel that uses a matrix engine
PROGRAMS_WAIT = "vertebra.programs_wait"  # on a kernel whose programs wait for each other
_SAID = "vertebra.said"  # the text of `vertebra.core.buffers.Arguments`
_TOLD = (ENGINE, STORED, _SAID)
_GRID = 6  # trailing arguments of a kernel: programs in x, y, z, then this program's x, y, z
_UNBOUNDED = (1 << 63) - 1
_NAME = re.compile(r'loc\("(\w+)"\(')
_SYMBOL = re.compile(r"[A-Za-z_$.][A-Za-z0-9_$.]*")

# The freezes change no value: LLVM moves no address out of a loop that divides by an extent, which might
# be 0, and so must not look behind the ids.
_ENTRY = """
llvm.mlir.global external constant @{name}_scratch_bytes({scratch} : i64) {{addr_space = 0 : i32}} : i64
llvm.mlir.global internal constant @{name}_arguments("{arguments}") {{addr_space = 0 : i32}}
llvm.func @{name}(%args: !llvm.ptr, %scratch: !llvm.ptr, %begin: i64, %end: i64,
                  %gx: i32, %gy: i32, %gz: i32) {{
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %unbounded = llvm.mlir.constant({unbounded} : i64) : i64
{apart}
{loads}
  %nx = llvm.zext %gx : i32 to i64
  %ny = llvm.zext %gy : i32 to i64
{enter}
  %some = llvm.icmp "slt" %begin, %end : i64
  llvm.cond_br %some, ^program(%begin : i64), ^done
^program(%p: i64):
  %rest = llvm.udiv %p, %nx : i64
  %x64 = llvm.urem %p, %nx : i64
  %z64 = llvm.udiv %rest, %ny : i64
  %y64 = llvm.urem %rest, %ny : i64
  %x32 = llvm.trunc %x64 : i64 to i32
  %y32 = llvm.trunc %y64 : i64 to i32
  %z32 = llvm.trunc %z64 : i64 to i32
  %x = llvm.freeze %x32 : i32
  %y = llvm.freeze %y32 : i32
  %z = llvm.freeze %z32 : i32
  llvm.call @{name}__program({operands}) : ({types}) -> ()
  %next = llvm.add %p, %one : i64
  %more = llvm.icmp "slt" %next, %end : i64
  llvm.cond_br %more, ^program(%next : i64), ^done
^done:
{leave}
  llvm.return
}}
"""

# Programs that wait for each other run one by one, so that none of those waited for is stuck behind another.
_APART = """
  %count = llvm.sub %end, %begin : i64
  %several = llvm.icmp "sgt" %count, %one : i64
  llvm.cond_br %several, ^apart, ^together
^apart:
  %self = llvm.mlir.addressof @{name} : !llvm.ptr
  %bytes = llvm.mlir.constant({scratch} : i64) : i64
  llvm.call @vertebra_programs(%self, %args, %bytes, %scratch, %begin, %end, %gx, %gy, %gz)
      : (!llvm.ptr, !llvm.ptr, i64, !llvm.ptr, i64, i64, i32, i32, i32) -> ()
  llvm.return
^together:"""
_APART_SERVICE = "llvm.func @vertebra_programs(!llvm.ptr, !llvm.ptr, i64, !llvm.ptr, i64, i64, i32, i32, i32)"


def describe_kernels(module, core=None, options=None) -> None:
    """Before functions become LLVM's: keeps each kernel's argument types for `emit_entries`."""
    for func in module.body.operations:
        func = func.operation
        if func.name == "func.func" and "vertebra.kernel" in func.attributes:
            name = func.attributes["sym_name"].value
            if not _SYMBOL.fullmatch(name):
                raise CompileError(
                    f"{name!r} cannot be the name of a function in an object file",
                    at=func,
                    fix="name the kernel with ASCII letters, digits and underscores",
                )
            inputs = func.attributes["function_type"].value.inputs
            func.attributes["vertebra.arguments"] = ir.ArrayAttr.get([ir.TypeAttr.get(t) for t in inputs])
            func.attributes[_SAID] = ir.StringAttr.get(_said(func).text)


def _said(func) -> Arguments:
    """What launches are told of the kernel's arguments."""
    arguments = list(func.regions[0].blocks[0].arguments)[: -_GRID - 1]
    names = [found[1] if (found := _NAME.match(str(a.location))) else "" for a in arguments]
    stored = [entry.value for entry in func.attributes[STORED]] if STORED in func.attributes else []
    return Arguments(tuple(names), tuple(stored), ENGINE in func.attributes)


def emit_entries(module, core=None, options=None) -> None:
    """Makes every function internal, to be inlined, and adds that of the ABI beside each kernel."""
    emit_parallel(module, {f.attributes["sym_name"].value: _mode_of(f) for f in _kernels(module)})
    internal = ir.Attribute.parse("#llvm.linkage<internal>")
    for func in list(module.body.operations):
        func = func.operation
        if func.name == "llvm.func" and len(func.regions[0].blocks):
            func.attributes["linkage"] = internal
            func.attributes["always_inline"] = ir.UnitAttr.get()
            if "vertebra.arguments" in func.attributes:
                _emit(module, func)


def _emit(module, func) -> None:
    name = func.attributes["sym_name"].value
    types = [attr.value for attr in func.attributes["vertebra.arguments"]]
    scratch = func.attributes[SCRATCH_BYTES].value
    loads: list[str] = []
    operands: list[tuple[str, str]] = []
    slots, scratch_type = types[: -_GRID - 1], types[-1]
    for slot, type in enumerate(slots):
        operands += _unpack(func, slot, type, loads)
    operands += [(f"%{v}", "i32") for v in ("gx", "gy", "gz", "x", "y", "z")]
    operands += _descriptor("%scratch", scratch_type)
    func.attributes["sym_name"] = ir.StringAttr.get(f"{name}__program")
    apart = PROGRAMS_WAIT in func.attributes
    text = _ENTRY.format(
        name=name,
        scratch=scratch,
        arguments=func.attributes[_SAID].value,
        unbounded=_UNBOUNDED,
        apart=_APART.format(name=name, scratch=scratch) if apart else "",
        loads="\n".join(loads),
        **_mode_of(func),
        operands=", ".join(v for v, _ in operands),
        types=", ".join(t for _, t in operands),
    )
    declaration = f"llvm.func @{name}__program({', '.join(t for _, t in operands)}) -> ()"
    if apart:
        text = _APART_SERVICE + "\n" + text
    entry = ir.Module.parse(declaration.replace(" -> ()", "") + "\n" + text)
    for op in list(entry.body.operations)[1:]:
        _place(op.operation, func.location)
        op.operation.detach_from_parent()
        module.body.append(op)
    for attribute in ("vertebra.kernel", SCRATCH_BYTES, MODE, PROGRAMS_WAIT, *_TOLD):
        if attribute in func.attributes:
            del func.attributes[attribute]


def _place(op, location) -> None:
    """Puts `op` and all that is inside at `location`: debuggers show it, and the text above has no file."""

    def visit(inner):
        inner.location = location
        for region in inner.regions:
            for argument in (a for block in region for a in block.arguments):
                argument.set_location(location)
        return ir.WalkResult.ADVANCE

    op.walk(visit)


def _kernels(module) -> list:
    return [f.operation for f in module.body.operations if "vertebra.arguments" in f.operation.attributes]


def _mode_of(func) -> dict[str, str]:
    """What enters and leaves the mode that the whole kernel runs in, as operations."""
    if MODE not in func.attributes:
        return {"enter": "", "leave": ""}
    enter, leave = func.attributes[MODE]
    return {
        "enter": f'  %state = llvm.inline_asm has_side_effects {enter}, "=r,~{{memory}}" : () -> i64',
        "leave": f'  llvm.inline_asm has_side_effects {leave}, "r,~{{memory}}" %state : (i64) -> ()',
    }


def _unpack(func, slot: int, type, loads: list) -> list[tuple[str, str]]:
    """Adds the load of argument `slot`; returns the operands that it becomes."""
    at, value = f"%at{slot}", f"%a{slot}"
    loads.append(f"  {at} = llvm.getelementptr %args[{slot}] : (!llvm.ptr) -> !llvm.ptr, i64")
    if isinstance(type, ir.MemRefType):
        loads.append(f"  {value} = llvm.load {at} : !llvm.ptr -> !llvm.ptr")
        return _descriptor(value, type)
    if not isinstance(type, ir.IntegerType | ir.FloatType):
        raise CompileError(f"a kernel argument of type {type}", at=func)
    loads.append(f"  {value} = llvm.load {at} : !llvm.ptr -> {type}")
    return [(value, str(type))]


def _descriptor(pointer: str, type) -> list[tuple[str, str]]:
    """A memref of rank 1, or of rank 0 without extents, as its scalars."""
    fields = [(pointer, "!llvm.ptr"), (pointer, "!llvm.ptr"), ("%zero", "i64")]
    if type.rank:
        fields += [("%unbounded", "i64"), ("%one", "i64")]
    return fields
