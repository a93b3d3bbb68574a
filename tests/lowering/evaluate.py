"""Runs functions on tensors, by upstream passes alone and on the host: lowerings are judged by numbers."""

import ctypes
import importlib
import re

import numpy as np

from vertebra.core import assembly, mlir
from vertebra.core.compile import compile
from vertebra.core.context import context
from vertebra.core.hooks import cores
from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import ir, linalg, passmanager
from vertebra.core.select import runtime_for
from vertebra.lowering.total_arith import make_arith_total
from vertebra.lowering.tt_to_linalg import check_lowered, lower_compute

_RNG = np.random.default_rng(1)

_TO_BUFFERS = (
    "convert-elementwise-to-linalg",
    "one-shot-bufferize{bufferize-function-boundaries allow-return-allocs-from-loops"
    " function-boundary-type-conversion=identity-layout-map}",
    "buffer-results-to-out-params{hoist-static-allocs modify-public-functions}",
)
_TO_LLVM = (
    "convert-linalg-to-loops",
    "expand-strided-metadata",
    "lower-affine",
    "convert-scf-to-cf",
    "arith-expand",
    "convert-math-to-llvm",
    "convert-math-to-libm",
    "convert-arith-to-llvm",
    "convert-index-to-llvm",
    "finalize-memref-to-llvm",
    "convert-cf-to-llvm",
    "func.func(llvm-request-c-wrappers)",
    "convert-func-to-llvm",
    "convert-ub-to-llvm",
    "reconcile-unrealized-casts",
)


@pattern("memref.copy")
def copy_to_generic(op):
    """MLIR's own way needs a library at run time."""
    linalg.copy(op.operands[0], outs=[op.operands[1]])
    return []


def _run(passes, module) -> None:
    passmanager.PassManager.parse(f"builtin.module({','.join(passes)})", module.context).run(module.operation)


def evaluate(
    module, name: str, *inputs, out: list[tuple[tuple[int, ...], type]], in_place=False
) -> list[np.ndarray]:
    """Results of function `name` of `module`, all tensors, for arrays and scalars `inputs`.

    out: (shape, dtype) of each result.  in_place: whether arrays may be written to.  The module is
    used up.
    """
    module.operation.verify()
    _run(_TO_BUFFERS, module)
    apply(module.operation, (copy_to_generic,))
    _run(_TO_LLVM, module)
    engine = importlib.import_module(f"{mlir.PROVIDER}.execution_engine").ExecutionEngine(module, opt_level=0)
    if not in_place:  # bufferization takes inputs for its own
        inputs = [v.copy() if isinstance(v, np.ndarray) else v for v in inputs]
    results = [np.empty(shape, dtype) for shape, dtype in out]
    cells = [_cell(v) for v in (*inputs, *results)]
    pointers = (ctypes.c_void_p * len(cells))(*[ctypes.addressof(c) for c in cells])
    engine.invoke(name, *[ctypes.cast(p, ctypes.POINTER(ctypes.c_void_p)) for p in pointers])
    return results


def _cell(value):
    """What the packed calling convention points to: a pointer to a descriptor, or the scalar itself."""
    if not isinstance(value, np.ndarray):
        return (ctypes.c_int32 if isinstance(value, int) else ctypes.c_float)(value)
    rank = value.ndim

    class Descriptor(ctypes.Structure):
        _fields_ = [
            ("allocated", ctypes.c_void_p),
            ("aligned", ctypes.c_void_p),
            ("offset", ctypes.c_int64),
            *([("shape", ctypes.c_int64 * rank), ("strides", ctypes.c_int64 * rank)] if rank else []),
        ]

    address = value.ctypes.data
    descriptor = Descriptor(address, address, 0)
    for d in range(rank):
        descriptor.shape[d] = value.shape[d]
        descriptor.strides[d] = value.strides[d] // value.itemsize
    pointer = ctypes.pointer(descriptor)
    return pointer


_FUNCTION = re.compile(
    r"func\.func @\w+\((.*?)\)\s*(?:->\s*(.*?))?\s*\{\n(.*)\n\s*return(.*?)\n\s*\}\s*$", re.DOTALL
)
_ARGUMENT = re.compile(r"%(\w+): (tensor<((?:\d+x)*)(\w+)>|\w+)")
_TRITON = {"f16": "fp16", "f32": "fp32", "f64": "fp64"}


def evaluate_on_host(text: str, *inputs, out: list[tuple[tuple[int, ...], type]]) -> list[np.ndarray]:
    """The same for the text of a function, as a kernel that goes the whole way to the host.

    Tensors become memory that the kernel reads at its start and writes at its end.
    """
    head, results, body, last = _FUNCTION.search(text).groups()
    declared, signature, lines, arrays = [], [], [], []
    for (name, type, shape, element), value in zip(_ARGUMENT.findall(head), inputs, strict=True):
        if shape:
            declared.append(f"%{name}_memory: memref<?x{element}>")
            signature.append("*" + _TRITON.get(element, element))
            lines.append(_load(name, shape, element))
        else:
            declared.append(f"%{name}: {type}")
            signature.append(_TRITON.get(type, type))
        arrays.append(value.copy() if isinstance(value, np.ndarray) else value)
    for i, ((_, dtype), (_, type, shape, element)) in enumerate(
        zip(out, _ARGUMENT.findall(re.sub("tensor", "%r: tensor", results or "")), strict=True)
    ):
        declared.append(f"%result{i}: memref<?x{element}>")
        signature.append("*" + _TRITON.get(element, element))
        lines.append(_view(f"result{i}", shape, element))
        arrays.append(np.empty(out[i][0], dtype))
        value = re.findall(r"%\w+(?:#\d+)?", last)[i]
        body += (
            f"\nbufferization.materialize_in_destination {value} in writable %result{i}_view "
            f": ({type}, {_strided(shape, element)}) -> ()"
        )
    kernel = f"\ntt.func public @k({', '.join(declared)}) {{\n{''.join(lines)}{body}\ntt.return\n}}"
    core = cores()["host"]
    binary = compile(kernel, core, name="k", signature=tuple(signature))
    runtime_for(core).load(binary).launch((1, 1, 1), arrays)
    return arrays[len(inputs) :]


def _sizes(shape: str) -> list[int]:
    return [int(n) for n in shape.split("x")[:-1]]


def _strides(shape: str) -> list[int]:
    sizes = _sizes(shape)
    return [int(np.prod(sizes[d + 1 :])) for d in range(len(sizes))]


def _strided(shape: str, element: str) -> str:
    return f"memref<{shape}{element}, strided<{_strides(shape)}>>"


def _view(name: str, shape: str, element: str) -> str:
    base = name if name.startswith("result") else f"{name}_memory"
    return (
        f"%{name}_view = memref.reinterpret_cast %{base} to offset: [0], sizes: {_sizes(shape)}, "
        f"strides: {_strides(shape)} : memref<?x{element}> to {_strided(shape, element)}\n"
    )


def _load(name: str, shape: str, element: str) -> str:
    return _view(name, shape, element) + (
        f"%{name}_buffer = memref.alloc() : memref<{shape}{element}>\n"
        f"memref.copy %{name}_view, %{name}_buffer : {_strided(shape, element)} to memref<{shape}{element}>\n"
        f"%{name} = bufferization.to_tensor %{name}_buffer restrict writable "
        f": memref<{shape}{element}> to tensor<{shape}{element}>\n"
    )


def lowered(text: str):
    """The module of `text`, functions with operations of tt, at the `linalg` stage."""
    module = assembly.parse(text, context())
    lower_compute(module, None, None)
    make_arith_total(module, None, None)
    check_lowered(module, None, None)
    return module


def run(text: str, *inputs, out):
    """Results by upstream passes; those of the host's own pipeline have to agree."""
    with context(), ir.Location.unknown():
        results = evaluate(lowered(text), "f", *inputs, out=out)
    for ours, theirs in zip(evaluate_on_host(text, *inputs, out=out), results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    return results[0] if len(results) == 1 else results


def floats(*shape) -> np.ndarray:
    """Normally distributed f32."""
    return _RNG.standard_normal(shape).astype(np.float32)


def names_in(module) -> list[str]:
    """The names of all operations."""
    found = []

    def visit(op):
        found.append(op.name)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found
