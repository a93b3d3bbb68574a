"""Products of matrices on the matrix engines: the numbers, and that the engine makes them."""

import itertools
import re

import attrs
import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.compile import render
from vertebra.core.instruction import find

from .products import in_memory, product, products_of, random_integers, run

CORES = [hooks.cores()[name] for name in ("spacemit-a60", "spacemit-a100")]
A60, A100 = CORES
PLAIN = hooks.cores()["spacemit-x60"]
SIGNS = list(itertools.product(("i8", "ui8"), repeat=2))
cores = pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
SIZES = [
    (1, 1, 1),
    (1, 4, 8),
    (4, 1, 8),
    (2, 3, 5),
    (4, 4, 8),
    (7, 9, 17),
    (12, 16, 40),
    (13, 17, 19),
    (5, 40, 64),
    (33, 34, 100),
    (64, 64, 64),
    (3, 130, 24),
]


def check_integers(
    core, m, n, k, kinds=("i8", "i8"), *, batch=(), turned=(False, False), turns=0, acc="i32", wide="i32"
):
    rng = np.random.default_rng(m * 1000 + n * 10 + k)
    a, b = (random_integers(rng, kind, (*batch, *s)) for kind, s in zip(kinds, ((m, k), (k, n)), strict=True))
    c = random_integers(rng, acc, (*batch, m, n))
    out = np.zeros_like(c)
    text = product(a.shape, b.shape, c.shape, kinds, acc, wide=wide, turned=turned, turns=turns)
    assert products_of(core, text) >= 1
    given = [in_memory(x, t).view(f"int{8 * x.itemsize}") for x, t in zip((a, b), turned, strict=True)]
    run(core, text, kinds, acc, [*given, c, out])
    total = max(1, turns) * (a.astype(np.int64) @ b.astype(np.int64))
    np.testing.assert_array_equal(out, (c.astype(np.int64) + total).astype(c.dtype))


@cores
@pytest.mark.parametrize("m, n, k", SIZES)
def test_edges(core, m, n, k):
    check_integers(core, m, n, k, wide=None)


@cores
@pytest.mark.parametrize("kinds", SIGNS, ids="-".join)
def test_signs(core, kinds):
    check_integers(core, 14, 18, 41, kinds)
    check_integers(core, 1, 18, 256, kinds, turned=(False, True))


@cores
@pytest.mark.parametrize("turned", [(False, False), (False, True), (True, False), (True, True)], ids=str)
def test_operands_along_either_dimension(core, turned):
    check_integers(core, 24, 40, 72, turned=turned)


@cores
def test_batches(core):
    check_integers(core, 9, 20, 33, batch=(3,), wide=None)
    check_integers(core, 1, 20, 128, batch=(3,), turned=(False, True), wide=None)


@cores
@pytest.mark.parametrize("m, n, k", [(13, 17, 19), (64, 32, 64), (1, 17, 256)])
@pytest.mark.parametrize("turns", [1, 5])
def test_sums_that_travel_round_a_loop(core, m, n, k, turns):
    check_integers(core, m, n, k, turns=turns, turned=(False, m == 1))


def body_of_loop(core, text: str, turns: int) -> str:
    """What the `vector` stage has in the loop that runs `turns` times."""
    lines = render(text, "vector", core, start="linalg").splitlines()
    loop = next(n for n, line in enumerate(lines) if f" to %c{turns} step %c1 " in line)
    depth = len(lines[loop]) - len(lines[loop].lstrip())
    end = next(n for n in range(loop + 1, len(lines)) if lines[n].startswith(" " * depth + "}"))
    return "\n".join(lines[loop:end])


@cores
def test_such_sums_stay_in_their_panels(core):
    text = product((16, 64), (64, 16), (16, 16), ("i8", "i8"), "i32", turns=7)
    body = body_of_loop(core, text, 7)
    assert body.count("inline_asm") >= 1 and "xi32>" not in body


@cores
@pytest.mark.parametrize("k", [1, 31, 32, 128, 129, 384])
@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_one_row(core, n, k):
    check_integers(core, 1, n, k, turned=(False, True), wide=None)


@cores
def test_sums_of_other_widths(core):
    check_integers(core, 9, 10, 24, acc="i16", wide="i16")
    check_integers(core, 1, 10, 128, acc="i16", wide="i16", turned=(False, True))


@cores
def test_sums_wrap_around(core):
    a, b = np.full((4, 4096), -128, np.int8), np.full((4096, 4), -128, np.int8)
    c, out = np.full((4, 4), 2**31 - 1, np.int32), np.zeros((4, 4), np.int32)
    run(core, product(a.shape, b.shape, c.shape, ("i8", "i8"), "i32"), ("i8", "i8"), "i32", [a, b, c, out])
    np.testing.assert_array_equal(out, np.full((4, 4), 2**26 - 2**31 - 1, np.int32))


def test_a_core_without_an_engine_gives_the_same_numbers():
    text = product((5, 24), (24, 9), (5, 9), ("i8", "ui8"), "i32", wide="i32")
    assert products_of(PLAIN, text) == 0
    rng = np.random.default_rng(1)
    a, b = random_integers(rng, "i8", (5, 24)), random_integers(rng, "ui8", (24, 9))
    c = random_integers(rng, "i32", (5, 9))
    outs = []
    for core in (PLAIN, *CORES):
        out = np.zeros_like(c)
        run(core, text, ("i8", "ui8"), "i32", [a, b.view(np.int8), c, out])
        outs.append(out)
    assert (outs[0] == outs[1]).all() and (outs[0] == outs[2]).all()


# -- floats


def bfloat(x: np.ndarray) -> np.ndarray:
    """x, rounded to bfloat16, as float32."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def stored(x: np.ndarray, kind: str) -> np.ndarray:
    return x.astype(np.float16) if kind == "f16" else (x.view(np.uint32) >> 16).astype(np.uint16)


def run_floats(m, n, k, kind, a, b, c, **kwargs):
    text = product((m, k), (k, n), (m, n), (kind, kind), "f32", **kwargs)
    assert products_of(A100, text) >= 1
    out = np.zeros((m, n), np.float32)
    turned = kwargs.get("turned", (False, False))
    given = [stored(in_memory(x, t), kind) for x, t in zip((a, b), turned, strict=True)]
    run(A100, text, (kind, kind), "f32", [*given, c, out])
    return out


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("m, n, k", [*SIZES, (1, 9, 192)])
@pytest.mark.parametrize("wide", [None, "f32"])
def test_floats(kind, m, n, k, wide):
    """Products are exact; k + 1 additions round, by half a unit in the last place of a partial sum each."""
    rng = np.random.default_rng(m * 1000 + n * 10 + k)
    a, b, c = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n), (m, n)))
    a, b = (bfloat(x) if kind == "bf16" else x.astype(np.float16).astype(np.float32) for x in (a, b))
    out = run_floats(m, n, k, kind, a, b, c, wide=wide, turned=(False, m == 1))
    want = c + a.astype(np.float64) @ b.astype(np.float64)
    largest = np.abs(c) + np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    assert (np.abs(out - want) <= (k + 12) * 2.0**-24 * largest).all()


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_special_floats(kind):
    """Infinities, NaN and zeros stay in their own rows and columns; subnormals count."""
    small = 2.0**-24 if kind == "f16" else 2.0**-133
    a = np.ones((5, 8), np.float32)
    a[0, 0], a[1, 0], a[2] = np.inf, np.nan, small
    a[3] = -0.0
    b, c = np.ones((8, 3), np.float32), np.zeros((5, 3), np.float32)
    out = run_floats(5, 3, 8, kind, a, b, c)
    assert (out[0] == np.inf).all() and np.isnan(out[1]).all()
    np.testing.assert_array_equal(out[2], np.full(3, 8 * small, np.float32))
    np.testing.assert_array_equal(out[3:], [[0.0] * 3, [8.0] * 3])


def modes(text: str) -> list[str]:
    """The instructions that change the mode, in order, and where products are between them."""
    found = []
    for line in render(text, "asm", A100, start="linalg").splitlines():
        words = [word for word in ("csrrsi", "csrw", ".insn") if word in line.partition("#")[0]]
        found += [word for word in words if found[-1:] != [word]]
    return found


def test_bfloat_mode_is_set_once_per_launch():
    text = product((8, 8), (8, 8), (8, 8), ("bf16", "bf16"), "f32")
    assert modes(text) == ["csrrsi", ".insn", "csrw"]
    assert modes(product((8, 8), (8, 8), (8, 8), ("f16", "f16"), "f32")) == [".insn"]


def test_floats_need_an_engine_for_them():
    text = product((8, 8), (8, 8), (8, 8), ("f16", "f16"), "f32")
    assert products_of(A60, text) == 0


# -- 4 bits


def nibbles(m, n, k, signs, turned=(False, False)) -> str:
    """out = c + (the upper halves of a) @ (those of b); the signs of the halves: s or u."""
    text = product((m, k), (k, n), (m, n), ("i8", "i8"), "i32", turned=turned)
    shifts = ""
    for name, sign, shape in zip("ab", signs, ((m, k), (k, n)), strict=True):
        type = f"tensor<{shape[0]}x{shape[1]}xi8>"
        shifts += f"%{name}4 = arith.constant dense<4> : {type}\n"
        shifts += f"%{name}n = arith.shr{sign}i %{name}t, %{name}4 : {type}\n"
    head, _, rest = text.partition("%r = ")
    return head + shifts + "%r = " + rest.replace("ins(%at, %bt", "ins(%an, %bn")


@pytest.mark.parametrize("signs", ["ss", "su", "us", "uu"])
@pytest.mark.parametrize(
    "m, n, k, turned", [(8, 8, 32, (0, 0)), (13, 35, 71, (0, 1)), (33, 9, 97, (1, 0)), (1, 1, 1, (0, 0))]
)
def test_halves_of_bytes(signs, m, n, k, turned):
    rng = np.random.default_rng(m)
    a, b = random_integers(rng, "i8", (m, k)), random_integers(rng, "i8", (k, n))
    c = random_integers(rng, "i32", (m, n))
    out = np.zeros_like(c)
    text = nibbles(m, n, k, signs, turned)
    words = re.findall(r"\.insn 4, (0x\w+)", render(text, "vector", A100, start="linalg"))
    assert words and all(int(word, 16) >> 29 & 3 == 0b10 for word in words)
    run(
        A100,
        text,
        ("i8", "i8"),
        "i32",
        [*(in_memory(x, t) for x, t in zip((a, b), turned, strict=True)), c, out],
    )
    left, right = (
        (x >> 4 if sign == "s" else x.view(np.uint8) >> 4).astype(np.int64)
        for x, sign in zip((a, b), signs, strict=True)
    )
    np.testing.assert_array_equal(out, (c + left @ right).astype(np.int32))


def test_several_products_add_to_carried_sums():
    """The halves of bytes by halves of bytes, in a loop: the sums never leave their panels."""
    rng = np.random.default_rng(5)
    a, b = random_integers(rng, "i8", (24, 64)), random_integers(rng, "i8", (64, 40))
    c = random_integers(rng, "i32", (24, 40))
    out = np.zeros_like(c)
    text = product(a.shape, b.shape, c.shape, ("i8", "i8"), "i32", turns=3)
    again = (
        "%q = linalg.matmul ins(%at, %bt : tensor<24x64xi8>, tensor<64x40xi8>) outs(%p : tensor<24x40xi32>)"
    )
    text = text.replace("scf.yield %p", f"{again} -> tensor<24x40xi32>\nscf.yield %q")
    assert "xi32>" not in body_of_loop(A60, text, 3)
    run(A60, text, ("i8", "i8"), "i32", [a, b, c, out])
    want = c.astype(np.int64) + 6 * (a.astype(np.int64) @ b.astype(np.int64))
    np.testing.assert_array_equal(out, want.astype(np.int32))


@cores
def test_an_operand_that_a_loop_does_not_change_is_packed_once(core):
    text = product((16, 64), (64, 16), (16, 16), ("i8", "i8"), "i32", turns=7)
    assert "vector.store" not in body_of_loop(core, text, 7)
    check_integers(core, 16, 16, 64, turns=7)


def test_parallel_turns_enter_the_mode_themselves():
    """They may run on other processors than the one that started the kernel; their sums are not shared."""
    text = product((8, 8), (8, 8), (8, 8), ("bf16", "bf16"), "f32", turns=7)
    assert modes(text) == ["csrrsi", ".insn", "csrw"]
    apart = text.replace("tensor<8x8xf32>\n}\n", "tensor<8x8xf32>\n} {bind_sub_block}\n")
    assert apart != text
    assert "csrrsi" in body_of_loop(A100, apart, 7) and "csrrsi" not in body_of_loop(A100, text, 7)


# -- any sizes: what lies as the layout instructions want it, and what does not


@cores
@pytest.mark.parametrize("seed", range(12))
def test_random_products_of_integers(core, seed):
    """Multiples of what moves take at once are as frequent as other sizes; exact, modulo 2**32."""
    rng = np.random.default_rng(seed)
    sides = ([rng.integers(1, 70), 32 * rng.integers(1, 4), 8 * rng.integers(1, 9)] for _ in "mn")
    m, n = (int(rng.choice(side)) for side in sides)
    k = int(rng.choice([rng.integers(1, 300), 16 * rng.integers(1, 20), 128]))
    kinds = SIGNS[seed % len(SIGNS)]
    turned = tuple(bool(x) for x in rng.integers(0, 2, 2))
    check_integers(core, m, n, k, kinds, turned=turned)


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("m, n, k", [(32, 32, 64), (24, 64, 72), (9, 96, 200), (40, 40, 8)])
def test_products_of_floats_that_lie_row_by_row(kind, m, n, k):
    rng = np.random.default_rng(n + k)
    a, b = (rng.integers(-8, 9, s).astype(np.float32) for s in ((m, k), (k, n)))
    c = rng.integers(-100, 100, (m, n)).astype(np.float32)
    np.testing.assert_array_equal(run_floats(m, n, k, kind, a, b, c), c + a @ b)


def words(core, text: str) -> set[str]:
    """The names of the matrix engine's instructions in the kernel."""
    known = tuple(hooks.instructions().values())
    found = {
        int(word, 16)
        for word in re.findall(r"\.insn 4, (0x\w+)", render(text, "vector", core, start="linalg"))
    }
    return {find(known, word)[0].name for word in found}


def test_layout_instructions_bring_rows_into_tiles_and_tiles_into_rows():
    """Where rows lie in memory whole, no element is moved by itself."""
    text = product((24, 128), (128, 64), (24, 64), ("i8", "i8"), "i32")
    assert words(A100, text) == {"smt.vmadot.i8", "smt.vpack.vv"}
    assert words(A60, text) == {"smt.vmadot.i8"}


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_cores_without_a_sub_extension_fall_back(core):
    """IME -> RVV: a record that lacks everything has no products on the engine, and the same numbers."""
    rng = np.random.default_rng(7)
    a, b = random_integers(rng, "i8", (33, 64)), random_integers(rng, "i8", (64, 40))
    c = random_integers(rng, "i32", (33, 40))
    text = product(a.shape, b.shape, c.shape, ("i8", "i8"), "i32")
    outs = []
    for extensions in (core.extensions, core.extensions - {"xsmti8i32mm"}, frozenset()):
        cut = attrs.evolve(core, name=f"{core.name}-{len(extensions)}", extensions=extensions)
        assert (products_of(cut, text) > 0) == (extensions == core.extensions)
        out = np.zeros_like(c)
        run(cut, text, ("i8", "i8"), "i32", [a, b, c, out])
        outs.append(out)
    np.testing.assert_array_equal(outs[0], outs[1])
    np.testing.assert_array_equal(outs[0], outs[2])
