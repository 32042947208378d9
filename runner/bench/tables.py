"""A bench as tables and sentences, for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from ..errors import one_line
from ..tables import Table
from . import intervals
from .measurement import Bench, Cell, Interval

OTHER_WORK = {
    "adam": "Adam also keeps two moments of every gradient",
    "dynamic": "a middle layer is applied 1.5 times a step on average",
}


def comparison(bench: Bench) -> Table:
    """Steady steps, and how they compare; the fastest first."""
    base = bench.baseline
    header = ("implementation", "µs/step", "95 % interval", f"over {base}", "interval", "place")
    ordered = sorted(bench.cells, key=lambda c: c.step_us.value if c.step_us else float("inf"))
    return Table(header, [_compared(cell) for cell in ordered], frozenset({0}), frozenset({2, 4}))


def _compared(cell: Cell) -> list[str]:
    if cell.step_us is None:
        return [_marked(cell), _ending(cell), "", "", "", ""]
    return [
        _marked(cell),
        *_with_interval(cell.step_us, microseconds),
        *_with_interval(cell.ratio, "{:.3f}".format),
        place(cell.rank),
    ]


def _ending(cell: Cell) -> str:
    failure = cell.failure
    return failure.outcome if failure else "-"


def _marked(cell: Cell) -> str:
    """The name, with a star where a step does other work than SGD's."""
    return f"{cell.label} *" if cell.family in OTHER_WORK else cell.label


def _with_interval(interval: Interval | None, written: object) -> tuple[str, str]:
    assert callable(written)
    if interval is None:
        return "-", ""
    return written(interval.value), f"{written(interval.low)} to {written(interval.high)}"


def microseconds(value: float) -> str:
    """Three digits or more, never a power of ten."""
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"


def place(rank: tuple[int, int] | None) -> str:
    """`2`, or `2-4` where intervals overlap."""
    if rank is None:
        return ""
    low, high = rank
    return str(low) if low == high else f"{low}-{high}"


def costs(cells: Sequence[Cell]) -> Table:
    """All that is not the steady step, and what the step comes to against the machine."""
    header = (
        *("implementation", "import s", "set-up ms", "first ms", "warm-up steps", "peak MB"),
        *("dispatch", "GFLOP/s", "of the limit", "limit"),
    )
    good = [cell for cell in cells if cell.good]
    return Table(header, [_cost_row(cell) for cell in good], frozenset({0, 9}))


def _cost_row(cell: Cell) -> list[str]:
    return [
        _marked(cell),
        _median(cell, "import_s", 1, 2),
        _median(cell, "setup_s", 1e3, 1),
        _median(cell, "first_us", 1e-3, 2),
        _median(cell, "warmup_steps", 1, 0),
        _median(cell, "peak_bytes", 1e-6, 0),
        percent(cell.dispatch_share),
        "-" if cell.gflops is None else f"{cell.gflops:.3g}",
        percent(cell.share),
        cell.limit or "-",
    ]


def _median(cell: Cell, name: str, factor: float, places: int) -> str:
    found = [getattr(each, name) for each in cell.good if getattr(each, name) is not None]
    return f"{statistics.median(found) * factor:.{places}f}" if found else "-"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def growth(bench: Bench) -> Table:
    """µs a step, sizes down and implementations across."""
    labels = list(dict.fromkeys(cell.label for cell in bench.cells))
    by = {(cell.size, cell.label): cell for cell in bench.cells}
    rows = [
        [str(size), *(_step_cell(by[size, label]) for label in labels)]
        for size in sorted(size for size in bench.sizes if size is not None)
    ]
    return Table([f"{bench.axis} (µs/step)", *labels], rows)


def _step_cell(cell: Cell) -> str:
    return microseconds(cell.step_us.value) if cell.step_us else _ending(cell)


def fits(bench: Bench) -> Table:
    """The overhead of a step, and what each more of the size adds to it."""
    header = (
        *("implementation", "overhead µs", "95 % interval"),
        *(f"ns per {bench.axis}", "interval", "GFLOP/s of the growth"),
    )
    rows = [
        [
            fit.label,
            *_with_interval(fit.overhead_us, microseconds),
            *_with_interval(_nanoseconds(fit.slope_us), "{:.4g}".format),
            "-" if fit.gflops is None else f"{fit.gflops:.3g}",
        ]
        for fit in bench.fits
    ]
    return Table(header, rows, frozenset({0}), frozenset({2, 4}))


FLAT = (
    *("label", "impl", "revision", "framework", "family", "size", "outcome", "rounds"),
    *("step_us", "step_us_low", "step_us_high", "ratio", "ratio_low", "ratio_high"),
    *("place_best", "place_worst", "flops", "bytes", "gflops", "limit", "share"),
    "dispatch_share",
)


def flat(bench: Bench) -> Table:
    """A row a cell with every digit, for programs."""
    return Table(FLAT, [_flat_row(cell) for cell in bench.cells])


def _flat_row(cell: Cell) -> list[str]:
    best, worst = cell.rank or (None, None)
    values = (
        *(cell.label, cell.impl, cell.revision, cell.framework, cell.family, cell.size),
        *(cell.failure.outcome if cell.failure else "ok", len(cell.good)),
        *_ends(cell.step_us),
        *_ends(cell.ratio),
        *(best, worst, cell.flops, cell.bytes, cell.gflops, cell.limit, cell.share),
        cell.dispatch_share,
    )
    return ["" if value is None else str(value) for value in values]


def _ends(interval: Interval | None) -> tuple[float | None, ...]:
    return (interval.value, interval.low, interval.high) if interval else (None, None, None)


def _nanoseconds(interval: Interval) -> Interval:
    return interval / 1e-3


def notes(bench: Bench) -> Iterator[str]:
    """What the tables can't say."""
    if bench.axis:
        yield from _leaders(bench)
    else:
        yield fastest(bench.cells)
    yield from _about_the_machine(bench)
    for family, what in OTHER_WORK.items():
        names = dict.fromkeys(cell.label for cell in bench.cells if cell.family == family)
        if names:
            yield f"* {', '.join(names)}: other work in a step than the rest: {what}"
    yield from _beyond_the_limit(bench)
    for cell in bench.cells:
        if failure := cell.failure:
            size = f" at {bench.axis}={cell.size}" if bench.axis else ""
            yield f"{cell.label}{size} {failure.outcome}: {reason(cell)}"


def _beyond_the_limit(bench: Bench) -> Iterator[str]:
    """What has no share of the limit, since it would be more than all of it."""
    beyond = [cell for cell in bench.cells if cell.limit and cell.share is None]
    for label in dict.fromkeys(cell.label for cell in beyond if cell.good[-1].flops is None):
        yield (
            f"{label} does less arithmetic than the formula counts: by that it would be beyond the "
            "machine's limit; a function flops(cfg) beside train can say what a step computes"
        )
    for label in dict.fromkeys(cell.label for cell in beyond if cell.good[-1].flops):
        yield f"{label} does less arithmetic than its flops(cfg) says: that is beyond the limit"


def reason(cell: Cell) -> str:
    """Why a cell's process failed, in one line."""
    error = cell.failure.error if cell.failure else None
    return one_line(error) if error else "no reason given"


def fastest(cells: Sequence[Cell]) -> str:
    """Who is fastest, as far as the intervals allow to say."""
    ranked = sorted(
        (c for c in cells if c.rank and c.ratio), key=lambda c: c.ratio.value if c.ratio else 0
    )
    if not ranked:
        return "nothing could be compared"
    first = [cell for cell in ranked if cell.rank and cell.rank[0] == 1]
    if len(first) > 1:
        return f"fastest: {', '.join(cell.label for cell in first)} (their intervals overlap)"
    best = first[0]
    others = [cell for cell in ranked if cell is not best]
    lead = intervals.paired_ratio(others[0].blocks(), best.blocks()) if others else None
    if lead is None:
        return f"measured: {best.label} alone"
    return (
        f"fastest: {best.label}, {lead.value:.2f} ({lead.low:.2f} to {lead.high:.2f}) times as "
        f"fast as {others[0].label}, the next"
    )


def _leaders(bench: Bench) -> Iterator[str]:
    """Who is fastest at each size, where that changes."""
    before = ""
    for size in sorted(size for size in bench.sizes if size is not None):
        now = fastest(bench.at(size))
        if now.partition(",")[0] != before.partition(",")[0]:
            yield f"from {bench.axis}={size}: {now}"
        before = now


def _about_the_machine(bench: Bench) -> Iterator[str]:
    rates = bench.rates
    if rates.matmul_gflops is None or rates.copy_gb_s is None:
        return
    dtypes = {cell.config["dtype"] for cell in bench.cells}
    yield (
        f"this machine: {rates.matmul_gflops:.3g} GFLOP/s in {' and '.join(sorted(dtypes))} matrix "
        f"products ({rates.matmul_by}), {rates.copy_gb_s:.3g} GB/s copying memory, "
        f"{bench.threads} thread{'' if bench.threads == 1 else 's'}"
    )
