"""The verdict on an implementation, its cause if that can be named, and both as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..config.catalogue import REFERENCES
from ..config.plan import Run
from ..errors import listed
from ..tables import Table, number
from . import reference
from .bounds import FACTOR, FLOORS, MEANINGLESS, Case, compare, one_step, relative, slope_at_zero
from .evidence import Gate, Trained, Verdict
from .explain import Findings, own_start
from .hypotheses import Hypothesis, possible

LIKE = 1e-3  # so near to another reference's first update a program may be meant to be that one
FIRST = 8  # a hypothesis is worth a band if so many losses are as near as this:
NEAR = {"float64": 1e-8, "float32": 1e-4}


def cases(common: Sequence[Run], configured: Sequence[Run]) -> Iterator[Case]:
    """What is to be compared: SGD from one common start, everything as it is configured.

    The two sequences hold the same implementations, without and with their overrides.
    """
    free: dict[str, Any] = {"dtype": "float64", "epochs": 1, "log_every": 1}  # no other start
    for run, own in zip(common, configured, strict=True):
        family = run.implementation.reference
        if family == "sgd":
            yield Case(run, "common", family)
        if family != "sgd" or run.config.with_(**free) != own.config.with_(**free):
            yield Case(own, "configured", family)


def judge(case: Case, results: Sequence[dict[str, Any]], borrowed: str = "") -> Verdict:
    """Hold what an implementation did (see `tasks.requests`) against the reference.

    `borrowed` says which work of twolayer's own it passes off as its own, if any.
    """
    verdict, findings = _held(case, Trained.of(results))
    if findings and verdict.reasons and not _cause(case, findings):
        verdict.reasons = [*_other_reference(case, findings), *verdict.reasons]
    verdict.reasons = [borrowed] * bool(borrowed) + verdict.reasons
    verdict.equivalent = not verdict.reasons
    return verdict


def _held(case: Case, trained: Trained) -> tuple[Verdict, Findings | None]:
    """The verdict, and what may explain it: None if it did not train from the common start."""
    verdict = Verdict(case.run.name, case.family, case.start, case.config.values())
    own = own_start(trained, one_step(case, 1.0), one_step(case, 1.0, zero_unit=True))
    if error := trained.error:
        kind = "" if error["type"] == "ContractError" else f"{error['type']}: "
        verdict.reasons = [f"does not train: {kind}{error['message']}", *own]
        return verdict, None
    verdict.at_zero = slope_at_zero(case, trained.zero_step.weights)
    slope = 1.0 if verdict.at_zero is None else verdict.at_zero
    exact, single = case.band(slope), case.band(slope, "float32")
    verdict.float64 = compare(exact, trained.full.losses)
    verdict.float32 = compare(single, trained.single.losses)
    verdict.zeros = {"float64": exact.zeros, "float32": single.zeros}
    first = one_step(case, slope)
    verdict.gradient, verdict.gradient_bound = first.error(trained.step.weights), first.rounding
    if exact.weights is not None:
        verdict.weights = exact.weights.error(trained.full.weights)
        verdict.weights_bound = max(FLOORS[exact.dtype], FACTOR * exact.weights.rounding)
    gates = verdict.float64, verdict.float32
    findings = Findings(case.config, verdict, *gates, first, trained)
    verdict.reasons = own or list(findings.reasons())
    return verdict, None if own else findings


# --- why not


def _other_reference(case: Case, findings: Findings) -> Iterator[str]:
    """What to write where the first update is another reference's."""
    for family in () if findings.right_gradient else REFERENCES:
        other = one_step(replace(case, family=family), 1.0)
        if family != case.family and other.error(findings.trained.step.weights) < LIKE:
            add = f'if {family} is meant, add REFERENCE = "{family}"'
            yield f"its first update is {family}'s; {add}"


def _cause(case: Case, findings: Findings) -> bool:
    """Put one sentence in place of the reasons, if a hypothesis explains all of them."""
    verdict, losses = findings.verdict, findings.trained.full.losses
    for family, hypothesis in possible(findings):
        altered = replace(case, family=family, hypothesis=hypothesis)
        if not _near(altered, findings.trained):
            continue
        held, left = _held(altered, findings.trained)
        if left is None or held.at_zero is None or not set(held.reasons) <= {*left.in_float32()}:
            continue
        gate = left.float64
        finite = np.isfinite(altered.band(held.at_zero).losses).sum()
        together = findings.diverged and finite == len(losses) - 1
        least = FIRST if together or hypothesis.dtype == "float32" else gate.epochs
        if gate.judged >= min(least, gate.epochs):
            verdict.cause = {"name": hypothesis.name, "parameters": hypothesis.parameters}
            verdict.cause["agrees_to"] = max(gate.deviations)
            verdict.at_zero = held.at_zero
            verdict.reasons = [_sentence(hypothesis, gate, together), *held.reasons]
            return True
    return False


def _sentence(hypothesis: Hypothesis, gate: Gate, diverged: bool) -> str:
    epochs = f"over all {gate.epochs} epochs"
    if gate.judged < gate.epochs:
        then = "it diverges with it" if diverged else "rounding decides from there on"
        epochs = f"over {gate.judged} epochs; {then}"
    worst = max(gate.deviations)
    near = f"to {worst:.0e}" if worst else "exactly"
    return f"{hypothesis.sentence}: with that it agrees {near} {epochs}"


def _near(case: Case, trained: Trained) -> bool:
    """Whether an altered reference has this first update, and is near the first losses."""
    first = one_step(case, 1.0)
    if not first.error(trained.step.weights) <= first.rounding:
        return False
    losses = trained.full.losses[:FIRST]
    config = case.config.with_(epochs=len(losses))
    altered = reference.train(config, case.family, alter=case.hypothesis.alter)
    deviations = relative(losses, case.hypothesis.scale * altered.losses)
    return bool(np.all(deviations < NEAR[case.hypothesis.dtype]))


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
    errors = (verdict.weights, verdict.weights_bound, verdict.gradient, verdict.gradient_bound)
    losses = (gate.deviation, gate.bound) if gate else (None, None)
    part = f" to {single.judged}" if single and single.judged < single.epochs else ""
    return [
        *(verdict.impl, verdict.reference, verdict.start),
        *(number(value, 1) for value in (*losses, *errors)),
        "-" if gate is None else "none" if gate.inside else str(gate.departs),
        "?" if verdict.at_zero is None else f"{verdict.at_zero:.4g}",
        "-" if single is None else f"inside{part}" if single.inside else f"out at {single.departs}",
        "equivalent" if verdict.equivalent else "DIFFERENT",
    ]


def notes(verdicts: Sequence[Verdict]) -> list[str]:
    """What the table can't say: why something differs, where zeros or rounding decide."""
    lines = [f"{v.impl} ({v.start}): {reason}" for v in verdicts for reason in v.reasons]
    lines += _zero_notes(verdicts)
    gates = [gate for v in verdicts for gate in (v.float64, v.float32) if gate is not None]
    if any(gate.judged < gate.epochs for gate in gates):
        lines.append(
            f"inside to N: from epoch N on rounding alone moves the loss by more than "
            f"{MEANINGLESS / FACTOR:.0e}, or training diverges, so nothing is judged there"
        )
    return lines


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
