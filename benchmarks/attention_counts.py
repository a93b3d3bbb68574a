"""Instructions that attention takes per block of keys on matrix engines, by the emulator.

    python benchmarks/attention_counts.py

One program of 64 rows, heads of 64, blocks of 64 keys.  Two launches that differ by two blocks of keys
give the instructions of one.  "between" leaves out what a loop with the same two products, and with the
packing of K and V, takes when neither needs the other's result.  "row by row" is the same without the
planner's way from the sums to the next product: the sums leave their panels, and the weights are packed.
A core whose matrix unit reads operands where they lie has no panels, and hence no such difference.
Instructions are no cycles.
"""

import contextlib
import math
import re
import sys
from pathlib import Path
from unittest import mock

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
HEAD = BLOCK = 64
FLOATS = "*{0}:16,*{0}:16,*{0}:16,*fp32:16,i32:16,i32:16,i32,fp32"
INTEGERS = "*i8:16,*i8:16,*i8:16,*fp32:16,i32:16,i32,fp32"
TILED = f"HEAD={HEAD},BLOCK_M={BLOCK},BLOCK_N={BLOCK}"
PACKED = f"{TILED},MICRO_M=8,MICRO_N=16,MICRO_K=8,HYBRID=False"
# kernel, its file, signature, constants
KERNELS = {
    "plain": ("attention_kernel", "examples/attention.py", FLOATS, TILED),
    "packed": ("packed_attention_kernel", "examples/packed_attention.py", FLOATS, PACKED),
    "products": ("products", "benchmarks/attention_kernels.py", INTEGERS.replace("i8", "{0}"), TILED),
    "integers": ("attention_i8", "benchmarks/attention_kernels.py", INTEGERS, TILED),
}
RUNS = [
    ("spacemit-a100", "plain", "fp16"),
    ("spacemit-a100", "plain", "bf16"),
    ("spacemit-a100", "packed", "fp16"),
    ("spacemit-a100", "integers", "i8"),
    ("spacemit-a60", "integers", "i8"),
    ("ame-generic", "plain", "fp16"),
    ("ame-generic", "plain", "bf16"),
    ("ame-generic", "integers", "i8"),
]


def launch(core, way: str, kind: str, length: int) -> dict:
    """Instructions by class of one program over `length` keys, the result of which is checked."""
    from rvv import count

    rng = np.random.default_rng(0)
    if kind == "i8":
        q, k, v = (rng.integers(-128, 128, (length, HEAD)).astype(np.int8) for _ in range(3))
        wide, scale, tolerance = (q, k, v), 1 / 4096, 1.0
    else:
        wide = [rng.standard_normal((length, HEAD)).astype(np.float32) for _ in range(3)]
        q, k, v = (x.astype(np.float16) if kind == "fp16" else _bf16(x) for x in wide)
        scale, tolerance = 1 / math.sqrt(HEAD), 1.0 if way == "products" else 2e-2
    out = np.zeros((length, HEAD), np.float32)
    name, file, signature, constants = KERNELS[way]
    sizes = [HEAD, length]
    if way in ("plain", "packed"):
        sizes, constants = [length * HEAD, *sizes], f"{constants},CAUSAL=False"
    args = [q, k, v, out, *sizes, scale * math.log2(math.e)]
    path = HERE.parent / file
    counts = count(core, path, name, signature.format(kind), constants, (1, 1, 1), args)
    want = _products(*wide) if way == "products" else _attention(*wide, scale)
    assert np.abs(out[:BLOCK] - want).max() < tolerance
    return counts


def _products(q, k, v):
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    blocks = [slice(at, at + BLOCK) for at in range(0, len(k), BLOCK)]
    return sum(q[:BLOCK] @ k[b].T + k[:BLOCK] @ v[b] for b in blocks)


def _bf16(x):
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def _attention(q, k, v, scale: float):
    """On line, block by block, since quantised weights depend on the maximum so far."""
    rounded = q.dtype == np.int8
    q, k, v = (x.astype(np.float64) for x in (q[:BLOCK], k, v))
    top, total, acc = np.full(BLOCK, -np.inf), np.zeros(BLOCK), np.zeros((BLOCK, HEAD))
    for first in range(0, len(k), BLOCK):
        scores = q @ k[first : first + BLOCK].T * scale
        before, top = top, np.maximum(top, scores.max(1))
        p, less = np.exp(scores - top[:, None]), np.exp(before - top)
        total = total * less + p.sum(1)
        p = np.floor(p * 127 + 0.5) / 127 if rounded else p
        acc = acc * less[:, None] + p @ v[first : first + BLOCK]
    return acc / total[:, None]


def per_block(core, way: str, kind: str) -> dict:
    """Instructions by class for one block of keys."""
    short, long = (launch(core, way, kind, length) for length in (2 * BLOCK, 4 * BLOCK))
    return {name: (long[name] - short[name]) // 2 for name in long}


@contextlib.contextmanager
def row_by_row():
    """No product hands its sums to the next one."""
    with mock.patch("vertebra.lowering.linalg_to_vector.panel_relayouts.find_chains", lambda kernels: []):
        yield


def plan(core, way: str, kind: str) -> str:
    """How the compiler says that the weights get from registers to the second product."""
    from vertebra.plugins.triton.aot import compile_file

    name, file, signature, constants = KERNELS[way]
    constants += ",CAUSAL=False" if way in ("plain", "packed") else ""
    made = compile_file(
        str(HERE.parent / file),
        name,
        signature=signature.format(kind),
        constexpr=constants,
        core=core.name,
        emit="vector",
    )
    return ", ".join(dict.fromkeys(re.findall(r'vertebra.plan = "[^"]*: ([^"]*)"', made.data))) or "in place"


def main() -> None:
    from rich.table import Table
    from timing import console

    from vertebra.core.hooks import cores

    heads = ("core", "kernel", "all: row by row", "now", "between: row by row", "now", "less", "plan")
    chart = Table(*heads, title="instructions per block of 64 keys")
    for name, way, kind in RUNS:
        core = cores()[name]
        products = per_block(core, "products", kind)["all"]
        with row_by_row():
            before = per_block(core, way, kind)["all"]
        counts = per_block(core, way, kind)
        between = before - products, counts["all"] - products
        less = f"{1 - between[1] / between[0]:.0%}"
        totals = (before, counts["all"], *between)
        chart.add_row(name, f"{way}, {kind}", *map(str, totals), less, plan(core, way, kind))
    console().print(chart)


if __name__ == "__main__":
    main()
