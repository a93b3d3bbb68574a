"""f16 and bf16 where the vector unit lacks them: every value, against NumPy and torch."""

import attrs
import numpy as np
import pytest
import torch

from vertebra.core.compile import compile
from vertebra.core.hooks import cores
from vertebra.core.select import runtime_for

GRID = ", ".join(f"%{name}: i32" for name in ("gx", "gy", "gz", "px", "py", "pz"))
SIGNATURE = {"f16": "*fp16", "bf16": "*bf16", "f32": "*fp32", "f64": "*fp64"}


def bare_host():
    """The host without any narrow float of its own, so that the integer sequences run."""
    core = cores()["host"]
    unit = attrs.evolve(core.vector, conversion=frozenset({"f32", "f64"}))
    return attrs.evolve(core, vector=unit)


def convert(core, source: str, target: str, x, out, n: int) -> None:
    op = "arith.extf" if source in ("f16", "bf16") else "arith.truncf"
    text = f"""func.func @k(%x: memref<?x{source}>, %y: memref<?x{target}>, {GRID}) attributes {{vertebra.kernel}} {{
      %v = memref.reinterpret_cast %x to offset: [0], sizes: [{n}], strides: [1]
        : memref<?x{source}> to memref<{n}x{source}, strided<[1]>>
      %b = memref.alloc() : memref<{n}x{source}>
      memref.copy %v, %b : memref<{n}x{source}, strided<[1]>> to memref<{n}x{source}>
      %t = bufferization.to_tensor %b restrict writable : memref<{n}x{source}> to tensor<{n}x{source}>
      %c = {op} %t : tensor<{n}x{source}> to tensor<{n}x{target}>
      %o = memref.reinterpret_cast %y to offset: [0], sizes: [{n}], strides: [1]
        : memref<?x{target}> to memref<{n}x{target}, strided<[1]>>
      bufferization.materialize_in_destination %c in writable %o
        : (tensor<{n}x{target}>, memref<{n}x{target}, strided<[1]>>) -> ()
      return }}"""
    binary = compile(text, core, name="k", signature=(SIGNATURE[source], SIGNATURE[target]), start="linalg")
    runtime_for(core).load(binary).launch((1, 1, 1), (x, out))


CORES = {"host": lambda: cores()["host"], "bare": bare_host}
TORCH = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64}


def bits(x: torch.Tensor) -> np.ndarray:
    return x.view(
        torch.int16 if x.element_size() == 2 else torch.int32 if x.element_size() == 4 else torch.int64
    ).numpy()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("source", ["f16", "bf16"])
@pytest.mark.parametrize("target", ["f32", "f64"])
def test_every_narrow_value_widens_exactly(core, source, target):
    x = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(TORCH[source])
    out = torch.zeros(1 << 16, dtype=TORCH[target])
    convert(CORES[core](), source, target, x, out, 1 << 16)
    np.testing.assert_array_equal(out.numpy(), x.to(TORCH[target]).numpy())


def interesting(dtype: torch.dtype, narrow: torch.dtype) -> torch.Tensor:
    """Every narrow value, the midpoints between neighbours, and what lies just beside both."""
    exact = torch.arange(1 << 15, dtype=torch.int32).to(torch.int16).view(narrow).to(torch.float64)
    exact = exact[torch.isfinite(exact)]
    middle = (exact[1:] + exact[:-1]) / 2
    special = torch.tensor(
        [0.0, 65504, 65519.99, 65520, 65536, 1e30, 3.4e38, float("inf"), float("nan"), 1e-45, 1e-40]
    )
    points = torch.cat([exact, middle, special.to(torch.float64)]).to(dtype)
    near = [points, torch.nextafter(points, torch.zeros_like(points)), torch.nextafter(points, points + 1)]
    x = torch.cat(near)
    return torch.cat([x, -x])


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("target", ["f16", "bf16"])
@pytest.mark.parametrize("source", ["f32", "f64"])
def test_rounding_once_to_nearest_even(core, source, target):
    x = interesting(TORCH[source], TORCH[target])
    n = len(x)
    out = torch.zeros(n, dtype=TORCH[target])
    convert(CORES[core](), source, target, x, out, n)
    if target == "f16":
        with np.errstate(over="ignore"):
            expected = torch.from_numpy(x.numpy().astype(np.float16))
    else:
        expected = to_bf16(x)
    nan = torch.isnan(expected)
    assert torch.equal(torch.isnan(out), nan)
    np.testing.assert_array_equal(bits(out[~nan]), bits(expected[~nan]))


def to_bf16(x: torch.Tensor) -> torch.Tensor:
    """Rounded once; torch itself goes from float64 through float32."""
    wide = x.to(torch.float64).numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        single = wide.astype(np.float32)
        back = single.astype(np.float64)
        word = single.view(np.int32)
        odd = np.where(np.abs(wide) > np.abs(back), word + 1, word - 1)
        word = np.where((back != wide) & (word % 2 == 0) & np.isfinite(wide), odd, word).astype(np.int32)
    return torch.from_numpy(word.view(np.float32)).to(torch.bfloat16)


EXTREMES = {"maxnumf": np.fmax, "minnumf": np.fmin, "maximumf": np.maximum, "minimumf": np.minimum}


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("wide", ["f16", "f32", "f64"])
@pytest.mark.parametrize("op", EXTREMES)
def test_extremes_of_narrow_values_call_no_library(op, wide, lanes, core):
    """LLVM narrows the operation to f16, for which x86 has none."""
    specials = np.array([0.0, 1, -1, 65504, -65504, 6e-8, np.inf, -np.inf, np.nan, 2, -3, 7, 5, 4, 9, -9])
    x, y = (a.ravel().astype(np.float16) for a in np.meshgrid(specials, specials))
    shaped = (lambda element: f"vector<16x{element}>") if lanes > 1 else (lambda element: element)
    narrow, type_ = shaped("f16"), shaped(wide)
    dialect, tail = ("vector", f", {narrow}") if lanes > 1 else ("memref", "")
    one = f"arith.constant {'dense<1.0>' if lanes > 1 else '1.0'} : {narrow}"
    widen, back = "arith.extf %{0} : " + f"{narrow} to {type_}", f"arith.truncf %c : {type_} to {narrow}"
    if wide == "f16":
        widen, back = "arith.mulf %{0}, %one : " + narrow, f"arith.mulf %c, %one : {narrow}"
    arguments = f"%x: memref<?xf16>, %y: memref<?xf16>, %z: memref<?xf16>, {GRID}"
    text = f"""func.func @k({arguments}) attributes {{vertebra.kernel}} {{
      %zero = arith.constant 0 : index
      %step = arith.constant {lanes} : index
      %end = arith.constant {x.size} : index
      %one = {one}
      scf.for %i = %zero to %end step %step {{
        %h = {dialect}.load %x[%i] : memref<?xf16>{tail}
        %g = {dialect}.load %y[%i] : memref<?xf16>{tail}
        %a = {widen.format("h")}
        %b = {widen.format("g")}
        %c = arith.{op} %a, %b : {type_}
        %d = {back}
        {dialect}.store %d, %z[%i] : memref<?xf16>{tail}
      }}
      return }}"""
    chosen = CORES[core]()
    binary = compile(text, chosen, name="k", signature=("*fp16",) * 3, start="vector")
    z = np.zeros_like(x)
    runtime_for(chosen).load(binary).launch((1, 1, 1), (x, y, z))
    np.testing.assert_array_equal(z, EXTREMES[op](x, y))


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["f16", "bf16"])
def test_every_operation_is_rounded(core, name):
    """x * y - z, where x * y has more digits than the type: no excess precision, no fused multiply-add."""
    text = f"""func.func @k(%x: memref<?x{name}>, %out: memref<?x{name}>, {GRID}) attributes {{vertebra.kernel}} {{
      %zero = arith.constant 0 : index
      %step = arith.constant 16 : index
      %end = arith.constant 1024 : index
      scf.for %i = %zero to %end step %step {{
        %v = vector.load %x[%i] : memref<?x{name}>, vector<16x{name}>
        %p = arith.mulf %v, %v : vector<16x{name}>
        %s = arith.subf %p, %v : vector<16x{name}>
        vector.store %s, %out[%i] : memref<?x{name}>, vector<16x{name}>
      }}
      return }}"""
    x = torch.linspace(-4, 4, 1024, dtype=torch.float64).to(TORCH[name])
    out = torch.zeros_like(x)
    chosen = CORES[core]()
    binary = compile(text, chosen, name="k", signature=(SIGNATURE[name],) * 2, start="vector")
    runtime_for(chosen).load(binary).launch((1, 1, 1), (x, out))
    want = (x.float() * x.float()).to(x.dtype)
    want = (want.float() - x.float()).to(x.dtype)
    assert torch.equal(out, want)
