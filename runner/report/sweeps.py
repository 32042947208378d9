"""The chart of a sweep: final loss over the settings that were varied, one, two or more."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from ..errors import listed
from ..results import rows as results
from ..results.rows import Row, by_impl, grouped, ok_values, pivot, shown
from ..tables import Table, exact, number
from .chart import Axis, Chart, Grid, Look, Series, looks
from .material import Material
from .scales import around, brief, distinct_texts, wide

FILLED = 0.5
"""A heat map needs at least this part of its cells; else it is parallel coordinates."""

TOP = 0.88
"""Where the final losses end on their axis, if above them are runs that have none."""

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


Finals = dict[tuple[str, Any], list[float]]
"""Final losses by implementation and the value of the setting, in the order of the runs."""


def _over_one(material: Material, axis: str) -> Chart:
    look, title = looks(material.impls), f"Final loss against {axis}"
    groups = grouped(material.rows, lambda row: (row["impl"], row[axis]))
    finals = {place: ok_values(rows, "final_loss") for place, rows in groups.items()}
    if not _numeric(material, axis):
        over = pivot(material.rows, "impl", axis, "final_loss")
        dots, note = _dots(look, finals, axis), _averaged(over.over)
        log = wide(value for each in dots for value in each.low)
        return Chart("intervals", title, over.table, "final loss", "", dots, note, log_x=log)
    over = pivot(material.rows, axis, "impl", "final_loss")
    lines = [_line(impl, look[impl], finals, axis) for impl in material.impls]
    lines = [each for each in lines if any(y is not None for y in each.y)]
    note = f"{_averaged(over.over)} Where no run is ok there is no point."
    chart = Chart("lines", title, over.table, axis, "final loss", lines, note)
    logs = wide(value for _, value in finals), wide(y for each in lines for y in each.y)
    return replace(chart, log_x=logs[0], log_y=logs[1])


def _dots(look: Mapping[str, Look], finals: Finals, axis: str) -> list[Series]:
    return [
        Series(f"{i} {shown(axis, v)}", look[i], [0.0], [fmean(own)], [min(own)], [max(own)])
        for (i, v), own in finals.items()
        if own
    ]


def _line(impl: str, look: Look, finals: Finals, axis: str) -> Series:
    """The mean over runs that ended as ok, from the lowest to the highest of them."""
    own = sorted((value, losses) for (name, value), losses in finals.items() if name == impl)
    lost = next((brief(float(value)) for value, losses in own if not losses), "")
    return Series(
        *(impl, look, [float(value) for value, _ in own]),
        y=[fmean(losses) if losses else None for _, losses in own],
        low=[min(losses, default=0.0) for _, losses in own],
        high=[max(losses, default=0.0) for _, losses in own],
        ending=f"none ok at {axis}={lost}" if lost else "",
    )


def _averaged(over: Sequence[str]) -> str:
    if not over:
        return "Runs that ended as ok."
    mean = f"The mean over {listed(over)} of runs that ended as ok"
    return f"{mean}; a bar from the lowest to the highest."


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
    return Chart(
        *("heat", f"Final loss against {down} and {across}"),
        table=Table(header, lines, frozenset({0, 6})),
        x_label=across,
        y_label=down,
        note="The mean over runs that ended as ok. A cross marks where none did.",
        log_y=wide(value for grid in grids for _, _, value, _ in grid.cells),
        grids=grids,
    )


def _parallel(material: Material, names: Sequence[str]) -> Chart:
    """A line for each run across an axis for each setting, the last for its final loss."""
    rows = material.rows
    axes = [*(_setting_axis(material, name) for name in names), _loss_axis(rows)]
    places = [float(place) for place in range(len(axes))]
    series = []
    for impl, look in looks(material.impls).items():
        own = [i for i, row in enumerate(rows) if row["impl"] == impl]
        x = [*places, places[-1]] * len(own)
        y = [height for i in own for height in (*(axis.positions[i] for axis in axes), None)]
        series.append(Series(impl, look, x, y))
    table = results.table(rows, results.default_columns(rows))
    note = "A line is a run: follow it from its settings to its final loss."
    title = "Final loss against all settings"
    return Chart("parallel", title, table, series=series, axes=axes, note=note)


def _setting_axis(material: Material, name: str) -> Axis:
    values = [row[name] for row in material.rows]
    distinct = list(dict.fromkeys(values))
    if not _numeric(material, name):
        places = {word: (i + 0.5) / len(distinct) for i, word in enumerate(distinct)}
        ticks = [(place, shown(name, word)) for word, place in places.items()]
        return Axis(name, [places[value] for value in values], ticks)
    scale = around(values, wide(values))
    marks = sorted(distinct) if len(distinct) <= MOST_TICKS else scale.ticks(MOST_TICKS)
    texts = distinct_texts(name, [float(mark) for mark in marks])
    ticks = [(scale.place(float(mark)), text) for mark, text in zip(marks, texts, strict=True)]
    return Axis(name, [scale.place(float(value)) for value in values], ticks)


def _loss_axis(rows: Sequence[Row]) -> Axis:
    """Final losses, below the runs that have none."""
    finals = [next((v for v in ok_values([row], "final_loss") if v > 0), None) for row in rows]
    top = TOP if None in finals else 1.0
    scale = around(finals, wide(finals))
    positions = [1.0 if value is None else top * scale.place(value) for value in finals]
    marks = scale.ticks(MOST_TICKS) if any(finals) else []
    texts = distinct_texts("final_loss", marks)
    ticks = [(top * scale.place(mark), text) for mark, text in zip(marks, texts, strict=True)]
    if None in finals:
        ticks.append((1.0, "not ok"))
    return Axis("final loss", [*positions], ticks)
