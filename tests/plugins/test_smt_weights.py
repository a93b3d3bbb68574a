"""Weights made for matrix engines, sparse ones and quantised ones, and errors where they do not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vertebra.core.errors import ConfigError
from vertebra.plugins.xsmt import weights

MATRICES = st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda size: arrays(np.int8, (4 * size[0], size[1]), elements=st.integers(-128, 127))
)


@given(MATRICES)
def test_pruned_weights_come_back(matrix):
    pruned = weights.prune(matrix)
    values, mask = weights.compress(pruned)
    assert values.shape == (len(matrix) // 2, matrix.shape[1]) and mask.shape == (
        len(matrix) // 4,
        matrix.shape[1],
    )
    weights.check_mask(mask, values.shape)
    np.testing.assert_array_equal(weights.expand(values, mask), pruned)


@given(MATRICES)
def test_the_largest_two_of_four_are_kept(matrix):
    sizes = np.sort(np.abs(matrix.astype(int)).reshape(-1, 4, matrix.shape[1]), axis=1)
    kept = np.sort(np.abs(weights.prune(matrix).astype(int)).reshape(sizes.shape), axis=1)
    np.testing.assert_array_equal(kept[:, 2:], sizes[:, 2:])
    assert not kept[:, :2].any()


def test_masks_name_rows_from_the_lowest_bit():
    dense = np.array([[0, 5], [7, 0], [0, 0], [9, 6]], np.int8)
    values, mask = weights.compress(dense)
    np.testing.assert_array_equal(mask, [[0b1010, 0b1001]])
    np.testing.assert_array_equal(values, [[7, 5], [9, 6]])


def test_a_group_that_is_not_pruned_is_named():
    dense = np.zeros((8, 3), np.int8)
    dense[4:7, 2] = 1
    with pytest.raises(ConfigError, match=r"rows 4 to 7 of column 2 have 3 elements other than 0, not two"):
        weights.compress(dense)


def test_a_mask_that_is_not_two_of_four_is_named():
    mask = np.full((3, 2), 0b0011, np.uint8)
    mask[2, 1] = 0b0111
    with pytest.raises(ConfigError, match=r"rows 8 to 11 of column 1 have 3 bits, not two\nfix: .*0b1100"):
        weights.check_mask(mask)
    mask[0, 0] = 0
    with pytest.raises(ConfigError, match=r"rows 0 to 3 of column 0 have 0 bits, not two; 2 of 6 groups"):
        weights.check_mask(mask)


def test_a_mask_of_another_size_is_told_what_it_fits():
    with pytest.raises(
        ConfigError, match=r"a mask of 2 x 3 does not fit values of 4 x 4\nfix: it fits 4 x 3"
    ):
        weights.check_mask(np.full((2, 3), 3, np.uint8), (4, 4))
    with pytest.raises(ConfigError, match="float32"):
        weights.check_mask(np.zeros((2, 3), np.float32))


def test_rows_that_make_no_groups_of_four():
    with pytest.raises(ConfigError, match="multiple of 4"):
        weights.prune(np.zeros((6, 2), np.int8))


@pytest.mark.parametrize("bits, top", [(8, 127), (4, 7)])
def test_quantised_weights(bits, top):
    rng = np.random.default_rng(bits)
    matrix = rng.standard_normal((96, 5)).astype(np.float32)
    matrix[32:64, 1] = 0
    codes, scales = weights.quantise(matrix, bits=bits)
    assert codes.shape == (96, 5) and scales.shape == (3, 5) and scales.dtype == np.float16
    assert np.abs(codes).max() == top and not codes[32:64, 1].any()
    wide = np.repeat(scales.astype(np.float64), 32, axis=0)
    bound = wide / 2 + np.abs(matrix) * 2.0**-11 + 1e-12
    assert (np.abs(codes * wide - matrix) <= bound).all()


def test_scales_that_do_not_fit():
    weights.check_scales((64, 8), (2, 8))
    with pytest.raises(ConfigError, match=r"scales of 4 x 8 do not fit .* 64 x 8 .*\nfix: use 2 x 8 scales"):
        weights.check_scales((64, 8), (4, 8))
    with pytest.raises(ConfigError, match=r"K = 40 is no multiple .*\nfix: pad K to 64"):
        weights.quantise(np.zeros((40, 8), np.float32))
    with pytest.raises(ConfigError, match=r"3 bits\nfix: use 4 or 8"):
        weights.quantise(np.zeros((32, 8), np.float32), bits=3)
