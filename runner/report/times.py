"""The charts of what a step costs: against a baseline, and against the size of the problem."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from ..bench import tables as bench_tables
from ..bench.analysis import WORK as STEP_WORK
from ..bench.measurement import Bench, Cell, Interval
from ..config.settings import SIZES
from ..errors import listed
from ..results.record import Record
from ..results.rows import counted, grouped, pivot, row, shown
from ..tables import Table
from ..verify.stored import reference_of
from .chart import Chart, Look, Series, looks
from .material import Material
from .scales import wide

MOST_ROWS = 24
WORK = (*STEP_WORK, "device", "threads", "epochs")
"""What runs must have in common for their step times to be ranked, beside their algorithm."""


def steps(material: Material) -> Chart | None:
    """Ratios to a baseline from a bench; else what the steps of the runs took."""
    if material.bench and (cells := with_ratios(material.bench)):
        return _ratios(material.bench, cells)
    runs = comparable(material)
    if not runs or set(SIZES).intersection(work_differs(runs)):
        return None  # times of different problems are the scale chart's
    return _from_runs(material, runs)


def with_ratios(bench: Bench) -> list[tuple[Cell, Interval]]:
    """The cells with a ratio, of the largest size if there are several, the fastest first."""
    cells = [(cell, cell.ratio) for cell in bench.cells if cell.ratio]
    largest = max((cell.size or 0 for cell, _ in cells), default=0)
    cells = [(cell, ratio) for cell, ratio in cells if (cell.size or 0) == largest]
    return sorted(cells, key=lambda pair: pair[1].value)


def comparable(material: Material) -> list[Record]:
    """The runs that had the machine to themselves and got to a time."""
    runs = material.runs
    return [r for r in runs if r.outcome == "ok" and r.step_us_median and not r.neighbours]


def work_differs(runs: Sequence[Record]) -> list[str]:
    """In which settings steps of the runs are not the same work, so that times can't be ranked."""
    rows = [row(run) for run in runs]
    algorithms = {reference_of(run) for run in runs} - {""}
    differ = [name for name in WORK if len({row[name] for row in rows}) > 1]
    return differ + ["algorithm"] * (len(algorithms) > 1)


def _ratios(bench: Bench, cells: Sequence[tuple[Cell, Interval]]) -> Chart:
    size = cells[0][0].size
    note = (
        f"Ratios with 95 % intervals from {max(len(cell.good) for cell, _ in cells)} interleaved "
        "rounds of fresh processes. Where two intervals overlap, the two can't be told apart."
    )
    own = replace(bench, cells=bench.at(size))
    if other := bench_tables.other_work(own):
        note += f" Other work in a step than the others: {listed(other)}."
    note += "".join(f" Doubt: {warning}." for warning in bench.warnings)
    table = bench_tables.comparison(own)
    title = f"time of a step over {bench.baseline}'s"
    title += f" at {bench.axis} = {size}" if bench.axis else ""
    look = looks({cell.label: cell.framework for cell, _ in cells})
    times = [(cell.label, look[cell.label], ratio) for cell, ratio in cells]
    return replace(_interval_chart(title, table, times, note), reference=1.0)


def _interval_chart(
    x_label: str, table: Table, times: Sequence[tuple[str, Look, Interval]], note: str
) -> Chart:
    series = [Series(name, look, [0.0], [t.value], [t.low], [t.high]) for name, look, t in times]
    log = wide(end for *_, t in times for end in (t.low, t.high))
    return Chart("intervals", "Time of a step", table, x_label, "", series, note, log_x=log)


def _from_runs(material: Material, runs: Sequence[Record]) -> Chart:
    """Of few runs each; of many, those of each implementation together."""
    few = len(runs) <= MOST_ROWS
    groups = grouped(runs, lambda run: material.label(run) if few else run.impl)
    look = looks({name: own[0].framework for name, own in groups.items()})
    times = [(name, look[name], _span(own)) for name, own in groups.items()]
    if not (differ := work_differs(runs)):
        times.sort(key=lambda each: each[2].value)
    cells = [[name, *(f"{v:.1f}" for v in (t.value, t.low, t.high))] for name, _, t in times]
    header = ("run" if few else "implementation", "µs/step", "p10", "p90")
    note = (
        "The median step of each run, and the 10th to the 90th percentile of its steps: how steps "
        "vary within one run, not how certain the median is."
        if few
        else "The median over runs of their median steps, and the lowest 10th to the highest 90th "
        "percentile of their steps."
    )
    if differ:
        note += f" Not ranked: the runs differ in {listed(differ)}."
    note += f" `twolayer bench --name {material.name}` measures ratios, with how certain they are."
    note += _left_out(material)
    return _interval_chart("µs per step", Table(header, cells, frozenset({0})), times, note)


def _left_out(material: Material) -> str:
    """How many runs are not comparable, and why; empty if all are."""
    ok = [run for run in material.runs if run.outcome == "ok"]
    shared = sum(bool(run.neighbours) for run in ok)
    counts = {
        "that did not end as ok": len(material.runs) - len(ok),
        "that shared the machine": shared,
        "without a step time": len(ok) - shared - len(comparable(material)),
    }
    texts = [f"{counted(n, 'run', 'runs')} {why}" for why, n in counts.items() if n]
    return f" Left out: {listed(texts, 'and')}." if texts else ""


def _span(runs: Sequence[Record]) -> Interval:
    """The median of their medians, from the lowest 10th to the highest 90th percentile."""
    steps = [run.step_us or {} for run in runs]
    medians, lows, highs = ([each[key] for each in steps] for key in ("median", "p10", "p90"))
    return Interval(statistics.median(medians), min(lows), max(highs))


def scale(material: Material) -> Chart | None:
    """Time of a step over the size that was scaled, by a bench or else by a sweep."""
    bench = material.bench
    if bench and bench.axis and len({c.size for c in bench.cells if c.step_us and c.size}) > 1:
        return _scaled_bench(bench)
    axes = [name for name in material.varied if name not in ("seed", "lr")]
    runs = comparable(material)
    if len(axes) == 1 and axes[0] in SIZES and axes[0] in work_differs(runs):
        return _scaled_runs(material, axes[0], runs)
    return None


def _cost(axis: str, table: Table, series: list[Series], note: str) -> Chart:
    title, us = f"Cost against {axis}", "µs per step"
    return Chart("lines", title, table, axis, us, series, note, log_x=True, log_y=True)


def _scaled_bench(bench: Bench) -> Chart:
    times = [(c.label, float(c.size), c.step_us) for c in bench.cells if c.size and c.step_us]
    look = looks({cell.label: cell.framework for cell in bench.cells})
    series = []
    for label, own in grouped(sorted(times, key=lambda t: t[1]), lambda t: t[0]).items():
        y, low, high = ([getattr(t, end) for *_, t in own] for end in ("value", "low", "high"))
        series.append(Series(label, look[label], [size for _, size, _ in own], y, low, high))
    growth, fits = bench_tables.growth(bench), bench_tables.fits(bench)
    fitted = {label: fit for label, *fit in fits.rows}
    none = ["-"] * (len(fits.header) - 1)
    rows = [[*row, *fitted.get(row[0], none)] for row in growth.rows]
    header = [f"{bench.axis}={size}, µs" for size in growth.header[1:]]
    table = Table(["implementation", *header, *fits.header[1:]], rows, frozenset({0}))
    note = (
        "The time of a step, with 95 % intervals; the table has what a step costs at size 0 "
        f"(overhead) and what each further unit of {bench.axis} adds (slope), by least squares."
    )
    return _cost(bench.axis, table, series, note)


def _scaled_runs(material: Material, axis: str, runs: Sequence[Record]) -> Chart:
    look, over = looks(material.impls), pivot(list(map(row, runs)), axis, "impl", "step_us")
    series, columns = [], []
    for impl in over.across:
        own = {size: cell["mean"] for (size, name), cell in over.cells.items() if name == impl}
        series.append(Series(impl, look[impl], [*map(float, own)], [*own.values()]))
        columns.append([shown("step_us", own.get(size)) for size in over.down])
    cells = [*zip(map(str, over.down), *columns, strict=True)]
    note = (
        "The median step of each run, without an interval: "
        f"`twolayer bench --name {material.name} --scale {axis}=…` gives one, and a fit."
    ) + _left_out(material)
    return _cost(axis, Table([axis, *over.across], cells), series, note)
