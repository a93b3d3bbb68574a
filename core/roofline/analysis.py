"""From a kernel's text to what bounds it."""

from collections.abc import Mapping, Set

from vertebra.core import assembly, hooks, pipeline
from vertebra.core import compile as stages
from vertebra.core.context import context
from vertebra.core.roofline.machine_code import innermost_loops
from vertebra.core.roofline.model import Prediction, predict, rates_of, reader_of
from vertebra.core.roofline.work import BUDGET, work_of
from vertebra.core.target import Core


def analyse(
    ttir: str,
    core: Core,
    options: pipeline.Options | None = None,
    *,
    kernel: str,
    names: tuple[str, ...],
    values: Mapping[str, int],
    grid: tuple[int, int, int],
    implied: Set[str] = frozenset(),
    llir: str | None = None,
    budget: int = BUDGET,
) -> Prediction:
    """What one launch of the only kernel of `ttir` is bound by on `core`.

    names: of its run-time arguments, in the order of the text.  values: of those that are integers.
    grid: programs along x, y and z.  implied: arguments that follow from others.  llir: the kernel at
    that stage, where it is at hand.  budget: operations that are followed.  Raises ConfigError where the
    core does not say how fast it is, and where sizes depend on an argument without a value; CompileError,
    BackendError.
    """
    options = options or pipeline.Options()
    rates, reader = rates_of(core), reader_of(core)
    with context():
        module = assembly.parse(ttir, context())
        pipeline.lower(module, "ttir", "linalg", core, options)
        linalg = assembly.print_module(module)
        work = work_of(
            module, core, options, names=names, values=values, grid=grid, implied=implied, budget=budget
        )
    start = "llir" if llir else "linalg"
    text = stages.render(llir or linalg, "asm", core, options, start=start)
    loops = innermost_loops(text, reader, hooks.instructions())
    return predict(kernel, core, grid, work, loops, rates)
