"""Intervals hold what they promise: they cover, pair, nest, and never rank what overlaps."""

import numpy as np
import pytest
from twolayer.bench import intervals
from twolayer.bench.measurement import Interval

STEP_US = 200.0


def rounds(rng, count=10, blocks=5, *, step_us=STEP_US, between=0.05, within=0.01, drift=None):
    """Blocks of some rounds: each process is off by `between`, each block by `within`."""
    drift = np.ones(count) if drift is None else drift
    process = step_us * drift * np.exp(rng.normal(0, between, count))
    return {
        number: list(mean * np.exp(rng.normal(0, within, blocks)))
        for number, mean in enumerate(process)
    }


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals_ = [intervals.median(rounds(rng)) for _ in range(200)]
    covered = sum(i.low <= STEP_US <= i.high for i in intervals_)
    assert 178 <= covered <= 200


def test_an_interval_comes_from_rounds_not_from_blocks():
    # Blocks of one process agree to 0.1 %, processes to 10 %: blocks alone would be too sure.
    rng = np.random.default_rng(1)
    found = intervals.median(rounds(rng, between=0.1, within=0.001, blocks=50))
    assert (found.high - found.low) / found.value > 0.05


def test_pairing_takes_out_what_falls_on_both():
    rng = np.random.default_rng(2)
    drift = np.linspace(1, 2, 10)
    slow = rounds(rng, step_us=1.2 * STEP_US, between=0.01, drift=drift)
    fast = rounds(rng, between=0.01, drift=drift)
    paired = intervals.paired_ratio(slow, fast)
    apart = intervals.unpaired_ratio(slow, fast)
    assert paired.low <= 1.2 <= paired.high
    assert paired.high - paired.low < 0.05
    assert apart.high - apart.low > 0.2


def test_only_common_rounds_are_paired():
    ours = {0: [1.0], 1: [4.0], 2: [9.0]}
    theirs = {1: [2.0], 2: [3.0], 3: [100.0]}
    assert intervals.paired_ratio(ours, theirs).value == 2.5
    assert intervals.paired_ratio({0: [1.0]}, {1: [1.0]}) is None


@pytest.mark.parametrize(("overhead", "slope"), [(50.0, 3.0), (0.0, 3.0), (50.0, 0.0)])
def test_a_line_gives_back_overhead_and_slope(overhead, slope):
    rng = np.random.default_rng(3)
    sizes = [15, 60, 240, 960]
    measured = [rounds(rng, step_us=overhead + slope * size, between=0.005) for size in sizes]
    found_overhead, found_slope = intervals.line(sizes, measured)
    assert found_overhead.value == pytest.approx(overhead, abs=4)
    assert found_slope.value == pytest.approx(slope, abs=0.05)
    assert 0 <= found_overhead.low <= found_overhead.value <= found_overhead.high
    assert 0 <= found_slope.low <= found_slope.value <= found_slope.high


def test_a_line_needs_two_sizes():
    assert intervals.line([60], [{0: [1.0]}]) is None


def test_overlapping_intervals_share_their_places():
    found = [Interval(1, 0.9, 1.1), Interval(1.05, 1.0, 1.2), Interval(2, 1.9, 2.1)]
    assert intervals.ranks(found) == [(1, 2), (1, 2), (3, 3)]
    chain = [Interval(1, 0.9, 1.1), Interval(1.2, 1.05, 1.3), Interval(1.4, 1.25, 1.5)]
    assert intervals.ranks(chain) == [(1, 2), (1, 3), (2, 3)]
