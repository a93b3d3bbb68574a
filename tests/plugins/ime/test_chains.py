"""Sums that become the left factor of another product: rows are worked on where the engine left them."""

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.compile import compile, render
from vertebra.core.layout import planner
from vertebra.core.layout.placements import handover
from vertebra.core.pipeline import panel_kernels_of
from vertebra.core.select import runtime_for
from vertebra.plugins.ime.layouts import SPACES

from .products import GRID, _load, _view

A60, A100 = (hooks.cores()[f"spacemit-{name}"] for name in ("a60", "a100"))
# Names of the operations and the types: sums, what lies between, weights.
FLOATS = {
    "sum": "f32", "type": "f16", "max": "arith.maxnumf", "sub": "arith.subf", "add": "arith.addf",
    "low": "0xFF800000", "narrow": "arith.truncf",
}  # fmt: skip
INTEGERS = {
    "sum": "i32", "type": "i8", "max": "arith.maxsi", "sub": "arith.subi", "add": "arith.addi",
    "low": "-2147483648", "narrow": "arith.trunci",
}  # fmt: skip


def repeated(name: str, source: str, shape: tuple, line: str, to: str, element: str) -> str:
    """%name: the elements of %source, one a row ("i, 0") or a column ("0, j"), in every place of `to`."""
    return f"""
      %{name} = linalg.generic {{
        indexing_maps = [affine_map<(i, j) -> ({line})>, affine_map<(i, j) -> (i, j)>],
        iterator_types = ["parallel", "parallel"]
      }} ins(%{source} : tensor<{shape[0]}x{shape[1]}x{element}>) outs(%e0 : {to}) {{
        ^bb0(%in: {element}, %out: {element}):
          linalg.yield %in : {element}
      }} -> {to}
    """


def chain(m: int, n: int, k: int, d: int, kind: dict, *, stored=False, turns: int = 0) -> str:
    """o = narrow(s + bias - row max) @ v + o, s = a @ b; to the bias come the columns' numbers.

    stored: the scores are stored too.  turns: so many times over, in a loop that adds up.
    """
    wide, small = kind["sum"], kind["type"]
    s, row, line = f"tensor<{m}x{n}x{wide}>", f"tensor<{m}x{wide}>", f"tensor<{n}x{wide}>"
    p, r = f"tensor<{m}x{n}x{small}>", f"tensor<{m}x{d}x{wide}>"
    shapes = {
        "a": (m, k, small),
        "b": (k, n, small),
        "v": (n, d, small),
        "e": (m, n, wide),
        "o": (m, d, wide),
    }
    text = "".join(_load(name, (x, y), type) for name, (x, y, type) in shapes.items())
    number = "%y = arith.index_cast %x : index to i32\n"
    number += "%z = arith.sitofp %y : i32 to f32\n" if wide == "f32" else "%z = arith.addi %y, %y : i32\n"
    text += f"""
      %e0 = tensor.empty() : {s}
      %n0 = tensor.empty() : {line}
      %zero = arith.constant dense<{"0.0" if wide == "f32" else "0"}> : {s}
      %lowest = arith.constant dense<{kind["low"]}> : {row}
      %i0 = arith.constant 0 : index
      %i1 = arith.constant 1 : index
      %i9 = arith.constant {turns} : index
      %numbers = linalg.generic {{
        indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]
      }} outs(%n0 : {line}) {{
        ^bb0(%out: {wide}):
          %x = linalg.index 0 : index
          {number}
          linalg.yield %z : {wide}
      }} -> {line}
      %line = tensor.expand_shape %numbers [[0, 1]] output_shape [1, {n}] : {line} into tensor<1x{n}x{wide}>
    """
    text += repeated("columns", "line", (1, n), "0, j", s, wide)
    factors = f"tensor<{m}x{k}x{small}>, tensor<{k}x{n}x{small}>"
    body = f"""
      %s = linalg.matmul ins(%at, %bt : {factors}) outs(%zero : {s}) -> {s}
      %s1 = {kind["add"]} %s, %et : {s}
      %s2 = {kind["add"]} %s1, %columns : {s}
      %top = linalg.reduce {{ {kind["max"]} }} ins(%s2 : {s}) outs(%lowest : {row}) dimensions = [1]
      %top2 = tensor.expand_shape %top [[0, 1]] output_shape [{m}, 1] : {row} into tensor<{m}x1x{wide}>
      {repeated("tops", "top2", (m, 1), "i, 0", s, wide)}
      %s3 = {kind["sub"]} %s2, %tops : {s}
      %p = {kind["narrow"]} %s3 : {s} to {p}
    """
    product = f"linalg.matmul ins(%p, %vt : {p}, tensor<{n}x{d}x{small}>)"
    if turns:
        text += f"""
          %r = scf.for %i = %i0 to %i9 step %i1 iter_args(%sums = %ot) -> {r} {{
            {body}
            %twice = {kind["add"]} %sums, %sums : {r}
            %q = {product} outs(%twice : {r}) -> {r}
            scf.yield %q : {r}
          }}
        """
    else:
        text += f"{body}\n%r = {product} outs(%ot : {r}) -> {r}\n"
    ends = [("r", "o", r, (m, d))] + ([("s3", "e", s, (m, n))] if stored else [])
    for value, name, type, shape in ends:
        view = _view(name, shape, wide, False)[1]
        text += f"bufferization.materialize_in_destination %{value} in writable %{name}v"
        text += f" : ({type}, {view}) -> ()\n"
    types = zip("abveo", (*[small] * 3, wide, wide), strict=True)
    arguments = ", ".join(f"%{x}: memref<?x{t}>" for x, t in types)
    head = f"func.func @k({arguments}, {GRID}) attributes {{vertebra.kernel}}"
    return f"{head} {{\n{text}return\n}}"


def operands(m: int, n: int, k: int, d: int, kind: dict) -> list[np.ndarray]:
    """Small integers, so that every sum is exact and every weight fits its type."""
    rng = np.random.default_rng(m + 3 * n + 5 * k + 7 * d)
    small, wide = (np.float16, np.float32) if kind is FLOATS else (np.int8, np.int32)
    shapes = ((m, k), (k, n), (n, d))
    factors = [rng.integers(-2, 3, shape).astype(small) for shape in shapes]
    return [*factors, *(rng.integers(-3, 4, shape).astype(wide) for shape in ((m, n), (m, d)))]


def reference(a, b, v, bias, out, kind: dict, turns: int) -> tuple[np.ndarray, np.ndarray]:
    wide = np.int64
    step = 1 if kind is FLOATS else 2
    s = a.astype(wide) @ b.astype(wide) + bias.astype(wide) + step * np.arange(b.shape[1])
    s -= s.max(1, keepdims=True)
    p = s if kind is FLOATS else s.astype(np.int8).astype(wide)
    r = out.astype(wide)
    for _ in range(turns or 1):
        r = (2 * r if turns else r) + p @ v.astype(wide)
    return r, s


def run(core, text: str, arrays, kind: dict) -> None:
    small, wide = ("*fp16", "*fp32") if kind is FLOATS else ("*i8", "*i32")
    binary = compile(text, core, name="k", signature=(*[small] * 3, wide, wide), start="linalg")
    runtime_for(core).load(binary).launch((1, 1, 1), arrays)


# (sizes, turns of a loop): odd numbers of tiles, parts of tiles, fewer rows than a tile has.
CASES = [
    ((8, 16, 8, 8), 0),
    ((24, 48, 16, 40), 3),
    ((40, 16, 5, 13), 0),
    ((64, 64, 64, 64), 3),
    ((8, 80, 16, 100), 0),
    ((13, 20, 7, 9), 0),
    ((8, 13, 8, 8), 3),
    ((30, 64, 16, 16), 0),
]


@pytest.mark.parametrize("sizes, turns", CASES, ids=["x".join(map(str, s)) + f"-{t}" for s, t in CASES])
@pytest.mark.parametrize(
    "core, kind", [(A100, FLOATS), (A100, INTEGERS), (A60, INTEGERS)], ids=["a100-f16", "a100-i8", "a60-i8"]
)
def test_the_numbers_are_right_for_every_size(core, kind, sizes, turns):
    arrays = operands(*sizes, kind)
    want, _ = reference(*arrays, kind, turns)
    run(core, chain(*sizes, kind, turns=turns), arrays, kind)
    np.testing.assert_array_equal(arrays[-1], want)


@pytest.mark.parametrize("core, kind", [(A100, FLOATS), (A60, INTEGERS)], ids=["a100-f16", "a60-i8"])
def test_scores_that_are_stored_too_are_right_in_both_places(core, kind):
    sizes = (16, 32, 8, 8)
    arrays = operands(*sizes, kind)
    want, scores = reference(*arrays, kind, 0)
    run(core, chain(*sizes, kind, stored=True), arrays, kind)
    np.testing.assert_array_equal(arrays[-1], want)
    np.testing.assert_array_equal(arrays[-2], scores)


def vectors_between(core, text: str) -> str:
    """The vector stage around the weights' panels, from an engine's loop to the next; without them, all."""
    stage = render(text, "vector", core, start="linalg")
    weights, loop = stage.find("vertebra.plan"), "llvm.inline_asm"
    if weights < 0:
        return stage
    return stage[stage.rindex(loop, 0, weights) : stage.index(loop, weights)]


@pytest.mark.parametrize(
    "core, kind", [(A100, FLOATS), (A100, INTEGERS), (A60, INTEGERS)], ids=["a100-f16", "a100-i8", "a60-i8"]
)
def test_weights_are_stored_as_panels_in_one_piece(core, kind):
    """No scatter of words and no row-major copy lies between the products."""
    between = vectors_between(core, chain(64, 64, 64, 32, kind))
    assert "vector.scatter" not in between
    assert f"memref<64x64x{kind['sum']}>" not in between
    assert ("llvm.vector.interleave2" in between) == (kind is INTEGERS)  # two tiles of sums to one of weights


@pytest.mark.parametrize(
    "core, kind, method",
    [
        (A100, FLOATS, "conversion in place"),
        (A100, INTEGERS, "conversion in place, woven by the store"),
        (A60, INTEGERS, "conversion in place, woven by the store"),
    ],
    ids=["a100-f16", "a100-i8", "a60-i8"],
)
def test_the_compiler_s_plan_is_the_planner_s(core, kind, method):
    """The dump names it; it is the cheapest of the planner's ways between the engine's own layouts."""
    types = kind["type"], kind["type"], kind["sum"]
    one = next(k for k in panel_kernels_of(core) if (k.a, k.b, k.acc, k.form) == (*types, "plain"))
    m, n, k = one.tile
    assert one.registers == SPACES[core.name.removeprefix("spacemit-")]
    plan = handover(one.registers, (m, n, one.acc), (m, k, one.a), 4)
    assert plan == planner.plan(plan.source, plan.destination) and plan.method == method
    stage = render(chain(64, 64, 64, 32, kind), "vector", core, start="linalg")
    assert f'vertebra.plan = "{plan.source.name} to {plan.destination.name}: {method}"' in stage


def test_sizes_that_tiles_do_not_divide_go_row_by_row():
    assert "memref<30x64xf32>" in vectors_between(A100, chain(30, 64, 16, 16, FLOATS))
