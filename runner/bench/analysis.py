"""From rounds to conclusions: times with intervals, ratios, ranks, limits, fits and doubts."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from ..config.settings import Config
from ..errors import listed
from . import intervals
from .measurement import Bench, Cell, Fit, Interval, Rates

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

MIDDLE_LAYERS = 1.5
"""How often DynamicNet's middle layer is applied, on average."""


def conclude(
    bench: Bench, rates: Mapping[str, Sequence[Mapping[str, float]]], *, cut_short: bool = False
) -> None:
    """Fill in all of a bench that follows from its rounds.

    `rates` are the machine's, by framework, from each round that measured them.
    """
    bench.rates = best_rates(rates) if rates else bench.rates
    for cell in bench.cells:
        if cell.good:
            _step_time(cell)
            _limits(cell, bench)
    for size in bench.sizes:
        _compare(bench.at(size), bench.baseline)
    bench.fits = list(_fits(bench))
    bench.warnings = list(_warnings(bench, cut_short=cut_short))


def best_rates(rates: Mapping[str, Sequence[Mapping[str, float]]]) -> Rates:
    """The highest rates that any framework reached: the limit that all are held to."""
    matmul = {
        by: statistics.median(each["matmul_gflops"] for each in measured)
        for by, measured in rates.items()
    }
    best = max(matmul, key=matmul.__getitem__)
    return Rates(matmul[best], best, max(e["copy_gb_s"] for e in chain(*rates.values())))


def _step_time(cell: Cell) -> None:
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
    attainable = {"arithmetic": matmul}
    cache = bench.machine.get("cache_bytes") or 0
    if resident_bytes(Config(**cell.config), cell.family) > BEYOND_CACHE * cache:
        attainable["memory"] = copy * cell.flops / cell.bytes
    cell.limit = min(attainable, key=attainable.__getitem__)
    cell.share = cell.gflops / attainable[cell.limit]
    if cell.share > 1:
        cell.gflops = cell.share = None


def _compare(cells: Sequence[Cell], baseline: str) -> None:
    """Ratios to the baseline among cells of one size, and the places they leave open."""
    base = next((cell for cell in cells if cell.label == baseline and cell.good), None)
    if base is None:
        return
    for cell in cells:
        cell.ratio = intervals.paired_ratio(cell.blocks(), base.blocks())
    base.ratio = Interval(1.0, 1.0, 1.0)
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
        line = intervals.line(sizes, [cell.blocks() for cell in cells]) if cells else None
        if line:
            overhead, slope = line
            growth = (cells[-1].flops - cells[0].flops) / (sizes[-1] - sizes[0])
            rate = growth / slope.value / 1e3 if slope.value else 0.0
            beyond = rate > (bench.rates.matmul_gflops or float("inf"))
            yield Fit(label, overhead, slope, None if beyond else rate)


# --- what a step has to do at least, from its shapes alone


def flops(cfg: Config, family: str) -> float:
    """Floating-point operations of a step's matrix products, an addition and a product two.

    Forward x w1 and a w2; backward both weights' gradients and the hidden layer's. What is
    elementwise (ReLU, loss, update) is left out: it is the lower order.
    """
    middle = cfg.H * MIDDLE_LAYERS if family == "dynamic" else 0
    return 2 * cfg.N * cfg.H * (2 * cfg.D_in + 3 * cfg.D_out + 3 * middle)


def traffic_bytes(cfg: Config, family: str) -> float:
    """The least memory traffic of a step in bytes, if no array stays in a cache between uses.

    Each array is counted once for every product that reads or writes it; weights are read
    and written again, with their gradients, by the update (Adam's has two moments as well).
    """
    return _bytes_of(cfg, family, x=2, hidden=5, y=4, weights=10 if family == "adam" else 6)


def resident_bytes(cfg: Config, family: str) -> float:
    """What a step touches at least: data, activations, weights and their gradients."""
    return _bytes_of(cfg, family, x=1, hidden=2, y=2, weights=4 if family == "adam" else 2)


def _bytes_of(cfg: Config, family: str, *, x: int, hidden: int, y: int, weights: int) -> int:
    """Of so many arrays of each shape."""
    count = cfg.N * (x * cfg.D_in + hidden * cfg.H + y * cfg.D_out)
    count += weights * cfg.H * (cfg.D_in + cfg.D_out + (cfg.H if family == "dynamic" else 0))
    return count * (8 if cfg.dtype == "float64" else 4)


# --- doubts


def _warnings(bench: Bench, *, cut_short: bool) -> Iterator[str]:
    """What speaks against trusting the numbers, each with something to do about it."""
    cells = [cell for cell in bench.cells if cell.good]
    rounds = max((len(cell.good) for cell in cells), default=0)
    if cut_short:
        yield "measuring was stopped early; the rounds until then are used"
    if 0 < rounds < FEW_ROUNDS:
        few = "1 round is" if rounds == 1 else f"{rounds} rounds are"
        yield f"{few} few for an interval; give it more --rounds or --budget"
    yield from _other_problems(bench)
    if cells:
        yield from _unsteady(cells)
        yield from _busy(cells)
        yield from _slowing(cells)
    restless = dict.fromkeys(cell.label for cell in cells if _round_mean(cell, "settled") < 0.5)
    if restless:
        yield (
            f"{listed(restless)} still got faster when warm-up was cut off; "
            "allow it more with --warmup 10s"
        )
    yield from _bent(bench)


def _other_problems(bench: Bench) -> Iterator[str]:
    """Settings that make the work of a step another, where they are not the same for all."""
    for name in PROBLEM:
        labels: dict[str, list[str]] = {}
        for cell in bench.at(bench.sizes[0]):
            labels.setdefault(str(cell.config[name]), []).append(cell.label)
        if len(labels) > 1:
            shares = "; ".join(f"{value} for {listed(some)}" for value, some in labels.items())
            yield (
                f"this is not the same work: {name} is {shares}; the preset bench has one problem "
                f"for all, and --{name.replace('_', '-')} sets it"
            )


def _unsteady(cells: Iterable[Cell]) -> Iterator[str]:
    """Half the range from the 10th to the 90th percentile of a cell's blocks, over the median."""
    spreads = {}
    for cell in cells:
        low, middle, high = np.percentile(list(chain(*cell.blocks().values())), [10, 50, 90])
        if (spread := (high - low) / 2 / middle) > UNSTEADY:
            spreads[cell.label] = spread
    if spreads:
        up_to = "up to " if len(spreads) > 1 else ""
        yield (
            f"step times of {listed(spreads)} spread by {up_to}{max(spreads.values()):.0%}; close "
            "other programs, or try --threads 1, or give it more --rounds"
        )


def _busy(cells: Sequence[Cell]) -> Iterator[str]:
    others = statistics.fmean(_round_mean(cell, "others_share") for cell in cells)
    if others > UNSTEADY:
        yield (
            f"other processes had {others:.0%} of the processors meanwhile; close them, "
            "or measure on a machine of its own"
        )
    own = ((cell.label, _round_mean(cell, "cpu_share")) for cell in cells)
    waited = {label: share for label, share in own if share < 1 - UNSTEADY}
    if waited and all((each.device or "cpu") == "cpu" for cell in cells for each in cell.good):
        yield (
            f"{listed(waited)} had a processor for only {min(waited.values()):.0%} of the time; "
            "the machine is busy: try fewer --threads"
        )


def _round_mean(cell: Cell, name: str) -> float:
    return statistics.fmean(getattr(each, name) or 0.0 for each in cell.good)


def _slowing(cells: Iterable[Cell]) -> Iterator[str]:
    """Whether everything got slower together, as it does when a processor gets hot."""
    changes = []
    for cell in cells:
        times = [statistics.median(each.blocks_us) for each in cell.good]
        if third := len(times) // 3:
            changes.append(statistics.median(times[-third:]) / statistics.median(times[:third]))
    together = statistics.median(changes) if len(changes) > 1 else 1.0
    if together > 1 + DRIFT:
        yield (
            f"the last rounds were {together - 1:.0%} slower than the first, for all alike (a hot "
            "processor, or a busier machine), which leaves ratios as they are; for the times, let "
            "it cool down and measure again"
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
                f"is off by {misses[worst]:.0%} (a cache, or a library that switches its method); "
                "trust the times, not the fit"
            )
