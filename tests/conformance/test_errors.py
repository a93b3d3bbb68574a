"""What users see when something is wrong: what, where in the kernel, and how to fix it."""

import linecache
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from vertebra.core import hooks, select
from vertebra.core.cli import main
from vertebra.core.errors import CompileError, ConfigError, LaunchError


@triton.jit
def double(x, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) * 2, mask=i < n)


@triton.jit
def assembly(x, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    a = tl.inline_asm_elementwise("neg $0, $1;", "=r,r", [tl.load(x + i)], tl.int32, True, 1)
    tl.store(out + i, a)


@triton.jit
def mismatched(x, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i) + tl.arange(0, 2 * BLOCK))


@triton.jit
def far_store(out, far, BLOCK: tl.constexpr):
    tl.store(out + tl.arange(0, BLOCK) + far, tl.zeros((BLOCK,), tl.float32))


@pytest.mark.parametrize(
    "wrong, nearest",
    [("spacemit-x6O", "spacemit-x60"), ("spacemit_x100", "spacemit-x100"), ("hosts", "host")],
)
def test_an_unknown_core_names_the_nearest(wrong, nearest):
    with pytest.raises(ConfigError) as raised:
        select.set_core(wrong)
    assert repr(wrong) in raised.value.message
    assert nearest in raised.value.fix.split("installed cores:")[0]
    assert all(name in raised.value.fix for name in ("host", "spacemit-x60", "spacemit-x100"))


@pytest.mark.parametrize("dtype", [np.complex64, np.longdouble, "datetime64[s]", object])
def test_an_array_of_a_strange_type_is_refused(core, use_core, dtype):
    use_core(core)
    array = np.zeros(4, dtype)
    with pytest.raises(TypeError, match=str(array.dtype).replace("[", r"\[")):
        double[(1,)](array, np.zeros(4, np.float32), 4, BLOCK=4)


def test_a_complex_tensor_is_refused(core, use_core):
    use_core(core)
    with pytest.raises((TypeError, KeyError), match="complex64"):
        double[(1,)](torch.zeros(4, dtype=torch.complex64), torch.zeros(4), 4, BLOCK=4)


def test_a_tensor_that_is_not_on_the_cpu_is_refused(core, use_core):
    use_core(core)
    with pytest.raises(LaunchError, match=r"kernel double.*meta.*\n.*fix: .*cpu\(\)"):
        double[(1,)](torch.zeros(4, device="meta"), torch.zeros(4), 4, BLOCK=4)


def test_inline_assembly_is_refused_where_it_stands(core, use_core):
    use_core(core)
    x = np.zeros(4, np.int32)
    with pytest.raises(CompileError) as raised:
        assembly[(1,)](x, x.copy(), BLOCK=4)
    assert raised.value.place.filename == __file__
    assert "inline_asm" in linecache.getline(__file__, raised.value.place.line)
    assert raised.value.kernel == "assembly"
    assert raised.value.fix


def test_tritons_own_errors_stay_as_they_are(core, use_core):
    use_core(core)
    x = np.zeros(4, np.int32)
    with pytest.raises(triton.CompilationError, match="mismatched"):
        mismatched[(1,)](x, x.copy(), BLOCK=4)


def test_a_block_that_is_no_power_of_two_is_refused(core, use_core):
    use_core(core)
    x = np.zeros(5, np.float32)
    with pytest.raises(triton.CompilationError, match="power of 2"):
        double[(1,)](x, x.copy(), 5, BLOCK=5)


def test_an_emulated_store_outside_its_array_names_the_kernel(core, use_core):
    use_core(core)
    if select.runtime_for(select.find_core(core)).name != "qemu":
        pytest.skip(f"a wild store on {core} would hit this process")
    with pytest.raises(LaunchError, match=r"kernel far_store .*grid \(1, 1, 1\)"):
        far_store[(1,)](np.zeros(8, np.float32), 1 << 40, BLOCK=8)
    # The next launch has a process of its own again.
    x = np.arange(4, dtype=np.float32)
    out = np.zeros_like(x)
    double[(1,)](x, out, 4, BLOCK=4)
    np.testing.assert_array_equal(out, 2 * x)


MISSING_EMULATOR = """
import numpy as np, sys
sys.path.insert(0, {folder!r})
from launches import double
x = np.zeros(4, np.float32)
try:
    double[(1,)](x, x.copy(), 4, BLOCK=4)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_missing_emulator_says_what_to_install(tmp_path):
    # A process of its own: the search for the emulator is done once in each.
    (tmp_path / "launches.py").write_text(
        f"import triton\nimport triton.language as tl\n\n@triton.jit\n{double.src}"
    )
    environment = os.environ | {
        "PATH": str(tmp_path),
        "VERTEBRA_CORE": "spacemit-x60",
        "TRITON_CACHE_DIR": str(tmp_path / "triton"),
    }
    done = subprocess.run(
        [sys.executable, "-c", MISSING_EMULATOR.format(folder=str(tmp_path))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("LaunchError nothing here can run kernels for core spacemit-x60"), (
        done.stdout
    )
    assert "qemu-riscv64 is not installed" in done.stdout
    assert "apt-get install qemu-user" in done.stdout


@pytest.mark.parametrize(
    "text, parts",
    [
        ("module {\n  func.func @f( {\n}\n", ["broken.mlir:2:"]),
        ("module {\n  tt.func @f() {\n    tt.nonsense\n  }\n}\n", ["broken.mlir:3:", "tt.nonsense"]),
        ("this is not MLIR\n", ["broken.mlir:1:"]),
    ],
)
def test_a_file_that_is_no_mlir_is_reported_by_line(tmp_path, capsys, text, parts):
    path = tmp_path / "broken.mlir"
    path.write_text(text)
    assert main(["opt", str(path), "--core", "host"]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for part in parts:
        assert part in message, message


def test_a_missing_file_is_reported(capsys):
    assert main(["opt", "/nowhere/kernel.mlir", "--core", "host"]) == 2
    assert "/nowhere/kernel.mlir" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["x", "out"])
def test_a_misaligned_buffer_is_refused(core, use_core, wrong):
    """Kernel, argument, address and type; the same numbers from an aligned one."""
    use_core(core)
    arrays = {name: np.zeros(4 * 16 + 16, np.uint8) for name in ("x", "out")}
    starts = {name: -array.__array_interface__["data"][0] % 16 for name, array in arrays.items()}

    def launch(by: int) -> np.ndarray:
        views = {}
        for name, array in arrays.items():
            start = starts[name] + by * (name == wrong)
            views[name] = array[start : start + 64].view(np.float32)
        views["x"][:] = 1.5
        double[(1,)](views["x"], views["out"], 16, BLOCK=16)
        return views["out"]

    np.testing.assert_array_equal(launch(0), 3)
    np.testing.assert_array_equal(launch(4), 3)
    for by in (1, 2, 3):
        with pytest.raises(LaunchError) as raised:
            launch(by)
        assert f"argument {wrong} of kernel double is misaligned: 0x" in raised.value.message
        assert f"{by} bytes past a multiple of 4, the size of an element of fp32" in raised.value.message
        assert "a multiple of 4 bytes" in raised.value.fix


@triton.jit
def matrices(a, b, out, N: tl.constexpr, ROWS: tl.constexpr):
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, N)
    x = tl.load(a + rows[:, None] * N + columns[None, :])
    y = tl.load(b + columns[:, None] * N + columns[None, :])
    tl.store(out + rows[:, None] * N + columns[None, :], tl.dot(x, y, out_dtype=tl.int32))


def test_a_result_over_an_engines_operand_is_refused(core, use_core):
    """Of several programs on a matrix engine; elsewhere, and of one program, it has the meaning of memory."""
    use_core(core)
    memory, b = np.ones(5 * 64 * 64, np.int8), np.ones((64, 64), np.int8)
    a, apart = memory[:4096], np.zeros(4096, np.int32)
    engine = any(
        row.plain and row.takes("i8", "i8", "i32") for row in hooks.matrix_tiles(hooks.cores()[core])
    )
    matrices[(4,)](a, b, apart, N=64, ROWS=16)
    np.testing.assert_array_equal(apart, 64)
    over = memory[4032 : 4032 + 4 * 4096].view(np.int32)
    if engine:
        with pytest.raises(LaunchError) as raised:
            matrices[(4,)](a, b, over, N=64, ROWS=16)
        assert "kernel matrices on grid (4, 1, 1) stores through argument out (i32" in raised.value.message
        assert "overlaps argument a (i8" in raised.value.message
        np.testing.assert_array_equal(memory, 1)
    matrices[(1,)](a, b, over, N=64, ROWS=64)
    np.testing.assert_array_equal(over, 64)
