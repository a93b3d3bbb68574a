"""What a debugger shows of a kernel's arguments and of the program it stops in.

The function that is one program becomes, for debuggers, the kernel itself, with its arguments as parameters
and with the program's number along each axis beside them. Values are told where they are live.
"""

import json
import os
import re

from vertebra.core.errors import place_of
from vertebra.core.mlir import ir

ARGUMENTS = "vertebra.arguments"  # on a kernel: the types of its arguments, in order
PROGRAM = "__program"  # behind a kernel's name: the function that is one program
_HIDDEN = ("grid_0", "grid_1", "grid_2", "program_id_0", "program_id_1", "program_id_2")
_NAME = re.compile(r'loc\("(\w+)"\(')
_FLOATS = {"f16": "_Float16", "f32": "float", "f64": "double"}

_TEXT = """
#file = #llvm.di_file<{file} in {folder}>
#unit = #llvm.di_compile_unit<id = distinct[0]<>, sourceLanguage = DW_LANG_C, file = #file,
                              producer = "vertebra", isOptimized = true, emissionKind = Full>
#types = #llvm.di_subroutine_type<callingConvention = DW_CC_normal>
#kernel = #llvm.di_subprogram<id = distinct[1]<>, compileUnit = #unit, scope = #file, name = {name},
                              file = #file, line = {line}, scopeLine = {line},
                              subprogramFlags = "Definition|Optimized", type = #types>
module attributes {{test.variables = [{variables}]}} {{
}} loc(fused<#kernel>[{place}])
"""
_VARIABLE = (
    "#llvm.di_local_variable<scope = #kernel, name = {name}, file = #file, "
    "line = {line}, {number}type = {type}>"
)


def describe_variables(module, core=None, options=None) -> None:
    """Gives each kernel's function for one program its debugging information, with variables."""
    for func in module.body.operations:
        func = func.operation
        if ARGUMENTS not in func.attributes:
            continue
        types = [attribute.value for attribute in func.attributes[ARGUMENTS]]
        del func.attributes[ARGUMENTS]
        place = place_of(func.location)
        if place is not None:
            _describe(func, types, place)
        else:
            _place_calls(module)


def _place_calls(module) -> None:
    """Line tables need a place for every call; in IR that has none they are here."""

    def visit(op):
        if op.name == "llvm.call" and place_of(op.location) is None:
            op.location = ir.Location.file("-", 1, 1, op.context)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)


def _describe(func, types, place) -> None:
    symbol = func.attributes["sym_name"].value
    found = _variables(func, types)
    text = _TEXT.format(
        file=json.dumps(os.path.basename(place.filename), ensure_ascii=False),
        folder=json.dumps(os.path.dirname(place.filename), ensure_ascii=False),
        name=json.dumps(symbol.removesuffix(PROGRAM)),
        line=place.line,
        place=f"{json.dumps(place.filename, ensure_ascii=False)}:{place.line}:{place.column}",
        variables=", ".join(
            _VARIABLE.format(
                name=json.dumps(name),
                line=place.line,
                number=f"arg = {number}, " if number else "",
                type=kind,
            )
            for name, _, kind, number in found
        ),
    )
    with func.context:
        made = ir.Module.parse(text).operation
        func.location = made.location
        block = func.regions[0].blocks[0]
        expression = ir.Attribute.parse("#llvm.di_expression<>")
        with ir.InsertionPoint.at_block_begin(block), made.location:
            for (_, value, _, _), variable in zip(found, made.attributes["test.variables"], strict=True):
                ir.Operation.create(
                    "llvm.intr.dbg.value",
                    operands=[value],
                    attributes={"varInfo": variable, "locationExpr": expression},
                )


def _variables(func, types) -> list[tuple[str, ir.Value, str, int]]:
    """(name, value, type, number among the parameters or 0) of what the function `func` is given."""
    values = list(func.regions[0].blocks[0].arguments)
    found, at = [], 0
    arguments = types[: -len(_HIDDEN) - 1]
    for number, type in enumerate(arguments, 1):
        if named := _NAME.match(str(values[at].location)):
            found.append((named[1], values[at], _type(type), number))
        at += _width(type)
    for name in _HIDDEN:
        found.append((name, values[at], _type(types[len(arguments)]), 0))
        at += 1
    assert at + _width(types[-1]) == len(values), func.attributes["sym_name"]
    return found


def _width(type) -> int:
    """How many values an argument is: a memref is two addresses and an offset, then sizes and strides."""
    return 3 + 2 * type.rank if isinstance(type, ir.MemRefType) else 1


def _type(type) -> str:
    """As an attribute; a number that C does not know is the integer of its bits."""
    if isinstance(type, ir.MemRefType):
        return (
            f"#llvm.di_derived_type<tag = DW_TAG_pointer_type, baseType = {_type(type.element_type)}, "
            "sizeInBits = 64>"
        )
    name = str(type)
    if name in _FLOATS:
        return _basic(_FLOATS[name], type.width, "DW_ATE_float")
    if name == "i1":
        return _basic("bool", 8, "DW_ATE_boolean")
    return _basic(f"int{type.width}_t", type.width, "DW_ATE_signed")


def _basic(name: str, bits: int, encoding: str) -> str:
    return (
        f"#llvm.di_basic_type<tag = DW_TAG_base_type, name = {json.dumps(name)}, sizeInBits = {bits}, "
        f"encoding = {encoding}>"
    )
