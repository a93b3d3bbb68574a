"""Releases: after the last use of what an mbarrier_alloc made, wherever the handle went."""

import pytest
from pass_text import after, normal
from plugged import plugged

from vertebra.lowering.xsmt_barriers_release import release_barriers

ALLOC = "xsmt_async.mbarrier_alloc 1 of %n, %n, %n, %n : i64"
END = "%end = arith.addi %n, %n : i32"
MADE = "xsmt_async.mbarrier_alloc 1 of %arg0, %arg0, %arg0, %arg0 : i64"


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("xsmt", "xsmt_async"):
        yield


def released(body: str) -> str:
    return after(release_barriers, f"{body}\n{END}", "%n: i32, %o: i64, %c: i1, %m: memref<4xi64>")


def arrive(value: str) -> str:
    return f"xsmt_async.mbarrier_arrive {value} : i64"


def release(value: str) -> str:
    return f"xsmt_async.mbarrier_release {value} : i64"


LAST = "arith.addi %arg0, %arg0 : i32"
CASES = {
    "unused": (f"%b = {ALLOC}", f"%0 = {MADE}\n{release('%0')}\n%1 = {LAST}"),
    "used": (
        f"%b = {ALLOC}\n{arrive('%b')}\n{arrive('%b')}",
        f"%0 = {MADE}\n{arrive('%0')}\n{arrive('%0')}\n{release('%0')}\n%1 = {LAST}",
    ),
    "two": (
        f"%a = {ALLOC}\n%b = {ALLOC}\n{arrive('%b')}\n{arrive('%a')}",
        f"%0 = {MADE}\n%1 = {MADE}\n{arrive('%1')}\n{release('%1')}\n{arrive('%0')}\n{release('%0')}\n%2 = {LAST}",
    ),
    "released already": (
        f"%b = {ALLOC}\n{arrive('%b')}\n{release('%b')}",
        f"%0 = {MADE}\n{arrive('%0')}\n{release('%0')}\n%1 = {LAST}",
    ),
    "select": (
        f"%b = {ALLOC}\n%s = arith.select %c, %b, %o : i64\n{arrive('%s')}",
        f"%0 = {MADE}\n%1 = arith.select %arg2, %0, %arg1 : i64\n{arrive('%1')}\n{release('%0')}\n%2 = {LAST}",
    ),
    "casts": (
        f"""%b = {ALLOC}
        %i = arith.index_cast %b : i64 to index
        %j = arith.index_cast %i : index to i64
        {arrive("%j")}""",
        f"""%0 = {MADE}
        %1 = arith.index_cast %0 : i64 to index
        %2 = arith.index_cast %1 : index to i64
        {arrive("%2")}
        {release("%0")}
        %3 = {LAST}""",
    ),
    "element of a tensor": (
        f"""%b = {ALLOC}
        %t = tensor.from_elements %b, %o : tensor<2xi64>
        %k = arith.constant 0 : index
        %e = tensor.extract %t[%k] : tensor<2xi64>
        {arrive("%e")}""",
        f"""%0 = {MADE}
        %from_elements = tensor.from_elements %0, %arg1 : tensor<2xi64>
        %c0 = arith.constant 0 : index
        %extracted = tensor.extract %from_elements[%c0] : tensor<2xi64>
        {arrive("%extracted")}
        {release("%0")}
        %1 = {LAST}""",
    ),
    "inside of a loop": (
        f"%b = {ALLOC}\nscf.for %i = %n to %n step %n : i32 {{\n{arrive('%b')}\n}}",
        f"""%0 = {MADE}
        scf.for %arg10 = %arg0 to %arg0 step %arg0  : i32 {{
        {arrive("%0")}
        }}
        {release("%0")}
        %1 = {LAST}""",
    ),
    "carried by a loop": (
        f"""%b = {ALLOC}
        %r = scf.for %i = %n to %n step %n iter_args(%x = %b) -> (i64) : i32 {{
          scf.yield %x : i64
        }}
        {arrive("%r")}""",
        f"""%0 = {MADE}
        %1 = scf.for %arg10 = %arg0 to %arg0 step %arg0 iter_args(%arg11 = %0) -> (i64)  : i32 {{
        scf.yield %arg11 : i64
        }}
        {arrive("%1")}
        {release("%0")}
        %2 = {LAST}""",
    ),
    "carried by a while": (
        f"""%b = {ALLOC}
        %r = scf.while (%x = %b) : (i64) -> i64 {{
          scf.condition(%c) %x : i64
        }} do {{
        ^bb0(%y: i64):
          {arrive("%y")}
          scf.yield %y : i64
        }}
        {arrive("%r")}""",
        f"""%0 = {MADE}
        %1 = scf.while (%arg10 = %0) : (i64) -> i64 {{
        scf.condition(%arg2) %arg10 : i64
        }} do {{
        ^bb0(%arg10: i64):
        {arrive("%arg10")}
        scf.yield %arg10 : i64
        }}
        {arrive("%1")}
        {release("%0")}
        %2 = {LAST}""",
    ),
    "within a branch": (
        f"scf.if %c {{\n%b = {ALLOC}\n{arrive('%b')}\n%q = arith.addi %n, %n : i32\n}}",
        f"""scf.if %arg2 {{
        %1 = {MADE}
        {arrive("%1")}
        {release("%1")}
        %2 = {LAST}
        }}
        %0 = {LAST}""",
    ),
    "given by a branch": (
        f"""%r = scf.if %c -> (i64) {{
          scf.yield %o : i64
        }} else {{
          %b = {ALLOC}
          scf.yield %b : i64
        }}
        {arrive("%r")}""",
        f"""%0:2 = scf.if %arg2 -> (i64, i64) {{
        %c0_i64 = arith.constant 0 : i64
        scf.yield %arg1, %c0_i64 : i64, i64
        }} else {{
        %2 = {MADE}
        scf.yield %2, %2 : i64, i64
        }}
        {arrive("%0#0")}
        {release("%0#1")}
        %1 = {LAST}""",
    ),
    "stored to memory": (
        f"""scf.if %c {{
          %b = {ALLOC}
          %k = arith.constant 0 : index
          memref.store %b, %m[%k] : memref<4xi64>
        }}""",
        f"""%0 = scf.if %arg2 -> (i64) {{
        %2 = {MADE}
        %c0 = arith.constant 0 : index
        memref.store %2, %arg3[%c0] : memref<4xi64>
        scf.yield %2 : i64
        }} else {{
        %c0_i64 = arith.constant 0 : i64
        scf.yield %c0_i64 : i64
        }}
        %1 = {LAST}
        {release("%0")}""",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_release(case):
    body, expected = CASES[case]
    assert released(body) == normal(expected)
