"""The chart of deviations from the reference, over what rounding alone can make of them."""

from __future__ import annotations

from ..errors import listed
from ..tables import Table, number
from ..verify import stored
from ..verify.stored import HIGHEST, LOWEST, TOO_LONG, Judged
from .chart import Chart, Look, Series
from .losses import Chosen, drawn_as, select
from .material import Material

Held = list[tuple[Chosen, Judged]]


def judged(material: Material) -> Held:
    """The runs of the losses chart, each judged or with the reason why not."""
    chosen, _ = select(material)
    return list(zip(chosen, stored.judge([each.run for each in chosen]), strict=True))


def parity(material: Material) -> Chart | None:
    """Deviations over their bounds; None if no run could be judged."""
    return drawn(material, judged(material))


def drawn(material: Material, found: Held) -> Chart | None:
    """The same, of what has been judged already."""
    held = [(chosen, judged) for chosen, judged in found if judged.gate]
    if not held:
        return None
    looks = drawn_as([chosen for chosen, _ in found])
    return Chart(
        key="parity",
        kind="lines",
        title="Deviation from the reference",
        x_label="epoch",
        y_label="deviation / bound",
        table=table(found),
        series=[_curve(chosen, judged, looks[chosen.name]) for chosen, judged in held],
        log_y=True,
        reference=1.0,
        note=_note(material, found),
    )


def _curve(chosen: Chosen, judged: Judged, look: Look) -> Series:
    ending = f"departs at epoch {judged.gate.departs}" if judged.gate and judged.outside else ""
    points = judged.points()
    return Series(chosen.name, look, [x for x, _ in points], [y for _, y in points], ending=ending)


def _note(material: Material, found: Held) -> str:
    parts = [
        "Each loss against an independent reference with the same settings: its relative "
        "deviation over what rounding alone can make of it. Up to 1 is rounding. A curve ends "
        "where rounding decides the loss."
    ]
    if len(found) < len(material.runs):
        count = sum(judged.gate is not None for _, judged in found)
        left = any(judged.why_not == TOO_LONG for _, judged in found)
        rest = "; the rest of that chart is left to `twolayer verify`" * left
        are = "is" if count == 1 else "are"
        of = f"{count} of {len(material.runs):,} runs {are} judged"
        parts.append(f"{of}, chosen as for the loss chart{rest}.")
    at = {y for _, judged in found for _, y in judged.points()}
    ends = [f"below {LOWEST:g}"] * (LOWEST in at) + [f"beyond {HIGHEST:g}"] * (HIGHEST in at)
    if ends:
        parts.append(f"What is {listed(ends, 'or')} is drawn there.")
    return " ".join(parts)


def table(found: Held) -> Table:
    """One row a run: where it came nearest to its bound, or why it was not judged."""
    header = (
        *("run", "reference", "type", "epochs judged", "deviation", "bound", "over bound"),
        *("departs at", "slope at 0", "verdict"),
    )
    return Table(header, [_row(*each) for each in found], frozenset({0, 1, 2, 9}))


def _row(chosen: Chosen, judged: Judged) -> list[str]:
    config, gate = chosen.run.record.config, judged.gate
    first = [chosen.label, judged.family or "-", str(config.get("dtype", "-"))]
    if gate is None:
        return [*first, *"------", f"not judged: {judged.why_not}"]
    return [
        *(*first, f"{gate.judged} of {config.get('epochs')}"),
        *(number(gate.deviation, 1), number(gate.bound, 1)),
        f"{gate.deviation / gate.bound:.2g}",
        "-" if gate.departs is None else str(gate.departs),
        "-" if judged.at_zero is None else f"{judged.at_zero:g}",
        "inside" if gate.inside else "OUTSIDE",
    ]
