"""Conversions between float types, compared with PyTorch."""

import numpy as np
import pytest
import torch
from evaluate import floats, run

RNG = np.random.default_rng(0)


F8 = {
    "f8E5M2": torch.float8_e5m2,
    "f8E4M3FN": torch.float8_e4m3fn,
    "f8E5M2FNUZ": torch.float8_e5m2fnuz,
    "f8E4M3FNUZ": torch.float8_e4m3fnuz,
}


@pytest.mark.parametrize("name", F8)
@pytest.mark.parametrize("wide", ["f32", "f16"])
def test_every_code_of_8_bit_floats(name, wide):
    codes = np.arange(256, dtype=np.uint8)
    dtype = {"f32": np.float32, "f16": np.float16}[wide]
    got = run(
        f"""
        func.func @f(%x: tensor<256xi8>) -> tensor<256x{wide}> {{
          %a = tt.bitcast %x : tensor<256xi8> -> tensor<256x{name}>
          %b = tt.fp_to_fp %a : tensor<256x{name}> -> tensor<256x{wide}>
          return %b : tensor<256x{wide}>
        }}""",
        codes,
        out=[((256,), dtype)],
    )
    want = torch.from_numpy(codes).view(F8[name]).to(torch.float32).numpy().astype(dtype)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(
        np.signbit(got), np.signbit(want) & ~np.isnan(want) | np.signbit(got) & np.isnan(want)
    )


def _encode(x, name, rounding):
    return run(
        f"""
        func.func @f(%x: tensor<{len(x)}xf32>) -> tensor<{len(x)}xi8> {{
          %a = tt.fp_to_fp %x, rounding = {rounding} : tensor<{len(x)}xf32> -> tensor<{len(x)}x{name}>
          %b = tt.bitcast %a : tensor<{len(x)}x{name}> -> tensor<{len(x)}xi8>
          return %b : tensor<{len(x)}xi8>
        }}""",
        x,
        out=[((len(x),), np.uint8)],
    )


@pytest.mark.parametrize("name", F8)
def test_encoding_8_bit_floats_rounds_to_nearest_even(name):
    """Every representable value, the middle between neighbours, and both sides of it."""
    values = torch.arange(256, dtype=torch.uint8).view(F8[name]).to(torch.float64).numpy()
    values = np.unique(values[np.isfinite(values)])
    middles = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    sides = [np.nextafter(middles, np.float32(far)) for far in (-9e9, 9e9)]
    special = np.array([np.nan, 0.0, -0.0], np.float32)
    x = np.concatenate([values.astype(np.float32), middles, *sides, special])
    got = _encode(x, name, "rtne")
    want = torch.from_numpy(x).to(F8[name]).view(torch.uint8).numpy()
    nan = np.isnan(x)
    np.testing.assert_array_equal(got[~nan], want[~nan])
    assert np.isnan(torch.from_numpy(got[nan]).view(F8[name]).to(torch.float32).numpy()).all()


@pytest.mark.parametrize("name", F8)
def test_encoding_8_bit_floats_saturates_and_truncates(name):
    values = torch.arange(256, dtype=torch.uint8).view(F8[name]).to(torch.float32).numpy()
    values = np.unique(values[np.isfinite(values)])
    largest = values[-1]
    big = np.array([largest * 1.5, np.inf, -np.inf, -3e38], np.float32)
    decode = lambda codes: torch.from_numpy(codes).view(F8[name]).to(torch.float32).numpy()  # noqa: E731
    for rounding in ("rtne", "rtz"):
        np.testing.assert_array_equal(
            decode(_encode(big, name, rounding)), [largest, largest, -largest, -largest]
        )
    x = RNG.uniform(-1, 1, 512).astype(np.float32) * np.float32(2.0) ** RNG.integers(-20, 5, 512)
    x = x.astype(np.float32)
    at = np.searchsorted(values, np.abs(x), side="right") - 1
    want = np.copysign(values[at], x)
    np.testing.assert_array_equal(decode(_encode(x, name, "rtz")), want)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("to", ["f16", "bf16"])
def test_rounding_towards_zero(to):
    x = np.concatenate([floats(64), [np.inf, -np.inf, np.nan, 65519, 70000, -3.4e38, 1e-7, 0]]).astype(
        np.float32
    )
    n = len(x)
    got = run(
        f"""
        func.func @f(%x: tensor<{n}xf32>) -> tensor<{n}xf32> {{
          %a = tt.fp_to_fp %x, rounding = rtz : tensor<{n}xf32> -> tensor<{n}x{to}>
          %b = tt.fp_to_fp %a : tensor<{n}x{to}> -> tensor<{n}xf32>
          return %b : tensor<{n}xf32>
        }}""",
        x,
        out=[((n,), np.float32)],
    )
    bits = x.view(np.uint32) & 0xFFFF0000
    if to == "bf16":
        want = bits.view(np.float32)
    else:
        near = x.astype(np.float16)
        want = np.where(np.abs(near.astype(np.float64)) > np.abs(x), np.nextafter(near, np.float16(0)), near)
        want = want.astype(np.float32)
    np.testing.assert_array_equal(got, want)
