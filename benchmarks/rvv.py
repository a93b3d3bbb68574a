"""Instructions that kernels execute on a RISC-V vector core, counted by the emulator.

    python benchmarks/rvv.py [--core spacemit-x60]

The product of 240 x 256 and 256 x 240 in float32 stands beside the same product by IREE, where
`iree-compile` is on the path, and in C by clang -O3.  For the row kernels the measure is the least that
the same arithmetic takes, which `rvv_least.py` counts item by item.
Instructions are no cycles: a kernel that reloads its sums may count few and wait for memory.
"""

import argparse
import sys
from pathlib import Path

import iree_product
import numpy as np
import rvv_least

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))

ROWS, COLUMNS = 16, 1024

# How clang's vectoriser is steered -> flags; the shapes are the best of 1 to 4 rows and 4 to 32 steps.
NESTS = {
    "clang -O3": (),
    "clang -O3, steered to LMUL 4": ("-DLANES_PER_64_BITS=8",),
    "clang -O3, steered to LMUL 8": ("-DLANES_PER_64_BITS=16", "-DROWS=2", "-DSTEPS=16"),
}


def count(core, path: str, kernel: str, signature: str, constants: str, grid: tuple, args: list) -> dict:
    """Instructions by class of one launch of a kernel in a Python file."""
    from vertebra.core import compile as stages
    from vertebra.core.select import runtime_for
    from vertebra.plugins.triton.aot import compile_file

    made = compile_file(
        str(path), kernel, signature=signature, constexpr=constants, core=core.name, emit="llir"
    )
    binary = stages.compile(made.data, core, name=kernel, signature=made.signature, start="llir")
    return runtime_for(core).load(binary).count(grid, args)


def product(core, block: tuple[int, int, int]) -> int:
    rng = np.random.default_rng(0)
    (m, n, k), (bm, bn, bk) = (240, 240, 256), block
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
    c = np.zeros((m, n), np.float32)
    counts = count(
        core,
        HERE.parent / "examples" / "matmul.py",
        "matmul_kernel",
        "*fp32:16,*fp32:16,*fp32:16,i32:16,i32:16,i32:16,i32:16,i32:1,i32:16,i32:1,i32:16,i32:1",
        f'BLOCK_M={bm},BLOCK_N={bn},BLOCK_K={bk},GROUP_M=8,ACC="tl.float32"',
        (-(-m // bm) * -(-n // bn), 1, 1),
        [a, b, c, m, n, k, k, n, n],
    )
    np.testing.assert_allclose(c, a @ b, rtol=1e-3, atol=1e-3)
    return counts["all"]


def nest(core, *flags: str) -> int:
    """The loop nest in C, by clang -O3 with contraction of products and sums."""
    from vertebra.core import toolchain

    cpu = "-mcpu=generic_rv64" + "".join(core.features)
    source = (HERE / "matmul_nest.c").read_text()
    code = toolchain.compile_source(
        source, triple=core.triple, flags=["-fPIC", "-O3", "-ffast-math", cpu, *flags]
    )
    return count_object(core, "nest", code)


def count_object(core, name: str, code: bytes) -> int:
    """Instructions of the product by function `name` of an object with our binary interface."""
    from vertebra.core.runtime import Binary
    from vertebra.core.select import runtime_for

    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((240, 256), (256, 240)))
    c = np.zeros((240, 240), np.float32)
    binary = Binary(name=name, object=code, scratch_bytes=0, signature=("*fp32",) * 3, core=core)
    counts = runtime_for(core).load(binary).count((1, 1, 1), [a, b, c])
    np.testing.assert_allclose(c, a @ b, rtol=1e-3, atol=1e-3)
    return counts["all"]


def row_kernels(core) -> list[tuple[str, int, int]]:
    """(name, instructions, least number of them)"""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    out = np.zeros_like(x)
    weight, bias = rng.standard_normal((2, COLUMNS)).astype(np.float32)
    mean, scale = np.zeros((2, ROWS), np.float32)
    groups = COLUMNS // core.vector.lanes(32)
    examples, size = HERE.parent / "examples", ROWS * COLUMNS
    softmax = count(
        core,
        examples / "softmax.py",
        "softmax_kernel",
        "*fp32:16,*fp32:16,i32:16,i32:16,i32:16",
        f"BLOCK={COLUMNS}",
        (ROWS, 1, 1),
        [x, out, COLUMNS, COLUMNS, COLUMNS],
    )
    norm = count(
        core,
        examples / "layer_norm.py",
        "forward_kernel",
        "*fp32:16,*fp32:16,*fp32:16,*fp32:16,*fp32:16,*fp32:16,i32:16,i32:16,fp32",
        f"BLOCK={COLUMNS}",
        (ROWS, 1, 1),
        [x, out, weight, bias, mean, scale, COLUMNS, COLUMNS, 1e-5],
    )
    gelu = count(
        core,
        HERE / "row_kernels.py",
        "gelu",
        "*fp32:16,*fp32:16,i32:16",
        f"BLOCK={COLUMNS}",
        (ROWS, 1, 1),
        [x, out, size],
    )
    exp, erf = (rvv_least.of_function(name, core.vector.lanes(32)) for name in ("exp", "erf"))
    least = {
        "softmax": rvv_least.softmax(exp),
        "layer norm": rvv_least.layer_norm(),
        "gelu": rvv_least.gelu(erf),
    }
    counts = {"softmax": softmax, "layer norm": norm, "gelu": gelu}
    return [(n, counts[n]["all"], round(ROWS * (groups * group + row))) for n, (group, row) in least.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", default="spacemit-x60")
    options = parser.parse_args()
    from rich.table import Table
    from timing import console

    from vertebra.core.select import find_core

    core = find_core(options.core)
    chart = Table(title=f"instructions on {core.name}")
    for heading in ("kernel", "vertebra", "against", "instructions", "vertebra / that"):
        chart.add_column(heading, justify="left" if heading in ("kernel", "against") else "right")
    block = (256, 256, 256)
    mine = product(core, block)
    title = f"matmul 240x240x256, blocks {block}"
    theirs = {name: nest(core, *flags) for name, flags in NESTS.items()}
    if iree_product.compiler():
        theirs = {
            "IREE": count_object(core, "iree", iree_product.product_object(core, 240, 240, 256))
        } | theirs
    for name, found in theirs.items():
        chart.add_row(title, f"{mine}", name, f"{found}", f"{mine / found:.2f}")
        title = ""
    for name, found, least in row_kernels(core):
        against = f"least for {ROWS}x{COLUMNS}"
        chart.add_row(name, f"{found}", against, f"{least}", f"{found / least:.2f}")
    console().print(chart)


if __name__ == "__main__":
    main()
