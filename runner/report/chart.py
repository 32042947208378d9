"""What each chart shows, apart from what draws it: series with their looks, labels and tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..tables import Table

CHARTS = ("losses", "parity", "steps", "scale", "sweep")
"""The charts that there may be of an experiment."""


@dataclass(frozen=True)
class Look:
    """How a series is drawn: colour tells the framework, dash and marker the variant.

    `light` and `dark` are #rrggbb colours for a light and a dark background; `dash` is a
    number into the dashes of whatever draws, `marker` one into its markers.
    """

    light: str
    dark: str
    dash: int
    marker: int


@dataclass(frozen=True)
class Series:
    """One curve, or one row of dots: `y` over `x`, with the ends of intervals where known.

    `ending` says how a curve ends where it does not end as ok: `diverged at epoch 12`.
    """

    name: str
    look: Look
    x: list[float]
    y: list[float | None]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    ending: str = ""


@dataclass(frozen=True)
class Grid:
    """A heat map: `values[row][column]`, None where there is none; `texts` are what cells say."""

    name: str
    rows: list[str]
    columns: list[str]
    values: list[list[float | None]]
    texts: list[list[str]]
    row_label: str
    column_label: str


@dataclass(frozen=True)
class Chart:
    """One chart, and the table that says the same.

    `kind` is lines; intervals (a row for each series: y[0] from low[0] to high[0], drawn along
    the axis called `x_label`); heat (the `grids`, in logarithmic shades if `log_y`); or parallel
    (a series for each implementation: its runs one after the other, each a line across the
    `axes` and a gap). `reference` is a line across at that value.
    """

    key: str
    kind: str
    title: str
    x_label: str
    y_label: str
    table: Table
    series: list[Series] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    axes: list[Axis] = field(default_factory=list)
    log_x: bool = False
    log_y: bool = False
    reference: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """One upright axis of a parallel chart: where each run lies on it, from 0 to 1, and ticks."""

    label: str
    positions: list[float | None]
    ticks: list[tuple[float, str]]
