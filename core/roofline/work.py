"""How much a launch of a kernel computes and moves, counted on its `linalg` stage."""

from collections.abc import Mapping, Sequence, Set

from vertebra.core import pipeline
from vertebra.core.errors import ConfigError
from vertebra.core.mlir import ir
from vertebra.core.roofline.follow import Follower
from vertebra.core.roofline.values import Product, Traffic, Unknown, Work
from vertebra.core.target import Core, Pass

# Operations that are followed, about a second of work; of larger launches some programs are.
BUDGET = 600_000
_AS_LOOPS = Pass("as-loops", "convert-elementwise-to-linalg,func.func(linalg-generalize-named-ops)")
_MATH = "expand-math"  # the pass of targets that writes math functions as arithmetic
_PLACE = 6  # arguments at the end: the grid's size, and the program's place in it


def work_of(
    module: ir.Module,
    core: Core,
    options: pipeline.Options,
    *,
    names: tuple[str, ...],
    values: Mapping[str, int],
    grid: tuple[int, int, int],
    implied: Set[str] = frozenset(),
    budget: int = BUDGET,
) -> Work:
    """Work of one launch on `grid`.

    module: one kernel at stage `linalg`, which this changes.  names: of the kernel's arguments, in
    order.  values: of those that are integers.  implied: arguments that nobody is asked for,
    since they follow from others.  Raises ConfigError where sizes, lengths of loops or
    addresses depend on an argument without a value.
    """
    with module.context:
        for step in (_AS_LOOPS, *(p for p in pipeline.passes_to("llvm", core) if p.name == _MATH)):
            pipeline.run_pass(step, module, core, options)
        functions = {
            op.attributes["sym_name"].value: op.operation
            for op in module.body.operations
            if op.operation.name == "func.func" and len(op.regions[0].blocks)
        }
        kernel = next(op for op in functions.values() if "vertebra.kernel" in op.attributes)
        unknown = [name for name in values if name not in names]
        if unknown:
            raise ConfigError(
                f"--args: {', '.join(unknown)}: the kernel takes no such argument at run time",
                fix=f"it takes {', '.join(names) or 'nothing'}",
            )
        follower = Follower(kernel, names, implied, core.vector.arithmetic, functions)
        followed = _follow(follower, names, values, grid, budget)
    return _sum(follower, grid[0] * grid[1] * grid[2], followed)


def _follow(follower: Follower, names, values, grid, budget: int) -> int:
    """Follows the first program, and as many of the others, evenly spread, as the budget has room for."""
    given = tuple(values.get(name, Unknown(frozenset({name}))) for name in names)
    extra = len(follower.parameters) - len(given)
    assert extra == _PLACE, (len(follower.parameters), names)
    programs = grid[0] * grid[1] * grid[2]

    def follow(number: int) -> None:
        x, y, z = number % grid[0], number // grid[0] % grid[1], number // (grid[0] * grid[1])
        follower.follow((*given, *grid, x, y, z))

    if not programs:
        return 0
    follow(0)
    room = max(1, budget // max(1, follower.steps))
    chosen: Sequence[int]
    if programs <= room:
        chosen = range(1, programs)
    elif room == 1:
        chosen = []
    else:  # the last one among them: it is where the edges are
        chosen = sorted({round(i * (programs - 1) / (room - 1)) for i in range(1, room)})
    for number in chosen:
        follow(number)
    return 1 + len(chosen)


def _sum(follower: Follower, programs: int, followed: int) -> Work:
    scale = programs / followed if followed else 0
    traffic = {}
    for name, found in follower.traffic.items():
        touched = follower.touched[name]
        moved = (found.read + found.written) * scale
        lines = min(touched.bytes * scale, max(touched.end, touched.bytes))
        traffic[name] = Traffic(
            found.read * scale,
            found.written * scale,
            moved if touched.unknown else min(lines, touched.bytes * scale),
            None if touched.unknown else touched.end,
        )
    products = tuple(
        Product(*types, operations * scale, shape)
        for types, (operations, shape, _) in follower.products.items()
    )
    notes = list(follower.notes)
    scattered = [name for name, touched in follower.touched.items() if touched.unknown]
    if scattered:
        places = f"the places in {', '.join(scattered)} that are used"
        notes.append(f"{places} depend on data: no two uses are taken to meet")
    if followed < programs:
        notes.append(f"{followed:,} of {programs:,} programs were followed")
    return Work(
        programs,
        followed,
        products,
        vector_operations=follower.operations * scale,
        vector_results=follower.results * scale,
        vector_bits=follower.bits * scale,
        traffic=traffic,
        notes=tuple(notes),
    )
