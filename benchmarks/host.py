"""Speed on this machine, on one thread, against torch.

    python benchmarks/host.py [--seconds N] [--no-compile]

Softmax of 4096 x 1024 and the product of two 1024 x 1024 matrices, both float32: the example kernels,
torch eager and torch.compile, in turns.  Everything that a launch does is included.  Results are checked
before they are timed.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ["VERTEBRA_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import matmul
import softmax
import torch
from rich.table import Table
from timing import console, medians

from vertebra.core import select

torch.set_num_threads(1)


def rivals_for(vertebra, eager, *, compiled: bool):
    """Name -> call, each of which returns its result; torch.compile is left out where it fails."""
    calls = {"vertebra": vertebra, "torch eager": eager}
    if compiled:
        try:
            call = torch.compile(eager)
            call()
        except Exception as error:  # it needs a C++ compiler and packages that may be missing
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            print(f"torch.compile does not work here: {reason[:200]}", file=sys.stderr)
        else:
            calls["torch.compile"] = call
    return calls


def softmax_rivals(compiled: bool):
    x = torch.randn(4096, 1024)
    out = torch.empty_like(x)
    return rivals_for(lambda: softmax.softmax(x, out), lambda: torch.softmax(x, 1), compiled=compiled)


def matmul_rivals(compiled: bool, block=(64, 64, 64)):
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    out = torch.empty(1024, 1024)
    return rivals_for(lambda: matmul.matmul(a, b, out, block=block), lambda: a @ b, compiled=compiled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="per rival and task (default 3)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    options = parser.parse_args()
    select.set_core("host")
    torch.manual_seed(0)
    table = Table(title=f"one thread, float32, torch {torch.__version__}")
    for heading in ("task", "by", "ms", "rate", "vertebra is faster by"):
        table.add_column(heading, justify="left" if heading in ("task", "by") else "right")
    tasks = (
        # Softmax reads and writes 4 bytes per element.
        ("softmax 4096x1024", softmax_rivals, 4096 * 1024 * 8, "GB/s"),
        ("matmul 1024x1024x1024", matmul_rivals, 2 * 1024**3, "GFLOP/s"),
    )
    for name, make, work, unit in tasks:
        rivals = make(not options.no_compile)
        want = rivals["torch eager"]()
        for rival, call in rivals.items():
            torch.testing.assert_close(call(), want, rtol=1e-4, atol=1e-4, msg=lambda m, r=rival: f"{r}: {m}")
        times = medians(rivals, seconds=options.seconds)
        for rival, seconds in times.items():
            ratio = seconds / times["vertebra"]
            rate = f"{work / seconds / 1e9:.1f} {unit}"
            table.add_row(
                name, rival, f"{1e3 * seconds:.3f}", rate, "" if rival == "vertebra" else f"{ratio:.2f}x"
            )
        table.add_section()
    console().print(table)


if __name__ == "__main__":
    main()
