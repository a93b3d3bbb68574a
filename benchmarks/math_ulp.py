"""Accuracy and speed of the elementary functions of `vertebra.lowering.math_to_arith`.

    python benchmarks/math_ulp.py [--points 1000000] [--fast] [--no-speed] [name ...]

Prints, for each function and type, the largest error in ULP of the result and the
argument where it occurs, and elements per nanosecond beside NumPy's on one thread.  f32
is compared with f64 references where NumPy has them, all else with mpmath at 200 bits (on
1/50 of the points: mpmath takes some 20 us a point).  --fast: the looser variants
(`fast_math=True`) where their bounds hold, with these, and their speed beside the usual ones'.
"""

import argparse
import ctypes
import math
import time
from collections.abc import Callable

import llvmlite.binding as llvm
import numpy as np
from math_references import (
    DTYPES,
    FAST_BOUNDS,
    FUNCTIONS,
    OPERANDS,
    RANGES,
    SPECIAL,
    reference,
    samples,
    ulp_errors,
)

from vertebra.core import hooks
from vertebra.core.llvm_syntax import downgrade
from vertebra.core.mlir import ir, passmanager
from vertebra.core.mlir import llvm as mlir_llvm
from vertebra.core.pipeline import target_of
from vertebra.lowering.math_to_arith import LIBRARY, expand_math

BLOCK = 4096  # elements a call of a compiled function computes
_PIPELINE = (
    "builtin.module(convert-scf-to-cf,convert-vector-to-llvm,finalize-memref-to-llvm,convert-math-to-llvm,"
    "convert-arith-to-llvm,convert-ub-to-llvm,convert-cf-to-llvm,"
    "convert-func-to-llvm{use-bare-ptr-memref-call-conv=1},reconcile-unrealized-casts)"
)
_KERNEL = """
{declaration}
func.func @kernel(%rounds: index, {parameters}, %out: memref<{block}x{out}>) {{
  %zero = arith.constant 0 : index
  %step = arith.constant {lanes} : index
  %end = arith.constant {block} : index
  %one = arith.constant 1 : index
  scf.for %round = %zero to %rounds step %one {{
    scf.for %i = %zero to %end step %step {{
      {loads}
      %r = {call}
      {store}
    }}
  }}
  return
}}
"""


def source(
    op: str, element: str, *, lanes: int = 16, integer: str | None = None, out: str | None = None
) -> str:
    """MLIR text of a kernel that applies `op` to BLOCK elements, `lanes` at a time (1: scalars).

    op: the name of a `math` operation, or of a function of `LIBRARY`.  integer: the type of a last,
    integer operand.  out: the result's type, if not `element`.  An f64 vector has half the lanes.
    """
    out = out or element
    types = [element] * OPERANDS.get(op, 1) + ([integer] if integer else [])
    if lanes > 1 and element == "f64":
        lanes //= 2
    shaped = (lambda t: f"vector<{lanes}x{t}>") if lanes > 1 else (lambda t: t)
    load = (
        "%x{n} = vector.load %p{n}[%i] : memref<{b}x{t}>, {s}"
        if lanes > 1
        else "%x{n} = memref.load %p{n}[%i] : memref<{b}x{t}>"
    )
    store = (
        "vector.store %r, %out[%i] : memref<{b}x{t}>, {s}"
        if lanes > 1
        else "memref.store %r, %out[%i] : memref<{b}x{t}>"
    )
    names = ", ".join(f"%x{n}" for n in range(len(types)))
    signature = ", ".join(map(shaped, types))
    declaration = ""
    if op in LIBRARY:
        call = f"func.call @{op}({names}) : ({signature}) -> {shaped(out)}"
        declaration = f"func.func private @{op}({signature}) -> {shaped(out)}"
    else:
        call = f"math.{op} {names} : {signature if integer else shaped(element)}"
    return _KERNEL.format(
        declaration=declaration,
        call=call,
        parameters=", ".join(f"%p{n}: memref<{BLOCK}x{t}>" for n, t in enumerate(types)),
        block=BLOCK,
        out=out,
        lanes=lanes,
        loads="\n      ".join(load.format(n=n, b=BLOCK, t=t, s=shaped(t)) for n, t in enumerate(types)),
        store=store.format(b=BLOCK, t=out, s=shaped(out)),
    )


def lower(text: str, *, fast: bool = False, ldexp: Callable | None = None) -> str:
    """LLVM IR, in the syntax of llvmlite's LLVM, of MLIR `text`."""
    with ir.Context() as context, ir.Location.unknown():
        context.enable_multithreading(False)
        module = ir.Module.parse(text)
        _expand_library(module)
        expand_math(module, fast=fast, ldexp=ldexp)
        module.operation.verify()
        passmanager.PassManager.parse(_PIPELINE).run(module.operation)
        return downgrade(mlir_llvm.translate_module_to_llvmir(module.operation))


def _expand_library(module) -> None:
    """Replaces calls of the functions of `LIBRARY`."""
    found = []

    def visit(op):
        if op.name == "func.call" and op.attributes["callee"].value in LIBRARY:
            found.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in found:
        with op.location, ir.InsertionPoint(op):
            compute = LIBRARY[op.attributes["callee"].value]
            op.results[0].replace_all_uses_with(compute(*op.operands, type=op.operands[0].type))
        op.erase()


class Jit:
    """A compiled kernel of `source`: call it with arrays of any length.

    native: with the host's instruction for powers of two, where it has one.
    """

    def __init__(self, text: str, dtype: type, *, fast: bool = False, native: bool = True):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        host = hooks.cores()["host"]
        ldexp = target_of(host).ldexp(host) if native else None
        module = llvm.parse_assembly(lower(text, fast=fast, ldexp=ldexp))
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
        )
        tuning = llvm.create_pipeline_tuning_options(speed_level=3)
        tuning.loop_vectorization = tuning.slp_vectorization = True
        builder = llvm.create_pass_builder(machine, tuning)
        builder.getModulePassManager().run(module, builder)
        self.assembly = machine.emit_assembly(module)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        address = self._engine.get_function_address("kernel")
        pointers = text.partition(") {")[0].count("memref")
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * pointers)(address)
        self.dtype = dtype

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        size = arrays[0].size
        padded = [np.resize(x, -(-size // BLOCK) * BLOCK) for x in arrays]
        out = np.empty(padded[0].size, self.dtype)
        for start in range(0, out.size, BLOCK):
            self._function(1, *(x[start:].ctypes.data for x in padded), out[start:].ctypes.data)
        return out[:size]

    def rate(self, *arrays: np.ndarray, rounds: int = 100) -> float:
        """Elements per nanosecond on the first BLOCK elements, which fit the cache."""
        padded = [np.resize(x, BLOCK) for x in arrays]
        out = np.empty(BLOCK, self.dtype)
        addresses = [x.ctypes.data for x in (*padded, out)]
        best = math.inf
        for _ in range(5):
            start = time.perf_counter_ns()
            self._function(rounds, *addresses)
            best = min(best, time.perf_counter_ns() - start)
        return BLOCK * rounds / best


def errors(name: str, kernel: Jit, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """The errors of `kernel`, which computes function `name`, in ULP."""
    return ulp_errors(kernel(*arrays), *reference(name, arrays, kernel.dtype))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="functions; all of them by default")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--fast", action="store_true", help="the looser variants")
    parser.add_argument("--no-speed", action="store_true")
    options = parser.parse_args()
    if options.fast:
        print_fast(options.names or FAST_BOUNDS, options.points)
        return
    print(f"{'function':13} {'type':4} {'max ULP':>9} {'at':>28} {'per ns':>7} {'NumPy':>7}")
    for name in options.names or FUNCTIONS:
        for element, dtype in DTYPES.items():
            kernel = Jit(source(name, element), dtype)
            slow = element == "f64" or name in SPECIAL
            arrays = samples(name, dtype, options.points // 50 if slow else options.points)
            error = errors(name, kernel, arrays)
            worst = int(np.argmax(error))
            at = ", ".join(f"{x[worst]:.9g}" for x in arrays)
            line = f"{name:13} {element:4} {error[worst]:9.3f} {at:>28}"
            if not options.no_speed:
                low, high = np.clip(
                    RANGES.get(name, (0, 10)), -80, 80
                )  # subnormal results are slow on some hosts
                timed = [np.random.default_rng(1).uniform(low, high, BLOCK).astype(dtype) for _ in arrays]
                line += f" {kernel.rate(*timed):7.2f} {_numpy_rate(FUNCTIONS[name][2], timed)}"
            print(line, flush=True)


def print_fast(names, points: int) -> None:
    """The errors of the looser variants where their bounds hold."""
    print(
        f"{'function':13} {'type':4} {'max ULP':>9} {'bound':>6} {'from':>8} {'to':>8} "
        f"{'per ns':>7} {'usual':>7}"
    )
    for name in names:
        bound, low, high = FAST_BOUNDS[name]
        arrays = (np.random.default_rng(0).uniform(low, high, points).astype(np.float32),)
        fast, exact = (Jit(source(name, "f32"), np.float32, fast=fast) for fast in (True, False))
        rates = " ".join(f"{kernel.rate(*arrays):7.2f}" for kernel in (fast, exact))
        error = errors(name, fast, arrays).max()
        print(f"{name:13} f32  {error:9.3f} {bound:6.1f} {low:8g} {high:8g} {rates}", flush=True)


def _numpy_rate(function: Callable | None, arrays: list[np.ndarray]) -> str:
    if function is None:
        return "      -"
    best = math.inf
    with np.errstate(all="ignore"):
        for _ in range(20):
            start = time.perf_counter_ns()
            function(*arrays)
            best = min(best, time.perf_counter_ns() - start)
    return f"{BLOCK / best:7.2f}"


if __name__ == "__main__":
    main()
