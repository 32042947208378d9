"""The chart of deviations from the reference, over what rounding alone can make of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import listed
from ..tables import Table, number
from .chart import Chart, Look, Series
from .judging import HIGHEST, LOWEST, TOO_LONG, Finding, Judged, judged
from .losses import drawn_as
from .material import Material


def parity(material: Material) -> Chart | None:
    """Deviations over their bounds; None if no run could be judged."""
    return drawn(material, judged(material))


def drawn(material: Material, found: Sequence[Judged]) -> Chart | None:
    """The same, of what has been judged already."""
    held = [(each, each.finding) for each in found if each.finding]
    if not held:
        return None
    looks = drawn_as([each.chosen for each in found])
    return Chart(
        key="parity",
        kind="lines",
        title="Deviation from the reference",
        x_label="epoch",
        y_label="deviation / bound",
        table=table(found),
        series=[_curve(each, finding, looks[each.chosen.name]) for each, finding in held],
        log_y=True,
        reference=1.0,
        note=_note(material, found),
    )


def _curve(each: Judged, finding: Finding, look: Look) -> Series:
    ending = "" if finding.inside else f"departs at epoch {finding.departs}"
    x, y = [x for x, _ in finding.points], [y for _, y in finding.points]
    return Series(each.chosen.name, look, x, [*y], ending=ending)


def _note(material: Material, found: Sequence[Judged]) -> str:
    parts = [
        "Each loss against an independent reference with the same settings: its relative "
        "deviation over what rounding alone can make of it. Up to 1 is rounding. A curve ends "
        "where rounding decides the loss."
    ]
    if len(found) < len(material.runs):
        count = sum(each.finding is not None for each in found)
        left = any(each.why_not == TOO_LONG for each in found)
        rest = "; the rest of that chart is left to later reports and to `twolayer verify`" * left
        are = "is" if count == 1 else "are"
        of = f"{count} of {len(material.runs):,} runs {are} judged"
        parts.append(f"{of}, chosen as for the loss chart{rest}.")
    at = {y for each in found if each.finding for _, y in each.finding.points}
    ends = [f"below {LOWEST:g}"] * (LOWEST in at) + [f"beyond {HIGHEST:g}"] * (HIGHEST in at)
    if ends:
        parts.append(f"What is {listed(ends, 'or')} is drawn there.")
    return " ".join(parts)


def table(found: Sequence[Judged]) -> Table:
    """One row a run: where it came nearest to its bound, or why it was not judged."""
    header = (
        *("run", "reference", "type", "epochs judged", "deviation", "bound", "over bound"),
        *("departs at", "slope at 0", "verdict"),
    )
    return Table(header, [_row(each) for each in found], frozenset({0, 1, 2, 9}))


def _row(each: Judged) -> list[str]:
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
