"""Loads in tiles and a program's own memory on the cores, compared with NumPy."""

import numpy as np
import pytest
from plugged import packed, plugged, run, tensor_of, window

from vertebra.core.errors import CompileError

RNG = np.random.default_rng(0)
CORES = ["host", "spacemit-x60"]


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("xsmt"):
        yield


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    "n, shape", [(0, (32, 64)), (8, (32, 64)), (-8, (32, 64)), (0, (64, 128)), (4, (30, 50))]
)
def test_descriptor_load_view(core, n, shape):
    x = floats(32, 64)
    want = packed(window(x, (n, n), (32, 64), (32, 64)), (0, 0), shape, (8, 16))
    body = (
        f"%y0 = xsmt.descriptor_load_view %px0[%n, %n] shape [{shape[0]}, {shape[1]}] packed_size [8, 16]"
        f" : !tt.ptr<{tensor_of(x)}> -> {tensor_of(want)}"
    )
    (got,) = run(core, body, [x], [np.full_like(want, 7)], n)
    np.testing.assert_array_equal(got, want)


def test_hints_go():
    x = floats(4, 4)
    body = f"""
    xsmt.annotation %x0 {{tile = 8 : i32, fast}} : {tensor_of(x)}
    xsmt.annotation %px0 {{near}} : !tt.ptr<{tensor_of(x)}>
    %y0 = arith.negf %x0 : {tensor_of(x)}
    """
    (got,) = run("host", body, [x], [np.zeros_like(x)])
    np.testing.assert_array_equal(got, -x)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("shape", [(8, 16), (64, 64)])
def test_own_memory_keeps_what_was_stored(core, shape):
    """Stored, read, stored again: each load has what was there at its time."""
    x = floats(*shape)
    type = tensor_of(x)
    body = f"""
    %m = xsmt.alloc : !tt.ptr<{type}>
    %o = xsmt.alloc {{storage = "l2"}} : !tt.ptr<{type}>
    tt.store %m, %x0 : !tt.ptr<{type}>
    %first = tt.load %m : !tt.ptr<{type}>
    %twice = arith.addf %first, %first : {type}
    tt.store %o, %first : !tt.ptr<{type}>
    tt.store %m, %twice : !tt.ptr<{type}>
    %y0 = tt.load %o : !tt.ptr<{type}>
    %second = tt.load %m : !tt.ptr<{type}>
    %y1 = arith.addf %second, %first : {type}
    """
    same, three = run(core, body, [x], [np.zeros_like(x), np.zeros_like(x)])
    np.testing.assert_array_equal(same, x)
    np.testing.assert_array_equal(three, x + x + x)


def test_own_memory_is_loaded_in_tiles():
    x = floats(32, 64)
    want = packed(x, (8, 16), (24, 48), (8, 16))
    type = tensor_of(x)
    body = f"""
    %m = xsmt.alloc : !tt.ptr<{type}>
    tt.store %m, %x0 : !tt.ptr<{type}>
    %c8 = arith.constant 8 : i32
    %c16 = arith.constant 16 : i32
    %y0 = xsmt.descriptor_load_view %m[%c8, %c16] shape [24, 48] packed_size [8, 16]
        : !tt.ptr<{type}> -> {tensor_of(want)}
    """
    (got,) = run("host", body, [x], [np.zeros_like(want)])
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("n", [5, 6])
def test_two_buffers_in_turn(core, n):
    """Turn i of a loop stores i times x in block i % 2; afterwards the blocks hold the last two."""
    x = floats(8, 16)
    type = tensor_of(x)
    body = f"""
    %b = xsmt.alloc_copies : !tt.ptr<tensor<2x8x16xf32>>
    %one = arith.constant 1 : i32
    scf.for %i = %zero to %n step %one : i32 {{
      %p = xsmt.buffer_tensor_view %b[%i] : !tt.ptr<tensor<2x8x16xf32>> -> !tt.ptr<{type}>
      %f = arith.sitofp %i : i32 to f32
      %s = tt.splat %f : f32 -> {type}
      %v = arith.mulf %s, %x0 : {type}
      tt.store %p, %v : !tt.ptr<{type}>
    }}
    %p0 = xsmt.buffer_tensor_view %b[%zero] : !tt.ptr<tensor<2x8x16xf32>> -> !tt.ptr<{type}>
    %p1 = xsmt.buffer_tensor_view %b[%one] : !tt.ptr<tensor<2x8x16xf32>> -> !tt.ptr<{type}>
    %y0 = tt.load %p0 : !tt.ptr<{type}>
    %y1 = tt.load %p1 : !tt.ptr<{type}>
    """
    even, odd = run(core, body, [x], [np.zeros_like(x), np.zeros_like(x)], n)
    last = [i for i in range(n)][-2:]
    for got, parity in ((even, 0), (odd, 1)):
        (turn,) = [i for i in last if i % 2 == parity]
        np.testing.assert_array_equal(got, np.float32(turn) * x)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("n", [1, 4])
def test_two_sets_of_buffers(core, n):
    """One is written by number, modulo how many there are; the other one keeps to itself."""
    x = floats(8, 16)
    type, kind = tensor_of(x), "!xsmt.buffer<tensor<2x8x16xf32>>"
    body = f"""
    %a = xsmt.alloc_copies : {kind}
    %b = xsmt.alloc_copies : {kind}
    %one = arith.constant 1 : i32
    %pa = xsmt.buffer_tensor_view %a[%one] : {kind} -> !tt.ptr<{type}>
    %pb = xsmt.buffer_tensor_view %b[%one] : {kind} -> !tt.ptr<{type}>
    tt.store %pa, %x0 : !tt.ptr<{type}>
    tt.store %pb, %x0 : !tt.ptr<{type}>
    scf.for %i = %zero to %n step %one : i32 {{
      %p = xsmt.buffer_tensor_view %a[%i] : {kind} -> !tt.ptr<{type}>
      %old = tt.load %pb : !tt.ptr<{type}>
      %new = arith.addf %old, %x0 : {type}
      tt.store %pb, %new : !tt.ptr<{type}>
      tt.store %p, %new : !tt.ptr<{type}>
    }}
    %y0 = tt.load %pa : !tt.ptr<{type}>
    %y1 = tt.load %pb : !tt.ptr<{type}>
    """
    first, second = run(core, body, [x], [np.zeros_like(x), np.zeros_like(x)], n)
    odd = [i for i in range(n) if i % 2]
    np.testing.assert_allclose(first, x * (odd[-1] + 2 if odd else 1), rtol=1e-6)
    np.testing.assert_allclose(second, x * (n + 1), rtol=1e-6)


SHARED = """
    %m = xsmt.alloc : !tt.ptr<tensor<32x64xf32>>
    tt.store %m, %x0 : !tt.ptr<tensor<32x64xf32>>
    %v = xsmt.subview_pack %m[%n, %zero] shape [16, 64] packed_size [8, 16]
        : !tt.ptr<tensor<32x64xf32>> -> !tt.ptr<tensor<2x4x8x16xf32>>
    %c32 = arith.constant 32 : i32
    %w = xsmt.subview %v[%zero, %c32] shape [16, 32]
        : !tt.ptr<tensor<2x4x8x16xf32>> -> !tt.ptr<tensor<2x2x8x16xf32>>
    %y0 = tt.load %v : !tt.ptr<tensor<2x4x8x16xf32>>
    %y1 = tt.load %w : !tt.ptr<tensor<2x2x8x16xf32>>
    %z = arith.negf %y1 : tensor<2x2x8x16xf32>
    tt.store %w, %z : !tt.ptr<tensor<2x2x8x16xf32>>
    %y2 = tt.load %m : !tt.ptr<tensor<32x64xf32>>
"""


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("n", [0, 8, 16])
def test_views_of_own_memory_share_it(core, n):
    x = floats(32, 64)
    all_tiles, half = packed(x, (n, 0), (16, 64), (8, 16)), packed(x, (n, 32), (16, 32), (8, 16))
    after = x.copy()
    after[n : n + 16, 32:] *= -1
    got = run(core, SHARED, [x], [np.zeros_like(a) for a in (all_tiles, half, x)], n)
    for found, want in zip(got, (all_tiles, half, after), strict=True):
        np.testing.assert_array_equal(found, want)


def test_a_view_of_a_moved_pointer():
    x = floats(32, 64)
    want = packed(x, (24, 48), (8, 16), (4, 8))
    body = f"""
    %c8 = arith.constant 8 : i32
    %c16 = arith.constant 16 : i32
    %p = tt.advance %px0, [%c16, %n] : !tt.ptr<{tensor_of(x)}>
    %v = xsmt.subview_pack %p[%c8, %c16] shape [8, 16] packed_size [4, 8]
        : !tt.ptr<{tensor_of(x)}> -> !tt.ptr<{tensor_of(want)}>
    %y0 = tt.load %v : !tt.ptr<{tensor_of(want)}>
    """
    (got,) = run("host", body, [x], [np.zeros_like(want)], 32)
    np.testing.assert_array_equal(got, want)


def test_a_tensor_that_tiles_do_not_divide_has_no_packed_view():
    x, y = floats(30, 64), np.zeros((2, 4, 8, 16), np.float32)
    body = f"""
    %v = xsmt.subview_pack %px0[%zero, %zero] shape [16, 64] packed_size [8, 16]
        : !tt.ptr<{tensor_of(x)}> -> !tt.ptr<{tensor_of(y)}>
    %y0 = tt.load %v : !tt.ptr<{tensor_of(y)}>
    """
    with pytest.raises(CompileError, match="dimension 0 is 30, no multiple of 8; 24 and 32 are\nfix: load"):
        run("host", body, [x], [y])


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_view_of_a_pointer_that_a_loop_advances(core, n):
    x = floats(32, 64)
    want = sum(packed(x, (8 * i, 16 * i), (8, 16), (4, 8)) for i in range(n))
    p = f"!tt.ptr<{tensor_of(x)}>"
    body = f"""
    %one = arith.constant 1 : i32
    %c8 = arith.constant 8 : i32
    %start = arith.constant dense<0.0> : {tensor_of(want)}
    %y0, %last = scf.for %i = %zero to %n step %one iter_args(%sum = %start, %q = %px0)
        -> ({tensor_of(want)}, {p}) : i32 {{
      %v = xsmt.subview_pack %q[%zero, %zero] shape [8, 16] packed_size [4, 8] : {p} -> !tt.ptr<{tensor_of(want)}>
      %l = tt.load %v : !tt.ptr<{tensor_of(want)}>
      %s = arith.addf %sum, %l : {tensor_of(want)}
      %half = tt.advance %q, [%c8, %c8] : {p}
      %next = tt.advance %half, [%zero, %c8] : {p}
      scf.yield %s, %next : {tensor_of(want)}, {p}
    }}
    """
    (got,) = run(core, body, [x], [np.zeros_like(want)], n)
    np.testing.assert_array_equal(got, want)


def test_a_view_of_a_carried_pointer_is_refused():
    x, y = floats(32, 64), np.zeros((2, 4, 8, 16), np.float32)
    p = f"!tt.ptr<{tensor_of(x)}>"
    body = f"""
    %one = arith.constant 1 : i32
    %y0 = scf.for %i = %zero to %n step %one iter_args(%q = %x1) -> ({tensor_of(y)}) : i32 {{
      %r = scf.if %bit -> ({p}) {{
        %s = tt.advance %px0, [%one, %one] : {p}
        scf.yield %s : {p}
      }} else {{
        scf.yield %px0 : {p}
      }}
      %v = xsmt.subview_pack %r[%zero, %zero] shape [16, 64] packed_size [8, 16]
          : {p} -> !tt.ptr<{tensor_of(y)}>
      %l = tt.load %v : !tt.ptr<{tensor_of(y)}>
      scf.yield %l : {tensor_of(y)}
    }}
    """.replace("%y0 = scf", "%bit = arith.cmpi eq, %n, %zero : i32\n%y0 = scf")
    with pytest.raises(CompileError, match="not known where this block pointer was made\nfix: view the"):
        run("host", body, [x, y], [np.zeros_like(y)])


LOOP = """
    %one = arith.constant 1 : i32
    %c8 = arith.constant 8 : i32
    %start = arith.constant dense<0.0> : tensor<2x3x8x16xf32>
    %c = scf.for %k = %zero to %n step %one iter_args(%acc = %start) -> (tensor<2x3x8x16xf32>) : i32 {
      %at = arith.muli %k, %c8 : i32
      %a = xsmt.descriptor_load_view %px0[%zero, %at] shape [16, 8] packed_size [8, 4]
          : !tt.ptr<tensor<16x32xf32>> -> tensor<2x2x8x4xf32>
      %q = xsmt.descriptor_load_view %px1[%at, %zero] shape [8, 48] packed_size [4, 16]
          : !tt.ptr<tensor<32x48xf32>> -> tensor<2x3x4x16xf32>
      %b = tt.trans %q {order = array<i32: 1, 0, 3, 2>} : tensor<2x3x4x16xf32> -> tensor<3x2x16x4xf32>
      %next = xsmt.mmt4d %a, %b, %acc : tensor<2x2x8x4xf32>, tensor<3x2x16x4xf32> -> tensor<2x3x8x16xf32>
      scf.yield %next : tensor<2x3x8x16xf32>
    }
    %y0 = xsmt.unpack %c[%zero, %zero] shape [16, 48] : tensor<2x3x8x16xf32> -> tensor<16x48xf32>
"""


@pytest.mark.parametrize("core", CORES)
def test_a_packed_product_step_by_step(core):
    x, w = floats(16, 32), floats(32, 48)
    (got,) = run(core, LOOP, [x, w], [np.zeros((16, 48), np.float32)], 4)
    np.testing.assert_allclose(got, x @ w, rtol=1e-5, atol=1e-5)
