"""Results as JSON and back."""

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vertebra.core.errors import ConfigError
from vertebra.core.tuning import table
from vertebra.core.tuning.records import Subject, from_json, in_words, least, plain, to_json


def test_there_and_back(result):
    made = result()
    found = from_json(to_json(made))
    assert found == made and found.identity == made.identity
    assert found.conditions.machine == "board"


def test_a_person_can_read_it(result):
    entry = to_json(result())
    assert list(entry)[:4] == ["kernel", "core", "key", "best"]
    assert entry["best"] == {"BLOCK": 32, "num_warps": 8}
    assert entry["configs"][2] == {"settings": {"BLOCK": 64}, "predicted_ms": 9.0, "dropped": "pruned"}


def test_the_best_may_be_changed_by_hand(result):
    entry = to_json(result())
    entry["best"] = {"BLOCK": 64}
    assert from_json(entry).best == 2
    entry["best"] = {"BLOCK": 128}
    with pytest.raises(ConfigError, match="is none of its configurations") as raised:
        from_json(entry)
    assert "BLOCK=16; BLOCK=32, num_warps=8; BLOCK=64" in raised.value.fix


@pytest.mark.parametrize("name", ["kernel", "configs", "best", "unit", "source", "core_digest"])
def test_what_is_missing_is_named(result, name):
    entry = to_json(result())
    del entry[name]
    with pytest.raises(ConfigError, match=f"it has no '{name}'"):
        from_json(entry)


@pytest.mark.parametrize("entry", [[], 3, None, {"configs": 5}, {"configs": [7]}])
def test_other_kinds(entry):
    with pytest.raises(ConfigError, match="of another kind"):
        from_json(entry)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "fast", [1]])
def test_what_is_no_number(result, value):
    entry = to_json(result())
    entry["configs"][0]["measured"] = value
    with pytest.raises(ConfigError, match="of another kind"):
        from_json(entry)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["settings", "x"]), inner),
    max_leaves=5,
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["kernel", "key", "best", "unit", "threads", "configs", "notes", "date"]),
    value=VALUES,
)
def test_anything_is_a_result_or_an_error(result, name, value):
    """What is read can be shown, looked up and written."""
    try:
        found = from_json(to_json(result()) | {name: value})
    except ConfigError:
        return
    assert table.head(found) and table.rows(found) and table.summary([found]) and found.identity
    table.order(found)
    to_json(found)


@pytest.mark.parametrize("value, kept", [(1234567.0, 1234567.0), (0.123456789, 0.12346), (12.0, 12.0)])
def test_numbers_are_rounded_and_counts_are_not(result, value, kept):
    assert to_json(result(value))["configs"][0]["measured"] == kept


def test_identity_is_everything_that_decides(result):
    made = result()
    subject, where = made.subject, made.conditions
    same = Subject("renamed", *attrs.astuple(subject, recurse=False)[1:])
    others = [
        attrs.evolve(subject, source="1"),
        attrs.evolve(subject, key=("1001", "float32")),
        attrs.evolve(subject, configs=subject.configs[:2]),
        attrs.evolve(subject, version="vertebra 2"),
    ]
    places = [
        attrs.evolve(where, core="x"),
        attrs.evolve(where, digest="x"),
        attrs.evolve(where, unit="x"),
        attrs.evolve(where, threads=3),
    ]
    names = {subject.identity(where), *(s.identity(where) for s in others), *map(subject.identity, places)}
    assert len(names) == 9
    assert same.identity(where) == made.identity == subject.identity(attrs.evolve(where, machine="other"))


def test_settings():
    class Type:
        def __str__(self):
            return "fp32"

    assert plain({"ACC": Type(), "N": 3, "S": "x", "B": True}) == {"ACC": "fp32", "N": 3, "S": "x", "B": True}
    assert in_words({"A": 1, "B": "x"}) == "A=1, B=x" and in_words({}) == "(nothing set)"


@pytest.mark.parametrize(
    "values, place", [([3, None, 1, 1], 2), ([None, None], None), ([], None), ([0.0], 0)]
)
def test_least(values, place):
    assert least(values) == place
