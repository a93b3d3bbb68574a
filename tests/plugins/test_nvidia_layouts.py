"""The open case: P from a Blackwell accumulator into swizzled shared memory, and the Hopper one.

The reader is simulated from the descriptors' fields: row r of a block lies at its start plus the
stride of eight rows times r / 8 plus 128 * (r % 8), with the XOR on absolute addresses.
"""

import numpy as np
import pytest

from vertebra.core.layout import names, planner
from vertebra.core.layout.conflicts import wavefronts, ways
from vertebra.core.layout.dtype import decode, encode
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.inverse import right_inverse
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.linear import linear
from vertebra.core.layout.operand import Banks, Step
from vertebra.core.layout.ordering import check_order
from vertebra.core.layout.plan import read, write
from vertebra.core.layout.swizzle import Xor
from vertebra.core.layout.tiling import as_pack
from vertebra.plugins.nvidia_layouts import blackwell, budgets, hopper
from vertebra.plugins.nvidia_layouts.spaces import TENSOR_STORE_WAIT, descriptors

C, A = "sm100.tmem.C", "sm100.smem.A.bf16.sw128"
M, N = np.indices((128, 128))


def closed_form(m, n, rows=128):
    """The byte at which P's element (m, n) lies, in bf16."""
    byte = 2 * (64 * m + n % 64 + rows * 64 * (n // 64))
    return byte ^ ((byte >> 7) & 7) << 4


def fetch(memory, operand):
    """The tile that the unit reads through the descriptors of `operand`: bit patterns (rows, columns)."""
    rows = np.arange(operand.shape[0])[:, None]
    blocks = []
    for descriptor in descriptors(operand):
        where = descriptor.address(rows, np.arange(32)[None, :])
        blocks.append(memory[where].view(np.uint16))
    return np.concatenate(blocks, axis=1)


def attention(seed=3, keys=128, width=256):
    """P (un-normalised, f32), its row sums, V and the exact output, from normal q and k of 64 dimensions."""
    rng = np.random.default_rng(seed)
    q, k, v = rng.normal(size=(128, 64)), rng.normal(size=(keys, 64)), rng.normal(size=(keys, width))
    scores = q @ k.T / 8
    p = np.exp(scores - scores.max(1, keepdims=True))
    return p.astype(np.float32), p.sum(1, keepdims=True), v, p @ v / p.sum(1, keepdims=True)


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@pytest.fixture(scope="module")
def plans():
    return planner.plans(names.operand(C), names.operand(A))


def test_sixteen_vector_stores_without_conflicts(plans):
    best, by_element = plans
    assert best.method == "direct" and best.instructions == 16
    assert {m.instruction.name for m in best.body.moves} == {"st.shared.v4.b32"}
    assert (best.wavefronts, best.ideal, best.ways) == (64, 64, 1)
    assert (by_element.instructions, by_element.wavefronts) == (128, 512)
    plain = planner.plan(names.operand(C), names.operand(A)._replace(swizzle=None))
    assert (plain.instructions, plain.wavefronts, plain.ways) == (16, 512, 8)


def test_every_byte_is_where_the_closed_form_says(plans):
    p = np.arange(128 * 128).reshape(128, 128) % 251 + 1.0
    wanted = encode(p, "bf16")
    for plan in plans:
        memory = plan.run(p)
        assert len(memory) == 32768
        where = closed_form(M, N)
        assert sorted(where.reshape(-1).tolist()) == list(range(0, 32768, 2))
        np.testing.assert_array_equal(memory.view(np.uint16)[where // 2], wanted)


def test_every_move_stores_at_the_documented_address(plans):
    found = {(t, a) for move in plans[0].body.moves for t, a in enumerate(move.addresses)}
    assert found == {
        (t, 128 * t + 16 * (c ^ t % 8) + 16384 * b) for t in range(128) for c in range(8) for b in (0, 1)
    }


def test_the_reader_sees_p_exactly_and_the_output_is_right(plans):
    p, sums, v, exact = attention()
    seen = fetch(plans[0].run(p), names.operand(A))
    np.testing.assert_array_equal(seen, encode(p, "bf16"))
    output = decode(seen, "bf16") @ decode(encode(v, "bf16"), "bf16") / sums
    assert cosine(output, exact) >= 0.99999


def test_descriptors_are_those_that_cutlass_compiles():
    words = [d.bits(blackwell.LAYOUT_CODES, 61, 1) for d in descriptors(names.operand(A))]
    assert [w >> 32 for w in words] == [0x40004040] * 8 and {w >> 16 & 0xFFFF for w in words} == {1}
    assert [(w & 0x3FFF) * 16 for w in words] == [0, 32, 64, 96, 16384, 16416, 16448, 16480]
    words = [d.bits(hopper.LAYOUT_CODES, 62) for d in descriptors(names.operand("sm90.smem.A.bf16.sw128"))]
    assert [w >> 32 for w in words] == [0x40000040] * 8
    assert [(w & 0x3FFF) * 16 for w in words] == [0, 32, 64, 96, 8192, 8224, 8256, 8288]


def test_the_operand_is_a_pack_with_an_xor():
    packed = as_pack((128, 128), (8, 64), outer=(1, 0))
    plain = names.operand(A).layout
    assert packed.offsets().tolist() == plain.offsets().tolist()


def test_the_swizzle_in_elements():
    in_bytes = Xor(3, 4, 3)
    assert in_bytes.scaled(1) == Xor(3, 3, 3) and in_bytes.scaled(0) == in_bytes
    assert in_bytes.scaled(2) == Xor(3, 2, 3)
    e = np.arange(16384)
    assert (2 * in_bytes.scaled(1)(e) == in_bytes(2 * e)).all()
    assert (2 * in_bytes(e) != in_bytes(2 * e)).sum() == 12288
    with pytest.raises(LayoutError, match="tear them apart"):
        in_bytes.scaled(5)


# Where a wrong writer puts element (m, n), in bytes, and the share of elements that the reader then
# gets wrong and the output's cosine (for this seed; they are far from 1 for every one).
def offset(m, n):
    return 2 * (64 * m + n % 64 + 8192 * (n // 64))


WRONG = {
    "no swizzle": (lambda m, n: offset(m, n), 0.85, 0.47),
    "swizzle on element indices": (lambda m, n: 2 * Xor(3, 4, 3)(offset(m, n) // 2), 0.75, 0.53),
    "64-byte pattern": (lambda m, n: Xor(2, 4, 3)(offset(m, n)), 0.50, 0.69),
    "transposed": (lambda m, n: closed_form(n, m), 0.98, 0.32),
    "row-major, swizzled": (lambda m, n: Xor(3, 4, 3)(2 * (128 * m + n)), 0.98, 0.32),
    "column-major": (lambda m, n: 2 * (m + 128 * n), 0.98, 0.33),
    "blocks of K as (2,4)": (
        lambda m, n: Xor(3, 4, 3)(2 * (64 * m + n % 16 + 16 * (n // 32) + 8192 * (n // 16 % 2))),
        0.75,
        0.49,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_writers_differ(name):
    place, share, expected = WRONG[name]
    p, sums, v, exact = attention()
    memory = np.zeros(32768, np.uint8)
    write(memory, place(M, N).reshape(-1) * 8, encode(p, "bf16").reshape(-1), 16)
    seen = fetch(memory, names.operand(A))
    wrong = (seen != encode(p, "bf16")).mean()
    assert abs(wrong - share) < 0.03
    output = decode(seen, "bf16") @ decode(encode(v, "bf16"), "bf16") / sums
    assert abs(cosine(output, exact) - expected) < 0.1 and cosine(output, exact) < 0.8


def test_offsets_swizzled_before_an_unaligned_base_differ():
    p, _, _, _ = attention()
    memory = np.zeros(32768 + 128, np.uint8)
    write(memory, (closed_form(M, N) + 128).reshape(-1) * 8, encode(p, "bf16").reshape(-1), 16)
    rows, line = np.arange(128)[:, None], np.arange(32)[None, :]
    seen = [
        memory[d._replace(start=d.start + 128).address(rows, line)].view(np.uint16)
        for d in descriptors(names.operand(A))
    ]
    assert (np.concatenate(seen, 1) != encode(p, "bf16")).mean() > 0.95


def test_a_permutation_of_p_keeps_a_cosine_of_a_third():
    p, sums, v, exact = attention()
    shuffled = np.random.default_rng(1).permutation((p / sums).reshape(-1)).reshape(p.shape)
    assert 0.25 < cosine(shuffled @ v, exact) < 0.4
    rotated = np.roll(v, 64, axis=1)
    assert abs(cosine(p @ rotated / sums, exact)) < 0.05


def test_unnormalised_p_is_legal():
    p, sums, v, exact = attention()
    rows = [cosine(a, b) for a, b in zip(p @ v, exact, strict=True)]
    assert min(rows) > 0.99999 > cosine(p @ v, exact) > 0.85
    assert sums.min() > 1


@pytest.mark.parametrize("keys, row", [(64, 128), (32, 64), (16, 32)])
def test_shorter_key_tiles_are_conflict_free_too(keys, row):
    # 32 columns of S are the least that the loads take, so the sixteen keys are half a tile of them.
    source = names.operand(f"{C}@128x{max(keys, 32)}")
    if keys < 32:
        owners = source.owners._replace(layout=Layout(((32, 4), keys), ((1, 32), 128)), shape=(128, keys))
        source = source._replace(shape=(128, keys), layout=Layout((128, keys), (65536, 1)), owners=owners)
    plan = planner.plan(source, names.operand(f"sm100.smem.A.bf16.sw{row}@128x{keys}"))
    assert plan.instructions == keys // 8 and plan.wavefronts == plan.ideal == keys // 2


def test_the_planner_chooses_the_swizzle_itself(plans):
    free = names.operand(A)._replace(swizzle=None)
    xor, plan = planner.choose_swizzle(names.operand(C), free)
    assert xor == Xor(3, 4, 3) and plan.wavefronts == 64


def test_order_is_complete_and_the_checker_sees_what_is_missing(plans):
    plan = plans[0]
    check_order(plan.order, plan.destination)
    kinds = [s.kind for s in plan.order]
    assert kinds == [
        *(
            "wait",
            "load",
            "drain",
            "release",
            "convert",
            "wait",
            "store",
            "fence",
            "arrive",
            "wait",
            "issue",
            "commit",
        )
    ]
    assert plan.order[7].text == "fence.proxy.async.shared::cta" and plan.order[8].count == 128
    without = [s for s in plan.order if s.kind != "fence"]
    with pytest.raises(LayoutError, match="no fence between"):
        check_order(without, plan.destination)
    swapped = [TENSOR_STORE_WAIT if s.kind == "fence" else s for s in plan.order]
    with pytest.raises(LayoutError, match="orders another memory"):
        check_order(swapped, plan.destination)
    late = [*plan.order[:7], plan.order[8], plan.order[7], *plan.order[9:]]
    with pytest.raises(LayoutError, match="no fence between"):
        check_order(late, plan.destination)
    unwaited = [s for s in plan.order if s.edge != "P full" or s.kind != "wait"]
    with pytest.raises(LayoutError, match="without waiting for 'P full'"):
        check_order(unwaited, plan.destination)
    unarrived = [s for s in plan.order if s.kind != "arrive"]
    with pytest.raises(LayoutError, match="told by no arrival"):
        check_order(unarrived, plan.destination)
    reused = [s for s in plan.order if s.edge != "P empty"]
    with pytest.raises(LayoutError, match="before its reader is known to be done"):
        check_order(reused, plan.destination)
    with pytest.raises(LayoutError, match="no step stores"):
        check_order([Step("wait", "x", "y")], plan.destination)


def test_tensor_memory_needs_another_fence():
    plan = planner.plan(names.operand(C), names.operand("sm100.tmem.A.bf16"))
    check_order(plan.order, plan.destination)
    assert [s.text for s in plan.order if s.kind == "drain"][-1].startswith("tcgen05.wait::st")
    assert not any("proxy.async" in s.text for s in plan.order)
    p = np.arange(128 * 128).reshape(128, 128) % 199 + 1.0
    memory = plan.run(p)
    where = (M * 65536 * 4 + 2 * N).reshape(-1) * 8
    np.testing.assert_array_equal(read(memory, where, 16, "bf16"), encode(p, "bf16").reshape(-1))


def test_a_warp_does_not_reach_other_lanes():
    source = names.operand(C)
    crossed = source.owners._replace(layout=Layout(((32, 4), 128), ((4, 1), 128)))
    with pytest.raises(LayoutError, match="its group reaches lanes 0 to 31 only"):
        planner.plans(source._replace(owners=crossed), names.operand("sm100.tmem.A.bf16"))


BUDGET = {
    # head dim, keys: columns of S + O and + P, K or V tiles that fit with P in TMEM and in SMEM
    (64, 128): (192, 256, 13, 11),
    (128, 128): (256, 320, 6, 5),
    (256, 128): (384, 448, 2, 2),
    (256, 64): (320, 352, 5, 4),
    (512, 128): (640, 704, 0, 0),
    (512, 64): (576, 608, 1, 1),
}


@pytest.mark.parametrize("case", BUDGET)
def test_budgets_per_head_dimension(case):
    within, apart, tensor, shared = BUDGET[case]
    assert 512 - budgets.columns(*case) == within and 512 - budgets.columns(*case, apart=True) == apart
    assert budgets.key_tiles(*case, p_in_smem=False) == tensor
    assert budgets.key_tiles(*case, p_in_smem=True) == shared
    assert (budgets.columns(*case, tiles=2) >= 0) == (case in ((64, 128), (128, 128)))
    assert budgets.verdict(*case).startswith("neither" if case[0] == 512 else "P in TMEM")


# --- Hopper ----------------------------------------------------------------------------------


def test_wgmma_accumulator_is_as_documented():
    owners = names.operand("sm90.wgmma.C").owners
    t, v = np.indices((128, 64))
    row = 16 * (t // 32) + t % 32 // 4 + 8 * (v // 2 % 2)
    column = 8 * (v // 4) + 2 * (t % 4) + v % 2
    np.testing.assert_array_equal(owners.table(), row + 64 * column)


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_sixteen_bit_p_is_already_in_place(dtype):
    best, *others = planner.plans(names.operand("sm90.wgmma.C"), names.operand(f"sm90.wgmma.A.{dtype}"))
    assert best.method == "identity" and best.instructions == 0 and not others
    assert best.body.sources == tuple(range(64))
    p = np.random.default_rng(5).normal(size=(64, 128)).astype(np.float32)
    owners = best.destination.owners
    np.testing.assert_array_equal(best.run(p), encode(p, dtype).reshape(-1, order="F")[owners.table()])


def test_fp8_takes_a_renumbering_or_shuffles():
    source, destination = names.operand("sm90.wgmma.C"), names.operand("sm90.wgmma.A.f8e4m3")
    assert (source.owners.table() == destination.owners.table()).sum() == 1024
    renumbered, shuffled, trip = planner.plans(source, destination)
    assert renumbered.method == "renumbered contraction" and renumbered.instructions == 0
    expected = [2 * q + i % 2 + 8 * (i // 2) + 16 * h for h in range(8) for q in range(4) for i in range(4)]
    assert list(renumbered.contraction) == expected
    assert shuffled.method == "shuffle" and shuffled.instructions == 2 * 64 // 4  # two a word
    assert trip.method == "round trip"
    p = np.random.default_rng(5).normal(size=(64, 128)).astype(np.float32)
    table = destination.owners.table()
    bits = encode(p, "f8e4m3")
    for plan in (shuffled, trip):
        np.testing.assert_array_equal(plan.run(p), bits.reshape(-1, order="F")[table])
    np.testing.assert_array_equal(renumbered.run(p), bits[:, expected].reshape(-1, order="F")[table])


def test_a_renumbered_contraction_gives_the_same_product():
    order = planner.plan(names.operand("sm90.wgmma.C"), names.operand("sm90.wgmma.A.f8e4m3")).contraction
    rng = np.random.default_rng(2)
    p, v = rng.integers(-8, 8, (64, 128)), rng.integers(-8, 8, (128, 16))
    np.testing.assert_array_equal(p[:, order] @ v[list(order)], p @ v)


def test_hopper_stores_are_conflict_free():
    source, destination = names.operand("sm90.wgmma.C"), names.operand("sm90.smem.A.bf16.sw128")
    found = {plan.method: plan for plan in planner.plans(source, destination)}
    words, matrices = found["direct"], found["collective"]
    assert (words.instructions, words.wavefronts, words.ideal) == (32, 32, 32)
    assert (matrices.instructions, matrices.wavefronts) == (8, 32)
    plain = {plan.method: plan for plan in planner.plans(source, destination._replace(swizzle=None))}
    assert plain["direct"].wavefronts == plain["collective"].wavefronts == 256
    p, *_ = attention()
    p = p[:64]
    for plan in found.values():
        check_order(plan.order, plan.destination)
        np.testing.assert_array_equal(fetch(plan.run(p), destination), encode(p, "bf16"))


def test_widths_that_a_fragment_has_and_has_not():
    source, destination = names.operand("sm90.wgmma.C"), names.operand("sm90.smem.A.bf16.sw128")
    assert [plan.method for plan in planner.plans(source, destination, width=16)] == ["collective"]
    with pytest.raises(LayoutError, match="thread 0 has 2 neighbours of 16 bits, and 8 bytes take 4"):
        planner.plans(source, destination, width=8)
    column_major = destination._replace(layout=Layout((64, 128), (1, 64)), swizzle=None)
    with pytest.raises(LayoutError, match="thread 0 has 1 neighbours of 16 bits, and 16 bytes take 8"):
        planner.plans(source, column_major, width=16)


@pytest.mark.parametrize("swizzle", [None, Xor(3, 4, 3)])
@pytest.mark.parametrize("source, destination", [(C, A), ("sm90.wgmma.C", "sm90.smem.A.bf16.sw128")])
def test_conflicts_by_rank_and_by_counting(source, destination, swizzle):
    operand = names.operand(destination)._replace(swizzle=swizzle)
    plan = planner.plan(names.operand(source), operand)
    move = plan.body.moves[0]
    columns = [move.addresses[1 << bit] ^ move.addresses[0] for bit in range(5)]
    width = move.instruction.bytes
    by_rank = ways(columns, width, Banks())
    counted = wavefronts(np.array([move.addresses]), width, Banks()) * 128 // (32 * width)
    assert by_rank == counted == (1 if swizzle else 8)


def test_the_map_over_gf2_is_the_plan(plans):
    operand = names.operand(A)
    owner, place = linear(names.operand(C).owners.layout), linear(operand.layout)
    columns = [operand.swizzle(2 * c) for c in place.after(owner).columns]
    for move in plans[0].body.moves:
        for t, address in enumerate(move.addresses):
            index, found = t | move.values[0] << 7, 0
            for bit, column in enumerate(columns):
                found ^= column if index >> bit & 1 else 0
            assert found == address
    assert right_inverse(operand.layout).size == 16384


@pytest.mark.parametrize("name", sorted(names.known()))
def test_every_named_layout_is_sound(name):
    names.operand(name).check()
