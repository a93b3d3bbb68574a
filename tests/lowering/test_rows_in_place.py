"""The left factor read where it lies: whole, masked, strided, and overlapped by where the sums go."""

import numpy as np
import pytest
from test_micro_kernels import GRID, HOST, bits_of, check_integers, narrow_host, product, run, widths

from vertebra.core.compile import render

IN_PLACE = "llvm.intr.launder.invariant.group"
# Rows around whole tiles, columns of whole tiles and of more than one part, one to three turns along K.
SIZES = [(1, 128, 64), (13, 128, 64), (14, 160, 128), (15, 129, 192), (31, 145, 64), (64, 136, 64)]

pytestmark = pytest.mark.skipif(HOST.arch != "x86_64", reason="not an x86 machine")
needs_bytes = pytest.mark.skipif(
    not {"+avx512vnni", "+avxvnni"} & set(HOST.features), reason="the machine has no VPDPBUSD"
)
needs_brain_floats = pytest.mark.skipif(
    "+avx512bf16" not in HOST.features, reason="the machine has no VDPBF16PS"
)


def kernel(m: int, n: int, k: int, narrow: str = "i8", wide: str = "i32") -> str:
    """out = a @ b.  a: stride %s and %r x %d of it loaded, zeros elsewhere; out: stride %t, offset %o."""
    zero = "0 : i8" if narrow == "i8" else f"0.0 : {narrow}"
    nought = "0 : i32" if wide == "i32" else f"0.0 : {wide}"
    a, b, c = f"{m}x{k}x{narrow}", f"{k}x{n}x{narrow}", f"{m}x{n}x{wide}"
    part = f"memref<?x?x{narrow}, strided<[?, 1], offset: ?>>"
    place = f"memref<{c}, strided<[?, 1], offset: ?>>"
    return f"""func.func @k(%a: memref<?x{narrow}>, %b: memref<?x{narrow}>, %c: memref<?x{wide}>,
        %i: i32, %j: i32, %l: i32, %p: i32, %q: i32, {GRID}) attributes {{vertebra.kernel}} {{
      %s = arith.index_cast %i : i32 to index
      %r = arith.index_cast %j : i32 to index
      %d = arith.index_cast %l : i32 to index
      %t = arith.index_cast %p : i32 to index
      %o = arith.index_cast %q : i32 to index
      %from = arith.constant {8 * k} : index
      %none = arith.constant {zero}
      %av = memref.reinterpret_cast %a to offset: [%from], sizes: [{m}, {k}], strides: [%s, 1]
        : memref<?x{narrow}> to memref<{a}, strided<[?, 1], offset: ?>>
      %ap = memref.subview %av[0, 0] [%r, %d] [1, 1] : memref<{a}, strided<[?, 1], offset: ?>> to {part}
      %ab = memref.alloc() : memref<{a}>
      linalg.fill ins(%none : {narrow}) outs(%ab : memref<{a}>)
      %aq = memref.subview %ab[0, 0] [%r, %d] [1, 1] : memref<{a}> to memref<?x?x{narrow}, strided<[{k}, 1]>>
      memref.copy %ap, %aq : {part} to memref<?x?x{narrow}, strided<[{k}, 1]>>
      %at = bufferization.to_tensor %ab restrict writable : memref<{a}> to tensor<{a}>
      %bv = memref.reinterpret_cast %b to offset: [0], sizes: [{k}, {n}], strides: [{n}, 1]
        : memref<?x{narrow}> to memref<{b}, strided<[{n}, 1]>>
      %bb = memref.alloc() : memref<{b}>
      memref.copy %bv, %bb : memref<{b}, strided<[{n}, 1]>> to memref<{b}>
      %bt = bufferization.to_tensor %bb restrict writable : memref<{b}> to tensor<{b}>
      %sums = arith.constant dense<{nought.split(" : ")[0]}> : tensor<{c}>
      %x = linalg.matmul ins(%at, %bt : tensor<{a}>, tensor<{b}>) outs(%sums : tensor<{c}>) -> tensor<{c}>
      %cv = memref.reinterpret_cast %c to offset: [%o], sizes: [{m}, {n}], strides: [%t, 1]
        : memref<?x{wide}> to {place}
      bufferization.materialize_in_destination %x in writable %cv : (tensor<{c}>, {place}) -> ()
      return
    }}"""


def check(m, n, k, *, stride=None, rows=None, depth=None, core=HOST, shared=None):
    """shared: where in the first operand's memory, in bytes, the sums go; it has room for them."""
    rng = np.random.default_rng(5)
    stride, rows, depth = stride or k, m if rows is None else rows, k if depth is None else depth
    memory = rng.integers(-128, 128, 8 * k + abs(stride) * m + 4 * m * n + 64).astype(np.int8)
    memory = memory[: memory.size // 4 * 4]
    start = 8 * k  # where the kernel's view begins; negative strides get there from behind
    base = memory if stride > 0 else memory[abs(stride) * m :]
    a = np.zeros((m, k), np.int8)
    for i in range(rows):
        at = start + stride * i + (0 if stride > 0 else abs(stride) * m)
        a[i, :depth] = memory[at : at + depth]
    b = rng.integers(-128, 128, (k, n)).astype(np.int8)
    if shared is None:
        out, offset = np.zeros(m * n, np.int32), 0
    else:
        out, offset = memory.view(np.int32), shared // 4
    given = ("*i8", "*i8", "*i32", *["i32"] * 5)
    run(core, kernel(m, n, k), given, base, b, out, stride, rows, depth, n, offset)
    got = out[offset : offset + m * n].reshape(m, n)
    np.testing.assert_array_equal(got, a.astype(np.int32) @ b.astype(np.int32))


@needs_bytes
@pytest.mark.parametrize("m, n, k", SIZES)
@pytest.mark.parametrize("bits", widths())
def test_whole_blocks(m, n, k, bits):
    check(m, n, k, core=narrow_host(bits) if bits < HOST.vector.bits else HOST)
    check_integers(HOST, m, n, k, -128, 127)


@needs_bytes
@pytest.mark.parametrize("value", [-128, 127])
def test_extreme_bytes(value):
    check_integers(HOST, 15, 128, 256, value, value)


@needs_bytes
@pytest.mark.parametrize("rows, depth", [(15, 64), (16, 63), (3, 5), (0, 64), (16, 0)])
def test_masked_blocks(rows, depth):
    check(16, 128, 64, rows=rows, depth=depth)


@needs_bytes
@pytest.mark.parametrize("stride", [64, 65, 100, 1, -64, -77])
def test_strides(stride):
    check(17, 128, 64, stride=stride)


@needs_bytes
@pytest.mark.parametrize("stride", [64, -64])
@pytest.mark.parametrize("shared", [0, 256, 512, 1024, 3068, 3072])
def test_sums_over_the_factor(shared, stride):
    """All of A counts before any sum is stored, wherever the sums go; from 32 rows on they go there at once."""
    check(40, 128, 64, stride=stride, shared=shared)


@needs_brain_floats
@pytest.mark.parametrize("m, n, k", SIZES)
@pytest.mark.parametrize("missing", [0, 1])
def test_brain_floats(m, n, k, missing):
    rng = np.random.default_rng(6)
    a, b = (rng.integers(-8, 9, s).astype(np.float32) for s in ((m + 8, k), (k, n)))
    out = np.zeros((m, n), np.float32)
    given = ("*bf16", "*bf16", "*fp32", *["i32"] * 5)
    text = kernel(m, n, k, "bf16", "f32")
    run(HOST, text, given, bits_of(a), bits_of(b), out, k, m - missing, k, n, 0)
    want = a[8:] @ b
    want[m - missing :] = 0
    np.testing.assert_array_equal(out, want)


@needs_bytes
@pytest.mark.parametrize("m, n, k, there", [(16, 128, 64, True), (16, 112, 64, False), (16, 128, 60, False)])
def test_where_it_pays(m, n, k, there):
    text = render(product(m, n, k, "i8", "i32"), "vector", HOST, start="linalg")
    assert (IN_PLACE in text) == there


@needs_bytes
def test_one_base_serves_five_rows():
    """No more than three pointers for fourteen rows: the rest is in the addresses of the loads."""
    text = render(kernel(14, 128, 64), "asm", HOST, start="linalg")
    loop = max(text.split(".p2align"), key=lambda part: part.count("vpdpbusd"))
    loads = [line for line in loop.splitlines() if "vpbroadcastd" in line]
    assert len(loads) >= 14
    assert sum(",2)" in line for line in loads) * 14 == len(loads) * 3
    assert not [line for line in loop.splitlines() if "zmm" in line and "rsp" in line and "vmov" in line]
