"""Numbers out of `linalg` text, on the machine at hand: odd sizes, tails, aliases, every kind of loop."""

import numpy as np
import pytest

from vertebra.core.compile import compile, render
from vertebra.core.hooks import cores
from vertebra.core.select import runtime_for

GRID = ", ".join(f"%{name}: i32" for name in ("gx", "gy", "gz", "px", "py", "pz"))
TYPES = {
    np.float32: "f32",
    np.float64: "f64",
    np.int32: "i32",
    np.int8: "i8",
    np.float16: "f16",
    np.uint8: "i8",
}
SIGNATURE = {np.float32: "*fp32", np.float64: "*fp64", np.int32: "*i32", np.int8: "*i8", np.float16: "*fp16",
             np.uint8: "*u8"}  # fmt: skip


def element(array: np.ndarray) -> str:
    return TYPES[array.dtype.type]


def strides(shape) -> list[int]:
    found = [1]
    for size in reversed(shape[1:]):
        found.insert(0, found[0] * size)
    return found


def view(name: str, base: str, shape, type: str) -> str:
    """A whole, contiguous view of argument `base`."""
    dims = "x".join(map(str, shape))
    layout = f"strided<{strides(shape)}>"
    return (
        f"%{name} = memref.reinterpret_cast %{base} to offset: [0], sizes: {list(shape)}, "
        f"strides: {strides(shape)} : memref<?x{type}> to memref<{dims}x{type}, {layout}>\n"
    )


def load(name: str, base: str, shape, type: str) -> str:
    dims = "x".join(map(str, shape))
    return view(f"{name}_view", base, shape, type) + (
        f"%{name}_buffer = memref.alloc() : memref<{dims}x{type}>\n"
        f"memref.copy %{name}_view, %{name}_buffer : memref<{dims}x{type}, strided<{strides(shape)}>> "
        f"to memref<{dims}x{type}>\n"
        f"%{name} = bufferization.to_tensor %{name}_buffer restrict writable "
        f": memref<{dims}x{type}> to tensor<{dims}x{type}>\n"
    )


def store(value: str, base: str, shape, type: str) -> str:
    dims = "x".join(map(str, shape))
    return view(f"{value}_to_{base}", base, shape, type) + (
        f"bufferization.materialize_in_destination %{value} in writable %{value}_to_{base} "
        f": (tensor<{dims}x{type}>, memref<{dims}x{type}, strided<{strides(shape)}>>) -> ()\n"
    )


def kernel(body: str, *arrays: np.ndarray) -> str:
    args = ", ".join(f"%a{i}: memref<?x{element(a)}>" for i, a in enumerate(arrays))
    return f"func.func @k({args}, {GRID}) attributes {{vertebra.kernel}} {{\n{body}\nreturn\n}}"


def run(body: str, *arrays: np.ndarray, grid=(1, 1, 1), core="host") -> None:
    """Runs `body`, whose arguments are %a0, %a1, ..., on a core."""
    core = cores()[core]
    signature = tuple(SIGNATURE[a.dtype.type] for a in arrays)
    binary = compile(kernel(body, *arrays), core, name="k", signature=signature, start="linalg")
    runtime_for(core).load(binary).launch(grid, arrays)


def random(*shape, dtype=np.float32) -> np.ndarray:
    rng = np.random.default_rng(7)
    if np.issubdtype(dtype, np.integer):
        return rng.integers(-100, 100, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


SHAPES = [(1,), (2,), (16,), (17,), (1000,), (3, 5), (4, 64), (7, 1), (1, 33), (2, 3, 20), (64, 1, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_elementwise(shape):
    x, y, out = random(*shape), random(*shape)[::-1].copy(), np.zeros(shape, np.float32)
    t = f"tensor<{'x'.join(map(str, shape))}xf32>"
    run(
        load("x", "a0", shape, "f32")
        + load("y", "a1", shape, "f32")
        + f"%s = arith.addf %x, %y : {t}\n%q = arith.mulf %s, %x : {t}\n"
        + store("q", "a2", shape, "f32"),
        x,
        y,
        out,
    )
    np.testing.assert_allclose(out, (x + y) * x, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 8, 16, 48, 100, 1024])
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", ["addf", "maximumf"])
def test_reduce(n, rows, axis, op):
    shape = (rows, n)
    x, out = random(*shape), np.zeros(shape[1 - axis], np.float32)
    start = {"addf": "0.0", "maximumf": "0xFF800000"}[op]
    kept = shape[1 - axis]
    run(
        load("x", "a0", shape, "f32")
        + f"""%c = arith.constant {start} : f32
        %e = tensor.empty() : tensor<{kept}xf32>
        %i = linalg.fill ins(%c : f32) outs(%e : tensor<{kept}xf32>) -> tensor<{kept}xf32>
        %r = linalg.reduce ins(%x : tensor<{rows}x{n}xf32>) outs(%i : tensor<{kept}xf32>) dimensions = [{axis}]
          (%in: f32, %acc: f32) {{ %s = arith.{op} %in, %acc : f32 linalg.yield %s : f32 }}\n"""
        + store("r", "a1", (kept,), "f32"),
        x,
        out,
    )
    expected = x.astype(np.float64).sum(axis) if op == "addf" else x.max(axis)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [2, 3, 16, 40, 256])
@pytest.mark.parametrize("axis", [0, 1])
def test_reduce_without_identity(n, axis):
    """A combiner of two operands, started from the first slice: argmax, the first one winning ties."""
    shape = (4, n) if axis else (n, 4)
    x = np.round(random(*shape) * 2)
    value, where = np.zeros(4, np.float32), np.zeros(4, np.int32)
    dims, rest = f"{shape[0]}x{shape[1]}", (f"4x{n - 1}" if axis else f"{n - 1}x4")
    offsets = "[0, 1]" if axis else "[1, 0]"
    sizes = f"[4, {n - 1}]" if axis else f"[{n - 1}, 4]"
    first = "[4, 1]" if axis else "[1, 4]"

    def slices(name, type):
        return (
            f"%{name}r = tensor.extract_slice %{name}{offsets} {sizes} [1, 1] "
            f": tensor<{dims}x{type}> to tensor<{rest}x{type}>\n"
            f"%{name}f = tensor.extract_slice %{name}[0, 0] {first} [1, 1] : tensor<{dims}x{type}> to tensor<4x{type}>\n"
        )

    run(
        load("x", "a0", shape, "f32")
        + f"""%e = tensor.empty() : tensor<{dims}xi32>
        %n = linalg.generic {{indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>],
          iterator_types = ["parallel", "parallel"]}} outs(%e : tensor<{dims}xi32>) {{
          ^bb0(%o: i32): %i = linalg.index {axis} : index
          %k = arith.index_cast %i : index to i32
          linalg.yield %k : i32 }} -> tensor<{dims}xi32>
        """
        + slices("x", "f32")
        + slices("n", "i32")
        + f"""%r:2 = linalg.reduce ins(%xr, %nr : tensor<{rest}xf32>, tensor<{rest}xi32>)
          outs(%xf, %nf : tensor<4xf32>, tensor<4xi32>) dimensions = [{axis}]
          (%v: f32, %i: i32, %w: f32, %j: i32) {{
            %gt = arith.cmpf ogt, %v, %w : f32
            %eq = arith.cmpf oeq, %v, %w : f32
            %lt = arith.cmpi slt, %i, %j : i32
            %tie = arith.andi %eq, %lt : i1
            %take = arith.ori %gt, %tie : i1
            %a = arith.select %take, %v, %w : f32
            %b = arith.select %take, %i, %j : i32
            linalg.yield %a, %b : f32, i32 }}
        %best = tensor.cast %r#0 : tensor<4xf32> to tensor<4xf32>
        %at = tensor.cast %r#1 : tensor<4xi32> to tensor<4xi32>\n"""
        + store("best", "a1", (4,), "f32")
        + store("at", "a2", (4,), "i32"),
        x,
        value,
        where,
    )
    np.testing.assert_array_equal(value, x.max(axis))
    np.testing.assert_array_equal(where, x.argmax(axis))


MATMULS = [
    (1, 1, 1),
    (4, 4, 4),
    (7, 32, 5),
    (16, 16, 16),
    (64, 64, 32),
    (13, 17, 19),
    (3, 100, 2),
    (65, 33, 31),
]


@pytest.mark.parametrize("m, n, k", MATMULS)
@pytest.mark.parametrize(
    "narrow, wide",
    [(np.float32, np.float32), (np.float64, np.float64), (np.float16, np.float32), (np.int8, np.int32)],
)
def test_matmul(m, n, k, narrow, wide):
    a, b, c = random(m, k, dtype=narrow), random(k, n, dtype=narrow), random(m, n, dtype=wide)
    out = np.zeros_like(c)
    s, w = TYPES[narrow], TYPES[wide]
    run(
        load("a", "a0", (m, k), s)
        + load("b", "a1", (k, n), s)
        + load("c", "a2", (m, n), w)
        + f"""%r = linalg.matmul ins(%a, %b : tensor<{m}x{k}x{s}>, tensor<{k}x{n}x{s}>)
          outs(%c : tensor<{m}x{n}x{w}>) -> tensor<{m}x{n}x{w}>\n"""
        + store("r", "a3", (m, n), w),
        a,
        b,
        c,
        out,
    )
    if wide is np.int32:
        np.testing.assert_array_equal(out, c + a.astype(wide) @ b.astype(wide))
    else:
        expected = c.astype(np.float64) + a.astype(np.float64) @ b.astype(np.float64)
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=k * np.finfo(wide).eps * 4)


@pytest.mark.parametrize("core", ["host", "spacemit-x60"])
def test_an_accumulator_that_others_read_stays(core):
    a, b, c = random(16, 32), random(32, 16), random(16, 16)
    once, twice = np.zeros((16, 16), np.float32), np.zeros((16, 16), np.float32)
    product = "ins(%a, %b : tensor<16x32xf32>, tensor<32x16xf32>)"
    run(
        load("a", "a0", (16, 32), "f32")
        + load("b", "a1", (32, 16), "f32")
        + load("c", "a2", (16, 16), "f32")
        + f"""%r = linalg.matmul {product} outs(%c : tensor<16x16xf32>) -> tensor<16x16xf32>
        %s = linalg.matmul {product} outs(%r : tensor<16x16xf32>) -> tensor<16x16xf32>\n"""
        + store("r", "a3", (16, 16), "f32")
        + store("s", "a4", (16, 16), "f32"),
        a,
        b,
        c,
        once,
        twice,
        core=core,
    )
    np.testing.assert_allclose(once, c + a.astype(np.float64) @ b, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(twice, c + 2 * a.astype(np.float64) @ b, rtol=1e-5, atol=1e-5)


def test_loads_are_snapshots():
    x, y = random(100), random(100) + 5
    x0, y0 = x.copy(), y.copy()
    run(
        load("x", "a0", (100,), "f32")
        + load("y", "a1", (100,), "f32")
        + store("y", "a0", (100,), "f32")
        + store("x", "a1", (100,), "f32"),
        x,
        y,
    )
    np.testing.assert_array_equal(x, y0)
    np.testing.assert_array_equal(y, x0)


@pytest.mark.parametrize("shift", [0, 1, 5, 64, -3])
def test_store_over_what_it_loads(shift):
    """One loop that reads x and writes it, shifted; the two views are different arguments."""
    memory = random(300)
    before = memory.copy()
    source, target = memory[100:200], memory[100 + shift : 200 + shift]
    run(
        load("x", "a0", (100,), "f32")
        + "%y = arith.addf %x, %x : tensor<100xf32>\n"
        + store("y", "a1", (100,), "f32"),
        source,
        target,
    )
    before[100 + shift : 200 + shift] = 2 * before[100:200].copy()
    np.testing.assert_array_equal(memory, before)


def test_transpose_in_place():
    x = random(24, 24)
    before = x.copy()
    run(
        load("x", "a0", (24, 24), "f32")
        + """%e = tensor.empty() : tensor<24x24xf32>
        %t = linalg.transpose ins(%x : tensor<24x24xf32>) outs(%e : tensor<24x24xf32>) permutation = [1, 0]\n"""
        + store("t", "a0", (24, 24), "f32"),
        x,
    )
    np.testing.assert_array_equal(x, before.T)


def test_transpose_and_broadcast():
    x, r, out = random(20, 33), random(33), np.zeros((33, 20), np.float32)
    run(
        load("x", "a0", (20, 33), "f32")
        + load("r", "a1", (33,), "f32")
        + """%col = tensor.expand_shape %r [[0, 1]] output_shape [33, 1] : tensor<33xf32> into tensor<33x1xf32>
        %e = tensor.empty() : tensor<33x20xf32>
        %t = linalg.transpose ins(%x : tensor<20x33xf32>) outs(%e : tensor<33x20xf32>) permutation = [1, 0]
        %b = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d0, d1)>],
          iterator_types = ["parallel", "parallel"]} ins(%col : tensor<33x1xf32>) outs(%e : tensor<33x20xf32>) {
          ^bb0(%in: f32, %o: f32): linalg.yield %in : f32 } -> tensor<33x20xf32>
        %s = arith.addf %t, %b : tensor<33x20xf32>\n"""
        + store("s", "a2", (33, 20), "f32"),
        x,
        r,
        out,
    )
    np.testing.assert_array_equal(out, x.T + r[:, None])


@pytest.mark.parametrize("m, n", [(16, 32), (64, 16), (48, 64), (5, 7)])
def test_operands_of_a_product_may_run_the_other_way(m, n):
    """x @ x.T, whose right factor is turned in blocks on the way to the register tiles."""
    x, out = random(m, n), np.zeros((m, m), np.float32)
    run(
        load("x", "a0", (m, n), "f32")
        + f"""%e = tensor.empty() : tensor<{n}x{m}xf32>
        %t = linalg.transpose ins(%x : tensor<{m}x{n}xf32>) outs(%e : tensor<{n}x{m}xf32>) permutation = [1, 0]
        %z = arith.constant dense<0.0> : tensor<{m}x{m}xf32>
        %r = linalg.matmul ins(%x, %t : tensor<{m}x{n}xf32>, tensor<{n}x{m}xf32>)
          outs(%z : tensor<{m}x{m}xf32>) -> tensor<{m}x{m}xf32>\n"""
        + store("r", "a1", (m, m), "f32"),
        x,
        out,
    )
    np.testing.assert_allclose(out, x.astype(np.float64) @ x.T, rtol=1e-5, atol=1e-5)


CARRIED = (
    load("x", "a0", (40,), "f32")
    + """%c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c3 = arith.constant 3 : index
    %y = arith.addf %x, %x : tensor<40xf32>
    %r = scf.for %i = %c0 to %c3 step %c1 iter_args(%acc = %y) -> tensor<40xf32> {
      %n = arith.addf %acc, %x : tensor<40xf32>
      scf.yield %n : tensor<40xf32>
    }\n"""
    + store("r", "a1", (40,), "f32")
    + store("y", "a2", (40,), "f32")
)


@pytest.mark.parametrize("core", ["host", "spacemit-x60"])
def test_carried_tensor_in_place_and_used_later(core):
    """A loop's accumulator starts from a value that is read again after the loop."""
    x, out, kept = random(40), np.zeros(40, np.float32), np.zeros(40, np.float32)
    run(CARRIED, x, out, kept, core=core)
    np.testing.assert_allclose(out, 5 * x, rtol=1e-6)
    np.testing.assert_array_equal(kept, 2 * x)


def test_copies_on_rvv_are_vectors():
    """The copy of a carried buffer is a loop over whole registers, not a call that may go byte by byte."""
    arrays = [np.zeros(1, np.float32)] * 3
    vectors = render(kernel(CARRIED, *arrays), "vector", cores()["spacemit-x60"], start="linalg")
    assert "memref.copy" in render(kernel(CARRIED, *arrays), "vector", cores()["host"], start="linalg")
    assert "memref.copy" not in vectors


def test_masks_in_memory():
    """i1 tensors that must exist, because a loop carries one."""
    x, out = random(50), np.zeros(50, np.float32)
    run(
        load("x", "a0", (50,), "f32")
        + """%c0 = arith.constant 0 : index
        %c1 = arith.constant 1 : index
        %c3 = arith.constant 3 : index
        %z = arith.constant dense<0.0> : tensor<50xf32>
        %m = arith.cmpf ogt, %x, %z : tensor<50xf32>
        %r = scf.for %i = %c0 to %c3 step %c1 iter_args(%k = %m) -> tensor<50xi1> {
          %one = arith.constant dense<true> : tensor<50xi1>
          %n = arith.xori %k, %one : tensor<50xi1>
          scf.yield %n : tensor<50xi1>
        }
        %s = arith.select %r, %x, %z : tensor<50xi1>, tensor<50xf32>\n"""
        + store("s", "a1", (50,), "f32"),
        x,
        out,
    )
    np.testing.assert_array_equal(out, np.where(x > 0, 0, x))


def test_gather_and_scatter():
    x, at, out = (
        random(64),
        np.random.default_rng(1).permutation(64).astype(np.int32),
        np.zeros(64, np.float32),
    )
    run(
        load("at", "a1", (64,), "i32")
        + """%e = tensor.empty() : tensor<64xf32>
        %lim = arith.constant 60 : i32
        %oth = arith.constant 7.0 : f32
        %g = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
          iterator_types = ["parallel"]} ins(%at : tensor<64xi32>) outs(%e : tensor<64xf32>) {
          ^bb0(%i: i32, %o: f32):
            %j = arith.index_cast %i : i32 to index
            %ok = arith.cmpi slt, %i, %lim : i32
            %v = scf.if %ok -> f32 { %l = memref.load %a0[%j] : memref<?xf32> scf.yield %l : f32 }
                 else { scf.yield %oth : f32 }
            linalg.yield %v : f32 } -> tensor<64xf32>
        %s = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
          iterator_types = ["parallel"]} ins(%at : tensor<64xi32>) outs(%g : tensor<64xf32>) {
          ^bb0(%i: i32, %v: f32):
            %j = arith.index_cast %i : i32 to index
            memref.store %v, %a2[%j] : memref<?xf32>
            linalg.yield %v : f32 } -> tensor<64xf32>""",
        x,
        at,
        out,
    )
    expected = np.zeros(64, np.float32)
    expected[at] = np.where(at < 60, x[at], 7)
    np.testing.assert_array_equal(out, expected)


def test_atomics_one_by_one():
    at, out = (np.arange(64) % 5).astype(np.int32), np.zeros(5, np.int32)
    run(
        load("at", "a0", (64,), "i32")
        + """%one = arith.constant dense<1> : tensor<64xi32>
        %s = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
          iterator_types = ["parallel"]} ins(%at : tensor<64xi32>) outs(%one : tensor<64xi32>) {
          ^bb0(%i: i32, %v: i32):
            %j = arith.index_cast %i : i32 to index
            %old = memref.atomic_rmw addi %v, %a1[%j] : (i32, memref<?xi32>) -> i32
            linalg.yield %old : i32 } -> tensor<64xi32>""",
        at,
        out,
    )
    np.testing.assert_array_equal(out, np.bincount(at, minlength=5))


@pytest.mark.parametrize("rows, columns", [(0, 0), (1, 1), (3, 20), (4, 64)])
def test_copies_of_run_time_size(rows, columns):
    """A buffer that two copies fill, as wrap-around loads do."""
    x, size, out = random(4, 64), np.array([rows, columns], np.int32), np.zeros((4, 64), np.float32)
    run(
        view("v", "a0", (4, 64), "f32")
        + """%c0 = arith.constant 0 : index
        %c1 = arith.constant 1 : index
        %r32 = memref.load %a1[%c0] : memref<?xi32>
        %n32 = memref.load %a1[%c1] : memref<?xi32>
        %r = arith.index_cast %r32 : i32 to index
        %n = arith.index_cast %n32 : i32 to index
        %z = arith.constant 9.0 : f32
        %b = memref.alloc() : memref<4x64xf32>
        linalg.fill ins(%z : f32) outs(%b : memref<4x64xf32>)
        %s = memref.subview %v[0, 0][%r, %n][1, 1]
          : memref<4x64xf32, strided<[64, 1]>> to memref<?x?xf32, strided<[64, 1]>>
        %d = memref.subview %b[0, 0][%r, %n][1, 1] : memref<4x64xf32> to memref<?x?xf32, strided<[64, 1]>>
        memref.copy %s, %d : memref<?x?xf32, strided<[64, 1]>> to memref<?x?xf32, strided<[64, 1]>>
        memref.copy %s, %d : memref<?x?xf32, strided<[64, 1]>> to memref<?x?xf32, strided<[64, 1]>>
        %t = bufferization.to_tensor %b restrict writable : memref<4x64xf32> to tensor<4x64xf32>\n"""
        + store("t", "a2", (4, 64), "f32"),
        x,
        size,
        out,
    )
    expected = np.full((4, 64), 9, np.float32)
    expected[:rows, :columns] = x[:rows, :columns]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("k", [64, 256])
@pytest.mark.parametrize("core", ["spacemit-x60", "spacemit-x100"])
def test_matmul_loop_on_rvv_loads_each_operand_once_and_never_spills(core, k):
    """Per step of K: one vector of B, one scalar of A a row, one multiply-add a row."""
    zero = "%z = arith.constant dense<0.0> : tensor<56x32xf32>\n"
    body = (
        load("a", "a0", (56, k), "f32")
        + load("b", "a1", (k, 32), "f32")
        + zero
        + f"""%r = linalg.matmul ins(%a, %b : tensor<56x{k}xf32>, tensor<{k}x32xf32>)
          outs(%z : tensor<56x32xf32>) -> tensor<56x32xf32>\n"""
        + store("r", "a2", (56, 32), "f32")
    )
    arrays = [np.zeros(1, np.float32)] * 3
    text = render(kernel(body, *arrays), "asm", cores()[core], start="linalg")
    loop = hot_loop(text, "vfm")
    fmas = sum("vfmacc.vf" in line or "vfmadd.vf" in line for line in loop)
    assert fmas == 28
    assert len(loop) <= 2.36 * fmas
    assert not any("(sp)" in line or "vs4r.v" in line or "vl4r.v" in line for line in loop)


@pytest.mark.parametrize("core", ["spacemit-x60", "spacemit-x100"])
def test_a_wide_matmul_on_rvv_takes_the_longest_groups(core):
    """64 columns: three rows of sums in groups of eight registers, one for B."""
    body = (
        load("a", "a0", (48, 64), "f32")
        + load("b", "a1", (64, 64), "f32")
        + "%z = arith.constant dense<0.0> : tensor<48x64xf32>\n"
        + """%r = linalg.matmul ins(%a, %b : tensor<48x64xf32>, tensor<64x64xf32>)
          outs(%z : tensor<48x64xf32>) -> tensor<48x64xf32>\n"""
        + store("r", "a2", (48, 64), "f32")
    )
    text = render(kernel(body, *[np.zeros(1, np.float32)] * 3), "asm", cores()[core], start="linalg")
    loop = hot_loop(text, "vfm")
    fmas = sum("vfmacc.vf" in line or "vfmadd.vf" in line for line in loop)
    assert fmas == 12
    assert len(loop) <= 2.9 * fmas  # each does the work of two on groups of four
    assert not any("(sp)" in line or "vs8r.v" in line or "vl8r.v" in line or "vmv" in line for line in loop)


def hot_loop(text: str, mnemonic: str) -> list[str]:
    """The instructions of the innermost loop that holds most of `mnemonic`."""
    lines, best = text.splitlines(), []
    for start, line in enumerate(lines):
        if not line.startswith(".LBB"):
            continue
        label = line.split(":")[0]
        for stop in range(start + 1, len(lines)):
            if lines[stop].startswith(".LBB"):
                break
            if label in lines[stop].split():
                body = [x for x in lines[start + 1 : stop + 1] if x.startswith("\t") and x[1] not in ".#"]
                if sum(mnemonic in x for x in body) > sum(mnemonic in x for x in best):
                    best = body
    return best


def test_a_slice_of_run_time_size_with_several_users():
    """A costly tensor stored in part several times: what is kept is the tensor, not the slice."""
    x, count = random(8, dtype=np.float64), np.array([5], np.int32)
    outs = [np.zeros(8, np.float16) for _ in range(4)]
    slices = "".join(
        view(f"v{i}", f"a{i + 1}", (8,), "f16") + f"%p{i} = memref.subview %v{i}[%c0] [%n] [1] "
        ": memref<8xf16, strided<[1]>> to memref<?xf16, strided<[1], offset: ?>>\n"
        f"bufferization.materialize_in_destination %part in writable %p{i} "
        ": (tensor<?xf16>, memref<?xf16, strided<[1], offset: ?>>) -> ()\n"
        for i in range(4)
    )
    run(
        load("x", "a0", (8,), "f64")
        + """
        %c0 = arith.constant 0 : index
        %m = memref.load %a5[%c0] : memref<?xi32>
        %n = arith.index_cast %m : i32 to index
        %b = arith.truncf %x : tensor<8xf64> to tensor<8xbf16>
        %w = arith.extf %b : tensor<8xbf16> to tensor<8xf32>
        %h = arith.truncf %w : tensor<8xf32> to tensor<8xf16>
        %part = tensor.extract_slice %h[%c0] [%n] [1] : tensor<8xf16> to tensor<?xf16>
        """
        + slices,
        x,
        *outs,
        count,
    )
    wide = x.astype(np.float32).view(np.uint32) + 0x7FFF
    want = ((wide + (x.astype(np.float32).view(np.uint32) >> 16 & 1)) & 0xFFFF0000).view(np.float32)
    want = np.where(np.arange(8) < 5, want, 0).astype(np.float16)
    for out in outs:
        np.testing.assert_array_equal(out, want)
