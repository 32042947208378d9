"""Deviations of stored losses from the reference, over the bound that rounding sets."""

from dataclasses import replace

from ..errors import listed
from ..tables import Table, number
from ..verify.stored import HIGHEST, LOWEST, TOO_LONG, Judged
from .chart import Chart, Series, looks
from .material import Chosen, Material

HEADER = (
    *("run", "reference", "type", "epochs judged", "deviation", "bound", "over bound"),
    *("departs at", "slope at 0", "verdict"),
)


def parity(material: Material) -> Chart | None:
    """Deviations over their bounds; None if no run could be judged."""
    look = looks({each.name: each.run.framework for each, _ in material.judged})
    series = []
    for chosen, verdict in material.judged:
        if gate := verdict.gate:
            ending = f"departs at epoch {gate.departs}" if verdict.outside else ""
            x, y = map(list, zip(*verdict.points(), strict=True))
            series.append(Series(chosen.name, look[chosen.name], x, [*y], ending=ending))
    if not series:
        return None
    rows = [_verdict_row(*each) for each in material.judged]
    table = Table(HEADER, rows, frozenset({0, 1, 2, 9}))
    title, y_label = "Deviation from the reference", "deviation / bound"
    chart = Chart("lines", title, table, "epoch", y_label, series, _note(material, series))
    return replace(chart, log_y=True, reference=1.0)


def _note(material: Material, series: list[Series]) -> str:
    parts = [
        "Each loss against an independent reference with the same settings: its relative "
        "deviation over what rounding alone can make of it. Up to 1 is rounding. A curve ends "
        "where rounding decides the loss."
    ]
    if len(series) < len(material.runs):
        sampled = len(material.judged) < len(material.runs)
        chosen = ", chosen as for the loss chart" if sampled else ""
        left = any(verdict.why_not == TOO_LONG for _, verdict in material.judged)
        rest = "; the rest of that chart is left to `twolayer verify`" * left
        are = "is" if len(series) == 1 else "are"
        of = f"{len(series)} of {len(material.runs):,} runs {are} judged"
        parts.append(f"{of}{chosen}{rest}.")
    values = {y for each in series for y in each.y}
    ends = [f"below {LOWEST:g}"] * (LOWEST in values)
    ends += [f"beyond {HIGHEST:g}"] * (HIGHEST in values)
    if ends:
        parts.append(f"What is {listed(ends, 'or')} is drawn there.")
    return " ".join(parts)


def _verdict_row(chosen: Chosen, verdict: Judged) -> list[str]:
    """Where a run came nearest to its bound, or why it was not judged."""
    config, gate = chosen.run.config, verdict.gate
    first = [chosen.label, verdict.family or "-", str(config.get("dtype", "-"))]
    if gate is None:
        return [*first, *"------", f"not judged: {verdict.why_not}"]
    return [
        *(*first, f"{gate.judged} of {config.get('epochs')}"),
        *(number(gate.deviation, 1), number(gate.bound, 1)),
        f"{gate.deviation / gate.bound:.2g}",
        "-" if gate.departs is None else str(gate.departs),
        "-" if verdict.at_zero is None else f"{verdict.at_zero:g}",
        "inside" if gate.inside else "OUTSIDE",
    ]
