"""Is it the same computation? Training trajectories held against the reference, with bounds.

A right program and the reference differ by rounding alone, and how much rounding comes to is
measured, not guessed: the reference is run again with its sums in permuted orders, programs
that are the same in exact arithmetic. A deviation up to `FACTOR` times their spread is
rounding; one beyond it is not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from threadpoolctl import threadpool_limits

from .reference import Reference
from .tasks import silence_unit

FACTOR = 16  # how many times the spread of the permuted reference runs still counts as rounding
FLOORS = {"float64": 1e-12, "float32": 1e-5}  # least bounds: a few thousand ulp, and a hundred
GRADIENT_BOUND = 1e-13  # on the normwise relative error of the first gradient, in float64
MEANINGLESS = 1e-2  # a band this wide judges nothing: rounding alone makes that much difference
PERMUTATIONS = 8  # reference runs whose spread is the measure of rounding
SLOPES_AT_ZERO = (0.0, 0.5, 1.0)  # the slopes at exactly 0 that frameworks give a ReLU


@dataclass
class Movement:
    """From the starting weights to the reference's: what errors in weights are measured by."""

    start: Sequence[np.ndarray]
    end: Sequence[np.ndarray]
    loss: float  # the reference's at the start
    bound: float = 0.0  # on the error that rounding alone can make

    def error(self, weights: Sequence[np.ndarray]) -> float:
        """The norm of the difference in the weights over the norm of the movement."""
        if len(weights) != len(self.end):
            return float("inf")
        moved, off = distance(self.end, self.start), distance(weights, self.end)
        return off / moved if moved else float(off > 0)


def distance(weights: Sequence[np.ndarray], others: Iterable[np.ndarray]) -> float:
    """The Euclidean norm of the difference of all their elements."""
    pairs = zip(weights, others, strict=True)
    return float(np.sqrt(sum(float(np.square(a - b, dtype=float).sum()) for a, b in pairs)))


@dataclass
class Band:
    """The reference's losses, and how far rounding alone takes them apart."""

    dtype: str
    losses: np.ndarray  # (epochs,) of the reference in float64
    spread: np.ndarray  # (epochs,) the largest relative deviation of any permuted run so far
    weights: Movement | None  # how the weights moved; None if the reference diverged
    zeros: list[int]  # epochs with an exact zero in front of a ReLU


@dataclass
class Gate:
    """One trajectory held against its band, as far as the band means anything."""

    dtype: str  # what was computed in
    deviation: float  # the worst relative deviation of a loss in the epochs judged
    bound: float  # the band at that epoch
    departs: int | None  # the first epoch outside the band
    judged: int  # epochs before the band means nothing, or the reference diverges
    epochs: int  # how many were run

    def __init__(self, band: Band, losses: np.ndarray) -> None:
        self.dtype, self.epochs = band.dtype, len(band.losses)
        bounds = np.maximum(FLOORS[band.dtype], FACTOR * band.spread)
        beyond = np.flatnonzero((bounds > MEANINGLESS) | ~np.isfinite(band.losses))
        self.judged = int(beyond[0]) if len(beyond) else self.epochs
        known = np.full(self.epochs, np.nan)  # a loss that is missing deviates without bound
        known[: len(losses)] = losses[: self.epochs]
        self.deviations = relative_deviations(known, band.losses)[: self.judged]
        with np.errstate(over="ignore"):
            self.ratios = self.deviations / bounds[: self.judged]
        self.deviation = self.bound = self.worst = 0.0
        if self.judged:
            worst = int(np.argmax(self.ratios))
            arrays = (self.deviations, bounds, self.ratios)
            self.deviation, self.bound, self.worst = (float(each[worst]) for each in arrays)
        outside = np.flatnonzero(self.deviations > bounds[: self.judged])
        self.departs = int(outside[0]) if len(outside) else None

    @property
    def share(self) -> str:
        """The worst deviation over its bound."""
        return f"{100 * self.worst:.2g}%" if self.worst < 10 else ">1000%"

    @property
    def inside(self) -> bool:
        return self.departs is None


@cache
def band(reference: Reference, permutations: int = PERMUTATIONS) -> Band:
    """Run the reference and its permutations. In float32 the permuted runs are in float32."""
    exact = reference.with_(dtype="float64")
    with threadpool_limits(1):  # several threads gain little here, and lose much if others run
        centre = exact.train()
        runs = [reference.train(permutation=seed) for seed in range(permutations)]
    deviations = [relative_deviations(run.losses, centre.losses) for run in runs]
    spread = np.maximum.accumulate(np.max(deviations, axis=0))
    zeros = sorted({epoch for run in (centre, *runs) for epoch in run.zeros})
    weights = None
    if all(np.isfinite(array).all() for array in (centre.losses, *centre.weights)):
        weights = Movement(exact.problem()[2:], centre.weights, float(centre.losses[0]))
        error = max(weights.error(run.weights) for run in runs)
        weights.bound = max(FLOORS[reference.config.dtype], FACTOR * error)
    return Band(reference.config.dtype, centre.losses, spread, weights, zeros)


def relative_deviations(losses: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Relative deviations; infinite where either is not finite."""
    with np.errstate(all="ignore"):
        deviation = np.abs(losses - exact) / np.abs(exact)
    return np.where(np.isfinite(deviation), deviation, np.where(losses == exact, 0, np.inf))


@lru_cache(maxsize=32)  # the many that are altered come only once
def one_step(reference: Reference, *, zero_unit: bool = False) -> Movement:
    """The reference's first step with learning rate 1: its movement is minus the gradient.

    With `zero_unit`, from a start at which the first hidden unit is exactly 0 everywhere.
    """
    exact = reference.with_(epochs=1, lr=1.0, dtype="float64")
    problem = exact.problem()
    if zero_unit:
        silence_unit(problem, bias=exact.config.bias)
    done, start = exact.train(problem=problem), problem[2:]
    moved, size = distance(done.weights, start), distance(start, map(np.zeros_like, start))
    eps = float(np.finfo(reference.config.dtype).eps)
    least = GRADIENT_BOUND * eps / float(np.finfo(float).eps)
    bound = max(least, 4 * eps * size / moved if moved else 0.0)
    return Movement(start, done.weights, float(done.losses[0]), bound)


def slope_at_zero(reference: Reference, weights: Sequence[np.ndarray]) -> float | None:
    """Which slope at 0 explains the first step of a silenced unit; None if none does."""
    usual = *SLOPES_AT_ZERO, reference.leak
    for slope in (*usual, _measured_slope(reference, weights)):
        step = one_step(replace(reference, at_zero=slope), zero_unit=True)
        if step.error(weights) <= step.bound:
            return slope
    return None


def _measured_slope(reference: Reference, weights: Sequence[np.ndarray]) -> float:
    """The slope at 0 that the update of a silenced unit's weights, which start at 0, comes to.

    SGD's update is linear in it; Adam's first, g / (|g| + epsilon), is first undone.
    """
    theirs = one_step(replace(reference, at_zero=1.0), zero_unit=True).end[0][:, 0]
    ours = weights[0][:, 0] if weights else np.full_like(theirs, np.nan)
    with np.errstate(all="ignore"):
        if reference.family == "adam":
            ours, theirs = (update / (1 - abs(update)) for update in (ours, theirs))
        return float(np.median(ours / theirs))
