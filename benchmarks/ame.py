"""Products on the attached matrix unit: instructions of the loop over K, whole kernels, emulated time.

    python benchmarks/ame.py

The first table reads the longest loop on the unit in the disassembly of a product with K = 1024, one block
of 64 x 64 at a time; shorter ones are unrolled.  With four accumulators there is one load of an operand
tile for each multiplication.  The unit addresses memory by a register alone, so that every load needs an
addition as well.  The second table has whole kernels of 256^3, from row-major operands to row-major results,
counted and timed by the emulator.  Instructions are no cycles.
"""

import re
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SIZE, BLOCK, LONG = 256, 64, 1024
TYPES = {
    "i8": ("i8", "i32", "tl.int32"),
    "f16": ("fp16", "fp32", "tl.float32"),
    "f32": ("fp32", "fp32", "tl.float32"),
}


def made(core, kind: str, emit: str, depth: int = SIZE):
    from vertebra.plugins.triton.aot import compile_file

    element, total, acc = TYPES[kind]
    strides = ",".join(["i32:16", "i32:1"] * 3)
    return compile_file(
        str(HERE.parent / "examples" / "matmul.py"),
        "matmul_kernel",
        signature=f"*{element}:16,*{element}:16,*{total}:16,i32:16,i32:16,i32:16,{strides}",
        constexpr=f'BLOCK_M={BLOCK},BLOCK_N={BLOCK},BLOCK_K={depth},GROUP_M=8,ACC="{acc}"',
        core=core.name,
        emit=emit,
    )


def loop_over_k(core, kind: str) -> tuple[int, int, int]:
    """(multiplications, instructions of the unit, all instructions) of the longest loop on the unit."""
    text = made(core, kind, "asm", LONG).data
    text = text if isinstance(text, str) else text.decode()
    loops = []
    for _, body in re.findall(r"^(\.Ltmp\d+):\n(.*?bne[^\n]*\1)$", text, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        words = [line for line in lines if line.startswith(".insn")]
        products = [line for line in words if re.match(r"\.insn\s+r\s+(43|0x2b),\s*0,\s*(79|0x4f)", line)]
        loops.append((len(products), len(words), len(lines)))
    return max(loops)


def whole_product(core, kind: str) -> tuple[dict, dict, float]:
    """(instructions by class, those of the unit by name, seconds of a second launch)."""
    from vertebra.core import compile as stages
    from vertebra.core.select import runtime_for
    from vertebra.plugins.qemu.counting import count_emulated, count_instructions

    rng = np.random.default_rng(0)
    element = {"i8": np.int8, "f16": np.float16, "f32": np.float32}[kind]
    a, b = (rng.integers(-8, 9, (SIZE, SIZE)).astype(element) for _ in range(2))
    wide = np.int32 if kind == "i8" else np.float32
    c, want = np.zeros((SIZE, SIZE), wide), a.astype(wide) @ b.astype(wide)
    code = made(core, kind, "llir")
    binary = stages.compile(code.data, core, name="matmul_kernel", signature=code.signature, start="llir")
    kernel = runtime_for(core).load(binary)
    grid, args = ((SIZE // BLOCK) ** 2, 1, 1), [a, b, c, *[SIZE] * 6]
    counts, unit = count_instructions(kernel, grid, args), count_emulated(kernel, grid, args)
    kernel.launch(grid, args)
    began = time.perf_counter()
    kernel.launch(grid, args)
    seconds = time.perf_counter() - began
    np.testing.assert_array_equal(c, want)
    return counts, unit, seconds


def main() -> None:
    from rich.table import Table
    from timing import console

    from vertebra.core.hooks import cores

    core = cores()["ame-generic"]
    chart = Table(
        "type",
        "multiply",
        "unit",
        "all",
        "unit per multiply (goal 2.0)",
        "all per multiply",
        title="loop over K",
    )
    for kind in TYPES:
        products, unit, everything = loop_over_k(core, kind)
        row = (kind, str(products), str(unit), str(everything))
        chart.add_row(*row, f"{unit / products:.2f}", f"{everything / products:.2f}")
    console().print(chart)
    chart = Table(
        "type", "multiply", "unit", "all", "all per multiply", "emulated, s (goal 10)", title=f"{SIZE}^3"
    )
    for kind in TYPES:
        counts, unit, seconds = whole_product(core, kind)
        products, everything = unit["mmulbtacc.2d"], counts["all"]
        row = (kind, str(products), str(sum(unit.values())), str(everything))
        chart.add_row(*row, f"{everything / products:.2f}", f"{seconds:.2f}")
    console().print(chart)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
