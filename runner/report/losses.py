"""The chart of losses over epochs: every run, or a few that stand for the rest."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import listed
from ..results import tables
from ..results.record import Record
from ..results.store import whole
from .chart import Chart, Look, Series, looks
from .material import Material

BINS = 200
"""A curve is thinned to at most four points for each of so many stretches."""


def loss_chart(material: Material) -> Chart | None:
    """Loss against epoch; None if no run has a loss."""
    chosen, note = material.selection
    curves = [(each, record) for each in chosen if (record := whole(each.run)).losses]
    if not curves:
        return None
    look = looks({each.name: each.run.framework for each in chosen})
    # where one has a coarse `log_every`, the table would show too little of its curve
    columns = [replace(r, impl=c.label, config={"log_every": "auto"}) for c, r in curves]
    series = [_curve(each.name, record, look[each.name]) for each, record in curves]
    if zeros := [each.name for each, record in curves if 0.0 in record.losses]:
        note = f"{note} A loss of exactly 0 has no logarithm and is not drawn: {listed(zeros)}."
    table = tables.losses(columns)
    return Chart("lines", "Loss", table, "epoch", "loss", series, note.strip(), log_y=True)


def _curve(name: str, record: Record, look: Look) -> Series:
    losses = np.array(record.losses, float)
    drawable = np.isfinite(losses) & (losses > 0)  # else it has no place on a logarithmic axis
    kept = _thinned(losses, drawable)
    y = [float(losses[i]) if drawable[i] else None for i in kept]
    word = record.outcome.replace("_", " ")
    ending = "" if word == "ok" else f"{word} at epoch {record.epochs_done}"
    return Series(name, look, [float(i) for i in kept], y, ending=ending)


def _thinned(values: np.ndarray, drawable: np.ndarray) -> Sequence[int]:
    """Epochs that draw the same curve: of each stretch the ends, the extremes and a gap."""
    if len(values) <= 4 * BINS:
        return range(len(values))
    kept: set[int] = set()
    for part in np.array_split(np.arange(len(values)), BINS):
        ranked = part[drawable[part]][np.argsort(values[part][drawable[part]])]
        gaps = part[~drawable[part]]
        kept.update((part[0], part[-1], *ranked[:1], *ranked[-1:], *gaps[:1]))
    return sorted(map(int, kept))
