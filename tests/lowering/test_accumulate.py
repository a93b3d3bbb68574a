"""Loops that add up blocks, whose sum is then taken: right for every size, and no block in memory."""

import functools

import numpy as np
import pytest

from vertebra.core.compile import compile, render
from vertebra.core.hooks import cores
from vertebra.core.select import runtime_for

CORES = ["host", "spacemit-x60"]
GRID = ", ".join(f"%{name}: i32" for name in ("gx", "gy", "gz", "px", "py", "pz"))
# operation -> what it starts from, what a masked lane holds, NumPy's reduction
COMBINERS = {
    "arith.addf": ("0.0", "0.0", np.sum),
    "arith.maximumf": ("0xFF800000", "0xFF800000", functools.partial(np.max, initial=-np.inf)),
    "arith.addi": ("0", "0", np.sum),
    "arith.xori": ("0", "0", np.bitwise_xor.reduce),
}


def kernel(operation: str, block: int, *, start: str | None = None, term: str = "", also: str = "") -> str:
    """a2[0] = all of a0[:n] combined, n = a1[0], in turns of `block`.

    start: what the tensor holds ahead of the loop.  term: makes %y of %x, in a loop that starts at %s.
    also: further operations behind the loop, whose tensor is %total.
    """
    type = "i32" if operation.endswith("i") else "f32"
    identity, masked, _ = COMBINERS[operation]
    t, m = f"tensor<{block}x{type}>", f"memref<{block}x{type}>"
    at = f"memref<{block}x{type}, strided<[1], offset: ?>>"
    some = f"memref<?x{type}, strided<[1]>>"
    return f"""func.func @k(%a0: memref<?x{type}>, %a1: memref<?xi32>, %a2: memref<?x{type}>, {GRID})
        attributes {{vertebra.kernel}} {{
      %c0 = arith.constant 0 : index
      %zero = arith.constant 0 : i32
      %size = arith.constant {block} : index
      %step = arith.constant {block} : i32
      %other = arith.constant {masked} : {type}
      %init = arith.constant dense<{start or identity}> : {t}
      %one = arith.constant {identity} : {type}
      %n32 = memref.load %a1[%c0] : memref<?xi32>
      %n = arith.index_cast %n32 : i32 to index
      %total = scf.for %s = %zero to %n32 step %step iter_args(%sum = %init) -> ({t}) : i32 {{
        %from = arith.index_cast %s : i32 to index
        %left = arith.subi %n, %from : index
        %least = arith.minsi %left, %size : index
        %bound = arith.maxsi %least, %c0 : index
        %buffer = memref.alloc() : {m}
        linalg.fill ins(%other : {type}) outs(%buffer : {m})
        %view = memref.reinterpret_cast %a0 to offset: [%from], sizes: [{block}], strides: [1]
          : memref<?x{type}> to {at}
        %in = memref.subview %view[0] [%bound] [1] : {at} to memref<?x{type}, strided<[1], offset: ?>>
        %out = memref.subview %buffer[0] [%bound] [1] : {m} to {some}
        memref.copy %in, %out : memref<?x{type}, strided<[1], offset: ?>> to {some}
        %x = bufferization.to_tensor %buffer restrict writable : {m} to {t}
        {term}
        %new = {operation} %sum, {"%y" if term else "%x"} : {t}
        scf.yield %new : {t}
      }}
      %empty = tensor.empty() : tensor<{type}>
      %first = linalg.fill ins(%one : {type}) outs(%empty : tensor<{type}>) -> tensor<{type}>
      %r = linalg.reduce {{ {operation} }} ins(%total : {t}) outs(%first : tensor<{type}>) dimensions = [0]
      %value = tensor.extract %r[] : tensor<{type}>
      memref.store %value, %a2[%c0] : memref<?x{type}>
      {also}
      return
    }}"""


@functools.cache
def loaded(text: str, core: str, name: str):
    binary = compile(text, cores()[core], name="k", signature=(name, "*i32", name), start="linalg")
    return runtime_for(cores()[core]).load(binary)


def run(text: str, x: np.ndarray, out: np.ndarray, core: str) -> None:
    name = {"f": "*fp32", "i": "*i32"}[x.dtype.kind]
    loaded(text, core, name).launch((1, 1, 1), [x, np.array([len(x)], np.int32), out])


def numbers(operation: str, n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    if operation.endswith("i"):
        return rng.integers(-(2**30), 2**30, n).astype(np.int32)
    return rng.standard_normal(n).astype(np.float32) - 3


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("block", [2, 64, 512])
@pytest.mark.parametrize("operation", COMBINERS)
def test_every_size(operation, block, core):
    text = kernel(operation, block)
    for n in (0, 1, block - 1, block, block + 1, 3 * block, 1000):
        x = numbers(operation, n)
        out = np.zeros(1, x.dtype)
        run(text, x, out, core)
        expected = COMBINERS[operation][2](x).astype(x.dtype)
        np.testing.assert_allclose(out[0], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("core", CORES)
def test_no_block_is_in_memory(core):
    assert "memref<512xf32>" not in render(kernel("arith.addf", 512), "vector", cores()[core], start="linalg")


@pytest.mark.parametrize("core", CORES)
def test_a_start_that_counts_is_kept(core):
    """16 elements of 2.0 are part of the sum; in memory, since the loop does not start from nothing."""
    x, out = numbers("arith.addf", 100), np.zeros(1, np.float32)
    run(kernel("arith.addf", 16, start="2.0"), x, out, core)
    np.testing.assert_allclose(out[0], x.sum() + 32, rtol=1e-5)


@pytest.mark.parametrize("core", CORES)
def test_a_tensor_that_others_read_is_kept(core):
    also = """%c7 = arith.constant 7 : index
      %seventh = tensor.extract %total[%c7] : tensor<16xf32>
      %c1 = arith.constant 1 : index
      memref.store %seventh, %a2[%c1] : memref<?xf32>"""
    x, out = numbers("arith.addf", 100), np.zeros(2, np.float32)
    run(kernel("arith.addf", 16, also=also), x, out, core)
    np.testing.assert_allclose(out, [x.sum(), x[7::16].sum()], rtol=1e-5)


TESTED = """%i = tensor.empty() : tensor<512xi32>
        %ramp = linalg.generic {indexing_maps = [affine_map<(d) -> (d)>], iterator_types = ["parallel"]}
          outs(%i : tensor<512xi32>) {
        ^bb0(%unused: i32):
          %place = linalg.index 0 : index
          %narrow = arith.index_cast %place : index to i32
          linalg.yield %narrow : i32
        } -> tensor<512xi32>
        %starts = tensor.splat %s : tensor<512xi32>
        %columns = arith.addi %starts, %ramp : tensor<512xi32>
        %ends = tensor.splat %LIMIT : tensor<512xi32>
        %inside = arith.cmpi slt, %columns, %ends : tensor<512xi32>
        %five = arith.constant dense<5.0> : tensor<512xf32>
        %zeros = arith.constant dense<0.0> : tensor<512xf32>
        %more = arith.addf %x, %five : tensor<512xf32>
        %y = arith.select %inside, %more, %zeros : tensor<512xi1>, tensor<512xf32>"""


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("n", [0, 5, 512, 700, 1024])
def test_a_test_that_repeats_the_bound(core, n):
    x, out = numbers("arith.addf", n), np.zeros(1, np.float32)
    run(kernel("arith.addf", 512, term=TESTED.replace("LIMIT", "n32")), x, out, core)
    np.testing.assert_allclose(out[0], (x + 5).sum(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("core", CORES)
def test_a_test_of_something_else_stays(core):
    """The first 3 elements of every turn only: its bound is no bound of the load."""
    x, out = numbers("arith.addf", 1024), np.zeros(1, np.float32)
    limit = "%three = arith.constant 3 : i32\n%limit = arith.addi %s, %three : i32\n"
    run(kernel("arith.addf", 512, term=limit + TESTED.replace("LIMIT", "limit")), x, out, core)
    np.testing.assert_allclose(out[0], (x.reshape(2, 512)[:, :3] + 5).sum(), rtol=1e-5)


@pytest.mark.parametrize("core", CORES)
def test_full_chunks_do_not_repeat_the_test(core):
    """One loop of full chunks without comparisons of lanes, one for what the bound cuts."""
    text = kernel("arith.addf", 512, term=TESTED.replace("LIMIT", "n32"))
    vectors = render(text, "vector", cores()[core], start="linalg")
    loops = vectors.split("scf.for")[1:]
    assert [("arith.cmpi slt" in x, "vector.maskedload" in x) for x in loops[-2:]] == [
        (False, False),
        (True, True),
    ]
