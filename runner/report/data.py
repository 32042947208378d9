"""The charts that there may be: which an experiment has, and what makes those it lacks."""

from dataclasses import replace
from typing import Any

from ..bench.measurement import Bench
from ..errors import UserError, listed
from ..results.store import Store
from .chart import Chart
from .losses import loss_chart, parity
from .material import Material, gather
from .sweeps import sweep_chart
from .times import scale, steps

CHARTS = {
    "losses": (loss_chart, "a run that gets to a loss makes it: `twolayer run`"),
    "parity": (parity, "a run with losses, small enough for a reference beside it, makes it"),
    "steps": (steps, "`twolayer bench --name {}` makes it, and so do runs one at a time"),
    "scale": (scale, "`twolayer bench --name {} --scale H=10,100` makes it, or a sweep over H"),
    "sweep": (sweep_chart, "`twolayer sweep` over at least one setting besides the seed makes it"),
}
"""How each is drawn, and the commands that make what it shows."""


def charts(material: Material) -> dict[str, Chart]:
    """The charts that an experiment has; `parity` takes a while."""
    return {key: chart for key, (draw, _) in CHARTS.items() if (chart := draw(material))}


def chart(key: str, store: Store, bench: Bench | None, **choice: Any) -> Chart:
    """One of CHARTS of an experiment, of the runs that `gather` chooses.

    Its note says what is left out. Raises UserError if the runs lack what it needs.
    """
    material = gather(store, bench, **choice)
    draw, makes = CHARTS[key]
    if drawn := draw(material):
        notes = [drawn.note, *(f"{note}." for note in material.left_out)]
        return replace(drawn, note=" ".join(filter(None, notes)))
    others = [name for name, (draw, _) in CHARTS.items() if name != "parity" and draw(material)]
    has = f"{makes.format(material.name)}; it has {listed(others or ['no chart'])}"
    if "losses" in others and key != "parity":  # to draw it takes too long for an error
        has += ", and parity if a run is small enough for a reference"
    raise UserError(f"{material.name}: has no chart {key}; {has}")
