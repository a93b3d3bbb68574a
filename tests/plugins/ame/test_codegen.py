"""Products of matrices on the unit: the numbers, what the loops are made of, and where operands lie."""

import itertools
import re

import attrs
import numpy as np
import pytest

from vertebra.core.compile import render
from vertebra.plugins.ame.codegen import product as codegen
from vertebra.plugins.ame.codegen import registers
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import INSTRUCTIONS
from vertebra.plugins.ame.types import NAMED

from ..ime.products import in_memory, product, random_integers, run

CORES = [AME_GENERIC] + [
    attrs.evolve(AME_GENERIC, name=f"test-n{g.n}u{g.u}m{g.m}a{g.acc}", ame=g)
    for g in (
        Geometry(n=4, u=8),
        Geometry(n=4, u=16, m=32, acc=16),
        Geometry(n=16, u=32, acc=1),
        Geometry(n=4, u=64, acc=8),
    )
]
cores = pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
TURNED = list(itertools.product((False, True), repeat=2))
SIZES = [
    (1, 1, 1),
    (8, 8, 32),
    (7, 9, 17),
    (16, 16, 64),
    (13, 17, 19),
    (24, 40, 96),
    (33, 34, 100),
    (64, 64, 64),
    (3, 70, 24),
]
_PRODUCT = re.compile(r'llvm\.inline_asm[^\n]*insn r 0x2b, 0, 0x4f[^\n]*"=&r')
_ENTER = re.compile(r"llvm\.inline_asm[^\n]*amestatus|llvm\.inline_asm[^\n]*csrr \$0")


def stage(core, text: str) -> str:
    return render(text, "vector", core, start="linalg")


def check_integers(core, m, n, k, kinds=("i8", "i8"), *, batch=(), turned=(False, False), turns=0):
    rng = np.random.default_rng(m * 1000 + n * 10 + k)
    a, b = (random_integers(rng, kind, (*batch, *s)) for kind, s in zip(kinds, ((m, k), (k, n)), strict=True))
    c = random_integers(rng, "i32", (*batch, m, n))
    out = np.zeros_like(c)
    text = product(a.shape, b.shape, c.shape, kinds, "i32", wide="i32", turned=turned, turns=turns)
    assert _PRODUCT.search(stage(core, text))
    given = [in_memory(x, t).view(np.int8) for x, t in zip((a, b), turned, strict=True)]
    run(core, text, kinds, "i32", [*given, c, out])
    total = max(1, turns) * (a.astype(np.int64) @ b.astype(np.int64))
    np.testing.assert_array_equal(out, (c.astype(np.int64) + total).astype(np.int32))


@cores
@pytest.mark.parametrize("m, n, k", SIZES)
def test_edges(core, m, n, k):
    check_integers(core, m, n, k)


@pytest.mark.parametrize("kinds", list(itertools.product(("i8", "ui8"), repeat=2)), ids="-".join)
def test_signs(kinds):
    check_integers(AME_GENERIC, 14, 18, 41, kinds)
    check_integers(AME_GENERIC, 16, 16, 128, kinds)


@cores
@pytest.mark.parametrize("turned", TURNED, ids=str)
def test_operands_along_either_dimension(core, turned):
    check_integers(core, 32, 48, 64, turned=turned)
    check_integers(core, 21, 19, 35, turned=turned)


def test_batches():
    check_integers(AME_GENERIC, 9, 20, 33, batch=(3,))
    check_integers(AME_GENERIC, 16, 16, 64, batch=(2,), turned=(False, True))


@pytest.mark.parametrize("m, n, k", [(13, 17, 19), (64, 32, 64)])
@pytest.mark.parametrize("turns", [1, 5])
def test_sums_that_travel_round_a_loop(m, n, k, turns):
    check_integers(AME_GENERIC, m, n, k, turns=turns)


def test_sums_wrap_around():
    a, b = np.full((8, 4096), -128, np.int8), np.full((4096, 8), -128, np.int8)
    c, out = np.full((8, 8), 2**31 - 1, np.int32), np.zeros((8, 8), np.int32)
    run(
        AME_GENERIC,
        product(a.shape, b.shape, c.shape, ("i8", "i8"), "i32", wide="i32"),
        ("i8", "i8"),
        "i32",
        [a, b, c, out],
    )
    np.testing.assert_array_equal(out, np.full((8, 8), 2**26 - 2**31 - 1, np.int32))


# -- floats


def stored(x: np.ndarray, kind: str) -> np.ndarray:
    if kind == "bf16":
        return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return x.astype({"f16": np.float16, "f32": np.float32}[kind])


def run_floats(core, kind, a, b, c, **fields):
    (m, k), n = a.shape, b.shape[1]
    text = product((m, k), (k, n), (m, n), (kind, kind), "f32", **fields)
    assert _PRODUCT.search(stage(core, text))
    out = np.zeros((m, n), np.float32)
    turned = fields.get("turned", (False, False))
    given = [in_memory(stored(x, kind), t) for x, t in zip((a, b), turned, strict=True)]
    run(core, text, (kind, kind), "f32", [*given, c, out])
    return out


@cores
@pytest.mark.parametrize("kind", ["f16", "bf16", "f32"])
@pytest.mark.parametrize("m, n, k", [(16, 16, 32), (13, 17, 19), (1, 9, 3), (40, 24, 64)])
def test_floats(core, kind, m, n, k):
    """Sums of small integers are exact in any order."""
    rng = np.random.default_rng(k)
    a, b = (rng.integers(-8, 9, s).astype(np.float32) for s in ((m, k), (k, n)))
    c = rng.integers(-50, 50, (m, n)).astype(np.float32)
    np.testing.assert_array_equal(run_floats(core, kind, a, b, c), c + a @ b)


@pytest.mark.parametrize("turned", TURNED, ids=str)
def test_floats_along_either_dimension(turned):
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-8, 9, s).astype(np.float32) for s in ((24, 48), (48, 32)))
    c = np.zeros((24, 32), np.float32)
    for kind in ("f16", "f32"):
        np.testing.assert_array_equal(run_floats(AME_GENERIC, kind, a, b, c, turned=turned), a @ b)


def test_zeros_around_an_operand_meet_no_infinity():
    """K is 3 of 16: what the copies lack to a tile is zero on both sides."""
    a, b = np.full((5, 3), np.inf, np.float32), np.ones((3, 6), np.float32)
    got = run_floats(AME_GENERIC, "f16", a, b, np.zeros((5, 6), np.float32))
    assert (got == np.inf).all()


# -- what the code is made of


def lines_of(kind: str, rows: int, columns: int, steps: int | None, g: Geometry = AME_GENERIC.ame) -> list:
    acc = NAMED["i32" if kind == "i8" else "f32"]
    return codegen.run(registers.needed(g, NAMED[kind], acc, rows, columns), steps, ("mls.st", "mls.st")).text


@pytest.mark.parametrize("kind", ["i8", "f16", "f32"])
def test_two_instructions_of_the_unit_for_each_multiplication(kind):
    """Loads included, with the four accumulators of the generic core; each load has an address to go on."""
    text = lines_of(kind, 2, 2, 64)
    loop = text[text.index("1:") + 1 : next(n for n, line in enumerate(text) if line.startswith("bnez"))]
    unit = [line for line in loop if line.startswith(".insn")]
    products = [line for line in unit if "0x4f" in line]
    assert len(unit) == 2 * len(products) == 2 * 32
    assert len(loop) == 3 * len(products) + 1  # the turns are counted


def test_sums_stay_in_their_accumulators_and_types_as_they_are():
    """Nothing but loads and multiplications in the loop, nor between the first load and the last product."""
    text = lines_of("i8", 2, 2, 16)
    functions = [re.search(r"0x2b, 0, (0x\w+)", line)[1] for line in text if line.startswith(".insn")]
    first, last = functions.index("0x54"), len(functions) - 1 - functions[::-1].index("0x4f")
    assert set(functions[first : last + 1]) == {"0x54", "0x4f"}


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8, 9, 17, 33])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 4)])
def test_every_step_is_taken_once(steps, shape):
    check_integers(AME_GENERIC, 8 * shape[0], 8 * shape[1], 32 * steps)


def test_operands_in_memory_are_not_copied():
    text = product((64, 64), (64, 64), (64, 64), ("i8", "i8"), "i32", wide="i32", turned=(True, False))
    got = stage(AME_GENERIC, text)
    assert "memref<4096xi8>" not in got  # the size of a copy of either


def test_the_unit_is_acquired_once_per_program():
    text = product((32, 64), (64, 32), (32, 32), ("i8", "i8"), "i32", wide="i32", turns=3)
    got = stage(AME_GENERIC, text)
    assert len(_ENTER.findall(got)) == 1
    release = INSTRUCTIONS["ame.release"].encode()
    assert f"{release >> 25:#x}" == "0x52"
    body = got[got.index("scf.for") :]
    assert not _ENTER.search(body)
