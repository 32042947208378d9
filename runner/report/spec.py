"""Charts as Vega-Lite: one description of each, for the page and for figures.

Colours are those for a light background; the page replaces them by their pairs for a dark one.
In every row of data, `series` is the number of its series, by which the page hides curves.
"""

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import UserError
from .chart import SOLID, Axis, Chart, Grid, Series
from .scales import Scale, around, axes, brief

INK, MUTED, RULE, BAND, PAPER = "#1a1d21", "#5a636d", "#e3e6ea", "#f5f6f8", "#ffffff"
BEST, MIDDLE, WORST = "#00457c", "#8a5a9c", "#c25400"  # the colours of runs by final loss
DARK = {INK: "#e7eaee", MUTED: "#9ba5b0", RULE: "#2c323a", BAND: "#1c2127", PAPER: "#14171b"}
DARK |= {BEST: "#9ad2fb", MIDDLE: "#c9a0d8", WORST: "#ff8f3f"}
"""What colours become on a dark background, those of series apart."""

CROSS = "M-1,-1L1,1M-1,1L1,-1"  # the end of a curve that is not ok, and a cell without a value
FEW, MARKS = 12, 6  # up to FEW points of a curve all have markers; of more, about MARKS have
POINTED = 120  # at most so many points of a curve show their values when pointed at
NARROW = 22  # the most characters in a line of a label that can be broken
SHRUNK = 0.6  # the smallest labels of curves over the size of the type
SIZES = 8  # the most sizes of a problem that are ticks themselves
BRIGHT = 0.42  # from here on in cividis, black stands out more than white

TOO_SMALL = (
    "the figure is too small for its labels; give a larger --size, --width or --height, --legend "
    "to put names below the curves, or choose fewer runs by --impl or --where"
)

NUMBER = (
    "replace(datum.value && abs(log(abs(datum.value)) / LN10) > 3.99"
    " ? format(datum.value, '~e') : format(datum.value, '~r'), '+', '')"
)  # what ticks say: `0.01`, `1e-5`

AS_IS = {"type": "quantitative", "scale": None}
CHANNELS = ("color", "strokeDash", "shape")
AT = {"value": {"expr": "height * datum.at"}}

Spec = dict[str, Any]
Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Frame:
    """The size of a plot without its labels, and of its type, in pixels.

    On the page, the width is that of the window.
    """

    width: float
    height: float
    type_size: float
    page: bool = False
    legend: bool = False  # the names of curves are below the plot, not at their ends

    def if_narrow(self, width: float, narrow: Any, wide: Any) -> Any:
        if self.page:
            return {"expr": f"width < {width} ? {json.dumps(narrow)} : {json.dumps(wide)}"}
        return narrow if self.width < width else wide

    def limit(self, option: str, share: float) -> Spec:
        """On the page, the most that names take of its width."""
        return {option: {"expr": f"{share} * windowSize()[0]"}} if self.page else {}


def views(chart: Chart, frame: Frame) -> list[Spec]:
    """The parts of a chart: one, or one for each grid of a heat map."""
    if chart.kind == "heat":
        parts = [(grid.name, _grid(chart, grid, frame)) for grid in chart.grids]
    else:
        draw = {"lines": _curves, "intervals": _intervals, "parallel": _threads}[chart.kind]
        parts = [("", draw(chart, frame))]
    size = {"width": frame.width, "height": frame.height}
    return [size | {"title": title or None, "layer": [*layers]} for title, layers in parts]


def standalone(view: Spec, frame: Frame) -> Spec:
    """A view that can be rendered, with its style."""
    size = frame.type_size
    title = {"titleColor": INK, "titleFontSize": size, "titleFontWeight": "normal", "titleLimit": 0}
    text = {"labelColor": INK, "labelFontSize": 0.9 * size, "labelLimit": 0, **title}
    axis = {"domainColor": MUTED, "gridColor": RULE, "tickColor": MUTED, "tickSize": size / 2.5}
    axis |= {f"{part}Width": size / 14 for part in ("domain", "grid", "tick")}
    axis |= {"labelOverlap": "greedy", "labelFlush": False, "titlePadding": size / 2}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": PAPER,
        "padding": size / 2,
        "params": [{"name": "hidden", "value": []}],
        **view,
        "config": {
            "aria": False,
            "font": "system-ui, sans-serif" if frame.page else "Liberation Sans, Arial, sans-serif",
            "view": {"stroke": None},
            "axis": text | axis,
            "legend": text,
            "title": {"fontSize": size, "fontWeight": "normal", "color": INK, "anchor": "start"},
            "mark": {"color": INK},
            "text": {"fontSize": size, "color": INK},
            "point": {"filled": True, "opacity": 1},
        },
    }


# --- what charts are put together from


def _data(names: str, points: Iterable[Sequence[object]], series: int = -1) -> Rows:
    """Data with these fields; what belongs to no series, -1, is never hidden."""
    fields = ["series", *names.split()]
    return [dict(zip(fields, (series, *point), strict=True)) for point in points]


def _layer(mark: str, rows: Rows, encoding: Spec, where: str = "true", **style: Any) -> Spec:
    return {
        "data": {"values": rows},
        "transform": [{"filter": f"indexof(hidden, datum.series) < 0 && {where}"}],
        "mark": {"type": mark, **style},
        "encoding": encoding,
    }


def _crosses(rows: Rows, encoding: Spec, size: float, where: str = "true", **style: Any) -> Spec:
    style |= {"shape": CROSS, "size": size**2 / 2.2, "strokeWidth": size / 6, "filled": False}
    return _layer("point", rows, encoding, where, **style)


def _looks(series: Sequence[Series], size: float, *channels: str, legend: Any = None) -> Spec:
    """How each series looks in these channels of an encoding."""
    looks = [each.look for each in series]
    ranges: dict[str, list[Any]] = {
        "color": [look.light for look in looks],
        "strokeDash": [[size / 7 * part for part in look.dash] for look in looks],
        "shape": [look.marker for look in looks],
    }
    field = {"field": "series", "type": "nominal", "legend": legend}
    scale = {"domain": list(range(len(series)))}
    return {name: field | {"scale": scale | {"range": ranges[name]}} for name in channels}


def _scale(scale: Scale) -> Spec:
    kind: Spec = {"type": "log"} if scale.log else {"type": "linear", "zero": False}
    return kind | {"domain": [scale.low, scale.high], "nice": False}


def _quantity(
    field: str, scale: Scale, title: str = "", ticks: Sequence[float] = (), **axis: Any
) -> Spec:
    """A field along a scale; with a title, an axis that says so, at these ticks or round ones."""
    about = {"title": title, "values": list(ticks or scale.ticks(8)), "labelExpr": NUMBER, **axis}
    place = {"field": field, "type": "quantitative", "scale": _scale(scale)}
    return place | {"axis": about if title else None}


def _tooltip(**titles: str) -> Spec:
    """What pointing shows: fields by what they are called; `title` is the heading."""
    shown = [{"field": f, "type": "nominal", "title": title} for f, title in titles.items()]
    return {"tooltip": shown}


# --- curves


def _curve_scales(chart: Chart) -> tuple[Scale, Scale]:
    # a little more than the curves, but not where some leave over the top; sizes have a marker
    # each, which needs room; of epochs, 999 needs it for a tick at 1000
    leaves = any("diverged" in each.ending for each in chart.series)
    x, y = axes(chart.series, chart.log_x, chart.log_y)
    x, y = x.beyond(0.015 if chart.log_x else 0, 0.005), y.beyond(0.04, 0 if leaves else 0.04)
    if (at := chart.reference) is not None:
        y = Scale(min(y.low, 0.8 * at), max(y.high, 1.25 * at), y.log)
    return x, y


def _curves(chart: Chart, frame: Frame) -> Iterator[Spec]:
    size, series = frame.type_size, chart.series
    x_scale, y_scale = _curve_scales(chart)
    sizes = sorted({x for each in series for x in each.x}) if chart.log_x else []
    few = len(sizes) <= SIZES and all(value.is_integer() for value in sizes)
    above: Spec = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom"}
    above |= {"titleX": -2 * size, "titleY": -0.8 * size}
    x = {"x": _quantity("x", x_scale, chart.x_label, sizes if few else ())}
    y = {"y": _quantity("y", y_scale, chart.y_label, **above)}
    if chart.reference is not None:
        band = _data("y low", [(chart.reference, y_scale.low)])
        yield _layer("rect", band, y | {"y2": {"field": "low"}}, color=BAND)
        yield _layer("rule", band, y, color=MUTED)
    # dashes on top, so that what they lie on shows in their gaps, and thin ones, so that of what
    # they lie on the edges are seen
    order = [i for i, each in enumerate(series) if each.points]
    order.sort(key=lambda i: series[i].look.dash != SOLID)
    points, ends = [], []
    for place, i in enumerate(order):
        alike = [j for j in order if series[j].look.dash == series[i].look.dash]
        width = (0.9 + 0.5 * min(3, len(alike) - 1 - alike.index(i))) * size / 10
        rows = _points(series[i], i, y_scale.high, place / len(order), size)
        points += [row | {"width": width} for row in rows]
        ends += _data("x y", _crossed_end(series[i], y_scale), i)
    colour, dash, shape = (_looks(series, size, channel) for channel in CHANNELS)
    at = x | y | colour
    wide = {"strokeWidth": AS_IS | {"field": "width"}}
    yield _layer("line", points, at | dash | wide, clip=True)
    bars = at | {"y": y["y"] | {"field": "low"}, "y2": {"field": "high"}}
    yield _layer("rule", points, bars, "isValid(datum.low)", strokeWidth=size / 8)
    marked: Spec = {"stroke": PAPER, "strokeWidth": size / 28}
    sized = at | shape | {"size": AS_IS | {"field": "size"}}
    yield _layer("point", points, sized, "isValid(datum.size)", **marked)
    yield _crosses(ends, at, size)
    if frame.page:
        pointed = x | y | _tooltip(name="title", x=chart.x_label, text=chart.y_label)
        yield _layer("point", points, pointed, "datum.text", size=14 * size, opacity=0)
    yield from _end_labels(chart, x_scale, y_scale, x | y, frame)


def _points(each: Series, number: int, top: float, phase: float, size: float) -> Rows:
    """A curve's points. Those with a size have a marker, those with a text can be pointed at.

    Markers are at every point, smaller from curve to curve, if they are few; else staggered.
    """
    seen = [x for x, y in each.points if y <= top]
    area = size**2 / 4.5
    if len(seen) <= FEW:
        sizes = dict.fromkeys(seen, area * (1 - 0.6 * phase))
    else:
        sizes = {seen[int((i + phase) * len(seen) / MARKS)]: area for i in range(MARKS)}
    heights, none = dict(each.points), (None, None)
    texts = {x: f"{heights[x]:.5g}" for x in seen[:: len(each.x) // POINTED + 1]}
    name = f"{each.name}: {each.ending}" if each.ending else each.name
    rows = [
        (name, x, heights.get(x), *each.bars.get(x, none), sizes.get(x), texts.get(x))
        for x in each.x
    ]
    return _data("name x y low high size text", rows, number)


def _crossed_end(each: Series, scale: Scale) -> list[tuple[float, float]]:
    """Of a curve that is not ok, where it goes out at the top; its end if it doesn't."""
    if not (each.ending and each.crossed):
        return []
    for (x, y), (next_x, next_y) in pairwise(each.points):
        if y <= scale.high < next_y:
            part = (1 - scale.place(y)) / (scale.place(next_y) - scale.place(y))
            return [(x + part * (next_x - x), scale.high)]
    return each.points[-1:]


# --- names at the ends of curves


def _end_labels(
    chart: Chart, x_scale: Scale, y_scale: Scale, place: Spec, frame: Frame
) -> Iterator[Spec]:
    """Names right of the plot, each joined to the end of its curve if that is at the edge.

    In figures, which have no keys, also how it ended and a sample of its line. A curve without
    a point has its name at the top. In a legend, they are below. Raises UserError where there is
    no room.
    """
    if frame.legend:
        yield from _titles(chart, _below(chart, frame), frame, frame.type_size, "datum.left")
        return
    wrap = textwrap.TextWrapper(NARROW, break_long_words=False, break_on_hyphens=False).wrap
    texts = [wrap(s.name) + wrap("" if frame.page else s.ending) for s in chart.series]
    ems = [1.15 * len(text) + 0.1 for text in texts]
    size = min(frame.type_size, frame.height / sum(ems))
    if size < SHRUNK * frame.type_size:
        raise UserError(TOO_SMALL)
    points = [(s.points or [(x_scale.low, y_scale.high)])[-1] for s in chart.series]
    ends = [min(max(y_scale.place(y), 0.0), 1.0) for _, y in points]
    middles = place_labels(ends, [size * each / frame.height for each in ems])
    labels: Rows = []
    for i, (x, _) in enumerate(points):
        row = x, y_scale.value(ends[i]), 1 - middles[i], texts[i], x_scale.place(x) > 0.98
        labels += _data("x y at text joined", [row], i)
    join = place | _looks(chart.series, size, "color") | {"y2": AT}
    join |= {"x2": {"value": {"expr": f"width + {size}"}}}
    yield _layer("rule", labels, join, "datum.joined", strokeWidth=size / 16)
    yield from _titles(chart, labels, frame, size, "width")


def legend_shape(chart: Chart, width: float, size: float) -> tuple[int, int]:
    """How many columns and rows of names fit below a plot."""
    longest = max(len(f"{each.name} {each.ending}") for each in chart.series)
    columns = min(len(chart.series), max(1, int(width / size / (0.5 * longest + 5))))
    return columns, -(-len(chart.series) // columns)


def _below(chart: Chart, frame: Frame) -> Rows:
    """Where each name is below the plot, in columns."""
    size = frame.type_size
    columns, rows = legend_shape(chart, frame.width, size)
    labels: Rows = []
    for i, each in enumerate(chart.series):
        left, down = frame.width / columns * (i // rows) - 3 * size, (4.5 + 1.3 * (i % rows)) * size
        text = [" ".join(filter(None, (each.name, each.ending)))]
        labels += _data("left at text", [(left, 1 + down / frame.height, text)], i)
    return labels


def _titles(chart: Chart, labels: Rows, frame: Frame, size: float, left: str) -> Iterator[Spec]:
    """Names that begin at `left`, an expression in pixels; in figures with samples of lines."""

    def right(place: float, to: str = "x") -> Spec:
        return {to: {"value": {"expr": f"{left} + {size * place}"}}}

    colour, dash, shape = (_looks(chart.series, size, channel) for channel in CHANNELS)
    row_of = colour | {"y": AT}
    if not frame.page:
        sample = row_of | dash | right(1) | right(3.2, "x2")
        yield _layer("rule", labels, sample, strokeWidth=size / 7)
        yield _layer("point", labels, row_of | shape | right(2.1), size=size**2 / 4.5)
        crossed = {i for i, each in enumerate(chart.series) if each.ending and each.crossed}
        ended = [row for row in labels if row["series"] in crossed]
        yield _crosses(ended, row_of | right(3.2), size)
    text = row_of | right(1.3 if frame.page else 3.8) | {"text": {"field": "text"}}
    height = 1.15 * size
    style: Spec = {"align": "left", "baseline": "middle", "fontSize": size, "lineHeight": height}
    style |= {"dy": {"expr": f"(1 - length(datum.text)) * {height / 2}"}}
    yield _layer("text", labels, text, **style, **frame.limit("limit", 0.4))


def place_labels(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Middles of labels from 0 to 1, as near to those wanted as can be without overlaps.

    This is isotonic regression, of where each would be without the heights of those below it.
    The heights must not add up to more than 1.
    """
    count = len(wanted)
    order = sorted(range(count), key=lambda label: (wanted[label], -label))
    above = np.array(heights)[order]
    middles = np.cumsum(above) - above / 2
    free = np.array(wanted)[order] - middles
    levels = [
        max(min(free[i:k].mean() for k in range(j + 1, count + 1)) for i in range(j + 1))
        for j in range(count)
    ]
    places = np.clip(levels, 0, max(0, 1 - sum(heights))) + middles
    return [float(places[order.index(label)]) for label in range(count)]


# --- intervals


def _intervals(chart: Chart, frame: Frame) -> Iterator[Spec]:
    """A row for each series: a marker, and a line to both ends of its interval."""
    size, series = frame.type_size, chart.series
    ends = [value for each in series for value in (*each.low, *each.y, *each.high)]
    scale = around([*ends, chart.reference], chart.log_x).beyond(0.05, 0.05)
    low, middle = ({"x": _quantity(field, scale, chart.x_label)} for field in ("low", "x"))
    if chart.reference is not None:
        yield _layer("rule", _data("x", [(chart.reference,)]), middle, color=MUTED)
    rows: Rows = []
    for number, each in enumerate(series):
        row = each.name, each.y[0], each.low[0], each.high[0]
        text = "{:.4g} ({:.4g} to {:.4g})".format(*row[1:])
        rows += _data("name x low high text", [(*row, text)], number)
    names = {"title": None, "ticks": False, "domain": False} | frame.limit("labelLimit", 0.55)
    place = {"y": {"field": "name", "type": "nominal", "sort": None, "axis": names}}
    place |= _tooltip(name="title", text="value")
    line = place | low | {"x2": {"field": "high"}} | _looks(series, size, "color")
    yield _layer("rule", rows, line, strokeWidth=size / 6)
    marker = place | middle | _looks(series, size, "color", "shape")
    yield _layer("point", rows, marker, size=size**2 / 2.5)


# --- heat maps


def _grid(chart: Chart, grid: Grid, frame: Frame) -> Iterator[Spec]:
    """Cells with their values where these have room; a cross where no run came to a value."""
    values = [v for each in chart.grids for _, _, v, _ in each.cells if v is not None]
    scale = around(values, chart.log_y)
    cells, lost = [], []
    for row, column, value, text in grid.cells:
        if value is None:
            lost.append((row, column, text))
        else:
            cells.append((row, column, text, value, brief(value), scale.place(value) < BRIGHT))
    size, character = frame.type_size, 0.6 * frame.type_size * len(grid.columns)
    turned = {"Angle": (-90, 0), "Align": ("right", "center"), "Baseline": ("middle", "top")}
    widest = character * max(map(len, grid.columns))
    names = {f"label{key}": frame.if_narrow(widest, *pair) for key, pair in turned.items()}
    place = _category("x", "column", grid.columns, chart.x_label, **names)
    place |= _category("y", "row", grid.rows, chart.y_label)
    place |= _tooltip(row=chart.y_label, column=chart.x_label, text="final loss")
    legend: Spec = {"title": "final loss", "labelExpr": NUMBER, "values": scale.ticks(5)}
    legend |= {"orient": "top" if frame.page else "right"}
    shade = {"field": "value", "type": "quantitative", "legend": legend}
    shade |= {"scale": _scale(scale) | {"scheme": "cividis"}}
    rows = _data("row column text value brief dark", cells)
    yield _layer("rect", rows, place | {"color": shade}, stroke=PAPER, strokeWidth=size / 8)
    yield _crosses(_data("row column text", lost), place, size, color=MUTED)
    ink = {"condition": {"test": "datum.dark", "value": "white"}, "value": "black"}
    written = place | {"text": {"field": "brief"}, "color": ink}
    fits = frame.if_narrow(character * max((len(brief(v)) for v in values), default=0), 0, 1)
    yield _layer("text", rows, written, fontSize=0.9 * size, opacity=fits)


def _category(channel: str, field: str, names: Sequence[str], title: str, **axis: Any) -> Spec:
    axis |= {"title": title, "ticks": False, "domain": False, "labelOverlap": False}
    return {channel: {"field": field, "type": "nominal", "scale": {"domain": names}, "axis": axis}}


# --- parallel axes


def _threads(chart: Chart, frame: Frame) -> Iterator[Spec]:
    """A line for each run, from axis to axis, coloured by its place on the last one."""
    size, step = frame.type_size, len(chart.axes) + 1
    x = {"x": _quantity("x", Scale(0, len(chart.axes) - 1))}
    y = {"y": _quantity("y", Scale(-0.02, 1.02))}
    lost, finite = chart.series
    for number, each in enumerate((lost, finite)):
        rows: Rows = []
        for first in range(0, len(each.x), step):
            heights = [y for y in each.y[first : first + step - 1] if y is not None]
            points = [(first, place, height, heights[-1]) for place, height in enumerate(heights)]
            rows += _data("run x y final", points, number)
        domain = around(each.y[step - 2 :: step], log=False)
        scale = {"domain": [domain.low, domain.high], "range": [BEST, MIDDLE, WORST]}
        shade = {"field": "final", "type": "quantitative", "legend": None, "scale": scale}
        colour = {"color": shade if each is finite else {"value": MUTED}}
        dash = [] if each is finite else [size / 4, size / 4]
        at = x | y | {"detail": {"field": "run"}} | colour
        yield _layer("line", rows, at, strokeWidth=size / 8, strokeOpacity=0.8, strokeDash=dash)
    axes = list(enumerate(chart.axes))
    uprights = _data("x y top text", [(place, 0, 1, axis.label) for place, axis in axes])
    ticks = _data("x y text", [(i, *tick) for i, axis in axes for tick in _apart(axis, frame)])
    text = x | {"text": {"field": "text"}}
    yield _layer("rule", uprights, x | y | {"y2": {"field": "top"}}, color=INK)
    yield _layer("text", uprights, text | {"y": {"value": -size / 2}}, baseline="bottom")
    beside: Spec = {"align": "right", "dx": -size / 3, "fontSize": 0.9 * size}
    halo: Spec = {"stroke": PAPER, "strokeWidth": size / 2, "strokeJoin": "round"}
    yield _layer("text", ticks, text | y, **beside, **halo, strokeOpacity=0.85)
    yield _layer("text", ticks, text | y, **beside)


def _apart(axis: Axis, frame: Frame) -> list[tuple[float, str]]:
    """The ticks of an upright axis that have room, from both its ends inwards."""
    kept: list[tuple[float, str]] = []
    for tick in sorted(axis.ticks, key=lambda tick: -abs(tick[0] - 0.5)):
        if all(abs(tick[0] - other) * frame.height > frame.type_size for other, _ in kept):
            kept.append(tick)
    return kept
