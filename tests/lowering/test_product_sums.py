"""Products in a loop: sums that begin at a constant, and that go straight to their place in memory."""

import re

import numpy as np
import pytest
from test_micro_kernels import GRID, HOST, run

from vertebra.core.compile import render

M, N, K, TURNS = 40, 24, 8, 3


def kernel(*, init="0.0", after="", result="f32", between="", slice=True, shape=(M, N)) -> str:
    """%c[:rows, :columns] = what `after` makes of init + a[:, :K * turns] @ b[:K * turns], K at a time."""
    m, n = shape

    def load(name, memref, rows, columns, stride, offset):
        layout = f"memref<{rows}x{columns}xf32, strided<[{stride}, 1], offset: ?>>"
        kind = f"memref<{rows}x{columns}xf32>"
        return (
            f"%{name}v = memref.reinterpret_cast %{memref} to offset: [{offset}], sizes: [{rows}, {columns}], "
            f"strides: [{stride}, 1] : memref<?xf32> to {layout}\n"
            f"%{name}b = memref.alloc() : {kind}\n"
            f"memref.copy %{name}v, %{name}b : {layout} to {kind}\n"
            f"%{name}t = bufferization.to_tensor %{name}b restrict writable : {kind} to "
            f"tensor<{rows}x{columns}xf32>\n"
        )

    flat, whole = f"memref<?x{result}>", f"memref<{m}x{n}x{result}, strided<[{n}, 1]>>"
    value = "%y" if after else "%s"
    store = f"bufferization.materialize_in_destination {value} in writable %cv : (tensor<{m}x{n}x{result}>, {whole}) -> ()\n"
    if slice:
        part = f"memref<?x?x{result}, strided<[{n}, 1]>>"
        store = (
            f"%cp = memref.subview %cv[0, 0] [%rows, %columns] [1, 1] : {whole} to {part}\n"
            f"%p = tensor.extract_slice {value}[0, 0] [%rows, %columns] [1, 1] : tensor<{m}x{n}x{result}> "
            f"to tensor<?x?x{result}>\n"
            f"bufferization.materialize_in_destination %p in writable %cp : (tensor<?x?x{result}>, {part}) -> ()\n"
        )
    return (
        f"func.func @k(%a: memref<?xf32>, %b: memref<?xf32>, %c: {flat}, %turns: i32, %r: i32, %q: i32, "
        f"{GRID}) attributes {{vertebra.kernel}} {{\n"
        f"%init = arith.constant dense<{init}> : tensor<{m}x{n}xf32>\n"
        "%c0 = arith.constant 0 : index\n%c1 = arith.constant 1 : index\n"
        f"%ck = arith.constant {K} : index\n%ckn = arith.constant {K * n} : index\n"
        "%end = arith.index_cast %turns : i32 to index\n"
        f"%s = scf.for %i = %c0 to %end step %c1 iter_args(%acc = %init) -> (tensor<{m}x{n}xf32>) {{\n"
        "%ao = arith.muli %i, %ck : index\n%bo = arith.muli %i, %ckn : index\n"
        + load("a", "a", m, K, K * TURNS, "%ao")
        + load("b", "b", K, n, n, "%bo")
        + f"%d = linalg.matmul ins(%at, %bt : tensor<{m}x{K}xf32>, tensor<{K}x{n}xf32>) "
        f"outs(%acc : tensor<{m}x{n}xf32>) -> tensor<{m}x{n}xf32>\n"
        f"scf.yield %d : tensor<{m}x{n}xf32>\n}}\n"
        + between
        + "%rows = arith.index_cast %r : i32 to index\n%columns = arith.index_cast %q : i32 to index\n"
        + after
        + f"%cv = memref.reinterpret_cast %c to offset: [0], sizes: [{m}, {n}], strides: [{n}, 1] : "
        f"{flat} to {whole}\n" + store + "return\n}"
    )


def factors(shape=(M, N)):
    rng = np.random.default_rng(8)
    a = rng.standard_normal((shape[0], K * TURNS)).astype(np.float32)
    return a, rng.standard_normal((K * TURNS, shape[1])).astype(np.float32)


SIGNATURE = ("*fp32", "*fp32", "*fp32", "i32", "i32", "i32")


def check(text: str, turns: int, rows: int, columns: int, want, signature=SIGNATURE, dtype=np.float32):
    """want: (sums of all turns) -> what is stored."""
    a, b = factors()
    out = np.full((M, N), 7, dtype)
    run(HOST, text, signature, a, b, out, turns, rows, columns)
    expected = np.full((M, N), 7, dtype)
    sums = a[:, : K * turns].astype(np.float64) @ b[: K * turns]
    expected[:rows, :columns] = want(sums)[:rows, :columns]
    np.testing.assert_allclose(out, expected, rtol=2e-3 if dtype == np.float16 else 2e-5, atol=1e-5)


def into_place(text: str) -> bool:
    """Whether the loop with the products writes to the function's third argument."""
    module = render(text, "vector", HOST, start="linalg")
    (loop,) = [x for x in re.findall(r"\n    scf\.for.*?\n    }\n", module, re.S) if "math.fma" in x]
    return bool(re.search(r"vector\.store .* %arg2\[", loop))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("rows, columns", [(M, N), (M - 1, N), (M, N - 5), (17, 3), (0, 0)])
@pytest.mark.parametrize("init", ["0.0", "2.5"])
def test_whole_and_partial_stores(turns, rows, columns, init):
    check(kernel(init=init), turns, rows, columns, lambda sums: sums + float(init))


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_stores_without_bounds(turns):
    text = kernel(slice=False)
    assert into_place(text)
    check(text, turns, M, N, lambda sums: sums)


def test_the_constant_at_which_sums_begin_is_computed_with_too():
    """Where a loop begins it has to be in memory, behind it a register will do: max(sums, 0)."""
    after = f"%y = arith.maximumf %s, %init : tensor<{M}x{N}xf32>\n"
    text = kernel(after=after)
    assert into_place(text)
    check(text, 3, M, N, lambda sums: np.maximum(sums, 0))


def test_an_expression_on_the_way():
    """What becomes of the sums is computed in registers: max(0, -2 * sums) in half precision."""
    wide, short = f"tensor<{M}x{N}xf32>", f"tensor<{M}x{N}xf16>"
    after = (
        f"%two = arith.constant dense<-2.0> : {wide}\n%zero = arith.constant dense<0.0> : {wide}\n"
        f"%x1 = arith.mulf %s, %two : {wide}\n%x2 = arith.maximumf %x1, %zero : {wide}\n"
        f"%y = arith.truncf %x2 : {wide} to {short}\n"
    )
    text = kernel(after=after, result="f16")
    assert into_place(text)
    signature = ("*fp32", "*fp32", "*fp16", "i32", "i32", "i32")
    for rows in (M, M - 3):
        check(text, TURNS, rows, N, lambda sums: np.maximum(-2 * sums, 0), signature, np.float16)


def test_the_buffer_is_filled_only_where_no_turn_overwrites_it():
    text = render(kernel(), "vector", HOST, start="linalg")
    before, _, _ = text.partition("iter_args")
    fill = before.index("transfer_write")
    assert "scf.if" in before[:fill]


def test_what_reads_memory_in_between_keeps_the_order():
    """A load between the product and its store must see memory as it was."""
    wide = f"tensor<{M}x{N}xf32>"
    own = f"memref<{M}x{N}xf32>"
    view = f"memref<{M}x{N}xf32, strided<[{N}, 1]>>"
    load = (
        f"%ov = memref.reinterpret_cast %c to offset: [0], sizes: [{M}, {N}], strides: [{N}, 1] : "
        f"memref<?xf32> to {view}\n%ob = memref.alloc() : {own}\nmemref.copy %ov, %ob : {view} to {own}\n"
        f"%ot = bufferization.to_tensor %ob restrict writable : {own} to {wide}\n"
    )
    after = f"%y = arith.addf %s, %ot : {wide}\n"
    text = kernel(between=load, after=after)
    assert not into_place(text)
    check(text, TURNS, M, N, lambda sums: sums + 7)


@pytest.mark.parametrize("onto", ["a", "b"])
def test_a_result_that_lies_over_a_factor(onto):
    """Everything is read before anything is written."""
    shape = (48, 48)
    text = kernel(shape=shape)
    a, b = factors(shape)
    want = (a.astype(np.float64) @ b).astype(np.float32)
    memory = np.zeros(shape, np.float32)
    place = memory.reshape(-1)[: a.size]
    factor = place.reshape((a if onto == "a" else b).shape)
    factor[:] = a if onto == "a" else b
    given = (factor, b) if onto == "a" else (a, factor)
    run(HOST, text, SIGNATURE, *given, memory, TURNS, *shape)
    np.testing.assert_allclose(memory, want, rtol=2e-5, atol=1e-5)
