"""The language `smt`: what each signature leaves in Triton's IR, and the errors of wrong arguments."""

import re
import warnings

import numpy as np
import pytest
import triton
import triton.language as tl
import triton.language.extra.smt as smt

from vertebra.core import select
from vertebra.core.errors import CompileError
from vertebra.lowering.operation_calls import decode

from ..lowering.plugged import plugged
from .kernel_text import ttir

pytestmark = pytest.mark.filterwarnings("ignore:tl.make_block_ptr is deprecated")
POINTERS = {"x": "*fp32", "y": "*fp32", "n": "i32"}


def operations(fn, **constants) -> list[tuple[str, list, dict, str]]:
    """(operation, fields, attributes, types) of every call that is left in the kernel, in order."""
    found = []
    for name, types in re.findall(
        r'tt\.call @"((?:[^"\\]|\\.)*)"\([^)]*\) : (.*?)(?: loc.*)?$',
        ttir(fn, POINTERS, **constants),
        re.MULTILINE,
    ):
        call = decode(name.replace("\\22", '"'))
        fields = [field for field, _ in call.operands]
        found.append((f"{call.dialect}.{call.operation}", fields, dict(call.attributes), types))
    return found


def names(found) -> list[str]:
    return [name for name, *_ in found]


def error_of(fn, **constants) -> str:
    with pytest.raises(triton.CompilationError) as raised:
        ttir(fn, POINTERS, **constants)
    error = raised.value
    while isinstance(error.__cause__, triton.CompilationError):
        error = error.__cause__
    assert "smt." in str(error).rpartition("^")[0], "the error shows no line of the kernel"
    return str(error).rpartition("^")[2]


@triton.jit
def block(p, SIZE: tl.constexpr):
    return tl.make_block_ptr(p, (SIZE, SIZE), (SIZE, 1), (0, 0), (SIZE, SIZE), (1, 0))


@triton.jit
def square(p, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    return tl.load(p + i[:, None] * SIZE + i[None, :])


@triton.jit
def keep(p, value):
    """Uses a packed value."""
    sums = tl.sum(tl.sum(tl.sum(tl.sum(value.to(tl.float32), 3), 2), 1), 0)
    tl.store(p, sums)


# --- view ------------------------------------------------------------------------------------


@triton.jit
def views_of_a_tensor(x, y, n):
    a = square(x, 64)
    packed = smt.view(a, (n, 0), (32, 64), (8, 16))
    again = smt.view(packed, (0, n), (16, 32), (4, 4))
    same_tile = smt.view(again, (0, 0), (8, 8))
    keep(y, same_tile)
    flat = smt.view(again, (0, 0), (16, 32), (1, 1))
    tl.store(y + tl.arange(0, 16)[:, None] * 32 + tl.arange(0, 32)[None, :], flat)


def test_views_of_a_tensor_by_packed_size():
    found = operations(views_of_a_tensor)
    assert names(found) == ["xsmt.pack", "xsmt.repack", "xsmt.repack", "xsmt.unpack"]
    pack, repack, kept, unpack = found
    assert pack[1:3] == (["src", "offsets"], {"shape": [32, 64], "packed_size": [8, 16]})
    assert pack[3] == "(tensor<64x64xf32>, i32, i32) -> tensor<4x4x8x16xf32>"
    assert repack[3] == "(tensor<4x4x8x16xf32>, i32, i32) -> tensor<4x8x4x4xf32>"
    assert kept[2] == {"shape": [8, 8], "packed_size": [4, 4]}
    assert unpack[2:] == ({"shape": [16, 32]}, "(tensor<4x8x4x4xf32>, i32, i32) -> tensor<16x32xf32>")


@triton.jit
def whole_view(x, y, n, AT: tl.constexpr):
    packed = smt.view(square(x, 32), (0, 0), (32, 32), (8, 8))
    keep(y, smt.view(packed, (n if AT else 0, 0), (32, 32), (8, 8)))


def test_a_view_of_the_whole_is_the_value_itself_unless_the_offset_is_of_run_time():
    assert names(operations(whole_view, AT=False)) == ["xsmt.pack"]
    assert names(operations(whole_view, AT=True)) == ["xsmt.pack", "xsmt.repack"]


@triton.jit
def larger_view(x, y, n):
    keep(y, smt.view(square(x, 64), (n, 0), (128, 4), (8, 16)))


def test_a_view_may_be_larger_than_its_base_and_smaller_than_its_tile():
    assert operations(larger_view)[0][3] == "(tensor<64x64xf32>, i32, i32) -> tensor<16x1x8x16xf32>"


@triton.jit
def views_of_memory(x, y, n):
    whole = smt.view(block(x, 64), (0, 0), (64, 64), (8, 16))
    part = smt.view(whole, (n, 16), (16, 32))
    same = smt.view(whole, (8, 0), (16, 32), (8, 16))
    tl.store(part, tl.load(same))


def test_views_of_memory_are_pointers():
    packed, part, same = operations(views_of_memory)
    assert packed[0] == "xsmt.subview_pack" and packed[2] == {"shape": [64, 64], "packed_size": [8, 16]}
    assert packed[3].endswith("-> !tt.ptr<tensor<8x4x8x16xf32>>")
    assert part[0] == same[0] == "xsmt.subview" and part[2] == {"shape": [16, 32]}
    assert part[3].endswith("-> !tt.ptr<tensor<2x2x8x16xf32>>")


@triton.jit
def view_into(x, y, n):
    to = smt.view(smt.alloc((64, 64)), (0, 0), (64, 64), (8, 8))
    smt.view(square(x, 64), (0, 0), (64, 64), (8, 8), to)


def test_a_destination_is_written():
    assert names(operations(view_into)) == ["xsmt.alloc", "xsmt.subview_pack", "xsmt.pack"]
    assert re.search(r"tt\.store %\w+, %\w+ .*ptr<tensor<8x8x8x8xf32>>", ttir(view_into, POINTERS))


@triton.jit
def bad_view(x, y, n, CASE: tl.constexpr):
    if CASE == "plain":
        smt.view(square(x, 32), (0, 0), (32, 32))
    elif CASE == "unpack":
        smt.view(square(x, 32), (0, 0), (32, 32), (1, 1))
    elif CASE == "rank":
        smt.view(square(x, 32)[None, :, :], (0, 0), (32, 32), (8, 8))
    elif CASE == "runtime":
        smt.view(square(x, 32), (0, 0), (n, 32), (8, 8))
    elif CASE == "offsets":
        smt.view(square(x, 32), (0, 0, 0), (32, 32), (8, 8))
    elif CASE == "tile":
        smt.view(block(x, 32), (0, 0), (20, 32), (8, 8))
    elif CASE == "offset":
        smt.view(block(x, 32), (4, 0), (16, 16), (8, 8))
    elif CASE == "outside":
        smt.view(block(x, 32), (24, 0), (16, 16), (8, 8))
    elif CASE == "packing":
        smt.view(smt.view(block(x, 32), (0, 0), (32, 32), (8, 8)), (0, 0), (32, 32), (4, 4))
    elif CASE == "half":
        smt.view(square(x, 32), (0, 0), (32, 32), (8, 0))
    elif CASE == "value":
        smt.view(square(x, 32), (0, 0), (32, 32), (8, 8), square(x, 32))
    elif CASE == "power":
        smt.view(square(x, 32), (0, 0), (32, 32), (12, 8))
    elif CASE == "scalar":
        smt.view(n, (0, 0), (32, 32), (8, 8))


@pytest.mark.parametrize(
    "case, said",
    [
        ("plain", "32x32 and there is no packed_size"),
        ("unpack", "unpacks, but base is the plain matrix 32x32"),
        ("rank", "3 dimensions (1x32x32)"),
        ("runtime", "shape[0] is a run-time value"),
        ("offsets", "3 offsets for 2 dimensions"),
        ("tile", "shape[0] is 20, which the tile's 8 does not divide"),
        ("offset", "offset 0 is 4, not a multiple of the tile's 8; the nearest are 0 and 8"),
        ("outside", "elements 24 to 39 of dimension 0 are outside the memory's 32"),
        ("packing", "packed in tiles of 8x8 and cannot be seen in tiles of 4x4"),
        ("half", "both members have to be positive"),
        ("value", "it has to be a block pointer, or a variable that holds a tensor"),
        (
            "power",
            "powers of two: 2 or 4 for 3, 8 or 16 for 12 are the nearest",
        ),
        ("scalar", "base is int32"),
    ],
)
def test_wrong_views(case, said):
    assert said in error_of(bad_view, CASE=case)


# --- descriptor_load -------------------------------------------------------------------------


@triton.jit
def load_eras(x, y, n, CASE: tl.constexpr):
    p = block(x, 64)
    to = smt.alloc((64, 64))
    if CASE == 2:
        a = smt.descriptor_load(p, (n, 0))
        tl.store(to, a)
    elif CASE == 3:
        smt.descriptor_load(p, (n, 0), to)
    elif CASE == 4:
        a = smt.descriptor_load(p, [n, 0], [32, 64], [8, 8])
        keep(y, a)
    elif CASE == 5:
        smt.descriptor_load(p, [n, 0], [64, 64], [8, 8], smt.view(to, (0, 0), (64, 64), (8, 8)))
    elif CASE == 6:
        keep(y, smt.descriptor_load(p, smt.view(to, (0, 0), (64, 64), (8, 8))))


@pytest.mark.parametrize(
    "case, left, stores",
    [
        (2, ["xsmt.alloc"], "tensor<64x64xf32>"),
        (3, ["xsmt.alloc"], "tensor<64x64xf32>"),
        (4, ["xsmt.alloc", "xsmt.pack"], None),
        (5, ["xsmt.alloc", "xsmt.subview_pack", "xsmt.pack"], "tensor<8x8x8x8xf32>"),
        (6, ["xsmt.alloc", "xsmt.subview_pack", "xsmt.pack"], "tensor<8x8x8x8xf32>"),
    ],
)
@pytest.mark.filterwarnings("ignore:smt. descriptor_load")
def test_every_signature_of_descriptor_load(case, left, stores):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        text = ttir(load_eras, POINTERS, CASE=case)
    assert names(operations(load_eras, CASE=case)) == left
    assert ("tt.advance" in text) == (case != 6)
    assert "boundaryCheck = array<i32: 0, 1>, padding = 1" in text
    assert (stores is None) or re.search(rf"tt\.store .*!tt\.ptr<{stores}>", text)
    notes = [str(w.message) for w in seen if w.category is FutureWarning]
    assert len(notes) == (case >= 4) and all("old signature; write" in note for note in notes)


@triton.jit
def bad_load(x, y, n, CASE: tl.constexpr):
    if CASE == "pointer":
        smt.descriptor_load(x, (0, 0))
    elif CASE == "count":
        smt.descriptor_load(block(x, 32), (0,))
    elif CASE == "shape":
        smt.descriptor_load(block(x, 32), (0, 0), smt.alloc((16, 32)))


@pytest.mark.parametrize(
    "case, said",
    [
        ("pointer", "give a block pointer"),
        ("count", "1 offsets for 2 dimensions"),
        ("shape", "the destination is 16x32 and the result 32x32"),
    ],
)
def test_wrong_loads(case, said):
    assert said in error_of(bad_load, CASE=case)


# --- dot -------------------------------------------------------------------------------------


@triton.jit
def products(x, y, n, A: tl.constexpr, B: tl.constexpr, OUT: tl.constexpr, TURNED: tl.constexpr):
    a = smt.view(square(x, 64).to(A), (0, 0), (64, 64), (8, 16))
    if TURNED:
        b = smt.view(square(x, 64).to(B), (0, 0), (32, 64), (4, 16))
    else:
        b = smt.view(square(x, 64).to(B), (0, 0), (64, 32), (16, 4))
    keep(y, smt.dot(a, b, out_dtype=OUT))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "a, b, out, element",
    [
        (tl.float32, tl.float32, None, "f32"),
        (tl.float16, tl.float16, None, "f16"),
        (tl.float16, tl.float16, tl.float32, "f32"),
        (tl.float16, tl.float32, None, "f16"),
        (tl.int8, tl.int8, None, "i32"),
    ],
)
def test_types_and_layouts_of_products(a, b, out, element, turned):
    *_, product = operations(products, A=a, B=b, OUT=out, TURNED=turned)
    assert product[:3] == ("xsmt.mmt4d", ["a", "b"], {})
    assert "tensor<8x4x4x16x" in product[3] and product[3].endswith(f"tensor<8x8x8x4x{element}>")
    assert ("tt.trans" in ttir(products, POINTERS, A=a, B=b, OUT=out, TURNED=turned)) != turned


@triton.jit
def accumulating(x, y, n, OVER: tl.constexpr):
    a = smt.view(square(x, 64), (0, 0), (64, 64), (8, 8))
    acc = smt.view(square(y, 64), (0, 0), (64, 64), (8, 8))
    for _ in range(n):
        acc = smt.dot(a, a, acc, overwrite=OVER)
    keep(y, acc)


def test_an_accumulator_is_carried_and_added_unless_overwritten():
    assert operations(accumulating, OVER=False)[-1][1] == ["a", "b", "acc"]
    assert operations(accumulating, OVER=True)[-1][1] == ["a", "b"]
    assert "iter_args" in ttir(accumulating, POINTERS, OVER=False)


@triton.jit
def bad_dot(x, y, n, CASE: tl.constexpr):
    a = smt.view(square(x, 64), (0, 0), (64, 64), (8, 16))
    if CASE == "tiles":
        smt.dot(a, smt.view(square(x, 64), (0, 0), (64, 64), (8, 8)))
    elif CASE == "plain":
        smt.dot(a, square(x, 64))
    elif CASE == "kinds":
        smt.dot(a, smt.view(square(x, 64).to(tl.int8), (0, 0), (64, 64), (16, 4)))
    elif CASE == "acc":
        smt.dot(a, smt.view(square(x, 64), (0, 0), (64, 64), (16, 4)), a)
    elif CASE == "out":
        smt.dot(a, smt.view(square(x, 64), (0, 0), (64, 64), (16, 4)), out_dtype=tl.int32)


@pytest.mark.parametrize(
    "case, said",
    [
        ("tiles", "a is 8x4x8x16, that is 4 tiles of 16 along K; b is 8x8x8x8; b has to be 4 x NB x 16 x nb"),
        ("plain", "b is a 64x64 tensor of fp32; it has to be a packed tensor"),
        ("kinds", "a is of fp32 and b of int8; convert one"),
        ("acc", "acc is 8x4x8x16; a and b give 8x16x8x4"),
        ("out", "cannot be int32; take a float type"),
    ],
)
def test_wrong_products(case, said):
    assert said in error_of(bad_dot, CASE=case)


# --- Memory ----------------------------------------------------------------------------------


@triton.jit
def alloc_eras(x, y, n, CASE: tl.constexpr):
    if CASE == 0:
        p = smt.alloc((32, 64))
    elif CASE == 1:
        p = smt.alloc(shape=[32, 64], type=tl.float16, storage="tcm")
    elif CASE == 2:
        p = smt.alloc((32, 64), tl.float16, (8, 16), "l2")
    else:
        p = smt.alloc((32, 64), (8, 16), dtype=tl.float16)
    tl.store(p, tl.load(p))


@pytest.mark.parametrize(
    "case, storage, pointer",
    [
        (0, "l2", "tensor<32x64xf32>"),
        (1, "tcm", "tensor<32x64xf16>"),
        (2, "l2", "tensor<4x4x8x16xf16>"),
        (3, "l2", "tensor<4x4x8x16xf16>"),
    ],
)
@pytest.mark.filterwarnings("ignore:smt. alloc")
def test_every_signature_of_alloc(case, storage, pointer):
    first, *others = operations(alloc_eras, CASE=case)
    assert first[:3] == ("xsmt.alloc", [], {"storage": storage})
    assert names(others) == (["xsmt.subview_pack"] if case >= 2 else [])
    assert (others or [first])[-1][3].endswith(f"-> !tt.ptr<{pointer}>")


@triton.jit
def copies(x, y, n):
    buffers = smt.alloc_copies((16, 32), tl.float16, copies=3)
    for i in range(n):
        tl.store(buffers[i % 3], tl.load(buffers[2]))


def test_buffers_are_indexed_statically_and_at_run_time():
    made, *views = operations(copies)
    assert made[0] == "xsmt.alloc_copies" and made[2] == {"storage": "l2", "copies": 3}
    assert made[3] == "() -> !tt.ptr<tensor<3x16x32xf16>>"
    assert names(views) == ["xsmt.buffer_tensor_view"] * 2
    assert all(v[3].endswith("-> !tt.ptr<tensor<16x32xf16>>") for v in views)


# --- Barriers, hints, threads ----------------------------------------------------------------


@triton.jit
def barriers(x, y, n):
    bar = smt.mbarrier(flag=0, expect_count=n)
    bars = smt.mbarrier_copies(0, 0, 0, 2, copies=2)
    first = bars[0]
    shared = smt.global_mbarrier(3)
    smt.barrier_set_expect(shared, n)
    for i in smt.parallel(0, n):
        smt.barrier_arrive(bar)
        smt.barrier_arrive(bars[i % 2])
        smt.barrier_wait(first, flag=1)
        smt.barrier_wait(shared, flag=1)
    smt.barrier_wait(bar, 1)


def test_barriers_in_order():
    found = operations(barriers)
    assert names(found) == [
        "xsmt.mbarrier_create",
        "xsmt.mbarrier_copies",
        "xsmt.mbarrier_subview",
        "xsmt.global_mbarrier_init",
        "xsmt.barrier_set_expect",
        "scf.for",
        "xsmt.barrier_arrive",
        "xsmt.mbarrier_subview",
        "xsmt.barrier_arrive",
        "xsmt.barrier_wait",
        "xsmt.barrier_wait",
        "xsmt.barrier_wait",
    ]
    assert found[0][1] == ["flag", "arrive_count", "transaction_count", "expect_count"]
    assert found[1][2]["copies"] == 2 and found[1][2]["expect_count"] == 2
    assert found[3][2] == {"id": 3}


@triton.jit
def hints(x, y, n):
    a = square(x, 16)
    smt.compile_hint(a, "tile", 4)
    smt.compile_hint(a, "off", False)
    smt.compile_hint(a, "on", True)
    tl.store(y, smt.get_num_of_thread())


def test_hints_and_threads():
    *annotations, threads = operations(hints)
    assert [a[2] for a in annotations] == [{"tile": 4}, {"off": None}, {"on": True}]
    assert threads[0] == "xsmt.get_num_of_thread" and threads[3] == "() -> i32"


@triton.jit
def bad_others(x, y, n, CASE: tl.constexpr):
    if CASE == "index":
        smt.mbarrier_copies(0, 0, 0, 1, copies=2)[2]
    elif CASE == "several":
        smt.barrier_arrive(smt.mbarrier_copies(0, 0, 0, 1, copies=2))
    elif CASE == "single":
        smt.mbarrier()[0]
    elif CASE == "none":
        smt.barrier_wait(n)
    elif CASE == "count":
        smt.mbarrier(expect_count=40000)
    elif CASE == "zero":
        smt.mbarrier(expect_count=0)
    elif CASE == "runtime":
        smt.mbarrier_copies(0, 0, 0, n, copies=2)
    elif CASE == "buffer":
        smt.alloc_copies((8, 8), copies=2)[-1]
    elif CASE == "storage":
        smt.alloc((8, 8), storage="l3")
    elif CASE == "copies":
        smt.alloc_copies((8, 8), copies=0)
    elif CASE == "loop":
        for _ in range(n):
            smt.barrier_arrive(smt.mbarrier())
    elif CASE == "global":
        for i in smt.parallel(n):
            if i == 0:
                smt.global_mbarrier(1)
    elif CASE == "hint":
        smt.compile_hint(square(x, 16), "tile", 0.5)


@pytest.mark.parametrize(
    "case, said",
    [
        ("index", "index 2 of 2 barriers; use 0 to 1"),
        ("several", "the value holds 2 barriers"),
        ("single", "a single barrier is not indexed"),
        ("none", "int32 is no barrier"),
        ("count", "expect_count is 40000; it has to be 1 to 32767"),
        ("zero", "expect_count is 0; it has to be 1 to 32767"),
        ("runtime", "expect_count is a run-time value"),
        ("buffer", "index -1 of 2 buffers; use 0 to 1"),
        ("storage", "there is no storage 'l3'; use one of fragment, tcm, l2, ddr, global"),
        ("copies", "0 copies; at least 1"),
        ("loop", "smt.mbarrier: a barrier is made inside of a loop"),
        ("global", "smt.global_mbarrier: a barrier is made inside of a loop"),
        ("hint", "the value of 'tile' is 0.5"),
    ],
)
def test_wrong_barriers_buffers_and_hints(case, said):
    assert said in error_of(bad_others, CASE=case)


# --- parallel --------------------------------------------------------------------------------


@triton.jit
def loops(x, y, n, BIND: tl.constexpr):
    for i in smt.parallel(n):
        tl.store(y + i, i)
    for i in smt.parallel(1, n, 2, bind_sub_block=BIND):
        tl.store(y + i, i)
    for i in tl.range(n):
        tl.store(y + i, i)


@pytest.mark.parametrize("bind, marks", [(True, 2), (False, 1)])
def test_parallel_marks_its_loop(bind, marks):
    found = operations(loops, BIND=bind)
    assert [f[:3] for f in found] == [("scf.for", ["index"], {"bind_sub_block": True})] * marks
    assert ttir(loops, POINTERS, BIND=bind).count("scf.for %") == 3


@triton.jit
def inner(y, n):
    smt.compile_hint(tl.load(y), "first")
    return n + 1


@triton.jit
def outer(x, y, n):
    tl.store(y, inner(y, n))
    tl.store(y, inner(y, n))
    smt.compile_hint(tl.load(y), "last")


def test_calls_survive_inlining_and_are_not_joined():
    assert [f[2] for f in operations(outer)] == [{"first": None}, {"first": None}, {"last": None}]


@triton.jit
def matmul(a, b, c, M, N, K: tl.constexpr, SUB: tl.constexpr, BLOCK: tl.constexpr):
    row, column = tl.program_id(0) * BLOCK, tl.program_id(1) * BLOCK
    left = tl.make_block_ptr(a, (M, K), (K, 1), (row, 0), (BLOCK, K), (1, 0))
    right = tl.make_block_ptr(b, (K, N), (N, 1), (0, column), (K, BLOCK), (1, 0))
    rows = smt.descriptor_load(left, (0, 0))
    packed = smt.view(smt.descriptor_load(right, (0, 0)), (0, 0), (K, BLOCK), (8, 16))
    for s in smt.parallel(0, BLOCK // SUB):
        sub = smt.view(rows, (s * SUB, 0), (SUB, K), (8, 8))
        product = smt.view(smt.dot(sub, packed), (0, 0), (SUB, BLOCK), (1, 1))
        to = tl.make_block_ptr(c, (M, N), (N, 1), (row + s * SUB, column), (SUB, BLOCK), (1, 0))
        tl.store(to, product, boundary_check=(0, 1))


@triton.jit
def carried(x, n):
    total = 0
    for i in smt.parallel(n):
        total += i
    tl.store(x, total)


@pytest.fixture
def on_host(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    select.set_core("host")
    with plugged("xsmt"):
        yield
    select.set_core(None)


def test_a_kernel_runs(on_host):
    generator = np.random.default_rng(0)
    a = generator.standard_normal((28, 16), np.float32)
    b = generator.standard_normal((16, 20), np.float32)
    c = np.zeros((28, 20), np.float32)
    matmul[(2, 2)](a, b, c, 28, 20, K=16, SUB=8, BLOCK=16)
    np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-5)


def test_a_carried_scalar_is_diagnosed(on_host):
    with pytest.raises(CompileError, match=r"kernel carried: iterations .* hand on a value of type i32"):
        carried[(1,)](np.zeros(1, np.int32), 4)


def test_outside_of_kernels_it_is_an_error():
    with pytest.raises(ValueError, match="_semantic"):
        smt.get_num_of_thread()
