"""The emulator computes half precision and conversions as NumPy does; generated code relies on both."""

import shutil

import attrs
import numpy as np
import pytest

from vertebra.core import toolchain
from vertebra.core.runtime import Binary
from vertebra.core.target import Core, VectorUnit
from vertebra.plugins.qemu import rtz
from vertebra.plugins.qemu.runtime import QemuRuntime

pytestmark = pytest.mark.skipif(shutil.which("qemu-riscv64") is None, reason="qemu-riscv64 is not installed")

CORE = Core(
    name="test",
    target="rvv",
    arch="riscv64",
    triple="riscv64-unknown-linux-gnu",
    isa="rv64gcv_zfh_zvfh",
    vector=VectorUnit(256),
    features=("+m", "+a", "+f", "+d", "+c", "+v", "+zfh", "+zvfh"),
)
N = 21  # elements: more than one register of halves, and not all of two
ROOM = 256  # bytes for one result

# Loads old, a, b and the mask, and the scalar; every case starts from them.
PROLOGUE = """
.globl kernel
kernel:
  ld t0, 0(a0)
  ld t1, 8(a0)
  ld t2, 16(a0)
  ld t3, 24(a0)
  ld t4, 32(a0)
  flh fa0, 40(a0)
  li t5, {n}
  vsetvli zero, t5, e8, m1, ta, ma
  vlm.v v0, (t4)
"""
CASE = """
  vsetvli zero, t5, e{bits}, m{group}, ta, ma
  vle{bits}.v v8, (t1)
  vsetvli zero, t5, e{sew}, m2, tu, mu
  vle{a_bits}.v v16, (t2)
  vle{b_bits}.v v24, (t3)
  vsetvli zero, t5, e{sew}, m2, tu, mu
  {text}
  vsetvli zero, t5, e{bits}, m{group}, ta, ma
  vse{bits}.v v8, (t0)
  addi t0, t0, {room}
"""


@pytest.fixture(scope="module")
def runtime():
    made = QemuRuntime()
    yield made
    made.close()


def run(runtime, cases, old, a, b, mask, scalar, *, sew, bits, core=CORE):
    """The bytes of v8 after each of `cases` (assembly), whose elements are `bits` wide; ROOM bytes a case."""
    text = PROLOGUE.format(n=N)
    for case in cases:
        text += CASE.format(
            text=case,
            bits=bits,
            group=max(1, 2 * bits // sew),
            sew=sew,
            a_bits=a.itemsize * 8,
            b_bits=b.itemsize * 8,
            room=ROOM,
        )
    obj = toolchain.compile_source(
        text + "  ret\n", triple=CORE.triple, flags=["-mcpu=generic_rv64+f+d+v+zfh+zvfh"], language="s"
    )
    kernel = runtime.load(Binary("kernel", obj, 0, ("*i8", "*i8", "*i8", "*i8", "*i8", "fp16"), core))
    out = np.zeros((len(cases), ROOM), np.uint8)
    kernel.launch((1, 1, 1), (out, old, a, b, mask, scalar))
    return out


rng = np.random.default_rng(7)
SPECIAL = [0.0, -0.0, 1.5, -65504, np.inf, -np.inf, np.nan, 6e-8, -6e-5, 2049]
A = np.concatenate([SPECIAL, rng.standard_normal(N - len(SPECIAL)) * 8]).astype(np.float16)
B = np.concatenate([rng.standard_normal(N - len(SPECIAL)) * 3, SPECIAL[::-1]]).astype(np.float16)
OLD = (rng.standard_normal(N) * 2).astype(np.float16)
MASK_BITS = rng.integers(0, 2, 32).astype(bool)
MASK = np.packbits(MASK_BITS, bitorder="little")
S = np.float16(-1.25)


def wide(x):
    return x.astype(np.float64)


def half(x):
    return np.asarray(x, np.float64).astype(np.float16)


def where(new):
    return np.where(MASK_BITS[:N], new, OLD)


HALF = {
    "vfadd.vv v8, v16, v24": lambda: A + B,
    "vfadd.vf v8, v16, fa0": lambda: A + S,
    "vfadd.vv v8, v16, v24, v0.t": lambda: where(A + B),
    "vfsub.vv v8, v16, v24": lambda: A - B,
    "vfrsub.vf v8, v16, fa0": lambda: S - A,
    "vfmul.vv v8, v16, v24": lambda: A * B,
    "vfdiv.vv v8, v16, v24": lambda: A / B,
    "vfrdiv.vf v8, v16, fa0": lambda: S / A,
    "vfsqrt.v v8, v16": lambda: np.sqrt(A),
    "vfmacc.vv v8, v16, v24": lambda: half(wide(A) * wide(B) + wide(OLD)),
    "vfmacc.vf v8, fa0, v16": lambda: half(wide(A) * float(S) + wide(OLD)),
    "vfnmacc.vv v8, v16, v24": lambda: half(-wide(A) * wide(B) - wide(OLD)),
    "vfmsac.vv v8, v16, v24": lambda: half(wide(A) * wide(B) - wide(OLD)),
    "vfnmsac.vv v8, v16, v24": lambda: half(-wide(A) * wide(B) + wide(OLD)),
    "vfmadd.vv v8, v16, v24": lambda: half(wide(A) * wide(OLD) + wide(B)),
    "vfnmadd.vv v8, v16, v24": lambda: half(-wide(A) * wide(OLD) - wide(B)),
    "vfmsub.vv v8, v16, v24": lambda: half(wide(A) * wide(OLD) - wide(B)),
    "vfnmsub.vf v8, fa0, v24": lambda: half(-float(S) * wide(OLD) + wide(B)),
    "vfmin.vv v8, v16, v24": lambda: np.fmin(A, B),
    "vfmax.vf v8, v16, fa0": lambda: np.fmax(A, S),
    "vfsgnj.vv v8, v16, v24": lambda: np.copysign(A, B),
    "vfsgnjn.vv v8, v16, v24": lambda: np.copysign(A, -B),
    "vfmerge.vfm v8, v16, fa0, v0": lambda: np.where(MASK_BITS[:N], S, A),
    "vfmv.v.f v8, fa0": lambda: np.full(N, S),
    "vfmv.s.f v8, fa0": lambda: np.concatenate([[S], OLD[1:]]),
    "vfmv.f.s fa1, v16\nvfmv.v.f v8, fa1": lambda: np.full(N, A[0]),
    "vfslide1up.vf v8, v16, fa0": lambda: np.concatenate([[S], A[:-1]]),
    "vfslide1down.vf v8, v16, fa0": lambda: np.concatenate([A[1:], [S]]),
    "vfredmax.vs v8, v24, v16": lambda: np.concatenate([[np.fmax.reduce(np.append(B, A[0]))], OLD[1:]]),
    "vmv1r.v v1, v0\nvmflt.vf v0, v16, fa0\nvfmerge.vfm v8, v24, fa0, v0\nvmv1r.v v0, v1": lambda: np.where(
        A < S, S, B
    ),
    "vmv1r.v v1, v0\nvmfeq.vv v0, v16, v16\nvfmerge.vfm v8, v24, fa0, v0\nvmv1r.v v0, v1": lambda: np.where(
        A == A, S, B
    ),
}


@pytest.fixture(scope="module")
def halves(runtime):
    out = run(runtime, list(HALF), OLD, A, B, MASK, S, sew=16, bits=16)
    return dict(zip(HALF, out, strict=True))


@pytest.mark.parametrize("case", HALF, ids=range(len(HALF)))
def test_half_precision(halves, case):
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(halves[case].view(np.float16)[:N], HALF[case]().astype(np.float16))


def test_widening_halves(runtime):
    cases = [
        "vfwcvt.f.f.v v8, v16",
        "vfwadd.vv v8, v16, v24",
        "vfwmul.vv v8, v16, v24",
        "vfwmacc.vv v8, v16, v24",
    ]
    old = OLD.astype(np.float32)
    out = run(runtime, cases, old, A, B, MASK, S, sew=16, bits=32).view(np.float32)[:, :N]
    a, b = A.astype(np.float32), B.astype(np.float32)
    with np.errstate(all="ignore"):
        expected = [a, a + b, a * b, (wide(A) * wide(B) + wide(old)).astype(np.float32)]
    np.testing.assert_array_equal(out, expected)


def test_narrowing_to_halves(runtime):
    a = np.concatenate([A.astype(np.float32)[:10], rng.standard_normal(N - 10).astype(np.float32) * 1e4])
    cases = ["vfncvt.f.f.w v8, v16", "vmv.v.v v8, v24"]
    out = run(runtime, cases, OLD, a, B, MASK, S, sew=16, bits=16).view(np.float16)[:, :N]
    np.testing.assert_array_equal(out, [a.astype(np.float16), B])


def saturated(x, dtype):
    """x truncated to an integer of `dtype`, saturated; NaN becomes the largest (RISC-V F, table of fcvt)."""
    info = np.iinfo(dtype)
    whole = [info.max if np.isnan(v) else max(info.min, min(info.max, v)) for v in x.tolist()]
    return np.array([info.max if v != v else v if abs(v) == np.inf else int(v) for v in whole], dtype)


# text, SEW, source, result
RTZ = [
    ("vfcvt.rtz.x.f.v v8, v16", 16, np.float16, np.int16),
    ("vfcvt.rtz.xu.f.v v8, v16", 16, np.float16, np.uint16),
    ("vfcvt.rtz.x.f.v v8, v16", 32, np.float32, np.int32),
    ("vfcvt.rtz.xu.f.v v8, v16", 32, np.float32, np.uint32),
    ("vfcvt.rtz.x.f.v v8, v16", 64, np.float64, np.int64),
    ("vfcvt.rtz.xu.f.v v8, v16", 64, np.float64, np.uint64),
    ("vfwcvt.rtz.x.f.v v8, v16", 16, np.float16, np.int32),
    ("vfwcvt.rtz.xu.f.v v8, v16", 32, np.float32, np.uint64),
    ("vfncvt.rtz.x.f.w v8, v16", 8, np.float16, np.int8),
    ("vfncvt.rtz.xu.f.w v8, v16", 16, np.float32, np.uint16),
    ("vfncvt.rtz.x.f.w v8, v16", 32, np.float64, np.int32),
]
FLOATS = [0.0, -0.0, 0.99, -0.99, 1.5, -1.5, 2.5, 127.9, 128, -128.9, -129, 255.5, 256, 32767.9, -4e4, 6e4]
FLOATS += [np.nan, np.inf, -np.inf, 3e9, -1e19]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "text, sew, source, result", RTZ, ids=[f"{t.split()[0]}-{np.dtype(r).name}" for t, _, _, r in RTZ]
)
def test_rounding_towards_zero(runtime, text, sew, source, result, masked):
    assert len(FLOATS) == N
    with np.errstate(all="ignore"):
        a = np.array(FLOATS).astype(source)
    old = np.arange(N).astype(result)
    if masked:
        text += ", v0.t"
    core = attrs.evolve(CORE, vector=VectorUnit(1024))  # N doubles fit in a group of two
    out = run(runtime, [text], old, a, a, MASK, S, sew=sew, bits=old.itemsize * 8, core=core)
    out = out[0].view(result)[:N]
    expected = saturated(a, result)
    np.testing.assert_array_equal(out, np.where(MASK_BITS[:N], expected, old) if masked else expected)


def test_only_conversions_are_replaced():
    source = """
      .globl kernel
      kernel:
      c.nop
      vfcvt.rtz.x.f.v v8, v16
      vfcvt.x.f.v v8, v16
      vfncvt.rod.f.f.w v8, v16
      vfncvt.f.f.w v8, v16
      c.nop
      vfwcvt.rtz.xu.f.v v4, v16, v0.t
      vfwcvt.f.f.v v4, v16
      fcvt.w.s a0, fa0, rtz
      lui a0, 0x4b031
    """
    obj = toolchain.compile_source(
        source, triple=CORE.triple, flags=["-mcpu=generic_rv64+c+f+d+v+zvfh"], language="s"
    )
    shared = toolchain.link_shared([obj], CORE)
    changed = [
        at for at, (old, new) in enumerate(zip(shared, rtz.replace(shared), strict=True)) if old != new
    ]
    start = min(changed) - 5
    assert [at - start for at in changed] == [5, 23]


def test_a_replaced_instruction_counts_once(runtime):
    text = ".globl kernel\nkernel:\n vsetivli zero, 4, e32, m1, ta, ma\n vfcvt.rtz.x.f.v v8, v16\n ret\n"
    obj = toolchain.compile_source(text, triple=CORE.triple, flags=["-mcpu=generic_rv64+f+d+v"], language="s")
    counts = runtime.load(Binary("kernel", obj, 0, (), CORE)).count((1, 1, 1), ())
    assert (counts["all"], counts["vector_arithmetic"], counts["vector_set"]) == (3, 1, 1)
