"""Matrix products by micro-kernels: those of the machine at hand, and one whose tiles have several rows."""

import attrs
import numpy as np
import pytest

from vertebra.core import hooks, pipeline
from vertebra.core.compile import compile, render
from vertebra.core.mlir import ir
from vertebra.core.select import runtime_for
from vertebra.core.target import MicroKernel, VectorUnit
from vertebra.lowering.linalg_to_vector.lanes import create
from vertebra.lowering.linalg_to_vector.micro_kernel import multiply_add, parts

HOST = hooks.cores()["host"]
GRID = ", ".join(f"%{name}: i32" for name in ("gx", "gy", "gz", "px", "py", "pz"))
SIZES = [
    (1, 4, 4),
    (4, 8, 8),
    (7, 32, 8),
    (16, 16, 16),
    (65, 33, 31),
    (13, 17, 19),
    (3, 100, 6),
    (64, 64, 64),
]


def product(m, n, k, narrow, wide, *, batch=None, turned=False, unsigned=False) -> str:
    """A kernel: %a3 = %a2 + %a0 @ %a1.  turned: the right factor lies in memory column by column."""
    lead = [batch] if batch else []

    def memory(name, shape, order, type):
        strides, step = [0] * len(shape), 1
        for d in reversed(order):
            strides[d], step = step, step * shape[d]
        dims = "x".join(map(str, shape))
        layout = f"memref<{dims}x{type}, strided<{strides}>>"
        text = (
            f"%{name}v = memref.reinterpret_cast %{name} to offset: [0], sizes: {shape}, "
            f"strides: {strides} : memref<?x{type}> to {layout}\n"
        )
        return text, layout, f"{dims}x{type}"

    def load(name, shape, order, type):
        text, layout, dims = memory(name, shape, order, type)
        return text + (
            f"%{name}b = memref.alloc() : memref<{dims}>\n"
            f"memref.copy %{name}v, %{name}b : {layout} to memref<{dims}>\n"
            f"%{name}t = bufferization.to_tensor %{name}b restrict writable : memref<{dims}> to tensor<{dims}>\n"
        )

    rank = len(lead) + 2
    straight, swapped = list(range(rank)), [*range(rank - 2), rank - 1, rank - 2]
    a, b, c = [*lead, m, k], [*lead, k, n], [*lead, m, n]
    text, layout, dims = memory("a3", c, straight, wide)
    ta, tb = ("x".join(map(str, s)) + f"x{narrow}" for s in (a, b))
    cast = "{cast = #linalg.type_fn<cast_unsigned>} " if unsigned else ""
    return (
        f"func.func @k(%a0: memref<?x{narrow}>, %a1: memref<?x{narrow}>, %a2: memref<?x{wide}>, "
        f"%a3: memref<?x{wide}>, {GRID}) attributes {{vertebra.kernel}} {{\n"
        + load("a0", a, straight, narrow)
        + load("a1", b, swapped if turned else straight, narrow)
        + load("a2", c, straight, wide)
        + f"%r = linalg.{'batch_matmul' if batch else 'matmul'} {cast}ins(%a0t, %a1t : tensor<{ta}>, tensor<{tb}>)"
        f" outs(%a2t : tensor<{dims}>) -> tensor<{dims}>\n"
        + text
        + f"bufferization.materialize_in_destination %r in writable %a3v : (tensor<{dims}>, {layout}) -> ()\n"
        "return\n}"
    )


def run(core, text: str, signature: tuple, *arrays) -> None:
    binary = compile(text, core, name="k", signature=signature, start="linalg")
    runtime_for(core).load(binary).launch((1, 1, 1), arrays)


def narrow_host(bits: int):
    """The machine at hand with shorter registers."""
    return attrs.evolve(HOST, vector=attrs.evolve(HOST.vector, bits=bits, registers=16))


def widths() -> list[int]:
    return [w for w in (512, 256, 128) if w <= HOST.vector.bits]


def check_integers(core, m, n, k, low, high, dtype=np.int8, **kwargs):
    rng = np.random.default_rng(3)
    batch = (kwargs["batch"],) if "batch" in kwargs else ()
    a, b = (rng.integers(low, high + 1, (*batch, *s)).astype(dtype) for s in ((m, k), (k, n)))
    c = rng.integers(-(2**31), 2**31, (*batch, m, n)).astype(np.int32)
    out = np.zeros_like(c)
    name = f"i{8 * a.itemsize}"
    text = product(m, n, k, name, "i32", **kwargs)
    given = np.ascontiguousarray(np.swapaxes(b, -1, -2)) if kwargs.get("turned") else b
    run(core, text, (f"*{name}", f"*{name}", "*i32", "*i32"), a, given, c, out)
    np.testing.assert_array_equal(out, c + a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.parametrize("m, n, k", SIZES)
def test_signed_bytes(m, n, k):
    check_integers(HOST, m, n, k, -128, 127)


@pytest.mark.parametrize("low, high", [(-128, -128), (127, 127), (-128, -127), (0, 127)])
@pytest.mark.parametrize("bits", widths())
def test_extreme_bytes(low, high, bits):
    """-128 * -128 sixty-four times over: nothing saturates on the way."""
    check_integers(narrow_host(bits), 16, 20, 64, low, high)


def test_unsigned_bytes():
    check_integers(HOST, 16, 33, 24, 0, 255, np.uint8, unsigned=True)


@pytest.mark.parametrize("low, high", [(-(2**15), 2**15 - 1), (-(2**15), -(2**15))])
@pytest.mark.parametrize("bits", widths())
def test_words_wrap_around(low, high, bits):
    check_integers(narrow_host(bits), 9, 36, 10, low, high, np.int16)


@pytest.mark.parametrize("k", [16, 64, 80])
def test_bytes_that_lie_column_by_column(k):
    check_integers(HOST, 20, 48, k, -128, 127, turned=True)


def test_batches_of_bytes():
    check_integers(HOST, 5, 32, 6, -128, 127, batch=3)


def bits_of(x: np.ndarray) -> np.ndarray:
    """bfloat16, by cutting; what is given fits or is NaN."""
    return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def check_bf16(m, n, k, a, b, turned=False):
    rng = np.random.default_rng(4)
    a, b = ((bits_of(x).astype(np.uint32) << 16).view(np.float32) for x in (a, b))
    c = rng.standard_normal((m, n)).astype(np.float32)
    out = np.zeros_like(c)
    given = np.ascontiguousarray(b.T) if turned else b
    signature = ("*bf16", "*bf16", "*fp32", "*fp32")
    run(HOST, product(m, n, k, "bf16", "f32", turned=turned), signature, bits_of(a), bits_of(given), c, out)
    with np.errstate(invalid="ignore"):
        want = c + a.astype(np.float64) @ b.astype(np.float64)
        room = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(c)
    ordinary = np.isfinite(want)
    assert np.all(np.abs(out[ordinary] - want[ordinary]) <= k * 2.0**-23 * room[ordinary])
    np.testing.assert_array_equal(out[~ordinary], want[~ordinary].astype(np.float32))


@pytest.mark.parametrize("m, n, k", SIZES)
@pytest.mark.parametrize("turned", [False, True])
def test_bf16(m, n, k, turned):
    rng = np.random.default_rng(5)
    check_bf16(m, n, k, rng.standard_normal((m, k)), rng.standard_normal((k, n)), turned)


def test_bf16_infinities_and_nan():
    """They stay in their rows and columns; an odd K is filled with zeros that meet none of them."""
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((8, 7)), rng.standard_normal((7, 20))
    a[1, 6], a[2, 0], a[5, 3] = np.inf, np.nan, -np.inf
    b[6, 4], b[2, 9], b[3, 11] = np.inf, np.nan, 0
    check_bf16(8, 20, 7, a, b)


@pytest.mark.skipif("+avx512bf16" not in HOST.features, reason="the machine has no bfloat16 dot product")
def test_the_instructions_are_used():
    text = render(product(16, 32, 16, "bf16", "f32"), "asm", HOST, start="linalg")
    assert "vdpbf16ps" in text and "vfmadd" not in text


@pytest.mark.skipif("+avx512vnni" not in HOST.features, reason="the machine has no integer dot product")
def test_the_integer_instructions_are_used():
    text = render(product(16, 32, 16, "i8", "i32"), "asm", HOST, start="linalg")
    assert "vpdpbusd" in text and "vpmulld" not in text


# -- tiles of several rows, as matrix extensions have them


def _tile_step(a, b, acc):
    """acc (4, 4) += a (4, 8) @ b (4, 8).T, from upstream operations."""

    def shaped(value, shape):
        type = ir.VectorType.get(shape, value.type.element_type)
        wide = ir.VectorType.get(shape, ir.IntegerType.get_signless(32))
        value = create("vector.shape_cast", type, [value])
        return value if type == wide else create("arith.extsi", wide, [value])

    maps = "affine_map<(m,n,k)->(m,k)>, affine_map<(m,n,k)->(n,k)>, affine_map<(m,n,k)->(m,n)>"
    kinds = ", ".join(f"#vector.iterator_type<{kind}>" for kind in ("parallel", "parallel", "reduction"))
    operands = [shaped(a, [4, 8]), shaped(b, [4, 8]), shaped(acc, [4, 4])]
    sums = create(
        "vector.contract",
        operands[2].type,
        operands,
        {
            "indexing_maps": ir.Attribute.parse(f"[{maps}]"),
            "iterator_types": ir.Attribute.parse(f"[{kinds}]"),
            "kind": ir.Attribute.parse("#vector.kind<add>"),
        },
    )
    return create("vector.shape_cast", acc.type, [sums])


TILES = MicroKernel("tiles", (4, 4, 8), "i8", "i8", "i32", _tile_step)


@pytest.fixture
def tiled_core(monkeypatch):
    """The machine at hand with the micro-kernel above."""
    known = dict(hooks.targets())
    known["tiles"] = attrs.evolve(
        known["host"], name="tiles", extends="host", micro_kernels=lambda core: (TILES,)
    )
    monkeypatch.setattr(hooks, "targets", lambda: known)
    return attrs.evolve(HOST, target="tiles")


@pytest.mark.parametrize("m, n, k", [(4, 4, 8), (16, 16, 16), (20, 12, 24), (8, 22, 13), (6, 8, 8)])
@pytest.mark.parametrize("turned", [False, True])
def test_tiles_of_several_rows(tiled_core, m, n, k, turned):
    """(6, 8, 8) is not for it: 4 does not divide 6."""
    text = render(product(m, n, k, "i8", "i32", turned=turned), "vector", tiled_core, start="linalg")
    assert ("vector.contract" in text) == (m % 4 == 0)
    check_integers(tiled_core, m, n, k, -128, 127, turned=turned)


def test_own_kernels_come_before_those_of_the_extended_target(tiled_core):
    names = [kernel.name for kernel in pipeline.micro_kernels_of(tiled_core)]
    assert names[0] == "tiles"
    assert names[1:] == [kernel.name for kernel in pipeline.micro_kernels_of(HOST)]


# -- who computes which columns


@pytest.fixture
def mlir_context():
    with ir.Context(), ir.Location.unknown():
        yield


def shares(kernels, unit, narrow, wide, size, unsigned=False):
    a, acc = ir.Type.parse(narrow), ir.Type.parse(wide)
    return [
        (p.kernel.name, p.start, p.stop, p.rows, p.vectors)
        for p in parts(kernels, unit, a, a, acc, size, unsigned)
    ]


def fake(name, lanes, type, acc, k):
    return MicroKernel(name, (1, lanes, k), type, type, acc, _tile_step)


def test_columns_go_to_the_first_kernel_that_fits(mlir_context):
    unit = VectorUnit(512)
    kernels = (fake("wide", 16, "i8", "i32", 4), fake("short", 4, "i8", "i32", 4))
    assert shares(kernels, unit, "i8", "i32", (64, 54, 8)) == [
        ("wide", 0, 32, 14, 2),
        ("wide", 32, 48, 30, 1),
        ("short", 48, 52, 30, 1),
        ("multiply-add", 52, 54, 30, 1),
    ]


def test_operands_are_widened_to_what_a_kernel_takes(mlir_context):
    unit, kernels = VectorUnit(512), (fake("bytes", 16, "i8", "i32", 4), fake("words", 16, "i16", "i32", 2))
    assert shares(kernels, unit, "i8", "i32", (4, 16, 8), unsigned=True)[0][0] == "words"
    assert shares(kernels, unit, "i16", "i32", (4, 16, 8), unsigned=True)[0][0] == "multiply-add"
    assert shares(kernels, unit, "i8", "i32", (4, 16, 3))[0][0] == "words"
    floats = (fake("bf16", 16, "bf16", "f32", 2),)
    assert shares(floats, unit, "f16", "f32", (4, 16, 8))[0][0] == "multiply-add"


def test_long_registers_hold_one_row_of_b_and_seven_of_sums(mlir_context):
    assert shares((), VectorUnit(256, group=4), "f32", "f32", (64, 64, 64)) == [("multiply-add", 0, 64, 7, 1)]


def test_multiply_add_of_one_lane_takes_scalars(mlir_context):
    kernel = multiply_add(ir.F32Type.get(), 1)
    module = ir.Module.create()
    with ir.InsertionPoint(module.body):
        one = create("arith.constant", ir.F32Type.get(), [], {"value": ir.FloatAttr.get(ir.F32Type.get(), 1)})
        assert kernel.emit(one, one, one).type == ir.F32Type.get()
