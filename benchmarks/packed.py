"""Packed tiles on this machine: attention on packed tiles against plain attention, packing against a copy.

    python benchmarks/packed.py [--threads N] [--seconds S]

All rivals of a table take turns in one run; the numbers are medians, and ratios of them.  Attention is
checked against the plain kernel's result before it is timed, packing against NumPy's.
"""

import argparse
import itertools
import os
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

SIZE = 1024
TILES = [(8, 8), (8, 16), (16, 32), (32, 32)]
# (heads, length, head size, dtype, causal)
ATTENTION = [
    (4, 500, 64, "float32", False),
    (4, 500, 64, "float32", True),
    (4, 500, 128, "float16", True),
    (4, 500, 256, "float32", False),
    (2, 500, 512, "bfloat16", False),
]


def attention_rivals(heads: int, length: int, head: int, dtype: str, causal: bool) -> dict:
    import attention
    import packed_attention
    import torch

    q, k, v = (torch.randn(heads, length, head).to(getattr(torch, dtype)) for _ in range(3))
    out, want = torch.empty_like(q), torch.empty_like(q)
    rivals = {
        "plain": lambda: attention.attention(q, k, v, out, causal),
        "hybrid": lambda: packed_attention.packed_attention(q, k, v, out, causal, hybrid=True),
        "packed": lambda: packed_attention.packed_attention(q, k, v, out, causal),
    }
    attention.attention(q, k, v, want, causal)
    for call in rivals.values():
        torch.testing.assert_close(call(), want)
    return rivals


def kernels():
    import triton
    import triton.language as tl
    import triton.language.extra.smt as smt

    @triton.jit
    def pack(x, y, at, SIZE: tl.constexpr, R: tl.constexpr, C: tl.constexpr, MOVED: tl.constexpr):
        block = tl.make_block_ptr(x, (SIZE, SIZE), (SIZE, 1), (0, 0), (SIZE, SIZE), (1, 0))
        offset = at if MOVED else 0
        tiles = smt.view(smt.descriptor_load(block, (0, 0)), (offset, offset), (SIZE, SIZE), (R, C))
        ROWS: tl.constexpr = SIZE // R
        COLUMNS: tl.constexpr = SIZE // C
        steps = (COLUMNS * R * C, R * C, C, 1)
        to = tl.make_block_ptr(
            y, (ROWS, COLUMNS, R, C), steps, (0, 0, 0, 0), (ROWS, COLUMNS, R, C), (3, 2, 1, 0)
        )
        tl.store(to, tiles)

    @triton.jit
    def unpack(x, y, at, SIZE: tl.constexpr, R: tl.constexpr, C: tl.constexpr, MOVED: tl.constexpr):
        ROWS: tl.constexpr = SIZE // R
        COLUMNS: tl.constexpr = SIZE // C
        steps = (COLUMNS * R * C, R * C, C, 1)
        block = tl.make_block_ptr(
            x, (ROWS, COLUMNS, R, C), steps, (0, 0, 0, 0), (ROWS, COLUMNS, R, C), (3, 2, 1, 0)
        )
        offset = at if MOVED else 0
        plain = smt.view(smt.descriptor_load(block, (0, 0, 0, 0)), (offset, offset), (SIZE, SIZE), (1, 1))
        tl.store(tl.make_block_ptr(y, (SIZE, SIZE), (SIZE, 1), (0, 0), (SIZE, SIZE), (1, 0)), plain)

    return pack, unpack


def packing_rivals() -> dict:
    import numpy as np

    pack, unpack = kernels()
    x = np.random.default_rng(0).standard_normal((SIZE, SIZE), np.float32)
    y = np.empty_like(x)
    rivals = {"numpy.copyto": lambda: np.copyto(y, x)}
    for (r, c), moved in itertools.product(TILES, (False, True)):
        tiles = np.ascontiguousarray(x.reshape(SIZE // r, r, SIZE // c, c).transpose(0, 2, 1, 3))
        packed, plain = np.empty_like(tiles), np.empty_like(x)
        options = {"SIZE": SIZE, "R": r, "C": c, "MOVED": moved}
        where = "run time" if moved else "0"
        calls = {
            f"pack {r}x{c}, offset of {where}": (
                lambda to=packed, o=options: pack[(1,)](x, to, 0, **o),
                packed,
                tiles,
            ),
            f"unpack {r}x{c}, offset of {where}": (
                lambda t=tiles, to=plain, o=options: unpack[(1,)](t, to, 0, **o),
                plain,
                x,
            ),
        }
        for name, (call, got, want) in calls.items():
            call()
            np.testing.assert_array_equal(got, want)
            rivals[name] = call
    return rivals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="that walk the grid (default 1)")
    parser.add_argument("--seconds", type=float, default=1.0, help="per rival (default 1)")
    options = parser.parse_args()
    os.environ["VERTEBRA_NUM_THREADS"] = str(options.threads)
    warnings.filterwarnings("ignore", message="tl.make_block_ptr is deprecated")
    import torch
    from rich.table import Table
    from timing import console, medians

    from vertebra.core import select

    torch.manual_seed(0)
    select.set_core("host")
    chart = Table(
        title=f"attention, {options.threads} thread(s): times relative to packed, above 1 is slower"
    )
    for heading in ("shape", "dtype", "", "plain, ms", "hybrid, ms", "packed, ms", "hybrid", "plain"):
        chart.add_column(heading, justify="right")
    for heads, length, head, dtype, causal in ATTENTION:
        times = medians(attention_rivals(heads, length, head, dtype, causal), seconds=options.seconds)
        cells = [f"{1e3 * times[n]:.3f}" for n in ("plain", "hybrid", "packed")]
        ratios = [f"{times[n] / times['packed']:.2f}x" for n in ("hybrid", "plain")]
        shape = f"{heads}x{length}x{head}"
        chart.add_row(shape, dtype, "causal" if causal else "full", *cells, *ratios)
    console().print(chart)

    chart = Table(title=f"{SIZE}x{SIZE} float32: speed relative to numpy.copyto")
    for heading in ("", "ms", "speed"):
        chart.add_column(heading, justify="left" if not heading else "right")
    times = medians(packing_rivals(), seconds=options.seconds / 2)
    for name, time in times.items():
        chart.add_row(name, f"{1e3 * time:.3f}", f"{times['numpy.copyto'] / time:.2f}x")
    console().print(chart)


if __name__ == "__main__":
    main()
