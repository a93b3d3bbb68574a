"""Matrix instructions by declaration: meaning, checks, and rows of the table."""

import numpy as np
import pytest

from vertebra.core import elements
from vertebra.core.errors import ConfigError
from vertebra.core.matrix import BITS, DotInstruction, Tile, dot, table_row
from vertebra.core.target import Core, VectorUnit
from vertebra.core.vector_state import VectorState

ENCODING = "0000001 bbbbb aaaaa 000 {} 0001011"
GROUPS = {1: "ddddd", 2: "dddd0", 4: "ddd00"}


def declared(tile, vlen, types, group) -> DotInstruction:
    return dot("acme.dot", ENCODING.format(GROUPS[group]), tile=tile, vlen=vlen, types=types, requires="xdot")


def core(vlen: int, *extensions: str) -> Core:
    return Core(
        name="acme",
        target="rvv",
        arch="riscv64",
        triple="riscv64-linux-gnu",
        isa="rv64gcv",
        vector=VectorUnit(vlen),
        extensions=frozenset(extensions),
    )


CASES = [
    ((8, 8, 8), 512, ("i8", "i8", "i32"), 4),
    ((8, 8, 8), 512, ("ui8", "i8", "i32"), 4),
    ((4, 4, 16), 256, ("i4", "ui4", "i32"), 2),
    ((4, 4, 4), 256, ("i16", "ui16", "i64"), 4),
    ((2, 2, 4), 256, ("ui32", "i32", "i64"), 1),
]


@pytest.mark.parametrize("tile, vlen, types, group", CASES)
def test_integers_wrap(tile, vlen, types, group):
    record = declared(tile, vlen, types, group)
    m, n, k = tile
    state = VectorState(np.random.default_rng(0).integers(0, 256, (32, vlen // 8), np.uint8))
    state.v[8] = 0xFF  # extremes
    before = state.v.copy()
    record.run(state, vd=16, vs1=8, vs2=9)
    a = [int(x) for x in elements.integers(before[8], types[0])]
    b = [int(x) for x in elements.integers(before[9], types[1])]
    bits = int(types[2][1:])
    c = [int(x) for x in before[16 : 16 + group].reshape(-1).view(f"i{bits // 8}")]
    for i in range(m):
        for j in range(n):
            c[i * n + j] += sum(a[i * k + e] * b[j * k + e] for e in range(k))
    got = state.v[16 : 16 + group].reshape(-1).view(f"u{bits // 8}")
    assert [x % (1 << bits) for x in c] == [int(x) for x in got]
    state.v[16 : 16 + group] = before[16 : 16 + group]
    np.testing.assert_array_equal(state.v, before)


@pytest.mark.parametrize("kind", ["f16", "bf16", "f32"])
def test_floats_are_rounded_once_a_step(kind):
    m = n = 4
    k = 256 // 4 // BITS[kind]
    record = declared((m, n, k), 256, (kind, kind, "f32"), 2)
    random = np.random.default_rng(1)
    state = VectorState.zeros(256)
    state.v[2:6] = random.standard_normal((4, 8)).astype(np.float32).view(np.uint8)
    if kind == "f16":
        state.v[8:10] = random.standard_normal((2, 16)).astype(np.float16).view(np.uint8)
    else:
        state.v[8:10] = random.standard_normal((2, 8)).astype(np.float32).view(np.uint8)
    a, b = (elements.floats(state.v[r], kind).reshape(4, k) for r in (8, 9))
    total = state.v[2:4].reshape(-1).view(np.float32).reshape(m, n).copy()
    for e in range(k):  # what long double keeps of a sum decides its rounding to float32
        exact = np.outer(a[:, e], b[:, e]).astype(np.longdouble) + total.astype(np.longdouble)
        with np.errstate(over="ignore"):
            total = exact.astype(np.float32)
    record.run(state, vd=2, vs1=8, vs2=9)
    np.testing.assert_array_equal(state.v[2:4].reshape(-1).view(np.float32).reshape(m, n), total)


@pytest.mark.parametrize(
    "tile, vlen, types, group, message",
    [
        ((8, 8, 8), 512, ("i8", "i8", "f32"), 4, "acme.dot multiplies i8 by i8 into f32\nfix: use integers"),
        ((8, 8, 8), 512, ("f64", "f64", "f64"), 4, "acme.dot multiplies f64 by f64 into f64"),
        ((8, 8, 4), 512, ("i8", "i8", "i32"), 4, "vs1 is 1 x 512 bits, its part of the tile 8x8x4 is 256"),
    ],
)
def test_declarations_without_meaning_are_refused(tile, vlen, types, group, message):
    with pytest.raises(ConfigError, match=message):
        declared(tile, vlen, types, group)


def test_a_group_that_the_bits_cannot_name_is_refused():
    """Four registers from one that is a multiple of two would overlap others."""
    with pytest.raises(ConfigError, match="vd names groups of 4 registers by multiples of 2"):
        declared((8, 8, 8), 512, ("i8", "i8", "i32"), 2)


def test_the_row_of_the_table():
    record = declared((8, 8, 8), 512, ("i8", "i8", "i32"), 4)
    row = table_row(core(512, "xdot"), record)
    assert (row.m, row.n, row.k, row.a, row.b, row.acc) == (8, 8, 8, "i8", "i8", "i32")
    assert (row.a_registers, row.b_registers, row.acc_registers) == (1, 1, 4)
    assert row.registers <= 32 and row.peak == 1024
    assert record.tile(core(512, "xdot")) == Tile(8, 8, 8)
    assert table_row(core(512), record) is None
    assert table_row(core(256, "xdot"), record) is None
