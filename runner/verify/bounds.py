"""Is it the same computation? Training trajectories held against the reference, with bounds.

A right program and the reference differ by rounding alone, and how much rounding comes to is
measured, not guessed: the reference is run again with its sums in permuted orders, programs
that are the same in exact arithmetic. A deviation up to `FACTOR` times their spread is
rounding; one beyond it is not.
"""

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..config.plan import Run
from ..config.settings import Config
from . import reference, tasks
from .evidence import Gate, Movement, norm
from .explain import SLOPES_AT_ZERO
from .hypotheses import PLAIN, Hypothesis

FACTOR = 16  # how many times the spread of the permuted reference runs still counts as rounding
FLOORS = {"float64": 1e-12, "float32": 1e-5}  # least bounds: a few thousand ulp, and a hundred
GRADIENT_BOUND = 1e-13  # on the normwise relative error of the first gradient, in float64
MEANINGLESS = 1e-2  # a band this wide judges nothing: rounding alone makes that much difference
PERMUTATIONS = 8  # reference runs whose spread is the measure of rounding


@dataclass(frozen=True)
class Case:
    """One implementation from one start."""

    run: Run
    start: str
    family: str
    hypothesis: Hypothesis = PLAIN

    @property
    def config(self) -> Config:
        return self.run.config.with_(dtype="float64")

    def band(self, at_zero: float, dtype: str = "") -> "Band":
        config = self.config.with_(dtype=dtype or self.hypothesis.dtype)
        return band(config, self.family, at_zero, self.hypothesis)

    def job(self) -> dict[str, Any]:
        """What to change in the job of a run, so that its process does these trainings."""
        requests = tasks.requests(self.config)
        return {"task": "twolayer.verify.tasks:trainings", "requests": requests}


@dataclass(frozen=True)
class Band:
    """The reference's losses, and how far rounding alone takes them apart."""

    dtype: str
    losses: np.ndarray  # (epochs,) of the reference in float64
    spread: np.ndarray  # (epochs,) the largest relative deviation of any permuted run so far
    weights: Movement | None  # how the weights moved; None if the reference diverged
    zeros: list[int]  # epochs with an exact zero in front of a ReLU


@cache
def band(
    config: Config,
    family: str,
    at_zero: float,
    hypothesis: Hypothesis = PLAIN,
    permutations: int = PERMUTATIONS,
) -> Band:
    """Run the reference and its permutations. In float32 the permuted runs are in float32."""
    exact = config.with_(dtype="float64")
    train = partial(reference.train, family=family, at_zero=at_zero, alter=hypothesis.alter)
    with threadpool_limits(1):  # several threads gain little here, and lose much if others run
        centre = train(exact)
        runs = [train(config, permutation=seed) for seed in range(permutations)]
    deviations = [relative(run.losses, centre.losses) for run in runs]
    spread = np.maximum.accumulate(np.max(deviations, axis=0))
    zeros = sorted({epoch for run in (centre, *runs) for epoch in run.zeros})
    weights = None
    if all(np.isfinite(array).all() for array in (centre.losses, *centre.weights)):
        start = list(exact.problem(middle=family == "dynamic")[2:])
        moved = Movement(start, centre.weights)
        weights = replace(moved, rounding=max(moved.error(run.weights) for run in runs))
    return Band(config.dtype, hypothesis.scale * centre.losses, spread, weights, zeros)


def relative(losses: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Relative deviations; infinite where either is not finite."""
    with np.errstate(all="ignore"):
        deviation = np.abs(losses - exact) / np.abs(exact)
    return np.where(np.isfinite(deviation), deviation, np.where(losses == exact, 0, np.inf))


def compare(band: Band, losses: np.ndarray) -> Gate:
    """Hold losses against a band, as far as the band means anything."""
    bounds = np.maximum(FLOORS[band.dtype], FACTOR * band.spread)
    beyond = np.flatnonzero((bounds > MEANINGLESS) | ~np.isfinite(band.losses))
    judged = int(beyond[0]) if len(beyond) else len(bounds)
    deviations = np.full(judged, np.inf)  # a loss that is missing deviates without bound
    known = min(judged, len(losses))
    deviations[:known] = relative(losses[:known], band.losses[:known])
    bounds = bounds[:judged]
    outside = np.flatnonzero(deviations > bounds)
    worst = int(np.argmax(deviations / bounds)) if judged else 0
    return Gate(
        dtype=band.dtype,
        deviation=float(deviations[worst]) if judged else 0.0,
        bound=float(bounds[worst]) if judged else 0.0,
        departs=int(outside[0]) if len(outside) else None,
        judged=judged,
        epochs=len(band.losses),
        deviations=deviations.tolist(),
        band=bounds.tolist(),
    )


@cache
def one_step(case: Case, at_zero: float, *, zero_unit: bool = False) -> Movement:
    """The reference's first step with learning rate 1: its movement is minus the gradient.

    With `zero_unit`, from a start at which the first hidden unit is exactly 0 everywhere.
    """
    config = case.config.with_(epochs=1, lr=1.0)
    arrays = config.problem(middle=case.family == "dynamic")
    if zero_unit:
        tasks.silence_unit(arrays, bias=config.bias)
    alter, scale = case.hypothesis.alter, case.hypothesis.scale
    done = reference.train(config, case.family, at_zero=at_zero, problem=arrays, alter=alter)
    start = list(arrays[2:])
    moved = norm(a - b for a, b in zip(done.weights, start, strict=True))
    eps = float(np.finfo(case.hypothesis.dtype).eps)
    least = GRADIENT_BOUND * eps / float(np.finfo(float).eps)
    rounding = max(least, 4 * eps * norm(start) / moved if moved else 0.0)
    return Movement(start, done.weights, rounding, scale * float(done.losses[0]))


def slope_at_zero(case: Case, weights: list[np.ndarray]) -> float | None:
    """Which slope at 0 explains the first step of a silenced unit; None if none does."""
    for slope in (*SLOPES_AT_ZERO, _measured_slope(case, weights)):
        step = one_step(case, slope, zero_unit=True)
        if step.error(weights) <= step.rounding:
            return slope
    return None


def _measured_slope(case: Case, weights: list[np.ndarray]) -> float:
    """The slope at 0 that the update of a silenced unit's weights, which start at 0, comes to.

    SGD's update is linear in it; Adam's first, g / (|g| + epsilon), is first undone.
    """
    theirs = one_step(case, 1.0, zero_unit=True).end[0][:, 0]
    ours = weights[0][:, 0] if weights else np.full_like(theirs, np.nan)
    with np.errstate(all="ignore"):
        if case.family == "adam":
            ours, theirs = (update / (1 - abs(update)) for update in (ours, theirs))
        return float(np.median(ours / theirs))
