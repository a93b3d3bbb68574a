"""One row of the conformance table, and how it is run and judged."""

import math
from collections.abc import Callable

import attrs
import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.tiles import whole_tile

from .arrays import Array, Memory, check_close

INTERPRETER = "interpreter"


@attrs.frozen
class CoreTile:
    """A constexpr: the smallest tile (M, N, K) with `tile` in it that the core takes in packed products.

    a, b, acc: names of the types of the operands and of the sums.  square: M, N and K are to be the same.
    """

    a: str
    b: str
    acc: str
    tile: tuple[int, int, int]
    square: bool = False

    def on(self, core: str) -> tuple[int, int, int]:
        found = whole_tile(hooks.cores()[core], self.a, self.b, self.acc, self.tile)
        return (math.lcm(*found),) * 3 if self.square else found


@attrs.frozen(kw_only=True, slots=False)
class Case:
    """A kernel, its inputs, and what NumPy says that it should compute.

    id: unique name.  kernel: a jitted function.  grid: as in `kernel[grid]`.
    args: parameter name -> `Array`, or the value itself; passed by name.
    prepare: what becomes of the arguments before the launch, such as a descriptor of an array.
    meta: constexprs and launch options; a `CoreTile` becomes the tile for the core.
    expect: a function of the initial arrays (float64, or integers of their own type) and the other
        arguments, by name; returns {output's name: values}.  All other arrays must stay unchanged.
    ulps, atol: tolerance, see `arrays.check_close`.
    canonical: applied to got and wanted values first, where their order is not defined.
    interpretable: Triton's interpreter knows what the kernel uses (of bfloat16 it computes with the bits).
    """

    id: str
    kernel: object
    grid: object = (1,)
    args: dict
    prepare: Callable[[dict], dict] = lambda args: args
    meta: dict = attrs.field(factory=dict)
    expect: Callable[..., dict]
    ulps: float = 1.0
    atol: float = 0.0
    canonical: Callable[[np.ndarray], np.ndarray] = lambda array: array
    interpretable: bool = True


def check(case: Case, core: str, run: Callable) -> None:
    """Runs `case` on `core` and compares."""
    if core == INTERPRETER and not case.interpretable:
        pytest.skip("Triton's interpreter cannot run this")
    memories = {name: Memory(a, case.id + name) for name, a in case.args.items() if isinstance(a, Array)}
    args = {}
    for name, arg in case.args.items():
        args[name] = memories[name].argument() if name in memories else arg
        if core == INTERPRETER and isinstance(args[name], np.ndarray):
            args[name] = memories[name].pointer()
    inputs = {name: memories[name].initial() if name in memories else arg for name, arg in args.items()}
    with np.errstate(all="ignore"):
        wanted = case.expect(**inputs)
    meta = {name: v.on(core) if isinstance(v, CoreTile) else v for name, v in case.meta.items()}
    run(core, case.kernel, case.grid, case.prepare(args), meta)
    for name, memory in memories.items():
        memory.check_surroundings(name)
        if name not in wanted:
            memory.check_unchanged(name)
    for name, want in wanted.items():
        memory = memories[name]
        got = case.canonical(memory.result())
        want = case.canonical(np.broadcast_to(want, memory.viewed.shape))
        check_close(name, memory.spec.dtype, got, want, case.ulps, case.atol)
