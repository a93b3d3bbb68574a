"""Which pointer arguments kernels store through."""

import pytest
import triton
import triton.language as tl
from ttir import ttir_of

from vertebra.core import assembly
from vertebra.core.context import context
from vertebra.lowering.stored_arguments import STORED, mark_stored_arguments
from vertebra.lowering.tt_to_func import convert_functions


@triton.jit
def scattered(a, b, c, d, n):
    """Loads of a and of pointers in d; stores at places that are loaded, and by atomics."""
    i = tl.arange(0, 16)
    tl.store(b + tl.load(a + i), 1.0, i < n)
    tl.atomic_add(c + i, 1)
    where = tl.load(d).to(tl.pointer_type(tl.float32))
    tl.store(where + i, 1.0)


@triton.jit
def in_loops(a, b, c, d, n):
    """Of b by a pointer that a loop carries, of c or d as a condition chooses; a is only read."""
    i = tl.arange(0, 16)
    p, q = b + i, a + i
    for _ in range(n):
        tl.store(p, tl.load(q))
        p += 16
        q += 16
    if n > 3:  # noqa: SIM108
        r = c
    else:
        r = d
    tl.store(r + i, 2.0)


@triton.jit
def in_while(a, b, c, d, n):
    """What comes out of a while loop is stored through; c and d take turns."""
    k = n
    p, r, s = a, c, d
    while k > 0:
        k -= 1
        p += 4
        r, s = s, r
    tl.store(p, 1.0)
    tl.store(r, 1.0)
    tl.store(b, tl.load(s))


@triton.jit
def in_blocks(a, b, c, d, n):
    """Block pointers and descriptors; d is only loaded through one."""
    x = tl.make_tensor_descriptor(d, [n, n], [n, 1], [16, 16]).load([0, 0])
    out = tl.make_block_ptr(a, (n, n), (n, 1), (0, 0), (16, 16), (1, 0))
    tl.store(tl.advance(out, (16, 0)), x)
    tl.make_tensor_descriptor(b, [n, n], [n, 1], [16, 16]).store([0, 0], x)
    tl.make_tensor_descriptor(c, [n, n], [n, 1], [16, 16]).atomic_add([0, 0], x)


@triton.jit
def nothing(a, b, c, d, n):
    pass


@pytest.mark.parametrize(
    "kernel, kinds, expected",
    [
        (scattered, ("*i32", "*fp32", "*i32", "*i64"), [1, 2]),
        (in_loops, ("*fp32",) * 4, [1, 2, 3]),
        (in_while, ("*fp32",) * 4, [0, 1, 2, 3]),
        (in_blocks, ("*fp32",) * 4, [0, 1, 2]),
        (nothing, ("*fp32",) * 4, []),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_arguments_that_are_stored_through(kernel, kinds, expected):
    signature = dict(zip("abcdn", (*kinds, "i32"), strict=True))
    with context():
        module = assembly.parse(ttir_of(kernel, signature), context())
        convert_functions(module, None, None)
        mark_stored_arguments(module)
        (function,) = [op for op in module.body.operations if STORED in op.operation.attributes]
        assert [entry.value for entry in function.operation.attributes[STORED]] == expected
