"""`smt.dot` on the matrix engines: all signs reach them, in tiles that they have."""

from pathlib import Path

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.compile import compile
from vertebra.core.errors import CompileError
from vertebra.core.select import runtime_for
from vertebra.plugins.triton.aot import compile_file

KERNELS = str(Path(__file__).parent / "kernels.py")
SIGNS = {("i8", "i8"): "", ("u8", "u8"): "u", ("u8", "i8"): "us", ("i8", "u8"): "su"}
TILES = {"spacemit-a60": (4, 4, 8), "spacemit-a100": (8, 8, 16)}


def run(name: str, kinds: tuple[str, str], tile: tuple[int, int, int], args: list) -> dict[str, int]:
    """Instructions of the engine, by name."""
    signature = ",".join(f"*{kind}:16" for kind in (*kinds, "i32"))
    made = compile_file(
        KERNELS, "packed_product", signature=signature, constexpr=f"TILE={tile}", core=name, emit="llir"
    )
    core = hooks.cores()[name]
    binary = compile(made.data, core, name="packed_product", signature=made.signature, start="llir")
    return runtime_for(core).load(binary).count_emulated((1, 1, 1), args)


@pytest.mark.parametrize("name", TILES)
@pytest.mark.parametrize("kinds", SIGNS)
@pytest.mark.parametrize("times", [(1, 1, 1), (2, 4, 2)])
def test_every_combination_of_signs_reaches_the_engine(name, kinds, times):
    rng = np.random.default_rng(times[0])
    a, b = (
        rng.integers(0, 256, (32, 32)).astype(np.uint8).view({"i8": np.int8, "u8": np.uint8}[kind])
        for kind in kinds
    )
    out = np.zeros((32, 32), np.int32)
    tile = tuple(t * n for t, n in zip(TILES[name], times, strict=True))
    counts = run(name, kinds, tile, [a, b, out])
    np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))
    m, n, k = TILES[name]
    assert counts[f"smt.vmadot{SIGNS[kinds]}.i8"] == (32 // m) * (32 // n) * (32 // k)


@pytest.mark.parametrize("name", TILES)
@pytest.mark.parametrize("kinds", SIGNS)
def test_tiles_are_those_of_the_narrow_types(name, kinds):
    """Also where the operands are extended on their way."""
    m, n, k = TILES[name]
    with pytest.raises(CompileError, match=f"K = {k // 2} is no multiple of {k}") as raised:
        run(name, kinds, (m, n, k // 2), [])
    sign = SIGNS[kinds]
    assert f"{m}x{n}x{k} (smt.vmadot{sign}.i8)" in raised.value.fix and raised.value.place.line
