"""Running sums and products on the cores, compared with NumPy."""

import numpy as np
import pytest
from plugged import plugged, run, tensor_of

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("ttx"):
        yield


@pytest.mark.parametrize("core", ["host", "spacemit-x60"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int8])
@pytest.mark.parametrize("shape, axis", [((64,), 0), ((16, 8), 0), ((16, 8), 1), ((2, 4, 8), 1)])
def test_cumsum(core, dtype, shape, axis):
    x = RNG.integers(-9, 9, shape).astype(dtype)
    type = tensor_of(x)
    body = f"%y0 = ttx.cumsum {{axis = {axis} : ui32}} ins(%x0 : {type}) outs(%x1 : {type}) -> {type}"
    (got,) = run(core, body, [x, np.full_like(x, 99)], [np.zeros_like(x)])
    np.testing.assert_array_equal(got, np.cumsum(x, axis, dtype))


@pytest.mark.parametrize("core", ["host", "spacemit-x60"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("shape, axis", [((64,), 0), ((16, 8), 0), ((4, 1 << 13), 1)])
def test_from_the_other_end(core, dtype, name, shape, axis):
    x = RNG.choice([-1, 1, 1, 1] if name == "cumprod" else [-2, -1, 0, 3], shape).astype(dtype)
    type = tensor_of(x)
    form = f"{{axis = {axis} : ui32, reverse = true}} ins(%x0 : {type}) outs(%x0 : {type}) -> {type}"
    (got,) = run(core, f"%y0 = ttx.{name} {form}", [x], [np.zeros_like(x)])
    np.testing.assert_array_equal(got, np.flip(getattr(np, name)(np.flip(x, axis), axis, dtype), axis))
