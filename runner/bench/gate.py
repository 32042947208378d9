"""Has it become slower? Decided by the ends of intervals, and never by one measurement alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..config.settings import SHOWN_ONLY
from ..errors import UserError, listed
from . import intervals
from .measurement import Bench, Interval
from .rounds import Measuring

SAME_MACHINE = ("host", "cpu", "usable_cores")
NOT_COMPARED = ("epochs", "threads", *SHOWN_ONLY)  # no part in a step; `auto` may be threads


@dataclass(frozen=True)
class Slowdown:
    """A cell's time over its former time; `confirmed` by an earlier measurement if it is slower."""

    label: str
    ratio: Interval
    limit: float
    confirmed: bool = True

    @property
    def state(self) -> str:
        """`ok`, `slower`, or `unsure` where noise decides.

        It is slower only if all of the interval is past the limit, ok only if none of it is.
        """
        if self.ratio.high <= self.limit:
            return "ok"
        return "slower" if self.ratio.low > self.limit and self.confirmed else "unsure"


def _slowdowns(
    bench: Bench, baseline: Bench | None, limit: float, since: int = 0
) -> Iterator[Slowdown]:
    """Each cell over the same of a baseline or, paired by round, over its twin at the revision.

    Of `bench` only the rounds from `since` on count.
    """
    if baseline:
        before = {cell.label: cell.blocks() for cell in baseline.cells}
    else:
        before = {cell.impl: cell.blocks(since) for cell in bench.cells if cell.revision}
    over = intervals.unpaired_ratio if baseline else intervals.paired_ratio
    for cell in bench.cells:
        blocks, former = cell.blocks(since), before.get(cell.label)
        if blocks and former and (ratio := over(blocks, former)):
            yield Slowdown(cell.label, ratio, limit)


def confirmed(
    measuring: Measuring, baseline: Bench | None, limit: float, announce: Callable[[str], None]
) -> list[Slowdown]:
    """Whether any has become slower; what is in doubt is measured again first."""
    first = list(_slowdowns(measuring.bench, baseline, limit))
    doubtful = sorted(each.label for each in first if each.state != "ok")
    if not doubtful or measuring.stop.is_set():
        return first
    announce(f"measuring again, to be sure: {', '.join(doubtful)}")
    since = measuring.measure(doubtful)
    second = {each.label: each for each in _slowdowns(measuring.bench, baseline, limit, since)}
    return [
        replace(second.get(each.label, each), confirmed=each.state == "slower") for each in first
    ]


def check_comparable(bench: Bench, baseline: Bench, source: str, *, other_machine: bool) -> None:
    """Raise UserError unless a bench about to be made compares with the baseline."""
    if reason := next(_differences(bench, baseline, other_machine), None):
        raise UserError(f"--baseline {source}: {reason}")


def _differences(bench: Bench, baseline: Bench, other_machine: bool) -> Iterator[str]:
    then, here = baseline.machine, bench.machine
    machines = [
        f"{name} {then.get(name)} there, {here.get(name)} here"
        for name in SAME_MACHINE
        if then.get(name) != here.get(name)
    ]
    if machines and not other_machine:
        yield (
            f"is from another machine ({'; '.join(machines)}), whose times don't compare; "
            "measure both with --against, or accept it with --other-machine"
        )
    before = {cell.label: cell for cell in baseline.cells if cell.good and cell.size is None}
    if lacking := [cell.label for cell in bench.cells if cell.label not in before]:
        yield (
            f"has no measurement of {listed(lacking)}; choose what it has with --impl "
            f"({', '.join(before) or 'nothing'}), or measure it anew"
        )
    settings = [("all", {"threads": baseline.threads}, {"threads": bench.threads})]
    for cell in bench.cells:
        own = {name: value for name, value in cell.config.items() if name not in NOT_COMPARED}
        settings.append((cell.label, before[cell.label].config, own))
    for label, former, now in settings:
        for name, value in now.items():
            if (old := former.get(name)) != value:
                yield (
                    f"measured {label} with {name} {old}, this would be with {value}; use "
                    f"--{name.replace('_', '-')} {old}, or measure the baseline anew"
                )
