"""From stored results to charts: which an experiment has, and what makes those it lacks."""

from __future__ import annotations

from collections.abc import Callable

from ..bench.measurement import Bench
from ..errors import UserError, listed, nearest
from ..results.store import Store
from .chart import CHARTS, Chart
from .losses import losses
from .material import Material, gather
from .parity import parity
from .sweeps import sweep
from .times import scale, steps

Builder = Callable[[Material], Chart | None]

BUILDERS: dict[str, Builder] = {
    "losses": losses,
    "parity": parity,
    "steps": steps,
    "scale": scale,
    "sweep": sweep,
}

MAKERS = {
    "losses": "a run that gets to a loss makes it: `twolayer run`",
    "parity": "a run with losses, small enough for a reference beside it, makes it",
    "steps": "`twolayer bench --name {name}` makes it, and so do runs one at a time",
    "scale": "`twolayer bench --name {name} --scale H=10,100` makes it, and so does a sweep over H",
    "sweep": "`twolayer sweep` over at least one setting besides the seed makes it",
}
"""What makes a chart that an experiment lacks."""


def charts(store: Store, bench: Bench | None) -> list[Chart]:
    """Every chart that an experiment has, in the order of CHARTS."""
    material = gather(store, bench)
    return [made for key in CHARTS if (made := BUILDERS[key](material))]


def others(material: Material) -> list[Chart]:
    """The same without parity, which takes a while."""
    made = (BUILDERS[key](material) for key in CHARTS if key != "parity")
    return [each for each in made if each]


def chart(key: str, store: Store, bench: Bench | None) -> Chart:
    """One chart of an experiment.

    Raises UserError if there is no such chart, or if the experiment lacks what it needs.
    """
    if key not in CHARTS:
        raise UserError(
            f"{key}: is not a chart{nearest(key, CHARTS) or f'; there are {listed(CHARTS)}'}"
        )
    material = gather(store, bench)
    made = BUILDERS[key](material)
    if made is None:
        makes = MAKERS[key].format(name=material.name)
        has = listed([each.key for each in others(material)] or ["no chart"])
        raise UserError(f"{material.name}: has no chart {key}; {makes}; it has {has}")
    return made
