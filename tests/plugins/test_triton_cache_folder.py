"""A cache that cannot be written is told in one sentence, by whichever part meets it first."""

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np, triton, triton.language as tl

@triton.jit
def fill(out, BLOCK: tl.constexpr):
    tl.store(out + tl.arange(0, BLOCK), 1.0)

out = np.zeros(8, np.float32)
fill[(1,)](out, BLOCK=8)
print(out.sum())
"""


@pytest.mark.parametrize(
    "variable, core, said",
    [
        ("TRITON_CACHE_DIR", "host", "Triton's cache cannot be written: {}"),
        ("VERTEBRA_CACHE_DIR", "host", "libpool cannot be built under {}"),
        ("VERTEBRA_CACHE_DIR", "spacemit-x60", "the C compiler cannot write to {}"),
    ],
)
def test_a_cache_that_cannot_be_written(variable, core, said, tmp_path, monkeypatch):
    blocked = tmp_path / "file" / "folder"
    blocked.parent.write_text("")
    monkeypatch.setenv("VERTEBRA_CORE", core)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    monkeypatch.setenv(variable, str(blocked))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    *_, last, fix = done.stderr.strip().splitlines()
    assert said.format(blocked) in last
    assert fix == f"fix: set {variable} to a folder that can be written"
