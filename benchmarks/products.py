"""Matrix products and attention on this machine, as tasks of `host.py`.

Row-major operands in, row-major results out: packing is part of every time, and so is all else that
a launch does.
"""

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
