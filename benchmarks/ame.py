"""Products on the attached matrix unit: instructions of the loop over K, whole kernels, emulated time.

    python benchmarks/ame.py

The first table reads the longest loop on the unit in the disassembly of a product with K = 1024, for units
of 4, 8 and 16 accumulators.  The unit addresses memory by a register alone, so that every load needs an
addition as well: an R x C grid of sums takes (R C + 2 (R + C)) / (R C) instructions for each multiplication,
besides those that count the turns.  The second table has whole kernels of 256^3, from row-major operands to
row-major results, with K in blocks and at once; the third one what becomes of sums: bias, activation, scale,
half precision, as `linear` of ame_kernels.py.  All is counted and timed by the emulator.  Instructions are no
cycles.
"""

import re
import sys
import time
from pathlib import Path

import attrs
import numpy as np

HERE = Path(__file__).parent
SIZE, BLOCK, LONG = 256, 64, 1024
TYPES = {
    "i8": ("i8", "i32", "tl.int32"),
    "f16": ("fp16", "fp32", "tl.float32"),
    "f32": ("fp32", "fp32", "tl.float32"),
}
UNITS = ({"m": 16, "acc": 4}, {"m": 16, "acc": 8}, {"m": 16, "acc": 16}, {"m": 32, "acc": 16})


def linalg(kind: str, depth: int):
    """The product at the linalg stage, which is the same for all cores."""
    from vertebra.plugins.triton.aot import compile_file

    element, total, acc = TYPES[kind]
    strides = ",".join(["i32:16", "i32:1"] * 3)
    return compile_file(
        str(HERE.parent / "examples" / "matmul.py"),
        "matmul_kernel",
        signature=f"*{element}:16,*{element}:16,*{total}:16,i32:16,i32:16,i32:16,{strides}",
        constexpr=f'BLOCK_M={BLOCK},BLOCK_N={BLOCK},BLOCK_K={depth},GROUP_M=8,ACC="{acc}"',
        core="ame-generic",
        emit="linalg",
    )


def loop_over_k(core, kind: str) -> tuple[int, int, int]:
    """(multiplications, instructions of the unit, all instructions) of the longest loop on the unit."""
    from vertebra.core import compile as stages

    text = stages.render(linalg(kind, LONG).data, "asm", core, start="linalg")
    loops = []
    for _, body in re.findall(r"^(\.Ltmp\d+):\n(.*?bne[^\n]*\1)$", text, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        words = [line for line in lines if line.startswith(".insn")]
        products = [line for line in words if re.match(r"\.insn\s+r\s+(43|0x2b),\s*0,\s*(79|0x4f)", line)]
        loops.append((len(products), len(words), len(lines)))
    return max(loops)


def counted(core, code, name: str, grid: tuple, args: list) -> tuple[dict, dict, float]:
    """(instructions by class, those of the unit by name, seconds of a third launch)."""
    from vertebra.core import compile as stages
    from vertebra.core.select import runtime_for

    binary = stages.compile(code.data, core, name=name, signature=code.signature, start="linalg")
    kernel = runtime_for(core).load(binary)
    counts, unit = kernel.count(grid, args), kernel.count_emulated(grid, args)
    began = time.perf_counter()
    kernel.launch(grid, args)
    return counts, unit, time.perf_counter() - began


def whole_product(core, kind: str, depth: int) -> tuple[dict, dict, float]:
    rng = np.random.default_rng(0)
    element = {"i8": np.int8, "f16": np.float16, "f32": np.float32}[kind]
    a, b = (rng.integers(-8, 9, (SIZE, SIZE)).astype(element) for _ in range(2))
    wide = np.int32 if kind == "i8" else np.float32
    c, want = np.zeros((SIZE, SIZE), wide), a.astype(wide) @ b.astype(wide)
    args = [a, b, c, *[SIZE] * 6]
    found = counted(core, linalg(kind, depth), "matmul_kernel", ((SIZE // BLOCK) ** 2, 1, 1), args)
    np.testing.assert_array_equal(c, want)
    return found


def finished_product(core, depth: int) -> tuple[dict, dict, float]:
    from vertebra.plugins.triton.aot import compile_file

    rng = np.random.default_rng(0)
    a, b = (rng.integers(-4, 5, (SIZE, SIZE)).astype(np.float16) for _ in range(2))
    bias, c = rng.integers(-8, 9, SIZE).astype(np.float32), np.zeros((SIZE, SIZE), np.float16)
    code = compile_file(
        str(HERE / "ame_kernels.py"),
        "linear",
        signature="*fp16:16,*fp16:16,*fp32:16,*fp16:16,i32:16,i32:16",
        constexpr=f"scale=0.25,K={SIZE},BLOCK_M={BLOCK},BLOCK_N={BLOCK},BLOCK_K={depth},HALF=True,MASKED=False",
        core=core.name,
        emit="linalg",
    )
    found = counted(core, code, "linear", (SIZE // BLOCK, SIZE // BLOCK, 1), [a, b, bias, c, SIZE, SIZE])
    want = np.maximum(a.astype(np.float32) @ b.astype(np.float32) + bias, 0) * np.float32(0.25)
    np.testing.assert_array_equal(c, want.astype(np.float16))
    return found


def main() -> None:
    from rich.table import Table
    from timing import console

    from vertebra.core.hooks import cores
    from vertebra.plugins.ame.geometry import Geometry

    core = cores()["ame-generic"]
    chart = Table(
        "accumulators",
        "registers",
        "type",
        "multiply",
        "unit",
        "all",
        "unit per multiply (goal 2.0)",
        "all per multiply",
        title="loop over K",
    )
    for unit in UNITS:
        other = attrs.evolve(core, name=f"ame-{unit['m']}-{unit['acc']}", ame=Geometry(**unit))
        for kind in TYPES:
            products, words, everything = loop_over_k(other, kind)
            row = (str(unit["acc"]), str(unit["m"]), kind, str(products), str(words), str(everything))
            chart.add_row(*row, f"{words / products:.2f}", f"{everything / products:.2f}")
    console().print(chart)
    columns = ("multiply", "unit", "all", "all per multiply", "emulated, s (goal 10)")
    chart = Table("type", "block of K", *columns, title=f"{SIZE}^3")
    for kind in TYPES:
        for depth in (BLOCK, SIZE):
            chart.add_row(kind, str(depth), *cells(*whole_product(core, kind, depth)))
    console().print(chart)
    chart = Table(
        "block of K", *columns, "sums in memory", title=f"{SIZE}^3, f16, bias, maximum, scale, to f16"
    )
    for depth in (BLOCK, SIZE):
        counts, unit, seconds = finished_product(core, depth)
        chart.add_row(str(depth), *cells(counts, unit, seconds), str(unit.get("mss.rm", 0)))
    console().print(chart)


def cells(counts: dict, unit: dict, seconds: float) -> list[str]:
    products, everything = unit["mmulbtacc.2d"], counts["all"]
    numbers = [str(products), str(sum(unit.values())), str(everything)]
    return [*numbers, f"{everything / products:.2f}", f"{seconds:.2f}"]


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
