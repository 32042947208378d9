"""The verdict on an implementation, its cause if that can be named, and both in words."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..config.catalogue import REFERENCES
from ..config.plan import Run
from ..errors import listed, one_line
from ..results.record import FINISHED
from ..tables import Table, number
from .bounds import FACTOR, MEANINGLESS, Gate, one_step, relative_deviations
from .explain import Findings, Trained, own_start, trajectory
from .hypotheses import possible
from .reference import Reference

LIKE = 1e-3  # so near to another reference's first update a program may be meant to be that one
FIRST = 8  # a hypothesis is worth a band if so many losses are as near as this:
NEAR = {"float64": 1e-8, "float32": 1e-4}


@dataclass(frozen=True)
class Case:
    """One implementation from one start."""

    run: Run
    start: str  # `common` (the config's settings for all) or `configured` (with its overrides)
    family: str

    @property
    def reference(self) -> Reference:
        return Reference(self.run.config.with_(dtype="float64"), self.family)


@dataclass
class Verdict:
    """What is known of one implementation from one start."""

    impl: str
    reference: str  # what it was held to: sgd, adam or dynamic
    start: str
    config: dict[str, Any]
    equivalent: bool = False
    float64: Gate | None = None  # the trajectory that decides
    float32: Gate | None = None  # the one that informs
    weights: float | None = None  # error of the final weights over how far they moved, normwise
    weights_bound: float | None = None
    gradient: float | None = None  # normwise error of the first gradient (Adam: first update)
    gradient_bound: float | None = None
    at_zero: float | None = None  # the slope at exactly zero that explains its step, if one does
    zeros: dict[str, list[int]] = field(default_factory=dict)  # epochs with an exact zero, by dtype
    reasons: list[str] = field(default_factory=list)  # why not equivalent, most telling first
    cause: dict[str, Any] | None = None  # what explains all of it: name, parameters, agrees_to


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


def judge(
    case: Case, result: Mapping[str, Any], notify: Callable[[str], None] = lambda _: None
) -> Verdict:
    """Hold what came of a case's job (see `tasks.trainings`) against the reference.

    `notify` is told of a search for the cause, which takes long.
    """
    reference = case.reference
    verdict = Verdict(case.run.name, case.family, case.start, reference.config.values())
    if "results" not in result:
        verdict.reasons = [f"does not train: {one_line(result['error'])}"]
        return verdict
    results = result["results"]
    trained = Trained(*map(trajectory, results))
    own = own_start(reference, trained, called=not results[0]["own_problem"])
    errors = [one_line(each["error"]) for each in results if each["outcome"] not in FINISHED]
    if errors:
        verdict.reasons = [f"does not train: {errors[0]}", *own]
    else:
        findings = Findings(reference, trained)
        verdict.float64, verdict.float32 = findings.float64, findings.float32
        verdict.weights, verdict.weights_bound = findings.weights, findings.weights_bound
        verdict.gradient, verdict.gradient_bound = findings.gradient, findings.gradient_bound
        verdict.at_zero, verdict.zeros = findings.at_zero, findings.zeros
        verdict.reasons = own or list(findings.reasons())
        if verdict.reasons and not own:
            notify("looking for the mistake")
            if not _explained(verdict, findings):
                verdict.reasons = [*_other_reference(findings), *verdict.reasons]
    verdict.reasons = [result["borrowed"]] * bool(result["borrowed"]) + verdict.reasons
    verdict.equivalent = not verdict.reasons
    return verdict


# --- why not


def _other_reference(findings: Findings) -> Iterator[str]:
    """What to write where the first update is another reference's."""
    reference = findings.reference
    for family in () if findings.right_gradient else REFERENCES:
        other = one_step(replace(reference, family=family))
        if family != reference.family and other.error(findings.trained.step.weights) < LIKE:
            add = f'if {family} is meant, add REFERENCE = "{family}"'
            yield f"its first update is {family}'s; {add}"


def _explained(verdict: Verdict, findings: Findings) -> bool:
    """Put one sentence in place of the reasons, if a hypothesis explains all of them."""
    trained = findings.trained
    for altered, sentence, cause in possible(findings):
        if not _near(altered, trained):
            continue
        left = Findings(altered, trained)
        gate, rest = left.float64, list(left.reasons())
        if left.at_zero is None or not {*rest} <= {*left.in_float32()}:
            continue
        finite = np.isfinite(left.expected).sum()
        together = findings.diverged and finite == len(trained.full.losses) - 1
        least = FIRST if together or altered.config.dtype == "float32" else gate.epochs
        if gate.judged >= min(least, gate.epochs):
            worst = float(max(gate.deviations))
            verdict.cause, verdict.at_zero = cause | {"agrees_to": worst}, left.at_zero
            near = f"to {worst:.0e}" if worst else "exactly"
            over = _extent(gate, diverged=together)
            verdict.reasons = [f"{sentence}: with that it agrees {near} {over}", *rest]
            return True
    return False


def _extent(gate: Gate, *, diverged: bool) -> str:
    if gate.judged == gate.epochs:
        return f"over all {gate.epochs} epochs"
    then = "it diverges with it" if diverged else "rounding decides from there on"
    return f"over {gate.judged} epochs; {then}"


def _near(altered: Reference, trained: Trained) -> bool:
    """Whether an altered reference has this first update, and is near the first losses."""
    first = one_step(altered)
    if not first.error(trained.step.weights) <= first.bound:
        return False
    losses = trained.full.losses[:FIRST]
    expected = altered.with_(epochs=len(losses), dtype="float64").train().losses
    return bool(np.all(relative_deviations(losses, expected) < NEAR[altered.config.dtype]))


# --- in words


HEADER = (
    *("implementation", "verdict", "start", "deviation", "of bound", "gradient"),
    *("reference", "bound", "weights", "bound", "gradient bound", "departs", "at 0", "float32"),
)
BRIEF = 6  # so many columns are enough for most


def table(verdicts: Sequence[Verdict], *, verbose: bool = True) -> Table:
    """The verdicts, one a line."""
    count = len(HEADER) if verbose else BRIEF
    rows = [_row(verdict)[:count] for verdict in verdicts]
    return Table(HEADER[:count], rows, frozenset({0, 1, 2, 6, 13}))


def _row(verdict: Verdict) -> list[str]:
    gate, single = verdict.float64, verdict.float32
    part = f" to {single.judged}" if single and single.judged < single.epochs else ""
    deviation, bound = (gate.deviation, gate.bound) if gate else (None, None)
    bounds = (bound, verdict.weights, verdict.weights_bound, verdict.gradient_bound)
    return [
        verdict.impl,
        "equivalent" if verdict.equivalent else "differs" if gate else "failed",
        verdict.start,
        number(deviation, 1),
        gate.share if gate else "-",
        number(verdict.gradient, 1),
        verdict.reference,
        *(number(value, 1) for value in bounds),
        "-" if gate is None else "none" if gate.inside else str(gate.departs),
        "?" if verdict.at_zero is None else f"{verdict.at_zero:.4g}",
        "-" if single is None else f"inside{part}" if single.inside else f"out at {single.departs}",
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


def answer(verdicts: Sequence[Verdict], missing: int, *, verbose: bool) -> list[str]:
    """How many are equivalent, and how nearly; or which are not, and why, a line each."""
    starts = Counter(verdict.impl for verdict in verdicts)
    wrong = [verdict for verdict in verdicts if not verdict.equivalent]
    names = dict.fromkeys(verdict.impl for verdict in wrong)
    text = f"{len(starts) - len(names)} of {len(starts)} equivalent"
    if wrong:
        text += f"; {listed(names)} {'are' if len(names) > 1 else 'is'} not"
    elif verdicts:
        text += f": {_how_near(verdicts)}"
    if missing:
        cases = f"interrupted with {missing} of {missing + len(verdicts)} cases missing"
        text = f"{cases}; so far {text}" if verdicts else cases
    return [text, *(_first_reason(each, starts[each.impl] > 1, verbose) for each in wrong)]


def _first_reason(verdict: Verdict, several: bool, verbose: bool) -> str:
    name = f"{verdict.impl} ({verdict.start})" if several else verdict.impl
    more = " (more with --verbose)" * (len(verdict.reasons) > 1 and not verbose)
    return f"{name}: {verdict.reasons[0]}{more}"


def _how_near(verdicts: Sequence[Verdict]) -> str:
    gates = [(gate, verdict.impl) for verdict in verdicts if (gate := verdict.float64)]
    gate, impl = max(gates, key=lambda pair: pair[0].worst)
    judged = min(gate.judged for gate, _ in gates)
    until = f" (judged up to epoch {judged})" * (judged < gate.epochs)
    if not gate.deviation:
        return f"every loss is the reference's, bit for bit{until}"
    name = f"{impl}: " * (len(gates) > 1)
    return f"losses deviate by up to {gate.share} of the bound ({name}{gate.deviation:.1e}){until}"
