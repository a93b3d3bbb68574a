"""gdb stops on a line of a Python kernel: in a Python process, and in a C program without Python."""

import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from vertebra.core import cli, toolchain

GDB = shutil.which("gdb")
needs_gdb = pytest.mark.skipif(GDB is None, reason="gdb is not installed; apt-get install gdb")
KERNEL = """
import triton
import triton.language as tl


@triton.jit
def grown(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i, mask=i < n)
    w = tl.exp(v) * 3.0  # stop here
    tl.store(out + i, w, mask=i < n)
"""
LAUNCH = """

import os
import signal

import numpy as np

x, out = np.arange(40, dtype=np.float32) / 50, np.zeros(40, np.float32)
grown[(1,)](x, out, 40, BLOCK=32)  # loads it
os.kill(os.getpid(), signal.SIGTRAP)
grown[(2,)](x, out, 40, BLOCK=32)
print("greatest", out.max())
"""
MAIN = """
#include "libgrown.h"
#include <stdio.h>
int main(void) {
  static float x[40], out[40];
  for (int i = 0; i < 40; i++) x[i] = i / 50.0f;
  struct grown_args args = {.x = x, .out = out, .n = 40};
  int status = grown_launch(&args, 2, 1, 1, 1);
  printf("greatest %.4f\\n", out[39]);
  return status;
}
"""
AFTER = ("bt", "print *x@3", "delete", "continue")
LINE = next(i for i, text in enumerate(KERNEL.splitlines(), 1) if "stop here" in text)
STOP = f"break kernel.py:{LINE}"


def debugged(folder, commands, *program) -> str:
    """What gdb says while `program` runs under it and it obeys `commands`."""
    script = folder / "commands.gdb"
    script.write_text("\n".join(["set pagination off", "set breakpoint pending on", *commands]) + "\n")
    command = [GDB, "-q", "-nx", "--batch", "-x", script, "--args", *program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=folder)
    assert done.returncode == 0, done
    return done.stdout


def check_stop(said: str) -> None:
    """At the line, in the kernel, whose arguments are known."""
    text = KERNEL.splitlines()[LINE - 1]
    frame = rf"grown \(x=0x[0-9a-f]+.*, out=0x.*\) at (\S*/)?kernel\.py:{LINE}\n"
    assert re.search(rf"Breakpoint 1.*, {frame}{LINE}\t{re.escape(text)}\n", said), said
    assert re.search(rf"#0 +{frame}", said), said
    numbers = re.search(r"\$1 = \{(.*)\}", said)
    assert numbers and [round(float(n), 6) for n in numbers[1].split(",")] == [0, 0.02, 0.04], said


@needs_gdb
def test_a_debugger_stops_in_a_python_process(tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_CORE", "host")
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "1")
    monkeypatch.delenv("VERTEBRA_DEBUGGER", raising=False)  # a process under a debugger knows
    (tmp_path / "kernel.py").write_text(KERNEL + LAUNCH)
    # Symbols of Python's own libraries would take gdb ten seconds; those of kernels are loaded by name.
    before = ["set auto-solib-add off", "run", "sharedlibrary vertebra-"]
    said = debugged(tmp_path, [*before, STOP, "continue", *AFTER], sys.executable, "kernel.py")
    check_stop(said)
    assert "greatest 6.5" in said


@needs_gdb
@pytest.mark.parametrize("kind", ["so", "archive"])
def test_a_debugger_stops_in_a_c_program(tmp_path, kind):
    (tmp_path / "kernel.py").write_text(KERNEL)
    (tmp_path / "main.c").write_text(textwrap.dedent(MAIN))
    library = tmp_path / f"libgrown.{'so' if kind == 'so' else 'a'}"
    words = ["compile", f"{tmp_path / 'kernel.py'}:grown", "--core", "host", "--signature", "*fp32,*fp32,i32"]
    words += ["--constexpr", "BLOCK=32", "--emit", kind, "-o", str(library)]
    assert cli.main(words) == 0
    program = tmp_path / "main"
    options = ["-target", toolchain.host_triple(), "-g", f"-Wl,-rpath,{tmp_path}", "-lpthread"]
    toolchain.run_compiler([*options, str(tmp_path / "main.c"), str(library), "-o", str(program)])
    said = debugged(tmp_path, [STOP, "run", *AFTER], str(program))
    check_stop(said)
    assert re.search(r"in grown_launch \(", said) and re.search(r"in main \(", said)
    assert "greatest 6.5" in said
