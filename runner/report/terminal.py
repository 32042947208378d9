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
from .scales import Scale, axes

COLOURS = (36, 33, 35, 32, 94, 91)  # of ANSI, legible on the background of every terminal
END = "×"  # noqa: RUF001
AROUND = 8  # the lines beside those of the curves and of the legend, one of them the prompt's
MIN_COLUMNS, MIN_ROWS, MAX_ROWS = 20, 10, 24

Path = list[tuple[int, int]]
"""Of a curve: the columns where it is, and its rows there, counted from the top."""


def text(chart: Chart, width: int, height: int, *, colour: bool = False) -> str:
    """A chart of lines and, below it, who is who, for a terminal of `width` by `height` cells.

    It is higher than that where there would be too little room for the curves.
    Raises UserError if there is nothing to draw, or more than there are letters for.
    """
    shown = [each for each in chart.series if each.points]
    if not shown:
        raise UserError(f"{chart.title}: there is no loss to draw; see `twolayer show`")
    x, y = axes(shown, chart.log_x, chart.log_y)
    below = _legend_table([shown], chart).text(width).count("\n")
    height = min(max(height - below - AROUND, MIN_ROWS), MAX_ROWS)
    labels = _labels(y, height)
    gutter = max(map(len, labels.values()))
    columns = max(width - gutter - 2, MIN_COLUMNS)
    curves = grouped(shown, lambda each: (*_trace(each, x, y, height, columns), each.ending))
    if len(curves) > len(ascii_letters):
        raise UserError(
            f"{len(curves)} different curves can't be told apart here; "
            "`twolayer report` draws them, or choose fewer with `twolayer run --impl`"
        )
    cells = _cells([list(path) for *path, _ in curves])
    for *path, ending in curves:
        if "diverged" in ending:
            cells[path[-1]] = END
    lines = [f"{chart.y_label}{', logarithmic' if chart.log_y else ''}"]
    for row in range(height):
        drawn = "".join(cells.get((column, row), " ") for column in range(columns)).rstrip()
        label = f"{labels.get(row, ''):>{gutter}} {'┤' if row in labels else '│'}"
        lines.append(label + _painted("[a-zA-Z]", drawn, colour))
    lines += [" " * (gutter + 1) + line for line in _axis(x, columns, chart.x_label)]
    legend = _legend_table([*curves.values()], chart).text(width)
    marks = f"^[{ascii_letters[: len(curves)]}](?=  )"
    return "\n".join([*lines, "", _painted(marks, legend, colour)])


def _trace(curve: Series, x: Scale, y: Scale, height: int, columns: int) -> Path:
    """The curve where the middle of each column is.

    A curve that leaves over the top, as some that diverge do, ends there.
    """
    places = np.array([x.place(at) * (columns - 1) for at, _ in curve.points])
    heights = np.array([(1 - y.place(value)) * (height - 1) for _, value in curve.points])
    rows = np.rint(np.interp(range(columns), places, heights)).astype(int).tolist()
    last = next((c for c, row in enumerate(rows) if row < 0), columns)
    return [(c, max(rows[c], 0)) for c in range(round(places[0]), min(round(places[-1]), last) + 1)]


def _cells(paths: Sequence[Path]) -> dict[tuple[int, int], str]:
    """The letter in each cell, by column and row: the first curve's is a."""
    cells: dict[tuple[int, int], str] = {}
    lettered = list(zip(ascii_letters, paths, strict=False))
    pairs = ((cell, letter) for letter, path in lettered for cell in path)
    for (column, row), meeting in grouped(pairs, lambda pair: pair[0]).items():
        cells[column, row] = meeting[column % len(meeting)][1]
    for letter, path in lettered:
        for (column, here), (_, there) in pairwise(path):
            middle = (here + there) // 2  # a steep curve is filled in from both its columns
            for row in range(min(here, there) + 1, max(here, there)):
                beside = column if (row <= middle) == (here < there) else column + 1
                cells.setdefault((beside, row), letter)
    return cells


def _labels(scale: Scale, height: int) -> dict[int, str]:
    """The ticks of the y axis, by the row they are at."""
    ticks = scale.ticks(max(2, height // 3))
    form = ".0e" if len(ticks) > 1 and ticks[1] >= 9.9 * ticks[0] > 0 else "g"
    return {round((1 - scale.place(tick)) * (height - 1)): f"{tick:{form}}" for tick in ticks}


def _axis(scale: Scale, columns: int, label: str) -> list[str]:
    """The x axis: a line with ticks, and what they and the axis are called."""
    line, names = "─" * columns, ""
    for tick in scale.ticks(max(2, columns // 8)):
        column, name = round(scale.place(tick) * (columns - 1)), f"{tick:g}"
        start = min(max(column - len(name) // 2, 0), columns - len(name))
        line = f"{line[:column]}┬{line[column + 1 :]}"
        if start > len(names) or not names:
            names = f"{names:{start}}{name}"
    return [f"└{line}", f" {names}", f" {label:^{columns}}".rstrip()]


def _legend_table(curves: Sequence[Sequence[Series]], chart: Chart) -> Table:
    """Who is who: the series that share each letter, and those that are not drawn."""
    rows = []
    for mark, members in zip(ascii_letters, curves, strict=False):
        for each in members:
            x, y = each.points[-1]
            rows.append([mark, each.name, f"{x:g}", f"{y:.4e}", each.ending])
    rows += [["-", each.name, "", "", each.ending] for each in chart.series if not each.points]
    header = ["", "curve", f"last {chart.x_label}", f"last {chart.y_label}", "ends"]
    count = len(header) if any(row[-1] for row in rows) else len(header) - 1
    return Table(header[:count], [row[:count] for row in rows], frozenset({0, 1, 4}))


def _painted(letters: str, text: str, colour: bool) -> str:
    """The text with the letters that this pattern finds in the colours of their curves."""

    def paint(match: re.Match[str]) -> str:
        code = COLOURS[ascii_letters.index(match[0]) % len(COLOURS)]
        return f"\x1b[{code}m{match[0]}\x1b[0m"

    return re.sub(letters, paint, text, flags=re.M) if colour else text
