"""The charts of what a step costs: against a baseline, and against the size of the problem."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..bench import tables as bench_tables
from ..bench.measurement import Bench, Cell, Interval
from ..errors import listed
from ..results.rows import Row, by_impl, pivot
from ..tables import Table
from .chart import Chart, Look, Series, looks
from .material import Material

SIZES = ("N", "H", "D_in", "D_out")
MOST_ROWS = 24


def steps(material: Material) -> Chart | None:
    """Ratios to a baseline from a bench; else what the steps of the runs took."""
    if material.bench and (cells := compared(material.bench)):
        return _ratios(material.bench, cells)
    return _from_runs(material)


def compared(bench: Bench) -> list[Cell]:
    """The cells with a ratio, of the largest size if there are several, the fastest first."""
    cells = [cell for cell in bench.cells if cell.ratio]
    largest = max((cell.size or 0 for cell in cells), default=0)
    return sorted((c for c in cells if (c.size or 0) == largest), key=_ratio)


def _ratio(cell: Cell) -> float:
    return cell.ratio.value if cell.ratio else float("inf")


def _ratios(bench: Bench, cells: Sequence[Cell]) -> Chart:
    look = looks({cell.label: cell.framework for cell in cells})
    at = f" at {bench.axis} = {cells[0].size}" if bench.axis else ""
    rounds = max(len(cell.good) for cell in cells)
    notes = [
        f"Ratios with 95 % intervals from {rounds} interleaved rounds of fresh processes. Where "
        "two intervals overlap, the two can't be told apart."
    ]
    if other := [cell.label for cell in cells if cell.family != "sgd"]:
        notes.append(f"Other work in a step than the others: {listed(other)}.")
    notes += [f"Doubt: {warning}." for warning in bench.warnings]
    return Chart(
        key="steps",
        kind="intervals",
        title="Time of a step",
        x_label=f"time of a step over {bench.baseline}'s{at}",
        table=bench_tables.comparison(replace(bench, cells=bench.at(cells[0].size))),
        series=[_point(cell.label, look[cell.label], cell.ratio) for cell in cells if cell.ratio],
        log_x=_far_apart(map(_ratio, cells)),
        reference=1.0,
        note=" ".join(notes),
    )


def _point(name: str, look: Look, interval: Interval) -> Series:
    return Series(name, look, [0.0], [interval.value], [interval.low], [interval.high])


def _far_apart(values: Iterable[float]) -> bool:
    positive = [value for value in values if value > 0]
    return len(positive) > 1 and max(positive) / min(positive) > 8


# --- from runs


def comparable(material: Material) -> list[Row]:
    """The runs that had the machine to themselves and got to a time."""
    return [
        r for r in material.rows if r["outcome"] == "ok" and r["step_us"] and not r["neighbours"]
    ]


def _from_runs(material: Material) -> Chart | None:
    """Of few runs the percentiles of each; of many, those of each implementation together."""
    alone = comparable(material)
    if not alone or any(len({row[size] for row in alone}) > 1 for size in SIZES):
        return None  # times of different problems are the scale chart's
    if len(alone) <= MOST_ROWS:
        folders = {row["folder"] for row in alone}
        times = [
            (material.label(r), r.framework, Interval(us["median"], us["p10"], us["p90"]))
            for r in material.runs
            if r.folder.name in folders and (us := r.step_us)
        ]
        header = ("run", "µs/step", "p10", "p90")
        note = (
            "The median step of each run, and the 10th to the 90th percentile of its steps: how "
            "steps vary within one run, not how certain the median is."
        )
    else:
        medians = {impl: [r["step_us"] for r in own] for impl, own in by_impl(alone).items()}
        times = [
            (impl, material.impls[impl], Interval(statistics.median(us), min(us), max(us)))
            for impl, us in medians.items()
        ]
        header = ("implementation", "µs/step", "least", "most")
        note = "The median over runs of their median steps, from the least to the most."
    note += f" `twolayer bench --name {material.name}` measures ratios, with how certain they are."
    if parallel := sum(bool(row["neighbours"]) for row in material.rows):
        runs = "run" if parallel == 1 else "runs"
        note += f" Left out: {parallel} {runs} that shared the machine."
    look = looks({name: framework for name, framework, _ in times})
    times.sort(key=lambda each: each[2].value)
    rows = [[n, *(f"{v:.1f}" for v in (us.value, us.low, us.high))] for n, _, us in times]
    return Chart(
        key="steps",
        kind="intervals",
        title="Time of a step",
        x_label="µs per step",
        table=Table(header, rows, frozenset({0})),
        series=[_point(name, look[name], us) for name, _, us in times],
        log_x=_far_apart(us.value for _, _, us in times),
        note=note,
    )


# --- against size


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
    return Chart(
        key="scale",
        kind="lines",
        title=f"Cost against {axis}",
        x_label=axis,
        y_label="µs per step",
        table=table,
        series=series,
        log_x=True,
        log_y=True,
        note=note,
    )


def _scaled_bench(bench: Bench, cells: Sequence[Cell]) -> Chart:
    series = []
    for label, look in looks({cell.label: cell.framework for cell in cells}).items():
        times = {c.size: c.step_us for c in cells if c.label == label and c.size and c.step_us}
        sizes = sorted(times)
        us = [times[size] for size in sizes]
        values, low, high = [[getattr(t, n) for t in us] for n in ("value", "low", "high")]
        series.append(Series(label, look, [float(size) for size in sizes], values, low, high))
    note = (
        "The time of a step, with 95 % intervals; the table has what a step costs at size 0 "
        f"(overhead) and what each further unit of {bench.axis} adds (slope), by least squares."
    )
    growth, fits = bench_tables.growth(bench), bench_tables.fits(bench)
    fitted = {row[0]: row[1:] for row in fits.rows}
    none = ["-"] * (len(fits.header) - 1)
    rows = [
        [label, *(row[column] for row in growth.rows), *fitted.get(label, none)]
        for column, label in enumerate(growth.header)
        if column
    ]
    columns = [f"{bench.axis}={row[0]}, µs" for row in growth.rows]
    table = Table(["implementation", *columns, *fits.header[1:]], rows, frozenset({0}))
    return _cost(bench.axis, table, series, note)


def _scaled_runs(material: Material, axis: str, rows: Sequence[Row]) -> Chart:
    means = {
        impl: {c: cell.mean for (_, c), cell in pivot(own, "impl", axis, "step_us").cells.items()}
        for impl, own in by_impl(rows).items()
    }
    look = looks(material.impls)
    series = [
        Series(impl, look[impl], [float(size) for size in us], list(us.values()))
        for impl, us in means.items()
    ]
    table = [
        [str(size), *(f"{us[size]:.1f}" if size in us else "-" for us in means.values())]
        for size in sorted({row[axis] for row in rows})
    ]
    note = (
        "The median step of each run, without an interval: "
        f"`twolayer bench --name {material.name} --scale {axis}=…` gives one, and a fit."
    )
    return _cost(axis, Table([axis, *means], table), series, note)
