"""core/roofline/work.py: operations and bytes of kernels at stage `linalg`."""

import re

import numpy as np
import pytest

from vertebra.core import assembly, pipeline, select
from vertebra.core.context import context
from vertebra.core.errors import ConfigError
from vertebra.core.roofline.values import Touched, Traffic, Unknown, View, Work
from vertebra.core.roofline.work import work_of

PLACE = ", ".join(f"%p{i}: i32" for i in range(6))


def work(body, arguments="%x: memref<?xf32>, %n: i32", names=("x", "n"), grid=(1, 1, 1), **values):
    uses = re.findall(r"use%(\w+) : (\S+);", body)  # without a use upstream passes drop what has no effect
    body = re.sub(r"use%(\w+) : (\S+);", r"func.call @use_\1(%\1) : (\2) -> ()", body)
    declared = " ".join(f"func.func private @use_{name}({kind})" for name, kind in uses)
    kernel = f"func.func @k({arguments}, {PLACE}) attributes {{vertebra.kernel}} {{ {body} return }}"
    text = f"module {{ {declared} {kernel} }}"
    options = pipeline.Options()
    budget = values.pop("budget", 600_000)
    with context():
        module = assembly.parse(text, context())
        core = select.find_core("spacemit-x60")
        return work_of(module, core, options, names=names, values=values, grid=grid, budget=budget)


def view(sizes, strides, offset=0, size=4):
    return View("x", offset, sizes, strides, size)


COPY = """
  %c = arith.constant 64 : index  %i = arith.index_cast %p3 : i32 to index  %o = arith.muli %i, %c : index
  %v = memref.reinterpret_cast %x to offset: [%o], sizes: [64], strides: [1]
      : memref<?xf32> to memref<64xf32, strided<[1], offset: ?>>
  %mine = memref.alloc() : memref<64xf32>
  memref.copy %v, %mine : memref<64xf32, strided<[1], offset: ?>> to memref<64xf32>
"""


def test_a_copy_reads_every_program_its_own_block():
    found = work(COPY, grid=(5, 1, 1))
    assert found.traffic["x"] == Traffic(read=5 * 256, written=0, touched=5 * 256, end=5 * 256)
    assert (found.programs, found.followed, found.operations, found.vector_operations) == (5, 5, 0, 0)


def test_programs_are_numbered_along_x_first():
    body = COPY.replace("%p3", "%p4")  # y
    assert work(body, grid=(5, 2, 1)).traffic["x"] == Traffic(10 * 256, 0, 2 * 256, 2 * 256)


def test_no_program_does_nothing():
    found = work(COPY, grid=(0, 7, 1))
    assert (found.programs, found.traffic, found.operations) == (0, {}, 0)


def test_large_grids_are_followed_in_part():
    found = work(COPY, grid=(1000, 1, 1), budget=90)
    assert found.followed < 100
    assert found.traffic["x"].read == pytest.approx(256_000)
    assert found.traffic["x"].end == 256_000  # the last program is among them
    assert "of 1,000 programs were followed" in found.notes[-1]


LOOP = """
  %z = arith.constant 0 : i32  %s = arith.constant 16 : i32
  scf.for %i = %z to %n step %s : i32 {
    %o = arith.index_cast %i : i32 to index  %left = arith.subi %n, %i : i32
    %l = arith.minsi %left, %s : i32  %m = arith.index_cast %l : i32 to index
    %v = memref.reinterpret_cast %x to offset: [%o], sizes: [16], strides: [1]
        : memref<?xf32> to memref<16xf32, strided<[1], offset: ?>>
    %w = memref.subview %v[0] [%m] [1]
        : memref<16xf32, strided<[1], offset: ?>> to memref<?xf32, strided<[1], offset: ?>>
    %t = tensor.empty() : tensor<16xf32>
    %u = tensor.extract_slice %t[0] [%m] [1] : tensor<16xf32> to tensor<?xf32>
    bufferization.materialize_in_destination %u in writable %w
        : (tensor<?xf32>, memref<?xf32, strided<[1], offset: ?>>) -> ()
  }
"""


@pytest.mark.parametrize("n", [0, 1, 16, 17, 100])
def test_a_loop_writes_its_tail_in_part(n):
    found = work(LOOP, n=n)
    assert found.traffic.get("x", Traffic()).written == 4 * n
    assert found.traffic.get("x", Traffic()).end == 4 * n


def test_a_length_without_a_value_is_an_error_that_names_it():
    with pytest.raises(ConfigError, match="the length of a loop depends on n, which has no value") as raised:
        work(LOOP)
    assert raised.value.fix == "add --args 'n=...'"


def test_a_value_for_what_is_no_argument():
    with pytest.raises(ConfigError, match="q: the kernel takes no such argument"):
        work(COPY, q=3)


def test_a_length_that_depends_on_data_counts_once():
    body = """
      %z = arith.constant 0 : i32  %one = arith.constant 1 : i32  %i0 = arith.constant 0 : index
      %f = memref.load %x[%i0] : memref<?xf32>  %m = arith.fptosi %f : f32 to i32
      scf.for %i = %z to %m step %one : i32 {
        memref.store %f, %x[%i0] : memref<?xf32>
      }
    """
    found = work(body)
    assert (found.traffic["x"].read, found.traffic["x"].written) == (4, 4)
    assert found.notes == ("the length of a loop depends on data: the loop is counted once",)


def test_a_branch_on_a_float_is_taken_and_noted():
    body = """
      %i0 = arith.constant 0 : index  %zero = arith.constant 0.0 : f32
      %go = arith.cmpf ogt, %f, %zero : f32
      scf.if %go { memref.store %f, %x[%i0] : memref<?xf32> }
    """
    found = work(body, arguments="%x: memref<?xf32>, %f: f32", names=("x", "f"))
    assert found.traffic["x"].written == 4
    assert found.notes == ("a branch depends on data: it is counted as taken",)


def test_all_arguments_without_a_value_are_named_at_once():
    with pytest.raises(ConfigError, match="depends on n, which has no value; nor has q") as raised:
        work(LOOP, arguments="%x: memref<?xf32>, %n: i32, %q: i32", names=("x", "n", "q"))
    assert raised.value.fix == "add --args 'n=...,q=...'"


def product(a, b, acc, out, m, n, k):
    return f"""
      %a = tensor.empty() : tensor<{m}x{k}x{a}>  %b = tensor.empty() : tensor<{k}x{n}x{b}>
      %c = tensor.empty() : tensor<{m}x{n}x{acc}>
      %d = linalg.matmul {out} ins(%a, %b : tensor<{m}x{k}x{a}>, tensor<{k}x{n}x{b}>)
          outs(%c : tensor<{m}x{n}x{acc}>) -> tensor<{m}x{n}x{acc}>
      use%d : tensor<{m}x{n}x{acc}>;
    """


@pytest.mark.parametrize(
    "types, cast, shown",
    [
        (("i8", "i8", "i32"), "", "i8 x i8 -> i32"),
        (("i8", "i8", "i32"), "{cast = #linalg.type_fn<cast_unsigned>}", "ui8 x ui8 -> i32"),
        (("f16", "f16", "f32"), "", "f16 x f16 -> f32"),
        (("f32", "f32", "f32"), "", "f32 x f32 -> f32"),
    ],
)
def test_products(types, cast, shown):
    found = work(product(*types, cast, 5, 6, 7), grid=(3, 1, 1))
    (only,) = found.products
    assert str(only) == shown
    assert (only.operations, only.shape) == (3 * 2 * 5 * 6 * 7, (5, 6, 7))
    assert found.vector_operations == 0


def test_arithmetic_on_elements():
    body = """
      %t = tensor.empty() : tensor<10xf32>  %h = tensor.empty() : tensor<10xf16>
      %a = arith.addf %t, %t : tensor<10xf32>  %b = math.fma %a, %t, %t : tensor<10xf32>
      %c = arith.mulf %h, %h : tensor<10xf16>
      use%b : tensor<10xf32>; use%c : tensor<10xf16>;
    """
    found = work(body)
    assert found.vector_operations == 10 * (1 + 2 + 1)
    assert found.vector_results == 30
    assert found.vector_bits == 10 * 3 * 32  # this core computes f16 in f32


def test_math_functions_are_written_out():
    found = work(
        "%t = tensor.empty() : tensor<8xf32>  %e = math.exp %t : tensor<8xf32> use%e : tensor<8xf32>;"
    )
    assert found.vector_operations > 8 * 15


def test_reductions_are_no_products():
    body = """
      %t = tensor.empty() : tensor<4x8xf32>  %i = tensor.empty() : tensor<4xf32>
      %s = linalg.reduce { arith.addf } ins(%t : tensor<4x8xf32>) outs(%i : tensor<4xf32>) dimensions = [1]
      use%s : tensor<4xf32>;
    """
    found = work(body)
    assert (found.products, found.vector_operations) == ((), 32)


def test_a_choice_of_memory_follows_its_condition():
    body = """
      %one = arith.constant 1 : i32  %yes = arith.cmpi eq, %n, %one : i32
      %mine = memref.alloc() : memref<8xf32>  %m = memref.cast %mine : memref<8xf32> to memref<?xf32>
      %w = arith.select %yes, %x, %m : memref<?xf32>
      %v = memref.reinterpret_cast %w to offset: [0], sizes: [8], strides: [1]
          : memref<?xf32> to memref<8xf32, strided<[1]>>
      memref.copy %v, %mine : memref<8xf32, strided<[1]>> to memref<8xf32>
    """
    assert work(body, n=1).moved == 32
    assert work(body, n=2).moved == 0


# --- Lines of memory --------------------------------------------------------------------------


def brute(views):
    lines = set()
    for v in views:
        places = np.full((1,), v.offset)
        for size, stride in zip(v.sizes, v.strides, strict=True):
            places = (places[:, None] + stride * np.arange(size)).reshape(-1)
        for place in places[places >= 0]:
            lines |= {place * v.size // 64, (place * v.size + v.size - 1) // 64}
    return len(lines) * 64


@pytest.mark.parametrize(
    "views",
    [
        [view((1000,), (1,))],
        [view((1000,), (1,), 7)],
        [view((100,), (16,))],
        [view((100,), (17,), 3)],
        [view((16, 16), (16, 1))],
        [view((16, 16), (1, 16))],
        [view((30, 5), (1000, 1))],
        [view((3, 5000), (8192, 1), 5)],
        [view((4, 8), (0, 1))],
        [view((8,), (-1,), 20)],
        [view((), (), 9)],
        [view((64,), (1,)), view((64,), (1,), 32), view((64,), (1,))],
        [view((7, 9, 11), (1000, 50, 2), 13, 2)],
        [view((3,), (1,), 5, 1)],
        [view((1,), (1,), 10_000_000)],
        [view((0, 5), (5, 1))],
    ],
)
def test_lines_that_views_touch(views):
    touched = Touched()
    for v in views:
        touched.add(v)
    assert touched.bytes == brute(views)


def test_lines_of_unknown_places():
    touched = Touched()
    touched.add(view((4,), (1,), Unknown()))
    assert touched.unknown and touched.bytes == 0


def test_the_most_used_arguments_stay_in_the_cache():
    traffic = {
        "often": Traffic(read=1000, touched=100),
        "large": Traffic(read=900, touched=300),
        "once": Traffic(read=100, touched=100),
    }
    found = Work(1, 1, (), 0, 0, 0, traffic)
    assert found.kept(50) == frozenset()
    assert found.kept(399) == {"often"}
    assert found.kept(400) == {"often", "large"}
    assert [found.from_memory(size) for size in (50, 399, 400)] == [2000, 1100, 500]
