"""A bench as tables and sentences, for people; and as a flat table, for programs."""

import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, replace

from ..errors import listed, one_line
from ..tables import Table, exact
from . import analysis, intervals
from .gate import Slowdown
from .measurement import Bench, Cell, Interval

FAMILIES = {
    "adam": "Adam also keeps two moments of every gradient",
    "dynamic": "a middle layer is applied 1.5 times a step on average",
}

COSTS = (
    ("import s", "import_s", "{:.2f}", 1),
    ("set-up ms", "setup_s", "{:.1f}", 1e3),
    ("first ms", "first_us", "{:.2f}", 1e-3),
    ("peak MB", "peak_bytes", "{:.0f}", 1e-6),
    ("warm-up steps", "warmup_steps", "{:.0f}", 1),
)
"""Columns that are medians over rounds: the field of a Round, how it is written, its factor."""

FLAT_FIRST = ("label", "impl", "revision", "framework", "family", "size")
FLAT_LAST = ("flops", "bytes", "gflops", "limit", "share", "dispatch_share")

MOST_NAMED = 3  # implementations that a verdict names

VERDICTS = {"ok": "ok", "slower": "SLOWER", "unsure": "too noisy to say"}


def comparison(bench: Bench) -> Table:
    """Steady steps, and how they compare; a star marks other work, which has no place."""
    header = ("implementation", "µs/step", "95 % interval", "ratio", "interval", "place")
    rows, others = [], other_work(bench)
    for cell in sorted(bench.cells, key=analysis.order):
        times = _written(cell.step_us, microseconds, _ending(cell))
        ratio = _written(cell.ratio, "{:.3f}".format, "-" if cell.step_us else "")
        place = "*" if cell.label in others else "-".join(map(str, dict.fromkeys(cell.rank or ())))
        rows.append([cell.label, *times, *ratio, place])
    return _starred(bench, Table(header, rows, frozenset({0}), frozenset({2, 4})))


def other_work(bench: Bench) -> list[str]:
    """The labels of those whose step times are not ranked with the rest."""
    cells = bench.at(bench.sizes[-1])
    ranked = [cell.label for cell in analysis.same_work(cells, bench.baseline)]
    return [cell.label for cell in cells if not cell.revision and cell.label not in ranked]


def _starred(bench: Bench, table: Table) -> Table:
    """A table of labels, with a star at those."""
    others = other_work(bench)
    rows = [[f"{label} *" if label in others else label, *row] for label, *row in table.rows]
    return replace(table, rows=rows)


def _ending(cell: Cell) -> str:
    return cell.failure.outcome if cell.failure else "-"


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


def costs(bench: Bench, *, verbose: bool = True) -> Table:
    """Costs besides the steady step, and the share of the machine's limit."""
    medians = COSTS if verbose else COSTS[:-1]
    rates = ("dispatch", "of limit", *["GFLOP/s", "limit"] * verbose)
    header = ("implementation", *(title for title, *_ in medians), *rates)
    rows = []
    for cell in (cell for cell in bench.cells if cell.good):
        row = [cell.label]
        for _, name, form, factor in medians:
            values = [value for each in cell.good if (value := getattr(each, name)) is not None]
            row.append(form.format(statistics.median(values) * factor) if values else "-")
        more = [_gflops(cell.gflops), cell.limit or "-"] * verbose
        rows.append([*row, percent(cell.dispatch_share), percent(cell.share), *more])
    left = frozenset({0, len(header) - 1} if verbose else {0})
    return _starred(bench, Table(header, rows, left))


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _gflops(gflops: float | None) -> str:
    return "-" if gflops is None else f"{gflops:.3g}"


def growth(bench: Bench) -> Table:
    """µs a step, implementations down and sizes across."""
    rows: dict[str, list[str]] = {cell.label: [] for cell in bench.at(bench.sizes[-1])}
    for cell in bench.cells:
        rows[cell.label].append(_written(cell.step_us, microseconds, _ending(cell))[0])
    header = (f"µs/step at {bench.axis} =", *map(str, bench.sizes))
    body = [[label, *times] for label, times in rows.items()]
    return _starred(bench, Table(header, body, frozenset({0})))


def fits(bench: Bench, *, verbose: bool = True) -> Table:
    """The overhead of a step, and what each more of the size adds to it."""
    slope = (f"ns per {bench.axis}", "interval", *["GFLOP/s of the growth"] * verbose)
    header = ("implementation", "overhead µs", "95 % interval", *slope)
    rows = []
    for fit in bench.fits:
        overhead = _written(fit.overhead_us, microseconds)
        per_unit = _written(fit.slope_us, lambda us: microseconds(us * 1e3))
        rows.append([fit.label, *overhead, *per_unit, *[_gflops(fit.gflops)] * verbose])
    return _starred(bench, Table(header, rows, frozenset({0}), frozenset({2, 4})))


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
    if not bench.axis:
        yield f"ratio: over the step of {bench.baseline}, paired by round"
    rates = bench.rates
    if rates.matmul_gflops is not None and rates.copy_gb_s is not None:
        dtypes = sorted({cell.config["dtype"] for cell in bench.cells})
        yield (
            f"this machine: {rates.matmul_gflops:.3g} GFLOP/s in {' and '.join(dtypes)} matrix "
            f"products ({rates.matmul_by}), {rates.copy_gb_s:.3g} GB/s copying memory, "
            f"{bench.threads} thread{'' if bench.threads == 1 else 's'}"
        )
    others, family = other_work(bench), {cell.label: cell.family for cell in bench.cells}
    for name, what in FAMILIES.items():
        if labels := [label for label in others if family[label] == name]:
            yield f"* {listed(labels)}: other work in a step, so not ranked: {what}"
    for cell in bench.cells:
        if cell.limit and cell.share is None:
            own = "its flops(cfg) says: that is beyond the limit"
            plain = (
                "the formula counts: by that it would be beyond the machine's limit; a function "
                "flops(cfg) beside train can say what a step computes"
            )
            told = own if cell.good[-1].flops else plain
            yield f"{cell.label} does less arithmetic than {told}"
    yield from failures(bench)


def failures(bench: Bench) -> Iterator[str]:
    for cell in bench.cells:
        if cell.failure:
            size = f" at {bench.axis}={cell.size}" if bench.axis else ""
            reason = one_line(cell.failure.error) if cell.failure.error else "no reason given"
            yield f"{cell.label}{size} {cell.failure.outcome}: {reason}"


def findings(bench: Bench, slowdowns: Sequence[Slowdown], against: str) -> Iterator[str]:
    """Which is fastest, as far as the intervals allow to say; or, against another, the verdict."""
    total, measured = len(bench.cells), sum(bool(cell.rounds) for cell in bench.cells)
    if measured < total:
        none = "verdict" if against else "ranking"
        yield f"{measured} of {total} measured, interrupted: no {none}"
        return
    if failed := {cell.label: cell.failure.outcome for cell in bench.cells if cell.failure}:
        yield ", ".join(f"{label} {outcome}" for label, outcome in failed.items())
    if against:
        yield from _verdict(slowdowns, against)
    elif analysis.one_round(bench):
        yield "no ranking: one round alone doesn't tell which is fastest"
    elif any(cell.ratio for cell in bench.cells):
        yield from _growing(bench) if bench.axis else [_leader(bench, None)]
    elif any(cell.good for cell in bench.cells):
        yield f"nothing was compared, since {bench.baseline} failed; choose another with --over"
    else:
        yield "nothing was measured"


def _growing(bench: Bench) -> Iterator[str]:
    """Which is fastest at which sizes, by how much at the largest, and how the cost grows."""
    leaders = {size: analysis.fastest(bench, size) for size in bench.sizes}
    spans = []
    for labels, group in itertools.groupby(bench.sizes, leaders.__getitem__):
        first, *more = group
        to = f" to {more[-1]}" if more else ""
        spans.append(f"{listed(labels, 'or') if labels else 'none'} at {first}{to}")
    yield f"fastest by {bench.axis}: {', '.join(spans)}"
    smallest, *_, largest = bench.sizes
    if len(leaders[largest]) == 1:
        yield _leader(bench, largest)
    starts = {cell.label: cell.step_us for cell in bench.at(smallest)}
    grown = {
        cell.step_us.value / start.value: cell.label
        for cell in bench.at(largest)
        if cell.step_us and (start := starts[cell.label])
    }
    if grown:
        ends = sorted({min(grown), max(grown)})
        by = " to ".join(f"{times:.3g} times ({grown[times]})" for times in ends)
        yield f"from {bench.axis}={smallest} to {largest} the time of a step grows {by}"


def _leader(bench: Bench, size: int | None) -> str:
    labels, cells = analysis.fastest(bench, size), bench.at(size)
    own = analysis.same_work(cells, bench.baseline)
    if len(own) == 1 < len(cells):
        return f"no ranking: {analysis.named(cells)} do different work in a step"
    if not labels:
        return "no ranking: of those that do the same work, none was measured"
    best, *others = (cell for cell in own if cell.ratio)
    if len(labels) > 1:
        rest = [f"; the next is {cell.label}" for cell in others if cell.label not in labels]
        return f"{listed(labels)} can't be told apart: their intervals overlap{''.join(rest[:1])}"
    lead = intervals.paired_ratio(others[0].blocks(), best.blocks()) if others else None
    if lead is None:
        return "{}: {} ({}) µs a step".format(best.label, *_written(best.step_us, microseconds))
    at = f" at {bench.axis}={size}" if bench.axis else ""
    return f"fastest{at}: {best.label}, {_times(lead)} times as fast as {others[0].label}, the next"


def _times(ratio: Interval) -> str:
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _verdict(slowdowns: Sequence[Slowdown], against: str) -> Iterator[str]:
    over = f"times as slow as {against}"
    for state, end in (("unsure", ", too noisy to say"), ("slower", "")):
        own = sorted((s for s in slowdowns if s.state == state), key=lambda s: -s.ratio.value)
        if own:
            named = listed(f"{each.label} is {_times(each.ratio)}" for each in own[:MOST_NAMED])
            more = f", {len(own) - MOST_NAMED} more too" if len(own) > MOST_NAMED else ""
            yield f"{named} {over}{more}{end}; the limit is {own[0].limit:.2f}"
    if not slowdowns:
        yield "nothing was compared"
    elif all(each.state == "ok" for each in slowdowns):
        first, *others = slowdowns
        which = "no implementation is" if others else f"{first.label} is not"
        yield f"{which} slower than {against}; the limit is {first.limit:.2f}"
