"""Stores past the caches: whole registers at aligned places, everything else as usual."""

import numpy as np
import pytest
from test_micro_kernels import GRID, HOST, run

from vertebra.core.compile import render
from vertebra.core.hooks import cores

ROWS, COLUMNS = 3, 200
WHOLE = f"tensor<{ROWS}x{COLUMNS}xf32>"


def kernel(mark: str = ", vertebra.streaming") -> str:
    """y[at + stride * i + j] = 2 * x[i, j] for i < 3, j < columns."""
    view = f"memref<{ROWS}x{COLUMNS}xf32, strided<[{COLUMNS}, 1]>>"
    place = f"memref<{ROWS}x{COLUMNS}xf32, strided<[?, 1], offset: ?>>"
    part = f"memref<{ROWS}x?xf32, strided<[?, 1], offset: ?>>"
    return f"""func.func @k(%x: memref<?xf32>, %y: memref<?xf32>, %a: i32, %s: i32, %n: i32, {GRID})
        attributes {{vertebra.kernel}} {{
      %at = arith.index_cast %a : i32 to index
      %stride = arith.index_cast %s : i32 to index
      %columns = arith.index_cast %n : i32 to index
      %xv = memref.reinterpret_cast %x to offset: [0], sizes: [{ROWS}, {COLUMNS}], strides: [{COLUMNS}, 1]
        : memref<?xf32> to {view}
      %xb = memref.alloc() : memref<{ROWS}x{COLUMNS}xf32>
      memref.copy %xv, %xb : {view} to memref<{ROWS}x{COLUMNS}xf32>
      %xt = bufferization.to_tensor %xb restrict writable : memref<{ROWS}x{COLUMNS}xf32> to {WHOLE}
      %t = arith.addf %xt, %xt : {WHOLE}
      %yv = memref.reinterpret_cast %y to offset: [%at], sizes: [{ROWS}, {COLUMNS}], strides: [%stride, 1]
        : memref<?xf32> to {place}
      %yp = memref.subview %yv[0, 0] [{ROWS}, %columns] [1, 1] : {place} to {part}
      %tp = tensor.extract_slice %t[0, 0] [{ROWS}, %columns] [1, 1] : {WHOLE} to tensor<{ROWS}x?xf32>
      bufferization.materialize_in_destination %tp in writable %yp {{dummy{mark}}}
        : (tensor<{ROWS}x?xf32>, {part}) -> ()
      return
    }}"""


def aligned(size: int) -> np.ndarray:
    """Floats that begin at a multiple of 64 bytes."""
    room = np.full(size + 16, 7, np.float32)
    skip = -room.ctypes.data % 64 // 4
    return room[skip : skip + size]


@pytest.mark.parametrize("at", [0, 16, 1, 5])
@pytest.mark.parametrize("stride", [208, 203])
@pytest.mark.parametrize("columns", [200, 199, 64, 3, 0])
def test_numbers(at, stride, columns):
    x = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    y = aligned(at + ROWS * stride + 16)
    want = y.copy()
    for i in range(ROWS):
        want[at + i * stride :][:columns] = 2 * x[i, :columns]
    run(HOST, kernel(), ("*fp32", "*fp32", "i32", "i32", "i32"), x, y, at, stride, columns)
    np.testing.assert_array_equal(y, want)


def test_only_marked_stores_stream():
    text = render(kernel(), "llir", HOST, start="linalg")
    assert "!nontemporal" in text and "fence seq_cst" in text
    plain = render(kernel(""), "llir", HOST, start="linalg")
    assert "!nontemporal" not in plain and "fence" not in plain


def test_groups_of_registers_go_the_usual_way():
    """On RISC-V several registers make one vector, and nothing is known of their places."""
    text = render(kernel(), "llir", cores()["spacemit-x60"], start="linalg")
    assert "!nontemporal" not in text


def test_the_cache_modifier_asks_for_it():
    def text(hint: str) -> str:
        return f"""tt.func public @k(%x: !tt.ptr<f32>, %y: !tt.ptr<f32>) {{
          %r = tt.make_range {{end = 64 : i32, start = 0 : i32}} : tensor<64xi32>
          %p = tt.splat %x : !tt.ptr<f32> -> tensor<64x!tt.ptr<f32>>
          %px = tt.addptr %p, %r : tensor<64x!tt.ptr<f32>>, tensor<64xi32>
          %v = tt.load %px : tensor<64x!tt.ptr<f32>>
          %q = tt.splat %y : !tt.ptr<f32> -> tensor<64x!tt.ptr<f32>>
          %py = tt.addptr %q, %r : tensor<64x!tt.ptr<f32>>, tensor<64xi32>
          tt.store %py, %v{hint} : tensor<64x!tt.ptr<f32>>
          tt.return
        }}"""

    assert "!nontemporal" in render(text(" cacheModifier = cs"), "llir", HOST)
    for hint in ("", " cacheModifier = wb", " evictionPolicy = evict_first"):
        assert "!nontemporal" not in render(text(hint), "llir", HOST)
