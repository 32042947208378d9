"""Medians and ratios of nested measurements, with intervals from resampling them as they nest.

Blocks of one process share what that process drew (its memory layout, its place on the machine),
so resampling picks rounds first and then blocks in each: a hierarchical bootstrap (Kalibera and
Jones, "Rigorous benchmarking in reasonable time", 2013).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from .measurement import Blocks, Interval

DRAWS = 4000
TAIL = 2.5  # percent beyond each end of an interval


def _resampled(
    measured: Sequence[Blocks], rounds: Sequence[int], seed: int = 0
) -> Iterator[np.ndarray]:
    """(rounds, 1 + DRAWS) medians of rounds for each: as measured, then drawn.

    All draw the same rounds, so that pairs stay pairs; the blocks in them, each its own.
    """
    rng = np.random.default_rng(seed)
    picked = rng.integers(len(rounds), size=(len(rounds), DRAWS, 1))
    for blocks_of in measured:
        least = min(len(blocks_of[number]) for number in rounds)
        times = np.array([blocks_of[number][:least] for number in rounds])
        drawn = [
            np.median(times[each, rng.integers(least, size=(DRAWS, least))], axis=1)
            for each in picked
        ]
        yield np.column_stack([np.median(times, axis=1), np.stack(drawn)])


def median(measured: Blocks) -> Interval:
    """The median over rounds of the median over blocks."""
    (rounds,) = _resampled([measured], list(measured))
    return _interval(np.median(rounds, axis=0))


def paired_ratio(ours: Blocks, theirs: Blocks) -> Interval | None:
    """The median over common rounds of the ratio of medians; None without a common round."""
    common = [number for number in ours if number in theirs]
    if not common:
        return None
    over, under = _resampled([ours, theirs], common)
    return _interval(np.median(over / under, axis=0))


def unpaired_ratio(ours: Blocks, theirs: Blocks) -> Interval:
    """The ratio of two medians that were measured apart."""
    (over,) = _resampled([ours], list(ours), seed=1)
    (under,) = _resampled([theirs], list(theirs), seed=2)
    return _interval(np.median(over, axis=0) / np.median(under, axis=0))


def line(sizes: Sequence[float], measured: Sequence[Blocks]) -> tuple[Interval, Interval] | None:
    """Overhead and slope of `time = overhead + slope · size`; None without two sizes in common.

    Errors are weighed relative to the times, since that is how they come; neither is negative.
    """
    common = set.intersection(*map(set, measured)) if len(sizes) > 1 else set()
    if not common:
        return None
    times = np.stack([np.median(each, axis=0) for each in _resampled(measured, sorted(common))])
    # Least squares of (overhead + slope x) / time against 1, for each column of `times`.
    a, b = 1 / times, np.asarray(sizes, dtype=float)[:, None] / times  # (sizes, 1 + DRAWS)
    overhead, slope = np.linalg.pinv(np.stack([a.T, b.T], axis=-1)).sum(axis=-1).T
    slope = np.where(overhead < 0, b.sum(0) / (b * b).sum(0), slope)
    overhead = np.where(slope < 0, a.sum(0) / (a * a).sum(0), np.maximum(overhead, 0))
    return _interval(overhead), _interval(np.maximum(slope, 0))


def _interval(values: np.ndarray) -> Interval:
    """Of a statistic's value, which comes first, and those that resampling gives it."""
    centre = float(values[0])
    low, high = map(float, np.percentile(values[1:], [TAIL, 100 - TAIL]))
    return Interval(centre, min(low, centre), max(high, centre))


def ranks(intervals: Sequence[Interval]) -> list[tuple[int, int]]:
    """The best and the worst place each may have; those that overlap share places."""
    return [
        (
            1 + sum(other.high < own.low for other in intervals),
            sum(other.low <= own.high for other in intervals),
        )
        for own in intervals
    ]
