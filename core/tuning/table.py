"""Results of tuning as text for a terminal."""

from collections.abc import Iterable, Sequence

import numpy as np

from vertebra.core.tuning.records import INSTRUCTIONS, MILLISECONDS, Result, in_words

HEAD = ("", "configuration", "predicted ms", "measured", "not measured because")


def head(result: Result) -> str:
    """One line: what was tuned, and where."""
    conditions = result.conditions
    where = f" on {conditions.machine}" if conditions.machine else ""
    threads = "one thread" if conditions.threads == 1 else f"{conditions.threads} threads"
    key = f" [{', '.join(result.subject.key)}]" if result.subject.key else ""
    what = f"{result.subject.kernel}{key} for {conditions.core}"
    return f"{what}: {conditions.unit}, {threads}{where}, {result.date}"


def rows(result: Result) -> list[tuple[str, ...]]:
    """Below `HEAD`: a line for each configuration, * before the best."""
    return [
        (
            "*" if number == result.best else "",
            in_words(trial.settings),
            "" if trial.predicted is None else f"{trial.predicted:.4g}",
            "" if trial.measured is None else measured(trial.measured, result.conditions.unit),
            (trial.dropped or "").splitlines()[0] if trial.dropped else "",
        )
        for number, trial in enumerate(result.trials)
    ]


def measured(value: float, unit: str) -> str:
    formats = {MILLISECONDS: "{:.4g} ms", INSTRUCTIONS: "{:,.0f} instructions"}
    return formats.get(unit, "{:.6g}").format(value)


def order(result: Result) -> str | None:
    """How well the predictions put the configurations in order; None where there is nothing to compare."""
    pairs = [(t.predicted, t.measured) for t in result.trials if None not in (t.predicted, t.measured)]
    found = rank_correlation(*zip(*pairs, strict=True)) if len(pairs) > 2 else None
    if found is None:
        return None
    return f"rank correlation of predicted and measured: {found:.2f}, over {len(pairs)} configurations"


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's coefficient, with average ranks for ties; None where all of `a` or all of `b` are equal."""
    ranks = [_ranks(np.asarray(values, np.float64)) for values in (a, b)]
    if any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.corrcoef(np.stack(ranks))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    below = (values[:, None] > values[None, :]).sum(1)
    same = (values[:, None] == values[None, :]).sum(1)
    return below + (same - 1) / 2


SUMMARY = ("kernel", "core", "key", "best", "measured", "date")


def summary(results: Iterable[Result]) -> list[tuple[str, ...]]:
    """Below `SUMMARY`: a line for each result."""
    found: list[tuple[str, ...]] = []
    for result in results:
        best, unit = result.trials[result.best], result.conditions.unit
        value = "" if best.measured is None else measured(best.measured, unit)
        names = result.subject.kernel, result.conditions.core, ", ".join(result.subject.key)
        found.append((*names, in_words(best.settings), value, result.date))
    return found
