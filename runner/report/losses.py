"""The chart of losses over epochs: every run, or a few that stand for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import listed
from ..output import printable
from ..results import tables as record_tables
from ..results.record import Record
from ..results.store import whole
from .chart import Chart, Look, Series, looks
from .material import Material

MOST_CURVES = 12
"""More can't be told apart."""

FEWEST_ROWS = 5
"""A table of losses with fewer rows than this says too little of a curve."""

BINS = 200
"""A curve is thinned to at most four points for each of so many stretches."""

WORDS = (("best",), ("best", "worst"), ("best", "middle", "worst"))
"""What is shown of an implementation with many runs, where there is room for 1, 2 or 3."""


def loss_chart(material: Material) -> Chart | None:
    """Loss against epoch; None if no run has a loss."""
    chosen, note = select(material)
    curves = [(each, record) for each in chosen if (record := whole(each.run)).losses]
    if not curves:
        return None
    look = drawn_as(chosen)
    epochs = max(record.epochs_done for _, record in curves)
    named = [replace(r, impl=c.label, config=_logged(r, epochs)) for c, r in curves]
    if zeros := [each.name for each, record in curves if 0.0 in record.losses]:
        note = f"{note} A loss of exactly 0 has no logarithm and is not drawn: {listed(zeros)}."
    return Chart(
        key="losses",
        kind="lines",
        title="Loss",
        x_label="epoch",
        y_label="loss",
        table=record_tables.losses(named),
        series=[_curve(each.name, record, look[each.name]) for each, record in curves],
        log_y=True,
        note=note.strip(),
    )


def _logged(record: Record, epochs: int) -> dict[str, Any]:
    """Its settings; where `log_every` is too coarse for a table of so many epochs, `auto`."""
    every = record.config.get("log_every", "auto")
    if every == "auto" or epochs // every >= FEWEST_ROWS:
        return record.config
    return record.config | {"log_every": "auto"}


def _curve(name: str, record: Record, look: Look) -> Series:
    points = _thinned(record.losses)
    word = record.outcome.replace("_", " ")
    ending = "" if word == "ok" else f"{word} at epoch {record.epochs_done}"
    return Series(name, look, [float(x) for x, _ in points], [y for _, y in points], ending=ending)


def _thinned(values: Sequence[float]) -> list[tuple[int, float | None]]:
    """Points (index, value) that draw the same curve: of each bin the ends and the extremes.

    What a logarithmic axis can't show, not finite or not above 0, is None.
    """
    points = [(i, v if math.isfinite(v) and v > 0 else None) for i, v in enumerate(values)]
    if len(points) <= 4 * BINS:
        return points
    kept: set[int] = set()
    for number in range(BINS):
        part = points[number * len(points) // BINS : (number + 1) * len(points) // BINS]
        drawable = [(y, i) for i, y in part if y is not None]
        gaps = [i for i, y in part if y is None][:1]
        extremes = [min(drawable)[1], max(drawable)[1]] if drawable else []
        kept.update((part[0][0], part[-1][0], *extremes, *gaps))
    return [points[i] for i in sorted(kept)]


# --- which runs


@dataclass(frozen=True)
class Chosen:
    """A run that is drawn: what it is called at its curve, and in tables, where there is room."""

    run: Record
    name: str
    label: str


def select(material: Material) -> tuple[list[Chosen], str]:
    """The runs to draw, and what to say if that is not all."""
    runs = material.runs
    if len(runs) <= MOST_CURVES:
        return [Chosen(run, name := material.label(run), name) for run in runs], ""
    groups = [[r for r in runs if r.impl == impl] for impl in material.impls]
    words = WORDS[min(3, max(1, MOST_CURVES // len(groups))) - 1]
    chosen = [each for group in groups for each in _picked(material, group, words)]
    note = f"{len(chosen)} of {len(runs)} runs: the {listed(words)} of each implementation"
    if len(groups) > MOST_CURVES:
        lowest = sorted(chosen, key=lambda each: _by_loss(each.run))[:MOST_CURVES]
        chosen = [each for each in chosen if each in lowest]
        note = f"The best runs of the {MOST_CURVES} best of {len(groups)} implementations"
    return chosen, f"{note}, by final loss; diverged ones come last."


def _picked(material: Material, runs: Sequence[Record], words: Sequence[str]) -> list[Chosen]:
    ranked = sorted(runs, key=_by_loss)
    if len(ranked) <= len(words):
        return [Chosen(run, name := material.label(run), name) for run in ranked]
    places = {"best": 0, "middle": (len(ranked) - 1) // 2, "worst": -1}
    picked = [(f"{printable(runs[0].impl)} {word}", ranked[places[word]]) for word in words]
    return [Chosen(run, name, f"{name}: {material.settings(run)}") for name, run in picked]


def _by_loss(run: Record) -> tuple[bool, float]:
    """Sorts runs: ok ones by final loss, then those that got farther before they ended."""
    if run.outcome == "ok" and run.final_loss is not None:
        return False, run.final_loss
    return True, -float(run.epochs_done)


def drawn_as(chosen: Sequence[Chosen]) -> dict[str, Look]:
    """How they are drawn, by their names."""
    return looks({each.name: each.run.framework for each in chosen})
