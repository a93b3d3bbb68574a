"""tt.print and tt.assert: calls of the services that every runtime has (core/native/services.h).

A tensor is printed element by element, in row-major order, from inside a linalg.generic.
"""

import struct

from vertebra.core.errors import place_of
from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, ir, scf
from vertebra.dialects import tt
from vertebra.lowering.service_calls import FAIL, call_service, program_of, text_address
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.conversion import convert_float, is_float8
from vertebra.lowering.tt_to_linalg.reduce import all_true

ADDRESSES = "vertebra.addresses"  # which operands of a tt.print were pointers
PRINT = "vertebra_print"


@pattern(tt.PrintOp)
def print_addresses(op):
    """Pointers among the operands become integers, as long as there are pointers."""
    places = [i for i, v in enumerate(op.args) if isinstance(build.element_of(v.type), tt.PtrType)]
    if not places:
        return None
    i64 = build.integer(64)
    values = [
        tt.PtrToIntOp(v, build.like(v.type, i64)).result if i in places else v for i, v in enumerate(op.args)
    ]
    new = tt.PrintOp(op.prefix.value, op.hex.value, values, list(op.isSigned))
    new.operation.attributes[ADDRESSES] = ir.DenseI32ArrayAttr.get(places)
    return []


@pattern(tt.PrintOp)
def print_to_calls(op):
    """One line for every element of every operand, in Triton's own format."""
    prefix = op.prefix.value
    operands = list(op.args)
    addresses = list(op.attributes[ADDRESSES]) if ADDRESSES in op.attributes else []
    if not operands:
        none = build.constant(build.integer(64), 0)
        _call_print(op, _text(op, prefix, "-", 0, []), none, none)
    for number, (operand, signed) in enumerate(zip(operands, op.isSigned, strict=True)):
        counted = f"{prefix}(operand {number}) " if len(operands) > 1 else prefix
        kind, digits, bits = _bits(operand, bool(signed), op.hex.value)
        kind = "p" if number in addresses else kind
        what = _text(op, counted, kind, digits, build.shape_of(operand))
        if build.is_tensor(bits):
            _print_tensor(op, what, bits)
        else:
            _call_print(op, what, build.constant(build.integer(64), 0), bits)
    return []


@pattern(tt.AssertOp)
def assert_to_call(op):
    """Ends the launch where an element of the condition is false."""
    holds = all_true(op.condition) if build.is_tensor(op.condition) else op.condition
    place = place_of(op.location)
    text = f"{place}: assertion failed" if place else "assertion failed"
    text += f": {op.message.value}" if op.message.value else ""
    fails = arith.xori(holds, build.constant(holds.type, 1))
    branch = scf.IfOp(fails)
    with ir.InsertionPoint(branch.then_block):
        call_service(op, FAIL, [text_address(op, text.encode() + b"\0"), *program_of(op)])
        scf.YieldOp([])
    return []


def _bits(value: ir.Value, signed: bool, hexadecimal: bool) -> tuple[str, int, ir.Value]:
    """(the letter of services.h, hexadecimal digits, `value` as i64 of the same shape)."""
    element = build.element_of(value.type)
    i64 = build.like(value.type, build.integer(64))
    if not isinstance(element, ir.FloatType):
        extend = arith.extsi if signed and not hexadecimal else arith.extui
        wide = value if element.width == 64 else extend(i64, value)
        return "x" if hexadecimal else "d" if signed else "u", max(1, element.width // 4), wide
    if hexadecimal:
        code = arith.bitcast(build.like(value.type, build.integer(element.width)), value)
        return "x", element.width // 4, code if element.width == 64 else arith.extui(i64, code)
    if is_float8(element):
        value = convert_float(value, build.like(value.type, ir.F32Type.get()))
    f64 = build.like(value.type, ir.F64Type.get())
    return "f", 0, arith.bitcast(i64, convert_float(value, f64))


def _print_tensor(op, what: ir.Value, bits: ir.Value) -> None:
    shape = list(bits.type.shape)

    def body(value):
        index, total = ir.IndexType.get(), build.index(0)
        for d, size in enumerate(shape):
            total = arith.addi(arith.muli(total, build.constant(index, size)), build.loop_index(d))
        _call_print(op, what, arith.index_cast(build.integer(64), total), value)
        return value

    build.generic(bits.type, [bits], [build.identity_map(len(shape))], body)


def _call_print(op, what: ir.Value, element: ir.Value, value: ir.Value) -> None:
    call_service(op, PRINT, [what, *program_of(op), element, value])


def _text(op, prefix: str, kind: str, digits: int, shape: list[int]) -> ir.Value:
    """The address of what services.h calls `what`."""
    form = struct.pack("<cBB", kind.encode(), digits, len(shape)) + struct.pack(f"<{len(shape)}i", *shape)
    return text_address(op, prefix.replace("\0", " ").encode() + b"\0" + form)


PATTERNS = (print_to_calls, assert_to_call)
