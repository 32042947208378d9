"""Charts as figures for papers and slides, drawn by matplotlib (the extra `plot`)."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from . import drawing, end_labels, heat_map, scales
from .chart import Axis, Chart, Series
from .drawing import INK, Size
from .scales import Scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROPORTION = 0.68
"""The height of a chart of curves over its width, unless its labels need more."""

MOST_SIZES = 8
"""More ticks would run into one another."""

FEW = 12
"""So many points of a curve are all marked; of more, half as many."""


def draw(chart: Chart, path: Path, size: Size) -> tuple[float, float]:
    """Write a chart to a file ending in .png, .svg or .pdf; returns its width and height in inches.

    Raises UserError if it can't be written, or if the labels leave no room for the chart.
    """
    from matplotlib.figure import Figure

    kind = KINDS[chart.kind]
    height = size.height or kind.height(chart, size)
    with drawing.style(size.type_size), drawing.crowding():
        figure = Figure(figsize=(size.width, height), layout="constrained")
        kind.draw(chart, figure)
        drawing.save(figure, path, "--out", chart.title)
    return size.width, height


# --- lines


def _lines_height(chart: Chart, size: Size) -> float:
    texts = [end_labels.text(each) for each in chart.series]
    lines = sum(text.count("\n") + 1 for text in texts)
    return max(PROPORTION * min(size.width, 5.0), (lines + 4) * size.line_height)


def _lines(chart: Chart, figure: Figure) -> None:
    axes = figure.subplots()
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
    axes.set_xscale("log" if chart.log_x else "linear")
    axes.set_yscale("log" if chart.log_y else "linear")
    drawn = [each for each in chart.series if scales.drawable(each, chart.log_y)]
    if not drawn:
        raise UserError(f"chart {chart.key}: there is no value to draw")
    x_scale, y_scale = scales.across(drawn, chart.log_x), scales.up(drawn, chart.log_y)
    axes.set_ylim(*_margins(chart, y_scale))
    _few_ticks(axes, drawn, x_scale)
    # Sizes have a marker each, which needs room; of epochs, 999 needs it for a tick at 1000.
    axes.set_xlim(x_scale.value(-0.015) if chart.log_x else x_scale.low, x_scale.value(1.005))
    for number, series in enumerate(drawn):
        _curve(axes, series, x_scale, y_scale, number / len(drawn))
    if chart.reference is not None:
        axes.axhline(chart.reference, color=INK, linewidth=0.8, zorder=1)
    end_labels.add(figure, axes, chart.series, log_y=chart.log_y)


def _margins(chart: Chart, scale: Scale) -> tuple[float, float]:
    """The ends of the y axis: beyond the curves, but not where some leave over the top."""
    leaves = any("diverged" in each.ending for each in chart.series)
    ends = [scale.value(-0.04), scale.value(1.0 if leaves else 1.04)]
    reference = [] if chart.reference is None else [0.8 * chart.reference, 1.25 * chart.reference]
    return min(ends + reference), max(ends + reference)


def _few_ticks(axes: Axes, drawn: Sequence[Series], scale: Scale) -> None:
    """Sizes of a problem on a logarithmic axis are ticks themselves: 10, 30 and 100."""
    sizes = sorted({x for each in drawn for x in each.x})
    if scale.log and len(sizes) <= MOST_SIZES and all(size.is_integer() for size in sizes):
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.set_xticks([], minor=True)


def _curve(axes: Axes, series: Series, x_scale: Scale, y_scale: Scale, phase: float) -> None:
    """One curve, broken where there is no value."""
    points = scales.drawable(series, y_scale.log)
    heights = dict(points)
    x, y = series.x, [heights.get(at, math.nan) for at in series.x]
    look = drawing.line(series.look)
    marked = {x.index(at) for at in _marked([at for at, _ in points], x_scale, phase)}
    axes.plot(x, y, **look | drawing.MARKED | {"markevery": sorted(marked)})
    if len(series.low) == len(series.y):
        _whiskers(axes, series)
    if series.ending:
        at = end_labels.leaving(points, y_scale.high, y_scale.log)
        axes.plot(*at, **end_labels.CROSS, color=series.look.light, clip_on=False, zorder=5)


def _marked(x: Sequence[float], scale: Scale, phase: float) -> list[float]:
    """Where to mark a curve: at every point if they are few, else where others are not marked."""
    if len(x) <= FEW:
        return list(x)
    places = [scale.place(each) for each in x]
    wanted = [(number + phase) / FEW * 2 for number in range(FEW // 2)]
    within = [each for each in wanted if places[0] <= each <= places[-1]]
    return [x[bisect(places, each) - 1] for each in within]


def _whiskers(axes: Axes, series: Series) -> None:
    rows = zip(series.x, series.low, series.high, series.y, strict=True)
    for x, low, high, y in rows:
        if y is not None:
            axes.plot([x, x], [low, high], color=series.look.light, solid_capstyle="butt")


# --- intervals


def _intervals_height(chart: Chart, size: Size) -> float:
    return (1.25 * len(chart.series) + 4) * size.line_height


def _intervals(chart: Chart, figure: Figure) -> None:
    """A row for each series: a dot, and a line to both ends of its interval."""
    axes = figure.subplots()
    axes.set_xscale("log" if chart.log_x else "linear")
    axes.set(xlabel=chart.x_label)
    axes.set_yticks(range(len(chart.series)), [drawing.words(each.name) for each in chart.series])
    axes.set_ylim(len(chart.series) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if chart.reference is not None:
        axes.axvline(chart.reference, color=INK, linewidth=0.8, zorder=1)
    for row, series in enumerate(chart.series):
        _interval(axes, series, row)


def _interval(axes: Axes, series: Series, row: int) -> None:
    look = drawing.line(series.look) | drawing.MARKED | {"linestyle": "none"}
    if series.low:
        ends = [series.low[0], series.high[0]]
        axes.plot(ends, [row, row], color=series.look.light, solid_capstyle="butt")
    if (middle := series.y[0]) is not None:
        axes.plot([middle], [row], **look)


# --- parallel axes


def _parallel_height(chart: Chart, size: Size) -> float:
    return max(PROPORTION * min(size.width, 5.0), (len(chart.series) + 4) * size.line_height)


def _parallel(chart: Chart, figure: Figure) -> None:
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, len(chart.axes) - 1), ylim=(-0.02, 1.02))
    for place, axis in enumerate(chart.axes):
        _upright(axes, place, axis)
    for number, series in enumerate(chart.series):
        heights = [math.nan if y is None else y for y in series.y]
        width = 1 + 1.5 * (1 - (number + 1) / len(chart.series))  # of those below, edges are seen
        look = drawing.line(series.look) | {"linewidth": width}
        axes.plot(series.x, heights, label=drawing.words(series.name), **look)
    axes.legend(loc="center left", bbox_to_anchor=(1.05, 0.5))


def _upright(axes: Axes, place: int, axis: Axis) -> None:
    axes.plot([place, place], [0, 1], color=INK, linewidth=0.8, zorder=3, clip_on=False)
    axes.text(place, 1.05, axis.label, ha="center", va="bottom")
    for height, text in axis.ticks:
        _tick(axes, place, height, text)


def _tick(axes: Axes, place: int, height: float, text: str) -> None:
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5}
    axes.annotate(
        text,
        (place, height),
        (-3, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        bbox=behind,
        zorder=4,
    )


@dataclass(frozen=True)
class Kind:
    """How charts of a kind are drawn, and how high they want to be."""

    draw: Callable[[Chart, Figure], None]
    height: Callable[[Chart, Size], float]


KINDS = {
    "lines": Kind(_lines, _lines_height),
    "intervals": Kind(_intervals, _intervals_height),
    "heat": Kind(heat_map.draw, heat_map.height),
    "parallel": Kind(_parallel, _parallel_height),
}
