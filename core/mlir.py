"""The one door to the upstream MLIR Python bindings.

Whatever distribution provides them (`mlir`, or the copy inside the `torch-mlir`
wheel), every other module imports `ir`, `ext`, `rewrite`, the dialect modules
and so on from here, and names no provider.
"""

import importlib
import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING

PROVIDERS = ("mlir", "torch_mlir")


def _provider() -> str:
    for name in PROVIDERS:
        if importlib.util.find_spec(name) and importlib.util.find_spec(f"{name}._mlir_libs"):
            return name
    raise ImportError("no MLIR Python bindings found; install them with `pip install torch-mlir`")


PROVIDER = _provider()


def _load(path: str) -> ModuleType:
    return importlib.import_module(f"{PROVIDER}.{path}")


if TYPE_CHECKING:  # the bindings have no types, but their classes are names of types all the same
    from mlir import ir, passmanager, rewrite
    from mlir.dialects import (  # noqa: F401
        affine,
        arith,
        bufferization,
        builtin,
        cf,
        ext,
        func,
        irdl,
        linalg,
        llvm,
        math,
        memref,
        scf,
        tensor,
        transform,
        vector,
    )
else:
    ir = _load("ir")
    passmanager = _load("passmanager")
    rewrite = _load("rewrite")
    ext = _load("dialects.ext")

_DIALECTS = (
    "affine", "arith", "bufferization", "builtin", "cf", "func", "irdl", "linalg", "llvm", "math",
    "memref", "scf", "tensor", "transform", "vector",
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    """Dialect modules are imported when first asked for: each costs milliseconds."""
    if name in _DIALECTS:
        module = _load(f"dialects.{name}")
        globals()[name] = module
        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


ir.loc_tracebacks  # noqa: B018 - fails early on bindings that are too old
