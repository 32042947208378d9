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
from ..results.rows import Stored
from .chart import Chart, Look, Series
from .looks import looks
from .material import Material, whole

MOST_CURVES = 12
"""More can't be told apart."""

FEWEST_ROWS = 5
"""A table of losses with fewer rows than this says too little of a curve."""

BINS = 200
"""A curve is thinned to at most four points for each of so many stretches."""


def losses(material: Material) -> Chart | None:
    """Loss against epoch; None if no run has a loss."""
    chosen, note = select(material)
    found = [(each, whole(each.run)) for each in chosen]
    found = [(each, record) for each, record in found if record.losses]
    if not found:
        return None
    drawn = drawn_as(chosen)
    longest = max(record.epochs_done for _, record in found)
    named = [
        replace(record, impl=each.label, config=_logged(record, longest)) for each, record in found
    ]
    zeros = [each.name for each, record in found if 0.0 in record.losses]
    if zeros:
        note = f"{note} A loss of exactly 0 has no logarithm and is not drawn: {listed(zeros)}."
    return Chart(
        key="losses",
        kind="lines",
        title="Loss",
        x_label="epoch",
        y_label="loss",
        table=record_tables.losses(named),
        series=[curve(each.name, record, drawn[each.name]) for each, record in found],
        log_y=True,
        note=note.strip(),
    )


def _logged(record: Record, epochs: int) -> dict[str, Any]:
    """Its settings; where `log_every` is too coarse for a table of so many epochs, `auto`."""
    every = record.config.get("log_every", "auto")
    if every == "auto" or epochs // every >= FEWEST_ROWS:
        return record.config
    return record.config | {"log_every": "auto"}


def curve(label: str, record: Record, look: Look) -> Series:
    """The losses of a run, thinned, with how they end."""
    points = thinned(record.losses)
    return Series(
        name=label,
        look=look,
        x=[float(epoch) for epoch, _ in points],
        y=[value for _, value in points],
        ending=ending(record),
    )


def ending(record: Record) -> str:
    """`diverged at epoch 12`; empty for a run that is ok."""
    if record.outcome == "ok":
        return ""
    word = record.outcome.replace("_", " ")
    return f"{word} at epoch {record.epochs_done}"


def thinned(values: Sequence[float], bins: int = BINS) -> list[tuple[int, float | None]]:
    """Points (index, value) that draw the same curve: of each bin the ends and the extremes.

    What a logarithmic axis can't show, not finite or not above 0, is None.
    """
    points = [(i, v if math.isfinite(v) and v > 0 else None) for i, v in enumerate(values)]
    if len(points) <= 4 * bins:
        return points
    kept: set[int] = set()
    for number in range(bins):
        part = points[number * len(points) // bins : (number + 1) * len(points) // bins]
        there = [point for point in part if point[1] is not None]
        gaps = [i for i, value in part if value is None][:1]
        extremes = [pick(there, key=_value)[0] for pick in (min, max)] if there else []
        kept.update((part[0][0], part[-1][0], *extremes, *gaps))
    return [points[i] for i in sorted(kept)]


def _value(point: tuple[int, float | None]) -> float:
    return point[1] or 0.0


# --- which runs


@dataclass(frozen=True)
class Chosen:
    """A run that is drawn: what it is called at its curve, and in tables, where there is room."""

    run: Stored
    name: str
    label: str


def select(material: Material) -> tuple[list[Chosen], str]:
    """The runs to draw, and what to say if that is not all."""
    if len(material.runs) <= MOST_CURVES:
        labels = map(material.label, material.runs)
        return [Chosen(r, name, name) for r, name in zip(material.runs, labels, strict=True)], ""
    groups: dict[str, list[Stored]] = {}
    for run in material.runs:
        groups.setdefault(run.record.impl, []).append(run)
    words = WORDS[min(3, max(1, MOST_CURVES // len(groups))) - 1]
    chosen = [each for runs in groups.values() for each in _spread(material, runs, words)]
    note = f"{len(chosen)} of {len(material.runs)} runs: the {listed(words)} of each implementation"
    if len(groups) > MOST_CURVES:
        lowest = sorted(chosen, key=lambda each: _final(each.run))[:MOST_CURVES]
        chosen = [each for each in chosen if each in lowest]
        note = f"The best runs of the {MOST_CURVES} best of {len(groups)} implementations"
    return chosen, f"{note}, by final loss; diverged ones come last."


WORDS = (("best",), ("best", "worst"), ("best", "middle", "worst"))
"""What is shown of an implementation with many runs, where there is room for 1, 2 or 3."""


def _spread(material: Material, runs: Sequence[Stored], words: Sequence[str]) -> list[Chosen]:
    ranked = sorted(runs, key=_final)
    if len(ranked) <= len(words):
        return [Chosen(run, name := material.label(run), name) for run in ranked]
    places = {"best": 0, "middle": (len(ranked) - 1) // 2, "worst": -1}
    chosen = []
    for word in words:
        run = ranked[places[word]]
        name = f"{printable(run.record.impl)} {word}"
        chosen.append(Chosen(run, name, f"{name}: {material.settings(run)}"))
    return chosen


def drawn_as(chosen: Sequence[Chosen]) -> dict[str, Look]:
    """How they are drawn, by their names."""
    return looks({each.name: each.run.record.framework for each in chosen})


def _final(run: Stored) -> tuple[bool, float, float]:
    """Sorts runs: ok ones by final loss, then those that got farther before they ended."""
    record = run.record
    if record.outcome == "ok" and record.final_loss is not None:
        return False, record.final_loss, 0.0
    return True, -float(record.epochs_done), 0.0
