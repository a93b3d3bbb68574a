"""Which configurations are worth a measurement, by the time that the roofline predicts."""

import math
import os
from collections.abc import Mapping

from vertebra.core.errors import ConfigError
from vertebra.core.roofline.model import Prediction

VARIABLE = "VERTEBRA_TUNING_KEEP"
# Of the configurations; a measurement of that many finds the best one nearly always (docs/tuning.md).
SHARE = 0.5
# So few are all measured.
FEW = 3
# Instructions with which a program finds its place and its arguments, at least.
_START = 25
# What is predicted to be so near to the last one that is kept is kept too.
_NEAR = 1.02


def share() -> float:
    """$VERTEBRA_TUNING_KEEP: how many of the configurations are measured; 1 prunes none."""
    text = os.environ.get(VARIABLE) or str(SHARE)
    try:
        return checked(float(text))
    except ValueError:
        raise ConfigError(f"{VARIABLE} is {text!r}", fix="set it to a share above 0, up to 1") from None


def checked(number: float) -> float:
    """Raises ConfigError for what is no share."""
    if not 0 < number <= 1:
        raise ConfigError(
            f"{number:g} of the configurations cannot be kept", fix="keep a share above 0, up to 1"
        )
    return number


def estimate(found: Prediction, threads: int) -> float:
    """Milliseconds of the launch on `threads` threads, for comparing configurations.

    The roofline is nearly the same for all blocks.  What differs between them is how often operands are moved
    into panels and registers, and how many programs start; both come on top of it here.
    """
    rates, programs = found.rates, found.work.programs
    cycles = found.work.moved * 8 / rates.load_bits + programs * _START / rates.issue
    cores = max(1, min(threads, programs))
    return (found.on(threads).seconds + cycles / (found.clock * 1e9 * cores)) * 1e3


def worth(predicted: Mapping[int, float], share: float) -> set[int]:
    """The best `share` of what is predicted, at least `FEW`, and what is as near as `_NEAR` to these.

    predicted: number of a configuration -> milliseconds.
    """
    ranked = sorted(predicted.values())
    count = max(FEW, math.ceil(share * len(ranked)))
    if count >= len(ranked):
        return set(predicted)
    limit = ranked[count - 1] * _NEAR
    return {number for number, value in predicted.items() if value <= limit}
