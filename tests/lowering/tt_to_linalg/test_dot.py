"""Matrix products, plain and scaled, compared with NumPy."""

import numpy as np
import pytest
import torch
from evaluate import floats, run

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "side, acc",
    [(np.float32, np.float32), (np.float16, np.float32), (np.int8, np.int32), (np.float16, np.float16)],
)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_dot(side, acc, batch):
    mlir = {np.float32: "f32", np.float16: "f16", np.int8: "i8", np.int32: "i32"}
    a = (RNG.integers(-8, 8, (*batch, 4, 8))).astype(side)
    b = (RNG.integers(-8, 8, (*batch, 8, 16))).astype(side)
    c = (RNG.integers(-8, 8, (*batch, 4, 16))).astype(acc)
    x = "".join(f"{n}x" for n in batch)
    ta, tb, tc = (
        f"tensor<{x}4x8x{mlir[side]}>",
        f"tensor<{x}8x16x{mlir[side]}>",
        f"tensor<{x}4x16x{mlir[acc]}>",
    )
    got = run(
        f"""
        func.func @f(%a: {ta}, %b: {tb}, %c: {tc}) -> {tc} {{
          %d = tt.dot %a, %b, %c, inputPrecision = tf32 : {ta} * {tb} -> {tc}
          return %d : {tc}
        }}""",
        a,
        b,
        c,
        out=[((*batch, 4, 16), acc)],
    )
    np.testing.assert_array_equal(got, a.astype(acc) @ b.astype(acc) + c)


E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
E2M1 = np.concatenate([E2M1, -E2M1])


def _two_in_a_byte(codes, axis):
    low, high = (np.take(codes, range(half, codes.shape[axis], 2), axis) for half in (0, 1))
    return (low | high << 4).astype(np.uint8)


@pytest.mark.parametrize("k_pack", [True, False])
def test_dot_scaled(k_pack):
    """e2m1 on the left, packed either way, with scales in groups of 32; f8E5M2 on the right, with scales."""
    m, n, k = 4, 8, 64
    a = RNG.integers(0, 16, (m, k)).astype(np.uint8)
    b = RNG.integers(0, 0x7C, (k, n)).astype(np.uint8) | RNG.integers(0, 2, (k, n)).astype(np.uint8) << 7
    b &= 0xBF
    sa = RNG.integers(120, 130, (m, k // 32)).astype(np.uint8)
    sb = RNG.integers(120, 130, (n, k // 32)).astype(np.uint8)
    sb[0, 0] = 0
    c = floats(m, n)
    shape = f"{m}x{k // 2}" if k_pack else f"{m // 2}x{k}"
    got = run(
        f"""
        func.func @f(%a: tensor<{shape}xi8>, %sa: tensor<4x2xi8>, %b: tensor<64x8xi8>, %sb: tensor<8x2xi8>,
                     %c: tensor<4x8xf32>) -> tensor<4x8xf32> {{
          %e = tt.bitcast %b : tensor<64x8xi8> -> tensor<64x8xf8E5M2>
          %d = tt.dot_scaled %a scale %sa, %e scale %sb, %c lhs = e2m1 rhs = e5m2
              {{fastMath = false, lhs_k_pack = {str(k_pack).lower()}}} :
              tensor<{shape}xi8>, tensor<4x2xi8> * tensor<64x8xf8E5M2>, tensor<8x2xi8> -> tensor<4x8xf32>
          return %d : tensor<4x8xf32>
        }}""",
        _two_in_a_byte(a, 1 if k_pack else 0),
        sa,
        b,
        sb,
        c,
        out=[((m, n), np.float32)],
    )
    left = E2M1[a].astype(np.float64) * np.exp2(sa.astype(np.float64) - 127).repeat(32, 1)
    right = torch.from_numpy(b).view(torch.float8_e5m2).to(torch.float64).numpy()
    right *= np.exp2(sb.astype(np.float64) - 127).repeat(32, 1).T
    np.testing.assert_allclose(got, left @ right + c, rtol=1e-5, atol=1e-5)
