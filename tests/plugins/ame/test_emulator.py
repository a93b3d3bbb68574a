"""plugins/ame/emulate_ame.c, run by real words on an emulated core."""

import copy
import itertools

import numpy as np
import pytest

from vertebra.plugins.ame import types
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.instructions import CSRS
from vertebra.plugins.ame.state import State, joined
from vertebra.plugins.ame.state_text import scratch
from vertebra.plugins.ame.trials import interesting
from vertebra.plugins.ame.types import NAMED

from . import machine
from .machine import line
from .test_instructions import RECORDS, close
from .vectors import BASE, CONFIGS, image, sequences, state_after, state_before, vectors

configs = pytest.mark.parametrize("config", CONFIGS)


def word(number: int) -> str:
    return f".insn 4, {number:#x}"


def differs(got: State, want: State, tolerance=None, *, flags: bool = True) -> bool:
    if not flags:
        want.csr["amefflags"] = got.csr["amefflags"]
    same = close(got, want, tolerance) and np.array_equal(got.memory, want.memory)
    return not same or got.csr != want.csr or got.md != want.md or got.ad != want.ad


@configs
def test_words_agree_with_the_vectors(config):
    cases = [v for v in vectors() if v["config"] == config and v["expect"] in ("ok", "unsupported")]
    got = machine.run(CONFIGS[config], [(state_before(v), [word(v["word"])]) for v in cases])
    wrong = []
    for vector, state in zip(cases, got, strict=True):
        want = state_after(vector)
        _forget_scratch(vector, state, want)
        flags = "amefflags" in vector["after"].get("csr", {})
        x = {int(n): v for n, v in vector["after"].get("x", {}).items()}
        if differs(state, want, vector.get("tolerance"), flags=flags) or state.x[12] != x.get(
            12, state.x[12]
        ):
            wrong.append(vector["name"])
    assert len(cases) >= 100 and not wrong


def _forget_scratch(vector, got: State, want: State) -> None:
    """The registers by which accumulators were filled have a type now."""
    if "acc" in vector["before"]:
        first = scratch(state_before(vector))
        for r in range(first, first + 4):
            if not want.md[r]:
                got.md[r], got.m[r] = 0, want.m[r]


@configs
def test_words_agree_with_the_sequences(config):
    steps, wanted = [], []
    for sequence in (s for s in sequences() if s["config"] == config):
        state = State.zeros(CONFIGS[config], image(sequence["before"]), BASE)
        lines = ["mv x13, x29"]  # the address of the buffer
        for one in sequence["steps"]:
            if isinstance(one, int):
                lines.append(word(one))
            elif isinstance(one[0], str):
                lines += [f"li x28, {one[1]}", f"csrw {CSRS[one[0]]:#x}, x28"]
            elif isinstance(one[1], list):
                lines += [f"li x{one[0]}, {one[1][1]}", f"add x{one[0]}, x{one[0]}, x13"]
            else:
                lines.append(f"li x{one[0]}, {one[1]}")
        steps.append((state, lines))
        wanted.append(sequence["after"])
    got = machine.run(CONFIGS[config], steps)
    assert [s.memory.tobytes().hex() for s in got] == wanted
    assert not any(s.csr["amestatus"] for s in got)


# --- Against the semantics ---------------------------------------------------------------------


@configs
@pytest.mark.parametrize(
    "kinds",
    [("i8", "i32"), ("ui8", "i32"), ("f16", "f32"), ("bf16", "f32"), ("f32", "f32"), ("f16", "f16")],
    ids="-".join,
)
def test_products_agree_with_the_semantics(config, kinds):
    g, rng = CONFIGS[config], np.random.default_rng(7)
    kind, acc = (NAMED[name] for name in kinds)
    steps, expected = [], []
    for record, _ in itertools.product((r for r in RECORDS if r.family == "multiply"), range(3)):
        state = State.zeros(g)
        for number in (0, 4):
            state.md[number] = kind.code
            count = g.register_bytes * 4 * 8 // kind.bits
            state.m[number : number + 4] = joined(interesting(rng, kind, count), kind.bits).reshape(4, -1)
        pack = g.pack(acc.bits)
        state.ad[:pack] = [acc.code] * pack
        state.acc[:pack] = interesting(rng, acc, pack * g.n**2).reshape(pack, g.n, g.n)
        want = copy.deepcopy(state)
        record.run(want, acc=0, ms1=0, ms2=4)
        steps.append((state, [record.directive(acc=0, ms1=0, ms2=4)]))
        expected.append(want)
    for got, want in zip(machine.run(g, steps), expected, strict=True):
        np.testing.assert_array_equal(got.acc, want.acc)


# --- Control registers and threads -----------------------------------------------------------------


def test_parameters_are_read_without_the_unit():
    out = np.zeros(16, np.uint8)
    lines = [
        f"csrr x5, {CSRS['amenlen']:#x}",
        "sd x5, 0(x31)",
        f"csrr x5, {CSRS['ameudsz']:#x}",
        "sd x5, 8(x31)",
    ]
    machine.launch(AME_GENERIC, "\n".join(lines), np.zeros(8, np.uint8), out)
    assert out.view(np.int64).tolist() == [8, 32]


def test_every_thread_has_a_unit_of_its_own(monkeypatch):
    """Four programs have the unit at once: each fills it, waits for the others, and finds its own number."""
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "4")
    body = f"""
    mv x14, a2
    1: bge x14, a3, 9f
    {line("ame.acquire", rd=5, rs1=0)}
    li x6, {NAMED["i32"].code}
    {line("msettyp", md=0, rs1=6)}
    {line("asettyp", ad=2, rs1=6)}
    addi x15, x14, 100
    {line("mbcast.m.x", md=0, rs1=15, rs2=6)}
    {line("mmov.a.m", acc=2, ms=0)}
    li x7, 1
    amoadd.d x0, x7, (x31)
    li x7, 4
    2: ld x5, 0(x31)
    blt x5, x7, 2b
    {line("mzero.2d.m", md=0)}
    {line("mmov.m.a", md=0, acc=2)}
    li x7, 63
    {line("mmove32.x.m", rd=5, ms2=0, rs1=7)}
    {line("ame.release")}
    slli x6, x14, 3
    add x6, x6, x31
    sd x5, 8(x6)
    addi x14, x14, 1
    j 1b
    9:"""
    out = np.zeros(40, np.uint8)
    machine.assemble(AME_GENERIC, body).launch((4, 1, 1), (np.zeros(1, np.uint8), out))
    assert out.view(np.int64).tolist() == [4, 100, 101, 102, 103]


@pytest.mark.parametrize(
    "value", [-1e-30, -(2.0**-126), 1e-30, -0.0, 0.5, -0.5, -1.5, 127.5, -128.5, 3e9, -np.inf]
)
def test_floats_become_integers_in_every_rounding_mode(value):
    g, steps, expected = CONFIGS["U32N4"], [], []
    for rounding, saturate in itertools.product(range(4), (False, True)):
        state = State.zeros(g)
        state.md[0] = types.integer(8, saturate=saturate, rounding=rounding).code
        state.md[4] = NAMED["f32"].code
        state.m[4:8] = np.full(4 * g.register_bytes // 4, value, np.float32).view(np.uint8).reshape(4, -1)
        want, record = copy.deepcopy(state), next(r for r in RECORDS if r.name == "mconv.ew")
        record.run(want, md=0, ms1=4)
        steps.append((state, [record.directive(md=0, ms1=4)]))
        expected.append(want)
    for got, want in zip(machine.run(g, steps), expected, strict=True):
        np.testing.assert_array_equal(got.m[0], want.m[0])
        assert got.csr == want.csr
