"""Dialect plugins for tests, whether or not they are installed, and kernels that use them."""

import contextlib
import importlib
import re

import numpy as np

from vertebra.core import context, hooks
from vertebra.core.compile import compile, render
from vertebra.core.hooks import cores
from vertebra.core.select import runtime_for

_CACHED = (hooks.dialects, hooks.lowerings, hooks.fingerprint)


def _forget() -> None:
    for function in _CACHED:
        function.cache_clear()
    if hasattr(context._local, "context"):
        del context._local.context


@contextlib.contextmanager
def plugged(*names: str):
    """Within it the plugins `names` are registered, and this thread's context knows their dialects."""
    manager = hooks.plugins().manager
    added = [name for name in names if not manager.has_plugin(name)]
    for name in added:
        manager.register(importlib.import_module(f"vertebra.plugins.{name}"), name=name)
    _forget()
    yield
    for name in added:
        manager.unregister(name=name)
    _forget()


ELEMENTS = {
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
}
SIGNATURES = {"float16": "*fp16", "float32": "*fp32", "float64": "*fp64"}


def tensor_of(array: np.ndarray) -> str:
    """The type of a tensor like `array`."""
    return f"tensor<{''.join(f'{n}x' for n in array.shape)}{ELEMENTS[array.dtype.name]}>"


def kernel_text(body: str, inputs, outputs) -> str:
    """A kernel of ttir around `body`, which finds array i of `inputs` in %x{i}, and leaves %y{i}.

    Block pointers to all of them are %px{i} and %py{i}; %n is a run-time i32.
    """
    head, tail, numbers = [], [], set()
    arrays = [(f"x{i}", a) for i, a in enumerate(inputs)] + [(f"y{i}", a) for i, a in enumerate(outputs)]
    for name, array in arrays:
        strides = [s // array.itemsize for s in array.strides]
        numbers |= {*array.shape, *strides}
        shape, steps = (", ".join(f"%l{n}" for n in ns) for ns in (array.shape, strides))
        order = ", ".join(map(str, reversed(range(array.ndim))))
        zeros = ", ".join(["%zero"] * array.ndim)
        pointer = f"!tt.ptr<{tensor_of(array)}>"
        head.append(
            f"%p{name} = tt.make_tensor_ptr %a{name}, [{shape}], [{steps}], [{zeros}]"
            f" {{order = array<i32: {order}>}} : {pointer}"
        )
        if name[0] == "x":
            head.append(f"%{name} = tt.load %p{name} : {pointer}")
        else:
            tail.append(f"tt.store %p{name}, %{name} : {pointer}")
    constants = [f"%l{n} = arith.constant {n} : i64" for n in sorted(numbers)]
    arguments = ", ".join(f"%a{name}: !tt.ptr<{ELEMENTS[a.dtype.name]}>" for name, a in arrays)
    lines = ["%zero = arith.constant 0 : i32", *constants, *head, body, *tail, "tt.return"]
    return f"tt.func public @k({arguments}, %n: i32) {{\n" + "\n".join(lines) + "\n}"


def run(core: str, body: str, inputs, outputs, n: int = 0) -> list[np.ndarray]:
    """What `body` computes on a core; the arrays `outputs` give shapes and element types, and are filled."""
    arrays = [*inputs, *outputs]
    signature = [SIGNATURES.get(a.dtype.name, "*" + ELEMENTS[a.dtype.name]) for a in arrays]
    binary = compile(
        kernel_text(body, inputs, outputs), cores()[core], name="k", signature=(*signature, "i32")
    )
    runtime_for(cores()[core]).load(binary).launch((1, 1, 1), [*arrays, n])
    return outputs


def names_at_linalg(body: str, inputs, outputs) -> list[str]:
    """The names of all operations at the `linalg` stage, in order."""
    text = render(kernel_text(body, inputs, outputs), "linalg", cores()["host"])
    return re.findall(r"(?:^|= )\"?([a-z_]+\.[\w.]+)", text, re.MULTILINE)


def window(x, offsets, shape, sizes):
    """x[offsets:][:shape], in `sizes`, 0 outside of x."""
    out = np.zeros(sizes, x.dtype)
    for i in range(shape[0]):
        for j in range(shape[1]):
            r, c = offsets[0] + i, offsets[1] + j
            if 0 <= r < x.shape[0] and 0 <= c < x.shape[1]:
                out[i, j] = x[r, c]
    return out


def packed(x, offsets, shape, tile):
    """The part of x at `offsets`, of `shape`, in tiles; 0 outside of x and of the shape."""
    counts = [-(-s // t) for s, t in zip(shape, tile, strict=True)]
    whole = window(x, offsets, shape, [c * t for c, t in zip(counts, tile, strict=True)])
    return whole.reshape(counts[0], tile[0], counts[1], tile[1]).transpose(0, 2, 1, 3).copy()
