"""Groups of vector registers on RISC-V: how long they are, and that loops keep them in registers."""

import numpy as np
import pytest

from vertebra.core.compile import compile, render
from vertebra.core.hooks import cores
from vertebra.core.select import runtime_for

CORES = ["spacemit-x60", "spacemit-x100"]
GRID = ", ".join(f"%{name}: i32" for name in ("gx", "gy", "gz", "px", "py", "pz"))
SIZE = 1024


def kernel(function: str) -> str:
    """a1[i] = function(a0[i]) for SIZE elements."""
    t, m = f"tensor<{SIZE}xf32>", f"memref<{SIZE}xf32, strided<[1]>>"
    views = "".join(
        f"%v{i} = memref.reinterpret_cast %a{i} to offset: [0], sizes: [{SIZE}], strides: [1] "
        f": memref<?xf32> to {m}\n"
        for i in (0, 1)
    )
    return f"""func.func @k(%a0: memref<?xf32>, %a1: memref<?xf32>, {GRID}) attributes {{vertebra.kernel}} {{
      {views}
      %buffer = memref.alloc() : memref<{SIZE}xf32>
      memref.copy %v0, %buffer : {m} to memref<{SIZE}xf32>
      %x = bufferization.to_tensor %buffer restrict writable : memref<{SIZE}xf32> to {t}
      %y = math.{function} %x : {t}
      bufferization.materialize_in_destination %y in writable %v1 : ({t}, {m}) -> ()
      return
    }}"""


def loops(text: str) -> list[list[str]]:
    """The instructions of every innermost loop."""
    found, lines = [], text.splitlines()
    for start, line in enumerate(lines):
        label = line.split(":")[0]
        for stop in range(start + 1, len(lines) if line.startswith(".LBB") else 0):
            if lines[stop].startswith(".LBB"):
                break
            if label in lines[stop].split():
                found.append([x.strip() for x in lines[start + 1 : stop + 1] if x.startswith("\t")])
    return found


def render_asm(function: str, core: str) -> str:
    return render(kernel(function), "asm", cores()[core], start="linalg")


@pytest.mark.parametrize("core", CORES)
def test_llvm_knows_the_length_of_the_registers(core):
    text = render(kernel("exp"), "llir", cores()[core], start="linalg")
    assert "vscale_range(4,4)" in text
    assert "vlenb" not in render_asm("exp", core)


@pytest.mark.parametrize("core", CORES)
def test_coefficients_come_from_scalar_registers(core):
    """The loops of exp spread each coefficient where it is added; none is reloaded as a vector."""
    heavy = [loop for loop in loops(render_asm("exp", core)) if sum("vfm" in x for x in loop) > 8]
    assert heavy
    for loop in heavy:
        spread = sum(x.startswith("vfmv.v.f") for x in loop)
        reloads = sum(x.startswith(("vl8r.v", "vl4r.v")) for x in loop)
        assert spread == 6  # the rounding constant, four coefficients, 1
        assert reloads <= 1  # the exponent may be put aside


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("function", ["exp", "erf", "log", "sin"])
def test_values(function, core):
    import math

    x = np.linspace(0.01, 20, SIZE, dtype=np.float32)
    out = np.zeros_like(x)
    binary = compile(kernel(function), cores()[core], name="k", signature=("*fp32", "*fp32"), start="linalg")
    runtime_for(cores()[core]).load(binary).launch((1, 1, 1), [x, out])
    np.testing.assert_allclose(out, [getattr(math, function)(float(v)) for v in x], rtol=3e-7, atol=1e-7)
