"""Kernels of one matrix product, as text at the linalg stage, and their runs."""

import re

import numpy as np

from vertebra.core.compile import compile, render
from vertebra.core.select import runtime_for

GRID = ", ".join(f"%{name}: i32" for name in ("gx", "gy", "gz", "px", "py", "pz"))
SIGNATURES = {"i8": "*i8", "i16": "*i16", "i32": "*i32", "f16": "*fp16", "bf16": "*bf16", "f32": "*fp32"}


def _shape(sizes) -> str:
    return "x".join(map(str, sizes))


def _view(name: str, sizes, type: str, turned: bool) -> tuple[str, str]:
    """A view of argument `name`; turned: its last two dimensions lie in memory the other way round."""
    order = list(range(len(sizes)))
    if turned:
        order[-2:] = order[:-3:-1]
    strides, step = [0] * len(sizes), 1
    for d in reversed(order):
        strides[d], step = step, step * sizes[d]
    layout = f"memref<{_shape(sizes)}x{type}, strided<{strides}>>"
    text = (
        f"%{name}v = memref.reinterpret_cast %{name} to offset: [0], sizes: {list(sizes)}, "
        f"strides: {strides} : memref<?x{type}> to {layout}\n"
    )
    return text, layout


def _load(name: str, sizes, type: str, turned: bool = False) -> str:
    text, layout = _view(name, sizes, type, turned)
    buffer = f"{_shape(sizes)}x{type}"
    return text + (
        f"%{name}b = memref.alloc() : memref<{buffer}>\n"
        f"memref.copy %{name}v, %{name}b : {layout} to memref<{buffer}>\n"
        f"%{name}t = bufferization.to_tensor %{name}b restrict writable : "
        f"memref<{buffer}> to tensor<{buffer}>\n"
    )


def product(a, b, c, kinds, acc, *, wide=None, turned=(False, False), turns: int = 0) -> str:
    """out = c + a @ b

    a, b, c: shapes.  kinds: the operands' types, "ui8" too, extended to `wide` before the product.
    turns: so many times over in a loop that carries the sums.
    """
    stored = [kind.removeprefix("u") for kind in kinds]
    text = "".join(
        _load(name, sizes, type, turn)
        for name, sizes, type, turn in zip(
            ("a", "b", "c"), (a, b, c), (*stored, acc), (*turned, False), strict=True
        )
    )
    values = []
    for name, sizes, kind, type in zip("ab", (a, b), kinds, stored, strict=True):
        narrow = f"tensor<{_shape(sizes)}x{type}>"
        if wide is None:
            values.append((f"%{name}t", narrow))
            continue
        full = f"tensor<{_shape(sizes)}x{wide}>"
        how = "extf" if wide[0] == "f" else "extui" if kind[0] == "u" else "extsi"
        text += f"%{name}w = arith.{how} %{name}t : {narrow} to {full}\n"
        values.append((f"%{name}w", full))
    out = f"tensor<{_shape(c)}x{acc}>"
    name = "matmul" if len(c) == 2 else "batch_matmul"
    (va, ta), (vb, tb) = values

    def matmul(into: str) -> str:
        return f"linalg.{name} ins({va}, {vb} : {ta}, {tb}) outs({into} : {out}) -> {out}\n"

    if turns:
        text += (
            "%zero = arith.constant 0 : index\n%one = arith.constant 1 : index\n"
            f"%many = arith.constant {turns} : index\n"
            f"%r = scf.for %i = %zero to %many step %one iter_args(%s = %ct) -> {out} {{\n"
            f"%p = {matmul('%s')}scf.yield %p : {out}\n}}\n"
        )
    else:
        text += f"%r = {matmul('%ct')}"
    view, layout = _view("o", c, acc, False)
    return (
        f"func.func @k(%a: memref<?x{stored[0]}>, %b: memref<?x{stored[1]}>, %c: memref<?x{acc}>, "
        f"%o: memref<?x{acc}>, {GRID}) attributes {{vertebra.kernel}} {{\n{text}{view}"
        f"bufferization.materialize_in_destination %r in writable %ov : ({out}, {layout}) -> ()\nreturn\n}}"
    )


def run(core, text: str, kinds, acc: str, arrays) -> None:
    """Runs the kernel once; the last of `arrays` is changed."""
    types = [SIGNATURES[kind.removeprefix("u")] for kind in (*kinds, acc, acc)]
    binary = compile(text, core, name="k", signature=tuple(types), start="linalg")
    runtime_for(core).load(binary).launch((1, 1, 1), arrays)


def products_of(core, text: str) -> int:
    """How many loops on the matrix engine the kernel has."""
    return len(re.findall(r"llvm\.inline_asm[^\n]*vsetvli", render(text, "vector", core, start="linalg")))


def in_memory(x: np.ndarray, turned: bool) -> np.ndarray:
    return np.ascontiguousarray(np.swapaxes(x, -1, -2) if turned else x)


def random_integers(rng, kind: str, shape) -> np.ndarray:
    """Of the whole range of `kind`; extremes are frequent."""
    info = np.iinfo(np.dtype(("u" if kind[0] == "u" else "") + f"int{kind.lstrip('ui')}"))
    x = rng.integers(info.min, info.max + 1, shape).astype(info.dtype)
    return np.where(rng.random(shape) < 0.2, rng.choice([info.min, info.max], shape), x).astype(info.dtype)
