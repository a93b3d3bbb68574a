"""Packs at the `linalg` stage, text in and text out: what xsmt becomes, and what folds away."""

import re

import pytest
from plugged import plugged

from vertebra.core.compile import render
from vertebra.core.hooks import cores

ARGUMENTS = (
    "%s: tensor<64x48xf32>, %t: tensor<8x3x8x16xf32>, %b: tensor<2x6x16x8xf32>, %m: tensor<64xf32>, %n: i32"
)


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("xsmt"):
        yield


def linalg(body: str, *, start: str = "ttir") -> list[str]:
    """The operations that `body` becomes, without constants and types, in order.

    It finds a matrix %s, packed ones %t and %b, a row of numbers %m and a run-time i32 %n; `keep %v : T`
    stores %v.
    """
    return [line for line in _lines(body, start) if not line.startswith(("arith.constant", "tensor.empty"))]


def _lines(body: str, start: str) -> list[str]:
    head, tail, number = [], [], 0
    for line in body.strip().splitlines():
        found = re.fullmatch(r"\s*keep (%\w+) : (\S+)", line)
        if found is None:
            tail.append(line)
            continue
        value, type = found.groups()
        memory = type.replace("tensor", "memref")
        head.append(f"%out{number}: {memory}")
        tail.append(
            f"bufferization.materialize_in_destination {value} in writable %out{number} : ({type}, {memory}) -> ()"
        )
        number += 1
    text = f"func.func @k({', '.join([ARGUMENTS, *head])}) {{\n" + "\n".join(tail) + "\nreturn\n}"
    printed = render(text, "linalg", cores()["host"], start=start)
    lines = [re.sub(r"^%[\w:, ]+ = ", "", line.strip()) for line in printed.splitlines()]
    wanted = [line for line in lines if re.match(r"(linalg|tensor|arith|scf|math|bufferization)\.", line)]
    return [
        re.sub(r" : .*", "", re.sub(r"%[\w#]+", "%", line)) for line in wanted if "materialize" not in line
    ]


ZERO = "%z = arith.constant 0 : i32\n"
PACK = "linalg.pack % inner_dims_pos = [0, 1] inner_tiles = [{}, {}] into %"
PADDED = "linalg.pack % padding_value(%"
UNPACK = "linalg.unpack % inner_dims_pos = [0, 1] inner_tiles = [{}, {}] into %"


def test_a_pack_is_a_pack():
    body = ZERO + (
        "%p = xsmt.pack %s[%z, %z] shape [64, 48] packed_size [8, 16]"
        " : tensor<64x48xf32> -> tensor<8x3x8x16xf32>\nkeep %p : tensor<8x3x8x16xf32>"
    )
    assert linalg(body) == [PACK.format(8, 16)]


def test_a_part_is_sliced_first():
    body = ZERO + (
        "%c = arith.constant 16 : i32\n%p = xsmt.pack %s[%c, %z] shape [32, 48] packed_size [8, 16]"
        " : tensor<64x48xf32> -> tensor<4x3x8x16xf32>\nkeep %p : tensor<4x3x8x16xf32>"
    )
    assert linalg(body) == ["tensor.extract_slice %[16, 0] [32, 48] [1, 1]", PACK.format(8, 16)]


def test_what_the_tile_leaves_over_is_padded_by_the_pack():
    body = ZERO + (
        "%p = xsmt.pack %s[%z, %z] shape [60, 40] packed_size [8, 16]"
        " : tensor<64x48xf32> -> tensor<8x3x8x16xf32>\nkeep %p : tensor<8x3x8x16xf32>"
    )
    cut, pack = linalg(body)
    assert cut == "tensor.extract_slice %[0, 0] [60, 40] [1, 1]"
    assert pack.startswith(PADDED)


def test_a_part_that_may_reach_outside_is_read_element_by_element():
    body = ZERO + (
        "%p = xsmt.pack %s[%n, %z] shape [60, 40] packed_size [8, 16]"
        " : tensor<64x48xf32> -> tensor<8x3x8x16xf32>\nkeep %p : tensor<8x3x8x16xf32>"
    )
    names = [line.split()[0] for line in linalg(body)]
    assert "tensor.extract" in names and "tensor.extract_slice" not in names
    assert linalg(body)[-1] == PACK.format(8, 16)


SUB_BLOCKS = """
%z = arith.constant 0 : i32
%one = arith.constant 1 : i32
%four = arith.constant 4 : i32
%rows = arith.constant ROWS : i32
scf.for %i = %z to %four step %one : i32 {
  %at = arith.muli %i, %rows : i32
  %p = xsmt.pack %s[%at, %z] shape [16, 48] packed_size [8, 16] : tensor<64x48xf32> -> tensor<2x3x8x16xf32>
  keep %p : tensor<2x3x8x16xf32>
}
"""


@pytest.mark.parametrize("rows, inside", [(16, True), (17, False)])
def test_sub_blocks_whose_offsets_have_bounds_are_slices(rows, inside):
    found = linalg(SUB_BLOCKS.replace("ROWS", str(rows)))
    assert any(line.startswith("tensor.extract_slice %[%, 0] [16, 48]") for line in found) == inside


def test_an_unpack_is_an_unpack_of_what_is_asked_for():
    body = ZERO + (
        "%u = xsmt.unpack %t[%z, %z] shape [60, 40] : tensor<8x3x8x16xf32> -> tensor<60x40xf32>\n"
        "%c = arith.constant 8 : i32\n"
        "%v = xsmt.unpack %t[%c, %z] shape [16, 48] : tensor<8x3x8x16xf32> -> tensor<16x48xf32>\n"
        "keep %u : tensor<60x40xf32>\nkeep %v : tensor<16x48xf32>"
    )
    assert linalg(body) == [UNPACK.format(8, 16)] * 2 + ["tensor.extract_slice %[8, 0] [16, 48] [1, 1]"]


def test_a_product_is_mmt4d_and_widens_inside():
    body = (
        "%h = arith.truncf %b : tensor<2x6x16x8xf32> to tensor<2x6x16x8xf16>\n"
        "%x = arith.constant dense<1.0> : tensor<4x6x8x8xf16>\n"
        "%p = xsmt.mmt4d %x, %h : tensor<4x6x8x8xf16>, tensor<2x6x16x8xf16> -> tensor<4x2x8x16xf16>\n"
        "keep %p : tensor<4x2x8x16xf16>"
    )
    found = linalg(body)
    assert [line.split()[0] for line in found] == [
        "arith.truncf",
        "linalg.fill",
        "linalg.mmt4d",
        "arith.truncf",
    ]


def test_tiles_that_are_turned_are_columns_packed():
    body = ZERO + (
        "%p = xsmt.pack %s[%z, %z] shape [64, 48] packed_size [8, 16]"
        " : tensor<64x48xf32> -> tensor<8x3x8x16xf32>\n"
        "%r = tt.trans %p {order = array<i32: 1, 0, 3, 2>} : tensor<8x3x8x16xf32> -> tensor<3x8x16x8xf32>\n"
        "keep %r : tensor<3x8x16x8xf32>"
    )
    assert linalg(body) == [
        "linalg.pack % outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [16, 8] into %"
    ]


def test_packs_and_unpacks_cancel():
    body = ZERO + (
        "%u = xsmt.unpack %t[%z, %z] shape [64, 48] : tensor<8x3x8x16xf32> -> tensor<64x48xf32>\n"
        "%p = xsmt.pack %u[%z, %z] shape [64, 48] packed_size [8, 16]"
        " : tensor<64x48xf32> -> tensor<8x3x8x16xf32>\nkeep %p : tensor<8x3x8x16xf32>\n"
        "%q = xsmt.pack %s[%z, %z] shape [64, 48] packed_size [4, 4]"
        " : tensor<64x48xf32> -> tensor<16x12x4x4xf32>\n"
        "%v = xsmt.unpack %q[%z, %z] shape [64, 48] : tensor<16x12x4x4xf32> -> tensor<64x48xf32>\n"
        "keep %v : tensor<64x48xf32>"
    )
    assert linalg(body) == []


def test_an_unpack_that_drops_elements_does_not_cancel():
    body = ZERO + (
        "%u = xsmt.unpack %t[%z, %z] shape [60, 40] : tensor<8x3x8x16xf32> -> tensor<60x40xf32>\n"
        "%p = xsmt.pack %u[%z, %z] shape [60, 40] packed_size [8, 16]"
        " : tensor<60x40xf32> -> tensor<8x3x8x16xf32>\nkeep %p : tensor<8x3x8x16xf32>"
    )
    unpack, pack = linalg(body)
    assert unpack == UNPACK.format(8, 16) and pack.startswith(PADDED)


def test_a_repack_of_a_pack_is_one_pack():
    body = ZERO + (
        "%p = xsmt.pack %s[%z, %z] shape [64, 48] packed_size [8, 16]"
        " : tensor<64x48xf32> -> tensor<8x3x8x16xf32>\n"
        "%q = xsmt.repack %p[%z, %z] shape [64, 48] packed_size [4, 8]"
        " : tensor<8x3x8x16xf32> -> tensor<16x6x4x8xf32>\nkeep %q : tensor<16x6x4x8xf32>"
    )
    assert linalg(body) == [PACK.format(4, 8)]


ELEMENTWISE = (
    ZERO
    + """
%u = xsmt.unpack %t[%z, %z] shape [64, 48] : tensor<8x3x8x16xf32> -> tensor<64x48xf32>
%c = arith.constant dense<2.0> : tensor<64x48xf32>
%r = tt.expand_dims %m {axis = 1 : i32} : tensor<64xf32> -> tensor<64x1xf32>
%w = tt.broadcast %r : tensor<64x1xf32> -> tensor<64x48xf32>
%x = arith.mulf %u, %c : tensor<64x48xf32>
%y = arith.subf %x, %w : tensor<64x48xf32>
%p = xsmt.pack %y[%z, %z] shape [64, 48] packed_size [HEIGHT, 16] : tensor<64x48xf32> -> PACKED
keep %p : PACKED
"""
)


def test_elementwise_work_between_unpack_and_pack_is_done_on_tiles():
    found = linalg(ELEMENTWISE.replace("HEIGHT", "8").replace("PACKED", "tensor<8x3x8x16xf32>"))
    assert not [line for line in found if "pack" in line]
    assert [line for line in found if line.startswith("arith")] == ["arith.mulf %, %", "arith.subf %, %"]


def test_a_long_chain_is_computed_once():
    doubled = "".join(f"%x{i + 1} = arith.addf %x{i}, %x{i} : tensor<64x48xf32>\n" for i in range(40))
    body = ZERO + (
        "%x0 = xsmt.unpack %t[%z, %z] shape [64, 48] : tensor<8x3x8x16xf32> -> tensor<64x48xf32>\n"
        + doubled
        + "%p = xsmt.pack %x40[%z, %z] shape [64, 48] packed_size [8, 16]"
        " : tensor<64x48xf32> -> tensor<8x3x8x16xf32>\nkeep %p : tensor<8x3x8x16xf32>"
    )
    assert linalg(body) == ["arith.addf %, %"] * 40


def test_other_tiles_are_packed_once_after_it():
    found = linalg(ELEMENTWISE.replace("HEIGHT", "16").replace("PACKED", "tensor<4x3x16x16xf32>"))
    assert [line for line in found if "pack" in line] == [UNPACK.format(8, 16), PACK.format(16, 16)]


def test_work_that_others_need_plainly_stays_plain():
    body = ELEMENTWISE.replace("HEIGHT", "8").replace("PACKED", "tensor<8x3x8x16xf32>")
    found = linalg(body + "keep %x : tensor<64x48xf32>")
    assert [line for line in found if "pack" in line] == [UNPACK.format(8, 16), PACK.format(8, 16)]


CARRIED = (
    ZERO
    + """
%one = arith.constant 1 : i32
%start = arith.constant dense<0.0> : tensor<64x32xf32>
%a = arith.constant dense<1.0> : tensor<8x6x8x8xf32>
%acc = scf.for %i = %z to %n step %one iter_args(%old = %start) -> (tensor<64x32xf32>) : i32 {
  %half = arith.addf %old, %old : tensor<64x32xf32>
  %p = xsmt.pack %half[%z, %z] shape [64, 32] packed_size [8, 16] : tensor<64x32xf32> -> tensor<8x2x8x16xf32>
  %d = xsmt.mmt4d %a, %b, %p : tensor<8x6x8x8xf32>, tensor<2x6x16x8xf32> -> tensor<8x2x8x16xf32>
  %new = xsmt.insert %d, %old[%z, %z] shape [64, 32] : tensor<8x2x8x16xf32> -> tensor<64x32xf32>
  scf.yield %new : tensor<64x32xf32>
}
keep %acc : tensor<64x32xf32>
"""
)


def test_a_loop_carries_its_accumulator_in_tiles():
    found = linalg(CARRIED)
    assert [line for line in found if "pack" in line] == [UNPACK.format(8, 16)]
    loop = next(i for i, line in enumerate(found) if line.startswith("scf.for"))
    assert [line.split()[0] for line in found[loop + 1 :]] == [
        "arith.addf",
        "linalg.mmt4d",
        "scf.yield",
        "linalg.unpack",
    ]
