"""The region of a program in which the unit is its own: on other machines, on busy ones, and its end."""

import attrs
import numpy as np
import pytest

from vertebra.core.compile import compile
from vertebra.core.errors import ConfigError, LaunchError
from vertebra.core.select import runtime_for
from vertebra.plugins.ame.codegen import assembly
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import CSRS
from vertebra.plugins.ame.state import Grant, State
from vertebra.plugins.ame.types import FP32, NAMED, Type

from ..ime.products import product
from . import machine
from .machine import line

SIGNATURE = ("*i8", "*i8", "*i32", "*i32")


def built_for(core, *, turns: int = 0):
    """A kernel out = c + a @ b of 16 x 32 and 32 x 16 int8 ones, and its arrays."""
    text = product((16, 32), (32, 16), (16, 16), ("i8", "i8"), "i32", wide="i32", turns=turns)
    binary = compile(text, core, name="k", signature=SIGNATURE, start="linalg")
    c = np.zeros((16, 16), np.int32)
    return binary, [np.ones((16, 32), np.int8), np.ones((32, 16), np.int8), c, np.zeros_like(c)]


def run_on(core, binary, arrays, programs: int = 1) -> None:
    runtime_for(core).load(attrs.evolve(binary, core=core)).launch((programs, 1, 1), arrays)


# -- machines that are not what the code was made for


@pytest.mark.parametrize(
    "built, runs, message",
    [
        (Geometry(n=16), Geometry(), r"squares of side 8 \(amenlen\), this code is made for N = 16"),
        (Geometry(), Geometry(n=16), r"squares of side 16 \(amenlen\), this code is made for N = 8"),
        (Geometry(), Geometry(u=16), r"units of 16 bits \(ameudsz\), this code is made for U = 32"),
        (Geometry(u=8), Geometry(), r"units of 32 bits \(ameudsz\), this code is made for U = 8"),
    ],
)
def test_parameters_are_checked_at_run_time(built, runs, message):
    one, other = (attrs.evolve(AME_GENERIC, name="other", ame=g) for g in (built, runs))
    binary, arrays = built_for(one)
    with pytest.raises(LaunchError, match=rf"kernel k on grid .* program \(0, 0, 0\): .*{message}"):
        run_on(other, binary, arrays)
    assert not arrays[3].any()


@pytest.mark.parametrize("field, built, runs", [("m", 32, 16), ("acc", 16, 4)])
def test_registers_that_the_machine_lacks_are_named(field, built, runs):
    """No control register tells how many there are: the first instruction that names one more traps."""
    one = attrs.evolve(AME_GENERIC, name="more", ame=Geometry(**{field: built}))
    binary, arrays = built_for(one)
    with pytest.raises(
        LaunchError, match=rf"SIGILL at k\+.*settyp a?.*: it needs .*{runs}, .* has {runs} of"
    ):
        run_on(attrs.evolve(AME_GENERIC, name="fewer", ame=Geometry(**{field: runs})), binary, arrays)


@pytest.mark.parametrize(
    "kind, ame, code, owned",
    [
        (NAMED["f32"], Geometry(), 0, 1),
        (Type(0x20700120), Geometry(), 10, 0),  # FP32 that rounds toward zero
        (NAMED["f32"], Geometry(n=16), 1 | 8 << 8, 0),
        (NAMED["f32"], Geometry(u=16), 2 | 32 << 8, 0),
    ],
)
def test_entering_the_region(kind, ame, code, owned):
    """What comes of it, and who has the unit then, on a machine with the generic core's parameters."""
    text = assembly.enter(ame, (kind, kind), NAMED["f32"]).replace("$0", "x5")
    own = f"csrr x6, {CSRS['ameown']:#x}"
    lines = ["mv x7, sp", text, "sub x7, x7, sp", "sd x7, 24(x31)", "sd x5, 0(x31)", own, "sd x6, 8(x31)"]
    lines += [assembly.leave(), own, "sd x6, 16(x31)"]
    out = np.ones(32, np.uint8)
    machine.launch(AME_GENERIC, "\n".join(lines), np.zeros(8, np.uint8), out)
    assert out.view(np.int64).tolist() == [code, owned, 0, 0]


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    """What is compiled with parts replaced is nobody else's."""
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path))


def test_types_that_the_unit_lacks(monkeypatch, own_cache):
    """Here one whose floats round toward zero: the profile has no such type, which the unit tells."""
    plain, codes = assembly.enter, [str(code) for code in (FP32.code, 0x20700120)]
    monkeypatch.setattr(assembly, "enter", lambda *given: plain(*given).replace(*codes))
    rounds = attrs.evolve(AME_GENERIC, name="rounds")
    text = product((8, 8), (8, 8), (8, 8), ("f32", "f32"), "f32")
    binary = compile(text, rounds, name="k", signature=("*fp32",) * 4, start="linalg")
    arrays = [np.ones((8, 8), np.float32) for _ in range(4)]
    message = r"kernel k .* the matrix unit does not multiply f32 into f32 \(amestatus\)"
    kernel = runtime_for(AME_GENERIC).load(attrs.evolve(binary, core=AME_GENERIC))
    for _ in range(2):  # the unit was given back
        with pytest.raises(LaunchError, match=message):
            kernel.launch((3, 1, 1), arrays)


# -- a unit that others have


@pytest.mark.parametrize(
    "descriptor, grant",
    [(0, Grant.BUSY), (1, Grant.TIMEOUT), (1 | 3 << 2, Grant.TIMEOUT), (2, Grant.BAD_DESCRIPTOR)],
)
def test_answers_where_no_unit_is_free(descriptor, grant):
    core = attrs.evolve(AME_GENERIC, name="taken", shared=0)
    out = np.zeros(16, np.uint8)
    lines = [f"li x5, {descriptor}", line("ame.acquire", rd=5, rs1=5), "sd x5, 0(x31)"]
    lines += [f"csrr x5, {CSRS['ameown']:#x}", "sd x5, 8(x31)"]
    machine.launch(core, "\n".join(lines), np.zeros(8, np.uint8), out)
    state = State.zeros(core.ame)
    state.owned, state.taken, state.x[5] = False, True, descriptor
    machine.INSTRUCTIONS["ame.acquire"].run(state, rd=5, rs1=5)
    assert out.view(np.int64).tolist() == [state.x[5], 0] == [grant << 1, state.owned]


def test_a_unit_that_never_becomes_free_is_an_error(monkeypatch, own_cache):
    monkeypatch.setattr(assembly, "_TRIES", 3)
    core = attrs.evolve(AME_GENERIC, name="taken", shared=0)
    binary, arrays = built_for(core)
    message = (
        r"program \(0, 0, 0\): the matrix unit could not be acquired in 3 tries: ame.acquire says timeout"
    )
    with pytest.raises(LaunchError, match=f"kernel k .* {message}"):
        run_on(core, binary, arrays)
    assert not arrays[3].any()


@pytest.mark.parametrize("units", [1, 2])
def test_programs_wait_for_a_unit_that_others_have(units, monkeypatch):
    """Four threads and fewer units: every program gets one in the end, and gives it back."""
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "4")
    core = attrs.evolve(AME_GENERIC, name=f"shared{units}", shared=units)
    binary, arrays = built_for(core, turns=3)
    for _ in range(2):
        arrays[3][:] = 0
        run_on(core, binary, arrays, programs=24)
        assert (arrays[3] == 3 * 32).all()


def test_two_threads_never_have_one_unit_at_once(monkeypatch):
    """Programs count up and down in memory while they have the unit; without it they would meet there."""
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "4")
    core = attrs.evolve(AME_GENERIC, name="single", shared=1)
    body = f"""
    1: bge x12, x13, 3f
    2: li x5, 1
    {line("ame.acquire", rd=5, rs1=5)}
    andi x5, x5, 1
    beqz x5, 2b
    li x6, 1
    amoadd.d x7, x6, (x31)
    addi x14, x31, 8
    amomax.d x7, x7, (x14)
    li x6, 2000
    4: addi x6, x6, -1
    bnez x6, 4b
    li x6, -1
    amoadd.d x7, x6, (x31)
    {line("ame.release")}
    addi x14, x31, 16
    li x6, 1
    amoadd.d x7, x6, (x14)
    addi x12, x12, 1
    j 1b
    3:"""
    out = np.zeros(24, np.uint8)
    machine.assemble(core, body).launch((64, 1, 1), (np.zeros(1, np.uint8), out))
    inside, most_before, done = out.view(np.int64).tolist()
    assert (inside, most_before, done) == (0, 0, 64)


def test_numbers_of_shared_units():
    with pytest.raises(ConfigError, match="cannot share 17 matrix units") as caught:
        attrs.evolve(AME_GENERIC, shared=17)
    assert "0 to 16" in caught.value.fix


# -- its end


@pytest.mark.parametrize("turns", [0, 3])
def test_the_unit_is_free_after_a_kernel(turns):
    """A launch that kept it would be an error; here threads of their own run programs one after the other."""
    binary, arrays = built_for(AME_GENERIC, turns=turns)
    kernel = runtime_for(AME_GENERIC).load(binary)
    for _ in range(3):
        kernel.launch((5, 1, 1), arrays)
        assert (arrays[3] == 32 * max(1, turns)).all()
