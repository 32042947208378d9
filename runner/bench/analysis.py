"""From rounds to conclusions: times with intervals, ratios, ranks, limits, fits and doubts."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from ..config.settings import Config
from ..errors import listed
from . import intervals, workload
from .measurement import Bench, Cell, Fit, Interval, Rates, Round

UNSTEADY = 0.10
"""A relative spread, or a share of the processors, that calls for a warning."""

DRIFT = 0.05
"""How much slower all may be in the last third of the rounds than in the first."""

BENT = 0.15
"""How far a time may be from the fitted line, relative to it."""

PROBLEM = ("N", "H", "D_in", "D_out", "dtype", "bias")
"""The settings that a step's work follows from."""

FEW_ROUNDS = 5
BEYOND_CACHE = 2.0
"""Memory decides only where what a step touches is so many times the last-level cache."""

Measured = Mapping[str, Sequence[Mapping[str, float]]]
"""What each framework found the machine's rates to be, in each round that asked."""


def conclude(bench: Bench, rates: Measured, *, cut_short: bool = False) -> None:
    """Fill in all of a bench that follows from its rounds."""
    bench.rates = best_rates(rates) if rates else bench.rates
    for cell in bench.cells:
        _times(cell)
        _limits(cell, bench)
    for size in bench.sizes:
        _compare(bench.at(size), bench.baseline)
    bench.fits = list(_fits(bench))
    bench.warnings = list(_warnings(bench, cut_short=cut_short))


def best_rates(measured: Measured) -> Rates:
    """The highest rates that any framework reached: the limit that all are held to."""
    medians = {
        by: statistics.median(each["matmul_gflops"] for each in found)
        for by, found in measured.items()
    }
    by = max(medians, key=medians.__getitem__)
    copies = [max(each["copy_gb_s"] for each in found) for found in measured.values()]
    return Rates(medians[by], by, max(copies))


def _times(cell: Cell) -> None:
    if not cell.good:
        return
    cell.step_us = intervals.median(cell.blocks())
    cell.flops = cell.good[-1].flops or cell.flops
    cell.gflops = cell.flops / cell.step_us.value / 1e3
    dispatch = [each.dispatch_us for each in cell.good if each.dispatch_us is not None]
    if dispatch:
        cell.dispatch_share = min(1.0, statistics.median(dispatch) / cell.step_us.value)


def _limits(cell: Cell, bench: Bench) -> None:
    """Which of the machine's rates a step runs into, and how near to it."""
    matmul, copy = bench.rates.matmul_gflops, bench.rates.copy_gb_s
    if cell.gflops is None or matmul is None or copy is None:
        return
    cfg = Config(**cell.config)
    cache = bench.machine.get("cache_bytes") or 0
    cell.limit, attainable = "arithmetic", matmul
    if workload.resident_bytes(cfg, cell.family) > BEYOND_CACHE * cache:
        by_memory = copy * cell.flops / cell.bytes
        if by_memory < matmul:
            cell.limit, attainable = "memory", by_memory
    cell.share = cell.gflops / attainable
    if cell.share > 1:
        cell.gflops = cell.share = None


def _compare(cells: Sequence[Cell], baseline: str) -> None:
    """Ratios to the baseline among cells of one size, and the places they leave open."""
    base = next((cell for cell in cells if cell.label == baseline and cell.good), None)
    if base is None:
        return
    for cell in cells:
        if cell is base:
            cell.ratio = Interval(1.0, 1.0, 1.0)
        elif cell.good:
            cell.ratio = intervals.paired_ratio(cell.blocks(), base.blocks())
    compared = [cell for cell in cells if cell.ratio and not cell.revision]
    ranks = intervals.ranks([cell.ratio for cell in compared if cell.ratio])
    for cell, rank in zip(compared, ranks, strict=True):
        cell.rank = rank


def fastest(bench: Bench, size: int | None = None) -> list[str]:
    """The labels that may be the fastest, by their ratios to the baseline, the lowest first.

    One if it is certain; several, a tie, where the intervals of these ratios overlap; none if
    nothing was compared. Of a bench that is scaled, at a size, or at the largest compared.
    """
    compared = [cell for cell in bench.cells if cell.ratio and cell.rank and cell.rank[0] == 1]
    if size is None:
        size = max((cell.size for cell in compared if cell.size is not None), default=None)
    first = {cell.label: cell.ratio.value for cell in compared if cell.ratio and cell.size == size}
    return sorted(first, key=first.__getitem__)


def _fits(bench: Bench) -> Iterator[Fit]:
    for label in dict.fromkeys(cell.label for cell in bench.cells):
        cells = [c for c in bench.cells if c.label == label and c.good and c.size is not None]
        sizes = [float(cell.size or 0) for cell in cells]
        found = intervals.line(sizes, [cell.blocks() for cell in cells]) if cells else None
        if found:
            overhead, slope = found
            growth = (cells[-1].flops - cells[0].flops) / (sizes[-1] - sizes[0])
            rate = growth / slope.value / 1e3 if slope.value else 0.0
            beyond = rate > (bench.rates.matmul_gflops or float("inf"))
            yield Fit(label, overhead, slope, None if beyond else rate)


# --- doubts


def _warnings(bench: Bench, *, cut_short: bool) -> Iterator[str]:
    """What speaks against trusting the numbers, each with something to do about it."""
    rounds = max((len(cell.good) for cell in bench.cells), default=0)
    if cut_short:
        yield "measuring was stopped early; what there is of the rounds is used"
    if 0 < rounds < FEW_ROUNDS:
        yield f"{_count(rounds, 'round')} is few for an interval; give it more --rounds or --budget"
    yield from _other_problems(bench)
    yield from _spread(bench)
    yield from _busy(bench)
    yield from _drift(bench)
    yield from _unsettled(bench)
    yield from _bent(bench)


def _other_problems(bench: Bench) -> Iterator[str]:
    """Settings that make the work of a step another, where they are not the same for all."""
    for name in PROBLEM:
        values: dict[str, list[str]] = {}
        for cell in bench.at(bench.sizes[0]):
            values.setdefault(str(cell.config[name]), []).append(cell.label)
        if len(values) > 1:
            shares = "; ".join(f"{value} for {listed(who)}" for value, who in values.items())
            yield (
                f"this is not the same work: {name} is {shares}; the preset bench has one problem "
                f"for all, and --{name.replace('_', '-')} sets it"
            )


def _spread(bench: Bench) -> Iterator[str]:
    spreads = {cell.label: s for cell in bench.cells if (s := spread(cell)) > UNSTEADY}
    if spreads:
        yield (
            f"step times of {listed(spreads)} spread by {_up_to(spreads.values())}; close other "
            "programs, or try --threads 1, or give it more --rounds"
        )


def _up_to(shares: Collection[float]) -> str:
    most = f"{max(shares):.0%}"
    return most if len(shares) == 1 else f"up to {most}"


def spread(cell: Cell) -> float:
    """Half the distance from the 10th to the 90th percentile of all blocks, over the median."""
    every = [time for each in cell.good for time in each.blocks_us]
    if not every:
        return 0.0
    low, middle, high = np.percentile(every, [10, 50, 90])
    return float((high - low) / 2 / middle)


def _busy(bench: Bench) -> Iterator[str]:
    others = _mean(bench, "others_share")
    if others > UNSTEADY:
        yield (
            f"other processes had {others:.0%} of the processors meanwhile; close them, "
            "or measure on a machine of its own"
        )
    waited = {
        cell.label: share
        for cell in bench.cells
        if cell.good and (share := _cell_mean(cell, "cpu_share")) < 1 - UNSTEADY
    }
    if waited and not any((each.device or "cpu") != "cpu" for c in bench.cells for each in c.good):
        yield (
            f"{listed(waited)} had a processor for only {min(waited.values()):.0%} of the time; "
            "the machine is busy: try fewer --threads"
        )


def _mean(bench: Bench, name: str) -> float:
    cells = [cell for cell in bench.cells if cell.good]
    return statistics.fmean(_cell_mean(cell, name) for cell in cells) if cells else 0.0


def _cell_mean(cell: Cell, name: str) -> float:
    return statistics.fmean(getattr(each, name) or 0.0 for each in cell.good)


def _drift(bench: Bench) -> Iterator[str]:
    """Whether everything got slower together, as it does when a processor gets hot."""
    changes = [change for cell in bench.cells if (change := _change(cell.good))]
    if len(changes) < 2:
        return
    together = statistics.median(changes)
    if together > 1 + DRIFT:
        yield (
            f"the last rounds were {together - 1:.0%} slower than the first, in all alike (a hot "
            "processor, or a machine that got busier); ratios are not touched by it, but let it "
            "cool down and measure again before you trust the times"
        )


def _change(rounds: Sequence[Round]) -> float | None:
    third = len(rounds) // 3
    if third < 1:
        return None
    first, last = (
        statistics.median(statistics.median(each.blocks_us) for each in part)
        for part in (rounds[:third], rounds[-third:])
    )
    return last / first


def _unsettled(bench: Bench) -> Iterator[str]:
    restless = [
        cell.label
        for cell in bench.cells
        if sum(not each.settled for each in cell.good) * 2 > len(cell.good)
    ]
    if restless:
        yield (
            f"{listed(dict.fromkeys(restless))} still got faster when warm-up was cut off; "
            "allow it more with --warmup 10s"
        )


def _bent(bench: Bench) -> Iterator[str]:
    for fit in bench.fits:
        misses = {
            cell.size: abs(fit.at(cell.size) / cell.step_us.value - 1)
            for cell in bench.cells
            if cell.label == fit.label and cell.size is not None and cell.step_us
        }
        worst = max(misses, key=misses.__getitem__)
        if misses[worst] > BENT:
            yield (
                f"{fit.label} does not grow along a straight line: at {bench.axis}={worst} the fit "
                f"is off by {misses[worst]:.0%} (a cache, or a library that changes its way); "
                "trust the times, not the fit"
            )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
