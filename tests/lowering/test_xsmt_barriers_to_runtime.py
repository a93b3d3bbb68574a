"""xsmt_async as calls of the runtime."""

import re

import pytest
from pass_text import after
from plugged import plugged

from vertebra.lowering.xsmt_barriers_to_runtime import lower_async


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("xsmt", "xsmt_async"):
        yield


def matches(body: str, *pattern: str) -> None:
    found = after(lower_async, body, "%n: i32, %b: i64")
    assert re.fullmatch(r"\n".join(pattern), found), found


ADDRESS = (
    r"%\d+ = memref.get_global @vertebra_text_1 : .*",
    r"%intptr\w* = memref.extract_aligned_pointer_as_index %\d+ : .*",
    r"(?P<place>%\d+) = arith.index_cast %intptr\w* : index to i64",
)
PROGRAM = r"(?P=place), %arg5, %arg6, %arg7"


@pytest.mark.parametrize("copies", [1, 3])
def test_alloc_is_a_buffer_of_the_program(copies):
    matches(
        f"%m = xsmt_async.mbarrier_alloc {copies} of %n, %n, %n, %n : i64",
        rf"%alloc = memref.alloc\(\) : memref<{8 * copies}xi64>",
        rf"%intptr = memref.extract_aligned_pointer_as_index %alloc : memref<{8 * copies}xi64> -> index",
        r"(?P<handle>%\d+) = arith.index_cast %intptr : index to i64",
        rf"%c{copies}_i32 = arith.constant {copies} : i32",
        *ADDRESS,
        rf"call @vertebra_barrier_init\((?P=handle), %c{copies}_i32, %arg0, %arg0, %arg0, %arg0, {PROGRAM}\) : .*",
    )


def test_arrive():
    matches(
        "xsmt_async.mbarrier_arrive %b : i64",
        *ADDRESS,
        rf"call @vertebra_barrier_arrive\(%arg1, {PROGRAM}\) : \(i64, i64, i32, i32, i32\) -> \(\)",
    )


def test_wait():
    matches(
        "xsmt_async.mbarrier_wait %b, %n : i64",
        *ADDRESS,
        rf"call @vertebra_barrier_wait\(%arg1, %arg0, {PROGRAM}\) : \(i64, i32, i64, i32, i32, i32\) -> \(\)",
    )


def test_release():
    matches(
        "xsmt_async.mbarrier_release %b : i64", r"call @vertebra_barrier_release\(%arg1\) : \(i64\) -> \(\)"
    )
