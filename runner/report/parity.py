"""The chart of deviations from the reference, over what rounding alone can make of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import listed
from ..tables import Table, number
from .chart import Chart, Series
from .judging import HIGHEST, LOWEST, TOO_LONG, Judged, judged
from .losses import drawn_as
from .material import Material

HEADER = (
    *("run", "reference", "type", "epochs judged", "deviation", "bound", "over bound"),
    *("departs at", "slope at 0", "verdict"),
)


def parity(material: Material, verdicts: Sequence[Judged] | None = None) -> Chart | None:
    """Deviations over their bounds; None if no run could be judged."""
    verdicts = judged(material) if verdicts is None else verdicts
    look = drawn_as([each.chosen for each in verdicts])
    series = []
    for each in verdicts:
        if finding := each.finding:
            ending = "" if finding.inside else f"departs at epoch {finding.departs}"
            x, y = [x for x, _ in finding.points], [y for _, y in finding.points]
            name = each.chosen.name
            series.append(Series(name, look[name], x, [*y], ending=ending))
    if not series:
        return None
    return Chart(
        key="parity",
        kind="lines",
        title="Deviation from the reference",
        x_label="epoch",
        y_label="deviation / bound",
        table=Table(HEADER, [_verdict_row(each) for each in verdicts], frozenset({0, 1, 2, 9})),
        series=series,
        log_y=True,
        reference=1.0,
        note=_note(material, verdicts, series),
    )


def _note(material: Material, verdicts: Sequence[Judged], series: Sequence[Series]) -> str:
    parts = [
        "Each loss against an independent reference with the same settings: its relative "
        "deviation over what rounding alone can make of it. Up to 1 is rounding. A curve ends "
        "where rounding decides the loss."
    ]
    if len(verdicts) < len(material.runs):
        left = any(each.why_not == TOO_LONG for each in verdicts)
        rest = "; the rest of that chart is left to later reports and to `twolayer verify`" * left
        are = "is" if len(series) == 1 else "are"
        of = f"{len(series)} of {len(material.runs):,} runs {are} judged"
        parts.append(f"{of}, chosen as for the loss chart{rest}.")
    values = {y for each in series for y in each.y}
    ends = [f"below {LOWEST:g}"] * (LOWEST in values) + [f"beyond {HIGHEST:g}"] * (
        HIGHEST in values
    )
    if ends:
        parts.append(f"What is {listed(ends, 'or')} is drawn there.")
    return " ".join(parts)


def _verdict_row(each: Judged) -> list[str]:
    """Where a run came nearest to its bound, or why it was not judged."""
    record, finding = each.chosen.run.record, each.finding
    first = [each.chosen.label, each.family or "-", str(record.config.get("dtype", "-"))]
    if finding is None:
        return [*first, *"------", f"not judged: {each.why_not}"]
    return [
        *(*first, f"{finding.judged} of {record.config.get('epochs')}"),
        *(number(finding.deviation, 1), number(finding.bound, 1)),
        f"{finding.deviation / finding.bound:.2g}",
        "-" if finding.departs is None else str(finding.departs),
        "-" if finding.at_zero is None else f"{finding.at_zero:g}",
        "inside" if finding.inside else "OUTSIDE",
    ]
