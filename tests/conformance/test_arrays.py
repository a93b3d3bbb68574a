"""The judge itself: it must notice what it is there to notice."""

import numpy as np
import pytest
import torch

from .arrays import GUARD, Memory, check_close, decode, encode, given, normal, output


def test_bf16_rounds_as_torch_does():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**32, 4000, dtype=np.uint64).astype(np.uint32)
    values = np.append(words.view(np.float32), np.float32([1.00390625, 1.01171875, np.inf, np.nan, 3.4e38]))
    want = torch.from_numpy(values).to(torch.bfloat16).to(torch.float64).numpy()
    np.testing.assert_array_equal(decode("bf16", encode("bf16", values)), want)


@pytest.mark.parametrize("dtype", ["f32", "bf16", "u16", "i1"])
def test_arguments_share_the_memory_that_is_judged(dtype):
    memory = Memory(given(dtype, [1, 0, 1]), "seed")
    tensor = memory.argument()
    assert tensor.data_ptr() == memory.stored.ctypes.data
    tensor[1] = 1
    np.testing.assert_array_equal(memory.result(), [1, 1, 1])
    with pytest.raises(AssertionError, match="1 elements changed: at \\[1\\]"):
        memory.check_unchanged("x")


@pytest.mark.parametrize("offset", [-1, -GUARD, 12, 12 + GUARD - 1])
def test_a_write_beside_the_array_is_noticed(offset):
    memory = Memory(normal("f32", 3), "seed")
    memory.check_surroundings("x")
    memory.owner[GUARD + offset] ^= 1
    with pytest.raises(AssertionError, match="1 bytes of its guard zones"):
        memory.check_surroundings("x")


def test_a_write_between_the_elements_of_a_view_is_noticed():
    memory = Memory(output("f32", 6, view=lambda a: a[::-2]), "seed")
    memory.viewed[0] = 5
    memory.check_surroundings("x")
    memory.stored[0] = 5
    with pytest.raises(AssertionError, match="1 elements outside its view"):
        memory.check_surroundings("x")


def test_negative_strides_point_at_the_first_element():
    memory = Memory(given("f32", np.arange(6.0), view=lambda a: a[::-1]), "seed")
    assert memory.argument().strides == (-4,)
    assert memory.pointer().item() == 5


@pytest.mark.parametrize(
    "dtype, got, want",
    [
        ("f32", 1 + 3 * 2.0**-23, 1.0),
        ("f16", np.inf, 65000.0),
        ("f32", np.nan, 1.0),
        ("f32", 1.0, np.nan),
        ("f32", -np.inf, np.inf),
        ("f32", 1.0, np.inf),
        ("i32", 3, 4),
    ],
)
def test_wrong_values_are_noticed(dtype, got, want):
    with pytest.raises(AssertionError, match="1 of 1 elements are wrong"):
        check_close("out", dtype, np.array([got]), np.array([want]), 2.0, 0.0)


@pytest.mark.parametrize(
    "dtype, got, want",
    [
        ("f32", 1 + 2 * 2.0**-23, 1.0),
        ("f16", np.inf, 70000.0),
        ("f32", np.nan, np.nan),
        ("f32", np.inf, np.inf),
        ("i8", np.int8(-1), 255),
    ],
)
def test_right_values_pass(dtype, got, want):
    check_close("out", dtype, np.array([got]), np.array([want]), 2.0, 0.0)
