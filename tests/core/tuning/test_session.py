"""The order of steps of a tuning, with predictions and measurements that are given."""

from types import SimpleNamespace

import pytest

from vertebra.core.errors import CompileError, LaunchError
from vertebra.core.tuning import pruning, session
from vertebra.core.tuning.bench import Outcome
from vertebra.core.tuning.progress import Progress
from vertebra.core.tuning.records import MILLISECONDS, Conditions, Subject
from vertebra.core.tuning.session import Candidate

WHERE = Conditions("host", "abcd", MILLISECONDS, 2)


class Launch:
    """A launch whose prediction is known; an exception is raised."""

    def __init__(self, predicted):
        self.predicted = predicted

    def predict(self):
        if isinstance(self.predicted, Exception):
            raise self.predicted
        return self.predicted


@pytest.fixture
def tune(monkeypatch):
    """tune(candidates, measured, **options): the result, and the numbers that were measured."""
    monkeypatch.setattr(pruning, "estimate", lambda found, threads: found)

    def run(candidates, measured, share=0.5, **options):
        asked = []

        def measure(chosen):
            asked.extend(chosen)
            for number in chosen:
                value = measured[number]
                yield number, value if isinstance(value, Outcome) else Outcome(value)

        subject = Subject("add", "0", (), tuple(c.settings for c in candidates), "1")
        result = session.tune(
            subject, WHERE, candidates, measure, share=share, progress=Progress("x"), **options
        )
        return result, asked

    return run


def candidates(*predicted, alike=None):
    return [
        Candidate({"BLOCK": n}, Launch(value), alike=alike and alike[n]) for n, value in enumerate(predicted)
    ]


def test_the_slow_half_is_not_measured(tune):
    result, asked = tune(candidates(5, 1, 6, 2, 7, 3, 8, 4), {1: 10, 3: 9, 5: 8, 7: 11})
    assert asked == [1, 3, 5, 7] and result.best == 5
    assert [t.measured for t in result.trials] == [None, 10, None, 9, None, 8, None, 11]
    assert result.trials[6].dropped == "pruned: predicted to take 8 times as long as the fastest"
    assert result.trials[5].predicted == 3 and result.date


def test_the_first_of_equals_wins(tune):
    assert tune(candidates(1, 1), [3, 3])[0].best == 0


@pytest.mark.parametrize("count, share", [(3, 0.5), (8, 1.0)])
def test_nothing_is_predicted_in_vain(tune, count, share):
    result, asked = tune(candidates(*[AssertionError("not asked for")] * count), [1.0] * count, share)
    assert len(asked) == count and not result.notes


def test_predictions_on_request(tune):
    result, asked = tune(candidates(1, 2, 3), [1, 2, 3], predict=True)
    assert [t.predicted for t in result.trials] == [1, 2, 3] and len(asked) == 3


def test_what_cannot_be_predicted_is_measured(tune):
    made = candidates(4, 1, ValueError("it depends on data\nfix: ..."), 2, 3, 5)
    result, asked = tune(made, {0: 9, 1: 9, 2: 1, 3: 9, 4: 9})
    assert asked == [1, 2, 3, 4] and result.best == 2
    assert result.notes == ("configuration 3 cannot be predicted: it depends on data",)


def test_what_is_alike_is_measured_once(tune):
    result, asked = tune(candidates(1, 1, 1, 1, alike="abab"), [4, 3, 2, 1])
    assert asked == [0, 1] and result.best == 1
    assert result.trials[3].dropped == "the same code and grid as configuration 2"


def test_nobody_knows_whether_it_is_alike(tune):
    assert tune(candidates(1, 1), [4, 3])[1] == [0, 1]


def test_what_does_not_compile_is_told(tune):
    made = [
        Candidate({"BLOCK": 3}, error=CompileError("3 is no power of 2", kernel="add")),
        *candidates(1, 2),
    ]
    result, asked = tune(made, {1: 1, 2: 2})
    assert asked == [1, 2] and result.best == 1
    assert result.trials[0].dropped == "does not compile: error in kernel add: 3 is no power of 2"


def test_none_compiles(tune):
    errors = [CompileError(f"number {n}") for n in range(2)]
    with pytest.raises(CompileError) as raised:
        tune([Candidate({}, error=error) for error in errors], [])
    assert raised.value is errors[0]


def test_what_cannot_be_measured_is_told(tune):
    result, _ = tune(candidates(1, 2), [Outcome(None, "crashed: SIGSEGV"), 5])
    assert result.best == 1 and result.trials[0].dropped == "crashed: SIGSEGV"


def test_none_can_be_measured(tune):
    with pytest.raises(LaunchError) as raised:
        tune(candidates(1, 2), [Outcome(None, "crashed: SIGSEGV"), Outcome(None, "took more than 1 s")])
    assert "none of 2 configurations" in str(raised.value)
    assert "1: crashed: SIGSEGV\n  2: took more than 1 s" in str(raised.value)


def test_a_prediction_of_nothing(tune):
    result, asked = tune(candidates(0, 0, 0, 0, 7, 8, 9), [1] * 7, 0.1)
    assert asked == [0, 1, 2, 3] and "pruned" in result.trials[6].dropped


def test_measured_elsewhere(monkeypatch):
    """The numbers of jobs are those of the candidates that are measured."""
    made = candidates(1, 2, 3)
    monkeypatch.setattr(session, "describe", lambda launches, fresh: ("arguments", list(launches)))
    measurer = SimpleNamespace(
        measure=lambda arguments, jobs, report: [(n, job) for n, job in enumerate(jobs)][::-1]
    )
    measure = session.elsewhere(measurer, made, None, print)
    assert list(measure([0, 2])) == [(2, made[2].launch), (0, made[0].launch)]
