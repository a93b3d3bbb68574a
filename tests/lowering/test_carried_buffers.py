"""Tensors that change places round a loop: each turn sees what the turn before yielded."""

import re

import numpy as np
import pytest
from test_linalg_to_vector import kernel, load, run, store

from vertebra.core.compile import render
from vertebra.core.hooks import cores

TURNS = """%c0 = arith.constant 0 : index
%c1 = arith.constant 1 : index
%t0 = memref.load %a4[%c0] : memref<?xi32>
%turns = arith.index_cast %t0 : i32 to index
"""


def both(n: int, loop: str) -> str:
    """Loads x and y, runs `loop`, which gives %r:2, and stores its results."""
    t = f"tensor<{n}xf32>"
    return (
        TURNS
        + load("x", "a0", (n,), "f32")
        + load("y", "a1", (n,), "f32")
        + re.sub(r"\bT\b", t, loop)
        + f"\n%q = tensor.cast %r#0 : {t} to {t}\n%s = tensor.cast %r#1 : {t} to {t}\n"
        + store("q", "a2", (n,), "f32")
        + store("s", "a3", (n,), "f32")
    )


def loop(yielded: str, before: str = "") -> str:
    return f"""%r:2 = scf.for %i = %c0 to %turns step %c1 iter_args(%a = %x, %b = %y) -> (T, T) {{
      {before}
      scf.yield {yielded} : T, T
    }}"""


def numbers(n: int):
    x = np.arange(n, dtype=np.float32)
    return x, x * 2 + 100


def results(body: str, n: int, turns: int):
    x, y = numbers(n)
    q, s = np.zeros_like(x), np.zeros_like(x)
    run(body, x, y, q, s, np.array([turns], np.int32))
    np.testing.assert_array_equal((x, y), numbers(n))
    return q, s


WHILE_SWAP = """%n0 = arith.constant 0 : index
%w:3 = scf.while (%i = %n0, %a = %x, %b = %y) : (index, T, T) -> (index, T, T) {
  %more = arith.cmpi slt, %i, %turns : index
  scf.condition(%more) %i, %a, %b : index, T, T
} do {
^bb0(%i: index, %a: T, %b: T):
  %j = arith.addi %i, %c1 : index
  scf.yield %j, %b, %a : index, T, T
}
%r:2 = scf.execute_region -> (T, T) { scf.yield %w#1, %w#2 : T, T }"""

CASES = {
    "swap": (loop("%b, %a"), lambda a, b: (b, a)),
    "fibonacci": (loop("%b, %n", "%n = arith.addf %a, %b : T"), lambda a, b: (b, a + b)),
    "both-one": (loop("%n, %n", "%n = arith.subf %a, %b : T"), lambda a, b: (a - b, a - b)),
    "one-in-place": (
        loop("%m, %a", "%m = arith.addf %a, %b : T"),
        lambda a, b: (a + b, a),
    ),
    "read-after-update": (
        loop(
            "%m, %k", "%m = arith.maximumf %a, %b : T\n%d = arith.subf %m, %a : T\n%k = arith.addf %b, %d : T"
        ),
        lambda a, b: (np.maximum(a, b), b + (np.maximum(a, b) - a)),
    ),
    "nested": (
        loop(
            "%in#0, %in#1",
            """%in:2 = scf.for %j = %c0 to %turns step %c1 iter_args(%e = %b, %f = %a) -> (T, T) {
              %g = arith.addf %e, %f : T
              scf.yield %f, %g : T, T }""",
        ),
        None,
    ),
    "branch": (
        loop(
            "%p#0, %p#1",
            """%two = arith.constant 2 : index
            %m = arith.remui %i, %two : index
            %even = arith.cmpi eq, %m, %c0 : index
            %p:2 = scf.if %even -> (T, T) { scf.yield %b, %a : T, T } else { scf.yield %a, %b : T, T }""",
        ),
        None,
    ),
    "while": (WHILE_SWAP, lambda a, b: (b, a)),
}


def expected(name: str, a, b, turns: int):
    for turn in range(turns):
        if name == "nested":
            a, b = b, a
            for _ in range(turns):
                a, b = b, a + b
        elif name == "branch":
            a, b = (b, a) if turn % 2 == 0 else (a, b)
        else:
            a, b = CASES[name][1](a, b)
    return a, b


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [40, 2000], ids=["stack", "scratch"])
@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_each_turn_sees_what_the_one_before_yielded(name, n, turns):
    found = results(both(n, CASES[name][0]), n, turns)
    np.testing.assert_array_equal(found, expected(name, *numbers(n), turns))


def test_an_accumulator_is_not_copied():
    """It is updated in place, so that the loop needs no buffer besides its own."""
    body = both(40, loop("%m, %b", "%m = arith.addf %a, %b : T"))
    arrays = [np.zeros(1, np.float32)] * 4 + [np.zeros(1, np.int32)]
    text = render(kernel(body, *arrays), "vector", cores()["host"], start="linalg")
    assert "memref.copy" not in text
