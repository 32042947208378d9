"""Has it become slower? Decided by the ends of intervals, and never by one measurement alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..config.settings import SHOWN_ONLY
from ..errors import UserError, listed
from . import intervals
from .measurement import Bench, Interval
from .rounds import Measuring

SAME_MACHINE = ("host", "cpu", "usable_cores")
NOT_COMPARED = ("epochs", "threads", *SHOWN_ONLY)
"""Settings without a part in the time of a step; and threads, which `auto` may stand for."""


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


def slowdowns(
    bench: Bench, baseline: Bench | None, limit: float, since: int = 0
) -> dict[str, Slowdown]:
    """Each cell over the same of a baseline or, paired by round, over its twin at the revision.

    Of `bench` only the rounds from `since` on count.
    """
    over = intervals.unpaired_ratio if baseline else intervals.paired_ratio
    if baseline:
        before = {cell.label: cell.blocks() for cell in baseline.cells}
    else:
        before = {cell.impl: cell.blocks(since) for cell in bench.cells if cell.revision}
    now = {cell.label: cell.blocks(since) for cell in bench.cells if not cell.revision}
    ratios = {
        label: over(blocks, before[label])
        for label, blocks in now.items()
        if blocks and before.get(label)
    }
    return {label: Slowdown(label, ratio, limit) for label, ratio in ratios.items() if ratio}


def confirmed(
    measuring: Measuring, baseline: Bench | None, limit: float, announce: Callable[[str], None]
) -> list[Slowdown]:
    """Whether any has become slower; what is in doubt is measured again first."""
    first = slowdowns(measuring.bench, baseline, limit)
    doubtful = sorted(label for label, slowdown in first.items() if slowdown.state != "ok")
    if not doubtful or measuring.stop.is_set():
        return list(first.values())
    announce(f"measuring again, to be sure: {', '.join(doubtful)}")
    second = slowdowns(measuring.bench, baseline, limit, since=measuring.again(doubtful))
    return [agreed(each, second.get(label, each)) for label, each in first.items()]


def agreed(first: Slowdown, second: Slowdown) -> Slowdown:
    """What two measurements, the second made because of the first, say together."""
    return replace(second, confirmed=first.state == "slower")


def check_comparable(bench: Bench, baseline: Bench, source: str, *, other_machine: bool) -> None:
    """Raise UserError unless a bench about to be made compares with the baseline."""
    for reason in _differences(bench, baseline, other_machine):
        raise UserError(f"--baseline {source}: {reason}")


def _differences(bench: Bench, baseline: Bench, other_machine: bool) -> Iterator[str]:
    machines = [
        f"{name} {baseline.machine.get(name)} there, {bench.machine.get(name)} here"
        for name in SAME_MACHINE
        if baseline.machine.get(name) != bench.machine.get(name)
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
    settings: list[tuple[str, str, object, object]]
    settings = [("all", "threads", baseline.threads, bench.threads)]
    settings += [
        (cell.label, name, before[cell.label].config.get(name), value)
        for cell in bench.cells
        for name, value in cell.config.items()
        if name not in NOT_COMPARED
    ]
    for label, name, old, new in settings:
        if old != new:
            yield (
                f"measured {label} with {name} {old}, this would be with {new}; use "
                f"--{name.replace('_', '-')} {old}, or measure the baseline anew"
            )
