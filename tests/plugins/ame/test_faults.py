"""What goes wrong on the unit: errors that name kernel and instruction, memory as it was, and a free unit."""

import contextlib
import os

import numpy as np
import pytest
import triton
import triton.language as tl

from vertebra.core import select
from vertebra.core.errors import LaunchError
from vertebra.core.instruction import find
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import CSRS, INSTRUCTIONS
from vertebra.plugins.ame.state import Misaligned, State
from vertebra.plugins.ame.types import NAMED

from . import machine
from .machine import line
from .test_emulator import word
from .test_instructions import RECORDS
from .vectors import CONFIGS, state_before, vectors

_ENTER = [line("ame.acquire", rd=5, rs1=0), f"li x6, {NAMED['f32'].code}", line("msettyp", md=0, rs1=6)]
_OWN = f"csrr x5, {CSRS['ameown']:#x}\nsd x5, 0(x31)"
TILE = 8 * 8 * 4  # bytes


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


@contextlib.contextmanager
def memory_of_launch(lines: list[str], *arrays: np.ndarray):
    """(the error of a launch of `lines`, all bytes of the memory that it left)."""
    kernel = machine.assemble(AME_GENERIC, "\n".join(lines))
    runner = kernel.start_process()
    file = os.dup(runner.memory.file)  # outlives the process
    try:
        with pytest.raises(LaunchError) as caught:
            kernel.launch_on(runner, (1, 1, 1), arrays, threads=1)
        yield caught.value, os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)


# Transfer -> (how far in front of the end of all memory a tile of 8 x 8 begins, its stride): only the last of
# its bytes lie behind the end.
_OVER_THE_END = {
    "rm": (TILE // 2, 0),
    "cm": (TILE // 2, 0),
    "1r": (4, 0),
    "st": (7 * 512 + 16, 512),
    "tst": (7 * 512 + 4, 512),
}
_LAYOUTS = pytest.mark.parametrize("layout", list(_OVER_THE_END))


def transfer(name: str) -> str:
    """The line that moves m0 from or to the address in x10, with the stride in x7."""
    operands = {"rs1": 10, "rs2": 7, "md": 0, "ms1": 0}
    return line(name, **{o.name: operands[o.name] for o in INSTRUCTIONS[name].operands})


def with_a_tile(lines: list[str]) -> list[str]:
    """`lines` when m0 holds the first bytes of the array at x31."""
    return [*_ENTER, "mv x10, x31", transfer("mls.rm"), *lines]


def unchanged(memory: bytes, array: np.ndarray) -> bool:
    """Whether the memory of a launch holds `array`, and around it what launches put there."""
    start = memory.index(array.tobytes())
    behind = memory[start + array.nbytes :]
    return not behind[4096:].strip(b"\0") and set(behind[:4096]) == {0xA5} == set(
        memory[start - 4096 : start]
    )


@_LAYOUTS
def test_a_store_to_a_bad_address_leaves_no_half_written_tile(layout):
    out, (distance, stride) = (
        np.random.default_rng(1).integers(0, 255, 4096).astype(np.uint8),
        _OVER_THE_END[layout],
    )
    # Behind the array are 4096 bytes that may be written, and what is left of that page.
    lines = [
        f"li x10, {out.nbytes + 4096 + 4095}",
        "add x10, x10, x31",
        "srli x10, x10, 12",
        "slli x10, x10, 12",
    ]
    lines += [f"li x7, {stride}", f"li x11, {distance}", "sub x10, x10, x11", transfer(f"mss.{layout}")]
    with memory_of_launch(with_a_tile(lines), out, out) as (error, memory):
        assert "kernel words on grid (1, 1, 1) died in the emulator: SIGSEGV at words+" in error.message
        assert (
            f" in mss.{layout} m0, " in error.message
            and "of the 4096 bytes of arguments 0, 1" in error.message
        )
        assert unchanged(memory, out)


@_LAYOUTS
def test_a_store_to_a_misaligned_base_writes_nothing(layout):
    out = np.random.default_rng(2).integers(0, 255, 4096).astype(np.uint8)
    lines = ["addi x10, x31, 1026", "li x7, 64", transfer(f"mss.{layout}")]
    with memory_of_launch(with_a_tile(lines), out, out) as (error, memory):
        assert "kernel words on grid (1, 1, 1) died in the emulator: SIGBUS at words+" in error.message
        assert f" in mss.{layout} m0, " in error.message and "byte 1026 of" in error.message
        assert "misaligned" in error.message and error.fix == "align it to the size of the elements"
        assert unchanged(memory, out)


@_LAYOUTS
@pytest.mark.parametrize(
    "base, found", [(64, "SIGSEGV at words\\+.*, accessing address 0x40"), (66, "SIGBUS at words\\+")]
)
def test_a_load_from_nowhere(layout, base, found):
    lines = [*_ENTER, f"li x10, {base}", "li x7, 64", transfer(f"mls.{layout}")]
    with pytest.raises(LaunchError, match=f"kernel words .*{found}") as caught:
        machine.launch(AME_GENERIC, "\n".join(lines), np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    assert f" in mls.{layout} m0, " in caught.value.message


@pytest.mark.parametrize("name", [n for n in INSTRUCTIONS if n.startswith(("mls.", "mss."))])
@pytest.mark.parametrize("base, expected", [(0x4000 + 8, IndexError), (0x4000 + 2, Misaligned)])
def test_the_semantics_change_nothing_either(name, base, expected):
    """The last segments lie behind the memory."""
    state = State.zeros(Geometry(), np.arange(256).astype(np.uint8), 0x4000)
    state.md[0], state.m[0] = NAMED["f32"].code, 7
    state.x[10], state.x[7] = base, 64
    with pytest.raises(expected):
        record = INSTRUCTIONS[name]
        record.run(state, **{o.name: {"rs1": 10, "rs2": 7}.get(o.name, 0) for o in record.operands})
    assert (state.m[0] == 7).all() and (state.memory == np.arange(256)).all() and not state.csr["amestatus"]


@pytest.mark.parametrize(
    "lines, message",
    [
        (
            [line("mzero.2d.m", md=0)],
            "mzero.2d.m m0, which is illegal in this state: .*the unit to be acquired",
        ),
        (["csrr x5, 0xcc2"], "SIGILL"),
        ([*_ENTER, word(0x2B), line("ame.release")], "there is no instruction 0x0000002b"),
        ([*_ENTER, "csrw 0xcc0, x5"], "SIGILL"),
        ([*_ENTER, line("mzero.2d.m", md=16)], "needs m16, and the unit of core ame-generic has 16 of these"),
        (
            [*_ENTER, line("mzero.2d.acc", acc=4)],
            "needs acc4, and the unit of core ame-generic has 4 of these",
        ),
        (_ENTER, r"kernel words on grid \(1, 1, 1\): it returned and had not released the matrix unit"),
    ],
)
def test_bad_programs(lines, message):
    with pytest.raises(LaunchError, match=message):
        machine.launch(AME_GENERIC, "\n".join(lines), np.zeros(8, np.uint8), np.zeros(8, np.uint8))


def is_free() -> bool:
    out = np.ones(8, np.uint8)
    machine.launch(AME_GENERIC, _OWN, np.zeros(8, np.uint8), out)
    return not out[0]


@pytest.mark.parametrize(
    "lines, message",
    [
        (_ENTER, "not released"),
        ([*_ENTER, word(0x2B)], "SIGILL"),
        ([*_ENTER, "li x10, 64", transfer("mls.rm")], "SIGSEGV"),
        ([*_ENTER, "li x10, 66", transfer("mls.rm")], "SIGBUS"),
    ],
)
def test_after_any_end_of_a_launch_the_unit_is_free(lines, message):
    with pytest.raises(LaunchError, match=message):
        machine.launch(AME_GENERIC, "\n".join(lines), np.zeros(8, np.uint8), np.zeros(8, np.uint8))
    assert is_free()


# --- Kernels in Python ---------------------------------------------------------------------------


@triton.jit
def checked_product(a, b, out, limit, offset, BLOCK: tl.constexpr):
    rows, columns = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    x = tl.load(a + rows * BLOCK + columns)
    first = tl.dot(x, tl.load(b + offset + rows * BLOCK + columns))
    tl.device_assert(tl.max(first) < limit, "too large")
    second = tl.dot(x, first.to(tl.float16))
    tl.store(out + rows * BLOCK + columns, second)


@pytest.fixture
def launch():
    """launch(limit, offset, programs): what the kernel stores for matrices of ones."""
    select.set_core(AME_GENERIC.name)

    def run(limit: float, offset: int = 0, programs: int = 4, **options) -> np.ndarray:
        a, out = np.ones((16, 16), np.float16), np.zeros((16, 16), np.float32)
        checked_product[(programs,)](a, a.copy(), out, limit, offset, BLOCK=16, debug=True, **options)
        return out

    yield run
    select.set_core(None)


def test_a_failed_assertion_leaves_the_unit_free(launch):
    """Between two products; the next launch works, on the same threads."""
    with pytest.raises(LaunchError, match="too large"):
        launch(16.0)
    assert is_free()
    assert (launch(17.0) == 256).all()


def test_an_access_out_of_bounds_leaves_the_unit_free(launch):
    with pytest.raises(LaunchError, match=r"checked_product.* element 256, its tensor has elements 0 to 255"):
        launch(17.0, offset=1, bounds_check=True)
    assert is_free()
    assert (launch(17.0, bounds_check=True) == 256).all()


def test_a_product_of_memory_that_is_not_there(launch):
    with pytest.raises(
        LaunchError, match=r"checked_product .*SIGSEGV at checked_product\+.* accessing byte "
    ):
        launch(17.0, offset=4 << 20)
    assert is_free()
    assert (launch(17.0) == 256).all()
