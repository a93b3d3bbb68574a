"""plugins/ame/emulate_ame.c, run by real words on an emulated core."""

import copy
import itertools

import numpy as np
import pytest

from vertebra.core.errors import ConfigError, LaunchError
from vertebra.core.instruction import find
from vertebra.plugins.ame import types
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import CSRS
from vertebra.plugins.ame.numbers import Flags, Numbers, encode
from vertebra.plugins.ame.state import Illegal, State, joined
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
        first = machine._scratch(state_before(vector))
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

_ANY_TYPES = [
    *types.FLOATS,
    *(
        types.integer(bits, signed=signed, saturate=saturate, rounding=rounding)
        for bits in (4, 8, 16, 32)
        for signed in (False, True)
        for saturate in (False, True)
        for rounding in (types.RNU, types.RNE, types.RDN, types.ROD)
    ),
]
_SPECIAL = np.array(
    [0, 1, 0x7F, 0x80, 0xFF, 0x7F80, 0x7FC0, 0x7C00, 0x7E01, 0x8000, 0x7F800000, 0x80000000], np.uint64
)

_SCALARS = (0, 1, 2, 3, 5, 0x3F800000, 1 << 31, (1 << 64) - 3)


def _interesting(rng, type, count: int) -> np.ndarray:
    """Random bits; in half of the places those of usual floats, or special ones."""
    bits = rng.integers(0, 1 << type.bits, count, np.uint64)
    if type.float:
        usual = rng.standard_normal(count) * 2.0 ** rng.integers(-3, 8)
        bits = np.where(rng.random(count) < 0.6, encode(Numbers(usual), type, Flags()), bits)
    special = rng.choice(_SPECIAL, count) & np.uint64((1 << type.bits) - 1)
    return np.where(rng.random(count) < 0.15, special, bits).astype(np.uint64)


def _random_case(rng, record, g: Geometry):
    """A state and operands of `record` that mostly suit each other."""
    integer = rng.random() < 0.5
    pool = [t for t in _ANY_TYPES if t.float != integer]
    common = pool[rng.integers(len(pool))]
    state = State.zeros(g, rng.integers(0, 256, 1024).astype(np.uint8), BASE)
    numbers, taken = {}, iter(range(0, g.m, 4))
    for operand in record.operands:
        if operand.file == "m":
            number = next(taken)
            alike = record.family in ("extreme", "bits", "move", "broadcast") or rng.random() < 0.6
            of_kind = common if alike else pool[rng.integers(len(pool))]
            if record.family in ("convert", "pack_square", "unpack_square", "compare", "shift", "scale"):
                of_kind = _ANY_TYPES[rng.integers(len(_ANY_TYPES))]
            state.md[number] = of_kind.code
            count = g.register_bytes * 4 * 8 // of_kind.bits
            data = joined(_interesting(rng, of_kind, count), of_kind.bits)
            state.m[number : number + 4] = data.reshape(4, -1)
        elif operand.file in ("acc", "ad"):
            number = int(rng.integers(0, g.acc))
            if record.family == "move":
                number -= number % min(g.pack(common.bits), g.acc)
                state.ad = [common.code] * g.acc
        else:
            number = 10 + len(numbers)
            state.x[number] = _SCALARS[rng.integers(len(_SCALARS))]
        numbers[operand.name] = number
    scalar = _ANY_TYPES[rng.integers(len(_ANY_TYPES))]
    state.csr["amestype"] = scalar.code
    if record.family == "set_type":
        state.x[numbers["rs1"]] = common.code
    if record.family == "broadcast_scalar":
        state.x[numbers["rs2"]] = scalar.code
    if record.family in ("load", "store"):
        state.x[numbers["rs1"]] = BASE + 512 + 8 * int(rng.integers(0, 4))
        if "rs2" in numbers:
            state.x[numbers["rs2"]] = int(rng.integers(-2, 3)) * 4 & (1 << 64) - 1
    return state, numbers


@configs
def test_words_agree_with_the_semantics(config):
    """Every instruction on random types, registers and scalars."""
    g, rng = CONFIGS[config], np.random.default_rng(6)
    steps, expected, names = [], [], []
    for record, _ in itertools.product(RECORDS, range(12)):
        if record.family in ("acquire", "release", "multiply"):
            continue
        state, numbers = _random_case(rng, record, g)
        want = copy.deepcopy(state)
        try:
            record.run(want, **numbers)
        except (Illegal, ConfigError):
            continue
        steps.append((state, [record.directive(**numbers)]))
        expected.append((want, record))
        names.append(record.text(**numbers))
    got = machine.run(g, steps)
    wrong = []
    for name, (want, record), state, (before, _) in zip(names, expected, got, steps, strict=True):
        if record.family in ("get_type", "element"):
            continue  # the register they write is not x12
        for r in range(g.m):  # the scratch registers
            if not any(before.md[r // 4 * 4 : r // 4 * 4 + 4]):
                want.md[r], want.m[r] = state.md[r], state.m[r]
        if record.what[:1] and record.what[0] in ("exp2", "log2", "tanh", "rec", "rsqrt"):
            want.csr["amefflags"] = state.csr["amefflags"]
        if differs(state, want):
            wrong.append(name)
    assert len(names) >= 400 and not wrong


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
            state.m[number : number + 4] = joined(_interesting(rng, kind, count), kind.bits).reshape(4, -1)
        pack = g.pack(acc.bits)
        state.ad[:pack] = [acc.code] * pack
        state.acc[:pack] = _interesting(rng, acc, pack * g.n**2).reshape(pack, g.n, g.n)
        want = copy.deepcopy(state)
        record.run(want, acc=0, ms1=0, ms2=4)
        steps.append((state, [record.directive(acc=0, ms1=0, ms2=4)]))
        expected.append(want)
    for got, want in zip(machine.run(g, steps), expected, strict=True):
        np.testing.assert_array_equal(got.acc, want.acc)


# --- What goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "vector", [v for v in vectors() if v["expect"] not in ("ok", "unsupported")], ids=lambda v: v["name"]
)
def test_what_traps_names_kernel_and_instruction(vector):
    found = "SIGILL" if vector["expect"] == "illegal" else "SIGBUS"
    with pytest.raises(
        LaunchError, match=f"kernel words .*{found}.* in |kernel words .*{found}.* is "
    ) as caught:
        machine.run(CONFIGS[vector["config"]], [(state_before(vector), [word(vector["word"])])])
    record, numbers = find(RECORDS, vector["word"])
    assert record.text(**numbers) in caught.value.message


_ENTER = [line("ame.acquire", rd=5, rs1=0), f"li x6, {NAMED['f32'].code}", line("msettyp", md=0, rs1=6)]


def test_a_bad_address_names_the_argument_and_leaves_no_half_written_tile():
    """The last of eight segments lies beyond the array, in front of which the store has not begun."""
    out = np.full(8 * 8 * 4, 7, np.uint8)
    lines = [*_ENTER, "li x7, 0x800000", line("mss.st", ms1=0, rs1=31, rs2=7)]
    kernel = machine.assemble(AME_GENERIC, "\n".join(lines))
    with pytest.raises(
        LaunchError, match=r"kernel words .* in mss.st m0, \(x31\), x7, accessing byte .* argument"
    ):
        kernel.launch((1, 1, 1), (np.zeros(64, np.uint8), out))
    assert (out == 7).all()


def test_a_load_from_nowhere():
    with pytest.raises(LaunchError, match=r"SIGSEGV at words\+.* in mls.rm m0, x7, accessing address 0x40"):
        machine.launch(
            AME_GENERIC,
            "\n".join([*_ENTER, "li x7, 64", line("mls.rm", md=0, rs1=7)]),
            np.zeros(1, np.uint8),
            np.zeros(1, np.uint8),
        )


@pytest.mark.parametrize(
    "lines, message",
    [
        (
            [line("mzero.2d.m", md=0)],
            "mzero.2d.m m0, which is illegal in this state: .*the unit to be acquired",
        ),
        (["csrr x5, 0xcc2"], "SIGILL"),
        ([*_ENTER, ".insn 4, 0x0000002b", line("ame.release")], "there is no instruction 0x0000002b"),
        ([*_ENTER, "csrw 0xcc0, x5"], "SIGILL"),
        (_ENTER, "returned and had not released the matrix unit"),
    ],
)
def test_bad_programs(lines, message):
    with pytest.raises(LaunchError, match=message):
        machine.launch(AME_GENERIC, "\n".join(lines), np.zeros(8, np.uint8), np.zeros(8, np.uint8))


def test_a_launch_after_one_that_kept_the_unit_finds_it_free():
    arrays = np.zeros(8, np.uint8), np.zeros(8, np.uint8)
    with pytest.raises(LaunchError, match="not released"):
        machine.launch(AME_GENERIC, "\n".join(_ENTER), *arrays)
    machine.launch(AME_GENERIC, f"csrr x5, {CSRS['ameown']:#x}\nsd x5, 0(x31)", *arrays)
    assert arrays[1][0] == 0


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
    """Programs fill a register with their own number and find it there after a while."""
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "4")
    body = "\n".join(
        [
            "mv x14, a2",
            "1: bge x14, a3, 2f",
            line("ame.acquire", rd=5, rs1=0),
            f"li x6, {NAMED['i32'].code}",
            line("msettyp", md=0, rs1=6),
            line("mbcast.m.x", md=0, rs1=14, rs2=6),
            "li x7, 300",
            "3: " + line("mmove32.x.m", rd=5, ms2=0, rs1=7),
            "bne x5, x14, 2f",
            "addi x7, x7, -1",
            "bnez x7, 3b",
            line("ame.release"),
            "add x5, x31, x14",
            "li x6, 1",
            "sb x6, 0(x5)",
            "addi x14, x14, 1",
            "j 1b",
            "2:",
        ]
    )
    out = np.zeros(64, np.uint8)
    machine.assemble(AME_GENERIC, body).launch((64, 1, 1), (np.zeros(1, np.uint8), out))
    assert out.tolist() == [1] * 64
