"""Printing and assertions become calls of a runtime's services."""

import numpy as np
import pytest
from evaluate import lowered, names_in

from vertebra.core.context import context
from vertebra.core.mlir import ir

GRID = ", ".join(f"%g{i}: i32" for i in range(6))


def kernel(arguments: str, body: str):
    return lowered(f"func.func @f({arguments}, {GRID}) {{\n{body}\nreturn\n}}")


def calls(module) -> list[str]:
    found = []

    def visit(op):
        if op.name == "func.call":
            found.append(op.attributes["callee"].value)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


def texts(module) -> list[bytes]:
    """The constants that the calls are given, as bytes."""
    return [
        np.array(op.attributes["initial_value"]).astype(np.uint8).tobytes()
        for op in module.body.operations
        if op.operation.name == "memref.global"
    ]


def test_an_assertion_calls_once_for_all_its_elements():
    with context(), ir.Location.unknown():
        module = kernel(
            "%x: tensor<4x8xi1>, %s: i1",
            'tt.assert %x, "in bounds" : tensor<4x8xi1>\ntt.assert %s, "positive" : i1',
        )
        module.operation.verify()
        names, found, said = names_in(module), calls(module), texts(module)
    assert names.count("linalg.reduce") == 1 and names.count("scf.if") == 2
    assert found == ["vertebra_fail"] * 2
    assert said[0].endswith(b"assertion failed: in bounds\0")
    assert said[1].endswith(b"assertion failed: positive\0")


@pytest.mark.parametrize(
    "kind, attributes, what",
    [
        ("tensor<4x8xi32>", "hex = false, isSigned = array<i32: 1>", b"d\x08\x02\x04\0\0\0\x08\0\0\0"),
        ("tensor<2xi16>", "hex = false, isSigned = array<i32: 0>", b"u\x04\x01\x02\0\0\0"),
        ("i64", "hex = true, isSigned = array<i32: 1>", b"x\x10\0"),
        ("i1", "hex = true, isSigned = array<i32: 0>", b"x\x01\0"),
        ("tensor<2xf16>", "hex = false, isSigned = array<i32: 0>", b"f\0\x01\x02\0\0\0"),
        ("tensor<2xf8E5M2>", "hex = true, isSigned = array<i32: 0>", b"x\x02\x01\x02\0\0\0"),
        ("f64", "hex = false, isSigned = array<i32: 0>", b"f\0\0"),
    ],
)
def test_a_print_says_how_its_values_are_written(kind, attributes, what):
    with context(), ir.Location.unknown():
        module = kernel(f"%x: {kind}", f'tt.print " v: " {{{attributes}}} : %x : {kind}')
        module.operation.verify()
        found, (said,) = calls(module), texts(module)
        names = names_in(module)
    assert found == ["vertebra_print"]
    assert said == b" v: \0" + what
    assert ("linalg.generic" in names) == ("tensor" in kind)


def test_a_print_without_values_and_one_of_two():
    with context(), ir.Location.unknown():
        module = kernel(
            "%x: i32, %y: f32",
            'tt.print "here" {hex = false, isSigned = array<i32>}\n'
            'tt.print " v: " {hex = false, isSigned = array<i32: 1, 0>} : %x, %y : i32, f32',
        )
        found, said = calls(module), texts(module)
    assert found == ["vertebra_print"] * 3
    assert said == [b"here\0-\0\0", b" v: (operand 0) \0d\x08\0", b" v: (operand 1) \0f\0\0"]
