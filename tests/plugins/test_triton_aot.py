"""Single kernels compiled ahead of time, and called from C without a runtime."""

import subprocess

import numpy as np
import pytest
import triton
import triton.language as tl

from vertebra.core import cli, hooks, select, toolchain
from vertebra.core.errors import CompileError, ConfigError
from vertebra.plugins.triton import aot


@triton.jit
def scale_rows(x, out, columns, factor, short, BLOCK: tl.constexpr):
    row = tl.program_id(0) + tl.num_programs(0) * tl.program_id(1)
    i = tl.arange(0, BLOCK)
    mask = i < columns
    tl.store(out + row * columns + i, tl.load(x + row * columns + i, mask=mask) * factor + short, mask=mask)


@triton.jit
def through_descriptor(source, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i[:, None] * N + i[None, :], source.load([0, 0]))


SIGNATURE = "*fp32:16,*fp32:16,i32,fp32,i8"
MAIN = """\
#include "libscale.h"
#include <stdio.h>
int main(void)
{
    static float x[6 * 13], out[6 * 13 + 1];
    for (int i = 0; i < 6 * 13; i++) x[i] = 0.25f * i;
    out[6 * 13] = -1;
    struct scale_rows_args args = {0};
    args.x = x; args.out = out; args.columns = 13; args.factor = 1.5f; args.short_ = -2;
    if (scale_rows_run(&args, 2, 3, 1)) return 1;
    for (int i = 0; i < 6 * 13 + 1; i++) printf("%.9g\\n", out[i]);
    return 0;
}
"""


def cores():
    """The machine's own core, and one of another architecture that can be run here."""
    found = [core.name for core in hooks.cores().values() if core.arch == "riscv64"]
    return ["host", *found[:1]]


@pytest.mark.parametrize("core", cores())
def test_a_c_program_calls_the_kernel(core, tmp_path):
    compiled = select.find_core(core)
    artifact = aot.compile_function(
        scale_rows, signature=SIGNATURE, constexpr="BLOCK=16", core=compiled, emit="obj"
    )
    (tmp_path / "libscale.h").write_text(artifact.header)
    (tmp_path / "main.c").write_text(MAIN)
    obj, program = tmp_path / "scale.o", tmp_path / "main"
    obj.write_bytes(artifact.data)
    arguments = [str(tmp_path / "main.c"), str(obj), "-o", str(program), "-Wall", "-Werror"]
    if core == "host":
        toolchain.run_compiler(["-target", toolchain.host_triple(), *arguments])
        command = [str(program)]
    else:
        qemu = pytest.importorskip("vertebra.plugins.qemu.runtime")
        if reason := qemu.QemuRuntime().supports(compiled):
            pytest.skip(reason)
        toolchain.run_compiler(["-target", "riscv64-linux-musl", "-static", *arguments])
        command = ["qemu-riscv64", "-cpu", qemu.cpu_option(compiled), str(program)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    x = np.float32(0.25) * np.arange(6 * 13, dtype=np.float32)
    expected = np.append(x * np.float32(1.5) - 2, -1)
    np.testing.assert_allclose(np.array(shown.stdout.split(), np.float32), expected, rtol=1e-6)


def test_names_of_a_descriptors_slots():
    artifact = aot.compile_function(
        through_descriptor,
        signature="tensordesc<fp32[16,16]>,*fp32",
        constexpr="N=16",
        core=select.find_core("host"),
        emit="ttir",
    )
    assert len(artifact.fields) == len(artifact.signature) == 12
    assert artifact.fields[:4] == ("source", "source_size0", "source_size1", "source_stride0")
    assert artifact.fields[-1] == "out"


def test_every_text_stage(tmp_path):
    marks = {
        "ttir": "tt.store",
        "linalg": "vertebra.kernel",
        "vector": "vector.",
        "llir": "define ",
        "asm": "scale_rows:",
    }
    for stage, mark in marks.items():
        artifact = aot.compile_function(
            scale_rows, signature=SIGNATURE, constexpr="BLOCK=16", core=select.find_core("host"), emit=stage
        )
        assert mark in artifact.data, stage
        assert artifact.header is None


@pytest.mark.parametrize("emit, name", [("so", "libscale.so"), ("archive", "libscale.a"), ("obj", "scale.o")])
def test_the_command_writes_the_header(tmp_path, emit, name):
    out = tmp_path / name
    argv = [
        "compile",
        f"{__file__}:scale_rows",
        "--core",
        "host",
        "--signature",
        SIGNATURE,
        "--constexpr",
        "BLOCK=16",
    ]
    assert cli.main([*argv, "--emit", emit, "-o", str(out)]) == 0
    assert out.read_bytes().startswith(b"!<arch>" if emit == "archive" else b"\x7fELF")
    assert "float *x;" in out.with_suffix(".h").read_text()


def test_constants_may_be_types(tmp_path):
    path = tmp_path / "cast.py"
    path.write_text(
        "import triton\nimport triton.language as tl\n\n\n@triton.jit\n"
        "def cast(x, KIND: tl.constexpr):\n    tl.store(x, tl.load(x).to(KIND).to(tl.float32))\n"
    )
    artifact = aot.compile_file(
        str(path), "cast", signature="*fp32", constexpr='KIND="tl.bfloat16"', core="host", emit="ttir"
    )
    assert "bf16" in artifact.data


def test_errors_of_the_python_interface(tmp_path):
    with pytest.raises(ConfigError, match="no stage 'elf'"):
        aot.compile_file(__file__, "scale_rows", signature=SIGNATURE, emit="elf")
    path = tmp_path / "bad.py"
    path.write_text(
        "import triton\nimport triton.language as tl\n\n\n@triton.jit\ndef bad(x):\n    tl.load(x, 1, 2, 3)\n"
    )
    with pytest.raises(CompileError) as caught:
        aot.compile_file(str(path), "bad", signature="*fp32", core="host", emit="ttir")
    assert caught.value.place == (str(path), 7, 5)


WRONG = """\
import triton
import triton.language as tl
import triton.language.extra.smt as smt


@triton.jit
def tiled(x, SIZE: tl.constexpr):
    block = tl.make_block_ptr(x, (64, 64), (64, 1), (0, 0), (64, 64), (1, 0))
    tile(tl.load(block), SIZE)


@triton.jit
def tile(a, SIZE: tl.constexpr):
    smt.view(a, (0, 0), (SIZE, 64), (8, 24))
"""


def test_an_error_that_says_where_it_is_says_so_once(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    with pytest.raises(CompileError) as caught:
        aot.compile_file(str(path), "tiled", signature="*fp32", constexpr="SIZE=32", core="host", emit="ttir")
    told = str(caught.value)
    assert told.startswith(f"{path}:14:5: error in kernel tiled: smt.view: ") and told.count("error in") == 1
    assert "\n    smt.view(a, (0, 0), (SIZE, 64), (8, 24))\n    ^" in told
