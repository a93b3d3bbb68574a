"""Speed on this machine against torch, the faster of eager and torch.compile: on one thread and on all.

    python benchmarks/host.py [--threads N]... [--task WORD]... [--seconds S] [--no-compile]

Everything that a launch does is included, packing too.  Rivals take turns; results are checked before they
are timed, on one thread by the processor time they take.  Each number of threads is measured in a process
of its own, since thread pools are made once.  Torch's threads are told to sleep between its calls: by
default they spin on, and take the processors from whoever is next.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import products
from timing import clock_for, console, medians, rivals_for

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))


# The ratio that each task is to reach.
GOALS = {
    "softmax": 1.5,
    "matmul 1024^3 float32": 1.3,
    "matmul 1024^3 bfloat16 to float32": 0.9,
    "attention": 1.5,
    "gather": 0.9,
}


def goal(task: str) -> float:
    return next((ratio for word, ratio in GOALS.items() if task.startswith(word)), 1.0)


def tasks() -> dict:
    """Name -> a function that makes (vertebra's call, torch's call, operations); calls return their results.

    operations: None where nobody counts a task's speed in them.
    """
    return {name: lambda pair=pair: (*pair, None) for name, pair in row_tasks().items()} | products.TASKS


def row_tasks() -> dict:
    """Name -> (vertebra's call, torch's call)."""
    import layer_norm
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
        "cumsum 4096x1024": (by_rows(rows.cumsum, out), lambda: torch.cumsum(x, 1)),
        "argmax 4096x1024": (by_rows(rows.argmax, where), lambda: torch.argmax(x, 1)),
        "sort 4096x1024": (by_rows(rows.sort, out), lambda: torch.sort(x, 1)[0]),
        "gather 2^20 rows of 64": (
            launched(rows.gather, (1 << 20) // 64, found, table, at, found, 1 << 20, BLOCK=64, COLUMNS=64),
            lambda: torch.index_select(table, 0, at),
        ),
    }


def measure(threads: int, options) -> None:
    os.environ["VERTEBRA_NUM_THREADS"] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch
    from rich.table import Table

    from vertebra.core import select

    torch.set_num_threads(threads)
    select.set_core("host")
    chart = Table(title=f"{threads} thread(s), torch {torch.__version__}")
    headings = (
        "task",
        "vertebra, ms",
        "Gop/s",
        "torch eager",
        "torch.compile",
        "ratio to the faster",
        "goal",
    )
    for heading in headings:
        chart.add_column(heading, justify="left" if heading == "task" else "right")
    for name, make in tasks().items():
        if options.task and not any(word in name for word in options.task):
            continue
        ours, theirs, operations = make()
        # Both sides may write the same output, so the wanted one is kept.
        want = theirs().clone()
        # torch rounds products of bfloat16 to bfloat16.
        loose = {"rtol": 2e-2, "atol": 0.3} if want.dtype == torch.bfloat16 else {"rtol": 1e-3, "atol": 1e-3}
        torch.testing.assert_close(ours().to(want.dtype), want, **loose)
        rivals = rivals_for(ours, theirs, compiled=not options.no_compile)
        times = medians(rivals, seconds=options.seconds, clock=clock_for(threads))
        mine = times.pop("vertebra")
        cells = [f"{1e3 * times[r]:.3f}" if r in times else "-" for r in ("torch eager", "torch.compile")]
        ratio = f"{min(times.values()) / mine:.2f}x"
        speed = f"{operations / mine / 1e9:.0f}" if operations else ""
        chart.add_row(name, f"{1e3 * mine:.3f}", speed, *cells, ratio, f"{goal(name):.1f}x")
    console().print(chart)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, action="append", help="for both sides (default 1, then all)")
    parser.add_argument("--task", action="append", help="only tasks whose name holds this word")
    parser.add_argument("--seconds", type=float, default=2.0, help="per rival and task (default 2)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    options = parser.parse_args()
    counts = options.threads or sorted({1, len(os.sched_getaffinity(0))})
    if len(counts) == 1:
        measure(counts[0], options)
        return
    for count in counts:
        rest = [word for task in options.task or () for word in ("--task", task)]
        rest += ["--seconds", str(options.seconds), *(["--no-compile"] if options.no_compile else [])]
        subprocess.run([sys.executable, __file__, "--threads", str(count), *rest], check=True)


if __name__ == "__main__":
    main()
