"""The charts of what a step costs: against a baseline, and against the size of the problem."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from ..bench import tables as bench_tables
from ..bench.measurement import Bench, Cell, Interval
from ..config.settings import SIZES
from ..errors import listed
from ..results.rows import Row, grouped, pivot, shown
from ..tables import Table
from .chart import Chart, Series, looks
from .material import Material
from .scales import wide

MOST_ROWS = 24


def steps(material: Material) -> Chart | None:
    """Ratios to a baseline from a bench; else what the steps of the runs took."""
    if material.bench and (cells := compared(material.bench)):
        return _ratios(material.bench, cells)
    rows = comparable(material)
    if not rows or any(len({row[size] for row in rows}) > 1 for size in SIZES):
        return None  # times of different problems are the scale chart's
    return _from_runs(material, rows)


def compared(bench: Bench) -> list[tuple[Cell, Interval]]:
    """The cells with a ratio, of the largest size if there are several, the fastest first."""
    cells = [(cell, cell.ratio) for cell in bench.cells if cell.ratio]
    largest = max((cell.size or 0 for cell, _ in cells), default=0)
    cells = [(cell, ratio) for cell, ratio in cells if (cell.size or 0) == largest]
    return sorted(cells, key=lambda compared: compared[1].value)


def _ratios(bench: Bench, cells: Sequence[tuple[Cell, Interval]]) -> Chart:
    size = cells[0][0].size
    at = f" at {bench.axis} = {size}" if bench.axis else ""
    notes = [
        f"Ratios with 95 % intervals from {max(len(cell.good) for cell, _ in cells)} interleaved "
        "rounds of fresh processes. Where two intervals overlap, the two can't be told apart."
    ]
    if other := [cell.label for cell, _ in cells if cell.family != "sgd"]:
        notes.append(f"Other work in a step than the others: {listed(other)}.")
    notes += [f"Doubt: {warning}." for warning in bench.warnings]
    table = bench_tables.comparison(replace(bench, cells=bench.at(size)))
    title = f"time of a step over {bench.baseline}'s{at}"
    times = [(cell.label, cell.framework, ratio) for cell, ratio in cells]
    return replace(_intervals(title, table, times, " ".join(notes)), reference=1.0)


def _intervals(
    x_label: str, table: Table, times: Sequence[tuple[str, str, Interval]], note: str
) -> Chart:
    """A row for each name with its framework and its time."""
    look = looks({name: framework for name, framework, _ in times})
    ranked = sorted(times, key=lambda each: each[2].value)
    series = [Series(n, look[n], [0.0], [t.value], [t.low], [t.high]) for n, _, t in ranked]
    log = wide(end for *_, t in times for end in (t.low, t.high))
    return Chart("intervals", "Time of a step", table, x_label, "", series, note, log_x=log)


def comparable(material: Material) -> list[Row]:
    """The runs that had the machine to themselves and got to a time."""
    return [
        r for r in material.rows if r["outcome"] == "ok" and r["step_us"] and not r["neighbours"]
    ]


def _from_runs(material: Material, rows: Sequence[Row]) -> Chart:
    """Of few runs each; of many, those of each implementation together."""
    folders = {row["folder"] for row in rows}
    runs = [run for run in material.runs if run.folder.name in folders and run.step_us]
    few, us = len(runs) <= MOST_ROWS, "µs/step"
    groups = grouped(runs, lambda run: material.label(run) if few else run.impl)
    times = []
    for name, own in groups.items():
        steps = [run.step_us or {} for run in own]
        medians, lows, highs = ([each[n] for each in steps] for n in ("median", "p10", "p90"))
        time = Interval(statistics.median(medians), min(lows), max(highs))
        times.append((name, own[0].framework, time))
    ranked = sorted(times, key=lambda each: each[2].value)
    cells = [[name, *(f"{v:.1f}" for v in (t.value, t.low, t.high))] for name, _, t in ranked]
    table = Table(("run" if few else "implementation", us, "p10", "p90"), cells, frozenset({0}))
    note = (
        "The median step of each run, and the 10th to the 90th percentile of its steps: how steps "
        "vary within one run, not how certain the median is."
        if few
        else "The median over runs of their median steps, and the lowest 10th to the highest 90th "
        "percentile of their steps."
    )
    note += f" `twolayer bench --name {material.name}` measures ratios, with how certain they are."
    if shared := sum(bool(row["neighbours"]) for row in material.rows):
        note += f" Left out: {shared} run{'s' * (shared > 1)} that shared the machine."
    return _intervals("µs per step", table, times, note)


def scale(material: Material) -> Chart | None:
    """Time of a step over the size that was scaled, by a bench or else by a sweep."""
    bench = material.bench
    if bench and bench.axis:
        cells = [cell for cell in bench.cells if cell.step_us and cell.size]
        if len({cell.size for cell in cells}) > 1:
            return _scaled_bench(bench, cells)
    axes = [name for name in material.varied if name not in ("seed", "lr")]
    rows = comparable(material)
    if len(axes) == 1 and axes[0] in SIZES and len({row[axes[0]] for row in rows}) > 1:
        return _scaled_runs(material, axes[0], rows)
    return None


def _cost(axis: str, table: Table, series: list[Series], note: str) -> Chart:
    title, us = f"Cost against {axis}", "µs per step"
    return Chart("lines", title, table, axis, us, series, note, log_x=True, log_y=True)


def _scaled_bench(bench: Bench, cells: Sequence[Cell]) -> Chart:
    series = []
    for label, look in looks({cell.label: cell.framework for cell in cells}).items():
        own = {c.size: c.step_us for c in cells if c.label == label and c.size and c.step_us}
        sizes, times = zip(*sorted(own.items()), strict=True)
        y, low, high = ([getattr(t, end) for t in times] for end in ("value", "low", "high"))
        series.append(Series(label, look, [float(size) for size in sizes], y, low, high))
    growth, fits = bench_tables.growth(bench), bench_tables.fits(bench)
    fitted = {label: fit for label, *fit in fits.rows}
    none = ["-"] * (len(fits.header) - 1)
    _, *columns = zip(growth.header, *growth.rows, strict=True)
    rows = [[*column, *fitted.get(column[0], none)] for column in columns]
    header = [f"{bench.axis}={size}, µs" for size, *_ in growth.rows]
    table = Table(["implementation", *header, *fits.header[1:]], rows, frozenset({0}))
    note = (
        "The time of a step, with 95 % intervals; the table has what a step costs at size 0 "
        f"(overhead) and what each further unit of {bench.axis} adds (slope), by least squares."
    )
    return _cost(bench.axis, table, series, note)


def _scaled_runs(material: Material, axis: str, rows: Sequence[Row]) -> Chart:
    look, over = looks(material.impls), pivot(rows, axis, "impl", "step_us")
    means = {place: cell["mean"] for place, cell in over.cells.items()}
    series = []
    for impl in over.across:
        own = {float(size): us for (size, name), us in means.items() if name == impl}
        series.append(Series(impl, look[impl], [*own], [*own.values()]))
    cells = [
        [str(size), *(shown("step_us", means.get((size, impl))) for impl in over.across)]
        for size in over.down
    ]
    note = (
        "The median step of each run, without an interval: "
        f"`twolayer bench --name {material.name} --scale {axis}=…` gives one, and a fit."
    )
    return _cost(axis, Table([axis, *over.across], cells), series, note)
