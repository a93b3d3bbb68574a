"""Predictions in the roofline diagram, as SVG.

S. Williams, A. Waterman, D. Patterson: Roofline: an insightful visual performance model (2009).
"""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from vertebra.core.roofline.measure import Measurement
from vertebra.core.roofline.model import Prediction
from vertebra.core.roofline.report import percent, quantity

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 36, 52
_LINE = 17
_COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e", "#34495e")


def svg(found: Sequence[tuple[Prediction, Measurement | None]]) -> str:
    """Roofs of one core and, broken, of all cores of its kind; a dot on or under each is the launch.

    Both axes are logarithmic.  A ring is what was measured, where it was timed.  A launch that
    moves no byte stands at the right edge.
    """
    shown: list[tuple] = []
    legend: list[str] = []
    for number, (one, measurement) in enumerate(found):
        colour = _COLOURS[number % len(_COLOURS)]
        for prediction in (one, one.on(one.rates.cores))[: 1 + (one.rates.cores > 1)]:
            legend.append(_legend(prediction, colour, _HEIGHT + _LINE * len(legend)))
            if prediction.rate:
                shown.append((prediction, colour))
        if measurement is not None and measurement.seconds:
            shown.append((measurement.seconds, one, colour))
    scale = _Scale([item[0] for item in shown if len(item) == 2])
    body = [_axes(scale)]
    for item in shown:
        body.append(_roof(scale, *item) if len(item) == 2 else _ring(scale, *item))
    height = _HEIGHT + _LINE * len(legend)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(found[0][0].kernel)}</text>\n'
        + "".join([*body, *legend])
        + "</svg>\n"
    )


class _Scale:
    """Where operations per byte and operations per second stand; whole decades."""

    def __init__(self, predictions: Sequence[Prediction]):
        xs, ys = [1.0], [1e9]
        for p in predictions:
            peak = p.peak
            xs += [x for x in (p.intensity, peak / (p.rates.memory * 1e9)) if 0 < x < math.inf]
            ys += [peak, p.rate]
        self.x = math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs)) + 0.3)
        self.y = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)) + 0.1)

    def at_x(self, intensity: float) -> float:
        low, high = self.x
        place = high if math.isinf(intensity) else min(high, max(low, math.log10(intensity)))
        return _LEFT + (place - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def at_y(self, rate: float) -> float:
        low, high = self.y
        place = min(high, max(low, math.log10(rate)))
        return _HEIGHT - _BOTTOM - (place - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(scale: _Scale) -> str:
    parts = []
    for decade in range(scale.x[0], scale.x[1] + 1):
        x = scale.at_x(10.0**decade)
        parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM, "#ddd"))
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{10.0**decade:g}</text>\n'
        )
    for decade in range(scale.y[0], scale.y[1] + 1):
        y = scale.at_y(10.0**decade)
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "#ddd"))
        label = quantity(10.0**decade, "op/s")
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>\n')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - _BOTTOM + 36}" text-anchor="middle">'
        "operations per byte to or from memory</text>\n"
    )
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>\n'


def _roof(scale: _Scale, found: Prediction, colour: str) -> str:
    memory = found.rates.memory * 1e9
    ridge = found.peak / memory
    start = max(10.0 ** scale.x[0], 10.0 ** scale.y[0] / memory)
    top, more = scale.at_y(found.peak), ' stroke-width="2"'
    if found.cores > 1:
        more += ' stroke-dasharray="6 4"'
    return (
        _line(scale.at_x(start), scale.at_y(start * memory), scale.at_x(ridge), top, colour, more)
        + _line(scale.at_x(ridge), top, _WIDTH - _RIGHT, top, colour, more)
        + _dot(scale.at_x(found.intensity), scale.at_y(found.rate), colour, found.cores > 1)
    )


def _dot(x: float, y: float, colour: str, several: bool) -> str:
    """Round for one core, a square for several."""
    if several:
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>\n'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>\n'


def _ring(scale: _Scale, seconds: float, found: Prediction, colour: str) -> str:
    x, y = scale.at_x(found.intensity), scale.at_y(found.operations / seconds)
    ring = f'r="7" fill="none" stroke="{colour}" stroke-width="2"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" {ring}><title>measured</title></circle>\n'


def _legend(found: Prediction, colour: str, y: float) -> str:
    said = f"{found.core.name}, {found.cores} core{'s' if found.cores > 1 else ''}: bound by {found.bound}"
    if found.peak:
        said += f", {percent(found.fraction)} of {quantity(found.peak, 'op/s')}"
    return (
        _dot(_LEFT, y - 4, colour, found.cores > 1)
        + f'<text x="{_LEFT + 12}" y="{y}">{escape(said)}</text>\n'
    )
