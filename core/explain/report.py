"""From a kernel's first stage to what its page shows."""

import linecache
from collections.abc import Mapping

import attrs

from vertebra.core import assembly, compile, hooks
from vertebra.core.commands.plugins import answers
from vertebra.core.context import context
from vertebra.core.explain import layouts
from vertebra.core.explain.loops import hot_loop
from vertebra.core.explain.page import Report
from vertebra.core.explain.record import Recorder
from vertebra.core.explain.words import with_names
from vertebra.core.pipeline import Options
from vertebra.core.roofline import picture
from vertebra.core.roofline.machine_code import innermost_loops, instructions
from vertebra.core.roofline.model import predict, reader_of
from vertebra.core.roofline.work import work_of
from vertebra.core.target import Core
from vertebra.core.watch import Watches

# Operations that are followed for the roofline, a tenth of a second of work; a picture shows few digits.
_BUDGET = 8_000


@attrs.frozen
class Launch:
    """A launch to predict.  names: of the run-time arguments, in order.  values: of integers among them."""

    names: tuple[str, ...]
    values: Mapping[str, int]
    grid: tuple[int, int, int]


class _AtLinalg(Recorder):
    """Looks at stage `linalg` while its module is there."""

    def reached(self, stage, result):
        super().reached(stage, result)
        if stage == "linalg":
            self.layouts = layouts.packings_and_products(result)
            self.linalg = assembly.print_module(result)


def explain(
    text: str,
    core: Core,
    options: Options,
    *,
    kernel: str,
    file: str,
    at: int,
    facts: tuple[tuple[str, str], ...] = (),
    launch: Launch | None = None,
) -> Report:
    """Compiles `text`, a kernel at stage `ttir`, for `core`, and keeps what happens.

    file, at: where its source is, and starts.  facts: more (name, value) pairs about it.
    launch: one whose roofline is shown; without it none is.  Raises CompileError and its like.
    """
    from vertebra.core import dump

    recorder = _AtLinalg()
    asked = dump.watch(text, kernel, core, options)
    watch = Watches([recorder, asked]) if asked else recorder
    compile.render(text, "asm", core, options, watch=watch, filename=file)
    reader, records = reader_of(core), hooks.instructions()
    machine_code = with_names(recorder.stages[-1].lines, reader, records)
    steps = instructions("\n".join(line.text for line in recorder.stages[-1].lines), reader, records)
    multiplies = layouts.multipliers(steps, records)
    packings, products = recorder.layouts
    return Report(
        kernel=kernel,
        core=core.name,
        file=file,
        source=tuple(line.rstrip("\n") for line in linecache.getlines(file)),
        at=at,
        facts=(("core", f"{core.name}: {core.isa}"), ("file", f"{file}:{at}"), *facts),
        stages=(*recorder.stages[:-1], attrs.evolve(recorder.stages[-1], lines=machine_code)),
        steps=tuple(recorder.steps),
        answers=tuple(answers(core)),
        hot=hot_loop(machine_code, reader, records),
        pictures=tuple(layouts.pictures(packings, products, core, multiplies)),
        roofline=_roofline(recorder, core, options, kernel, launch) if launch else None,
    )


def _roofline(recorder: _AtLinalg, core: Core, options: Options, kernel: str, launch: Launch) -> str:
    """The picture of `launch`."""
    with context():
        module = assembly.parse(recorder.linalg, context())
        names, values, grid = launch.names, launch.values, launch.grid
        work = work_of(module, core, options, names=names, values=values, grid=grid, budget=_BUDGET)
    text = "\n".join(line.text for line in recorder.stages[-1].lines)
    loops = innermost_loops(text, reader_of(core), hooks.instructions())
    return picture.svg([(predict(kernel, core, grid, work, loops), None)])
