"""Integer arithmetic at its edges."""

import numpy as np
from evaluate import lowered, names_in, run

from vertebra.core.context import context
from vertebra.core.mlir import ir


def test_integers_that_would_trap():
    low = -(2**31)
    x = np.array([7, -7, low, 5, low, 0], np.int32)
    y = np.array([2, 2, -1, 0, 0, 0], np.int32)
    quotient, remainder, unsigned, rest = run(
        """
        func.func @f(%x: tensor<6xi32>, %y: tensor<6xi32>)
            -> (tensor<6xi32>, tensor<6xi32>, tensor<6xi32>, tensor<6xi32>) {
          %a = arith.divsi %x, %y : tensor<6xi32>
          %b = arith.remsi %x, %y : tensor<6xi32>
          %c = arith.divui %x, %y : tensor<6xi32>
          %d = arith.remui %x, %y : tensor<6xi32>
          return %a, %b, %c, %d : tensor<6xi32>, tensor<6xi32>, tensor<6xi32>, tensor<6xi32>
        }""",
        x,
        y,
        out=[((6,), np.int32)] * 4,
    )
    np.testing.assert_array_equal(quotient, [3, -3, low, 5, low, 0])
    np.testing.assert_array_equal(remainder, [1, -1, 0, 0, 0, 0])
    np.testing.assert_array_equal(unsigned.view(np.uint32), [3, (2**32 - 7) // 2, 0, 5, 2**31, 0])
    np.testing.assert_array_equal(rest, [1, 1, low, 0, 0, 0])


def test_division_by_a_repeated_scalar_is_guarded_on_the_scalar():
    text = """
        func.func @f(%x: tensor<4xi32>, %n: i32) -> (tensor<4xi32>, tensor<4xi32>) {
          %y = tt.splat %n : i32 -> tensor<4xi32>
          %a = arith.divsi %x, %y : tensor<4xi32>
          %b = arith.remsi %x, %y : tensor<4xi32>
          return %a, %b : tensor<4xi32>, tensor<4xi32>
        }"""
    x = np.array([7, -7, -(2**31), 0], np.int32)
    for n, quotient, remainder in (
        (2, [3, -3, -(2**30), 0], [1, -1, 0, 0]),
        (0, x, [0] * 4),
        (-1, -x, [0] * 4),
    ):
        got = run(text, x, n, out=[((4,), np.int32)] * 2)
        np.testing.assert_array_equal(got[0], quotient)
        np.testing.assert_array_equal(got[1], remainder)
    with context(), ir.Location.unknown():
        module = lowered(text)
        types = []
        module.operation.walk(
            lambda op: (
                (types.append(str(op.operands[0].type)) if op.name == "arith.cmpi" else None)
                or ir.WalkResult.ADVANCE
            )
        )
    assert set(types) == {"i32"}


def test_division_by_a_constant_is_left_alone():
    text = """
        func.func @f(%x: tensor<4xi32>) -> tensor<4xi32> {
          %y = arith.constant dense<3> : tensor<4xi32>
          %a = arith.divsi %x, %y : tensor<4xi32>
          %b = arith.shli %a, %y : tensor<4xi32>
          return %b : tensor<4xi32>
        }"""
    with context(), ir.Location.unknown():
        assert "arith.select" not in names_in(lowered(text))


def test_shifts_beyond_the_width():
    x = np.array([-8, -8, -8, 5], np.int32)
    s = np.array([1, 31, 32, 100], np.int32)
    left, logical, arithmetic = run(
        """
        func.func @f(%x: tensor<4xi32>, %s: tensor<4xi32>) -> (tensor<4xi32>, tensor<4xi32>, tensor<4xi32>) {
          %a = arith.shli %x, %s : tensor<4xi32>
          %b = arith.shrui %x, %s : tensor<4xi32>
          %c = arith.shrsi %x, %s : tensor<4xi32>
          return %a, %b, %c : tensor<4xi32>, tensor<4xi32>, tensor<4xi32>
        }""",
        x,
        s,
        out=[((4,), np.int32)] * 3,
    )
    np.testing.assert_array_equal(left, [-16, 0, 0, 0])
    np.testing.assert_array_equal(logical, [0x7FFFFFFC, 1, 0, 0])
    np.testing.assert_array_equal(arithmetic, [-4, -1, -1, 0])
