"""The function that runtimes call: slots to arguments, linear ids to grid positions; on the machine at hand."""

import ctypes

import numpy as np
import pytest
import torch

from vertebra.core.abi import SCRATCH_ALIGNMENT, scalar_bits
from vertebra.core.compile import compile, render
from vertebra.core.errors import CompileError
from vertebra.core.hooks import cores
from vertebra.core.select import runtime_for

GRID = "%gx: i32, %gy: i32, %gz: i32, %px: i32, %py: i32, %pz: i32"


def loaded(arguments: str, body: str, signature: tuple[str, ...], name: str = "k"):
    inputs = f"{arguments}, {GRID}" if arguments else GRID
    text = f"func.func @{name}({inputs}) attributes {{vertebra.kernel}} {{\n{body}\nreturn }}"
    core = cores()["host"]
    return runtime_for(core).load(compile(text, core, name=name, signature=signature, start="linalg"))


# Triton's name, MLIR's type, a value, how torch holds it
SCALARS = [
    ("i1", "i8", True, torch.int8),
    ("i8", "i8", -100, torch.int8),
    ("u8", "i8", 200, torch.uint8),
    ("i16", "i16", -30000, torch.int16),
    ("i32", "i32", -(1 << 31), torch.int32),
    ("i64", "i64", -(1 << 63), torch.int64),
    ("u64", "i64", 1 << 63, torch.uint64),
    ("fp16", "f16", -0.1, torch.float16),
    ("bf16", "bf16", 3.14159, torch.bfloat16),
    ("fp32", "f32", 1e-40, torch.float32),
    ("fp64", "f64", -1 / 3, torch.float64),
]


@pytest.mark.parametrize("name, type, value, dtype", SCALARS, ids=[s[0] for s in SCALARS])
def test_every_scalar_arrives_between_others(name, type, value, dtype):
    """Its neighbours' slots hold all ones, which a wrong width or slot would show."""
    store = "%c0 = arith.constant 0 : index\nmemref.store %v, %x[%c0] : memref<?x" + type + ">"
    kernel = loaded(
        f"%a: i64, %v: {type}, %b: i64, %x: memref<?x{type}>", store, ("i64", name, "i64", f"*{name}")
    )
    out = torch.zeros(1, dtype=dtype)
    kernel.launch((1, 1, 1), (-1, value, -1, out))
    assert out.view(torch.uint8).equal(torch.tensor([value], dtype=dtype).view(torch.uint8))


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_one_bit_of_its_slot(value):
    body = """%c0 = arith.constant 0 : index
    %w = arith.extui %v : i1 to i32
    memref.store %w, %x[%c0] : memref<?xi32>"""
    kernel = loaded("%v: i1, %x: memref<?xi32>", body, ("i1", "*i32"))
    out = np.full(1, 7, np.int32)
    kernel.launch((1, 1, 1), (value, out))
    assert out[0] == value


def test_pointers_are_addresses_of_first_elements():
    body = """%c1 = arith.constant 1 : index
    %v = memref.load %x[%c1] : memref<?xf32>
    memref.store %v, %y[%c1] : memref<?xf32>"""
    kernel = loaded("%x: memref<?xf32>, %y: memref<?xf32>", body, ("*fp32", "*fp32"))
    x, y = np.arange(10, dtype=np.float32), np.zeros(10, np.float32)
    kernel.launch((1, 1, 1), (x[4:], y[7:]))
    np.testing.assert_array_equal(y, [0] * 8 + [5, 0])


RECORD = """%nx = arith.index_cast %gx : i32 to index
%ny = arith.index_cast %gy : i32 to index
%i = arith.index_cast %px : i32 to index
%j = arith.index_cast %py : i32 to index
%k = arith.index_cast %pz : i32 to index
%kj = arith.muli %k, %ny : index
%row = arith.addi %kj, %j : index
%rowx = arith.muli %row, %nx : index
%at = arith.addi %rowx, %i : index
%c6 = arith.constant 6 : index
%first = arith.muli %at, %c6 : index
""" + "".join(
    f"%c{n}x = arith.constant {n} : index\n%at{n} = arith.addi %first, %c{n}x : index\n"
    f"memref.store %{value}, %x[%at{n}] : memref<?xi32>\n"
    for n, value in enumerate(("px", "py", "pz", "gx", "gy", "gz"))
)


def positions(grid) -> np.ndarray:
    """[px, py, pz, gx, gy, gz] for every linear id."""
    found = [[x, y, z, *grid] for z in range(grid[2]) for y in range(grid[1]) for x in range(grid[0])]
    return np.array(found, np.int32)


@pytest.mark.parametrize("grid", [(1, 1, 1), (5, 1, 1), (1, 4, 1), (1, 1, 3), (3, 4, 5), (17, 2, 1)], ids=str)
def test_every_program_knows_its_place_in_the_grid(grid):
    kernel = loaded("%x: memref<?xi32>", RECORD, ("*i32",))
    out = np.full((np.prod(grid), 6), -1, np.int32)
    kernel.launch(grid, (out,))
    np.testing.assert_array_equal(out, positions(grid))


@pytest.fixture(scope="module")
def entry():
    """The C function of a kernel that records its programs, and what keeps it in memory."""
    kernel = loaded("%x: memref<?xi32>", RECORD, ("*i32",))
    kinds = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64] + [ctypes.c_int32] * 3
    return ctypes.CFUNCTYPE(None, *kinds)(kernel.address), kernel


@pytest.mark.parametrize("begin, end", [(0, 0), (7, 7), (9, 2), (0, 1), (5, 13), (59, 60), (0, 60)])
def test_a_range_of_ids_is_all_that_runs(entry, begin, end):
    grid = (3, 4, 5)
    out = np.full((60, 6), -1, np.int32)
    slots = np.array([out.ctypes.data], np.uint64)
    entry[0](slots.ctypes.data, None, begin, end, *grid)
    expected = np.full((60, 6), -1, np.int32)
    expected[begin:end] = positions(grid)[begin:end]
    np.testing.assert_array_equal(out, expected)


def test_ids_beyond_32_bits_have_a_place():
    """The last programs of a grid of 2**31 - 1 by 4."""
    body = """%c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    memref.store %px, %x[%c0] : memref<?xi32>
    memref.store %py, %x[%c1] : memref<?xi32>"""
    kernel = loaded("%x: memref<?xi32>", body, ("*i32",))
    kinds = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64] + [ctypes.c_int32] * 3
    function = ctypes.CFUNCTYPE(None, *kinds)(kernel.address)
    width = (1 << 31) - 1
    out = np.zeros(2, np.int32)
    slots = np.array([out.ctypes.data], np.uint64)
    last = width * 4 - 1
    function(slots.ctypes.data, None, last, last + 1, width, 4, 1)
    assert out.tolist() == [width - 1, 3]


def test_scratch_memory_is_the_threads_own():
    """Every program fills a large buffer with its id and reads it back after a while."""
    body = """%c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = arith.constant 4096 : index
    %b = memref.alloc() : memref<4096xi32>
    scf.for %i = %c0 to %n step %c1 { memref.store %px, %b[%i] : memref<4096xi32> }
    %at = arith.index_cast %px : i32 to index
    %zero = arith.constant 0 : i32
    %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %zero) -> i32 {
      %v = memref.load %b[%i] : memref<4096xi32>
      %t = arith.addi %s, %v : i32
      scf.yield %t : i32 }
    memref.store %sum, %x[%at] : memref<?xi32>"""
    kernel = loaded("%x: memref<?xi32>", body, ("*i32",))
    out = np.zeros(500, np.int32)
    kernel.launch((500, 1, 1), (out,))
    np.testing.assert_array_equal(out, 4096 * np.arange(500))


@pytest.mark.parametrize("bytes_each", [0, 4096, 5000, 128000])
def test_the_object_says_how_much_scratch_it_needs(bytes_each):
    body = f"""%c0 = arith.constant 0 : index
    %b = memref.alloc() : memref<{bytes_each}xi8>
    %v = memref.load %b[%c0] : memref<{bytes_each}xi8>
    memref.store %v, %x[%c0] : memref<?xi8>"""
    text = f"""func.func @k(%x: memref<?xi8>, {GRID}) attributes {{vertebra.kernel}} {{
      {body if bytes_each else ""}
      return }}"""
    binary = compile(text, cores()["host"], name="k", signature=("*i8",), start="linalg")
    expected = 0 if bytes_each <= 4096 else -(-bytes_each // SCRATCH_ALIGNMENT) * SCRATCH_ALIGNMENT
    assert binary.scratch_bytes == expected


def test_two_kernels_of_one_module_have_an_entry_each():
    text = "".join(
        f"""func.func @{name}(%x: memref<?xi32>, {GRID}) attributes {{vertebra.kernel}} {{
          %c0 = arith.constant 0 : index
          %v = arith.constant {value} : i32
          memref.store %v, %x[%c0] : memref<?xi32>
          return }}\n"""
        for name, value in (("one", 1), ("two", 2))
    )
    core = cores()["host"]
    out = np.zeros(1, np.int32)
    for name, value in (("two", 2), ("one", 1)):
        binary = compile(text, core, name=name, signature=("*i32",), start="linalg")
        runtime_for(core).load(binary).launch((1, 1, 1), (out,))
        assert out[0] == value


def test_only_the_entry_and_its_size_are_exported():
    text = f"func.func @k({GRID}) attributes {{vertebra.kernel}} {{ return }}"
    llir = render(text, "llir", cores()["host"], start="linalg")
    exported = [
        line for line in llir.splitlines() if line.startswith(("define", "@")) and "internal" not in line
    ]
    assert [line.partition("@")[2].split("(")[0].split()[0] for line in exported] == ["k_scratch_bytes", "k"]


@pytest.mark.parametrize("type", ["index", "vector<4xf32>", "complex<f32>"])
def test_an_argument_that_no_slot_holds_is_refused(type):
    text = f"func.func @k(%v: {type}, {GRID}) attributes {{vertebra.kernel}} {{ return }}"
    with pytest.raises(CompileError, match=f"a kernel argument of type {type}"):
        render(text, "llir", cores()["host"], start="linalg")


def test_a_slot_is_what_the_interface_says():
    """A kernel called by hand, with the bytes of `scalar_bits`."""
    body = """%c0 = arith.constant 0 : index
    memref.store %v, %x[%c0] : memref<?xf16>"""
    kernel = loaded("%v: f16, %x: memref<?xf16>", body, ("fp16", "*fp16"))
    out = np.zeros(1, np.float16)
    slots = np.array([scalar_bits("fp16", 1.5), out.ctypes.data], np.uint64)
    kinds = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64] + [ctypes.c_int32] * 3
    ctypes.CFUNCTYPE(None, *kinds)(kernel.address)(slots.ctypes.data, None, 0, 1, 1, 1, 1)
    assert out[0] == 1.5


@pytest.mark.parametrize("name", ["ядро", "k<1>", "two words"])
def test_a_name_that_no_object_file_holds_is_refused(name):
    text = f'func.func @"{name}"({GRID}) attributes {{vertebra.kernel}} {{ return }}'
    with pytest.raises(CompileError, match="cannot be the name of a function") as caught:
        compile(text, cores()["host"], name=name, signature=(), start="linalg")
    assert caught.value.kernel == name


@pytest.mark.parametrize("name", ["k", "_k2", "k.specialised", "K"])
def test_a_name_of_letters_digits_and_underscores_is_kept(name):
    loaded("", "", (), name=name).launch((1, 1, 1), ())
