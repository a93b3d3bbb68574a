"""Products by matrix instructions that nothing but their declaration is known of."""

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.matrix import BITS, FLOATS, dot
from vertebra.core.pipeline import panel_kernels_of
from vertebra.core.target import Core, VectorUnit
from vertebra.plugins.qemu.runtime import RUNTIME

from ..ime.products import in_memory, product, products_of, random_integers, run

GROUPS = {1: "ddddd", 2: "dddd0", 4: "ddd00", 8: "dd000"}
# (VLEN, M, N, K, types): squares, oblongs, every group of registers for the sums, and their kinds of types.
DECLARED = [
    (512, 8, 8, 8, ("i8", "i8", "i32")),
    (512, 8, 8, 8, ("ui8", "i8", "i32")),
    (512, 4, 4, 16, ("i8", "i8", "i32")),
    (128, 4, 4, 4, ("i8", "i8", "i32")),
    (256, 8, 8, 4, ("i8", "i8", "i32")),
    (512, 8, 8, 4, ("i16", "i16", "i32")),
    (1024, 8, 8, 8, ("i16", "i16", "i32")),
    (512, 8, 8, 4, ("f16", "f16", "f32")),
    (512, 8, 8, 4, ("bf16", "bf16", "f32")),
    (256, 4, 4, 2, ("f32", "f32", "f32")),
]
# And whether B lies along K.  One row goes through loops of its own.
SIZES = [
    (1, 1, 1, True),
    (7, 9, 17, False),
    (33, 34, 100, True),
    (64, 64, 64, False),
    (1, 40, 256, True),
    (1, 40, 256, False),
    (1, 19, 192, True),
    (1, 19, 192, False),
]


@pytest.fixture(params=DECLARED, ids=lambda d: "-".join([f"v{d[0]}", "x".join(map(str, d[1:4])), *d[4]]))
def record(request, monkeypatch):
    vlen, m, n, k, types = request.param
    group = m * n * BITS[types[2]] // vlen
    encoding = f"0000001 bbbbb aaaaa 000 {GROUPS[group]} 0001011"
    made = dot("test.dot", encoding, tile=(m, n, k), vlen=vlen, types=types, requires="xtestproduct")
    monkeypatch.setattr(hooks, "instructions", lambda: {made.name: made})
    yield made
    RUNTIME.close()


def core_of(record) -> Core:
    ((vlen, tile),) = record.tiles.items()
    floats = frozenset({"f32", "f64"})
    return Core(
        name="test",
        target="rvv",
        arch="riscv64",
        triple="riscv64-unknown-linux-gnu",
        abi="lp64d",
        cpu="generic-rv64",
        # All that the instruction is, since artifacts are kept by what the core's record says.
        isa=f"{record.encoding} {tile} {record.a} {record.b} {record.acc}",
        features=("+m", "+a", "+f", "+d", "+c", "+v", f"+zvl{vlen}b"),
        vector=VectorUnit(vlen, group=4, arithmetic=floats, conversion=floats, reach=2048),
        extensions=frozenset({"xtestproduct"}),
    )


def operands(record, m: int, n: int, k: int):
    """a, b, c and what the product is, and how far off it may be."""
    rng = np.random.default_rng(m * n + k)
    if record.acc not in FLOATS:
        a, b = (random_integers(rng, x, s) for x, s in ((record.a, (m, k)), (record.b, (k, n))))
        c = random_integers(rng, record.acc, (m, n))
        return a, b, c, (c.astype(np.int64) + a.astype(np.int64) @ b.astype(np.int64)).astype(c.dtype), 0
    a, b, c = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n), (m, n)))
    if record.a == "bf16":
        a, b = ((x.view(np.uint32) & 0xFFFF0000).view(np.float32) for x in (a, b))
    elif record.a == "f16":
        a, b = (x.astype(np.float16).astype(np.float32) for x in (a, b))
    bound = k * 2.0**-24 * (np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(c))
    return a, b, c, c + a.astype(np.float64) @ b.astype(np.float64), bound


def stored(record, x: np.ndarray) -> np.ndarray:
    if record.a == "bf16":
        return (x.view(np.uint32) >> 16).astype(np.uint16)
    return x.astype(np.float16) if record.a == "f16" else x


@pytest.mark.parametrize("m, n, k, along", SIZES)
def test_products_of_any_size(record, m, n, k, along):
    core = core_of(record)
    assert [kernel.tile for kernel in panel_kernels_of(core)] == [tuple(record.tile(core))]
    a, b, c, wanted, bound = operands(record, m, n, k)
    out = np.zeros_like(c)
    kinds, turned = (record.a, record.b), (False, along)
    wide = record.acc if record.acc != record.a else None
    text = product(a.shape, b.shape, c.shape, kinds, record.acc, wide=wide, turned=turned)
    assert products_of(core, text) >= 1
    given = [in_memory(stored(record, x), t) for x, t in zip((a, b), turned, strict=True)]
    if record.acc not in FLOATS:
        given = [x.view(f"i{x.itemsize}") for x in given]
    run(core, text, kinds, record.acc, [*given, c, out])
    assert (np.abs(out.astype(np.float64) - wanted) <= bound).all()
    counts = RUNTIME.emulated_counts(core)
    assert counts.get(record.name, 0) > 0


def test_operands_that_take_several_registers_are_left_to_vector_instructions(monkeypatch):
    made = dot(
        "test.dot",
        "0000001 bbbb0 aaaa0 000 ddd00 0001011",
        tile=(8, 8, 16),
        vlen=512,
        types=("i8", "i8", "i32"),
        requires="xtestproduct",
    )
    monkeypatch.setattr(hooks, "instructions", lambda: {made.name: made})
    assert made.operand("vs1").group == 2
    assert panel_kernels_of(core_of(made)) == ()
