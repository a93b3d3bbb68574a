"""Results as text."""

import attrs
import numpy as np
import pytest

from vertebra.core.tuning import table
from vertebra.core.tuning.records import INSTRUCTIONS, MILLISECONDS, OWN


def test_one_result(result):
    made = result()
    assert table.head(made) == (
        "add [1000, float32] for host: milliseconds, 2 threads on board, 2026-01-01T00:00:00+00:00"
    )
    assert table.rows(made) == [
        ("", "BLOCK=16", "2.5", "1 ms", ""),
        ("*", "BLOCK=32, num_warps=8", "", "0.5 ms", ""),
        ("", "BLOCK=64", "9", "", "pruned"),
    ]


def test_many(result):
    (line,) = table.summary([result()])
    assert line == ("add", "host", "1000, float32", "BLOCK=32, num_warps=8", "0.5 ms", result().date)


def test_units_are_labelled():
    assert table.measured(1234567.0, INSTRUCTIONS) == "1,234,567 instructions"
    assert table.measured(0.5, MILLISECONDS) == "0.5 ms"
    assert table.measured(0.5, OWN) == "0.5"


@pytest.mark.parametrize(
    "a, b, found",
    [
        ([1, 2, 3], [10, 20, 90], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / np.sqrt(4.5 * 5)),  # SciPy's spearmanr: 0.9487
        ([1, 1, 1], [1, 2, 3], None),
    ],
)
def test_rank_correlation(a, b, found):
    assert table.rank_correlation(a, b) == (None if found is None else pytest.approx(found))


def test_predictions_and_measurements_are_compared(result):
    made = result()
    assert table.order(made) is None  # one is too few
    trials = tuple(attrs.evolve(trial, predicted=n, measured=n * n) for n, trial in enumerate(made.trials))
    assert table.order(attrs.evolve(made, trials=trials)) == (
        "rank correlation of predicted and measured: 1.00, over 3 configurations"
    )
