"""Matrix products and attention on this machine against torch, on one thread and on all.

    python benchmarks/products.py [--threads N]... [--task WORD]... [--seconds S] [--no-compile]

Row-major operands in, row-major results out: packing is part of every time, and so is all else that
a launch does.  Rivals take turns; results are checked before they are timed, on one thread by the
processor time they take.  Each number of threads is measured in a process of its own, since thread pools
are made once.  Torch's threads are told to sleep between its calls: by default they spin on, and take
the processors from whoever is next.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

# (M, N, K) of a block, the fastest of those with sides of 64 to 1024 on a core with 1 MiB of second-level
# cache.  With all of K in one turn, sums never leave the registers; narrow types are read where they are
# on the left, so that blocks as high as the matrix pack everything just once.
BLOCKS = {"float32": (512, 512, 128), "bfloat16": (1024, 256, 1024), "int8": (1024, 1024, 1024)}
SIZE = 1024
HEADS, LENGTH, HEAD = 8, 1024, 64


def product_task(name: str):
    """(vertebra's call, torch's call, operations)"""
    import matmul
    import torch

    dtype = getattr(torch, name)
    if dtype == torch.int8:
        a, b = (torch.randint(-128, 128, (SIZE, SIZE), dtype=dtype) for _ in range(2))
        out, theirs = torch.empty(SIZE, SIZE, dtype=torch.int32), lambda: torch._int_mm(a, b)
    else:
        a, b = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
        out, theirs = torch.empty(SIZE, SIZE), lambda: a @ b
    rows, columns, depth = BLOCKS[name]
    while SIZE // columns < torch.get_num_threads() and columns > 64:  # a column of blocks for each thread
        columns //= 2
    return lambda: matmul.matmul(a, b, out, block=(rows, columns, depth)), theirs, 2 * SIZE**3


def attention_task(causal: bool):
    import attention
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (torch.randn(HEADS, LENGTH, HEAD) for _ in range(3))
    out = torch.empty_like(q)

    def theirs():
        # With a batch of one: torch has its fast path for four dimensions only.
        return scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal)[0]

    operations = 4 * HEADS * LENGTH * LENGTH * HEAD // (2 if causal else 1)
    return lambda: attention.attention(q, k, v, out, causal=causal, block=(128, 64)), theirs, operations


TASKS = {
    f"matmul {SIZE}^3 float32": lambda: product_task("float32"),
    f"matmul {SIZE}^3 bfloat16 to float32": lambda: product_task("bfloat16"),
    f"matmul {SIZE}^3 int8 to int32": lambda: product_task("int8"),
    f"attention {HEADS}x{LENGTH}x{HEAD}": lambda: attention_task(False),
    f"attention {HEADS}x{LENGTH}x{HEAD} causal": lambda: attention_task(True),
}


def measure(threads: int, options) -> None:
    os.environ["VERTEBRA_NUM_THREADS"] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch
    from rich.table import Table
    from timing import clock_for, console, medians, rivals_for

    from vertebra.core import select

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    select.set_core("host")
    chart = Table(title=f"{threads} thread(s), torch {torch.__version__}")
    headings = (
        "task",
        "vertebra, ms",
        "Gop/s",
        "torch eager, ms",
        "torch.compile, ms",
        "ratio to the faster",
    )
    for heading in headings:
        chart.add_column(heading, justify="left" if heading == "task" else "right")
    for name, make in TASKS.items():
        if options.task and not any(word in name for word in options.task):
            continue
        ours, theirs, operations = make()
        want = theirs().clone()
        # torch rounds products of bfloat16 to bfloat16.
        loose = {"rtol": 2e-2, "atol": 0.3} if want.dtype == torch.bfloat16 else {"rtol": 1e-3, "atol": 1e-3}
        torch.testing.assert_close(ours().to(want.dtype), want, **loose)
        rivals = rivals_for(ours, theirs, compiled=not options.no_compile)
        times = medians(rivals, seconds=options.seconds, clock=clock_for(threads))
        mine = times.pop("vertebra")
        cells = [f"{1e3 * times[r]:.3f}" if r in times else "-" for r in ("torch eager", "torch.compile")]
        ratio = f"{min(times.values()) / mine:.2f}x"
        chart.add_row(name, f"{1e3 * mine:.3f}", f"{operations / mine / 1e9:.0f}", *cells, ratio)
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
