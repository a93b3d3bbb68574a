"""Parallel loops as functions, as tasks of the runtime, and with scratch memory of their own."""

import re

import pytest
from pass_text import GRID, after, normal

from vertebra.core.compile import render
from vertebra.core.hooks import cores
from vertebra.lowering.buffers import place_buffers
from vertebra.lowering.outline_parallel import outline_parallel

WAIT = "func.call @vertebra_barrier_wait() : () -> ()"
WAIT_STUB = "func.func private @vertebra_barrier_wait()"


def loop(body: str, name: str = "i", mark: str = "{bind_sub_block = true}") -> str:
    return f"scf.for %{name} = %lb to %ub step %s : i32 {{\n{body}\n}} {mark}"


BOUNDS = "%lb: i32, %ub: i32, %s: i32, %x: memref<?xi32>"


def outlined(body: str) -> str:
    return after(outline_parallel, body, BOUNDS, whole=True)


def test_the_body_becomes_a_function_of_captures_and_bounds():
    body = "%c = arith.constant 7 : i32\n" + loop(
        """%k = arith.index_cast %i : i32 to index
        %v = arith.addi %i, %c : i32
        memref.store %v, %x[%k] : memref<?xi32>"""
    )
    assert outlined(body) == normal("""module {
      func.func private @k__parallel0__launch(memref<?xi32>, i32, i32, i32, memref<?xi8>) attributes {vertebra.parallel_launch = @k__parallel0}
      func.func private @k__parallel0(%arg0: memref<?xi32>, %arg1: i32, %arg2: i32, %arg3: i32) attributes {vertebra.parallel_body = "k"} {
        scf.for %arg4 = %arg1 to %arg2 step %arg3  : i32 {
          %c7_i32 = arith.constant 7 : i32
          %0 = arith.index_cast %arg4 : i32 to index
          %1 = arith.addi %arg4, %c7_i32 : i32
          memref.store %1, %arg0[%0] : memref<?xi32>
        }
        return
      }
      func.func @k(%arg0: i32, %arg1: i32, %arg2: i32, %arg3: memref<?xi32>, %arg4: i32, %arg5: i32, %arg6: i32, %arg7: i32, %arg8: i32, %arg9: i32) attributes {vertebra.kernel} {
        %c7_i32 = arith.constant 7 : i32
        %alloc = memref.alloc() {vertebra.scratch_of = @k__parallel0} : memref<1xi8>
        %cast = memref.cast %alloc : memref<1xi8> to memref<?xi8>
        call @k__parallel0__launch(%arg3, %arg0, %arg1, %arg2, %cast) : (memref<?xi32>, i32, i32, i32, memref<?xi8>) -> ()
        return
      }
    }""")


@pytest.mark.parametrize("mark", ["", "{bind_sub_block = false}"])
def test_other_loops_stay(mark):
    store = loop("memref.store %i, %x[%c0] : memref<?xi32>", mark=mark)
    found = outlined(f"%c0 = arith.constant 0 : index\n{store}")
    assert "__parallel" not in found and found.count("scf.for") == 1


def test_inner_loops_come_first_and_waits_are_known_outside():
    inner = loop(f"{WAIT}\nmemref.store %j, %x[%c0] : memref<?xi32>", "j")
    body = "%c0 = arith.constant 0 : index\n" + loop(inner)
    text = f"""{WAIT_STUB}
      func.func @k({BOUNDS}, {GRID}) attributes {{vertebra.kernel}} {{ {body}
      return }}"""
    llir = render(text, "llir", cores()["host"], start="vector")
    found = re.findall(r"call void @vertebra_parallel\(ptr @(\w+), .*, i32 (\d)\)", llir)
    assert sorted(found) == [("k__parallel0__task", "1"), ("k__parallel1__task", "1")]
    assert not re.search(r"call .*@vertebra_stream_threads\(", llir)


def test_scratch_of_a_body_is_part_of_its_callers():
    own = """%b = memref.alloc() : memref<{0}xi32>
      memref.store %i, %b[%c0] : memref<{0}xi32>"""
    body = f"""%c0 = arith.constant 0 : index
      %a = memref.alloc() : memref<5000xi32>
      memref.store %lb, %a[%c0] : memref<5000xi32>
      {loop(own.format(3000))}
      {loop(own.format(4))}"""

    def placed(module, core, options):
        outline_parallel(module)
        place_buffers(module)

    found = after(placed, body, BOUNDS, whole=True)
    sizes = re.findall(r"func @(\w+)\(.*vertebra.scratch_bytes = (\d+)", found)
    sizes += re.findall(r"func private @(\w+)\(.*vertebra.scratch_bytes = (\d+)", found)
    rounded = {"k__parallel0": -(-12000 // 128) * 128, "k__parallel1": 0}
    assert {name: int(size) for name, size in sizes} == {**rounded, "k": -(-20000 // 128) * 128 + 12032}
    assert "memref.alloc()" not in found


def test_one_thread_runs_the_loop_itself():
    text = f"func.func @k({BOUNDS}, {GRID}) attributes {{vertebra.kernel}} {{\n"
    text += (
        "%c0 = arith.constant 0 : index\n" + loop("memref.store %i, %x[%c0] : memref<?xi32>") + "\nreturn }"
    )
    llir = render(text, "llir", cores()["host"], start="vector")
    (launch,) = re.findall(r"define [^@]*@k__parallel0__launch\(.*?\n}", llir, re.DOTALL)
    assert re.search(r"call i32 @vertebra_stream_threads\(\)", launch)
    assert re.search(r"call void @k__parallel0\(", launch)
    assert re.search(r"call void @vertebra_parallel\(ptr @k__parallel0__task, .*, i32 0\)", launch)
    (task,) = re.findall(r"define [^@]*@k__parallel0__task\(.*?\n}", llir, re.DOTALL)
    assert re.search(r"call void @k__parallel0\(", task)


@pytest.mark.parametrize("kind", ["i32", "i64", "index"])
def test_any_integer_counts(kind):
    cast = "arith.index_cast %n : i64 to index" if kind == "index" else f"arith.trunci %n : i64 to {kind}"
    end = f"%ub = {cast}" if kind != "i64" else "%ub = arith.addi %n, %n : i64"
    text = f"""func.func @k(%n: i64, %x: memref<?xi32>, {GRID}) attributes {{vertebra.kernel}} {{
      {end}
      %c0 = arith.constant 0 : index
      %zero = arith.constant 0 : {kind}
      %one = arith.constant 1 : {kind}
      scf.for %i = %zero to %ub step %one {": " + kind if kind != "index" else ""} {{
        memref.store %gx, %x[%c0] : memref<?xi32>
      }} {{bind_sub_block}}
      return
    }}"""
    llir = render(text, "llir", cores()["host"], start="vector")
    assert "@vertebra_parallel(ptr @k__parallel0__task" in llir
