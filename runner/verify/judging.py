"""The verdict on an implementation, its cause if that can be named, and both as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..config.catalogue import FAMILIES
from ..config.plan import Run
from ..config.settings import Config
from ..errors import listed
from ..tables import Table, number
from . import reference
from .bounds import FACTOR, FLOORS, MEANINGLESS, Case, compare, one_step, relative, slope_at_zero
from .evidence import Gate, Outcome, Verdict
from .explain import Findings, own_start
from .hypotheses import Hypothesis, possible

LIKE = 1e-3
"""So near to another reference's first update a program may be meant to be that one."""

FIRST, NEAR = 8, 1e-4
"""A hypothesis is worth a band if so many losses deviate by no more."""


def cases(common: Sequence[Run], configured: Sequence[Run]) -> Iterator[Case]:
    """What is to be compared: SGD from one common start, everything as it is configured.

    The two sequences hold the same implementations, without and with their overrides.
    """
    for run, own in zip(common, configured, strict=True):
        family = run.implementation.family
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
    verdict, findings = _held(case, trained)
    if findings and verdict.reasons:
        _name_cause(case, trained, verdict, findings)
        if not verdict.cause and not findings.right_gradient:
            verdict.reasons = _other_reference(case, trained, verdict.reasons)
    if borrowed:
        verdict.reasons.insert(0, borrowed)
    verdict.equivalent = not verdict.reasons
    return verdict


def _held(case: Case, trained: Sequence[dict[str, Any]]) -> tuple[Verdict, Findings | None]:
    """The verdict, and what may explain it: None if it did not train from the common start."""
    verdict = Verdict(case.run.name, case.family, case.start, case.config.values())
    full, full32, step, zero_step = map(Outcome.of, trained)
    own = own_start(step, zero_step, one_step(case, 1.0), one_step(case, 1.0, zero_unit=True))
    failed = (each["error"] for each in trained if each["outcome"] not in ("ok", "diverged"))
    if error := next(failed, None):
        kind = "" if error["type"] == "ContractError" else f"{error['type']}: "
        verdict.reasons = [f"does not train: {kind}{error['message']}", *own]
        return verdict, None
    verdict.at_zero = slope_at_zero(case, zero_step)
    slope = 1.0 if verdict.at_zero is None else verdict.at_zero
    exact, single = case.band(slope), case.band(slope, "float32")
    verdict.float64 = compare(exact, full.losses)
    verdict.float32 = compare(single, full32.losses)
    verdict.zeros = {"float64": exact.zeros, "float32": single.zeros}
    first = one_step(case, slope)
    verdict.gradient = first.error(step.weights)
    verdict.gradient_bound = first.rounding
    if exact.weights is not None:
        verdict.weights = exact.weights.error(full.weights)
        verdict.weights_bound = max(FLOORS[exact.dtype], FACTOR * exact.weights.rounding)
    findings = Findings(case.config, verdict, first, step.weights, full, full32)
    verdict.reasons = own or findings.reasons()
    return verdict, None if own or not findings.whole else findings


# --- why not


def _other_reference(
    case: Case, trained: Sequence[dict[str, Any]], reasons: list[str]
) -> list[str]:
    """The reasons, beginning with another reference whose first update this is, if there is one.

    Where all is as that reference has it, nothing else is wrong.
    """
    step = Outcome.of(trained[2])
    for family in FAMILIES:
        other = replace(case, family=family)
        if family != case.family and one_step(other, 1.0).error(step.weights) < LIKE:
            line = f'the line FAMILY = "{family}"'
            if not _held(other, trained)[0].reasons:
                return [f"it is {family} to rounding, in every step: it lacks {line}"]
            return [f"its first update is {family}'s; if {family} is meant, add {line}", *reasons]
    return reasons


def _name_cause(
    case: Case, trained: Sequence[dict[str, Any]], verdict: Verdict, findings: Findings
) -> None:
    """Put a hypothesis in place of the reasons, if one explains all of them."""
    for hypothesis in possible(findings):
        altered = replace(case, hypothesis=hypothesis)
        if not _near(altered, trained):
            continue
        held, left = _held(altered, trained)
        gate = held.float64
        if gate is None or left is None or not set(held.reasons) <= {left.float32()}:
            continue
        if gate.judged == gate.epochs or hypothesis.dtype == "float32":
            agrees = max(gate.deviations, default=0.0)
            verdict.cause = {
                "name": hypothesis.name,
                "parameters": hypothesis.parameters,
                "agrees_to": agrees,
            }
            verdict.at_zero = held.at_zero
            verdict.reasons = [_sentence(hypothesis, gate, agrees), *held.reasons]
            return


def _near(case: Case, trained: Sequence[dict[str, Any]]) -> bool:
    """Whether an altered reference has this first update, and is near the first losses."""
    step, first = Outcome.of(trained[2]), one_step(case, 1.0)
    if not first.error(step.weights) <= first.rounding:
        return False
    config = case.config.with_(epochs=min(FIRST, case.config.epochs))
    done = reference.train(config, case.family, alter=case.hypothesis.alter)
    losses = Outcome.of(trained[0]).losses[: config.epochs]
    exact = case.hypothesis.scale * done.losses[: len(losses)]
    return bool(len(losses)) and bool(np.all(relative(losses, exact) < NEAR))


def _sentence(hypothesis: Hypothesis, gate: Gate, agrees: float) -> str:
    epochs = f"over all {gate.epochs} epochs"
    if gate.judged < gate.epochs:
        epochs = f"over {gate.judged} epochs, from where on rounding decides"
    agrees_to = f"to {agrees:.0e}" if agrees else "exactly"
    return f"{hypothesis.sentence}: with that it agrees {agrees_to} {epochs}"


# --- as a table


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
    for family in FAMILIES:
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
