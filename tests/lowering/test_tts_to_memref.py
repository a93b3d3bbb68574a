"""Memory operations as memref operations: what is left of them, and the numbers that the host gives."""

import functools

import access_kernels as kernels
import numpy as np
import pytest
from test_tt_to_tts import EXPECTED, only, operations, structured

from vertebra.core import assembly, select
from vertebra.core.context import context
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.tts_to_memref import tts_to_memref

B = 16
X = np.arange(1, 1001, dtype=np.float32)


@functools.cache  # operations die with their module
def lowered(kernel):
    """The module of `kernel` after tts-to-memref; computing operations are still tt's."""
    module = assembly.parse(assembly.print_module(structured(kernel)), context())
    tts_to_memref(module, None, None)
    module.operation.verify()
    return module


@pytest.mark.parametrize("name", EXPECTED)
def test_no_memory_operation_is_left(name):
    left = {op.operation.name for op in operations(lowered(kernels.SOURCES[name]))}
    assert not any(op.startswith("tts.") for op in left)
    assert not left & {"tt.load", "tt.store", "tt.atomic_rmw", "tt.atomic_cas", "tt.addptr", "tt.int_to_ptr"}
    assert left & {
        "bufferization.materialize_in_destination",
        "memref.store",
        "memref.atomic_rmw",
        "linalg.generic",
    }


def names(kernel) -> list[str]:
    return [op.operation.name for op in operations(lowered(kernel))]


def test_a_whole_block_needs_no_fill_and_no_slices():
    found = names(kernels.unmasked)
    assert not {"linalg.fill", "memref.subview", "tensor.extract_slice"} & set(found)
    assert found.count("memref.copy") == found.count("bufferization.materialize_in_destination") == 1


def test_a_bounded_load_fills_and_copies_what_there_is():
    found = names(kernels.vector_add)
    assert found.count("linalg.fill") == found.count("memref.copy") == 2
    assert found.count("memref.subview") == 5
    assert found.count("tensor.extract_slice") == 1


def test_known_strides_show_in_the_type():
    module = lowered(kernels.backwards)
    views = [op for op in operations(module) if op.operation.name == "memref.reinterpret_cast"]
    assert str(views[0].result.type) == "memref<16xf32, strided<[-1], offset: 15>>"


def test_looked_up_rows_keep_their_columns_contiguous():
    module = lowered(kernels.gather_rows)
    generic = only(module, "linalg.generic")
    maps = [str(a.value) for a in generic.attributes["indexing_maps"]]
    assert maps == ["(d0, d1) -> (d0)", "(d0, d1) -> (d0, d1)"]


def test_one_view_function_for_each_element_type():
    module = lowered(kernels.addresses)
    (function,) = (op for op in module.body.operations if "vertebra_view" in str(op.attributes["sym_name"]))
    assert function.attributes["sym_name"].value == "__vertebra_view_f32"
    assert str(function.attributes["function_type"].value) == "(i64) -> memref<?xf32>"


def test_unknown_pointers_are_reported():
    text = """
    func.func @kernel(%p: tensor<4x!tt.ptr<f32>>) {
      %v = tt.load %p : tensor<4x!tt.ptr<f32>>
      tt.store %p, %v : tensor<4x!tt.ptr<f32>>
      return
    }
    """
    module = assembly.parse(text, context())
    with pytest.raises(CompileError, match="nothing is known"):
        tts_to_memref(module, None, None)


@pytest.fixture
def host():
    select.set_core("host")
    yield
    select.set_core(None)


def run(kernel, *args, shape=(B,), grid=(1,), start=0.0):
    """What `kernel` writes to `out`, its only argument of that name."""
    out = np.full(shape, start, np.float32)
    given = iter(args)
    values = {n: out if n == "out" else next(given) for n in kernel.arg_names if n != "B"}
    kernel[grid](**values, B=B)
    return out


I = np.arange(B)
VECTORS = {
    "middle": ((4,), lambda: np.r_[np.zeros(4), np.where(I + 4 < 10, X[I + 4], 7)][:B]),
    "one_element": ((5,), lambda: np.where(I == 5, X[I], 3)),
    "one_element outside": ((-1,), lambda: np.full(B, 3)),
    "descending_mask": ((9,), lambda: np.where(2 * I < 9, X[I], 3)),
    "descending_mask all": ((99,), lambda: X[I]),
    "odd_mask": ((9,), lambda: np.where(I == 9, 0, np.where(I % 2 == 1, X[I], 5))),
    "uniform_mask": ((3,), lambda: np.zeros(B)),
    "uniform_mask on": ((4,), lambda: X[I]),
    "tensor_other": ((6,), lambda: np.where(I < 6, X[I], I)),
    "unsigned_mask": ((6,), lambda: np.where(I < 6, X[I], 0)),
    "unsigned_window": ((9, 3), lambda: np.r_[[-1] * 3, X[:9], [-1] * 4]),
    "unsigned_window below": ((30, -3), lambda: X[I + 3]),
    "never": ((9,), lambda: np.where(I < 9, 4, 0)),
    "backwards": ((16,), lambda: X[I]),
    "wrapped": ((7, 3), lambda: X[(3 + I) % 7]),
    "wrapped once": ((11, 8), lambda: X[(8 + I) % 11]),
    "wrapped never": ((100, 8), lambda: X[8 + I]),
    "wrapped to one": ((1, 8), lambda: np.full(B, X[0])),
    "wrapped_by_two": ((7, 3), lambda: X[(3 + 2 * I) % 7]),
    "wrapped_store": ((7, 3), lambda: np.r_[X[(np.arange(7) - 3) % 7], np.zeros(9)]),
    "carried_offsets": ((40,), lambda: X[I] + X[I + 16] + np.where(I < 8, X[I + 32], 0)),
    "carried_strides": ((3,), lambda: X[I] + X[2 * I] + X[3 * I]),
    "scalar_in_loop": ((3,), lambda: np.r_[X[0] + X[2] + X[4], np.zeros(B - 1)]),
    "while_loop": ((3,), lambda: X[I] + X[16 + I] + X[32 + I]),
    "scalars": ((2,), lambda: np.r_[X[3], np.zeros(B - 1)]),
    "scalars moved": ((3,), lambda: np.r_[X[5], np.zeros(B - 1)]),
}


@pytest.mark.parametrize("case", VECTORS)
def test_vectors(case, host):
    args, expected = VECTORS[case]
    np.testing.assert_array_equal(
        run(kernels.SOURCES[case.split()[0]], X, *args, shape=(B * 4,))[:B], expected()
    )


ROWS, COLUMNS = I[:, None], I[None, :]


@pytest.mark.parametrize(
    "n, m, start", [(5, 7, 3), (16, 16, 0), (3, 40, 2), (40, 3, 39), (1, 1, 5), (17, 9, 16)]
)
def test_wraps_in_both_dimensions(n, m, start, host):
    out = run(kernels.wrapped_both, X, n, m, start, shape=(B, B))
    expected = X[(start + ROWS) % n * m + (start + COLUMNS) % m]
    np.testing.assert_array_equal(out, np.where(ROWS < B - 1, expected, -1))


@pytest.mark.parametrize("n, m", [(5, 20), (16, 17), (5, 0), (1, 3), (100, -1)])
def test_wrapped_rows_of_any_stride(n, m, host):
    x = X[200:]
    out = run(kernels.wrapped_rows, x, n, m, shape=(B, B))
    np.testing.assert_array_equal(out, X[200 + ROWS % n * m + COLUMNS])


@pytest.mark.parametrize("n", [0, 1, 5, 16, 30])
def test_gather_and_scatter(n, host):
    index = np.random.default_rng(0).permutation(B).astype(np.int32)
    np.testing.assert_array_equal(run(kernels.gather, X, index, n), np.where(n > I, X[index], 0))
    expected = np.zeros(B, np.float32)
    expected[index[:n]] = X[: min(n, B)]
    np.testing.assert_array_equal(run(kernels.scatter, X, index, n), expected)


def test_lookups_on_top_of_strides(host):
    index = np.random.default_rng(0).permutation(B).astype(np.int32)
    expected = X[3 * I + index + (I + 2) % 5] + X[2 * index + I]
    np.testing.assert_array_equal(run(kernels.gather_around, X, index, 2), expected)


def test_an_offset_from_a_tensor_of_one(host):
    index = np.arange(40, 80, dtype=np.int32)
    np.testing.assert_array_equal(run(kernels.one_of_one, X, index, 3), X[43 + I])


def test_rows_by_number(host):
    index = np.random.default_rng(0).permutation(B).astype(np.int32)
    out = run(kernels.gather_rows, X, index, 11, shape=(B, B))
    np.testing.assert_array_equal(out, np.where(COLUMNS < 11, X[index[:, None] * 11 + COLUMNS], 0))
    expected = np.zeros((B, 20), np.float32)
    expected[index, :B] = X[: B * B].reshape(B, B)
    np.testing.assert_array_equal(run(kernels.scatter_rows, X, index, 20, shape=(B, 20)), expected)


def test_pointers_that_swap_and_choose(host):
    y = X * 10
    np.testing.assert_array_equal(run(kernels.swapped_pointers, X, y, 3), X[I] - y[I])
    np.testing.assert_array_equal(run(kernels.swapped_pointers, X, y, 4), y[I] - X[I])
    np.testing.assert_array_equal(run(kernels.one_of_two, X, y, 3), X[I])
    np.testing.assert_array_equal(run(kernels.one_of_two, X, y, 4), y[2 * I])
    second = np.where(I < 2, X[I], y[I])
    np.testing.assert_array_equal(run(kernels.selected, X, y, 3), X[I + 5] + second)
    np.testing.assert_array_equal(run(kernels.selected, X, y, 4), X[I] + second)


def test_offsets_carried_as_a_tensor(host):
    index = (np.arange(B) * 7 % 5).astype(np.int32)
    expected = sum(X[I + k * index] for k in range(4))
    np.testing.assert_array_equal(run(kernels.carried_lookups, X, index, 4), expected)


def test_pointers_read_from_memory(host):
    table = X.ctypes.data + 4 * np.arange(B, dtype=np.int64)[::-1]
    np.testing.assert_array_equal(run(kernels.addresses, np.ascontiguousarray(table), 2), X[2 + I[::-1]])


def test_tables_of_pointers(host):
    table = np.ascontiguousarray(X.ctypes.data + 4 * np.arange(B, dtype=np.int64)[::-1])
    expected = np.where(I < 5, X[I[::-1]], 0) + X[B]  # the first pointer has moved on by then
    np.testing.assert_array_equal(run(kernels.pointers_in_memory, table, 5), expected)
    np.testing.assert_array_equal(table, X.ctypes.data + 4 * (I[::-1] + (I < 5)))


def test_pointers_to_another_type(host):
    high = X.view(np.float16)[1::2].astype(np.float32)
    np.testing.assert_array_equal(run(kernels.halves, X, 7), high[I] + high[7])


@pytest.mark.parametrize("n, m", [(20, 18), (3, 3), (16, 40)])
def test_windows_that_reach_out(n, m, host):
    window = np.zeros((64, 64), np.float32)
    window[1 : 1 + n, :m] = X[: n * m].reshape(n, m)
    expected = np.zeros((max(n, 1), m), np.float32)
    block = window[:B, 2 : 2 + B]
    top = max(0, n - 4)
    rows = min(B, n - top)
    skip = top - (n - 4)
    expected[top : top + rows, : min(B, m)] = block[skip : skip + rows, : min(B, m)]
    np.testing.assert_array_equal(run(kernels.descriptors, X, n, m, shape=(n, m)), expected)


def test_rows_of_a_descriptor(host):
    index = np.array([0, 3, -1, 7, 2, 99, 4, 4, 0, 1, 2, 3, 4, 5, 6, 8], np.int32)
    n, m = 8, 7
    array = np.zeros((100, 10), np.float32)
    array[:n, :m] = X[: n * m].reshape(n, m)
    inside = (index >= 0) & (index < n)
    expected = np.where(inside[:, None], array[np.where(inside, index, 0), 2:10], 0)
    np.testing.assert_array_equal(run(kernels.descriptor_rows, X, index, n, m, shape=(B, 8)), expected)


def test_matmul_of_any_size(host):
    m, n, k = 21, 19, 37
    a = np.random.default_rng(1).standard_normal((m, k)).astype(np.float32)
    b = np.random.default_rng(2).standard_normal((k, n)).astype(np.float32)
    out = np.zeros((m, n), np.float32)
    kernels.matmul[(2, 2)](a, b, out, m, n, k, k, 1, n, 1, B=B)
    np.testing.assert_allclose(out, a @ b, rtol=1e-5, atol=1e-5)


def test_atomics_give_the_old_values(host):
    x = np.array([5, 5, *range(14)], np.int32)
    index = np.zeros(B, np.int32)
    out = np.array([-1000, *range(100, 115)], np.int32)
    kernels.atomics[(1,)](x, index, out, 3, B=B)
    expected = np.maximum(np.array([-1000 + x[:3].sum(), *range(100, 115)]), x)
    if expected[0] == x[0]:
        expected[0] = x[1]
    np.testing.assert_array_equal(out, expected)


def test_the_bounds_of_a_loaded_block_are_clamped():
    """Wherever a window lies, sizes are never negative: lo <= hi is made sure of in the code itself."""
    module = lowered(kernels.block_pointers)
    for op in operations(module):
        if op.operation.name == "memref.subview":
            for size in list(op.operands)[1:]:
                assert isinstance(size.owner, ir.Block) or not str(size.owner).startswith("memref")
