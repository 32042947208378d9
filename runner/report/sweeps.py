"""The chart of a sweep: final loss over the settings that were varied, one, two or more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import listed
from ..results import rows as results
from ..results.rows import Cell, Row, by_impl, default_columns, ok_values, pivot, shown
from ..tables import Table, number
from .chart import Axis, Chart, Grid, Series, looks
from .material import Material
from .scales import Scale, around, brief, distinct_texts

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
        numeric = _numeric(material.rows, axes[0])
        return (_over_numbers if numeric else _over_words)(material, axes[0])
    points = {tuple(row[name] for name in axes) for row in material.rows}
    cells = math.prod(len(set(values)) for values in zip(*points, strict=True))
    if len(axes) == 2 and len(points) / cells >= FILLED:
        return _heat(material, *axes)
    return _parallel(material, axes)


def _numeric(rows: Iterable[Row], name: str) -> bool:
    values = [row[name] for row in rows]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _wide(values: Iterable[Any]) -> bool:
    """Whether numbers ask for a logarithmic axis."""
    numbers = [float(value) for value in values if value is not None]
    return bool(numbers) and min(numbers) > 0 and max(numbers) / min(numbers) >= 10


def _finals(rows: Iterable[Row]) -> list[float]:
    return ok_values(rows, "final_loss")


# --- one setting


def _over_numbers(material: Material, axis: str) -> Chart:
    look = looks(material.impls)
    series = [_line(impl, look[impl], rows, axis) for impl, rows in by_impl(material.rows).items()]
    series = [each for each in series if any(y is not None for y in each.y)]
    over = pivot(material.rows, axis, "impl", "final_loss")
    return Chart(
        key="sweep",
        kind="lines",
        title=f"Final loss against {axis}",
        x_label=axis,
        y_label="final loss",
        table=over.table(),
        series=series,
        log_x=_wide(row[axis] for row in material.rows),
        log_y=_wide(y for each in series for y in each.y),
        note=f"{_averaged(over.over)} Where no run is ok there is no point.",
    )


def _line(impl: str, look: Any, rows: Sequence[Row], axis: str) -> Series:
    """The mean over runs that ended as ok, from the lowest to the highest of them."""
    values = sorted({row[axis] for row in rows})
    finals = [_finals(row for row in rows if row[axis] == value) for value in values]
    lost = next((v for v, each in zip(values, finals, strict=True) if not each), None)
    return Series(
        name=impl,
        look=look,
        x=[float(value) for value in values],
        y=[sum(each) / len(each) if each else None for each in finals],
        low=[min(each, default=0.0) for each in finals],
        high=[max(each, default=0.0) for each in finals],
        ending="" if lost is None else f"none ok at {axis}={brief(float(lost))}",
    )


def _over_words(material: Material, axis: str) -> Chart:
    look = looks(material.impls)
    over = pivot(material.rows, "impl", axis, "final_loss")
    series = []
    for (impl, value), cell in over.cells.items():
        finals = _finals(r for r in material.rows if (r["impl"], r[axis]) == (impl, value))
        if finals:
            name = f"{impl} {shown(axis, value)}"
            ends = [min(finals)], [max(finals)]
            series.append(Series(name, look[impl], [0.0], [cell.mean], *ends))
    return Chart(
        key="sweep",
        kind="intervals",
        title=f"Final loss against {axis}",
        x_label="final loss",
        table=over.table(),
        series=series,
        log_x=_wide(value for each in series for value in each.low),
        note=_averaged(over.over),
    )


def _averaged(over: Sequence[str]) -> str:
    if not over:
        return "Runs that ended as ok."
    return (
        f"The mean over {listed(over)} of runs that ended as ok; a bar from the lowest to the "
        "highest."
    )


# --- two settings


def _heat(material: Material, down: str, across: str) -> Chart:
    grids, lines = [], []
    for impl, rows in by_impl(material.rows).items():
        over = pivot(rows, down, across, "final_loss")
        names_down, names_across = (
            distinct_texts(down, over.down),
            distinct_texts(across, over.across),
        )
        row = dict(zip(over.down, names_down, strict=True))
        column = dict(zip(over.across, names_across, strict=True))
        cells = []
        for (r, c), cell in over.cells.items():
            cells.append((row[r], column[c], cell.mean, _cell_text(cell)))
            values = number(cell.mean), number(cell.sd, 1), str(cell.n), _others(cell)
            lines.append([impl, shown(down, r), shown(across, c), *values])
        grids.append(Grid(impl, down, across, names_down, names_across, cells))
    header = ("implementation", down, across, "final loss", "sd", "runs", "others")
    return Chart(
        key="sweep",
        kind="heat",
        title=f"Final loss against {down} and {across}",
        x_label=across,
        y_label=down,
        table=Table(header, lines, frozenset({0, 6})),
        grids=grids,
        log_y=_wide(value for grid in grids for _, _, value, _ in grid.cells),
        note="The mean over runs that ended as ok. A cross marks where none did.",
    )


def _others(cell: Cell) -> str:
    return ", ".join(f"{count} {name}" for name, count in cell.others.items())


def _cell_text(cell: Cell) -> str:
    if cell.mean is None:
        return _others(cell) if sum(cell.others.values()) > 1 else next(iter(cell.others), "")
    return ", ".join(filter(None, (number(cell.mean, 1), _others(cell))))


# --- more


def _parallel(material: Material, names: Sequence[str]) -> Chart:
    """A line for each run across an axis for each setting, the last for its final loss."""
    rows = material.rows
    axes = [*(_setting_axis(rows, name) for name in names), _loss_axis(rows)]
    places = [float(place) for place in range(len(axes))]
    series = []
    for impl, look in looks(material.impls).items():
        own = [i for i, row in enumerate(rows) if row["impl"] == impl]
        x = [*places, places[-1]] * len(own)
        y = [height for i in own for height in (*(axis.positions[i] for axis in axes), None)]
        series.append(Series(impl, look, x, y))
    return Chart(
        key="sweep",
        kind="parallel",
        title="Final loss against all settings",
        table=results.table(rows, default_columns(rows)),
        series=series,
        axes=axes,
        note="A line is a run: follow it from its settings to its final loss.",
    )


def _setting_axis(rows: Sequence[Row], name: str) -> Axis:
    values = [row[name] for row in rows]
    if not _numeric(rows, name):
        words = list(dict.fromkeys(values))
        places = {word: (i + 0.5) / len(words) for i, word in enumerate(words)}
        ticks = [(place, shown(name, word)) for word, place in places.items()]
        return Axis(name, [places[value] for value in values], ticks)
    scale = Scale(float(min(values)), float(max(values)), _wide(values))
    distinct = sorted(set(values))
    marks = distinct if len(distinct) <= MOST_TICKS else scale.ticks(MOST_TICKS)
    texts = distinct_texts(name, [float(mark) for mark in marks])
    ticks = [(scale.place(float(mark)), text) for mark, text in zip(marks, texts, strict=True)]
    return Axis(name, [scale.place(float(value)) for value in values], ticks)


def _loss_axis(rows: Sequence[Row]) -> Axis:
    """Final losses, below the runs that have none."""
    finals = [next(iter(_finals([row])), None) for row in rows]
    finals = [value if value is not None and value > 0 else None for value in finals]
    lost = None in finals
    top = TOP if lost else 1.0
    scale = around(finals, _wide(finals))
    positions = [1.0 if value is None else top * scale.place(value) for value in finals]
    ticks = [(top * scale.place(mark), brief(mark)) for mark in scale.ticks(MOST_TICKS)]
    if not any(finals):
        ticks = []
    return Axis("final loss", [*positions], [*ticks, *([(1.0, "not ok")] if lost else [])])
