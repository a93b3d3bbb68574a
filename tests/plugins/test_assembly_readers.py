"""What lines of assembler text do, as the targets' plugins read them."""

import platform

import attrs
import pytest

from vertebra.core import hooks, select
from vertebra.core.roofline.machine_code import Kind
from vertebra.core.roofline.model import reader_of
from vertebra.plugins.host.assembly import reader as host_reader

LOAD, STORE, VECTOR, FMA = Kind.LOAD, Kind.STORE, Kind.VECTOR, Kind.VECTOR | Kind.MULTIPLY_ADD
NONE, BRANCH, JUMP, LEAVE = Kind.OTHER, Kind.BRANCH, Kind.JUMP, Kind.LEAVE


def read(reader, line):
    mnemonic, _, operands = line.partition(" ")
    return reader.read(mnemonic, operands)


@pytest.mark.parametrize(
    "line, kind, bits",
    [
        ("vle32.v v8, (a0)", LOAD, 512),
        ("vle8.v v8, (a0)", LOAD, 128),
        ("vle64.v v8, (a0), v0.t", LOAD, 1024),
        ("vl8re32.v v8, (a0)", LOAD, 2048),
        ("vl1r.v v8, (a0)", LOAD, 256),
        ("vlse32.v v8, (a0), a1", LOAD, 512),
        ("vluxei32.v v8, (a0), v4", LOAD, 512),
        ("vlseg2e32.v v8, (a0)", LOAD, 512),
        ("vse32.v v8, (a0)", STORE, 512),
        ("vs4r.v v8, (a0)", STORE, 1024),
        ("vsse32.v v8, (a0), a1", STORE, 512),
        ("vfmacc.vf v8, fa0, v16", FMA, 512),
        ("vnmsac.vv v8, v1, v16", FMA, 512),
        ("vwmaccu.vv v8, v1, v16", FMA, 1024),
        ("vmadc.vv v0, v1, v2", VECTOR, 512),
        ("vfadd.vv v8, v1, v2", VECTOR, 512),
        ("vwadd.vv v8, v1, v2", VECTOR, 1024),
        ("vfncvt.f.f.w v8, v12", VECTOR, 1024),
        ("vsext.vf4 v8, v1", VECTOR, 512),
        ("vsub.vv v8, v1, v2", VECTOR, 512),
        ("vmv8r.v v8, v16", VECTOR, 2048),
        ("ld a0, 0(a1)", LOAD, 0),
        ("flw fa0, 0(a1)", LOAD, 0),
        ("lbu a0, 0(a1)", LOAD, 0),
        ("sd a0, 0(a1)", STORE, 0),
        ("fsd fa0, 0(a1)", STORE, 0),
        ("sub a0, a1, a2", NONE, 0),
        ("lui a0, 1", NONE, 0),
        ("slli a0, a0, 2", NONE, 0),
        ("bne a0, a1, .L1", BRANCH, 0),
        ("bltu a0, a1, .L1", BRANCH, 0),
        ("beqz a0, .L1", BRANCH, 0),
        ("j .L1", JUMP, 0),
        ("ret", LEAVE, 0),
    ],
)
def test_risc_v_with_groups_of_two_registers(line, kind, bits):
    reader = reader_of(select.find_core("spacemit-x60"))
    assert read(reader, "vsetvli a0, zero, e32, m2, ta, ma") == (NONE, 0)
    assert read(reader, line) == (kind, bits)


@pytest.mark.parametrize("group, bits", [("m8", 2048), ("m1", 256), ("mf2", 128), ("mf8", 32)])
def test_groups_of_registers(group, bits):
    reader = reader_of(select.find_core("spacemit-x60"))
    read(reader, f"vsetivli zero, 4, e32, {group}, ta, ma")
    assert read(reader, "vadd.vv v1, v2, v3") == (VECTOR, bits)


@pytest.mark.parametrize(
    "operands, word",
    [
        ("0x4, 3793959979", 3793959979),
        ("4, 0xe2103e2b", 0xE2103E2B),
        ("0xe2103e2b", 0xE2103E2B),
        ("r 43, 0, 82, a1, a2, s11", 43 | 11 << 7 | 12 << 15 | 27 << 20 | 82 << 25),
        ("r 43, 7, 0, x1, t6, zero", 43 | 7 << 12 | 1 << 7 | 31 << 15),
        ("r 43, 0, 82, a1", None),
        ("r 43, 0, 82, a1, a2, q9", None),
        ("i 43, 0, a0, 1(a1)", None),
    ],
)
def test_words_of_raw_instructions(operands, word):
    assert reader_of(select.find_core("spacemit-a60")).word(operands) == word


def test_matrix_instructions_have_no_other_kind():
    for core in hooks.cores().values():
        for tile in hooks.matrix_tiles(core):
            record = hooks.instructions()[tile.instruction]
            assert reader_of(core).read(record.mnemonic, "") == (NONE, 0), (core.name, record.name)


def test_loads_of_the_attached_unit():
    reader = reader_of(select.find_core("ame-generic"))
    assert reader.read("mls.rm", "m0, (a0)") == (LOAD, 8 * 8 * 32)
    assert reader.read("mss.rm", "m0, (a0)") == (STORE, 8 * 8 * 32)
    assert reader.read("ld", "a0, 0(a1)") == (LOAD, 0)


@pytest.mark.parametrize(
    "line, kind, bits",
    [
        ("vmovups (%rax,%rcx,4), %zmm0", LOAD, 512),
        ("vmovups %zmm0, (%rax,%rcx,4)", STORE, 512),
        ("vmovaps %ymm0, %ymm1", NONE, 256),
        ("vaddps (%rax), %zmm1, %zmm2", LOAD | VECTOR, 512),
        ("vaddps %zmm0, %zmm1, %zmm2", VECTOR, 512),
        ("vfmadd231ps 4(%rax){1to16}, %zmm1, %zmm2", LOAD | FMA, 512),
        ("vpdpbusd %ymm1, %ymm2, %ymm3", FMA, 256),
        ("vpmaddwd %xmm1, %xmm2, %xmm3", FMA, 128),
        ("vbroadcastss (%rax), %zmm1", LOAD, 512),
        ("movq (%rax), %rcx", LOAD, 0),
        ("movq %rcx, 8(%rax)", STORE, 0),
        ("addq %rcx, 8(%rax)", LOAD | STORE, 0),
        ("cmpq %rcx, 8(%rax)", LOAD, 0),
        ("leaq 8(%rax,%rcx), %rdx", NONE, 0),
        ("vpmovdb %zmm0, (%rax)", STORE, 512),
        ("jne .LBB0_1", BRANCH, 0),
        ("jmp .LBB0_1", JUMP, 0),
        ("jmpq *%rax", LEAVE, 0),
        ("retq", LEAVE, 0),
    ],
)
def test_x86(line, kind, bits):
    core = attrs.evolve(select.find_core("host"), arch="x86_64")
    assert read(host_reader(core), line) == (kind, bits)


@pytest.mark.parametrize(
    "line, kind, bits",
    [
        ("ldr q0, [x1, #16]", LOAD, 128),
        ("ldp q0, q1, [x1]", LOAD, 256),
        ("ld1 { v0.4s, v1.4s }, [x1]", LOAD, 256),
        ("ldr x0, [x1]", LOAD, 0),
        ("stp q0, q1, [x1]", STORE, 256),
        ("fmla v0.4s, v1.4s, v2.s[1]", FMA, 128),
        ("sdot v0.4s, v1.16b, v2.16b", FMA, 128),
        ("smmla v0.4s, v1.16b, v2.16b", FMA, 128),
        ("fadd v0.4s, v1.4s, v2.4s", VECTOR, 128),
        ("add x0, x1, #16", NONE, 0),
        ("b.ne .LBB0_1", BRANCH, 0),
        ("cbnz x0, .LBB0_1", BRANCH, 0),
        ("b .LBB0_1", JUMP, 0),
        ("ret", LEAVE, 0),
    ],
)
def test_aarch64(line, kind, bits):
    core = attrs.evolve(select.find_core("host"), arch="aarch64")
    assert read(host_reader(core), line) == (kind, bits)


def test_an_unknown_machine_is_only_text():
    core = attrs.evolve(select.find_core("host"), arch="sparc64")
    assert read(host_reader(core), "jmp .L1") == (NONE, 0)


def test_this_machine_is_measured():
    rates = select.find_core("host").throughput()
    assert 0.3 < rates.clock < 8
    assert 1 <= rates.issue <= 16 and 1 <= rates.loads <= 8
    assert rates.vector_bits % 128 == 0 and rates.load_bits % 128 == 0
    assert 0.5 < rates.memory < 2000 and rates.cores >= 1
    assert platform.machine() == select.find_core("host").arch
