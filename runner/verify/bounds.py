"""Is it the same computation? Training trajectories held against the reference, with bounds.

A right program and the reference differ by rounding alone, and how much rounding comes to is
measured, not guessed: the reference is run again with its sums in permuted orders, programs
that are the same in exact arithmetic. A deviation up to `FACTOR` times their spread is
rounding; one beyond it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ..config.catalogue import REFERENCES
from ..config.plan import Run
from ..config.settings import Config
from ..errors import listed
from ..tables import Table, number
from . import explain, reference
from .evidence import Gate, Movement, Outcome, Verdict, norm, silence_unit
from .reference import Trajectory

FACTOR = 16
"""How many times the spread of the permuted reference runs still counts as rounding."""

FLOOR = 1e-12
"""The least bound on a relative deviation in float64: a few thousand ulp."""

FLOOR_FLOAT32 = 1e-5
"""The same in float32: a hundred ulp."""

GRADIENT_BOUND = 1e-13
"""The bound on the normwise relative error of the first step's gradient, in float64."""

MEANINGLESS = 1e-2
"""A band this wide judges nothing: from there on rounding alone makes that much difference."""

PERMUTATIONS = 8
"""Reference runs whose spread is the measure of rounding."""

LIKE = 1e-3
"""So near to another reference's first update a program may be meant to be that one."""


@dataclass(frozen=True)
class Case:
    """One implementation from one start."""

    run: Run
    start: str
    family: str

    @property
    def config(self) -> Config:
        return self.run.config.with_(dtype="float64")

    def requests(self) -> list[dict[str, Any]]:
        """The trainings that the verdict needs, for `tasks.trainings`.

        In float64 and float32; one step of learning rate 1, whose update is the gradient;
        the same from weights that put the first hidden unit at exactly 0.
        """
        step = self.config.with_(epochs=1, lr=1.0)
        return [
            {"config": self.config.values()},
            {"config": self.config.with_(dtype="float32").values()},
            {"config": step.values()},
            {"config": step.values(), "zero_unit": True},
        ]

    def job(self) -> dict[str, Any]:
        """What to change in the job of a run, so that its process does these trainings."""
        requests, device = self.requests(), self.config.device
        return {"task": "twolayer.verify.tasks:trainings", "requests": requests, "device": device}


def cases(common: Sequence[Run], configured: Sequence[Run]) -> Iterator[Case]:
    """What is to be compared: SGD from one common start, everything as it is configured.

    The two sequences hold the same implementations, without and with their overrides.
    """
    for run, own in zip(common, configured, strict=True):
        family = run.implementation.reference
        if family == "sgd":
            yield Case(run, "common", family)
        if family != "sgd" or _differs(run.config, own.config):
            yield Case(own, "configured", family)


def _differs(one: Config, other: Config) -> bool:
    """Whether two runs differ in more than their length and the type that both give up."""

    def start(config: Config) -> Config:
        return config.with_(dtype="float64", epochs=1, log_every=1)

    return start(one) != start(other)


def judge(case: Case, trained: Sequence[dict[str, Any]], borrowed: str = "") -> Verdict:
    """Hold what an implementation did (see `Case.requests`) against the reference.

    `borrowed` says which work of twolayer's own it passes off as its own, if any.
    """
    verdict = _held(case, trained)
    if (verdict.gradient or 0) > (verdict.gradient_bound or 0):
        verdict.reasons = _other_reference(case, trained, verdict.reasons)
    if borrowed:
        verdict.reasons.insert(0, borrowed)
    verdict.equivalent = not verdict.reasons
    return verdict


def _held(case: Case, trained: Sequence[dict[str, Any]]) -> Verdict:
    verdict = Verdict(case.run.name, case.family, case.start, case.config.values())
    full, full32, step, zero_step = map(Outcome.of, trained)
    first, silenced = one_step(case, 1.0), one_step(case, 1.0, zero_unit=True)
    own_start = explain.own_start(step, zero_step, first, silenced)
    failed = (each["error"] for each in trained if each["outcome"] not in ("ok", "diverged"))
    if error := next(failed, None):
        kind = "" if error["type"] == "ContractError" else f"{error['type']}: "
        verdict.reasons = [f"does not train: {kind}{error['message']}", *own_start]
        return verdict
    verdict.at_zero = slope_at_zero(case, zero_step)
    slope = 1.0 if verdict.at_zero is None else verdict.at_zero
    exact = band(case.config, case.family, slope)
    verdict.float64 = compare(exact, full.losses, FLOOR)
    single = band(case.config.with_(dtype="float32"), case.family, slope)
    verdict.float32 = compare(single, full32.losses, FLOOR_FLOAT32)
    verdict.zeros = {"float64": exact.zeros, "float32": single.zeros}
    first = one_step(case, slope)
    verdict.gradient = first.error(step.weights)
    verdict.gradient_bound = first.rounding
    if exact.weights is not None:
        verdict.weights = exact.weights.error(full.weights)
        verdict.weights_bound = max(FLOOR, FACTOR * exact.weights.rounding)
    findings = explain.Findings(case.config, verdict, own_start, first, step.weights, full, full32)
    verdict.reasons = explain.reasons(findings)
    return verdict


def _other_reference(
    case: Case, trained: Sequence[dict[str, Any]], reasons: list[str]
) -> list[str]:
    """The reasons, beginning with another reference whose first update this is, if there is one.

    Where all is as that reference has it, nothing else is wrong.
    """
    step = Outcome.of(trained[2])
    for family in REFERENCES:
        other = replace(case, family=family)
        if family != case.family and one_step(other, 1.0).error(step.weights) < LIKE:
            line = f'the line REFERENCE = "{family}"'
            if not _held(other, trained).reasons:
                return [f"it is {family} to rounding, in every step: it lacks {line}"]
            return [f"its first update is {family}'s; if {family} is meant, add {line}", *reasons]
    return reasons


@dataclass(frozen=True)
class Band:
    """The reference's losses, and how far rounding alone takes them apart.

    Attributes:
        losses: (epochs,) of the reference in float64.
        spread: (epochs,) the largest relative deviation of any permuted run so far.
        weights: how the weights moved; None if the reference diverged.
        zeros: epochs with an exact zero in front of a ReLU.
    """

    dtype: str
    losses: np.ndarray
    spread: np.ndarray
    weights: Movement | None
    zeros: list[int]


@cache
def band(config: Config, family: str, at_zero: float) -> Band:
    """Run the reference and its permutations. In float32 the permuted runs are in float32."""
    exact = config.with_(dtype="float64")
    centre = reference.train(exact, family, at_zero=at_zero)
    runs = [
        reference.train(config, family, at_zero=at_zero, permutation=seed)
        for seed in range(PERMUTATIONS)
    ]
    deviations = [relative(run.losses, centre.losses) for run in runs]
    spread = np.maximum.accumulate(np.max(deviations, axis=0))
    zeros = sorted({epoch for run in (centre, *runs) for epoch in run.zeros})
    weights = _movement(exact, family, centre, runs)
    return Band(config.dtype, centre.losses, spread, weights, zeros)


def _movement(
    config: Config, family: str, centre: Trajectory, runs: Sequence[Trajectory]
) -> Movement | None:
    if not all(np.isfinite(array).all() for array in (centre.losses, *centre.weights)):
        return None
    start = list(config.problem(middle=family == "dynamic")[2:])
    moved = Movement(start, centre.weights)
    return Movement(start, centre.weights, max(moved.error(run.weights) for run in runs))


def relative(losses: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Relative deviations; infinite where either is not finite."""
    with np.errstate(all="ignore"):
        deviation = np.abs(losses - exact) / np.abs(exact)
    return np.where(np.isfinite(deviation), deviation, np.where(losses == exact, 0, np.inf))


def compare(band: Band, losses: np.ndarray, floor: float) -> Gate:
    """Hold losses against a band, as far as the band means anything."""
    bounds = np.maximum(floor, FACTOR * band.spread)
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
    """The reference's first step with learning rate 1: its movement is minus the gradient."""
    config = case.config.with_(epochs=1, lr=1.0)
    arrays = first_problem(config, case.family, zero_unit=zero_unit)
    done = reference.train(config, case.family, at_zero=at_zero, problem=arrays)
    start = list(arrays[2:])
    moved = norm(a - b for a, b in zip(done.weights, start, strict=True))
    eps = float(np.finfo(float).eps)
    rounding = 4 * eps * norm(start) / moved if moved else 0.0
    return Movement(start, done.weights, max(GRADIENT_BOUND, rounding), float(done.losses[0]))


def first_problem(config: Config, family: str, *, zero_unit: bool) -> tuple[np.ndarray, ...]:
    """The config's problem; with `zero_unit`, the first hidden unit is exactly 0 everywhere."""
    arrays = config.problem(middle=family == "dynamic")
    return silence_unit(arrays, bias=config.bias) if zero_unit else arrays


def slope_at_zero(case: Case, trained: Outcome) -> float | None:
    """Which slope at 0 explains the first step of a silenced unit; None if none does."""

    def error(slope: float) -> float:
        return one_step(case, slope, zero_unit=True).error(trained.weights)

    best = min(explain.SLOPES_AT_ZERO, key=error)
    for slope in (best, measured_slope(case, trained)):
        if error(slope) <= one_step(case, slope, zero_unit=True).rounding:
            return slope
    return None


def measured_slope(case: Case, trained: Outcome) -> float:
    """The slope at 0 that the update of a silenced unit's weights, which start at 0, comes to.

    SGD's update is linear in it; Adam's first, g / (|g| + epsilon), is first undone.
    """
    theirs = one_step(case, 1.0, zero_unit=True).end[0][:, 0]
    ours = trained.weights[0][:, 0] if trained.weights else np.full_like(theirs, np.nan)
    with np.errstate(all="ignore"):
        if case.family == "adam":
            ours, theirs = (update / (1 - abs(update)) for update in (ours, theirs))
        return float(np.median(ours / theirs))


def table(verdicts: Sequence[Verdict]) -> Table:
    """The verdicts as a table, one line each."""
    header = (
        *("implementation", "reference", "start", "loss dev.", "bound", "weights", "bound"),
        *("gradient", "bound", "departs", "at 0", "float32", "verdict"),
    )
    return Table(header, [_row(verdict) for verdict in verdicts], frozenset({0, 1, 2, 11, 12}))


def _row(verdict: Verdict) -> list[str]:
    gate, single = verdict.float64, verdict.float32
    return [
        *(verdict.impl, verdict.reference, verdict.start),
        number(gate.deviation if gate else None, 1),
        number(gate.bound if gate else None, 1),
        *(number(verdict.weights, 1), number(verdict.weights_bound, 1)),
        *(number(verdict.gradient, 1), number(verdict.gradient_bound, 1)),
        "-" if gate is None else "none" if gate.inside else str(gate.departs),
        "?" if verdict.at_zero is None else f"{verdict.at_zero:.4g}",
        "-" if single is None else _single_words(single),
        "equivalent" if verdict.equivalent else "DIFFERENT",
    ]


def _single_words(gate: Gate) -> str:
    if not gate.inside:
        return f"out at {gate.departs}"
    return "inside" if gate.judged == gate.epochs else f"inside to {gate.judged}"


def notes(verdicts: Sequence[Verdict]) -> list[str]:
    """What the table can't say: why something differs, where zeros or rounding decide."""
    lines = [f"{v.impl} ({v.start}): {reason}" for v in verdicts for reason in v.reasons]
    return [*lines, *_zero_notes(verdicts), *_horizon_note(verdicts)]


def _zero_notes(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Where implementations of one start differ in the slope at 0, and a zero occurs."""
    for family in REFERENCES:
        alike = [v for v in verdicts if (v.reference, v.start) == (family, "common")]
        slopes = sorted({v.at_zero for v in alike if v.at_zero is not None})
        for dtype in ("float64", "float32"):
            met = [epoch for v in alike for epoch in v.zeros.get(dtype, ())]
            if met and len(slopes) > 1:
                given = listed(f"{slope:g}" for slope in slopes)
                yield (
                    f"{dtype}: a hidden value is exactly 0 first at epoch {min(met)}; from there "
                    f"on slopes of {given} at 0 part the curves by convention, not by error"
                )


def _horizon_note(verdicts: Sequence[Verdict]) -> Iterator[str]:
    gates = [gate for v in verdicts for gate in (v.float64, v.float32) if gate is not None]
    if any(gate.judged < gate.epochs for gate in gates):
        yield (
            f"inside to N: from epoch N on rounding alone moves the loss by more than "
            f"{MEANINGLESS / FACTOR:.0e}, or training diverges, so nothing is judged there"
        )
