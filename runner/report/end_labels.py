"""Names at the ends of curves, each with a sample of its line, none on top of another."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from . import drawing
from .chart import Series
from .scales import Scale, drawable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import AnnotationBbox, OffsetBox

CROSS: dict[str, Any] = {"marker": "x", "markeredgewidth": 1.4, "linestyle": "none"}
"""How the end of a curve that did not end as ok is marked."""


NARROW = 22
"""How many characters wide an ending may be, and a name that can be broken: `sgd lr=1e-05 N=8`."""

SHRUNK = (1.0, 0.85, 0.7, 0.6)
"""How much smaller than other text labels may be."""

ALMOST = 0.98
"""From here on a curve counts as reaching the right edge."""


def text(series: Series) -> str:
    """What a curve is called, and how it ended if not as ok."""
    name = textwrap.wrap(series.name, NARROW, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*map(drawing.words, name), *textwrap.wrap(series.ending, NARROW)])


def leaving(points: Sequence[tuple[float, float]], top: float, log_y: bool) -> tuple[float, float]:
    """Where a curve goes out at the top; its end if it doesn't."""
    bend = math.log10 if log_y else float
    for (x, y), (next_x, next_y) in pairwise(points):
        if y <= top < next_y:
            part = (bend(top) - bend(y)) / (bend(next_y) - bend(y))
            return x + part * (next_x - x), top
    return points[-1]


def add(figure: Figure, axes: Axes, curves: Sequence[Series], *, log_y: bool) -> None:
    """Label curves right of the axes, in the order and, room allowing, at the height they end.

    In smaller type if they are many. Raises UserError if that does not make room for them.
    """
    from matplotlib import rc_context

    size = _type_size()
    for shrunk in SHRUNK:
        with rc_context({"font.size": size * shrunk}):
            if _placed(figure, axes, curves, log_y=log_y):
                return
    raise UserError(
        f"the figure is too low for {len(curves)} labels; give a larger --size or --height"
    )


def _placed(figure: Figure, axes: Axes, curves: Sequence[Series], *, log_y: bool) -> bool:
    """Put up the labels; take them down again, and say so, if they don't fit."""
    figure.draw_without_rendering()
    up = Scale(*axes.get_ylim(), log=log_y)
    across = Scale(*axes.get_xlim(), log=axes.get_xscale() == "log")
    ends = [_end(series, across, up) for series in curves]
    labels = [
        _label(axes, series, height, reaches=place > ALMOST)
        for series, (place, height) in zip(curves, ends, strict=True)
    ]
    figure.draw_without_rendering()  # lays them out, so that there are heights to spread
    box = axes.get_window_extent()
    heights = [1.1 * label.offsetbox.get_window_extent().height / box.height for label in labels]
    if sum(heights) > 1:
        for label in labels:
            label.remove()
        return False
    gap = 1 + _type_size() * figure.dpi / 72 / box.width
    for label, place in zip(labels, spread([height for _, height in ends], heights), strict=True):
        label.xybox = (gap, place)
    return True


def _end(series: Series, across: Scale, up: Scale) -> tuple[float, float]:
    """Where a curve ends in the axes, from 0 to 1; one without a point, at the top left."""
    points = drawable(series, up.log)
    if not points:
        return 0.0, 1.0
    x, y = points[-1]
    return across.place(x), min(max(up.place(y), 0.0), 1.0)


def _type_size() -> float:
    """In points."""
    from matplotlib import rcParams

    return float(rcParams["font.size"])


def _label(axes: Axes, series: Series, end: float, *, reaches: bool) -> AnnotationBbox:
    """The label of a curve, joined to its end if that `reaches` the edge."""
    from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea

    parts: list[Artist] = [_sample(series), TextArea(text(series), textprops={"linespacing": 1})]
    label = AnnotationBbox(
        HPacker(children=parts, align="center", pad=0, sep=_type_size() / 4),
        (1, end),
        (1.05, end),
        xycoords="axes fraction",
        boxcoords="axes fraction",
        box_alignment=(0, 0.5),
        frameon=False,
        pad=0,
        arrowprops=_joined(series) if reaches else None,
        annotation_clip=False,
    )
    axes.add_artist(label)
    return label


def _joined(series: Series) -> dict[str, Any]:
    ends = {"relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 0}
    return {"arrowstyle": "-", "color": series.look.light, "linewidth": _type_size() / 16, **ends}


def _sample(series: Series) -> OffsetBox:
    """A piece of the line with its marker, and the cross if it has one."""
    from matplotlib.lines import Line2D
    from matplotlib.offsetbox import DrawingArea

    size = _type_size()
    look, middle = drawing.line(series.look), [size / 2]
    area = DrawingArea(2.6 * size if series.ending else 2.2 * size, size)
    area.add_artist(Line2D([0, 2.2 * size], middle * 2, **look))
    area.add_artist(Line2D([1.1 * size], middle, **look | drawing.MARKED))
    if series.ending:
        area.add_artist(Line2D([2.2 * size], middle, color=series.look.light, **CROSS))
    return area


def spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Middles of labels from 0 to 1, as near to those wanted as can be without overlaps.

    Neighbours that would overlap form a block, whose middle is where theirs would be on average.
    The heights must not add up to more than 1.
    """
    blocks: list[Block] = []
    for label in sorted(range(len(wanted)), key=lambda each: (wanted[each], -each)):
        block = Block([label], wanted[label], heights[label])
        while blocks and blocks[-1].top > block.bottom:
            block = blocks.pop().with_above(block)
        blocks.append(block)
    places = [0.0] * len(wanted)
    for block in blocks:
        bottom = block.bottom
        for label in block.labels:
            places[label] = bottom + heights[label] / 2
            bottom += heights[label]
    return places


@dataclass(frozen=True)
class Block:
    """Labels that touch, from the lowest to the highest, around a `middle`, inside of 0 to 1."""

    labels: list[int]
    middle: float
    height: float

    @property
    def bottom(self) -> float:
        return min(max(self.middle - self.height / 2, 0.0), 1.0 - self.height)

    @property
    def top(self) -> float:
        return self.bottom + self.height

    def with_above(self, above: Block) -> Block:
        labels = self.labels + above.labels
        weighted = len(self.labels) * self.middle + len(above.labels) * above.middle
        return Block(labels, weighted / len(labels), self.height + above.height)
