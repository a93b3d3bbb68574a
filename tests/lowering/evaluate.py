"""Runs functions on tensors by upstream passes alone, so that a lowering is judged by numbers."""

import ctypes
import importlib

import numpy as np

from vertebra.core import mlir
from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import linalg, passmanager

_TO_BUFFERS = (
    "convert-elementwise-to-linalg",
    "one-shot-bufferize{bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map}",
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
