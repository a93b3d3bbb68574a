"""How long kernels take to compile, part by part, with nothing cached.

    python benchmarks/compile_time.py [--core NAME]... [--repeat N] [--passes] [--growth]

Prints the median milliseconds of each part: from TTIR text through the stages of the pipeline, LLVM's
optimiser and its code generator.  Triton's own part, from Python to TTIR, is not included.  The peer,
in the same run, is Triton's path for NVIDIA (compute capability 8.0) from the same text to machine
code, which needs no GPU.  --growth compiles kernels of growing size instead, and prints the time for
each operation.  The last line is the memory that all this took beyond the imports.
"""

import argparse
import functools
import os
import resource
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
import compile_growth
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


def nvidia_path(text: str, repeat: int, label: str) -> float:
    """Median milliseconds of Triton's own way from `text` to a cubin."""
    from triton.backends.compiler import GPUTarget

    samples = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeat + 1):
            # A comment makes each text new to Triton's cache.
            path = Path(folder, "kernel.ttir")
            path.write_text(f"// {label} {number}\n{text}")
            began = time.perf_counter()
            triton.compile(str(path), target=GPUTarget("cuda", 80, 32))
            samples.append(1e3 * (time.perf_counter() - began))
    return statistics.median(samples[1:])


def resident() -> int:
    """The most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def measure(text: str, core, repeat: int) -> dict[tuple[str, str], float]:
    """Median milliseconds of each part and step."""
    compile_once(text, core)  # loads dialects, initialises LLVM's targets
    samples = defaultdict(list)
    for _ in range(repeat):
        for key, seconds in compile_once(text, core).items():
            samples[key].append(1e3 * seconds)
    return {key: statistics.median(values) for key, values in samples.items()}


def _measure_kernel(core, kernel, types, constants) -> dict[tuple[str, str], float]:
    """Milliseconds of each step, the lesser of two runs."""
    text = ttir_of(kernel, types, constants, core)
    first, second = compile_once(text, core), compile_once(text, core)
    return {key: 1e3 * min(first[key], second[key]) for key in first}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", action="append", help="default: host and spacemit-x60")
    parser.add_argument("--repeat", type=int, default=9, help="compilations of each kernel (default 9)")
    parser.add_argument("--passes", action="store_true", help="print every pass, not just the stages")
    parser.add_argument(
        "--growth", action="store_true", help="kernels of growing size, time for each operation"
    )
    options = parser.parse_args()
    before = resident()
    for name in options.core or ["host", "spacemit-x60"]:
        core = select.find_core(name)
        if options.growth:
            console().print(compile_growth.table(core, functools.partial(_measure_kernel, core)))
            continue
        texts = {kernel: ttir_of(*description, core) for kernel, description in KERNELS.items()}
        results = {kernel: measure(text, core, options.repeat) for kernel, text in texts.items()}
        peers = {kernel: nvidia_path(text, options.repeat, name) for kernel, text in texts.items()}
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
        totals = {kernel: sum(times.values()) for kernel, times in results.items()}
        table.add_row("total", *(f"{total:.1f}" for total in totals.values()))
        table.add_row("Triton, NVIDIA", *(f"{peer:.1f}" for peer in peers.values()))
        table.add_row("ratio", *(f"{peers[kernel] / total:.2f}x" for kernel, total in totals.items()))
        console().print(table)
    console().print(f"memory beyond the imports: {resident() - before} MiB")


if __name__ == "__main__":
    main()
