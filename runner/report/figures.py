"""Charts as Plotly figures: what is drawn, in the light colours; the page's script does the rest.

Every trace says in `meta` which series it belongs to and its colours for both backgrounds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from ..errors import UserError
from .chart import Axis, Chart, Grid, Series
from .scales import Scale, across, drawable, up
from .sweeps import brief, told_apart

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = (
    *("circle", "square", "diamond", "triangle-up"),
    *("cross", "triangle-down", "star", "hexagon"),
)
END = "x-thin"
FEW = 12
"""A curve of up to so many points has a marker at each."""

MARKS = 7
"""Markers along a curve; those of different series stand in different places."""

HEIGHT, ROW, CELL = 440, 28, 30
STOPS = (
    *("#00224e", "#123570", "#3b496c", "#575d6d", "#707173"),
    *("#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"),
)
"""Cividis: even steps for the eye, the same to people with colour-blindness."""

MIDDLE = 0.42
"""Where on the scale black begins to stand out more than white."""

Figure = dict[str, Any]


def figures(chart: Chart) -> list[Figure]:
    """The figures of a chart, each as `data` and `layout`; a heat map has one for each grid.

    Raises UserError if Plotly is not installed.
    """
    kinds = {"lines": _lines, "intervals": _intervals, "heat": _heat, "parallel": _parallel}
    return [_checked(*figure) for figure in kinds[chart.kind](chart)]


def plotly_js() -> str:
    """The library that draws them in a browser. Raises UserError if it is not installed."""
    _graph_objects()
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("\r\n", "\n")


def _graph_objects() -> Any:
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise UserError("report: needs plotly; pip install 'twolayer[report]'") from None
    return go


def _checked(data: list[dict[str, Any]], layout: dict[str, Any]) -> Figure:
    """A figure as Plotly understands it: it refuses what it doesn't know."""
    figure = _graph_objects().Figure(data, {"template": None} | layout)
    made: Figure = json.loads(figure.to_json())
    return made


def shown(text: str) -> str:
    """Text for Plotly, which reads some HTML in it."""
    return escape(text, quote=False)


# --- curves


def _lines(chart: Chart) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    x_scale, y_scale = across(chart.series, chart.log_x), up(_with_bars(chart), chart.log_y)
    if chart.reference is not None:
        y_scale = _including(y_scale, chart.reference)
    # dashes on top, so that what they lie on shows in their gaps
    solid_first = sorted(enumerate(chart.series), key=lambda pair: pair[1].look.dash > 0)
    data = [
        trace
        for place, (number, series) in enumerate(solid_first)
        for trace in _curve(chart, number, series, y_scale, place)
    ]
    layout: dict[str, Any] = {
        "height": HEIGHT,
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": _axis(
            chart.x_label, chart.log_x, _range(x_scale, 0.0 if not chart.log_x else 0.03)
        ),
        "yaxis": _axis("", chart.log_y, _range(y_scale, 0.03)),
    }
    if chart.log_x:
        ticks = sorted({x for series in chart.series for x in series.x})
        if len(ticks) <= 10:
            texts = told_apart(chart.x_label, ticks)
            layout["xaxis"] |= {"tickvals": ticks, "ticktext": texts}
    if chart.reference is not None:
        layout["shapes"] = _band(chart.reference, y_scale)
    yield data, layout


def _with_bars(chart: Chart) -> list[Series]:
    """The series, and the ends of their intervals, so that these fit in, too."""
    ends = [
        Series(each.name, each.look, each.x, _there(each, side), ending=each.ending)
        for each in chart.series
        if each.low
        for side in (each.low, each.high)
    ]
    return [*chart.series, *ends]


def _there(series: Series, side: Sequence[float]) -> list[float | None]:
    return [None if y is None else end for y, end in zip(series.y, side, strict=True)]


def _including(scale: Scale, value: float) -> Scale:
    """The scale with room for a reference line, and a little beyond."""
    beyond = value * 10 if scale.log else value
    return Scale(min(scale.low, value), max(scale.high, beyond), scale.log)


def _range(scale: Scale, margin: float) -> list[float]:
    low, high = (math.log10(v) if scale.log else v for v in (scale.low, scale.high))
    room = (high - low) * margin
    return [low - room, high + room]


def _axis(title: str, log: bool, ends: list[float]) -> dict[str, Any]:
    kind = "log" if log else "linear"
    about: dict[str, Any] = {"title": {"text": shown(title)}, "type": kind, "range": ends}
    about |= {"zeroline": False, "automargin": False}
    if not log:
        return about | {"nticks": 7}
    return about | (_powers(ends) if ends[1] - ends[0] > 2 else _round_numbers(ends))


def _round_numbers(ends: list[float]) -> dict[str, Any]:
    """Ticks at 1, 2 and 5 times powers of ten, given the logarithms at the ends of an axis."""
    powers = [10.0**power for power in range(math.floor(ends[0]), math.ceil(ends[1]))]
    marks = [power * factor for power in powers for factor in (1, 2, 5)]
    marks = [mark for mark in marks if ends[0] <= math.log10(mark) <= ends[1]]
    return {"tickvals": marks, "ticktext": [brief(mark) for mark in marks]}


def _powers(ends: list[float]) -> dict[str, Any]:
    """Ticks at powers of ten, given the logarithms at the ends of an axis."""
    marks = Scale(10 ** ends[0], 10 ** ends[1], log=True).ticks(8)
    texts = [f"{mark:g}" if 0.1 <= mark <= 100 else _power(mark) for mark in marks]
    return {"tickvals": marks, "ticktext": texts}


def _power(value: float) -> str:
    return f"10<sup>{round(math.log10(value))}</sup>".replace("-", "\N{MINUS SIGN}")


def _band(reference: float, scale: Scale) -> list[dict[str, Any]]:
    """The reference as a line, and what is below it as a band."""
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": reference, "y1": reference}
    low = 10 ** _range(scale, 0.03)[0] if scale.log else scale.low
    band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": low, "y1": reference}
    return [band | {"layer": "below", "line": {"width": 0}}, line | {"layer": "below"}]


def _curve(
    chart: Chart, number: int, series: Series, scale: Scale, place: int
) -> Iterator[dict[str, Any]]:
    points = drawable(series, chart.log_y)
    if not points:
        return
    line: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "name": shown(series.name),
        "x": series.x,
        "y": series.y,
        "meta": _meta(number, series),
        "line": {"color": series.look.light, "width": 2, "dash": DASHES[series.look.dash % 5]},
        "hovertemplate": _hover(chart, series),
    }
    if series.low:
        line["error_y"] = _bars(series)
    yield line
    few = len(points) <= FEW
    marks = points if few else _staggered(points, number)
    size = max(5.0, 13 - 1.6 * place) if few else 7  # one within another where they coincide
    ended = bool(series.ending)
    at = [*marks, _clipped(points[-1], scale)] if ended else marks
    symbol = SYMBOLS[series.look.marker % len(SYMBOLS)]
    yield {
        "type": "scatter",
        "mode": "markers",
        "name": shown(series.name),
        "x": [x for x, _ in at],
        "y": [y for _, y in at],
        "meta": _meta(number, series) | {"marks": True},
        "marker": {
            "color": series.look.light,
            "symbol": [symbol] * len(marks) + [END] * ended,
            "opacity": 1,
            "size": [size] * len(marks) + [11] * ended,
            "line": {"width": [0] * len(marks) + [2.5] * ended, "color": series.look.light},
        },
        "hoverinfo": "skip",
    }


def _meta(number: int, series: Series) -> dict[str, Any]:
    return {
        "series": number,
        "light": series.look.light,
        "dark": series.look.dark,
        "ending": shown(series.ending),
    }


def _hover(chart: Chart, series: Series) -> str:
    name = _template(series.name)
    y = "%{y:.4~g}" if not chart.log_y else "%{y:.4e}"
    end = f"<br>{_template(series.ending)}" if series.ending else ""
    return (
        f"<b>{name}</b><br>{_template(chart.x_label)} %{{x}}"
        f"<br>{_template(chart.y_label)} {y}{end}<extra></extra>"
    )


def _template(text: str) -> str:
    """Text in a template of Plotly, in which `%{` would begin a variable."""
    return shown(text).replace("%{", "%&#123;")


def _bars(series: Series) -> dict[str, Any]:
    above = [0 if y is None else end - y for y, end in zip(series.y, series.high, strict=True)]
    below = [0 if y is None else y - end for y, end in zip(series.y, series.low, strict=True)]
    return {"type": "data", "array": above, "arrayminus": below, "thickness": 1.2, "width": 3}


def _staggered(points: Sequence[tuple[float, float]], number: int) -> list[tuple[float, float]]:
    """A few points at even distances along x, shifted a little for each series."""
    first, last = points[0][0], points[-1][0]
    wanted = [first + (last - first) * (i + (number * 0.37) % 1) / MARKS for i in range(MARKS)]
    nearest = (min(points, key=lambda point: abs(point[0] - x)) for x in wanted)
    return list(dict.fromkeys(nearest))


def _clipped(point: tuple[float, float], scale: Scale) -> tuple[float, float]:
    return point[0], min(max(point[1], scale.low), scale.high)


# --- intervals


def _intervals(chart: Chart) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    data = [_interval(chart, number, series) for number, series in enumerate(chart.series)]
    ends = [v for s in chart.series for v in (*s.low, *s.high, *filter(None, s.y))]
    if chart.reference is not None:
        ends.append(chart.reference)
    scale = Scale(min(ends), max(ends), chart.log_x) if min(ends) < max(ends) else None
    layout: dict[str, Any] = {
        "height": 70 + ROW * len(data),
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": _axis(chart.x_label, chart.log_x, _range(scale, 0.05) if scale else [0, 2])
        | {"nticks": 6},
        "yaxis": {
            "type": "linear",
            "range": [len(data) - 0.4, -0.6],
            "tickvals": list(range(len(data))),
            "ticktext": [shown(each.name) for each in chart.series],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
    }
    if chart.reference is not None:
        at = chart.reference
        line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": at, "x1": at}
        layout["shapes"] = [line | {"layer": "below"}]
    yield data, layout


def _interval(chart: Chart, number: int, series: Series) -> dict[str, Any]:
    value = series.y[0] or 0.0
    low, high = (series.low or [value])[0], (series.high or [value])[0]
    words = f"{value:.4g} ({low:.4g} to {high:.4g})"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": shown(series.name),
        "x": [value],
        "y": [number],
        "meta": _meta(number, series),
        "marker": {
            "color": series.look.light,
            "symbol": SYMBOLS[series.look.marker % len(SYMBOLS)],
            "size": 10,
        },
        "error_x": {
            "type": "data",
            "array": [high - value],
            "arrayminus": [value - low],
            "thickness": 2,
            "width": 5,
        },
        "hovertemplate": f"<b>{_template(series.name)}</b><br>{words}<extra></extra>",
    }


# --- heat maps


def heat_limits(chart: Chart) -> tuple[float, float] | None:
    """The lowest and the highest value of all grids: they share one scale of colours."""
    values = [v for grid in chart.grids for row in grid.values for v in row if v is not None]
    return (min(values), max(values)) if values else None


def _heat(chart: Chart) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    limits = heat_limits(chart)
    for grid in chart.grids:
        data = [_cells(chart, grid, limits), _written(chart, grid, limits), _crosses(grid)]
        yield data, _heat_layout(grid)


def _cells(chart: Chart, grid: Grid, limits: tuple[float, float] | None) -> dict[str, Any]:
    def bent(value: float | None) -> float | None:
        return math.log10(value) if value is not None and chart.log_y else value

    low, high = (bent(value) for value in limits) if limits else (0.0, 1.0)
    return {
        "type": "heatmap",
        "x": list(range(len(grid.columns))),
        "y": list(range(len(grid.rows))),
        "z": [[bent(value) for value in row] for row in grid.values],
        "customdata": [
            [
                [shown(text or "not run"), shown(r), shown(c)]
                for text, c in zip(row, grid.columns, strict=True)
            ]
            for row, r in zip(grid.texts, grid.rows, strict=True)
        ],
        "zmin": low,
        "zmax": high if high != low else (low or 0.0) + 1,
        "colorscale": [[i / (len(STOPS) - 1), stop] for i, stop in enumerate(STOPS)],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "hovertemplate": f"{_template(grid.row_label)} %{{customdata[1]}}<br>"
        f"{_template(grid.column_label)} %{{customdata[2]}}<br>"
        "<b>%{customdata[0]}</b><extra></extra>",
    }


def _written(chart: Chart, grid: Grid, limits: tuple[float, float] | None) -> dict[str, Any]:
    """The values in the cells, black or white, whichever stands out more."""
    scale = Scale(*limits, chart.log_y) if limits and limits[0] < limits[1] else None
    cells = [
        (c, r, value)
        for r, row in enumerate(grid.values)
        for c, value in enumerate(row)
        if value is not None
    ]
    return {
        "type": "scatter",
        "mode": "text",
        "x": [c for c, _, _ in cells],
        "y": [r for _, r, _ in cells],
        "text": [brief(value) for _, _, value in cells],
        "textfont": {
            "size": 11,
            "color": [_on(scale.place(value) if scale else 0.0) for _, _, value in cells],
        },
        "meta": {"written": True},
        "hoverinfo": "skip",
    }


def _on(place: float) -> str:
    """Black or white, for text on the colour at a place of the scale, from 0 to 1."""
    return "#ffffff" if place < MIDDLE else "#000000"


def _crosses(grid: Grid) -> dict[str, Any]:
    """A cross in the cells that have runs, but no value; a dot where some of the runs have none."""
    none = [
        (c, r, grid.texts[r][c])
        for r in range(len(grid.rows))
        for c in range(len(grid.columns))
        if grid.texts[r][c] and (grid.values[r][c] is None)
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "not ok",
        "x": [c for c, _, _ in none],
        "y": [r for _, r, _ in none],
        "text": [shown(text) for _, _, text in none],
        "meta": {"crosses": True},
        "marker": {"symbol": END, "size": 9, "line": {"width": 2, "color": "#555"}},
        "hovertemplate": "<b>%{text}</b><extra></extra>",
    }


def _heat_layout(grid: Grid) -> dict[str, Any]:
    rows, columns = len(grid.rows), len(grid.columns)
    return {
        "height": 110 + CELL * rows,
        "hovermode": "closest",
        "showlegend": False,
        "title": {"text": shown(grid.name), "x": 0, "xref": "paper", "xanchor": "left"},
        "xaxis": _categories(grid.column_label, grid.columns) | {"range": [-0.5, columns - 0.5]},
        "yaxis": _categories(grid.row_label, grid.rows) | {"range": [-0.5, rows - 0.5]},
    }


def _categories(title: str, names: Sequence[str]) -> dict[str, Any]:
    return {
        "title": {"text": shown(title)},
        "tickvals": list(range(len(names))),
        "ticktext": [shown(name) for name in names],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


# --- parallel coordinates


def _parallel(chart: Chart) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    data = [_threads(number, series) for number, series in enumerate(chart.series)]
    last = len(chart.axes) - 1
    layout = {
        "height": HEIGHT,
        "hovermode": False,
        "showlegend": False,
        "xaxis": {
            "range": [-0.12, last + 0.12],
            "tickvals": list(range(last + 1)),
            "ticktext": [f"<b>{shown(axis.label)}</b>" for axis in chart.axes],
            "side": "top",
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "yaxis": {"range": [-0.04, 1.04], "visible": False, "fixedrange": True},
        "shapes": [_upright(place) for place in range(last + 1)],
        "annotations": [
            note for place, axis in enumerate(chart.axes) for note in _ticks(place, axis)
        ],
    }
    yield data, layout


def _threads(number: int, series: Series) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": shown(series.name),
        "x": series.x,
        "y": series.y,
        "meta": _meta(number, series),
        "opacity": 0.55,
        "line": {"color": series.look.light, "width": 1.2, "dash": DASHES[series.look.dash % 5]},
        "hoverinfo": "skip",
    }


def _upright(place: int) -> dict[str, Any]:
    return {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "line": {"width": 1}}


def _ticks(place: int, axis: Axis) -> Iterator[dict[str, Any]]:
    for position, text in axis.ticks:
        yield {
            "x": place,
            "y": position,
            "text": shown(text),
            "showarrow": False,
            "xanchor": "center",
            "font": {"size": 11},
            "borderpad": 1,
        }
