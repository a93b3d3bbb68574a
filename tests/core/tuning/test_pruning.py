"""Which configurations are worth a measurement."""

from types import SimpleNamespace

import pytest

from vertebra.core.errors import ConfigError
from vertebra.core.tuning import pruning


@pytest.mark.parametrize(
    "values, share, kept",
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 0.5, {0, 1, 2, 3}),
        ([8, 7, 6, 5, 4, 3, 2, 1], 0.5, {4, 5, 6, 7}),
        ([1, 2, 3, 4, 5, 6, 7], 0.5, {0, 1, 2, 3}),  # half of them, rounded up
        ([1, 2, 3, 4, 5, 6, 7, 8], 0.01, {0, 1, 2}),  # never so few that nothing is compared
        ([5, 5, 5, 5, 5, 5, 5, 5], 0.25, set(range(8))),  # the prediction does not tell them apart
        ([1, 2, 3, 3.05, 3.1, 9, 9, 9], 0.3, {0, 1, 2, 3}),
        ([3, 2], 0.1, {0, 1}),
        ([], 0.5, set()),
        ([1, 2, 3, 4], 1.0, {0, 1, 2, 3}),
        ([0, 0, 0, 0, 1], 0.2, {0, 1, 2, 3}),
    ],
)
def test_the_best_share_is_kept(values, share, kept):
    assert pruning.worth(dict(enumerate(values)), share) == kept


@pytest.mark.parametrize(
    "text, share", [(None, pruning.SHARE), ("", pruning.SHARE), ("0.25", 0.25), ("1", 1.0)]
)
def test_the_share_of_the_environment(monkeypatch, text, share):
    monkeypatch.delenv("VERTEBRA_TUNING_KEEP", raising=False)
    if text is not None:
        monkeypatch.setenv("VERTEBRA_TUNING_KEEP", text)
    assert pruning.share() == share


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nan", "half"])
def test_what_is_no_share(monkeypatch, text):
    monkeypatch.setenv("VERTEBRA_TUNING_KEEP", text)
    with pytest.raises(ConfigError, match="a share above 0, up to 1"):
        pruning.share()


class Prediction(SimpleNamespace):
    """A launch that needs 4 s of one core, which has 1 GHz and per cycle 8 bytes loaded, 2 instructions."""

    rates = SimpleNamespace(load_bits=64, issue=2)
    clock = 1.0

    def on(self, cores):
        return SimpleNamespace(seconds=4 / min(cores, 8))


def test_an_estimate_is_the_bound_and_what_depends_on_blocks():
    found = Prediction(work=SimpleNamespace(moved=8e9, programs=8))
    assert pruning.estimate(found, 1) == pytest.approx(5000)
    assert pruning.estimate(found, 2) == pytest.approx(2500)
    assert pruning.estimate(found, 100) == pytest.approx(500 + 1000 / 8)


def test_programs_that_start_cost_something():
    few, many = (Prediction(work=SimpleNamespace(moved=0, programs=n)) for n in (8, 800_008))
    assert pruning.estimate(many, 8) - pruning.estimate(few, 8) == pytest.approx(100_000 * 12.5 / 1e6)


def test_an_estimate_of_nothing():
    assert pruning.estimate(Prediction(work=SimpleNamespace(moved=0, programs=0)), 4) == pytest.approx(1000)
