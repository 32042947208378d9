"""From rounds to conclusions: times with intervals, ratios, ranks, limits, fits and doubts."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..config.settings import SIZES, Config
from ..errors import listed
from ..results.rows import counted, grouped
from ..tables import exact
from . import intervals
from .measurement import Bench, Cell, Fit, Interval, Rates

UNSTEADY = 0.10  # a relative spread, or a share of the processors, that calls for a warning
DRIFT = 0.05  # how much slower all may be in the last third of the rounds than in the first
BENT = 0.15  # how far a time may be from the fitted line, relative to it
WORK = (*SIZES, "dtype", "bias", "momentum")  # what the work of a step follows from
FEW_ROUNDS = 5
MOST_NAMED = 4  # implementations that a warning names
BEYOND_CACHE = 5  # times the last-level cache: a step whose traffic is more may wait for memory
MIDDLE_LAYERS = 1.5  # how often DynamicNet's middle layer is applied, on average


def conclude(
    bench: Bench,
    rates: Sequence[dict[str, Any]],
    cut_short: bool = False,
    more: str = "more --rounds",
    warmup_s: float = 2.0,
) -> None:
    """Fill in all that follows from the rounds, and from what each probe says of the rates.

    The cells are put in order: by size, the fastest first, and those that failed last. `more` is
    what would give more rounds.
    """
    if rates:  # the highest that any framework reached: the limit that all are held to
        matmul = {
            statistics.median(rate["matmul_gflops"] for rate in own): by
            for by, own in grouped(rates, lambda rate: rate["matmul_by"]).items()
        }
        copy = max(rate["copy_gb_s"] for rate in rates)
        bench.rates = Rates(max(matmul), matmul[max(matmul)], copy)
    for cell in bench.cells:
        if cell.good:
            _step(cell, bench)
    for size in bench.sizes:
        _compare(bench, bench.at(size))
    bench.cells.sort(key=order)
    bench.fits = list(_fits(bench))
    bench.warnings = list(_warnings(bench, cut_short, more, warmup_s))


def _step(cell: Cell, bench: Bench) -> None:
    """The time of a step, which of the machine's rates it runs into, and how near to it."""
    cell.step_us = intervals.median(cell.blocks())
    cell.flops = cell.good[-1].flops or cell.flops
    cell.gflops = cell.flops / cell.step_us.value / 1e3
    if dispatch := [each.dispatch_us for each in cell.good if each.dispatch_us is not None]:
        cell.dispatch_share = min(1.0, statistics.median(dispatch) / cell.step_us.value)
    attainable, copy = bench.rates.matmul_gflops, bench.rates.copy_gb_s
    if attainable is None or copy is None:
        return
    cell.limit, streamed = "arithmetic", copy * cell.flops / cell.bytes
    uncached = cell.bytes > BEYOND_CACHE * (bench.machine.get("cache_bytes") or 0)
    if uncached and streamed < attainable:
        cell.limit, attainable = "memory", streamed
    cell.share = cell.gflops / attainable
    if cell.share > 1:
        cell.gflops = cell.share = None


def _compare(bench: Bench, cells: Sequence[Cell]) -> None:
    """Ratios to the baseline among cells of one size, and the places they leave open."""
    for base in (cell for cell in cells if cell.label == bench.baseline and cell.good):
        for cell in cells:
            cell.ratio = intervals.paired_ratio(cell.blocks(), base.blocks())
        base.ratio = Interval(1.0, 1.0, 1.0)
    # Nothing is ranked where some had no turn.
    whole = all(cell.rounds for cell in bench.cells)
    ranked = same_work(cells, bench.baseline) if whole and not one_round(bench) else []
    compared = {cell.label: cell.ratio for cell in ranked if cell.ratio}
    ranks = dict(zip(compared, intervals.ranks([*compared.values()]), strict=True))
    for cell in cells:
        cell.rank = ranks.get(cell.label)


def whole_rounds(cells: Sequence[Cell]) -> int:
    """How many rounds have all of the cells, but for those that failed."""
    able = [cell for cell in cells if not cell.failure] or cells
    return min((len(cell.good) for cell in able), default=0)


def one_round(bench: Bench) -> bool:
    """Whether several are compared by one round alone, which leaves open what another would say."""
    several = any(len([c for c in bench.at(size) if c.good]) > 1 for size in bench.sizes)
    return several and whole_rounds(bench.cells) == 1


def order(cell: Cell) -> tuple[float, ...]:
    """By size, then the fastest first, as the ratios say, and those that failed last."""
    times = (each.value if each else math.inf for each in (cell.ratio, cell.step_us))
    return (cell.size or 0, cell.failure is not None, *times)


def same_work(cells: Sequence[Cell], baseline: str | None) -> list[Cell]:
    """The cells whose step times can be ranked: of one size, the most that work and do the same.

    Of equally many, those with plain SGD or with the baseline.
    """
    own = [cell for cell in cells if not cell.revision]
    groups = grouped(own, lambda c: (c.family, *(str(c.config.get(name)) for name in WORK)))
    return max(
        groups.values(),
        key=lambda g: (
            sum(not cell.failure for cell in g),
            g[0].family == "sgd",
            any(cell.label == baseline for cell in g),
        ),
        default=[],
    )


def first_able(cells: Sequence[Cell]) -> str:
    """The label of the first that is ranked and failed at no size, or else of the first."""
    failed = {cell.label for cell in cells if cell.failure}
    able = [c for c in cells if c.size == cells[0].size and c.label not in failed]
    return (same_work(able, None) or cells)[0].label


def fastest(bench: Bench, size: int | None = None) -> list[str]:
    """The labels that may be the fastest, by their ratios to the baseline, the lowest first.

    One if it is certain; several, a tie, where the intervals of these ratios overlap; none if
    nothing was ranked. Of a bench that is scaled, at a size, or at the largest compared.
    """
    best = [cell for cell in bench.cells if cell.ratio and cell.rank and cell.rank[0] == 1]
    if size is None:
        size = max((cell.size for cell in best if cell.size is not None), default=None)
    ratios = {cell.label: cell.ratio.value for cell in best if cell.ratio and cell.size == size}
    return sorted(ratios, key=ratios.__getitem__)


def _fits(bench: Bench) -> Iterator[Fit]:
    for label in (cell.label for cell in bench.at(bench.sizes[-1])):
        cells = [cell for cell in bench.cells if cell.label == label and cell.good and cell.size]
        sizes = [cell.size or 0 for cell in cells]
        if line := intervals.line(sizes, [cell.blocks() for cell in cells]):
            overhead, slope = line
            growth = (cells[-1].flops - cells[0].flops) / (sizes[-1] - sizes[0])
            rate = growth / slope.value / 1e3 if slope.value else 0.0
            beyond = rate > (bench.rates.matmul_gflops or math.inf)
            yield Fit(label, overhead, slope, None if beyond else rate)


# --- what a step has to do at least, from its shapes alone


def flops(cfg: Config, family: str) -> float:
    """Floating-point operations of a step's matrix products: an addition and a product are two.

    What is elementwise (ReLU, loss, update) is left out: it is the lower order.
    """
    middle = cfg.H * MIDDLE_LAYERS if family == "dynamic" else 0
    return 2 * cfg.N * cfg.H * (2 * cfg.D_in + 3 * cfg.D_out + 3 * middle)


def traffic_bytes(cfg: Config, family: str) -> float:
    """The least memory traffic of a step in bytes, if no array stays in a cache between uses."""
    # Once for every product that reads or writes an array; and the update of the weights, which
    # reads and writes them, with their gradients (Adam's has two moments as well).
    weights = cfg.H * (cfg.D_in + cfg.D_out + (cfg.H if family == "dynamic" else 0))
    count = cfg.N * (2 * cfg.D_in + 5 * cfg.H + 4 * cfg.D_out)
    count += (10 if family == "adam" else 6) * weights
    return count * (8 if cfg.dtype == "float64" else 4)


# --- doubts


def _warnings(bench: Bench, cut_short: bool, more: str, warmup_s: float) -> Iterator[str]:
    """What speaks against trusting the numbers, each with something to do about it."""
    cells = [cell for cell in bench.cells if cell.good]
    rounds = whole_rounds(cells)
    if cut_short:
        yield "measuring was stopped early; the rounds until then are used"
    if 0 < rounds < FEW_ROUNDS:
        yield f"{counted(rounds, 'round is', 'rounds are')} few for an interval; give it {more}"
    yield from _other_problems(bench)
    if cells:
        yield from _unsteady(cells, bench.threads, more, warmup_s)
        yield from _slower(cells)
    yield from _bent(bench)


def _other_problems(bench: Bench) -> Iterator[str]:
    """Settings that make the work of a step another, where they are not the same for all."""
    for name in WORK:
        values: dict[str, list[Cell]] = {}
        for cell in bench.at(bench.sizes[0]):
            values.setdefault(exact(cell.config.get(name)), []).append(cell)
        if len(values) > 1:
            shares = (f"{value} for {named(some)}" for value, some in values.items())
            yield (
                f"not the same work, so not all are ranked: {name} is {'; '.join(shares)}; the "
                f"preset bench has one problem for all, and --{name.replace('_', '-')} sets it"
            )


def named(cells: Iterable[Cell]) -> str:
    labels = dict.fromkeys(cell.label for cell in cells)
    return listed(labels) if len(labels) <= MOST_NAMED else f"{len(labels)} implementations"


def _unsteady(cells: Sequence[Cell], threads: int, more: str, warmup_s: float) -> Iterator[str]:
    """Step times that spread or had not settled, and processors that were busy otherwise."""

    def mean(name: str, cell: Cell) -> float:
        return statistics.fmean(getattr(each, name) or 0.0 for each in cell.good)

    on_cpu = all((each.device or "cpu") == "cpu" for cell in cells for each in cell.good)
    fewer = on_cpu and threads > 1
    others = statistics.fmean(mean("others_share", cell) for cell in cells)
    close = "" if others > UNSTEADY else "close other programs, or "  # else a warning of its own
    if wide := [cell for cell in cells if _spread(cell) > UNSTEADY]:
        up_to = "up to " if len(wide) > 1 else ""
        yield (
            f"step times of {named(wide)} spread by {up_to}{max(map(_spread, wide)):.0%}; {close}"
            f"{'try --threads 1, or ' * fewer}give it {more}"
        )
    waited = [cell for cell in cells if mean("cpu_share", cell) < 1 - UNSTEADY]
    if waited and on_cpu:
        busy = f"the machine is busy: {'try fewer --threads' if fewer else 'close other programs'}"
        share = min(mean("cpu_share", cell) for cell in waited)
        yield f"{named(waited)} had a processor for only {share:.0%} of the time; {busy}"
    if faster := [cell for cell in cells if mean("settled", cell) < 0.5]:
        longer = f"allow it more with --warmup {max(2.0, 5 * warmup_s):g}s"
        yield f"{named(faster)} still got faster when warm-up was cut off; {longer}"
    if others > UNSTEADY:
        elsewhere = "close them, or measure on a machine of its own"
        yield f"other processes had {others:.0%} of the processors meanwhile; {elsewhere}"


def _spread(cell: Cell) -> float:
    """Half the range from the 10th to the 90th percentile of the blocks, over the median."""
    low, middle, high = np.percentile(list(chain(*cell.blocks().values())), [10, 50, 90])
    return float((high - low) / 2 / middle)


def _slower(cells: Sequence[Cell]) -> Iterator[str]:
    """Whether all got slower, as when a processor gets hot."""
    changes = []
    for cell in cells:
        times = [statistics.median(each.blocks_us) for each in cell.good]
        if third := len(times) // 3:
            changes.append(statistics.median(times[-third:]) / statistics.median(times[:third]))
    slower = statistics.median(changes) - 1 if len(changes) > 1 else 0.0
    if slower > DRIFT:
        yield (
            f"the last rounds were {slower:.0%} slower than the first, for all alike, which leaves "
            "ratios as they are; for the times, let it cool down and measure again"
        )


def _bent(bench: Bench) -> Iterator[str]:
    for fit in bench.fits:
        cells = [cell for cell in bench.cells if cell.label == fit.label]
        times = {cell.size: cell.step_us.value for cell in cells if cell.size and cell.step_us}
        start, slope = fit.overhead_us.value, fit.slope_us.value
        off, size = max((abs((start + slope * n) / us - 1), n) for n, us in times.items())
        if off > BENT:
            yield (
                f"{fit.label} does not grow along a straight line: at {bench.axis}={size} the fit "
                f"is off by {off:.0%}; trust the times, not the fit"
            )
