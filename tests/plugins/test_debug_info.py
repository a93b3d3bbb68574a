"""Objects tell debuggers lines and arguments of the Python kernel, and their code is the same without."""

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import triton
import triton.language as tl

from vertebra.core import compile, elf, pipeline
from vertebra.core.pipeline import Options
from vertebra.core.select import find_core
from vertebra.plugins.inprocess import runtime
from vertebra.plugins.triton import aot

from .line_table import rows

CORES = ["host", "spacemit-x60", "spacemit-a60"]


@triton.jit
def grown(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i, mask=i < n)
    w = tl.exp(v) * 3.0
    tl.store(out + i, w, mask=i < n)


LINES, FIRST = inspect.getsourcelines(grown.fn)


@pytest.fixture
def ttir():
    found = aot.compile_function(
        grown, signature="*fp32,*fp32,i32", constexpr="BLOCK=64", core=find_core("host"), emit="ttir"
    )
    return found.data


@pytest.mark.parametrize("name", CORES)
def test_the_line_table_has_the_kernels_lines(ttir, name):
    shared = compile.render(ttir, "so", find_core(name))
    table = rows(shared)
    assert {file for _, file, _ in table if file.endswith(".py")} == {Path(__file__).name}
    lines = {line for _, _, line in table}
    body = {FIRST + i for i, line in enumerate(LINES) if "tl." in line and "def " not in line}
    assert len(lines & body) >= len(body) - 1  # where the load and the store are one loop, one line is
    assert lines <= {0, *range(FIRST, FIRST + len(LINES))}
    assert len({address for address, _, _ in table}) > 10


@pytest.mark.parametrize("name", CORES)
def test_the_code_is_the_same_without(ttir, name, monkeypatch):
    core = find_core(name)
    obj = compile.render(ttir, "obj", core)
    passes_to = pipeline.passes_to

    def without(stage, core):
        steps = passes_to(stage, core)
        return tuple(step for step in steps if step.name not in ("line-tables", "debug-variables"))

    monkeypatch.setattr(pipeline, "passes_to", without)
    plain = compile.render(ttir, "obj", core, Options())
    code = [b"".join(data[begin:end] for begin, end in elf.code_ranges(data)) for data in (obj, plain)]
    assert code[0] == code[1] and len(code[0]) > 100
    assert len(obj) > len(plain)


def test_without_a_debugger_the_jit_loads(monkeypatch):
    monkeypatch.delenv("VERTEBRA_DEBUGGER", raising=False)
    assert not runtime.debugged()
    monkeypatch.setenv("VERTEBRA_DEBUGGER", "1")
    assert runtime.debugged()
    monkeypatch.setenv("VERTEBRA_DEBUGGER", "0")
    assert not runtime.debugged()


PROGRAM = """
import numpy as np, triton, triton.language as tl
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from line_table import rows

@triton.jit
def twice(x, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) * 2, mask=i < n)

x, out = np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
twice[(1,)](x, out, 5, BLOCK=8)
assert (out == 2 * x).all()
loaded = {{line.split()[-1] for line in open("/proc/self/maps") if "/vertebra-" in line and ".so" in line}}
assert len(loaded) == 1, loaded
lines = {{line for _, file, line in rows(Path(loaded.pop()).read_bytes()) if file == Path(__file__).name}}
print(sorted(lines))
"""


def test_what_a_debugger_sees_is_a_library_with_lines(tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_DEBUGGER", "1")
    monkeypatch.setenv("VERTEBRA_CORE", "host")
    program = tmp_path / "program.py"
    folder = str(Path(__file__).parent)
    program.write_text(textwrap.dedent(PROGRAM.format(folder=folder)))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    store = next(i for i, line in enumerate(program.read_text().splitlines(), 1) if "tl.store" in line)
    assert store in eval(done.stdout)
