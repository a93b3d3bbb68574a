"""What launching a kernel costs that is compiled already and does nothing.

    python benchmarks/launch.py [--seconds N]

Prints microseconds per launch, and the ratio to Triton's own share: the same call, `kernel[grid](...)`,
with the last step, which runs the kernel, replaced by a function that does nothing.
"""

import argparse

import numpy as np
import torch
import triton
import triton.language as tl
from rich.table import Table
from timing import console, medians

from vertebra.core import select

CALLS = 200  # per sample, as a single launch is too short for the clock


@triton.jit
def nothing(x_ptr, n):
    """Touches no memory."""


@triton.jit
def eight(a, b, c, d, i, j, x, BLOCK: tl.constexpr):
    """Touches no memory; has the number of arguments of a usual kernel."""


def repeated(kernel, args, meta, *, run: bool):
    """CALLS launches; without `run`, Triton's part of them."""
    launch = kernel[(1,)]
    compiled = launch(*args, **meta)

    def all_of_it():
        for _ in range(CALLS):
            launch(*args, **meta)

    def without_last_step():
        step, compiled._run = compiled._run, lambda *_: None
        try:
            all_of_it()
        finally:
            compiled._run = step

    return all_of_it if run else without_last_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="per line (default 1)")
    options = parser.parse_args()
    select.set_core("host")
    tensor, array = torch.zeros(1024), np.zeros(1024, np.float32)
    workloads = {
        "1 tensor, 1 number": (nothing, (tensor, 1024), {}),
        "1 NumPy array, 1 number": (nothing, (array, 1024), {}),
        "4 tensors, 3 numbers, 1 constexpr": (eight, (tensor,) * 4 + (1024, 7, 0.5), {"BLOCK": 64}),
    }
    table = Table(title="launch of an empty kernel, host, grid (1,)")
    for heading in ("arguments", "vertebra, us", "Triton's share, us", "ratio"):
        table.add_column(heading, justify="left" if heading == "arguments" else "right")
    for name, (kernel, args, meta) in workloads.items():
        rivals = {
            "whole": repeated(kernel, args, meta, run=True),
            "triton": repeated(kernel, args, meta, run=False),
        }
        times = medians(rivals, seconds=options.seconds)
        whole, share = (1e6 * times[key] / CALLS for key in ("whole", "triton"))
        table.add_row(name, f"{whole:.2f}", f"{share:.2f}", f"{whole / share:.2f}")
    console().print(table)


if __name__ == "__main__":
    main()
