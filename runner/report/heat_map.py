"""Heat maps, drawn by matplotlib: a panel for each grid, in shades that all of them share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .chart import Chart, Grid
from .drawing import INK, Size, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

COLOURS = "cividis"
"""From dark to light in grey as well, so that it survives any eye and any printer."""

MOST_UPRIGHT = 20
"""So many characters of tick labels stand side by side; more are turned."""

DARK = 0.2
"""Up to this luminance, from 0 to 1, white stands out better than ink."""

CHARACTER = 0.62
"""The width of a character over the size of the type."""


def height(chart: Chart, size: Size) -> float:
    """What the grids need, in inches."""
    rows = max(len(grid.rows) for grid in chart.grids)
    needed = _down(chart, size.width) * (1.9 * rows + 5) * size.line_height
    return max(needed, 0.3 * size.width)


def draw(chart: Chart, figure: Figure) -> None:
    """Draw the grids, with texts in the cells where there is room for all."""
    from matplotlib.cm import ScalarMappable

    width = figure.get_figwidth()
    across = _across(chart, width)
    alike = len({(*grid.rows, "", *grid.columns) for grid in chart.grids}) == 1
    shared = figure.subplots(_down(chart, width), across, squeeze=False, sharex=alike, sharey=alike)
    panels = list(shared.flat)
    shades = _shades(chart)
    pairs = list(zip(panels, chart.grids, strict=False))
    for axes, grid in pairs:
        _grid(axes, grid, shades)
        if alike:
            axes.label_outer()
    for axes in panels[len(pairs) :]:
        axes.set_visible(False)
    bar = ScalarMappable(shades, COLOURS)
    figure.colorbar(bar, ax=panels, label=chart.title.partition(" against ")[0], pad=0.02)
    figure.draw_without_rendering()  # lays it out, so that there is a size to write in
    if all(_fits(axes, grid, figure.dpi) for axes, grid in pairs):
        for axes, grid in pairs:
            _write(axes, grid, shades)


def _across(chart: Chart, width: float) -> int:
    """How many panels stand side by side."""
    return max(1, min(len(chart.grids), int(width // 2.3)))


def _down(chart: Chart, width: float) -> int:
    return math.ceil(len(chart.grids) / _across(chart, width))


def _shades(chart: Chart) -> Normalize:
    from matplotlib.colors import LogNorm, Normalize

    values = [value for grid in chart.grids for *_, value, _ in _cells(grid) if value is not None]
    kind = LogNorm if chart.log_y else Normalize
    return kind(min(values, default=1.0), max(values, default=1.0))


def _grid(axes: Axes, grid: Grid, shades: Normalize) -> None:
    """Cells: white where there is no run, a cross where none came to a value."""
    numbers = [[math.nan if v is None else v for v in row] for row in grid.values]
    axes.imshow(numbers, cmap=COLOURS, norm=shades, aspect="auto")
    axes.set(title=words(grid.name), xlabel=grid.column_label, ylabel=grid.row_label)
    columns, rows = _short(grid.columns), _short(grid.rows)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    if sum(map(len, columns)) > MOST_UPRIGHT:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for row, column, value, text in _cells(grid):
        if value is None and text:
            axes.plot(column, row, marker="x", color=INK)


def _short(labels: list[str]) -> list[str]:
    """Numbers with three digits, if that still tells them apart."""
    try:
        rounded = [f"{float(label):.3g}" for label in labels]
    except ValueError:
        return labels
    return rounded if len(set(rounded)) == len(labels) else labels


def _cells(grid: Grid) -> Iterator[tuple[int, int, float | None, str]]:
    for row, (values, texts) in enumerate(zip(grid.values, grid.texts, strict=True)):
        for column, (value, text) in enumerate(zip(values, texts, strict=True)):
            yield row, column, value, text


def _fits(axes: Axes, grid: Grid, dpi: float) -> bool:
    from matplotlib import rcParams

    room = axes.get_window_extent().width / len(grid.columns)
    longest = max(map(len, _texts(grid)), default=0)
    return bool(longest * CHARACTER * rcParams["font.size"] * dpi / 72 < 0.95 * room)


def _texts(grid: Grid) -> Sequence[str]:
    return [text for *_, value, text in _cells(grid) if value is not None]


def _write(axes: Axes, grid: Grid, shades: Normalize) -> None:
    from matplotlib import colormaps

    for row, column, value, text in _cells(grid):
        if value is not None:
            red, green, blue, _ = colormaps[COLOURS](float(shades(value)))
            luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
            colour = "white" if luminance <= DARK else INK
            axes.text(column, row, text, ha="center", va="center", color=colour)
