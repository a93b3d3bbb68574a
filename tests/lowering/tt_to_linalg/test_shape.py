"""Moving elements, compared with NumPy."""

import numpy as np
import pytest
from evaluate import floats, run

from vertebra.core.errors import CompileError
from vertebra.lowering.tt_to_linalg.shape import common_groups

RNG = np.random.default_rng(0)


def test_range_expand_broadcast():
    got = run(
        """
        func.func @f() -> tensor<4x8xi32> {
          %a = tt.make_range {start = 3 : i32, end = 7 : i32} : tensor<4xi32>
          %b = tt.make_range {start = 0 : i32, end = 8 : i32} : tensor<8xi32>
          %c = tt.expand_dims %a {axis = 1 : i32} : tensor<4xi32> -> tensor<4x1xi32>
          %d = tt.expand_dims %b {axis = 0 : i32} : tensor<8xi32> -> tensor<1x8xi32>
          %e = tt.broadcast %c : tensor<4x1xi32> -> tensor<4x8xi32>
          %g = tt.broadcast %d : tensor<1x8xi32> -> tensor<4x8xi32>
          %h = arith.muli %e, %g : tensor<4x8xi32>
          return %h : tensor<4x8xi32>
        }""",
        out=[((4, 8), np.int32)],
    )
    np.testing.assert_array_equal(got, np.arange(3, 7)[:, None] * np.arange(8))


def test_trans_of_rank_3():
    x = floats(2, 3, 4)
    got = run(
        """
        func.func @f(%x: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
          %y = tt.trans %x {order = array<i32: 2, 0, 1>} : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
          return %y : tensor<4x2x3xf32>
        }""",
        x,
        out=[((4, 2, 3), np.float32)],
    )
    np.testing.assert_array_equal(got, x.transpose(2, 0, 1))


@pytest.mark.parametrize("want", [(24,), (2, 2, 6), (3, 8), (24, 1), (1, 4, 3, 2), (8, 3)])
def test_reshape(want):
    x, shape = floats(4, 6), "x".join(map(str, want))
    got = run(
        f"""
        func.func @f(%x: tensor<4x6xf32>) -> tensor<{shape}xf32> {{
          %y = tt.reshape %x : tensor<4x6xf32> -> tensor<{shape}xf32>
          return %y : tensor<{shape}xf32>
        }}""",
        x,
        out=[(want, np.float32)],
    )
    np.testing.assert_array_equal(got, x.reshape(want))


def test_common_groups_are_the_finest():
    assert common_groups([4, 6], [2, 2, 6]) == [([0], [0, 1]), ([1], [2])]
    assert common_groups([4, 6], [3, 8]) == [([0, 1], [0, 1])]
    assert common_groups([16], [1, 16, 1]) == [([0], [0, 1, 2])]
    with pytest.raises(CompileError, match="from 24 to 25"):
        common_groups([4, 6], [25])


def test_cat_join_split():
    x, y = floats(2, 4), floats(2, 4)
    cat, joined, left, right = run(
        """
        func.func @f(%x: tensor<2x4xf32>, %y: tensor<2x4xf32>)
            -> (tensor<4x4xf32>, tensor<2x4x2xf32>, tensor<2x4xf32>, tensor<2x4xf32>) {
          %c = tt.cat %x, %y : tensor<2x4xf32> -> tensor<4x4xf32>
          %j = tt.join %x, %y : tensor<2x4xf32> -> tensor<2x4x2xf32>
          %l, %r = tt.split %j : tensor<2x4x2xf32> -> tensor<2x4xf32>
          return %c, %j, %l, %r : tensor<4x4xf32>, tensor<2x4x2xf32>, tensor<2x4xf32>, tensor<2x4xf32>
        }""",
        x,
        y,
        out=[((4, 4), np.float32), ((2, 4, 2), np.float32), ((2, 4), np.float32), ((2, 4), np.float32)],
    )
    np.testing.assert_array_equal(cat, np.concatenate([x, y]))
    np.testing.assert_array_equal(joined, np.stack([x, y], -1))
    np.testing.assert_array_equal(left, x)
    np.testing.assert_array_equal(right, y)


@pytest.mark.parametrize("axis", [0, 1])
def test_gather_stays_inside(axis):
    x = floats(4, 8)
    at = RNG.integers(0, x.shape[axis], (4, 8), dtype=np.int32)
    wild = at.copy()
    wild[0, 0] = -1
    got = run(
        f"""
        func.func @f(%x: tensor<4x8xf32>, %i: tensor<4x8xi32>) -> tensor<4x8xf32> {{
          %y = tt.gather %x[%i] {{axis = {axis} : i32}} :
              (tensor<4x8xf32>, tensor<4x8xi32>) -> tensor<4x8xf32>
          return %y : tensor<4x8xf32>
        }}""",
        x,
        wild,
        out=[((4, 8), np.float32)],
    )
    at[0, 0] = x.shape[axis] - 1
    np.testing.assert_array_equal(got, np.take_along_axis(x, at.astype(np.int64), axis))
