"""The charts of losses over epochs, and of how far they are from the reference.

They draw every run, or a few that stand for the rest.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import listed
from ..results import tables
from ..results.record import Record
from ..results.store import whole
from ..tables import Table, number
from ..verify.stored import HIGHEST, LOWEST, TOO_LONG, Judged
from .chart import Chart, Look, Series
from .material import Material

BINS = 200  # a curve is thinned to at most four points for each of so many stretches

DEVIATION = (
    "Each loss against an independent reference with the same settings: its relative deviation "
    "over what rounding alone can make of it. Up to 1 is rounding. A curve ends where rounding "
    "decides the loss."
)
VERDICTS = (
    *("run", "reference", "type", "epochs judged", "deviation", "bound", "over bound"),
    *("departs at", "slope at 0", "verdict"),
)


def loss_chart(material: Material) -> Chart | None:
    """Loss against epoch; None if no run has a loss."""
    drawn, note = material.selection
    runs = {name: record for name, run in drawn.items() if (record := whole(run)).losses}
    if not runs:
        return None
    # where one has a coarse `log_every`, the table would show too little of its curve
    auto = {"log_every": "auto"}
    columns = [replace(each, impl=n, config=auto) for n, each in runs.items()]
    series = [_curve(name, record, material.looks[name]) for name, record in runs.items()]
    if zeros := [name for name, record in runs.items() if 0.0 in record.losses]:
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


def parity(material: Material) -> Chart | None:
    """Deviations over their bounds; None if no run could be judged."""
    series = []
    for name, verdict in material.judged.items():
        if gate := verdict.gate:
            ending = f"departs at epoch {gate.departs}" if verdict.outside else ""
            x, y = map(list, zip(*verdict.points(), strict=True))
            look = material.looks[name]  # no cross: the curve goes on after it departs
            series.append(Series(name, look, x, [*y], ending=ending, crossed=False))
    if not series:
        return None
    rows = [_verdict_row(material, name, each) for name, each in material.judged.items()]
    title, table = "Deviation from the reference", Table(VERDICTS, rows, frozenset({0, 1, 2, 9}))
    chart = Chart("lines", title, table, "epoch", "deviation / bound", series)
    return replace(chart, note=_note(material, series), log_y=True, reference=1.0)


def _note(material: Material, series: Sequence[Series]) -> str:
    note = DEVIATION
    judged, count = material.judged, len(material.runs)
    if len(series) < count:
        note += f" {len(series)} of {count:,} runs {'is' if len(series) == 1 else 'are'} judged"
        note += ", chosen as for the loss chart" * (len(judged) < count)
        left = any(verdict.why_not == TOO_LONG for verdict in judged.values())
        note += "; the rest of that chart is left to `twolayer verify`" * left + "."
    if epochs := material.judged_epochs:
        note += f" Of longer runs the first {epochs} epochs are judged"
        note += "; `twolayer verify` judges all."
    cut = {LOWEST: f"below {LOWEST:g}", HIGHEST: f"beyond {HIGHEST:g}"}
    ends = [text for end, text in cut.items() if any(end in each.y for each in series)]
    return f"{note} What is {listed(ends, 'or')} is drawn there." if ends else note


def _verdict_row(material: Material, name: str, verdict: Judged) -> list[str]:
    """Where a run came nearest to its bound, or why it was not judged."""
    config, gate = material.selection[0][name].config, verdict.gate
    first = [name, verdict.family or "-", str(config.get("dtype", "-"))]
    if gate is None:
        return [*first, *"------", f"not judged: {verdict.why_not}"]
    return [
        *(*first, f"{gate.judged} of {config.get('epochs')}"),
        *(number(gate.deviation, 1), number(gate.bound, 1)),
        f"{gate.worst:.2g}",
        "-" if gate.departs is None else str(gate.departs),
        "-" if verdict.at_zero is None else f"{verdict.at_zero:g}",
        "inside" if gate.inside else "OUTSIDE",
    ]
