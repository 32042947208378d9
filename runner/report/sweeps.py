"""The chart of a sweep: final loss over the settings that were varied, one, two or more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import listed
from ..results import rows as results
from ..results.rows import Cell, Row, default_columns, pivot, shown
from ..tables import Table, number
from .chart import Axis, Chart, Grid, Series
from .looks import looks
from .material import Material, by_impl
from .scales import Scale

FILLED = 0.5
"""A heat map needs at least this part of its cells; else it is parallel coordinates."""

PLAIN = 5
"""Numbers of up to so many characters are written without an exponent."""

TOP = 0.88
"""Where the final losses end on their axis, if above them are runs that have none."""

MOST_TICKS = 7


def sweep(material: Material) -> Chart | None:
    """Final loss over what was varied besides the seed; None if nothing was."""
    axes = [name for name in material.varied if name != "seed"]
    rows = material.rows
    if not axes:
        return None
    if len(axes) == 1:
        return (
            _over_numbers(material, axes[0])
            if _numeric(rows, axes[0])
            else _words(material, axes[0])
        )
    if len(axes) == 2 and _filled(rows, axes) >= FILLED:
        return _heat(material, *axes)
    return _parallel(material, axes)


def _numeric(rows: Iterable[Row], name: str) -> bool:
    values = [row[name] for row in rows]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _filled(rows: Sequence[Row], axes: Sequence[str]) -> float:
    sizes = [len({row[name] for row in rows}) for name in axes]
    return len({tuple(row[name] for name in axes) for row in rows}) / math.prod(sizes)


def _wide(values: Iterable[Any]) -> bool:
    """Whether numbers ask for a logarithmic axis."""
    there = [float(value) for value in values]
    return bool(there) and min(there) > 0 and max(there) / min(there) >= 10


# --- one setting


def _over_numbers(material: Material, axis: str) -> Chart:
    drawn = looks(material.impls)
    groups = by_impl(material.rows)
    over = pivot(material.rows, axis, "impl", "final_loss")
    series = [_line(impl, drawn[impl], rows, axis) for impl, rows in groups.items()]
    series = [each for each in series if any(y is not None for y in each.y)]
    return Chart(
        key="sweep",
        kind="lines",
        title=f"Final loss against {axis}",
        x_label=axis,
        y_label="final loss",
        table=over.table(),
        series=series,
        log_x=_wide(row[axis] for row in material.rows),
        log_y=_positive(y for each in series for y in each.y),
        note=f"{_averaged(over.over)} Where no run is ok there is no point.",
    )


def _line(impl: str, look: Any, rows: Sequence[Row], axis: str) -> Series:
    """The mean over runs that ended as ok, from the lowest to the highest of them."""
    values = sorted({row[axis] for row in rows})
    groups = [[row for row in rows if row[axis] == value] for value in values]
    finals = [[r["final_loss"] for r in g if _ok(r)] for g in groups]
    means = [sum(each) / len(each) if each else None for each in finals]
    lost = next((v for v, g in zip(values, groups, strict=True) if not any(map(_ok, g))), None)
    return Series(
        name=impl,
        look=look,
        x=[float(value) for value in values],
        y=means,
        low=[min(each, default=0.0) for each in finals],
        high=[max(each, default=0.0) for each in finals],
        ending="" if lost is None else f"none ok at {axis}={brief(float(lost))}",
    )


def _words(material: Material, axis: str) -> Chart:
    drawn = looks(material.impls)
    over = pivot(material.rows, "impl", axis, "final_loss")
    series = []
    for (impl, value), cell in over.cells.items():
        finals = [
            r["final_loss"]
            for r in material.rows
            if (r["impl"], r[axis]) == (impl, value) and _ok(r)
        ]
        if cell.mean is not None and finals:
            name = f"{impl} {shown(axis, value)}"
            series.append(
                Series(name, drawn[impl], [0.0], [cell.mean], [min(finals)], [max(finals)])
            )
    return Chart(
        key="sweep",
        kind="intervals",
        title=f"Final loss against {axis}",
        x_label="final loss",
        y_label="",
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


def _ok(row: Row) -> bool:
    return row["outcome"] == "ok" and row["final_loss"] is not None


def _positive(values: Iterable[float | None]) -> bool:
    there = [value for value in values if value is not None]
    return _wide(there)


# --- two settings


def _heat(material: Material, down: str, across: str) -> Chart:
    grids, lines = [], []
    for impl, rows in by_impl(material.rows).items():
        over = pivot(rows, down, across, "final_loss")
        grids.append(_grid(impl, over))
        lines += [_cell_row(impl, over, r, c) for (r, c) in over.cells]
    header = ("implementation", down, across, "final loss", "sd", "runs", "others")
    values = [value for grid in grids for row in grid.values for value in row]
    return Chart(
        key="sweep",
        kind="heat",
        title=f"Final loss against {down} and {across}",
        x_label=across,
        y_label=down,
        table=Table(header, lines, frozenset({0, 6})),
        grids=grids,
        log_y=_positive(values),
        note="The mean over runs that ended as ok. A cross marks where none did.",
    )


def _grid(impl: str, over: results.Pivot) -> Grid:
    cells = [[over.cells.get((r, c)) for c in over.across] for r in over.down]
    return Grid(
        name=impl,
        rows=told_apart(over.rows, over.down),
        columns=told_apart(str(over.cols), over.across),
        values=[[cell.mean if cell else None for cell in row] for row in cells],
        texts=[[_cell_text(cell) for cell in row] for row in cells],
        row_label=over.rows,
        column_label=str(over.cols),
    )


def told_apart(name: str, values: Sequence[Any]) -> list[str]:
    """Values with as few digits as tell them apart."""
    if not all(isinstance(value, float) for value in values):
        return [shown(name, value) for value in values]
    tries = ([brief(value, digits) for value in values] for digits in range(2, 17))
    return next(
        (texts for texts in tries if len(set(texts)) == len(values)), list(map(str, values))
    )


def brief(value: float, digits: int = 2) -> str:
    """`4.6e-6`: so many significant digits, and no more characters than they need."""
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    short = f"{float(mantissa):g}e{int(exponent)}"
    plain = f"{float(f'{mantissa}e{exponent}'):g}"
    return plain if len(plain) <= PLAIN and "e" not in plain else short


def _cell_text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    others = ", ".join(f"{count} {name}" for name, count in cell.others.items())
    if cell.mean is None:
        return others if sum(cell.others.values()) > 1 else next(iter(cell.others), "")
    return f"{number(cell.mean, 1)}{', ' if others else ''}{others}"


def _cell_row(impl: str, over: results.Pivot, row: Any, column: Any) -> list[str]:
    cell = over.cells[row, column]
    return [
        *(impl, shown(over.rows, row), shown(str(over.cols), column)),
        *(number(cell.mean), number(cell.sd, 1), str(cell.n)),
        ", ".join(f"{count} {name}" for name, count in cell.others.items()),
    ]


# --- more


def _parallel(material: Material, names: Sequence[str]) -> Chart:
    """A line for each run across an axis for each setting, the last for its final loss."""
    rows = material.rows
    axes = [*(_axis(rows, name) for name in names), _loss_axis(rows)]
    drawn = looks(material.impls)
    series = [
        _across(impl, drawn[impl], axes, [i for i, row in enumerate(rows) if row["impl"] == impl])
        for impl in material.impls
    ]
    return Chart(
        key="sweep",
        kind="parallel",
        title="Final loss against all settings",
        x_label="",
        y_label="",
        table=results.table(rows, default_columns(rows)),
        series=series,
        axes=axes,
        note="A line is a run: follow it from its settings to its final loss.",
    )


def _across(impl: str, look: Any, axes: Sequence[Axis], members: Sequence[int]) -> Series:
    """The runs of an implementation as one series, with a gap after each run."""
    x: list[float] = []
    y: list[float | None] = []
    for i in members:
        x += [float(place) for place in range(len(axes))] + [float(len(axes) - 1)]
        y += [axis.positions[i] for axis in axes] + [None]
    return Series(impl, look, x, y)


def _axis(rows: Sequence[Row], name: str) -> Axis:
    values = [row[name] for row in rows]
    if not _numeric(rows, name):
        words = list(dict.fromkeys(values))
        places = {word: (i + 0.5) / len(words) for i, word in enumerate(words)}
        ticks = [(place, shown(name, word)) for word, place in places.items()]
        return Axis(name, [places[value] for value in values], ticks)
    scale = Scale(float(min(values)), float(max(values)), _wide(values))
    distinct = sorted(set(values))
    marks = distinct if len(distinct) <= MOST_TICKS else scale.ticks(MOST_TICKS)
    texts = told_apart(name, [float(mark) for mark in marks])
    ticks = [(scale.place(float(mark)), text) for mark, text in zip(marks, texts, strict=True)]
    return Axis(name, [scale.place(float(value)) for value in values], ticks)


def _loss_axis(rows: Sequence[Row]) -> Axis:
    finals = [row["final_loss"] if _ok(row) and row["final_loss"] > 0 else None for row in rows]
    there = [value for value in finals if value is not None]
    lost = len(there) < len(rows)
    top = TOP if lost else 1.0
    if not there or min(there) == max(there):
        ticks = [(top / 2, number(value, 1)) for value in there[:1]]
        positions = [None if value is None else top / 2 for value in finals]
    else:
        scale = Scale(min(there), max(there), _wide(there))
        positions = [None if value is None else top * scale.place(value) for value in finals]
        ticks = [(top * scale.place(mark), brief(mark)) for mark in scale.ticks(MOST_TICKS)]
    if lost:
        positions = [1.0 if place is None else place for place in positions]
        ticks.append((1.0, "not ok"))
    return Axis("final loss", positions, ticks)
