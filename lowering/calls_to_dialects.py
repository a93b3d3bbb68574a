"""Calls that a frontend's builtins left -> the operations of the dialects that they stand for."""

from collections.abc import Iterator
from typing import Any

from vertebra.core import hooks
from vertebra.core.attributes import BoolAttr, I32Attr, I64ArrayAttr, StrAttr
from vertebra.core.dialect import Operation
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.operation_calls import OperationCall, decode

_ADDS = ("arith.addi", "arith.subi")


def calls_to_dialects(module, core, options) -> None:
    """Puts operations in the place of the calls, in order, and drops the declarations.

    A call that names `scf.for` and takes a loop's induction variable gives that loop its
    attributes.  Raises CompileError where no installed plugin has the operation.
    """
    stubs = {}
    for op in list(module.body.operations):
        name = op.operation.attributes["sym_name"].value if op.operation.name == "tt.func" else ""
        call = decode(name)
        if call is not None:
            stubs[name] = call, op
    if not stubs:
        return
    calls = []

    def collect(op):
        if op.name == "tt.call" and op.attributes["callee"].value in stubs:
            calls.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for op in calls:
        call, _ = stubs[op.attributes["callee"].value]
        if call.dialect == "scf":
            _mark_loop(op, call)
        else:
            _replace(op, call)
    for _, declaration in stubs.values():
        declaration.operation.erase()


def _mark_loop(op, call: OperationCall) -> None:
    loop = op.operation.parent
    if loop.name == f"{call.dialect}.{call.operation}":
        induction = loop.regions[0].blocks[0].arguments[0]
        if _comes_from(op.operands[0], induction):
            _check_carried(loop)
            for name, value in call.attributes.items():
                loop.attributes[name] = _attribute(value)
    op.operation.erase()


def _check_carried(loop) -> None:
    """Raises CompileError for a loop of parallel iterations that hand a scalar or a pointer on."""
    for carried in list(loop.regions[0].blocks[0].arguments)[1:]:
        if not isinstance(carried.type, ir.RankedTensorType):
            raise CompileError(
                f"iterations that may run at once hand on a value of type {carried.type}",
                at=loop,
                fix="store it to memory, compute it of the loop's variable, or pass bind_sub_block=False",
            )


def _comes_from(value, induction) -> bool:
    """Whether `value` is the induction variable, turned round at most (of a loop that counts down)."""
    if value == induction:
        return True
    owner = value.owner
    return (
        not isinstance(owner, ir.Block)
        and owner.name in _ADDS
        and any(_comes_from(operand, induction) for operand in owner.operands)
    )


def _replace(op, call: OperationCall) -> None:
    kind = _class_of(op, call)
    fields = call.fields(list(op.operands))
    results = dict(zip((f.name for f in kind.outputs.fields), (r.type for r in op.results), strict=True))
    declared = {f.name for f in kind._fields} | set(kind.optional_attributes)
    own = {n: v for n, v in call.attributes.items() if n in declared}
    with ir.InsertionPoint(op), op.location:
        made = kind(**fields, **results, **own)
    for name in call.attributes.keys() - own.keys():
        made.operation.attributes[name] = _attribute(call.attributes[name])
    for old, new in zip(list(op.results), made.operation.results, strict=True):
        old.replace_all_uses_with(new)
    op.operation.erase()


def _class_of(op, call: OperationCall) -> type[Operation]:
    name = f"{call.dialect}.{call.operation}"
    dialect = hooks.dialects().get(call.dialect)
    if dialect is None:
        raise CompileError(
            f"{name} belongs to dialect {call.dialect}, which no installed plugin has",
            at=op,
            fix=f"install the plugin {call.dialect}; `vertebra plugins` lists the installed ones",
        )
    for kind in _subclasses(dialect.Operation):
        if getattr(kind, "OPERATION_NAME", None) == name:
            return kind
    raise CompileError(
        f"dialect {call.dialect} has no operation {call.operation}",
        at=op,
        fix=f"install a version of plugin {call.dialect} that has it",
    )


def _subclasses(kind: type) -> Iterator[type]:
    sub: type
    for sub in kind.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def _attribute(value) -> ir.Attribute:
    """A Python value as the attribute of an operation that does not declare its kind."""
    if value is None:
        return ir.UnitAttr.get()
    kinds: dict[type, Any] = {bool: BoolAttr, int: I32Attr, str: StrAttr, list: I64ArrayAttr}
    return kinds[type(value)].of(value)
