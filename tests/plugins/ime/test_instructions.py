"""plugins/ime/instructions.py and semantics.py: encodings, and numbers."""

import copy
import itertools

import numpy as np
import pytest

from vertebra.core import elf, hooks, toolchain
from vertebra.core.errors import ConfigError
from vertebra.core.instruction import find
from vertebra.core.vector_state import VectorState
from vertebra.kit.trials import legal_operands
from vertebra.plugins.ime import semantics
from vertebra.plugins.ime.instructions import INSTRUCTIONS, MATRIX, encode, instruction

from .vectors import vectors

RECORDS = tuple(INSTRUCTIONS.values())
A60, A100 = hooks.cores()["spacemit-a60"], hooks.cores()["spacemit-a100"]


def test_there_are_46_forms_of_34_mnemonics():
    assert len(RECORDS) == 46
    assert len({record.mnemonic for record in RECORDS}) == 34
    assert len([record for record in RECORDS if record.requires & A60.extensions]) == 16
    assert all(record.requires & A100.extensions for record in RECORDS)


def test_no_two_forms_share_a_word():
    for one, other in itertools.combinations(RECORDS, 2):
        common = one.mask & other.mask
        assert one.match & common != other.match & common, (one.name, other.name)


# Words that the specification, and the test suites of GNU binutils and LLVM, print; the latter use registers
# that overlap, which no assembler minds.
@pytest.mark.parametrize(
    "word, name, numbers, text",
    [
        (0xE2103E2B, "smt.vmadot.i8", (28, 0, 1), "smt.vmadot v28, v0, v1"),
        (0xE2100E2B, "smt.vmadotu.i8", (28, 0, 1), "smt.vmadotu v28, v0, v1"),
        (0xE6103E2B, "smt.vmadot1.i8", (28, 0, 1), "smt.vmadot1 v28, v0, v1"),
        (0xE6107E2B, "smt.vmadot2.i8", (28, 0, 1), "smt.vmadot2 v28, v0, v1"),
        (0xE610BE2B, "smt.vmadot3.i8", (28, 0, 1), "smt.vmadot3 v28, v0, v1"),
        (0xC241B12B, "smt.vmadot.i4", (2, 3, 4), "smt.vmadot v2, v3, v4, i4"),
        (0xEA81B82B, "smt.vmadot.sp.i8", (16, 2, 8, 1, 2), "smt.vmadot.sp v16, v2, v8, v1, 2"),
        (0xF281482B, "smt.vmadot.hp.i8", (16, 2, 8, 1, 4), "smt.vmadot.hp v16, v2, v8, v1, 4"),
        (0x9E41C12B, "smt.vfwmadot", (2, 3, 4), "smt.vfwmadot v2, v3, v4"),
        (0x6641912B, "smt.vpack.vv", (2, 3, 4, 1), "smt.vpack.vv v2, v3, v4, 1"),
        (0x6641C12B, "smt.vupack.vv", (2, 3, 4, 0), "smt.vupack.vv v2, v3, v4, 0"),
        (0x4251D0AB, "smt.vnspack4.vv", (1, 3, 5, 1), "smt.vnspack4.vv v1, v3, v5, 1"),
    ],
)
def test_printed_words(word, name, numbers, text):
    record = INSTRUCTIONS[name]
    operands = dict(zip([o.name for o in record.operands], numbers, strict=True))
    assert find(RECORDS, word) == (record, operands)
    moved = record.encode(**operands | {"vd": 30})
    assert (moved ^ word) & ~(31 << 7) == 0
    assert record.text(**operands) == text


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_words_decode_to_what_was_encoded(record):
    random = np.random.default_rng(1)
    for _ in range(20):
        numbers = legal_operands(record, random)
        assert find(RECORDS, record.encode(**numbers)) == (record, numbers)


@pytest.mark.parametrize(
    "name, operands, message",
    [
        ("smt.vmadot", {"vd": 3, "vs1": 0, "vs2": 1}, "vd cannot be v3\n.*a multiple of 2"),
        ("smt.vmadot", {"vd": 0, "vs1": 1, "vs2": 8}, "v1 is both"),
        ("smt.vmadot1", {"vd": 0, "vs1": 3, "vs2": 8}, "vs1 cannot be v3"),
        ("smt.vmadot1", {"vd": 2, "vs1": 2, "vs2": 8}, "v2 is both"),
        ("smt.vmadot.sp", {"vd": 0, "vs1": 2, "vs2": 4, "selector": 1, "immediate": 0}, "v1 is both"),
        ("smt.vmadot.sp.i4", {"vd": 8, "vs1": 2, "vs2": 4, "selector": 1, "immediate": 2}, "cannot be 2"),
        ("smt.vmadot.hp", {"vd": 8, "vs1": 2, "vs2": 4, "selector": 2, "immediate": 0}, "from v0 to v1"),
        ("smt.vnpack.vv", {"vd": 8, "vs1": 8, "vs2": 4, "immediate": 0}, "v8 is both"),
        ("smt.vfmadot", {"vd": 8}, "there is no IME instruction 'smt.vfmadot'"),
    ],
)
def test_illegal_operands(name, operands, message):
    with pytest.raises(ConfigError, match=message):
        encode(name, **operands)


def test_llvm_agrees_about_every_word_of_a60():
    random = np.random.default_rng(2)
    cases = [
        (record, legal_operands(record, random))
        for record in RECORDS
        if record.requires & A60.extensions
        for _ in range(40)
    ]
    text = "\n".join(record.text(**numbers) for record, numbers in cases)
    flags = ["-mcpu=generic_rv64+m+a+f+d+c+v+xsmtvdot"]
    made = toolchain.compile_source(text, triple="riscv64-linux-musl", flags=flags, language="s")
    code = next(made[begin:end] for begin, end in elf.code_ranges(made))
    words = np.frombuffer(code, np.uint32).tolist()
    assert words == [record.encode(**numbers) for record, numbers in cases]


def test_all_forms_can_be_assembled():
    random = np.random.default_rng(3)
    cases = [(record, legal_operands(record, random)) for record in RECORDS]
    text = "\n".join(record.directive(**numbers) for record, numbers in cases)
    flags = ["-mcpu=generic_rv64+m+a+f+d+c+v"]
    made = toolchain.compile_source(text, triple="riscv64-linux-musl", flags=flags, language="s")
    code = next(made[begin:end] for begin, end in elf.code_ranges(made))
    assert np.frombuffer(code, np.uint32).tolist() == [r.encode(**numbers) for r, numbers in cases]


# --- Tiles -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, a60, a100",
    [
        ("smt.vmadot", (4, 4, 8), (8, 8, 16)),
        ("smt.vmadotus.i4", None, (8, 8, 32)),
        ("smt.vmadot3su", (4, 4, 8), (8, 8, 16)),
        ("smt.vmadot.sp", None, (8, 8, 32)),
        ("smt.vmadotu.sp.i4", None, (8, 8, 64)),
        ("smt.vmadot.hp", None, (8, 8, 16)),
        ("smt.vmadot.hp.i4", None, (8, 8, 32)),
        ("smt.vfwmadot", None, (8, 8, 8)),
        ("smt.vfwmadot2", None, (8, 8, 8)),
    ],
)
def test_tiles_are_those_of_the_specification(name, a60, a100):
    assert instruction(name).tile(A60) == a60
    assert instruction(name).tile(A100) == a100
    assert instruction(name).tile(hooks.cores()["spacemit-x60"]) is None


@pytest.mark.parametrize("record", MATRIX, ids=lambda record: record.name)
def test_tiles_fill_the_operands_registers(record):
    for core in (A60, A100):
        if (tile := record.tile(core)) is None:
            continue
        stored = tile.n * tile.k * record.element_bits // (2 if record.sparse else 1)
        assert stored == core.vlen * record.operand("vs2").group
        assert tile.m * tile.n * int(record.acc[1:]) == core.vlen * record.operand("vd").group
        window = 2 if record.slide else 1
        assert window * tile.m * tile.k * record.element_bits == core.vlen * record.operand("vs1").group


# --- Numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", list(vectors()), ids=lambda vector: vector.name)
def test_semantics_agree_with_the_vectors(vector):
    record, numbers = find(RECORDS, vector.word)
    assert record.name == vector.form
    state = copy.deepcopy(vector.before)
    record.run(state, **numbers)
    np.testing.assert_array_equal(state.v, vector.after)


@pytest.mark.parametrize("bf16", [False, True])
def test_to_half_rounds_once(bf16):
    """Against exact comparison with both neighbours."""
    random = np.random.default_rng(4)
    values = np.concatenate(
        [
            random.standard_normal(2000)
            * 10.0 ** random.integers(-50 if bf16 else -9, 40 if bf16 else 6, 2000),
            semantics.halves(np.arange(1 << 16, dtype=np.uint16).view(np.uint8), bf16)[:: 7 if bf16 else 5],
        ]
    )
    values = values[np.isfinite(values)]
    bits = semantics.to_half(values, bf16)
    got = semantics.halves(bits.view(np.uint8), bf16)
    largest = float(
        semantics.halves(np.array([0x7F7F if bf16 else 0x7BFF], np.uint16).view(np.uint8), bf16)[0]
    )
    for value, result, word in zip(values, got, bits, strict=True):
        magnitude = int(word) & 0x7FFF
        if abs(value) >= largest:
            assert magnitude in (0x7F7F, 0x7F80) if bf16 else magnitude in (0x7BFF, 0x7C00)
            continue
        near = np.array([max(magnitude - 1, 0), magnitude + 1], np.uint16)
        below, above = (float(x) for x in semantics.halves(near.view(np.uint8), bf16))
        if np.isinf(above):
            continue
        error = abs(abs(value) - abs(result))
        for neighbour in {below, above} - {abs(result)}:
            other = abs(abs(value) - neighbour)
            assert error < other or (error == other and magnitude % 2 == 0)
        assert np.signbit(result) == np.signbit(value)


def test_to_half_of_special_numbers():
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 65519.9, 65520.0, 2.0**-25, 2.0**-25 * 1.001])
    assert semantics.to_half(values, False).tolist() == [
        0x7E00, 0x7C00, 0xFC00, 0, 0x8000, 0x7BFF, 0x7C00, 0, 1,
    ]  # fmt: skip
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3.4e38, 2.0**-134, -(2.0**-134) * 1.01, 1e300])
    assert semantics.to_half(values, True).tolist() == [
        0x7FC0, 0x7F80, 0xFF80, 0, 0x8000, 0x7F80, 0, 0x8001, 0x7F80,
    ]  # fmt: skip


def test_add_f32_does_not_round_twice():
    """1 + 2**-24 lies between two floats, and a little more than that must go up."""
    acc = np.array([1, 1, 1, -1], np.float32)
    product = np.array(
        [2.0**-24, 2.0**-24 * (1 + 2.0**-40), 2.0**-24 * (1 - 2.0**-40), -(2.0**-24) * (1 + 2.0**-40)]
    )
    up = np.float32(1 + 2.0**-23)
    assert semantics.add_f32(acc, product).tolist() == [1, up, 1, -up]


@pytest.mark.parametrize("vlen, name", [(256, "smt.vmadot"), (1024, "smt.vmadotu"), (1024, "smt.vmadot.i4")])
def test_dot_is_a_matrix_product(vlen, name):
    random = np.random.default_rng(6)
    state = VectorState(random.integers(0, 256, (32, vlen // 8), np.uint8))
    record = instruction(name)
    tile = record.tile({256: A60, 1024: A100}[vlen])
    a = semantics.integers(state.v[2], record.a).reshape(tile.m, tile.k)
    b = semantics.integers(state.v[3], record.b).reshape(tile.n, tile.k).T
    c = state.group(8, 2).view(np.int32).copy().reshape(tile.m, tile.n)
    record.run(state, vd=8, vs1=2, vs2=3)
    exact = (c + a @ b).astype(np.int64) & 0xFFFF_FFFF
    np.testing.assert_array_equal(state.group(8, 2).view(np.uint32), exact.reshape(-1))


@pytest.mark.parametrize("immediate", range(4))
@pytest.mark.parametrize("sew", [8, 16, 32, 64])
def test_unpack_undoes_pack(sew, immediate):
    random = np.random.default_rng(7)
    state = VectorState(random.integers(0, 256, (32, 128), np.uint8), sew)
    instruction("smt.vpack.vv").run(state, vd=8, vs1=2, vs2=3, immediate=immediate)
    instruction("smt.vupack.vv").run(state, vd=10, vs1=8, vs2=9, immediate=immediate)
    np.testing.assert_array_equal(state.v[10:12], state.v[2:4])
