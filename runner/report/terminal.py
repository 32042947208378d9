"""Curves in a terminal, drawn with a letter each: in any width, encoding, and without colour.

Letters and not dots: ten curves that lie on one another are told apart by who is whom, not by
where exactly they are. Curves that share every cell share a letter; others that meet take
turns, so that none hides another.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from string import ascii_letters

import numpy as np

from ..errors import UserError
from ..results.rows import grouped
from ..tables import Table
from .chart import Chart, Series
from .scales import Scale, across, drawable, up

COLOURS = (36, 33, 35, 32, 94, 91)
"""ANSI colours, which every terminal shows legibly on its background."""

END = "×"  # noqa: RUF001
AROUND = 8
"""The lines beside those of the curves and of the legend, one of them the prompt's."""

MIN_COLUMNS, MIN_ROWS, MAX_ROWS = 20, 10, 24

Rows = tuple[int | None, ...]
"""Of a curve in each column, counted from the top; None where it is not."""


def text(chart: Chart, width: int, height: int, *, colour: bool = False) -> str:
    """A chart of lines and, below it, who is who, for a terminal of `width` by `height` cells.

    It is higher than that where there would be too little room for the curves.
    Raises UserError if there is nothing to draw, or more than there are letters for.
    """
    shown = [each for each in chart.series if drawable(each, chart.log_y)]
    if not shown:
        raise UserError(f"{chart.title}: there is no loss to draw; see `twolayer show`")
    x, y = across(shown, chart.log_x), up(shown, chart.log_y)
    below = _legend([shown], chart).text(width).count("\n")
    height = min(max(height - below - AROUND, MIN_ROWS), MAX_ROWS)
    labels = _labels(y, height)
    gutter = max(map(len, labels.values())) + 2
    columns = max(width - gutter, MIN_COLUMNS)
    curves = grouped(shown, lambda each: (_rows(each, x, y, height, columns), each.ending))
    if len(curves) > len(ascii_letters):
        raise UserError(
            f"{len(curves)} different curves can't be told apart here; "
            "`twolayer report` draws them, or choose fewer with `twolayer run --impl`"
        )
    cells = _cells([*curves])
    lines = [f"{chart.y_label}{', logarithmic' if chart.log_y else ''}"]
    for row in range(height):
        drawn = (_painted(cells.get((row, column), " "), colour) for column in range(columns))
        axis = "┤" if row in labels else "│"
        lines.append(f"{labels.get(row, ''):>{gutter - 2}} {axis}{''.join(drawn)}".rstrip())
    lines += [" " * (gutter - 1) + line for line in _axis(x, columns, chart.x_label)]
    legend = _legend([*curves.values()], chart).text(width)
    marks = re.compile(f"^[{ascii_letters[: len(curves)]}](?=  )", re.M)
    return "\n".join([*lines, "", marks.sub(lambda mark: _painted(mark[0], colour), legend)])


def _rows(curve: Series, x: Scale, y: Scale, height: int, columns: int) -> Rows:
    """The curve where the middle of each column is, none beside it.

    A curve that leaves over the top, as some that diverge do, ends there.
    """
    points = drawable(curve, y.log)
    places = np.array([x.place(at) * (columns - 1) for at, _ in points])
    heights = np.array([(1 - y.place(value)) * (height - 1) for _, value in points])
    rows = np.rint(np.interp(range(columns), places, heights)).astype(int)
    first, last = round(places[0]), min([round(places[-1]), *np.flatnonzero(rows < 0)[:1]])
    return tuple(int(max(r, 0)) if first <= c <= last else None for c, r in enumerate(rows))


def _cells(curves: Sequence[tuple[Rows, str]]) -> dict[tuple[int, int], str]:
    """The character in each cell, by row and column, of curves that end so."""
    cells = {}
    for column, rows in enumerate(zip(*(rows for rows, _ in curves), strict=True)):
        for row in {row for row in rows if row is not None}:
            meeting = [number for number, other in enumerate(rows) if other == row]
            cells[row, column] = ascii_letters[meeting[column % len(meeting)]]
    for letter, (rows, ending) in zip(ascii_letters, curves, strict=False):
        path = [(column, row) for column, row in enumerate(rows) if row is not None]
        for (column, here), (_, there) in pairwise(path):
            middle = (here + there) // 2  # a steep curve is filled in from both its columns
            for row in range(min(here, there) + 1, max(here, there)):
                beside = column if (row <= middle) == (here < there) else column + 1
                cells.setdefault((row, beside), letter)
        if "diverged" in ending:
            cells[path[-1][::-1]] = END
    return cells


def _labels(scale: Scale, height: int) -> dict[int, str]:
    """The ticks of the y axis, by the row they are at."""
    ticks = scale.ticks(max(2, height // 3))
    form = ".0e" if len(ticks) > 1 and ticks[1] >= 9.9 * ticks[0] > 0 else "g"
    return {round((1 - scale.place(tick)) * (height - 1)): f"{tick:{form}}" for tick in ticks}


def _axis(scale: Scale, columns: int, label: str) -> list[str]:
    """The x axis: a line with ticks, and what they and the axis are called."""
    line, names, end = ["─"] * columns, " " * columns, 0
    for tick in scale.ticks(max(2, columns // 8)):
        column, name = round(scale.place(tick) * (columns - 1)), f"{tick:g}"
        start = min(max(column - len(name) // 2, 0), columns - len(name))
        line[column] = "┬"
        if start >= end:
            end = start + len(name)
            names = names[:start] + name + names[end:]
            end += 1
    return ["└" + "".join(line), f" {names.rstrip()}", f" {label:^{columns}}".rstrip()]


def _legend(curves: Sequence[Sequence[Series]], chart: Chart) -> Table:
    """Who is who: the series that share each letter, and those that are not drawn."""
    rows = []
    for mark, members in zip(ascii_letters, curves, strict=False):
        for each in members:
            x, y = drawable(each, chart.log_y)[-1]
            rows.append([mark, each.name, f"{x:g}", f"{y:.4e}", each.ending])
    shown = [each for members in curves for each in members]
    rows += [["-", each.name, "", "", each.ending] for each in chart.series if each not in shown]
    header = ["", "curve", f"last {chart.x_label}", f"last {chart.y_label}", "ends"]
    count = len(header) if any(row[-1] for row in rows) else len(header) - 1
    return Table(header[:count], [row[:count] for row in rows], frozenset({0, 1, 4}))


def _painted(character: str, colour: bool) -> str:
    """A letter in the colour of its curve."""
    if not colour or character not in ascii_letters:
        return character
    return f"\x1b[{COLOURS[ascii_letters.index(character) % len(COLOURS)]}m{character}\x1b[0m"
