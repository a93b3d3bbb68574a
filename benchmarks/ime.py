"""Instructions that products of matrices take on SpacemiT's matrix engines, counted by the emulator.

    python benchmarks/ime.py [--small]

The first table reads the loop over K in the disassembly of a product of 240 x 256 and 256 x 240: its
grid of sums, and its instructions for each matrix instruction.  The second one counts whole kernels,
from row-major operands to row-major results, with all packing.  The third compares matrix-vector
products, weights of 8 bits along K and row by row, with the same kernels on vector registers.  The last
one has what the instructions do beside plain products: convolutions, weights in blocks with scales, and
weights of which two of four are kept.  Instructions are no cycles.  --small: leave out the products of 512^3.
"""

import argparse
import functools
import math
import re
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))

# LLVM's names of the element types -> Triton's, and those of the sums.
TYPES = {
    "i8": ("i8", "i32", "tl.int32"),
    "f16": ("fp16", "fp32", "tl.float32"),
    "bf16": ("bf16", "fp32", "tl.float32"),
}
MATMUL = (240, 240, 256)


def operands(kind: str, m: int, n: int, k: int) -> tuple:
    """a, b, an empty result, and the result that is right."""
    rng = np.random.default_rng(0)
    shapes = ((m, k), (k, n))
    if kind == "i8":
        a, b = (rng.integers(-128, 128, s).astype(np.int8) for s in shapes)
        return a, b, np.zeros((m, n), np.int32), a.astype(np.int32) @ b.astype(np.int32)
    a, b = (rng.integers(-8, 9, s).astype(np.float32) for s in shapes)  # sums of these are exact
    want = a @ b
    if kind == "f16":
        return a.astype(np.float16), b.astype(np.float16), np.zeros((m, n), np.float32), want
    a, b = ((x.view(np.uint32) >> 16).astype(np.uint16) for x in (a, b))
    return a, b, np.zeros((m, n), np.float32), want


def arguments(kind: str) -> tuple[str, str, str]:
    """The signature of examples/matmul.py, and the type of its sums."""
    element, total, acc = TYPES[kind]
    strides = ",".join(["i32:16", "i32:1"] * 3)
    return f"*{element}:16,*{element}:16,*{total}:16,i32:16,i32:16,i32:16,{strides}", acc


def whole_product(core, kind: str, size: tuple[int, int, int], block: tuple[int, int, int]) -> dict:
    """Instructions by class."""
    from rvv import count

    (m, n, k), (bm, bn, bk) = size, block
    a, b, c, want = operands(kind, m, n, k)
    signature, acc = arguments(kind)
    counts = count(
        core,
        HERE.parent / "examples" / "matmul.py",
        "matmul_kernel",
        signature,
        f'BLOCK_M={bm},BLOCK_N={bn},BLOCK_K={bk},GROUP_M=8,ACC="{acc}"',
        (-(-m // bm) * -(-n // bn), 1, 1),
        [a, b, c, m, n, k, k, n, n],
    )
    np.testing.assert_array_equal(c, want)
    return counts


def four_bit_product(core, size: int, block: int) -> dict:
    """Instructions by class of a product of size^2 bytes, each of which holds two integers."""
    from rvv import count

    rng = np.random.default_rng(0)
    a, b = (rng.integers(-128, 128, (size, size)).astype(np.int8) for _ in range(2))
    out = np.zeros((size, size), np.int32)
    signature, constants = four_bit_arguments(block)
    grid, args = (size // block, size // block, 1), [a, b, out, size, size]
    counts = count(core, HERE / "matrix_kernels.py", "matmul4", signature, constants, grid, args)
    low = [((x << 4) >> 4).astype(np.int32) for x in (a, b)]
    high = [(x >> 4).astype(np.int32) for x in (a, b)]
    np.testing.assert_array_equal(out, low[0] @ low[1] + high[0] @ high[1])
    return counts


def four_bit_arguments(block: int) -> tuple[str, str]:
    """The signature of `matmul4`, and its constants."""
    return "*i8:16,*i8:16,*i32:16,i32:16,i32:16", f"BLOCK_M={block},BLOCK_N={block},BLOCK_K={block}"


def loop_over_k(core, kind: str) -> tuple[int, int]:
    """(matrix instructions, all instructions) of the longest loop on the engine, in the disassembly."""
    from vertebra.plugins.triton.aot import compile_file

    if kind == "i4":
        path, name = HERE / "matrix_kernels.py", "matmul4"
        signature, constants = four_bit_arguments(256)
    else:
        path, name = HERE.parent / "examples" / "matmul.py", "matmul_kernel"
        signature, acc = arguments(kind)
        constants = f'BLOCK_M=256,BLOCK_N=256,BLOCK_K=256,GROUP_M=8,ACC="{acc}"'
    made = compile_file(str(path), name, signature=signature, constexpr=constants, core=core.name, emit="asm")
    text = made.data if isinstance(made.data, str) else made.data.decode()
    loops = []
    for _, body in re.findall(r"^(\.Ltmp\d+):\n(.*?bne[^\n]*\1)$", text, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        loops.append((sum(line.startswith(".insn") for line in lines), len(lines)))
    return max(loops)


def kernel_of(core, kind: str):
    """The core's kernel for plain products of `kind`."""
    from vertebra.core.pipeline import panel_kernels_of

    kernels = (k for k in panel_kernels_of(core) if (k.a, k.b, k.form) == (kind, kind, "plain"))
    return next(kernels)


def grid_of(core, kind: str) -> tuple[str, str]:
    """The tile of the core's kernel for `kind`, and the grid of sums for the product of the first table."""
    kernel = kernel_of(core, kind)
    m, n, k = kernel.tile
    rows, columns = kernel.blocking(-(-MATMUL[0] // m), -(-MATMUL[1] // n))
    return f"{m}x{n}x{k}", f"{rows * m}x{columns * n}x{k}"


def dots_of(core, kind: str, size: tuple[int, int, int], block: tuple[int, int, int]) -> int:
    """Matrix instructions of a product in blocks; those that move tiles do not count."""
    m, n, k = size
    bm, bn, bk = block
    tile = kernel_of(core, kind).tile
    programs = -(-m // bm) * -(-n // bn)
    return programs * -(-k // bk) * math.prod(-(-b // t) for b, t in zip(block, tile, strict=True))


def gemv(core, n: int, k: int, block: tuple[int, int], *, turned: bool = False) -> int:
    """turned: the weights lie (k, n), else (n, k)."""
    from rvv import count

    rng = np.random.default_rng(0)
    x, weight = (rng.integers(-128, 128, s).astype(np.int8) for s in (k, (n, k)))
    out = np.zeros(n, np.int32)
    given = np.ascontiguousarray(weight.T) if turned else weight
    counts = count(
        core,
        HERE / "matrix_kernels.py",
        "gemv_rows" if turned else "gemv",
        "*i8:16,*i8:16,*i32:16,i32:16,i32:16",
        f"BLOCK_N={block[0]},BLOCK_K={block[1]}",
        (n // block[0], 1, 1),
        [x, given, out, n, k],
    )
    np.testing.assert_array_equal(out, weight.astype(np.int32) @ x.astype(np.int32))
    return counts["all"]


def convolution(core) -> dict:
    """512 rows of 64 channels, 3 taps, 64 filters."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-128, 128, s).astype(np.int8) for s in ((514, 64), (3, 64, 64)))
    out = np.zeros((512, 64), np.int32)
    counts = form(core, "conv", "*i8:16,*i8:16,*i32:16", "ROWS=128,C=64,F=64,TAPS=3", (4, 1, 1), [x, w, out])
    wide = x.astype(np.int32)
    np.testing.assert_array_equal(out, sum(wide[t : t + 512] @ w[t].astype(np.int32) for t in range(3)))
    return counts


def scaled_blocks(core, at_once: int = 1) -> dict:
    """128 x 512 by 512 x 128, two products of 16 to a scale; codes are small: sums in f16 are exact.

    at_once: blocks in a turn of the kernel's loop.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-1, 2, s).astype(np.int8) for s in ((128, 512), (512, 128)))
    scales = rng.choice([0.5, 1.0], (16, 128)).astype(np.float16)
    out = np.zeros((128, 128), np.float16)
    signature = "*i8:16,*i8:16,*fp16:16,*fp16:16,i32:16,i32:16"
    counts = form(
        core, "blocks", signature, f"M=128,N=128,AT_ONCE={at_once}", (1, 1, 1), [a, b, scales, out, 128, 512]
    )
    np.testing.assert_array_equal(out, a.astype(float) @ (b * np.repeat(scales.astype(float), 32, axis=0)))
    return counts


def sparse_weights(core) -> dict:
    """128 x 512 by 512 x 128, two of every four rows of each column."""
    from vertebra.plugins.xsmt import weights

    rng = np.random.default_rng(0)
    a, b = (rng.integers(-128, 128, s).astype(np.int8) for s in ((128, 512), (512, 128)))
    b = weights.prune(b)
    values, mask = weights.compress(b)
    out = np.zeros((128, 128), np.int32)
    signature = "*i8:16,*i8:16,*i8:16,*i32:16,i32:16,i32:16"
    args = [a, values, mask.view(np.int8), out, 128, 512]
    counts = form(core, "sparse", signature, "M=128,N=128,K=512", (1, 1, 1), args)
    np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))
    return counts


def form(core, kernel: str, signature: str, constants: str, grid: tuple, args: list) -> dict:
    from rvv import count

    return count(core, HERE / "matrix_forms.py", kernel, signature, constants, grid, args)


_TAPS = 3 * 512 * 64 * 64  # multiplications
_SCALED = {"spacemit-a100": 128 * 128 * 512 // 1024}
# (name, what counts it, core -> matrix instructions)
FORMS = (
    ("3 taps", convolution, {"spacemit-a60": _TAPS // 128, "spacemit-a100": _TAPS // 1024}),
    ("scaled blocks", scaled_blocks, _SCALED),
    ("scaled blocks, 4 a turn", functools.partial(scaled_blocks, at_once=4), _SCALED),
    ("two of four", sparse_weights, {"spacemit-a100": 128 * 128 * 512 // 2048}),
)


def main() -> None:
    from rich.table import Table
    from timing import console

    from vertebra.core.hooks import cores

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="leave out the products of 512^3")
    options = parser.parse_args()
    a60, a100, x60 = (cores()[f"spacemit-{name}"] for name in ("a60", "a100", "x60"))
    pairs = [(a60, "i8"), (a100, "i8"), (a100, "f16"), (a100, "bf16")]

    chart = Table(
        "core", "type", "tile", "grid", "matrix", "all", "all per matrix (goal 2.0)", title="loop over K"
    )
    for core, kind in (*pairs, (a100, "i4")):
        dots, everything = loop_over_k(core, kind)
        row = (core.name, kind, *grid_of(core, kind), str(dots), str(everything))
        chart.add_row(*row, f"{everything / dots:.2f}")
    console().print(chart)

    chart = Table(
        "core",
        "type",
        "M, N, K",
        "block",
        "matrix",
        "all",
        "all per matrix (goal 3.0)",
        title="whole kernels",
    )
    tasks = [(core, kind, MATMUL, (240 + 16, 256, 256)) for core, kind in pairs]
    if not options.small:
        tasks += [(a60, "i8", (512,) * 3, (256, 256, 512)), (a100, "i8", (512,) * 3, (256, 256, 512))]
    found = [(*task, whole_product(*task)) for task in tasks]
    # Two products of half the depth.
    found.append((a100, "i4", (256, 256, 512), (256, 256, 256), four_bit_product(a100, 256, 256)))
    for core, kind, size, block, counts in found:
        dots, everything = dots_of(core, kind, size, block), counts["all"]
        chart.add_row(
            core.name, kind, str(size), str(block), str(dots), str(everything), f"{everything / dots:.2f}"
        )
    console().print(chart)

    chart = Table(
        "weights", "block", "core", "matrix engine", x60.name, "fewer (goal 2.0)",
        title="int8 matrix-vector product, N = K = 1024",
    )  # fmt: skip
    for turned in (False, True):
        for block in ((256, 1024), (1024, 1024)):
            theirs = gemv(x60, 1024, 1024, block, turned=turned)
            for core in (a60, a100):
                ours = gemv(core, 1024, 1024, block, turned=turned)
                lie = "row by row" if turned else "along K"
                chart.add_row(lie, str(block), core.name, str(ours), str(theirs), f"{theirs / ours:.2f}x")
    console().print(chart)

    chart = Table("form", "core", "matrix", "all", "all per matrix", x60.name, "fewer", title="other forms")
    for name, task, dots in FORMS:
        theirs = task(x60)["all"]
        for core in (a60, a100):
            if core.name in dots:
                ours, number = task(core)["all"], dots[core.name]
                row = (name, core.name, str(number), str(ours), f"{ours / number:.2f}", str(theirs))
                chart.add_row(*row, f"{theirs / ours:.2f}x")
    console().print(chart)


if __name__ == "__main__":
    main()
