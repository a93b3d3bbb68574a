"""Compiles and runs every example on every given core, and checks the results against NumPy.

    python examples/run.py [--core NAME]... [--kernel WORD]... [--repeat N]

Prints one line per example and core: the greatest error, the allowed one, and what the run cost:
milliseconds where the core is this machine's own, executed instructions where it is emulated.
Exits with 1 when anything fails.
"""

import argparse
import statistics
import sys
import time

import attrs
import numpy as np
from cases import EXAMPLES, Example, exact
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vertebra.core import select
from vertebra.core.errors import VertebraError

SEED = 20240229
CORES = ["host", "spacemit-x60", "spacemit-a60", "spacemit-a100"]


@attrs.frozen
class Outcome:
    """How one example went on one core.

    error: greatest |got - want| / (1 + |want|).  cost: '1.23 ms' or '45,678 instructions'.
    problem: why there are no numbers, or ''.
    """

    example: Example
    core: str
    error: float = float("nan")
    cost: str = ""
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem and self.error <= self.example.tolerance


def greatest_error(outputs, references) -> float:
    """The greatest |got - want| / (1 + |want|); infinite where only one of them is finite."""
    worst = 0.0
    for output, want in zip(outputs, references, strict=True):
        got = exact(output)
        error = np.abs(got - want) / (1 + np.abs(want))
        worst = max(worst, float(np.where(np.isfinite(got) & np.isfinite(want), error, np.inf).max()))
    return worst


def milliseconds(launch, repeat: int) -> float:
    """The median time of `launch`, over `repeat` runs."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        launch()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def run(example: Example, core: str, repeat: int) -> Outcome:
    """Runs `example` on `core`, once to check it and then to measure it."""
    launch, outputs, references = example.prepare(np.random.default_rng(SEED))
    for output in outputs:
        output.fill_(77)
    try:
        chosen = select.set_core(core)
        launch()
        error = greatest_error(outputs, references)
        if select.runtime_for(chosen).name == "qemu":
            with select.runtime_for(chosen).counting() as counts:
                launch()
            cost = f"{sum(count['all'] for count in counts):,} instructions"
        else:
            cost = f"{milliseconds(launch, repeat):.3f} ms"
    except VertebraError as problem:
        return Outcome(example, core, problem=str(problem))
    except Exception as problem:  # a failure of one example is a line of the table, not the end
        return Outcome(example, core, problem=f"{type(problem).__name__}: {problem}")
    return Outcome(example, core, error, cost)


def table(outcomes: list[Outcome]) -> Table:
    result = Table(title="vertebra examples")
    for heading, justify in (
        ("kernel", "left"),
        ("core", "left"),
        ("shape", "left"),
        ("dtype", "left"),
        ("max error", "right"),
        ("allowed", "right"),
        ("cost", "right"),
        ("", "left"),
    ):
        result.add_column(heading, justify=justify)
    for o in outcomes:
        e = o.example
        verdict = "[green]PASS" if o.passed else "[red]FAIL"
        error = "" if o.problem else f"{o.error:.2e}"
        result.add_row(e.kernel, o.core, e.shape, e.dtype, error, f"{e.tolerance:.2e}", o.cost, verdict)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", action="append", help=f"default: {', '.join(CORES)}")
    parser.add_argument("--kernel", action="append", help="only examples whose name contains this")
    parser.add_argument("--repeat", type=int, default=20, help="timed runs per example (default 20)")
    options = parser.parse_args()
    chosen = [e for e in EXAMPLES if not options.kernel or any(word in e.kernel for word in options.kernel)]
    cores = options.core or CORES
    if not chosen:
        names = ", ".join(dict.fromkeys(e.kernel for e in EXAMPLES))
        parser.error(f"no example's name contains {' or '.join(options.kernel)}; they are {names}")
    if options.repeat < 1:
        parser.error(f"--repeat is {options.repeat}; at least 1 is needed")
    try:
        for core in cores:
            select.runtime_for(select.find_core(core))
    except VertebraError as problem:
        parser.error(str(problem))

    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width of its own
        console = Console(width=132)
    outcomes = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=len(chosen) * len(cores))
        for core in cores:
            for example in chosen:
                progress.update(task, description=f"{example.kernel} on {core}")
                outcomes.append(run(example, core, options.repeat))
                progress.advance(task)
    console.print(table(outcomes))
    failed = [o for o in outcomes if not o.passed]
    for o in failed:
        what = f"{o.example.kernel} ({o.example.dtype}) on {o.core}"
        problem = o.problem or f"error {o.error:.2e}, allowed {o.example.tolerance:.2e}"
        console.print(f"{what}: {problem}", markup=False, soft_wrap=True)
    console.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
