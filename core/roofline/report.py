"""A prediction as text."""

import textwrap

from vertebra.core.roofline.hot_loops import HotLoop
from vertebra.core.roofline.measure import Measurement
from vertebra.core.roofline.model import MEMORY, Part, Prediction

_WIDTH = 100
_RESOURCES = {"unit": "the unit", "vectors": "vectors", "issue": "issue", "loads": "loads"}


def text(found: Prediction, measurement: Measurement | None = None) -> str:
    """Paragraphs: the launch, its work, its hot loops, what bounds it, and what that stands on."""
    lines = [*_head(found), "", *_work(found)]
    for part in found.parts:
        lines += ["", *_part(part, found)]
    lines += ["", *_verdict(found)]
    if measurement is not None:
        lines += ["", *_measured(found, measurement)]
    lines += ["", *(f"note: {note}" for note in found.notes)]
    lines += textwrap.wrap(
        f"rates of {found.core.name}: {found.rates.source}", _WIDTH, subsequent_indent="  "
    )
    return "\n".join(lines)


def quantity(number: float, unit: str) -> str:
    """Three digits and a prefix: 1.07 Gop."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5 or prefix == "T":
            return f"{number:.3g} {prefix}{unit}"
        number /= 1000
    raise AssertionError


def _cores(number: int) -> str:
    return "one core" if number == 1 else f"{number} cores"


def percent(fraction: float) -> str:
    return f"{fraction:.0%}" if fraction >= 0.0095 else f"{fraction:.2%}"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _head(found: Prediction) -> list[str]:
    programs = found.work.programs
    grid = " x ".join(map(str, found.grid))
    return [
        f"{found.kernel} on one core of {found.core.name} at {found.clock:.3g} GHz",
        f"grid {grid}: {programs:,} program{'' if programs == 1 else 's'}",
    ]


def _row(name: str, value: str) -> str:
    return f"  {name:<26}{value}"


def _work(found: Prediction) -> list[str]:
    work = found.work
    rows = [
        _row(
            "matrix operations",
            f"{product.operations:,.0f}, {product} in blocks of {'x'.join(map(str, product.shape))}",
        )
        for product in work.products
    ] or [_row("matrix operations", "none")]
    rows.append(_row("other arithmetic", f"{work.vector_operations:,.0f} operations on single elements"))
    for name, traffic in work.traffic.items():
        rows.append(
            _row(f"  {name}", f"{traffic.read:,.0f} bytes read, {traffic.written:,.0f} written, ")
            + f"{traffic.touched:,.0f} in different lines"
        )
    kept = [name for name in work.traffic if name in work.kept(found.cache)]
    how = f"the last cache, of {found.cache >> 10:,} KiB, keeps {', '.join(kept) or 'nothing'}"
    rows.append(_row("bytes moved", f"{work.moved:,.0f} by loads and stores"))
    rows.append(_row("  from or to memory", f"{found.bytes:,.0f} ({how})"))
    if found.bytes:
        rows.append(_row("arithmetic intensity", f"{found.intensity:.3g} operations per byte"))
    return rows


def _part(part: Part, found: Prediction) -> list[str]:
    loop = part.loop
    if loop is None:
        return [f"{part.kind}: no loop in the code does them"]
    rows = [
        f"{part.kind}: hot loop {loop.label}",
        _row("instructions", f"{loop.instructions}, of which {loop.loads} load and {loop.stores} store"),
        _row(f"{loop.each}s", f"{loop.done} {loop.unit}"),
        _row(f"per {loop.each}", f"{loop.per_instruction:.2f} instructions"),
        _row("cycles of a pass", _cycles(loop)),
        _row("bound", loop.bound),
        _row("at best", duration(part.cycles() / (found.clock * 1e9))),
    ]
    return rows


def _cycles(loop: HotLoop) -> str:
    return ", ".join(f"{_RESOURCES[name]} {cycles:.3g}" for name, cycles in loop.cycles.items())


def _verdict(found: Prediction) -> list[str]:
    rows = [f"bound: {found.bound}", *_prediction(found)]
    if found.rates.cores > 1 and found.seconds:
        shared = found.on(found.rates.cores)
        rows += ["", f"on all {shared.cores} cores: {shared.bound}", *_prediction(shared)]
    return rows


def _prediction(found: Prediction) -> list[str]:
    seconds = f"{duration(found.core_seconds)}, {MEMORY} {duration(found.memory_seconds)}"
    rows = [_row("computing", f"{seconds} at {found.rates.memory:.3g} GB/s")]
    if found.peak:
        per_cycle = found.peak / found.clock / 1e9
        rows.append(_row("peak", f"{quantity(found.peak, 'op/s')} ({per_cycle:.4g} per cycle)"))
        rows.append(
            _row("predicted, at best", f"{quantity(found.rate, 'op/s')}, {percent(found.fraction)} of peak")
        )
    return rows


def _measured(found: Prediction, measurement: Measurement) -> list[str]:
    rows = [f"measured: {measurement.how}"]
    if measurement.seconds is not None:
        rate = found.operations / measurement.seconds
        rows.append(_row("time", f"{duration(measurement.seconds)}, {quantity(rate, 'op/s')}"))
        if found.peak:
            shared = found.on(measurement.threads)
            rows.append(_row("of peak", f"{percent(rate / shared.peak)}, that of {_cores(shared.cores)}"))
    rows += [_row(name, f"{count:,}") for name, count in measurement.counts.items() if count]
    every, engine = measurement.counts.get("all"), measurement.engine
    if every and engine:
        rows.append(_row("matrix instructions", f"{engine:,}, one in {every / engine:.2f}"))
    if every:
        seconds = every / found.rates.issue / found.clock / 1e9
        share = found.operations / seconds / found.peak if found.peak else 0
        rows.append(_row("issue of all takes", f"{duration(seconds)}: not above {percent(share)} of peak"))
    return rows
