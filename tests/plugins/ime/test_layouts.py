"""From the accumulators to A without a round trip, proved on register contents."""

import numpy as np
import pytest

from vertebra.core.layout import names, planner
from vertebra.core.layout.dtype import encode
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.registers import source_bytes, tokens_of
from vertebra.core.vector_state import VectorState
from vertebra.plugins.ime import layouts, semantics
from vertebra.plugins.ime.instructions import INSTRUCTIONS


def a_bytes(p, core, dtype):
    """A's register by its definition: A[i][k] is element i * K + k."""
    return encode(p, dtype).reshape(-1).view(np.uint8)


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, shape) if dtype == "i8" else rng.normal(size=shape).astype(np.float32)


# core, type of A, of C, and how many instructions the shortest program has
CASES = [
    ("a60", "i8", "i32", 6),
    ("a100", "i8", "i32", 3),
    ("a100", "f16", "f32", 1),
    ("a100", "bf16", "f32", 1),
]


@pytest.mark.parametrize("core, dtype, acc, count", CASES)
def test_p_to_a_stays_in_registers(core, dtype, acc, count):
    source, destination = (
        names.operand(f"ime.{core}.C.{acc}@{tile(core, dtype)}"),
        names.operand(f"ime.{core}.A.{dtype}"),
    )
    found = planner.plans(source, destination)
    straight = next(
        plan for plan in found if not plan.contraction and plan.method != "round trip through memory"
    )
    assert straight.instructions == count < found[-1].instructions
    assert found[-1].method == "round trip through memory"
    p = numbers(source.shape, dtype)
    for plan in found:
        order = list(plan.contraction or range(p.shape[1]))
        wanted = a_bytes(p[:, order], core, dtype)
        np.testing.assert_array_equal(plan.run(p).reshape(-1), wanted)


def tile(core, dtype):
    m, k = names.operand(f"ime.{core}.A.{dtype}").shape
    return f"{m}x{k}"


def test_sixteen_bits_are_the_identity_after_narrowing():
    for dtype in ("f16", "bf16"):
        source, destination = names.operand("ime.a100.C.f32"), names.operand(f"ime.a100.A.{dtype}")
        best = planner.plan(source, destination)
        assert best.method == "identity after conversion" and best.instructions == 1
        assert source.layout.offsets().tolist() == destination.layout.offsets().tolist()
        (node,) = best.body.nodes
        assert node.operation.converts == ("f32", dtype)


def test_a100_int8_is_two_narrowings_and_a_pack():
    best = planner.plan(names.operand("ime.a100.C.i32"), names.operand("ime.a100.A.i8"))
    assert best.body.text == ("vnsrl.wi t0, s0:s1, 0", "vnsrl.wi t1, s2:s3, 0", "smt.vnpack.vv t2, t0, t1, 1")


def test_a60_narrows_and_puts_words_side_by_side():
    found = planner.plans(names.operand("ime.a60.C.i32"), names.operand("ime.a60.A.i8"))
    methods = [plan.method for plan in found]
    assert methods == ["registers, renumbered contraction", "registers", "round trip through memory"]
    assert [plan.instructions for plan in found[:2]] == [5, 6]
    # With the contraction renumbered, key k of the eight is column k // 2 of tile k % 2.
    assert found[0].contraction == (0, 4, 1, 5, 2, 6, 3, 7)


def test_a60_without_widening_slides():
    source, destination = names.operand("ime.a60.C.i32"), names.operand("ime.a60.A.i8")
    operations = tuple(o for o in destination.space.operations if o.name != "interleave words")
    space = destination.space._replace(operations=operations)
    plans = planner.plans(source._replace(space=space), destination._replace(space=space))
    straight = next(plan for plan in plans if plan.method == "registers")
    assert straight.instructions == 8 and any("vslideup" in line for line in straight.body.text)
    p = numbers((4, 8), "i8", 4)
    np.testing.assert_array_equal(straight.run(p).reshape(-1), a_bytes(p, "a60", "i8"))


def test_larger_operands_repeat_the_program():
    plan = planner.plan(names.operand("ime.a100.C.i32@16x32"), names.operand("ime.a100.A.i8@16x32"))
    assert plan.instructions == 4 * 3
    p = numbers((16, 32), "i8", 1)
    tiles = p.reshape(2, 8, 2, 16).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(plan.run(p).reshape(-1), encode(tiles, "i8").reshape(-1))


def test_the_product_of_a_renumbered_contraction():
    found = planner.plans(names.operand("ime.a60.C.i32"), names.operand("ime.a60.A.i8"))
    p, v = numbers((4, 8), "i8", 2), numbers((8, 4), "i8", 3)
    for plan in found[:2]:
        order = list(plan.contraction or range(8))
        a = plan.run(p).reshape(4, 8).view(np.int8).astype(np.int32)
        np.testing.assert_array_equal(a @ v[order], p @ v)


@pytest.mark.parametrize(
    "core, role, dtype", [("a60", "C", "i32"), ("a100", "C", "i32"), ("a100", "A", "f16")]
)
def test_registers_hold_tiles_as_the_instructions_read_them(core, role, dtype):
    operand = names.operand(f"ime.{core}.{role}.{dtype}")
    rows, columns = operand.shape
    values = np.arange(rows * columns).reshape(rows, columns)
    held = source_bytes(operand, values.reshape(-1, order="F")).reshape(-1)
    step = 4 if core == "a60" else 8
    tiles = values.reshape(rows, columns // step, step).transpose(1, 0, 2)
    np.testing.assert_array_equal(held, encode(tiles, dtype).reshape(-1).view(np.uint8))


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("imm", range(4))
def test_narrow_pack_is_the_instruction(size, imm):
    insn = INSTRUCTIONS["smt.vnpack.vv"]
    found = [o for o in layouts.narrow_packs(1024, size) if o.name.endswith(f",{imm}")]
    assert len(found) == 1
    rng = np.random.default_rng(imm)
    state = VectorState.zeros(1024, sew=8 * size)
    state.v[1:3] = rng.integers(0, 256, (2, 128))
    made = found[0].apply([state.v[1].copy(), state.v[2].copy()])
    semantics.narrow(insn, state, vd=5, vs1=1, vs2=2, immediate=imm)
    np.testing.assert_array_equal(made, state.v[5])


def test_interleaving_by_widening_arithmetic():
    """vwaddu then vwmaccu by 2**32 - 1 puts the words of the second register above those of the first."""
    zipped = next(o for o in layouts.interleaves(256) if o.name == "interleave words")
    rng = np.random.default_rng(8)
    low, high = rng.integers(0, 256, (2, 32)).astype(np.uint8)
    a, b = (x.view(np.uint32)[:4].astype(np.uint64) for x in (low, high))
    wide = a + b + b * np.uint64(2**32 - 1)
    np.testing.assert_array_equal(zipped.apply([low, high]), wide.view(np.uint8))


def test_merging_bytes_by_shift_and_mask():
    merged = next(o for o in layouts.interleaves(256) if o.name == "merge bytes")
    rng = np.random.default_rng(9)
    even, odd = rng.integers(0, 256, (2, 32)).astype(np.uint8)
    wide = (odd.view(np.uint16) << 8) | (even.view(np.uint16) & 255)
    np.testing.assert_array_equal(merged.apply([even, odd]), wide.view(np.uint8))


def test_tokens_say_which_byte_of_which_element():
    tokens = tokens_of(names.operand("ime.a60.C.i32"))
    assert tokens.shape == (4, 32)
    assert tokens[0, :8].tolist() == [0 << 3 | k for k in range(4)] + [4 << 3 | k for k in range(4)]


def test_tiles_that_do_not_fit_name_the_mode():
    with pytest.raises(LayoutError, match=r"mode 1 has 12 elements, and its tile has 8"):
        names.operand("ime.a60.A.i8@4x12")
    with pytest.raises(LayoutError, match=r"registers of 256 bits and ime\.a100\.A\.i8 of 1024"):
        planner.plans(names.operand("ime.a60.C.i32@8x16"), names.operand("ime.a100.A.i8"))
