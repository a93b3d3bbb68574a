"""What a tuning found, as data and as JSON that a person can read."""

import math
from collections.abc import Mapping, Sequence

import attrs

from vertebra.core import cache
from vertebra.core.errors import ConfigError

FORMAT = "vertebra-tuning-1"
MILLISECONDS = "milliseconds"
# Of a launch on one thread; what is counted where time would be that of an emulator.
INSTRUCTIONS = "instructions (emulated)"
# What the user's own benchmark returns.
OWN = "as the kernel's own benchmark says"
# What JSON keeps as it is.
_PLAIN = (str, int, float, bool, type(None))


@attrs.frozen
class Conditions:
    """What a measurement stands on; numbers are compared under equal ones only.

    digest: of the core's record, which on the host names the processor.  unit: `MILLISECONDS`,
    `INSTRUCTIONS` or `OWN`.  machine: its name on the network, for people.
    """

    core: str
    digest: str
    unit: str
    threads: int
    machine: str = attrs.field(default="", eq=False)


@attrs.frozen
class Subject:
    """What is tuned.

    source: digest of the kernel's source and of all that it calls.  key: values of the arguments that
    decide, and the types of arrays.  configs: what each configuration sets.  version: ours and the
    frontend's.
    """

    kernel: str
    source: str
    key: tuple[str, ...]
    configs: tuple[Mapping[str, object], ...]
    version: str

    def identity(self, conditions: Conditions) -> str:
        """The name under which its result is kept."""
        parts = (self.source, self.key, self.configs, self.version)
        where = (conditions.core, conditions.digest, conditions.unit, conditions.threads)
        return cache.key(*parts, *where)[:32]


@attrs.frozen
class Trial:
    """One configuration.

    settings: parameter or option -> value.  predicted: milliseconds.  measured: in the unit of the
    conditions.  dropped: why it was not measured.
    """

    settings: Mapping[str, object]
    predicted: float | None = None
    measured: float | None = None
    dropped: str | None = None


@attrs.frozen
class Result:
    """best: the number of the trial that won.  notes: what happened on the way.  date: ISO 8601, UTC."""

    subject: Subject
    conditions: Conditions
    trials: tuple[Trial, ...]
    best: int
    notes: tuple[str, ...] = ()
    date: str = ""

    @property
    def identity(self) -> str:
        return self.subject.identity(self.conditions)


def plain(settings: Mapping[str, object]) -> dict[str, object]:
    """`settings` with everything that JSON does not keep as its text."""
    return {name: value if type(value) in _PLAIN else str(value) for name, value in settings.items()}


def in_words(settings: Mapping[str, object]) -> str:
    """'BLOCK=64, num_warps=8'"""
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "(nothing set)"


def to_json(result: Result) -> dict:
    subject, conditions = result.subject, result.conditions
    return {
        "kernel": subject.kernel,
        "core": conditions.core,
        "key": list(subject.key),
        "best": dict(result.trials[result.best].settings),
        "unit": conditions.unit,
        "threads": conditions.threads,
        "machine": conditions.machine,
        "date": result.date,
        "configs": [_trial_to_json(trial) for trial in result.trials],
        "notes": list(result.notes),
        "source": subject.source,
        "core_digest": conditions.digest,
        "version": subject.version,
    }


def _trial_to_json(trial: Trial) -> dict:
    found = {
        "settings": dict(trial.settings),
        "predicted_ms": _rounded(trial.predicted),
        "measured": _rounded(trial.measured),
        "dropped": trial.dropped,
    }
    return {name: value for name, value in found.items() if value is not None}


def _rounded(value: float | None) -> float | None:
    """To what a clock can tell; counts stay whole."""
    if value is None or value == int(value):
        return value
    return float(f"{value:.5g}")


def from_json(entry: Mapping) -> Result:
    """Raises ConfigError for what `to_json` has not made.  `best` may have been changed by hand."""
    try:
        trials = tuple(map(_trial_from_json, entry["configs"]))
        settings = [trial.settings for trial in trials]
        texts = {name: _text(entry[name]) for name in ("kernel", "source", "version", "core", "core_digest")}
        key = tuple(map(_text, entry["key"]))
        subject = Subject(texts["kernel"], texts["source"], key, tuple(settings), texts["version"])
        conditions = Conditions(
            texts["core"],
            texts["core_digest"],
            _text(entry["unit"]),
            int(entry["threads"]),
            _text(entry.get("machine", "")),
        )
        best = entry["best"]
        notes, date = tuple(map(_text, entry.get("notes", ()))), _text(entry.get("date", ""))
    except KeyError as error:
        raise ConfigError(f"it has no {error}") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ConfigError(f"a part of it is of another kind than it should be: {error}") from None
    if best not in settings:
        choices = "; ".join(in_words(each) for each in settings)
        raise ConfigError(f'its "best", {best}, is none of its configurations', fix=f"name one of: {choices}")
    return Result(subject, conditions, trials, settings.index(best), notes, date)


def _trial_from_json(entry: Mapping) -> Trial:
    settings, dropped = entry["settings"], entry.get("dropped")
    if not isinstance(settings, dict):
        raise TypeError(f"settings are {settings!r}")
    predicted, measured = _number(entry.get("predicted_ms")), _number(entry.get("measured"))
    return Trial(settings, predicted, measured, None if dropped is None else _text(dropped))


def _text(value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value) -> float | None:
    number = None if value is None else float(value)
    if number is not None and not math.isfinite(number):
        raise ValueError(f"{number} is no measurement")
    return number


def least(measured: Sequence[float | None]) -> int | None:
    """The place of the least number, None where there is none."""
    known = [(value, place) for place, value in enumerate(measured) if value is not None]
    return min(known)[1] if known else None
