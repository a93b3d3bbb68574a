"""How long kernels take to compile, part by part, with nothing cached.

    python benchmarks/compile_time.py [--core NAME]... [--repeat N] [--passes]

Prints the median milliseconds of each part: from TTIR text through the stages of the pipeline, LLVM's
optimiser and its code generator.  Triton's own part, from Python to TTIR, is not included.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from rich.table import Table

# Kernels must compile afresh here, or there would be no TTIR to start from.
os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp(prefix="vertebra-")
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import attention
import layer_norm
import matmul
import softmax
import triton
import triton.language as tl
import vector_add
from timing import console

from vertebra.core import assembly, llvm, pipeline, select
from vertebra.core.context import context
from vertebra.core.mlir import llvm as llvm_dialect
from vertebra.core.pipeline import MODULE_STAGES, Options

F = "*fp32"
KERNELS = {
    "vector_add": (vector_add.add_kernel, [F, F, F, "i32"], {"BLOCK": 1024}),
    "softmax": (softmax.softmax_kernel, [F, F, "i32", "i32", "i32"], {"BLOCK": 1024}),
    "layer_norm forward": (layer_norm.forward_kernel, [F] * 6 + ["i32", "i32", "fp32"], {"BLOCK": 256}),
    "matmul float32": (
        matmul.matmul_kernel,
        [F, F, F] + ["i32"] * 9,
        {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 64, "GROUP_M": 8, "ACC": tl.float32},
    ),
    "attention causal": (
        attention.attention_kernel,
        [F] * 4 + ["i32"] * 3 + ["fp32"],
        {"HEAD": 64, "BLOCK_M": 64, "BLOCK_N": 64, "CAUSAL": True},
    ),
}


def ttir_of(kernel, types, constants, core) -> str:
    """The kernel's TTIR, as Triton hands it over.  types: of the arguments that are not constants."""
    from triton.compiler import ASTSource

    from vertebra.plugins.triton.compiler import target_for

    remaining = iter(types)
    signature = {name: "constexpr" if name in constants else next(remaining) for name in kernel.arg_names}
    source = ASTSource(kernel, signature, constants)
    return triton.compile(source, target=target_for(core)).asm["ttir"]


def compile_once(text: str, core) -> dict[tuple[str, str], float]:
    """(part, step) -> seconds, for one compilation of `text`."""
    times: dict[tuple[str, str], float] = {}

    def timed(part, call, *args):
        began = time.perf_counter()
        result = call(*args)
        times[part, ""] = time.perf_counter() - began
        return result

    def observe(stage, name, seconds):
        times[stage, name] = times.get((stage, name), 0.0) + seconds

    with context():
        module = timed("parse", assembly.parse, text, context())
        pipeline.lower(module, "ttir", MODULE_STAGES[-1], core, Options(), observe=observe)
        llir = timed("translate", llvm_dialect.translate_module_to_llvmir, module.operation)
    llir = timed("downgrade", llvm.downgrade, llir)
    optimised = timed("optimise", llvm.optimize, llir, core)
    timed("emit", llvm.emit_object, optimised, core)
    return times


def measure(text: str, core, repeat: int) -> dict[tuple[str, str], float]:
    """Median milliseconds of each part and step."""
    compile_once(text, core)  # loads dialects, initialises LLVM's targets
    samples = defaultdict(list)
    for _ in range(repeat):
        for key, seconds in compile_once(text, core).items():
            samples[key].append(1e3 * seconds)
    return {key: statistics.median(values) for key, values in samples.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", action="append", help="default: host and spacemit-x60")
    parser.add_argument("--repeat", type=int, default=9, help="compilations of each kernel (default 9)")
    parser.add_argument("--passes", action="store_true", help="print every pass, not just the stages")
    options = parser.parse_args()
    for name in options.core or ["host", "spacemit-x60"]:
        core = select.find_core(name)
        results = {
            kernel: measure(ttir_of(*description, core), core, options.repeat)
            for kernel, description in KERNELS.items()
        }
        # A step that only some kernels take appears where it first comes up.
        keys = dict.fromkeys(key for times in results.values() for key in times)
        rows = list(keys) if options.passes else list(dict.fromkeys((part, "") for part, _ in keys))
        table = Table(title=f"compile time on {core.name}, median ms of {options.repeat}")
        table.add_column("part")
        for kernel in results:
            table.add_column(kernel, justify="right")
        for part, step in rows:
            cells = []
            for times in results.values():
                if options.passes:
                    value = times.get((part, step), 0.0)
                else:
                    value = sum(v for (p, _), v in times.items() if p == part)
                cells.append(f"{value:.2f}")
            table.add_row(f"{part}: {step}" if step else part, *cells)
        table.add_section()
        table.add_row("total", *(f"{sum(times.values()):.1f}" for times in results.values()))
        console().print(table)


if __name__ == "__main__":
    main()
