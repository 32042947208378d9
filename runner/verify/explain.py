"""Why a trajectory is not the reference's, as far as its numbers tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config.settings import Config
from ..errors import listed
from .evidence import Gate, Movement, Outcome, Verdict

SLOPES_AT_ZERO = (0.0, 0.5, 1.0)
"""The slopes at exactly 0 that frameworks give a ReLU."""


@dataclass
class Findings:
    """What an explanation can draw on.

    `own_start` says that it starts from weights of its own, `first` is the reference's first
    step with learning rate 1, `stepped` the implementation's weights after the same step, `full`
    its whole training and `single` that in float32.
    """

    config: Config
    verdict: Verdict
    own_start: list[str]
    first: Movement
    stepped: list[np.ndarray]
    full: Outcome
    single: Outcome

    def updates(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The implementation's and the reference's first update, by weight."""
        ours = [b - a for a, b in zip(self.first.start, self.stepped, strict=True)]
        theirs = [b - a for a, b in zip(self.first.start, self.first.end, strict=True)]
        return ours, theirs


def reasons(findings: Findings) -> list[str]:
    """Everything that is wrong, most telling first; empty if nothing is."""
    if len(findings.full.weights) != len(findings.first.end):
        return ["does not return the weights it was given"]
    if findings.own_start:
        return findings.own_start
    found = [
        _not_trained(findings),
        _start(findings),
        _gradient(findings),
        _slope(findings),
        _departure(findings),
        _weights(findings),
        _single(findings),
    ]
    return [reason for reason in found if reason]


def own_start(step: Outcome, zero_step: Outcome, first: Movement, silenced: Movement) -> list[str]:
    """Whether its first loss is the same from two starts that give the reference two losses.

    The starts are the problem's and the one with a silenced unit; `first` and `silenced` are the
    reference's steps from them.
    """
    same = bool(len(step.losses)) and np.array_equal(step.losses[:1], zero_step.losses[:1])
    if same and abs(silenced.loss / first.loss - 1) > 1e-6:
        return ["the start is its own: its first loss does not depend on cfg.problem()'s weights"]
    return []


def _not_trained(findings: Findings) -> str:
    """A run that did not train is no match, however close its losses are."""
    same = zip(findings.full.weights, findings.first.start, strict=True)
    if all(np.array_equal(now, before) for now, before in same):
        return "does not train: the final weights are the starting weights"
    return ""


def _start(findings: Findings) -> str:
    gate = findings.verdict.float64
    if gate is None or gate.departs != 0 or not len(findings.full.losses):
        return ""
    ours, deviation = findings.full.losses[0], gate.deviations[0]
    for factor, name in _loss_factors(findings.config):
        if abs(ours / (factor * findings.first.loss) - 1) < 1e-9:
            return f"the first loss is {name}"
    return f"the first loss is already off, by {deviation:.1e}: another start or forward pass"


def _loss_factors(config: Config) -> list[tuple[float, str]]:
    count = config.N * config.D_out
    return [
        (1 / count, f"the reference's over N·D_out = {count}: a mean where a sum is meant"),
        (1 / config.N, f"the reference's over N = {config.N}: a mean over examples"),
        (0.5, "half the reference's: a factor ½ in the loss"),
    ]


def _gradient(findings: Findings) -> str:
    verdict = findings.verdict
    if verdict.gradient is None or _right_gradient(verdict):
        return ""
    ours, theirs = findings.updates()
    what = "first update" if findings.verdict.reference == "adam" else "gradient"
    for explanation in (_scaled, _decayed, _transposed):
        if text := explanation(findings, ours, theirs):
            return f"the {what} is off by {verdict.gradient:.1e}: {text}"
    names = _names(findings.config, len(ours))
    off = [
        name
        for name, a, b in zip(names, ours, theirs, strict=True)
        if np.linalg.norm(a - b) > min(1e-11, verdict.gradient / 10) * np.linalg.norm(b)
    ]
    return f"the {what} is off by {verdict.gradient:.1e}, in {listed(off) if off else 'all'}"


def _names(config: Config, count: int) -> list[str]:
    layers = ["w1", "w2"] if count in (2, 4) and not (config.bias and count == 2) else []
    layers = layers or ["w1", "middle", "w2"]
    return [n for w in layers for n in ((w, f"bias of {w}") if config.bias else (w,))][:count]


def _scaled(findings: Findings, ours: list[np.ndarray], theirs: list[np.ndarray]) -> str:
    a, b = (np.concatenate([each.ravel() for each in arrays]) for arrays in (ours, theirs))
    if not b.any():
        return ""
    factor = float(a @ b / (b @ b))
    if (
        abs(factor) < 1e-15
        or f"{factor:.9g}" == "1"
        or np.linalg.norm(a - factor * b) > 1e-11 * np.linalg.norm(a)
    ):
        return ""
    count = findings.config.N * findings.config.D_out
    known = {0.5: "a factor 2 is missing", 2.0: "a factor 2 too many", -1.0: "the sign is wrong"}
    known |= {
        1 / count: "a mean where a sum is meant",
        1 / findings.config.N: "a mean over examples",
    }
    why = next((text for value, text in known.items() if abs(factor / value - 1) < 1e-9), "")
    hint = why or "the learning rate, or the scale of the loss"
    return f"it is {factor:.9g} times the reference's ({hint})"


def _decayed(findings: Findings, ours: list[np.ndarray], theirs: list[np.ndarray]) -> str:
    """Whether the difference is along the weights: weight decay."""
    start = findings.first.start
    difference = np.concatenate([(a - b).ravel() for a, b in zip(ours, theirs, strict=True)])
    weights = np.concatenate([w.ravel() for w in start])
    size = float(-difference @ weights / (weights @ weights))
    left = np.linalg.norm(difference + size * weights)
    if abs(size) > 1e-12 and left < 1e-3 * np.linalg.norm(difference):
        return f"it has {size:.3g} times the weights added (weight decay)"
    return ""


def _transposed(findings: Findings, ours: list[np.ndarray], theirs: list[np.ndarray]) -> str:
    for name, a, b in zip(_names(findings.config, len(ours)), ours, theirs, strict=True):
        square = a.ndim == 2 and a.shape[0] == a.shape[1] and b.any()
        if square and np.linalg.norm(a - b.T) < 1e-9 * np.linalg.norm(b) < np.linalg.norm(a - b):
            return f"that of {name} is transposed"
    return ""


def _right_gradient(verdict: Verdict) -> bool:
    return (verdict.gradient or 0) <= (verdict.gradient_bound or 0)


def _slope(findings: Findings) -> str:
    at_zero = findings.verdict.at_zero
    if at_zero is not None and at_zero not in SLOPES_AT_ZERO:
        return f"its slope at exactly 0 is {at_zero:.4g}; a ReLU's is 0, 0.5 or 1"
    if at_zero is None and _right_gradient(findings.verdict):
        return "no slope at exactly 0 explains its step from a hidden unit that is 0 everywhere"
    return ""


def _cut_short(gate: Gate, outcome: Outcome) -> str:
    """Whether it leaves the band since its losses end there, or are no longer finite."""
    done = len(outcome.losses)
    if done == gate.departs:
        return f"it ended after {done} of {gate.epochs} steps"
    if done - 1 == gate.departs and not np.isfinite(outcome.losses[-1]):
        return f"the loss is {outcome.losses[-1]} from epoch {done - 1} on, the reference's is not"
    return ""


def _departure(findings: Findings) -> str:
    gate = findings.verdict.float64
    if gate is None or gate.departs is None:
        return ""
    if text := _cut_short(gate, findings.full):
        return text
    if gate.departs == 0:
        return ""
    text = f"the losses leave the band at epoch {gate.departs}"
    clean = _right_gradient(findings.verdict)
    if clean and gate.departs == 1:
        return f"{text}, though the gradient is right: the update itself differs"
    if clean:
        return f"{text}, after a first step that is right: {_drift(gate.deviations)}"
    return text


def _drift(deviations: list[float]) -> str:
    finite = np.array([d for d in deviations[1:] if 0 < d < 1e-2])
    if len(finite) >= 8:
        steps = np.arange(1, len(finite) + 1)
        slope = np.polyfit(np.log(steps), np.log(finite), 1)[0]
        if 0.7 < slope < 1.5:
            return "it drifts in proportion to the steps (learning rate, decay or precision)"
    return "state that is carried from step to step (momentum, moments, stale weights)"


def _weights(findings: Findings) -> str:
    verdict = findings.verdict
    if verdict.weights is None or verdict.weights_bound is None:
        return ""
    if verdict.weights <= verdict.weights_bound:
        return ""
    if not np.isfinite(verdict.weights):
        return "the final weights are not finite"
    return f"the final weights are off by {verdict.weights:.1e} of the way they moved"


def _single(findings: Findings) -> str:
    gate = findings.verdict.float32
    if gate is None or gate.departs is None:
        return ""
    if text := _cut_short(gate, findings.single):
        return f"in float32 {text}"
    return f"in float32 the losses leave the band of rounding at epoch {gate.departs}"
