"""The language `tle`: what it leaves in Triton's IR, and the errors of wrong tiles."""

import re

import pytest
import triton
import triton.language as tl
from triton.language.extra import tle

from .kernel_text import ttir

POINTERS = {"x": "*fp32", "y": "*fp32", "n": "i32", "wide": "i64"}


@triton.jit
def square(p, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    return tl.load(p + i[:, None] * SIZE + i[None, :])


@triton.jit
def moved(x, y, n, wide, FROM: tl.constexpr):
    a = square(x, 32)
    if FROM == "number":
        tile = tle.extract_tile(a, 5, (8, 16))
    elif FROM == "place":
        tile = tle.extract_tile(a, index=[2, 1], tile_shape=[8, 16])
    elif FROM == "run time":
        tile = tle.extract_tile(a, n, (8, 16))
    else:
        tile = tle.extract_tile(a, (n, wide), (8, 16))
    a = tle.insert_tile(a, tile + 1, index=[0, 1])
    i = tl.arange(0, 32)
    tl.store(y + i[:, None] * 32 + i[None, :], a)


@pytest.mark.parametrize("given, number", [("number", "5"), ("place", "5"), ("run time", None)])
def test_a_tile_has_one_number(given, number):
    text = ttir(moved, POINTERS, FROM=given)
    types = r"\(tensor<32x32xf32>, i32\) -> tensor<8x16xf32>"
    (index,) = re.findall(rf'call @"tle\.extract_tile[^"]*"\(%\S+, (%\w+)\S*\) : {types}', text)
    constant = re.search(rf"{index} = arith\.constant (\d+) : i32", text)
    assert constant[1] == number if number else index == "%n"
    types = r"\(tensor<32x32xf32>, tensor<8x16xf32>, i32\) -> tensor<32x32xf32>"
    (index,) = re.findall(rf'call @"tle\.insert_tile[^"]*"\(%\S+, %\S+, (%\w+)\S*\) : {types}', text)
    assert f"{index} = arith.constant 1 : i32" in text


def test_places_of_run_time_and_mixed_widths_become_a_number():
    text = ttir(moved, POINTERS, FROM="places")
    (narrow,) = re.findall(r"(%\w+) = arith\.trunci %wide : i64 to i32", text)
    (two,) = re.findall(r"(%\w+) = arith\.constant 2 : i32", text)
    (row,) = re.findall(rf"(%\w+) = arith\.muli %n, {two}", text)
    assert re.search(rf"arith\.addi {row}, {narrow}", text)


@triton.jit
def wrong(x, y, n, wide, CASE: tl.constexpr):
    a = square(x, 32)
    if CASE == "range":
        tle.extract_tile(a, 8, (8, 16))
    elif CASE == "place":
        tle.extract_tile(a, (0, 2), (8, 16))
    elif CASE == "divide":
        tle.extract_tile(a, 0, (8, 12))
    elif CASE == "rank":
        tle.extract_tile(a, 0, (8,))
    elif CASE == "members":
        tle.extract_tile(a, (0, 0, 0), (8, 8))
    elif CASE == "size":
        tle.extract_tile(a, 0, (n, 8))
    elif CASE == "element":
        tle.insert_tile(a, tle.extract_tile(a, 0, (8, 8)).to(tl.float16), 0)
    elif CASE == "scalar":
        tle.extract_tile(n, 0, (8, 8))


@pytest.mark.parametrize(
    "case, said",
    [
        ("range", "index 8 of 8 tiles in a grid of 4x2; use 0 to 7"),
        ("place", "index 2 of 2 tiles in a grid of 4x2; use 0 to 1"),
        ("divide", "dimension 1 of the tensor is 32, which the tile's 12 does not divide"),
        ("rank", "the tile 8 has 1 dimensions and the tensor 32x32 2"),
        ("members", "the index has 3 members for a grid of 4x4 tiles"),
        ("size", "a run-time value"),
        ("element", "x is of fp32 and the tile of fp16"),
        ("scalar", "x is int32"),
    ],
)
def test_wrong_tiles(case, said):
    with pytest.raises(triton.CompilationError) as raised:
        ttir(wrong, POINTERS, CASE=case)
    shown, _, message = str(raised.value).rpartition("^")
    assert said in message and "tle." in shown
