"""What profiling costs: a matrix product on the host with `triton.profiler` off, on, and with scopes.

    python benchmarks/profiling.py [--size N] [--rounds N] [--threads N]

The modes take turns; every number is the least of its rounds, of processor time where there is one thread.
Off, a kernel with scopes inside of it is
the kernel without them, byte for byte (tests/plugins/test_triton_proton.py).
"""

import argparse
import contextlib
import os
import tempfile
from pathlib import Path

import torch
import triton
import triton.language as tl
import triton.profiler as proton
import triton.profiler.language as pl
from rich.table import Table
from timing import clock_for, console

from vertebra.core import select

BLOCK = 64
LAUNCHES = 5  # per round


@triton.jit
def product(a, b, c, n, BLOCK: tl.constexpr, STEPS: tl.constexpr):
    """c = a @ b, all of n x n float32, BLOCK dividing n; a scope a program, with STEPS one a step of k."""
    with pl.scope("program"):
        rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        sums = tl.zeros((BLOCK, BLOCK), tl.float32)
        for k in range(0, n, BLOCK):
            if STEPS:
                pl.enter_scope("step")
            inner = k + tl.arange(0, BLOCK)
            x = tl.load(a + rows[:, None] * n + inner[None, :])
            y = tl.load(b + inner[:, None] * n + columns[None, :])
            sums = tl.dot(x, y, sums, input_precision="ieee")
            if STEPS:
                pl.exit_scope("step")
        tl.store(c + rows[:, None] * n + columns[None, :], sums)


@contextlib.contextmanager
def profiled(folder: Path, backend: str | None):
    session = proton.start(str(folder / "profile"), backend=backend)
    try:
        yield
    finally:
        proton.finalize(session)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help=f"of the matrices, a multiple of {BLOCK}")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["VERTEBRA_NUM_THREADS"] = str(options.threads)
    clock = clock_for(options.threads)
    select.set_core("host")
    pl.enable_semantic("triton")
    n = options.size
    a, b, c = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)

    def launch(steps):
        product[(n // BLOCK, n // BLOCK)](a, b, c, n, BLOCK=BLOCK, STEPS=steps)

    programs = (n // BLOCK) ** 2
    scopes = programs * (n // BLOCK + 1)
    least: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modes = {
            "nothing": (contextlib.nullcontext, False),
            "launches": (lambda: profiled(folder, None), False),
            f"and {programs} programs": (lambda: profiled(folder, "instrumentation"), False),
            f"and {scopes} scopes: every step": (lambda: profiled(folder, "instrumentation"), True),
        }
        for _ in range(options.rounds):
            for mode, (switched, steps) in modes.items():
                with switched():
                    launch(steps)  # compiled when it is the first
                    start = clock()
                    for _ in range(LAUNCHES):
                        launch(steps)
                    took = (clock() - start) / LAUNCHES
                least[mode] = min(took, least.get(mode, took))
    torch.testing.assert_close(c, a @ b, rtol=1e-4, atol=1e-4)
    table = Table(title=f"a product of {n} x {n} float32, host, threads: {options.threads}")
    for heading in ("profiled", "ms a launch", "more than nothing"):
        table.add_column(heading, justify="left" if heading == "profiled" else "right")
    for mode, took in least.items():
        table.add_row(mode, f"{took * 1e3:.3f}", f"{100 * (took / least['nothing'] - 1):.1f} %")
    console().print(table)


if __name__ == "__main__":
    main()
