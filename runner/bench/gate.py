"""Has it become slower? Decided by the ends of intervals, and never by one measurement alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..config.settings import SHOWN_ONLY
from ..errors import UserError, listed
from . import intervals
from .measurement import Bench, Interval
from .rounds import Measuring

SAME_MACHINE = ("host", "cpu", "usable_cores")
NOT_COMPARED = ("epochs", *SHOWN_ONLY)  # settings with no part in a step


@dataclass(frozen=True)
class Slowdown:
    """A cell's time over its former time; `confirmed` by an earlier measurement if it is slower."""

    label: str
    ratio: Interval
    limit: float
    confirmed: bool = True

    @property
    def state(self) -> str:
        """`slower` if all of the interval is past the limit, `ok` if none is, else `unsure`."""
        if self.ratio.high <= self.limit:
            return "ok"
        return "slower" if self.ratio.low > self.limit and self.confirmed else "unsure"


def _slowdowns(
    bench: Bench, baseline: Bench | None, limit: float, since: int = 0
) -> dict[str, Slowdown]:
    """Each cell since a round, over that of a baseline or, paired, its twin at the revision."""
    if baseline:
        before = {cell.label: cell.blocks() for cell in baseline.cells}
    else:
        before = {cell.impl: cell.blocks(since) for cell in bench.cells if cell.revision}
    over = intervals.unpaired_ratio if baseline else intervals.paired_ratio
    slowdowns = {}
    for cell in bench.cells:
        blocks, former = cell.blocks(since), before.get(cell.label)
        if blocks and former and (ratio := over(blocks, former)):
            slowdowns[cell.label] = Slowdown(cell.label, ratio, limit)
    return slowdowns


def confirmed(
    measuring: Measuring, baseline: Bench | None, limit: float, announce: Callable[[str], None]
) -> list[Slowdown]:
    """Whether any has become slower; what is in doubt is measured again first."""
    slowdowns = _slowdowns(measuring.bench, baseline, limit)
    doubtful = [label for label, each in slowdowns.items() if each.state != "ok"]
    again: dict[str, Slowdown] = {}
    if doubtful and not measuring.stop.is_set():
        announce(f"measuring again, to be sure: {', '.join(doubtful)}")
        since = measuring.measure(doubtful)
        again = _slowdowns(measuring.bench, baseline, limit, since)
    for label in doubtful:
        twice = label in again and slowdowns[label].state == "slower"
        slowdowns[label] = replace(again.get(label, slowdowns[label]), confirmed=twice)
    return list(slowdowns.values())


def check_comparable(bench: Bench, baseline: Bench, source: str, *, other_machine: bool) -> None:
    """Raise UserError unless a bench about to be made compares with the baseline."""
    then, here = baseline.machine, bench.machine
    other = [name for name in SAME_MACHINE if then.get(name) != here.get(name)]
    if other and not other_machine:
        values = "; ".join(f"{n} {then.get(n)} there, {here.get(n)} here" for n in other)
        raise UserError(
            f"--baseline {source}: is from another machine ({values}), whose times don't compare; "
            "measure both with --against, or accept it with --other-machine"
        )
    before = {cell.label: cell for cell in baseline.cells if cell.good and cell.size is None}
    if lacking := [cell.label for cell in bench.cells if cell.label not in before]:
        raise UserError(
            f"--baseline {source}: has no measurement of {listed(lacking)}; choose what it has "
            f"with --impl ({', '.join(before) or 'nothing'}), or measure it anew"
        )
    for cell in bench.cells:
        former = before[cell.label].config | {"threads": baseline.threads}
        for name, value in (cell.config | {"threads": bench.threads}).items():
            if name not in NOT_COMPARED and (old := former.get(name)) != value:
                raise UserError(
                    f"--baseline {source}: measured {cell.label} with {name} {old}, this would be "
                    f"with {value}; use --{name.replace('_', '-')} {old}, or measure the baseline "
                    "anew"
                )
