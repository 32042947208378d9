"""The charts of what a step costs: against a baseline, and against the size of the problem."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ..bench.measurement import Bench, Cell, Interval
from ..errors import listed
from ..results.rows import Row, pivot
from ..tables import Table
from .chart import Chart, Look, Series
from .looks import looks
from .material import Material

SIZES = ("N", "H", "D_in", "D_out")
MOST_ROWS = 24


def steps(material: Material) -> Chart | None:
    """Ratios to a baseline from a bench; else what the steps of the runs took."""
    if material.bench and (chart := _ratios(material.bench)):
        return chart
    return _spread(material)


# --- from a bench


def compared(bench: Bench) -> list[Cell]:
    """The cells with a ratio, of the largest size if there are several, the fastest first."""
    sizes = [size for size in bench.sizes if any(cell.ratio for cell in bench.at(size))]
    if not sizes:
        return []
    largest = max(sizes, key=lambda size: size or 0)
    return sorted((cell for cell in bench.at(largest) if cell.ratio), key=_ratio)


def _ratio(cell: Cell) -> float:
    return cell.ratio.value if cell.ratio else float("inf")


def _ratios(bench: Bench) -> Chart | None:
    cells = compared(bench)
    if not cells:
        return None
    drawn = _bench_looks(cells)
    at = f" at {bench.axis} = {cells[0].size}" if bench.axis else ""
    return Chart(
        key="steps",
        kind="intervals",
        title="Time of a step",
        x_label=f"time of a step over {bench.baseline}'s{at}",
        y_label="",
        table=_ratio_table(bench),
        series=[_point(c.label, drawn[c.label], c.ratio) for c in cells if c.ratio],
        log_x=_far_apart([_ratio(cell) for cell in cells]),
        reference=1.0,
        note=_ratio_note(bench, cells),
    )


def _bench_looks(cells: Sequence[Cell]) -> dict[str, Look]:
    return looks({cell.label: cell.framework for cell in cells})


def _point(name: str, look: Look, interval: Interval) -> Series:
    return Series(name, look, [0.0], [interval.value], [interval.low], [interval.high])


def _ratio_note(bench: Bench, cells: Sequence[Cell]) -> str:
    rounds = max(len(cell.good) for cell in cells)
    parts = [
        f"Ratios with 95 % intervals from {rounds} interleaved rounds of fresh processes. Where "
        "two intervals overlap, the two can't be told apart."
    ]
    other = sorted({cell.family for cell in cells} - {"sgd"})
    if other:
        parts.append(f"Other work in a step than the others: {listed(_named(cells, other))}.")
    return " ".join([*parts, *(f"Doubt: {warning}." for warning in bench.warnings)])


def _named(cells: Sequence[Cell], families: Sequence[str]) -> list[str]:
    return [cell.label for cell in cells if cell.family in families]


def _ratio_table(bench: Bench) -> Table:
    scaled = [bench.axis] if bench.axis else []
    header = (
        *("implementation", *scaled, "µs/step", "95 % interval", "ratio", "95 % interval"),
        *("place", "GFLOP/s", "rounds", "outcome"),
    )
    rows = [_ratio_row(bench, cell) for cell in bench.cells]
    return Table(header, rows, frozenset({0, len(header) - 1}))


def _ratio_row(bench: Bench, cell: Cell) -> list[str]:
    low, high = cell.rank or (0, 0)
    place = "-" if not cell.rank else str(low) if low == high else f"{low} to {high}"
    return [
        *(cell.label, *([str(cell.size)] if bench.axis else [])),
        *_value_and_interval(cell.step_us, 1),
        *_value_and_interval(cell.ratio, 3),
        place,
        "-" if cell.gflops is None else f"{cell.gflops:.2f}",
        str(len(cell.good)),
        cell.failure.outcome if cell.failure else "ok",
    ]


def _value_and_interval(found: Interval | None, places: int) -> list[str]:
    if found is None:
        return ["-", "-"]
    return [
        f"{found.value:.{places}f}",
        f"{found.low:.{places}f} to {found.high:.{places}f}",
    ]


# --- from runs


def comparable(material: Material) -> list[Row]:
    """The runs that had the machine to themselves and got to a time."""
    return [
        r for r in material.rows if r["outcome"] == "ok" and r["step_us"] and not r["neighbours"]
    ]


def _spread(material: Material) -> Chart | None:
    rows = comparable(material)
    if not rows or any(len({row[size] for row in rows}) > 1 for size in SIZES):
        return None  # times of different problems are the scale chart's
    series = _each_run(material, rows) if len(rows) <= MOST_ROWS else _each_impl(material, rows)
    series.sort(key=lambda each: each.y[0] or 0.0)
    few = len(rows) <= MOST_ROWS
    header = (
        ("run", "µs/step", "p10", "p90") if few else ("implementation", "µs/step", "least", "most")
    )
    return Chart(
        key="steps",
        kind="intervals",
        title="Time of a step",
        x_label="µs per step",
        y_label="",
        table=Table(header, [_spread_row(each) for each in series], frozenset({0})),
        series=series,
        log_x=_far_apart([each.y[0] or 0.0 for each in series]),
        note=_spread_note(material, rows, few=few),
    )


def _each_run(material: Material, rows: Sequence[Row]) -> list[Series]:
    wanted = {row["folder"] for row in rows}
    runs = [run for run in material.runs if run.folder.name in wanted]
    drawn = looks({material.label(run): run.record.framework for run in runs})
    return [
        _point(label, drawn[label], Interval(us["median"], us["p10"], us["p90"]))
        for run in runs
        if (us := run.record.step_us) and (label := material.label(run))
    ]


def _each_impl(material: Material, rows: Sequence[Row]) -> list[Series]:
    drawn = looks(material.impls)
    times: dict[str, list[float]] = {}
    for row in rows:
        times.setdefault(row["impl"], []).append(row["step_us"])
    return [
        _point(impl, drawn[impl], Interval(statistics.median(us), min(us), max(us)))
        for impl, us in times.items()
    ]


def _spread_row(each: Series) -> list[str]:
    return [each.name, *(f"{value:.1f}" for value in (each.y[0] or 0.0, each.low[0], each.high[0]))]


def _spread_note(material: Material, rows: Sequence[Row], *, few: bool) -> str:
    spread = (
        "The median step of each run, and the 10th to the 90th percentile of its steps: how steps "
        "vary within one run, not how certain the median is."
        if few
        else "The median over runs of their median steps, from the least to the most."
    )
    parallel = sum(bool(row["neighbours"]) for row in material.rows)
    runs = "run" if parallel == 1 else "runs"
    left_out = f" Left out: {parallel} {runs} that shared the machine." if parallel else ""
    hint = f"`twolayer bench --name {material.name}` measures ratios, with how certain they are."
    return f"{spread} {hint}{left_out}"


def _far_apart(values: Sequence[float]) -> bool:
    there = [value for value in values if value > 0]
    return len(there) > 1 and max(there) / min(there) > 8


# --- against size


def scale(material: Material) -> Chart | None:
    """Time of a step over the size that was scaled, by a bench or else by a sweep."""
    if material.bench and material.bench.axis and (chart := _scaled_bench(material.bench)):
        return chart
    return _scaled_runs(material)


def _scaled_bench(bench: Bench) -> Chart | None:
    timed = [cell for cell in bench.cells if cell.step_us and cell.size]
    if len({cell.size for cell in timed}) < 2:
        return None
    drawn = _bench_looks(timed)
    return Chart(
        key="scale",
        kind="lines",
        title=f"Cost against {bench.axis}",
        x_label=bench.axis,
        y_label="µs per step",
        table=_fit_table(bench),
        series=[_line(label, drawn[label], timed) for label in drawn],
        log_x=True,
        log_y=True,
        note="The time of a step, with 95 % intervals; the table has what a step costs at size 0 "
        f"(overhead) and what each further unit of {bench.axis} adds (slope), by least squares.",
    )


def _line(label: str, look: Look, cells: Sequence[Cell]) -> Series:
    own = [(float(c.size), c.step_us) for c in cells if c.label == label and c.size and c.step_us]
    own.sort(key=lambda pair: pair[0])
    times = [time for _, time in own]
    return Series(
        name=label,
        look=look,
        x=[size for size, _ in own],
        y=[time.value for time in times],
        low=[time.low for time in times],
        high=[time.high for time in times],
    )


def _fit_table(bench: Bench) -> Table:
    sizes = [size for size in bench.sizes if size is not None]
    fits = {fit.label: fit for fit in bench.fits}
    header = (
        *("implementation", *(f"{bench.axis}={size}, µs" for size in sizes)),
        *("overhead µs", "95 % interval", f"ns per {bench.axis}", "95 % interval", "GFLOP/s"),
    )
    rows = []
    for label in dict.fromkeys(cell.label for cell in bench.cells):
        times = {cell.size: cell.step_us for cell in bench.cells if cell.label == label}
        fit = fits.get(label)
        rows.append(
            [
                label,
                *(f"{time.value:.1f}" if (time := times.get(size)) else "-" for size in sizes),
                *_value_and_interval(fit.overhead_us if fit else None, 1),
                *_value_and_interval(fit.slope_us / 1e-3 if fit else None, 1),
                f"{fit.gflops:.2f}" if fit and fit.gflops is not None else "-",
            ]
        )
    return Table(header, rows, frozenset({0}))


def _scaled_runs(material: Material) -> Chart | None:
    axes = [name for name in material.varied if name not in ("seed", "lr")]
    rows = comparable(material)
    if len(axes) != 1 or axes[0] not in SIZES or len({row[axes[0]] for row in rows}) < 2:
        return None
    axis = axes[0]
    found = pivot(rows, axis, "impl", "step_us")
    drawn = looks({impl: material.impls[impl] for impl in found.across})
    table = Table(
        [axis, *found.across],
        [
            [str(size), *(_mean(found.cells.get((size, i))) for i in found.across)]
            for size in found.down
        ],
    )
    series = []
    for impl in found.across:
        cells = [(size, found.cells.get((size, impl))) for size in found.down]
        there = [(float(size), cell.mean) for size, cell in cells if cell]
        series.append(Series(impl, drawn[impl], [x for x, _ in there], [y for _, y in there]))
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
        note="The median step of each run, without an interval: "
        f"`twolayer bench --name {material.name} --scale {axis}=…` gives one, and a fit.",
    )


def _mean(cell: object) -> str:
    mean = getattr(cell, "mean", None)
    return "-" if mean is None else f"{mean:.1f}"
