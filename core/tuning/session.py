"""One tuning: what is alike is measured once, what is predicted to be slow not at all, the rest is."""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import attrs

from vertebra.core.errors import LaunchError
from vertebra.core.tuning import pruning
from vertebra.core.tuning.bench import Outcome
from vertebra.core.tuning.job import describe
from vertebra.core.tuning.launch import Launch
from vertebra.core.tuning.progress import Progress
from vertebra.core.tuning.records import Conditions, Result, Subject, Trial, least


@attrs.frozen(eq=False)
class Candidate:
    """A configuration: compiled, or the error that says why it cannot be.

    alike: equal for configurations that cannot differ in speed; None where that is not known.
    """

    settings: Mapping[str, object]
    launch: Launch | None = None
    error: Exception | None = None
    alike: object = None


class Measurer(Protocol):
    def conditions(self, core: str) -> Conditions: ...

    def measure(self, arguments, jobs, report) -> Iterator[tuple[int, Outcome]]: ...


def elsewhere(measurer: Measurer, candidates: Sequence[Candidate], fresh, report) -> Callable:
    """What `tune` calls to measure, by `measurer`.  fresh: as of `job.describe`."""

    def measure(chosen: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        launches = [launch for number in chosen if (launch := candidates[number].launch) is not None]
        for place, outcome in measurer.measure(*describe(launches, fresh), report):
            yield chosen[place], outcome

    return measure


def tune(
    subject: Subject,
    conditions: Conditions,
    candidates: Sequence[Candidate],
    measure: Callable[[Sequence[int]], Iterator[tuple[int, Outcome]]],
    *,
    share: float,
    progress: Progress,
    predict: bool = False,
) -> Result:
    """measure: given numbers of candidates, what became of each.  share: of those that can be predicted, how
    many are measured.  predict: also where none is pruned.

    Raises the first candidate's error where none compiles, LaunchError where none can be measured.
    """
    trials = [_trial(candidate) for candidate in candidates]
    errors = [candidate.error for candidate in candidates if candidate.error]
    if len(errors) == len(candidates):
        raise errors[0]
    _drop_alike(candidates, trials)
    _prune(candidates, trials, conditions, share, progress, predict)
    chosen = [number for number, trial in enumerate(trials) if trial.dropped is None]
    progress.begin("measuring", len(chosen))
    for number, outcome in measure(chosen):
        trials[number] = attrs.evolve(trials[number], measured=outcome.value, dropped=outcome.reason)
        progress.step(_best_in_words(trials, conditions))
    best = least([trial.measured for trial in trials])
    if best is None:
        reasons = [f"{number + 1}: {trial.dropped}" for number, trial in enumerate(trials)]
        raise LaunchError(
            f"kernel {subject.kernel}: none of {len(trials)} configurations could be measured\n  "
            + "\n  ".join(reasons)
        )
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Result(subject, conditions, tuple(trials), best, tuple(progress.notes), date)


def _trial(candidate: Candidate) -> Trial:
    if candidate.error is None:
        return Trial(candidate.settings)
    return Trial(candidate.settings, dropped=f"does not compile: {candidate.error}")


def _drop_alike(candidates: Sequence[Candidate], trials: list[Trial]) -> None:
    first: dict[object, int] = {}
    for number, candidate in enumerate(candidates):
        if trials[number].dropped is None and candidate.alike is not None:
            other = first.setdefault(candidate.alike, number)
            if other != number:
                why = f"the same code and grid as configuration {other + 1}"
                trials[number] = attrs.evolve(trials[number], dropped=why)


def _prune(
    candidates, trials: list[Trial], conditions: Conditions, share: float, progress: Progress, predict: bool
) -> None:
    """Predicts what is left, and drops what is predicted to be slow.  What cannot be predicted stays."""
    left = [number for number, trial in enumerate(trials) if trial.dropped is None]
    if not predict and (share == 1 or len(left) <= pruning.FEW):
        return
    predicted: dict[int, float] = {}
    progress.begin("predicting", len(left))
    for number in left:
        try:
            found = candidates[number].launch.predict()
        except Exception as error:  # a prediction that fails must not keep a kernel from running
            progress.note(f"configuration {number + 1} cannot be predicted: {_first_line(error)}")
        else:
            predicted[number] = pruning.estimate(found, conditions.threads)
            trials[number] = attrs.evolve(trials[number], predicted=predicted[number])
        progress.step()
    kept = pruning.worth(predicted, share)
    fastest = min(predicted.values(), default=0.0)
    for number, value in predicted.items():
        if number not in kept:
            why = f"pruned: predicted to take {value / (fastest or value):.3g} times as long as the fastest"
            trials[number] = attrs.evolve(trials[number], dropped=why)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _best_in_words(trials: Sequence[Trial], conditions: Conditions) -> str:
    best = least([trial.measured for trial in trials])
    return "" if best is None else f"best so far: {trials[best].measured:.4g} {conditions.unit}"
