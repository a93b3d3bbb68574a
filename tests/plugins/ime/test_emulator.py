"""plugins/ime/emulate_ime.c, run by real words on an emulated core, by jumps and by traps."""

import copy
import itertools

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.errors import LaunchError
from vertebra.core.instruction import find
from vertebra.core.vector_state import VectorState
from vertebra.kit.trials import legal_operands
from vertebra.plugins.ime.instructions import INSTRUCTIONS, MCPM, encode
from vertebra.plugins.ime.semantics import BF16

from . import machine
from .test_instructions import RECORDS
from .vectors import vectors

CORES = ("spacemit-a60", "spacemit-a100")


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("thunks", [True, False], ids=["jump", "trap"])
def test_words_agree_with_the_vectors(core, thunks):
    cases = [vector for vector in vectors() if vector.core == core]
    got = machine.run(core, [machine.Step(v.word, v.before) for v in cases], thunks=thunks)
    wrong = [v.name for v, registers in zip(cases, got, strict=True) if not (registers == v.after).all()]
    assert cases and not wrong


def _interesting(random, vlen: int, bf16: bool) -> np.ndarray:
    """Random bits, in half of the registers floats of usual size, and in a few one byte over and over."""
    v = random.integers(0, 256, (32, vlen // 8), np.uint8)
    halves = random.standard_normal((16, vlen // 16)).astype(np.float16 if not bf16 else np.float32)
    v[8:24] = (halves if not bf16 else (halves.view(np.uint32) >> 16).astype(np.uint16)).view(np.uint8)
    for number in random.integers(0, 32, 4):
        v[number] = random.choice(np.array([0x00, 0x7F, 0x80, 0xFF], np.uint8))
    return v


@pytest.mark.parametrize("core", CORES)
def test_words_agree_with_the_semantics(core):
    """Every form that the core has, on random operands and registers."""
    random = np.random.default_rng(8)
    found = hooks.cores()[core]
    steps, expected, names = [], [], []
    for record, turn in itertools.product(RECORDS, range(8)):
        if record.requires.isdisjoint(found.extensions):
            continue
        sew = 8 << int(random.integers(3 if "vn" in record.name else 4))
        bf16 = bool(turn % 2) and "xsmtbf16fp32mm" in found.extensions
        numbers = legal_operands(record, random)
        before = VectorState(_interesting(random, found.vlen, bf16), sew, BF16 if bf16 else "")
        state = copy.deepcopy(before)
        with np.errstate(all="ignore"):
            record.run(state, **numbers)
        steps.append(machine.Step(record.encode(**numbers), before))
        expected.append(state.v)
        names.append(record.text(**numbers))
    got = machine.run(core, steps)
    wrong = [name for name, g, e in zip(names, got, expected, strict=True) if not (g == e).all()]
    assert len(names) >= 8 * 16 and not wrong


def test_special_floats():
    """Every pair of zero, subnormal, largest, infinite and NaN operands, as the semantics has it."""
    special = {
        False: [
            0,
            0x8000,
            1,
            0x8001,
            0x3FF,
            0x400,
            0x3C00,
            0xBC00,
            0x7BFF,
            0xFBFF,
            0x7C00,
            0xFC00,
            0x7E00,
            0x7D01,
        ],
        True: [
            0,
            0x8000,
            1,
            0x8001,
            0x7F,
            0x80,
            0x3F80,
            0xBF80,
            0x7F7F,
            0xFF7F,
            0x7F80,
            0xFF80,
            0x7FC0,
            0x7F81,
        ],
    }
    random = np.random.default_rng(9)
    steps, expected = [], []
    for bf16, (name, turn) in itertools.product((False, True), itertools.product(INSTRUCTIONS, range(20))):
        record = INSTRUCTIONS[name]
        if getattr(record, "family", "") not in ("float", "float_slide", "scaled"):
            continue
        v = random.choice(np.array(special[bf16], np.uint16), (32, 64)).view(np.uint8)
        before = VectorState(v.copy(), 16, BF16 if bf16 else "")
        numbers = legal_operands(record, random)
        if turn % 2:  # finite sums, so that not all results are NaN
            before.v[numbers["vs1"]] = 0
            before.v[numbers["vs1"], ::16] = random.integers(0, 2, 8)
        state = copy.deepcopy(before)
        with np.errstate(all="ignore"):
            record.run(state, **numbers)
        steps.append(machine.Step(record.encode(**numbers), before))
        expected.append(state.v)
    np.testing.assert_array_equal(machine.run("spacemit-a100", steps), np.stack(expected))


# --- What a word leaves alone ------------------------------------------------------------------

_STATE = f"""
    fld fa0, 0(a1)
    fld ft3, 8(a1)
    fld fs2, 16(a1)
    li t0, 17
    vsetvli zero, t0, e16, m1, ta, mu
    li t1, 0x71
    fscsr t1
    li a3, 3
    li a4, 4
    li t5, 5
    li s3, 6
    {{word}}
    csrr t2, vl
    csrr t3, vtype
    frcsr t4
    sd t2, 0(a2)
    sd t3, 8(a2)
    sd t4, 16(a2)
    sd a3, 24(a2)
    sd a4, 32(a2)
    sd t5, 40(a2)
    sd t1, 48(a2)
    fsd fa0, 56(a2)
    fsd ft3, 64(a2)
    fsd fs2, 72(a2)
    csrwi {MCPM:#x}, 0
    fscsr zero
"""


@pytest.mark.parametrize("thunks", [True, False], ids=["jump", "trap"])
@pytest.mark.parametrize("name", ["smt.vmadot", "smt.vfwmadot", "smt.vpack.vv"])
def test_all_else_is_as_it_was(name, thunks):
    operands = {"vd": 4, "vs1": 0, "vs2": 1} | ({"immediate": 1} if "pack" in name else {})
    word = INSTRUCTIONS.get(name, INSTRUCTIONS.get(f"{name}.i8")).directive(**operands)
    kernel = machine.assemble(
        hooks.cores()["spacemit-a100"], _STATE.format(word=word).replace("li s3, 6", "")
    )
    floats, out = np.array([1.5, -2.5, 3.25]), np.zeros(10, np.int64)
    machine.launch(kernel, (floats, out), thunks=thunks)
    assert out[:7].tolist() == [17, 0x48, 0x71, 3, 4, 5, 0x71]
    assert out[7:].view(np.float64).tolist() == floats.tolist()


def test_a_kernel_of_many_threads(monkeypatch):
    """Each program multiplies registers of its own, again and again, and checks the sum."""
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "4")
    body = f"""
    li t2, 500
1:
    vsetvli t0, zero, e8, m1, ta, ma
    vmv.v.x v2, a3
    vmv.v.i v3, 1
    vsetvli t0, zero, e32, m2, ta, ma
    vmv.v.i v8, 0
    vsetvli t0, zero, e8, m1, ta, ma
    {INSTRUCTIONS["smt.vmadot.i8"].directive(vd=8, vs1=2, vs2=3)}
    vsetvli t0, zero, e32, m2, ta, ma
    slli t1, a3, 3
    vmsne.vx v1, v8, t1
    vcpop.m t0, v1
    bnez t0, 2f
    addi t2, t2, -1
    bnez t2, 1b
    add t0, a2, a3
    li t1, 1
    sb t1, 0(t0)
2:
"""
    out = np.zeros(64, np.uint8)
    kernel = machine.assemble(hooks.cores()["spacemit-a60"], machine.over_programs(body))
    kernel.launch((64, 1, 1), (np.zeros(1, np.uint8), out))
    assert out.tolist() == [1] * 64


# --- What is illegal ---------------------------------------------------------------------------

DOT = encode("smt.vmadot", vd=28, vs1=0, vs2=1)


@pytest.mark.parametrize(
    "core, word, vtype, message",
    [
        ("spacemit-a60", DOT, 1, "smt.vmadot v28, v0, v1, which is illegal in this state.*LMUL 1"),
        ("spacemit-a60", DOT, 7, "smt.vmadot v28, v0, v1, which is illegal in this state"),
        ("spacemit-a60", DOT, 1 << 63, "illegal in this state"),
        ("spacemit-a60", DOT | 1 << 7, None, "there is no instruction 0xe2103eab"),
        ("spacemit-a60", DOT & ~(31 << 7), None, "v0 is both the destination and a source"),
        ("spacemit-a60", encode("smt.vfwmadot", vd=2, vs1=0, vs2=1), None, "core spacemit-a60 does not have"),
        ("spacemit-a60", encode("smt.vmadot.i4", vd=2, vs1=0, vs2=1), None, "it needs xsmti4i32mm"),
        ("spacemit-x60", DOT, None, "core spacemit-x60 does not have"),
        ("spacemit-a100", DOT & ~(31 << 20) | 29 << 20, None, "v29 is both"),
        (
            "spacemit-a100",
            encode("smt.vnpack.vv", vd=8, vs1=2, vs2=4, immediate=0),
            3 << 3,
            "smt.vnpack.vv v8, v2, v4, 0, which is illegal in this state",
        ),
    ],
)
def test_illegal_uses_end_the_launch(core, word, vtype, message):
    step = machine.Step(word, VectorState.zeros(hooks.cores()[core].vlen), vtype=vtype)
    with pytest.raises(LaunchError, match=message) as error:
        machine.run(core, [step])
    assert "kernel words" in str(error.value) and "SIGILL at words+0x" in str(error.value)
    assert f"{word:#010x}" in str(error.value)


@pytest.mark.parametrize("core", ["spacemit-a60", "spacemit-x60"])
def test_cores_without_bfloat16_have_no_mode(core):
    kernel = machine.assemble(hooks.cores()[core], f"csrwi {MCPM:#x}, 1")
    with pytest.raises(LaunchError, match="SIGILL"):
        kernel.launch((1, 1, 1), (np.zeros(8, np.uint8), np.zeros(8, np.uint8)))


def test_the_mode_is_a_control_register():
    body = f"""
    csrrwi t0, {MCPM:#x}, 1
    csrr t1, {MCPM:#x}
    csrrci t2, {MCPM:#x}, 1
    li t3, 3
    csrrs t4, {MCPM:#x}, t3
    csrrc t5, {MCPM:#x}, t3
    csrr t6, {MCPM:#x}
    sb t0, 0(a2)
    sb t1, 1(a2)
    sb t2, 2(a2)
    sb t4, 3(a2)
    sb t5, 4(a2)
    sb t6, 5(a2)
"""
    out = np.full(6, 9, np.uint8)
    kernel = machine.assemble(hooks.cores()["spacemit-a100"], body)
    kernel.launch((1, 1, 1), (np.zeros(8, np.uint8), out))
    assert out.tolist() == [0, 1, 1, 0, 1, 0]


# --- Counting ------------------------------------------------------------------------------------


def test_emulated_instructions_are_counted_by_mnemonic(monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "2")
    one = INSTRUCTIONS["smt.vmadot.i8"].directive(vd=8, vs1=2, vs2=3)
    two = INSTRUCTIONS["smt.vmadotu.i8"].directive(vd=8, vs1=2, vs2=3)
    body = f"vsetvli t0, zero, e8, m1, ta, ma\n{one}\n{two}\n{one}\n"
    kernel = machine.assemble(hooks.cores()["spacemit-a60"], machine.over_programs(body))
    args = (np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    expected = {"smt.vmadot.i8": 40, "smt.vmadotu.i8": 20}
    assert kernel.count_emulated((20, 1, 1), args) == expected
    assert kernel.count((20, 1, 1), args)["custom1"] == 60

    runtime = hooks.runtimes()["qemu"]
    core = hooks.cores()["spacemit-a60"]
    kernel.launch((1, 1, 1), args)
    before = runtime.emulated_counts(core)
    kernel.launch((20, 1, 1), args)
    after = runtime.emulated_counts(core)
    assert {name: after[name] - before.get(name, 0) for name in expected} == expected


def test_every_record_is_found_by_the_runtime():
    assert all(find(tuple(hooks.instructions().values()), record.match) for record in RECORDS)


def test_words_too_far_from_their_thunks_trap():
    """A jump reaches one MiB; behind this code lie two of nothing."""
    record = INSTRUCTIONS["smt.vmadot.i8"]
    body = f"""
    vsetvli t0, zero, e8, m1, ta, ma
    vmv.v.i v2, 1
    vmv.v.i v3, 2
    vmv.v.i v8, 0
    vmv.v.i v9, 0
    {record.directive(vd=8, vs1=2, vs2=3)}
    vse8.v v8, (a2)
    ret
    .zero 0x200000
"""
    out = np.zeros(32, np.uint8)
    core = hooks.cores()["spacemit-a60"]
    machine.assemble(core, body).launch((1, 1, 1), (np.zeros(1, np.uint8), out))
    assert out.view(np.int32).tolist() == [16] * 8


@pytest.mark.parametrize("thunks", [True, False], ids=["jump", "trap"])
@pytest.mark.parametrize("name", ["smt.vfwmadot", "smt.vmadot.hp.i8"])
def test_the_rounding_mode_of_the_program_does_not_matter(name, thunks):
    random = np.random.default_rng(10)
    record = INSTRUCTIONS[name]
    before = VectorState(_interesting(random, 1024, False), 16)
    numbers = {"vd": 10, "vs1": 12, "vs2": 14, "selector": 1, "immediate": 3}
    before.v[1] = random.standard_normal(64).astype(np.float16).view(np.uint8)
    numbers = {operand.name: numbers[operand.name] for operand in record.operands}
    state = copy.deepcopy(before)
    record.run(state, **numbers)
    body = "".join(
        f"li t1, {mode << 5}\nfscsr t1\n{machine.Step(record.encode(**numbers), before).text()}fscsr zero\n"
        for mode in range(5)
    )
    after = np.zeros((5, *before.v.shape), np.uint8)
    kernel = machine.assemble(hooks.cores()["spacemit-a100"], body)
    machine.launch(kernel, (np.stack([before.v] * 5), after), thunks=thunks)
    for registers in after:
        np.testing.assert_array_equal(registers, state.v)
