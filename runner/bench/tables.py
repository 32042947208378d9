"""A bench as tables and sentences, for people; and as a flat table, for programs."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple

from ..errors import one_line
from ..tables import Table, exact
from . import analysis, intervals
from .gate import Slowdown
from .measurement import Bench, Cell, Interval

OTHER_WORK = {
    "adam": "Adam also keeps two moments of every gradient",
    "dynamic": "a middle layer is applied 1.5 times a step on average",
}

COSTS = (
    ("import s", "import_s", "{:.2f}", 1),
    ("set-up ms", "setup_s", "{:.1f}", 1e3),
    ("first ms", "first_us", "{:.2f}", 1e-3),
    ("warm-up steps", "warmup_steps", "{:.0f}", 1),
    ("peak MB", "peak_bytes", "{:.0f}", 1e-6),
)
"""Columns that are medians over rounds: the field of a Round, how it is written, its factor."""

FLAT_FIRST = ("label", "impl", "revision", "framework", "family", "size")
FLAT_LAST = ("flops", "bytes", "gflops", "limit", "share", "dispatch_share")

VERDICTS = {"ok": "ok", "slower": "SLOWER", "unsure": "too noisy to say"}


def comparison(bench: Bench) -> Table:
    """Steady steps, and how they compare; the fastest first."""
    over = f"over {bench.baseline}"
    header = ("implementation", "µs/step", "95 % interval", over, "interval", "place")
    rows = []
    for cell in sorted(bench.cells, key=lambda c: c.step_us.value if c.step_us else math.inf):
        times = _written(cell.step_us, microseconds, _ending(cell))
        ratio = _written(cell.ratio, "{:.3f}".format, "-" if cell.step_us else "")
        place = "-".join(map(str, dict.fromkeys(cell.rank or ())))
        rows.append([_name(cell), *times, *ratio, place])
    return Table(header, rows, frozenset({0}), frozenset({2, 4}))


def _ending(cell: Cell) -> str:
    return cell.failure.outcome if cell.failure else "-"


def _name(cell: Cell) -> str:
    """The label, with a star where a step does other work than SGD's."""
    return f"{cell.label} *" if cell.family in OTHER_WORK else cell.label


def _written(
    interval: Interval | None, form: Callable[[float], str], none: str = "-"
) -> tuple[str, str]:
    """The value, and `low to high`."""
    if interval is None:
        return none, ""
    return form(interval.value), f"{form(interval.low)} to {form(interval.high)}"


def microseconds(value: float) -> str:
    """Three digits or more, never a power of ten."""
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"


def costs(bench: Bench) -> Table:
    """Costs besides the steady step, and the share of the machine's limit."""
    medians = (title for title, *_ in COSTS)
    header = ("implementation", *medians, "dispatch", "GFLOP/s", "of the limit", "limit")
    rows = []
    for cell in (cell for cell in bench.cells if cell.good):
        row = [_name(cell)]
        for _, name, form, factor in COSTS:
            values = [value for each in cell.good if (value := getattr(each, name)) is not None]
            row.append(form.format(statistics.median(values) * factor) if values else "-")
        rates = (percent(cell.dispatch_share), _rate(cell.gflops), percent(cell.share))
        rows.append([*row, *rates, cell.limit or "-"])
    return Table(header, rows, frozenset({0, 9}))


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _rate(gflops: float | None) -> str:
    return "-" if gflops is None else f"{gflops:.3g}"


def growth(bench: Bench) -> Table:
    """µs a step, sizes down and implementations across."""
    labels = list(dict.fromkeys(cell.label for cell in bench.cells))
    rows = []
    for size in sorted(size for size in bench.sizes if size is not None):
        times = {c.label: _written(c.step_us, microseconds, _ending(c))[0] for c in bench.at(size)}
        rows.append([str(size), *(times[label] for label in labels)])
    return Table([f"{bench.axis} (µs/step)", *labels], rows)


def fits(bench: Bench) -> Table:
    """The overhead of a step, and what each more of the size adds to it."""
    slope = (f"ns per {bench.axis}", "interval", "GFLOP/s of the growth")
    header = ("implementation", "overhead µs", "95 % interval", *slope)
    rows = []
    for fit in bench.fits:
        overhead = _written(fit.overhead_us, microseconds)
        per_unit = _written(fit.slope_us, lambda us: f"{us * 1e3:.4g}")
        rows.append([fit.label, *overhead, *per_unit, _rate(fit.gflops)])
    return Table(header, rows, frozenset({0}), frozenset({2, 4}))


def verdicts(slowdowns: Iterable[Slowdown], against: str) -> Table:
    """What the gate says of each."""
    header = ("implementation", f"time over {against}", "95 % interval", "limit", "verdict")
    rows = []
    for each in slowdowns:
        ratio = _written(each.ratio, "{:.3f}".format)
        rows.append([each.label, *ratio, f"{each.limit:.2f}", VERDICTS[each.state]])
    return Table(header, rows, frozenset({0, 4}))


def flat(bench: Bench) -> Table:
    """A row a cell with every digit, for programs."""
    rows = []
    for cell in bench.cells:
        row: dict[str, object] = {name: getattr(cell, name) for name in FLAT_FIRST}
        row |= {"outcome": cell.failure.outcome if cell.failure else "ok", "rounds": len(cell.good)}
        for name, interval in (("step_us", cell.step_us), ("ratio", cell.ratio)):
            value, low, high = astuple(interval) if interval else (None, None, None)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        row["place_best"], row["place_worst"] = cell.rank or (None, None)
        rows.append(row | {name: getattr(cell, name) for name in FLAT_LAST})
    return Table(list(rows[0]), [list(map(exact, row.values())) for row in rows])


# --- sentences


def remarks(bench: Bench) -> Iterator[str]:
    """What the tables can't say."""
    yield from _leaders(bench)
    rates = bench.rates
    if rates.matmul_gflops is not None and rates.copy_gb_s is not None:
        dtypes = sorted({cell.config["dtype"] for cell in bench.cells})
        yield (
            f"this machine: {rates.matmul_gflops:.3g} GFLOP/s in {' and '.join(dtypes)} matrix "
            f"products ({rates.matmul_by}), {rates.copy_gb_s:.3g} GB/s copying memory, "
            f"{bench.threads} thread{'' if bench.threads == 1 else 's'}"
        )
    for family, what in OTHER_WORK.items():
        if labels := dict.fromkeys(cell.label for cell in bench.cells if cell.family == family):
            yield f"* {', '.join(labels)}: other work in a step than the rest: {what}"
    beyond = {c.label: c.good[-1].flops for c in bench.cells if c.limit and c.share is None}
    for label, own in beyond.items():
        yield f"{label} does less arithmetic than " + (
            "its flops(cfg) says: that is beyond the limit"
            if own
            else "the formula counts: by that it would be beyond the machine's limit; a function "
            "flops(cfg) beside train can say what a step computes"
        )
    for cell in bench.cells:
        if cell.failure:
            size = f" at {bench.axis}={cell.size}" if bench.axis else ""
            reason = one_line(cell.failure.error) if cell.failure.error else "no reason given"
            yield f"{cell.label}{size} {cell.failure.outcome}: {reason}"


def _leaders(bench: Bench) -> Iterator[str]:
    """Which is fastest, as far as the intervals allow to say; at each size where that changes."""
    before = None
    for size in sorted(bench.sizes, key=lambda size: size or 0):
        labels = analysis.fastest(bench, size)
        if labels != before:
            at = f"from {bench.axis}={size}: " if bench.axis else ""
            yield f"{at}{_leader(bench.at(size), labels)}"
        before = labels


def _leader(cells: list[Cell], labels: list[str]) -> str:
    if not labels:
        return "nothing could be compared"
    if len(labels) > 1:
        return f"fastest: {', '.join(labels)} (their intervals overlap)"
    ratios = {cell.ratio.value: cell for cell in cells if cell.ratio and cell.rank}
    best, *others = (ratios[value] for value in sorted(ratios))
    lead = intervals.paired_ratio(others[0].blocks(), best.blocks()) if others else None
    if lead is None:
        return f"measured: {best.label} alone"
    times = f"{lead.value:.2f} ({lead.low:.2f} to {lead.high:.2f}) times"
    return f"fastest: {best.label}, {times} as fast as {others[0].label}, the next"
