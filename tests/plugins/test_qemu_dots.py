"""plugins/qemu/emulate_dot.c: instructions declared by tile and types, run by words on emulated cores."""

import copy

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.errors import LaunchError
from vertebra.core.matrix import BITS, FLOATS, INTEGERS, dot
from vertebra.core.target import Core, VectorUnit
from vertebra.core.vector_state import VectorState
from vertebra.kit import machine
from vertebra.plugins.qemu.runtime import RUNTIME

GROUPS = {1: "ddddd", 2: "dddd0", 4: "ddd00", 8: "dd000"}
VLENS = (128, 256, 512, 1024)


def declared():
    """An instruction for every two types of one width, and width of registers that holds tiles of them."""
    found = []
    pairs = [(a, b) for kinds in (INTEGERS, FLOATS) for a in kinds for b in kinds if kinds[a] == kinds[b]]
    for a, b in pairs:
        for acc in ("i32", "i64") if a in INTEGERS else ("f32",):
            for vlen in VLENS:
                side = 4 if vlen <= 256 else 8
                group, depth = side * side * BITS[acc] // vlen, vlen // side // BITS[a]
                if depth and group in GROUPS:
                    number = len(found)
                    found.append(
                        dot(
                            f"test.{a}.{b}.{acc}.{vlen}",
                            f"{number >> 3:07b} bbbbb aaaaa {number & 7:03b} {GROUPS[group]} 0001011",
                            tile=(side, side, depth),
                            vlen=vlen,
                            types=(a, b, acc),
                            requires="xtestdot",
                        )
                    )
    return found


RECORDS = declared()


def core_of(vlen: int, **fields) -> Core:
    return Core(
        name=f"test-{vlen}",
        target="rvv",
        arch="riscv64",
        triple="riscv64-unknown-linux-gnu",
        isa="rv64gcv",
        features=("+m", "+a", "+f", "+d", "+c", "+v", f"+zvl{vlen}b"),
        vector=VectorUnit(vlen),
        **{"extensions": frozenset({"xtestdot"}), **fields},
    )


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The instructions above are installed, in processes of their own."""
    records = {record.name: record for record in RECORDS}
    monkeypatch.setattr(hooks, "instructions", lambda: records)
    yield
    RUNTIME.close()


def registers(random, record, vlen: int) -> np.ndarray:
    """Random bits for integers; floats of usual size, with zeros, subnormals, infinities, NaN among them."""
    v = random.integers(0, 256, (32, vlen // 8), np.uint8)
    if record.a in INTEGERS:
        v[random.integers(0, 32, 8)] = random.choice(np.array([0, 0x7F, 0x80, 0xFF], np.uint8), (8, 1))
        return v
    single = random.standard_normal((16, vlen // 32)).astype(np.float32)
    v[:16] = single.view(np.uint8)
    v[16:24] = random.standard_normal((8, vlen // 16)).astype(np.float16).view(np.uint8)
    pairs = random.standard_normal((6, vlen // 16)).astype(np.float32).view(np.uint32) >> 16
    v[24:30] = pairs.astype(np.uint16).view(np.uint8)
    special = np.array([0, 0x80000000, 1, 0x7F800000, 0xFF800000, 0x7FC00000], np.uint32)
    v[30] = random.choice(special, vlen // 32).view(np.uint8)
    return v


def trapping(kernel, args) -> None:
    """In a process in which instructions trap, rather than being jumps."""
    runner = kernel.start_process()
    try:
        kernel.launch_on(runner, (1, 1, 1), args, threads=1)
    finally:
        runner.finish()


@pytest.mark.parametrize("vlen", VLENS)
@pytest.mark.parametrize("launch", [machine.launch_once, trapping], ids=["jump", "trap"])
def test_words_agree_with_the_semantics(vlen, launch):
    random = np.random.default_rng(3)
    steps, wanted, names = [], [], []
    for record in RECORDS:
        if vlen not in record.tiles:
            continue
        group = record.operand("vd").group
        for _ in range(4):
            vd = int(random.integers(32 // group)) * group
            free = [r for r in range(32) if not vd <= r < vd + group]
            numbers = {"vd": vd, **dict(zip(("vs1", "vs2"), map(int, random.choice(free, 2)), strict=True))}
            state = VectorState(registers(random, record, vlen))
            steps.append(machine.Step(record.encode(**numbers), copy.deepcopy(state)))
            with np.errstate(all="ignore"):
                record.run(state, **numbers)
            wanted.append(state.v)
            names.append(record.text(**numbers))
    got = machine.run(core_of(vlen), steps, launch)
    wrong = [name for name, g, w in zip(names, got, wanted, strict=True) if not (g == w).all()]
    assert len(names) >= 60 and not wrong


def test_every_type_is_tried():
    assert {(r.a, r.acc) for r in RECORDS} >= {(a, "i32") for a in INTEGERS} | {(a, "f32") for a in FLOATS}
    assert {vlen for record in RECORDS for vlen in record.tiles} == set(VLENS)


EIGHT_BITS = next(record for record in RECORDS if record.name == "test.i8.i8.i32.512")


def test_words_are_counted():
    step = machine.Step(EIGHT_BITS.encode(vd=4, vs1=1, vs2=2), VectorState.zeros(512))
    kernel = machine.assemble(core_of(512), step.text() * 3)
    before, after = (np.zeros((3, 32, 64), np.uint8) for _ in range(2))
    assert kernel.count_emulated((1, 1, 1), (before, after)) == {EIGHT_BITS.name: 3}


@pytest.mark.parametrize(
    "core, message",
    [
        (core_of(256), "which is illegal in this state"),
        (core_of(512, extensions=frozenset()), "which core test-512 does not have"),
    ],
    ids=["other-width", "core-without-it"],
)
def test_cores_that_lack_it_refuse_it(core, message):
    step = machine.Step(EIGHT_BITS.encode(vd=4, vs1=1, vs2=2), VectorState.zeros(core.vlen))
    with pytest.raises(LaunchError, match=message):
        machine.run(core, [step])


def test_an_illegal_operand_is_told():
    word = EIGHT_BITS.encode(vd=4, vs1=1, vs2=2) | 5 << 15  # vs1 becomes v5, which is in vd's group
    with pytest.raises(LaunchError, match="v5 is both the destination and a source"):
        machine.run(core_of(512), [machine.Step(word, VectorState.zeros(512))])
