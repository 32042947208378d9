"""Curves in a terminal, drawn with a letter each: in any width, encoding, and without colour.

Letters and not dots: ten curves that lie on one another are told apart by who is whom, not by
where exactly they are. Curves that share every cell share a letter; others that meet take
turns, so that none hides another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters

import numpy as np

from ..errors import UserError
from ..tables import Table
from .chart import Chart, Series
from .scales import Scale, across, drawable, up

COLOURS = (36, 33, 35, 32, 94, 91)
"""ANSI colours, which every terminal shows legibly on its background."""

END = "×"  # noqa: RUF001
AROUND = 8
"""The lines beside those of the curves and of the legend, one of them the prompt's."""

MIN_COLUMNS, MIN_ROWS, MAX_ROWS = 20, 10, 24


@dataclass
class Group:
    """Curves that are the same at this size: `rows[column]`, counted from the top, or None."""

    mark: str
    rows: list[int | None]
    members: list[Series]

    @property
    def broken(self) -> bool:
        return any("diverged" in each.ending for each in self.members)


@dataclass
class Canvas:
    """Cells of a character and the number of its colour; -1 is that of the text."""

    rows: int
    columns: int

    def __post_init__(self) -> None:
        self.cells = [[(" ", -1)] * self.columns for _ in range(self.rows)]

    def put(self, row: int, column: int, text: str, colour: int = -1) -> None:
        self.cells[row][column] = (text, colour)

    def free(self, row: int, column: int) -> bool:
        return self.cells[row][column][0] == " "

    def lines(self, colour: bool) -> list[str]:
        shown = _coloured if colour else _plain
        return ["".join(shown(*cell) for cell in row) for row in self.cells]


def text(chart: Chart, width: int, height: int, *, colour: bool = False) -> str:
    """A chart of lines and, below it, who is who, for a terminal of `width` by `height` cells.

    It is higher than that where there would be too little room for the curves.
    Raises UserError if there is nothing to draw, or more than there are letters for.
    """
    shown = [each for each in chart.series if drawable(each, chart.log_y)]
    if not shown:
        raise UserError(f"{chart.title}: there is no loss to draw; see `twolayer show`")
    x_scale, y_scale = across(shown, chart.log_x), up(shown, chart.log_y)
    below = _legend([Group("a", [], shown)], chart, shown).text(width).count("\n")
    rows = min(max(height - below - AROUND, MIN_ROWS), MAX_ROWS)
    labels = _labels(y_scale, rows)
    gutter = max(map(len, labels.values())) + 2
    columns = max(width - gutter, MIN_COLUMNS)
    groups = _grouped(shown, x_scale, y_scale, rows, columns)
    canvas = _drawn(groups, rows, columns)
    lines = [
        f"{labels.get(row, ''):>{gutter - 2}} {'┤' if row in labels else '│'}{line}".rstrip()
        for row, line in enumerate(canvas.lines(colour))
    ]
    axis = [" " * (gutter - 1) + line for line in _axis(x_scale, columns, chart.x_label)]
    legend = _legend(groups, chart, shown).text(width)
    return "\n".join([_heading(chart), *lines, *axis, "", _marked(legend, groups, colour)])


def _heading(chart: Chart) -> str:
    return f"{chart.y_label}{', logarithmic' if chart.log_y else ''}"


# --- curves


def _grouped(shown: Sequence[Series], x: Scale, y: Scale, rows: int, columns: int) -> list[Group]:
    found: dict[tuple[object, ...], list[Series]] = {}
    for each in shown:
        found.setdefault((*_rows(each, x, y, rows, columns), each.ending), []).append(each)
    if len(found) > len(ascii_letters):
        raise UserError(
            f"{len(found)} different curves can't be told apart here; "
            "`twolayer report` draws them, or choose fewer with `twolayer run --impl`"
        )
    return [
        Group(mark, [row for row in key[:-1] if row is None or isinstance(row, int)], members)
        for mark, (key, members) in zip(ascii_letters, found.items(), strict=False)
    ]


def _rows(series: Series, x: Scale, y: Scale, rows: int, columns: int) -> list[int | None]:
    """The row in each column: the curve where the middle of the column is, none beside it.

    A curve that leaves over the top, as some that diverge do, ends there.
    """
    points = drawable(series, y.log)
    places = np.array([x.place(at) * (columns - 1) for at, _ in points])
    heights = np.array([(1 - y.place(value)) * (rows - 1) for _, value in points])
    first, last = round(places[0]), round(places[-1])
    here = np.rint(np.interp(range(columns), places, heights)).astype(int)
    above = np.flatnonzero(here < 0)
    within = range(first, min([last, *above[:1]]) + 1)
    return [int(max(row, 0)) if column in within else None for column, row in enumerate(here)]


def _drawn(groups: Sequence[Group], rows: int, columns: int) -> Canvas:
    canvas = Canvas(rows, columns)
    for column in range(columns):
        _draw_column(canvas, groups, column)
    for number, group in enumerate(groups):
        _draw_risers(canvas, group, number)
    for group in groups:
        if group.broken:
            last = max(column for column, row in enumerate(group.rows) if row is not None)
            canvas.put(group.rows[last] or 0, last, END)
    return canvas


def _draw_column(canvas: Canvas, groups: Sequence[Group], column: int) -> None:
    """Where curves meet, they take turns from column to column."""
    meeting: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        if (row := group.rows[column]) is not None:
            meeting.setdefault(row, []).append(number)
    for row, numbers in meeting.items():
        turn = numbers[column % len(numbers)]
        canvas.put(row, column, groups[turn].mark, turn)


def _draw_risers(canvas: Canvas, group: Group, number: int) -> None:
    """Where a curve is steep, fill the way from each column to the next with its letter."""
    for column, (here, there) in enumerate(zip(group.rows, group.rows[1:], strict=False)):
        if here is None or there is None:
            continue
        middle = (here + there) // 2
        for row in range(min(here, there) + 1, max(here, there)):
            beside = column if (row <= middle) == (here < there) else column + 1
            if canvas.free(row, beside):
                canvas.put(row, beside, group.mark, number)


# --- around them


def _labels(scale: Scale, rows: int) -> dict[int, str]:
    """The ticks of the y axis, by the row they are at."""
    ticks = scale.ticks(max(2, rows // 3))
    form = ".0e" if len(ticks) > 1 and ticks[1] >= 9.9 * ticks[0] > 0 else "g"
    return {round((1 - scale.place(tick)) * (rows - 1)): f"{tick:{form}}" for tick in ticks}


def _axis(scale: Scale, columns: int, label: str) -> list[str]:
    """The x axis: a line with ticks, and what they and the axis are called."""
    line, names = ["─"] * columns, [" "] * columns
    end = 0
    for tick in scale.ticks(max(2, columns // 8)):
        column, name = round(scale.place(tick) * (columns - 1)), f"{tick:g}"
        start = min(max(column - len(name) // 2, 0), columns - len(name))
        line[column] = "┬"
        if start >= end:
            names[start : start + len(name)] = name
            end = start + len(name) + 1
    return ["└" + "".join(line), f" {''.join(names).rstrip()}", f" {label:^{columns}}".rstrip()]


def _legend(groups: Sequence[Group], chart: Chart, shown: Sequence[Series]) -> Table:
    rows = [_legend_row(group.mark, each, chart) for group in groups for each in group.members]
    rows += [["-", each.name, "", "", each.ending] for each in chart.series if each not in shown]
    header = ["", "curve", f"last {chart.x_label}", f"last {chart.y_label}", "ends"]
    left = frozenset({0, 1, 4})
    if any(row[-1] for row in rows):
        return Table(header, rows, left)
    return Table(header[:-1], [row[:-1] for row in rows], left)


def _legend_row(mark: str, series: Series, chart: Chart) -> list[str]:
    x, y = drawable(series, chart.log_y)[-1]
    return [mark, series.name, f"{x:g}", f"{y:.4e}", series.ending]


def _marked(legend: str, groups: Sequence[Group], colour: bool) -> str:
    """The legend with its letters in the colours of the curves."""
    if not colour:
        return legend
    numbers = {group.mark: number for number, group in enumerate(groups)}
    lines = legend.split("\n")
    return "\n".join(
        _coloured(line[0], numbers[line[0]]) + line[1:]
        if line[:1] in numbers and line[1:3] == "  "
        else line
        for line in lines
    )


def _coloured(character: str, number: int) -> str:
    if number < 0:
        return character
    return f"\x1b[{COLOURS[number % len(COLOURS)]}m{character}\x1b[0m"


def _plain(character: str, _: int) -> str:
    return character
