"""The chart of a sweep: final loss over the settings that were varied, one, two or more."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from ..errors import listed
from ..results import rows as results
from ..results.rows import by_impl, grouped, ok_values, pivot, shown
from ..tables import Table, exact, number
from .chart import PLAIN, Axis, Chart, Grid, Look, Series, looks
from .material import Material
from .scales import around, brief, distinct_texts, wide

FILLED = 0.5  # a heat map needs at least this part of its cells; else it is parallel coordinates
TOP = 0.88  # where the final losses end on their axis, if above them are runs that have none

MOST_TICKS = 7


def sweep_chart(material: Material) -> Chart | None:
    """Final loss over what was varied besides the seed; None if nothing was."""
    axes = [name for name in material.varied if name != "seed"]
    if not axes:
        return None
    if len(axes) == 1:
        return _over_one(material, axes[0])
    points = {tuple(row[name] for name in axes) for row in material.rows}
    cells = math.prod(len(set(values)) for values in zip(*points, strict=True))
    if len(axes) == 2 and len(points) / cells >= FILLED:
        return _heat(material, *axes)
    return _parallel(material, axes)


def _numeric(material: Material, name: str) -> bool:
    values = [row[name] for row in material.rows]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _over_one(material: Material, axis: str) -> Chart:
    """The mean over runs that ended as ok, from the lowest to the highest of them."""
    numeric, title = _numeric(material, axis), f"Final loss against {axis}"
    down, across = (axis, "impl") if numeric else ("impl", axis)
    over = pivot(material.rows, down, across, "final_loss")
    look, note = looks(material.impls), "Runs that ended as ok."
    if over.over:
        note = f"The mean over {listed(over.over)} of runs that ended as ok; a bar from the lowest "
        note += "to the highest."
    groups = grouped(material.rows, lambda row: (row["impl"], row[axis]))
    finals = {place: ok_values(rows, "final_loss") for place, rows in groups.items()}
    if not numeric:
        dots = [
            _means(f"{impl} {shown(axis, value)}", look[impl], {0.0: losses})
            for (impl, value), losses in finals.items()
            if losses
        ]
        log = wide(value for each in dots for value in each.low)
        return Chart("intervals", title, over.table, "final loss", "", dots, note, log_x=log)
    lines = []
    for impl in material.impls:
        own = {float(value): losses for (name, value), losses in finals.items() if name == impl}
        if any(own.values()):
            lost = [f"none ok at {axis}={brief(x)}" for x in sorted(own) if not own[x]]
            line = _means(impl, look[impl], own)  # its last point may be a good one: no cross
            lines.append(replace(line, ending="".join(lost[:1]), crossed=False))
    note += " Where no run is ok there is no point."
    logs = wide(x for _, x in finals), wide(y for each in lines for y in each.y)
    chart = Chart("lines", title, over.table, axis, "final loss", lines, note)
    return replace(chart, log_x=logs[0], log_y=logs[1])


def _means(name: str, look: Look, losses: Mapping[float, Sequence[float]]) -> Series:
    x = sorted(losses)
    y = [fmean(losses[at]) if losses[at] else None for at in x]
    low, high = ([end(losses[at], default=0.0) for at in x] for end in (min, max))
    return Series(name, look, x, y, low, high)


def _heat(material: Material, down: str, across: str) -> Chart:
    grids, lines = [], []
    for impl, rows in by_impl(material.rows).items():
        over = pivot(rows, down, across, "final_loss")
        row = dict(zip(over.down, distinct_texts(down, over.down), strict=True))
        column = dict(zip(over.across, distinct_texts(across, over.across), strict=True))
        cells = []
        for (r, c), cell in over.cells.items():
            others = exact(cell["others"])
            mean = "" if cell["mean"] is None else number(cell["mean"], 1)
            cells.append((row[r], column[c], cell["mean"], ", ".join(filter(None, (mean, others)))))
            values = number(cell["mean"]), number(cell["sd"], 1), str(cell["n"]), others
            lines.append([impl, shown(down, r), shown(across, c), *values])
        grids.append(Grid(impl, [*row.values()], [*column.values()], cells))
    header = ("implementation", down, across, "final loss", "sd", "runs", "others")
    title, table = (
        f"Final loss against {down} and {across}",
        Table(header, lines, frozenset({0, 6})),
    )
    note = "The mean over runs that ended as ok. A cross marks where none did."
    log = wide(value for grid in grids for _, _, value, _ in grid.cells)
    return Chart("heat", title, table, across, down, note=note, log_y=log, grids=grids)


def _parallel(material: Material, settings: Sequence[str]) -> Chart:
    """A line for each run across an axis for each setting, the last for its final loss."""
    rows = material.rows
    finals = [next((v for v in ok_values([row], "final_loss") if v > 0), None) for row in rows]
    names = ["impl"] * (len(material.impls) > 1) + [*settings]
    columns = [_setting_axis(material, name) for name in names]
    heights, axes = zip(*columns, _loss_axis(finals), strict=True)
    lines = sorted(zip(finals, *heights, strict=True), key=lambda line: -line[-1])  # best on top
    series = []
    for name, lost in (("not ok", True), ("ok", False)):
        own = [line for final, *line in lines if (final is None) == lost]
        x = [*map(float, range(len(axes))), len(axes) - 1.0] * len(own)
        series.append(Series(name, PLAIN, x, [y for line in own for y in (*line, None)]))
    table = results.table(rows, results.default_columns(rows))
    note = "A line is a run: follow it from its settings to its final loss, which colours it."
    title = "Final loss against all settings"
    return Chart("parallel", title, table, series=series, axes=[*axes], note=note)


def _setting_axis(material: Material, name: str) -> tuple[list[float], Axis]:
    """Where each run lies on an axis, and the axis."""
    values = [row[name] for row in material.rows]
    marks = list(dict.fromkeys(values))
    if not _numeric(material, name):
        places = {word: (i + 0.5) / len(marks) for i, word in enumerate(marks)}
        ticks = [(place, shown(name, word)) for word, place in places.items()]
        return [places[value] for value in values], Axis(name, ticks)
    scale = around(values, wide(values))
    marks = [*map(float, sorted(marks))] if len(marks) <= MOST_TICKS else scale.ticks(MOST_TICKS)
    ticks = [*zip(map(scale.place, marks), distinct_texts(name, marks), strict=True)]
    return [scale.place(float(value)) for value in values], Axis(name, ticks)


def _loss_axis(finals: Sequence[float | None]) -> tuple[list[float], Axis]:
    """Final losses, below the runs that have none."""
    top = TOP if None in finals else 1.0
    scale = around(finals, wide(finals))
    marks = scale.ticks(MOST_TICKS) if any(finals) else []
    texts = distinct_texts("final_loss", marks)
    ticks = [(top * scale.place(mark), text) for mark, text in zip(marks, texts, strict=True)]
    ticks += [(1.0, "not ok")] if None in finals else []
    return [1.0 if v is None else top * scale.place(v) for v in finals], Axis("final loss", ticks)
