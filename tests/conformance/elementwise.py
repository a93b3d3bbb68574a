"""What the elementwise families share: one masked pass over vectors."""

import triton

from .arrays import numbers, output
from .case import Case

N = 75  # not a multiple of the block, so that the last program is masked
BLOCK = 32
GRID = (triton.cdiv(N, BLOCK),)


def two(dtype: str) -> dict:
    """Operands x and y."""
    return {"x": numbers(dtype, N), "y": numbers(dtype, N)}


def elementwise(id, kernel, expect, args, rows=None, dtype="f32", more=None, **kwargs) -> Case:
    """A case whose kernel writes `rows` rows of N results (one without an axis by default) to `out`.

    more: constexprs beside BLOCK.
    """
    shape = (N,) if rows is None else (rows, N)
    args = args | {"out": output(dtype, *shape), "n": N}
    return Case(
        id=id,
        kernel=kernel,
        grid=GRID,
        args=args,
        meta={"BLOCK": BLOCK} | (more or {}),
        expect=expect,
        **kwargs,
    )
