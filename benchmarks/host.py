"""Speed on this machine against torch: the faster of eager and torch.compile.

    python benchmarks/host.py [--threads N] [--task WORD]... [--seconds S] [--no-compile]

Everything that a launch does is included.  Rivals take turns; results are checked before they are timed.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))


def rivals_for(vertebra, eager, *, compiled: bool):
    """Name -> call, each of which returns its result; torch.compile is left out where it fails."""
    import torch

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


def tasks() -> dict:
    """Name -> (vertebra's call, torch's call); each returns its result."""
    import layer_norm
    import matmul
    import row_kernels as rows
    import softmax
    import torch

    torch.manual_seed(0)
    height, width, long = 4096, 1024, 1 << 24
    x = torch.randn(height, width)
    weight, bias = torch.randn(width), torch.randn(width)
    out = torch.empty_like(x)
    big = [torch.randn(long) for _ in range(2)]
    sums = torch.empty(long)
    where = torch.empty(height, dtype=torch.int32)
    table, at = torch.randn(1 << 16, 64), torch.randint(0, 1 << 16, (1 << 20,), dtype=torch.int32)
    found = torch.empty(1 << 20, 64)
    a, b, product = torch.randn(1024, 1024), torch.randn(1024, 1024), torch.empty(1024, 1024)
    mean, scale = torch.empty(height), torch.empty(height)

    def launched(kernel, grid, result, *args, **constants):
        def call():
            kernel[(grid,)](*args, **constants)
            return result

        return call

    def by_rows(kernel, result):
        return launched(kernel, height, result, x, result, COLUMNS=width)

    return {
        "softmax 4096x1024": (lambda: softmax.softmax(x, out), lambda: torch.softmax(x, 1)),
        "layer norm 4096x1024": (
            lambda: layer_norm.forward(x, weight, bias, out, mean, scale),
            lambda: torch.nn.functional.layer_norm(x, (width,), weight, bias),
        ),
        "gelu 4096x1024": (
            launched(rows.gelu, height * width // 8192, out, x, out, height * width, BLOCK=8192),
            lambda: torch.nn.functional.gelu(x),
        ),
        "add 2^24": (
            launched(rows.add, long // 16384, sums, *big, sums, long, BLOCK=16384),
            lambda: torch.add(*big, out=sums),
        ),
        "matmul 1024^3": (lambda: matmul.matmul(a, b, product, block=(64, 64, 64)), lambda: a @ b),
        "cumsum 4096x1024": (by_rows(rows.cumsum, out), lambda: torch.cumsum(x, 1)),
        "argmax 4096x1024": (by_rows(rows.argmax, where), lambda: torch.argmax(x, 1)),
        "sort 4096x1024": (by_rows(rows.sort, out), lambda: torch.sort(x, 1)[0]),
        "gather 2^20 rows of 64": (
            launched(rows.gather, (1 << 20) // 64, found, table, at, found, 1 << 20, BLOCK=64, COLUMNS=64),
            lambda: torch.index_select(table, 0, at),
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="for both sides (default 1)")
    parser.add_argument("--task", action="append", help="only tasks whose name holds this word")
    parser.add_argument("--seconds", type=float, default=2.0, help="per rival and task (default 2)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    options = parser.parse_args()
    os.environ["VERTEBRA_NUM_THREADS"] = str(options.threads)
    import torch
    from rich.table import Table
    from timing import console, medians

    from vertebra.core import select

    torch.set_num_threads(options.threads)
    select.set_core("host")
    chart = Table(title=f"{options.threads} thread(s), float32, torch {torch.__version__}")
    for heading in ("task", "vertebra, ms", "torch eager", "torch.compile", "ratio to the faster"):
        chart.add_column(heading, justify="left" if heading == "task" else "right")
    for name, (ours, theirs) in tasks().items():
        if options.task and not any(word in name for word in options.task):
            continue
        rivals = rivals_for(ours, theirs, compiled=not options.no_compile)
        # Both sides may write the same output, so the wanted one is kept.
        want = theirs().clone()
        got = ours().to(want.dtype)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-4)
        times = {rival: 1e3 * seconds for rival, seconds in medians(rivals, seconds=options.seconds).items()}
        mine = times.pop("vertebra")
        cells = [
            f"{times[rival]:.3f}" if rival in times else "-" for rival in ("torch eager", "torch.compile")
        ]
        chart.add_row(name, f"{mine:.3f}", *cells, f"{min(times.values()) / mine:.2f}x")
    console().print(chart)


if __name__ == "__main__":
    main()
