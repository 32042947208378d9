"""What each chart shows, apart from what draws it: series with their looks, labels and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count
from types import MappingProxyType

from ..config import catalogue
from ..results.rows import grouped
from ..tables import Table

Shades = tuple[tuple[str, str], ...]

HUES: dict[str, Shades] = {
    "numpy": (("#00457c", "#9ad2fb"), ("#2a72b5", "#4f9fd6")),
    "torch": (("#c25400", "#ff8f3f"), ("#7a3500", "#ffc79c")),
    "tensorflow": (("#1b8354", "#2bb183"), ("#00472c", "#a5ecd0")),
    "jax": (("#b83f96", "#d66fbb"), ("#6d1f58", "#f6c6e6")),
    "python": (("#3a3f44", "#e4e2dc"), ("#6b7178", "#9aa2aa")),
}
"""Shades of each framework, for a light and a dark background.

Hues near Okabe and Ito's, with lightness to tell them apart where an eye sees no hue. Each
stands out from its background as text has to, at least 4.5 to 1.
"""

OTHERS: tuple[Shades, ...] = (
    (("#806200", "#e9c33a"), ("#4a3900", "#f5e3a1")),
    (("#6a51c8", "#b3a2ff"), ("#3b2c80", "#dcd4ff")),
)  # of other frameworks, in the order in which they come

SOLID = (1.0, 0.0)
DASHES = (SOLID, (5, 1.5), (4, 1.2, 1, 1.2), (1.2, 1.2), (7, 1.2, 1, 1.2, 1, 1.2))  # in line widths
MARKERS = (
    "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "M-.9,-.9H.9V.9H-.9Z",
    "M0,-1.25L1.25,0L0,1.25L-1.25,0Z",
    "M0,-1.1L1.15,.9H-1.15Z",
    "M-.4,-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
    "M0,1.1L1.15,-.9H-1.15Z",
    "M-1.1,0L.9,-1.15V1.15Z",
    "M1.1,0L-.9,-1.15V1.15Z",
)  # SVG paths around 0,0
LOOKS = len(DASHES) * len(MARKERS)


@dataclass(frozen=True)
class Look:
    """How a series is drawn: the colour tells the framework, dash and marker the variant."""

    light: str  # #rrggbb, for a light background
    dark: str
    dash: tuple[float, ...]  # one of DASHES
    marker: str  # one of MARKERS


PLAIN = Look("#5a636d", "#9ba5b0", SOLID, MARKERS[0])  # of what is no implementation


def looks(
    frameworks: Mapping[str, str], impls: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Look]:
    """A look for each series, given by name with its framework; 40 of a framework all differ.

    A built-in implementation looks the same in every chart; other names take the places
    that are left in their framework. Where several series are of one implementation, as `impls`
    says, the first looks like that, and the others have its shade and, if they can, its marker.
    """
    built_in = [each for each in catalogue.installed() if each.origin == "built in"]
    variants = grouped(built_in, lambda each: each.framework).values()
    known = {each.name: i for own in variants for i, each in enumerate(own)}
    own = {name: impls.get(name, name) for name in frameworks}
    taken = {(frameworks[name], known[impl]) for name, impl in own.items() if impl in known}
    unknown = [name for name in dict.fromkeys(frameworks.values()) if name not in HUES]
    first: dict[str, int] = {}
    drawn = {}
    for name, framework in frameworks.items():
        shades = HUES.get(framework) or OTHERS[unknown.index(framework) % len(OTHERS)]
        free = (i for i in count() if (framework, i) not in taken)
        if own[name] not in first:
            place = first[own[name]] = known[own[name]] if own[name] in known else next(free)
        else:
            steps = (len(MARKERS), len(shades), 1)
            like = (range(first[own[name]], LOOKS, step) for step in steps)
            place = next((i for i in chain(*like) if (framework, i) not in taken), next(free))
        taken.add((framework, place))
        dash, marker = DASHES[place % len(DASHES)], MARKERS[place % len(MARKERS)]
        drawn[name] = Look(*shades[place % len(shades)], dash, marker)
    return drawn


@dataclass(frozen=True)
class Series:
    """One curve, or one row of dots: `y` over `x`, with the ends of intervals where known.

    `ending` says how a curve ends where it does not end as ok: `diverged at epoch 12`. Its end is
    `crossed` out, unless the point there is not what `ending` is about.
    """

    name: str
    look: Look
    x: list[float]
    y: list[float | None]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    ending: str = ""
    crossed: bool = True

    @cached_property
    def points(self) -> list[tuple[float, float]]:
        """Where it is known."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if y is not None]

    @cached_property
    def bars(self) -> dict[float, tuple[float, float]]:
        """The ends of the intervals at its points, by x."""
        ends = zip(self.x, self.y, self.low, self.high, strict=False)
        return {x: (low, high) for x, y, low, high in ends if y is not None}


@dataclass(frozen=True)
class Grid:
    """A heat map: of each cell its row, its column, its value if it has one, and what it says."""

    name: str
    rows: list[str]
    columns: list[str]
    cells: list[tuple[str, str, float | None, str]]


@dataclass(frozen=True)
class Axis:
    """One upright axis of a parallel chart, and its ticks, from 0 to 1."""

    label: str
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class Chart:
    """One chart, and the table that says the same.

    `kind` is lines; intervals (a row for each series: y[0] from low[0] to high[0], drawn along
    the axis called `x_label`); heat (the `grids`, in logarithmic shades if `log_y`); or parallel
    (a series of the runs that are ok, and one of the others: one after the other, each a line
    across the `axes`, the last that of the final loss, and a gap). `reference` is a line across.
    """

    kind: str
    title: str
    table: Table
    x_label: str = ""
    y_label: str = ""
    series: list[Series] = field(default_factory=list)
    note: str = ""
    log_x: bool = False
    log_y: bool = False
    reference: float | None = None
    grids: list[Grid] = field(default_factory=list)
    axes: list[Axis] = field(default_factory=list)
