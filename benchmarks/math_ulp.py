"""Accuracy and speed of the elementary functions of `vertebra.lowering.math_to_arith`.

    python benchmarks/math_ulp.py [--points 1000000] [--fast] [--no-speed] [name ...]

Prints, for each function and type, the largest error in ULP of the result and the
argument where it occurs, and elements per nanosecond beside NumPy's on one thread.  f32
is compared with f64 references where the C library has them, f64 with mpmath at
200 bits (on 1/50 of the points: mpmath takes some 20 us a point).
"""

import argparse
import ctypes
import math
import time
from collections.abc import Callable

import llvmlite.binding as llvm
import mpmath
import numpy as np

from vertebra.core.llvm_syntax import downgrade
from vertebra.core.mlir import ir, passmanager
from vertebra.core.mlir import llvm as mlir_llvm
from vertebra.lowering.math_to_arith import LIBRARY, expand_math

BLOCK = 4096  # elements a call of a compiled function computes
DTYPES = {"f32": np.float32, "f64": np.float64}
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


def lower(text: str, *, fast: bool = False) -> str:
    """LLVM IR, in the syntax of llvmlite's LLVM, of MLIR `text`."""
    with ir.Context() as context, ir.Location.unknown():
        context.enable_multithreading(False)
        module = ir.Module.parse(text)
        _expand_library(module)
        expand_math(module, fast=fast)
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
    """A compiled kernel of `source`: call it with arrays of any length."""

    def __init__(self, text: str, dtype: type, *, fast: bool = False):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly(lower(text, fast=fast))
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


def _c(function: Callable) -> Callable:
    """`function` of Python's math module on arrays of f64."""
    return np.vectorize(function, otypes=[np.float64])


# name -> (reference in f64 for f32, reference in mpmath, NumPy's own function or None)
FUNCTIONS: dict[str, tuple[Callable | None, Callable, Callable | None]] = {
    "exp": (np.exp, mpmath.exp, np.exp),
    "exp2": (np.exp2, lambda x: mpmath.power(2, x), np.exp2),
    "expm1": (np.expm1, mpmath.expm1, np.expm1),
    "log": (np.log, mpmath.log, np.log),
    "log2": (np.log2, lambda x: mpmath.log(x) / mpmath.log(2), np.log2),
    "log10": (np.log10, mpmath.log10, np.log10),
    "log1p": (np.log1p, mpmath.log1p, np.log1p),
    "sin": (np.sin, mpmath.sin, np.sin),
    "cos": (np.cos, mpmath.cos, np.cos),
    "tan": (np.tan, mpmath.tan, np.tan),
    "asin": (np.arcsin, mpmath.asin, np.arcsin),
    "acos": (np.arccos, mpmath.acos, np.arccos),
    "atan": (np.arctan, mpmath.atan, np.arctan),
    "sinh": (np.sinh, mpmath.sinh, np.sinh),
    "cosh": (np.cosh, mpmath.cosh, np.cosh),
    "tanh": (np.tanh, mpmath.tanh, np.tanh),
    "asinh": (np.arcsinh, mpmath.asinh, np.arcsinh),
    "acosh": (np.arccosh, mpmath.acosh, np.arccosh),
    "atanh": (np.arctanh, mpmath.atanh, np.arctanh),
    "erf": (_c(math.erf), mpmath.erf, None),
    "erfc": (_c(math.erfc), mpmath.erfc, None),
    "cbrt": (np.cbrt, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), np.cbrt),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda x: 1 / mpmath.sqrt(x), lambda x: 1 / np.sqrt(x)),
    "powf": (np.power, mpmath.power, np.power),
    "atan2": (np.arctan2, mpmath.atan2, np.arctan2),
}
# Where most of the samples lie; the rest are spread over all bit patterns.
RANGES = {
    "exp": (-104, 89), "exp2": (-151, 129), "expm1": (-20, 89), "sin": (-40, 40), "cos": (-40, 40),
    "tan": (-40, 40), "asin": (-1, 1), "acos": (-1, 1), "atan": (-5, 5), "sinh": (-90, 90), "cosh": (-90, 90),
    "tanh": (-10, 10),
    "asinh": (-5, 5), "acosh": (1, 5), "atanh": (-1, 1), "erf": (-4, 4), "erfc": (-4, 10.5), "cbrt": (-8, 8),
    "log1p": (-1, 3), "powf": (0, 4), "atan2": (-3, 3),
}  # fmt: skip


# Functions of more than one operand.
OPERANDS = {"powf": 2, "atan2": 2, "ipowi": 2}
OPERANDS |= {"hypot": 2, "rhypot": 2, "norm3d": 3, "rnorm3d": 3, "norm4d": 4, "rnorm4d": 4}


def samples(name: str, dtype: type, count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """`count` arguments each: specials, numbers from the interesting range, and random bit patterns."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    integers = np.uint32 if dtype is np.float32 else np.uint64
    specials = [
        0.0,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        10.0,
        math.pi,
        math.e,
        info.tiny,
        info.smallest_subnormal,
        info.max,
    ]
    specials += [
        info.tiny * (1 - info.eps),
        1 - info.epsneg,
        1 + info.eps,
        np.inf,
        np.nan,
        math.sqrt(0.5),
        math.sqrt(2),
    ]
    specials += [
        math.log(info.max),
        -math.log(info.tiny),
        -math.log(info.smallest_subnormal),
        *np.arange(1, 50) * math.pi / 2,
    ]
    specials += [
        math.log2(info.max),
        -math.log2(info.tiny),
        88.72284,
        89.41599,
        710.47586,
        1024.0,
        128.0,
        2.0**30,
        2.0**84,
    ]
    specials += [
        16367173 * 2.0**72,
        6381956970095103 * 2.0**797,
    ]  # nearest to multiples of pi/2, in f32 and f64
    with np.errstate(over="ignore"):
        one_sided = np.array(specials).astype(dtype)
    fixed = np.concatenate([one_sided, -one_sided])
    low, high = RANGES.get(name, (0, 10))
    if dtype is np.float64 and abs(high) > 50:
        low, high = low * 8, high * 8

    def column() -> np.ndarray:
        bits = rng.integers(0, np.iinfo(integers).max, count, dtype=integers, endpoint=True).view(dtype)
        near = rng.uniform(low, high, count).astype(dtype)
        small = (rng.uniform(-1, 1, count) * 2.0 ** rng.uniform(-20, 0, count)).astype(dtype)
        return np.choose(rng.integers(0, 4, count), [near, near, small, bits])

    x = column()
    if name not in ("powf", "atan2"):
        n = min(fixed.size, count)
        x[:n] = fixed[:n]
        return (x,)
    y = column()
    if name == "powf":
        y = np.where(
            rng.random(count) < 0.5, rng.uniform(-60, 60, count), rng.integers(-30, 31, count)
        ).astype(dtype)
    pairs = np.array(np.meshgrid(fixed[:19], fixed[:19])).reshape(2, -1)
    signs = rng.choice(np.array([-1, 1], dtype), pairs.shape)
    n = min(pairs.shape[1], count)
    x[:n], y[:n] = (pairs * signs)[:, :n]
    return x, y


def reference(name: str, arrays: tuple[np.ndarray, ...], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """The function's values in f64, as a sum of two; specials by NumPy, which follows IEEE 754."""
    in_f64, in_mp, _ = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        wide = [x.astype(np.float64) for x in arrays]
        high = np.array(in_f64(*wide))
    low = np.zeros_like(high)
    if dtype is np.float32:
        return high, low
    with mpmath.workprec(200):
        ordinary = np.isfinite(high) & (high != 0)
        for x in wide:
            ordinary &= np.isfinite(x) & (x != 0)  # mpmath has no signed zeros
        for i in np.flatnonzero(ordinary):
            exact = mpmath.mpf(in_mp(*(mpmath.mpf(float(x[i])) for x in wide)))
            high[i] = float(exact)
            low[i] = float(exact - mpmath.mpf(high[i])) if math.isfinite(high[i]) else 0.0
    return high, low


def ulp_errors(got: np.ndarray, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """|got - (high + low)| in ULP; infinite where NaN, infinity or the sign of a zero is wrong."""
    info = np.finfo(got.dtype)
    limit = 2.0 ** (info.maxexp - 1) * 2.0 if info.maxexp < 1024 else info.max
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(high)
        ulp = np.ldexp(1.0, np.maximum(exponent, info.minexp + 1) - info.nmant - 1)
        wide = np.clip(
            got.astype(np.float64), -limit, limit
        )  # the step from the largest number to infinity is one ULP
        error = np.abs((wide - np.clip(high, -limit, limit)) - low) / ulp
        rounded = high.astype(got.dtype)
    error[np.isnan(high) != np.isnan(got)] = np.inf
    error[np.isnan(high) & np.isnan(got)] = 0
    error[(high == 0) & (got == 0) & (np.signbit(high) != np.signbit(got))] = np.inf
    error[np.isinf(high) & (got != rounded)] = np.inf
    error[np.isinf(got) & ~np.isinf(rounded) & (np.abs(rounded) < info.max)] = np.inf
    return error


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="functions; all of them by default")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--fast", action="store_true", help="the looser variants")
    parser.add_argument("--no-speed", action="store_true")
    options = parser.parse_args()
    print(f"{'function':10} {'type':4} {'max ULP':>9} {'at':>28} {'per ns':>7} {'NumPy':>7}")
    for name in options.names or FUNCTIONS:
        for element, dtype in DTYPES.items():
            if options.fast and element == "f64":
                continue
            kernel = Jit(source(name, element), dtype, fast=options.fast)
            arrays = samples(name, dtype, options.points if element == "f32" else options.points // 50)
            error = ulp_errors(kernel(*arrays), *reference(name, arrays, dtype))
            worst = int(np.argmax(error))
            at = ", ".join(f"{x[worst]:.9g}" for x in arrays)
            line = f"{name:10} {element:4} {error[worst]:9.3f} {at:>28}"
            if not options.no_speed:
                low, high = np.clip(
                    RANGES.get(name, (0, 10)), -80, 80
                )  # subnormal results are slow on some hosts
                timed = [np.random.default_rng(1).uniform(low, high, BLOCK).astype(dtype) for _ in arrays]
                line += f" {kernel.rate(*timed):7.2f} {_numpy_rate(FUNCTIONS[name][2], timed)}"
            print(line, flush=True)


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
