"""Medians and ratios of nested measurements, with intervals from resampling them as they nest.

A measurement is a list of rounds (fresh processes), each a list of blocks. Blocks of one
process share what that process drew (its memory layout, its place on the machine), so
resampling picks rounds first and then blocks in each: a hierarchical bootstrap (Kalibera and
Jones, "Rigorous benchmarking in reasonable time", 2013).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .measurement import Interval, Rounds

DRAWS = 4000
TAIL = 2.5
"""Percent beyond each end of an interval."""


class Resampler:
    """Draws the same rounds for all that were measured in them, so that pairs stay pairs."""

    def __init__(self, rounds: Sequence[int], seed: int = 0) -> None:
        self.rounds = list(rounds)
        self.rng = np.random.default_rng(seed)
        count = len(self.rounds)
        self.picked = self.rng.integers(count, size=(DRAWS, count))

    def medians(self, measured: Rounds) -> np.ndarray:
        """(DRAWS, rounds) the median of each drawn round's blocks, themselves drawn anew."""
        by_round = np.empty((DRAWS, len(self.rounds)))
        for place, number in enumerate(self.rounds):
            blocks = np.asarray(measured[number])
            rows, columns = np.nonzero(self.picked == place)
            drawn = self.rng.integers(len(blocks), size=(len(rows), len(blocks)))
            by_round[rows, columns] = np.median(blocks[drawn], axis=1)
        return by_round


def median(measured: Rounds) -> Interval:
    """The median over rounds of the median over blocks."""
    drawn = np.median(Resampler(list(measured)).medians(measured), axis=1)
    centre = np.median([np.median(blocks) for blocks in measured.values()])
    return _interval(float(centre), drawn)


def paired_ratio(ours: Rounds, theirs: Rounds) -> Interval | None:
    """The median over common rounds of the ratio of medians; None without a common round."""
    common = [number for number in ours if number in theirs]
    if not common:
        return None
    resampler = Resampler(common)
    drawn = np.median(resampler.medians(ours) / resampler.medians(theirs), axis=1)
    ratios = [np.median(ours[number]) / np.median(theirs[number]) for number in common]
    return _interval(float(np.median(ratios)), drawn)


def unpaired_ratio(ours: Rounds, theirs: Rounds) -> Interval:
    """The ratio of two medians that were measured apart."""
    over = np.median(Resampler(list(ours), seed=1).medians(ours), axis=1)
    under = np.median(Resampler(list(theirs), seed=2).medians(theirs), axis=1)
    return _interval(median(ours).value / median(theirs).value, over / under)


def line(sizes: Sequence[float], measured: Sequence[Rounds]) -> tuple[Interval, Interval] | None:
    """Overhead and slope of `time = overhead + slope · size`; None without two sizes in common.

    Errors are weighed relative to the times, since that is how they come; neither is negative.
    """
    common = [number for number in measured[0] if all(number in each for each in measured)]
    if not common or len(sizes) < 2:
        return None
    resampler = Resampler(common)
    drawn = np.stack([np.median(resampler.medians(each), axis=1) for each in measured])
    centre = np.array([[median(each).value] for each in measured])
    x = np.asarray(sizes, dtype=float)
    (overhead,), (slope,) = _weighted_line(x, centre)
    overheads, slopes = _weighted_line(x, drawn)
    return _interval(float(overhead), overheads), _interval(float(slope), slopes)


def _weighted_line(x: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of (overhead + slope x) / time against 1, for each column of `times`."""
    weight = 1 / times  # (sizes, draws)
    a, b = weight, weight * x[:, None]
    aa, ab, bb = (a * a).sum(0), (a * b).sum(0), (b * b).sum(0)
    a1, b1 = a.sum(0), b.sum(0)
    determinant = aa * bb - ab * ab
    overhead = (bb * a1 - ab * b1) / determinant
    slope = (aa * b1 - ab * a1) / determinant
    slope = np.where(overhead < 0, b1 / bb, slope)
    overhead = np.where(slope < 0, a1 / aa, np.maximum(overhead, 0))
    return overhead, np.maximum(slope, 0)


def _interval(centre: float, drawn: np.ndarray) -> Interval:
    low, high = np.percentile(drawn, [TAIL, 100 - TAIL])
    return Interval(centre, min(float(low), centre), max(float(high), centre))


def ranks(intervals: Sequence[Interval]) -> list[tuple[int, int]]:
    """The best and the worst place each may have; those that overlap share places."""
    return [
        (
            1 + sum(other.high < own.low for other in intervals),
            sum(other.low <= own.high for other in intervals),
        )
        for own in intervals
    ]
