"""Has it become slower? Decided by the ends of intervals, and never by one measurement alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..config.settings import SHOWN_ONLY
from ..errors import UserError, listed
from ..tables import Table
from . import intervals
from .measurement import Bench, Cell, Interval

SAME_MACHINE = ("host", "cpu", "usable_cores")
NOT_TIMED = ("epochs", *SHOWN_ONLY)
"""Settings without a part in the time of a step."""


@dataclass(frozen=True)
class Verdict:
    """Whether a cell is within the limit: `ok`, `slower`, or `unsure` where noise decides."""

    label: str
    ratio: Interval
    state: str


def judge(label: str, ratio: Interval, limit: float) -> Verdict:
    """Slower only if all of the interval is past the limit, ok only if none of it is."""
    state = "slower" if ratio.low > limit else "ok" if ratio.high <= limit else "unsure"
    return Verdict(label, ratio, state)


def confirmed(first: Verdict, second: Verdict) -> Verdict:
    """What two measurements, the second made because of the first, say together."""
    if second.state == "slower" and first.state != "slower":
        return Verdict(second.label, second.ratio, "unsure")
    return second


def over_baseline(bench: Bench, baseline: Bench, limit: float, since: int = 0) -> list[Verdict]:
    """Each cell now over the same cell in the baseline; of now only the rounds from `since`."""
    before = {cell.label: cell for cell in baseline.cells}
    pairs = [(cell, before[cell.label]) for cell in bench.cells if cell.label in before]
    return [
        judge(cell.label, intervals.unpaired_ratio(now, then.blocks()), limit)
        for cell, then in pairs
        if (now := cell.blocks(since)) and then.good
    ]


def over_revision(bench: Bench, limit: float, since: int = 0) -> list[Verdict]:
    """Each cell of the work tree over its twin at the revision, paired by round."""
    twins = {cell.impl: cell for cell in bench.cells if cell.revision}
    found = [
        (cell.label, intervals.paired_ratio(cell.blocks(since), twins[cell.impl].blocks(since)))
        for cell in bench.cells
        if not cell.revision and cell.impl in twins
    ]
    return [judge(label, ratio, limit) for label, ratio in found if ratio]


def check_comparable(bench: Bench, baseline: Bench, source: str, *, other_machine: bool) -> None:
    """Raise UserError unless a bench about to be made compares with the baseline."""
    different = [
        f"{name} {baseline.machine.get(name)} there, {bench.machine.get(name)} here"
        for name in SAME_MACHINE
        if baseline.machine.get(name) != bench.machine.get(name)
    ]
    if different and not other_machine:
        raise UserError(
            f"--baseline {source}: is from another machine ({'; '.join(different)}), whose times "
            "say nothing here; measure both with --against, or ask for it with --other-machine"
        )
    before = {cell.label: cell for cell in baseline.cells if cell.good and cell.size is None}
    lacking = [cell.label for cell in bench.cells if cell.label not in before]
    if lacking:
        raise UserError(
            f"--baseline {source}: has no measurement of {listed(lacking)}; choose what it has "
            f"with --impl ({', '.join(before) or 'nothing'}), or measure it anew"
        )
    if baseline.threads != bench.threads:
        raise UserError(
            f"--baseline {source}: was measured with {baseline.threads} threads, this would be "
            f"with {bench.threads}; use --threads {baseline.threads}"
        )
    for cell in bench.cells:
        _check_same_work(cell, before[cell.label], source)


def _check_same_work(cell: Cell, before: Cell, source: str) -> None:
    for name, value in cell.config.items():
        if name not in (*NOT_TIMED, "threads") and value != before.config.get(name):
            raise UserError(
                f"--baseline {source}: measured {cell.label} with {name} "
                f"{before.config.get(name)}, this would be with {value}; use --{_option(name)} "
                f"{before.config.get(name)}, or measure the baseline anew"
            )


def _option(name: str) -> str:
    return name.replace("_", "-")


def table(verdicts: Sequence[Verdict], against: str, limit: float) -> Table:
    """The verdicts for people."""
    header = ("implementation", f"time over {against}", "95 % interval", "limit", "verdict")
    rows = [
        [
            *(v.label, f"{v.ratio.value:.3f}", f"{v.ratio.low:.3f} to {v.ratio.high:.3f}"),
            *(f"{limit:.2f}", WORDS[v.state]),
        ]
        for v in verdicts
    ]
    return Table(header, rows, frozenset({0, 4}))


WORDS = {"ok": "ok", "slower": "SLOWER", "unsure": "too noisy to say"}


def doubtful(verdicts: Iterable[Verdict]) -> set[str]:
    """The labels that are to be measured again before anything is said of them."""
    return {verdict.label for verdict in verdicts if verdict.state != "ok"}
