"""From stored results to charts: which an experiment has, and how to make those it lacks."""

from __future__ import annotations

from ..bench.measurement import Bench
from ..errors import UserError, listed, nearest
from ..results.store import Store
from .chart import Chart
from .losses import loss_chart
from .material import Material, gather
from .parity import parity
from .sweeps import sweep_chart
from .times import scale, steps

CHARTS = {
    "losses": (loss_chart, "a run that gets to a loss makes it: `twolayer run`"),
    "parity": (parity, "a run with losses, small enough for a reference beside it, makes it"),
    "steps": (steps, "`twolayer bench --name {name}` makes it, and so do runs one at a time"),
    "scale": (
        scale,
        "`twolayer bench --name {name} --scale H=10,100` makes it, and so does a sweep over H",
    ),
    "sweep": (sweep_chart, "`twolayer sweep` over at least one setting besides the seed makes it"),
}
"""The charts that there may be, and the commands that make what they show."""


def charts(material: Material, *, without: str = "") -> list[Chart]:
    """The charts that an experiment has; `parity` takes a while."""
    found = (draw(material) for key, (draw, _) in CHARTS.items() if key != without)
    return [chart for chart in found if chart]


def chart(key: str, store: Store, bench: Bench | None) -> Chart:
    """One chart of an experiment.

    Raises UserError if there is no such chart, or if the experiment lacks what it needs.
    """
    if key not in CHARTS:
        raise UserError(
            f"{key}: is not a chart{nearest(key, CHARTS) or f'; there are {listed(CHARTS)}'}"
        )
    material = gather(store, bench)
    draw, made_by = CHARTS[key]
    if found := draw(material):
        return found
    others = [each.key for each in charts(material, without="parity")]
    has = listed(others or ["no chart"])
    made_by = made_by.format(name=material.name)
    raise UserError(f"{material.name}: has no chart {key}; {made_by}; it has {has}")
