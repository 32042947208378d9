"""Why a trajectory is not the reference's, as far as its numbers tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config.settings import Config
from ..errors import listed
from .evidence import Gate, Movement, Outcome, Verdict

SLOPES_AT_ZERO = (0.0, 0.5, 1.0)
"""The slopes at exactly 0 that frameworks give a ReLU."""

ANOTHER_START = "another start or forward pass"


def own_start(step: Outcome, zero_step: Outcome, first: Movement, silenced: Movement) -> list[str]:
    """Whether data or start are not those of `cfg.problem()`.

    The start is not where two starts that give the reference two losses give it the same: the
    problem's, and the one with a silenced unit. `first` and `silenced` are the reference's steps.
    """
    if step.own_problem:
        return ["it never calls cfg.problem(): data and start are its own"]
    same = bool(len(step.losses)) and np.array_equal(step.losses[:1], zero_step.losses[:1])
    if same and abs(silenced.loss / first.loss - 1) > 1e-6:
        return ["the start is its own: its first loss does not depend on cfg.problem()'s weights"]
    return []


@dataclass
class Findings:
    """What an explanation can draw on.

    `first` is the reference's first step with learning rate 1, `stepped` the implementation's
    weights after the same step, `full` its whole training and `single` that in float32.
    """

    config: Config
    verdict: Verdict
    first: Movement
    stepped: list[np.ndarray]
    full: Outcome
    single: Outcome

    def __post_init__(self) -> None:
        self.whole = len(self.full.weights) == len(self.stepped) == len(self.first.end)
        if self.whole:
            start = self.first.start
            self.ours = [b - a for a, b in zip(start, self.stepped, strict=True)]
            self.theirs = [b - a for a, b in zip(start, self.first.end, strict=True)]

    def reasons(self) -> list[str]:
        """Everything that is wrong, most telling first; empty if nothing is."""
        if not self.whole:
            return ["does not return the weights it was given"]
        found = [
            self.not_trained(),
            self.start(),
            self.gradient(),
            self.slope(),
            self.departure(),
            self.weights(),
            self.float32(),
        ]
        return [reason for reason in found if reason]

    def not_trained(self) -> str:
        """A run that did not train is no match, however close its losses are."""
        same = zip(self.full.weights, self.first.start, strict=True)
        if all(np.array_equal(now, before) for now, before in same):
            return "does not train: the final weights are the starting weights"
        return ""

    # --- the first step

    def start(self) -> str:
        gate, factor = self.verdict.float64, self.loss_factor()
        if gate is None or gate.departs != 0 or factor is None:
            return ""
        if meaning := self.meaning(factor):
            return f"the first loss is {factor:.9g} times the reference's{meaning}"
        return f"the first loss is already off, by {gate.deviations[0]:.1e}: {ANOTHER_START}"

    def loss_factor(self) -> float | None:
        """The first loss over the reference's, if that is another."""
        if not len(self.full.losses) or not self.first.loss:
            return None
        factor = float(self.full.losses[0] / self.first.loss)
        return factor if np.isfinite(factor) and abs(factor - 1) > 1e-12 else None

    def meaning(self, factor: float) -> str:
        """What a factor that is made by a usual mistake comes from."""
        config = self.config
        meanings = {
            0.5: "a factor 2 is missing",
            2.0: "a factor 2 too many",
            -1.0: "the sign is wrong",
            1 / (config.N * config.D_out): "a mean where a sum is meant",
            1 / config.N: "a mean over examples",
        }
        near = (text for value, text in meanings.items() if abs(factor / value - 1) < 1e-9)
        return next((f" ({text})" for text in near), "")

    def gradient(self) -> str:
        verdict = self.verdict
        if verdict.gradient is None or self.right_gradient:
            return ""
        what = "first update" if verdict.reference == "adam" else "gradient"
        off = f"the {what} is off by {verdict.gradient:.1e}"
        if (factor := self.update_factor()) is not None:
            meaning = self.meaning(factor) or " (the learning rate, or the scale of the loss)"
            return f"{off}: it is {factor:.9g} times the reference's{meaning}"
        if (decay := self.decay()) is not None:
            return f"{off}: it has {decay:.3g} times the weights added (weight decay)"
        if name := self.transposed():
            return f"{off}: that of {name} is transposed"
        least = min(1e-11, verdict.gradient / 10)
        parts = [
            name
            for name, a, b in zip(self.names(), self.ours, self.theirs, strict=True)
            if np.linalg.norm(a - b) > least * np.linalg.norm(b)
        ]
        return f"{off}, in {listed(parts) if parts else 'all'}"

    @property
    def right_gradient(self) -> bool:
        return (self.verdict.gradient or 0) <= (self.verdict.gradient_bound or 0)

    def names(self) -> list[str]:
        parts = len(self.ours) // (2 if self.config.bias else 1)
        layers = ["w1", "w2"] if parts == 2 else ["w1", "middle", "w2"]
        return [n for w in layers for n in ((w, f"bias of {w}") if self.config.bias else (w,))]

    def update_factor(self) -> float | None:
        """What the reference's first update is multiplied by, if that is all."""
        ours, theirs = _flat(self.ours), _flat(self.theirs)
        if not theirs.any():
            return None
        factor = float(ours @ theirs / (theirs @ theirs))
        alike = np.linalg.norm(ours - factor * theirs) <= 1e-11 * np.linalg.norm(ours)
        return factor if alike and abs(factor) >= 1e-15 and f"{factor:.9g}" != "1" else None

    def decay(self) -> float | None:
        """How often the weights are added to the gradient, if that is all."""
        weights, off = _flat(self.first.start), _flat(self.ours) - _flat(self.theirs)
        size = float(-off @ weights / (weights @ weights))
        alike = np.linalg.norm(off + size * weights) < 1e-3 * np.linalg.norm(off)
        return size if alike and abs(size) > 1e-12 else None

    def transposed(self) -> str:
        """The weight whose gradient is transposed, if one is."""
        for name, a, b in zip(self.names(), self.ours, self.theirs, strict=True):
            square = a.ndim == 2 and a.shape[0] == a.shape[1] and b.any()
            near = 1e-9 * np.linalg.norm(b)
            if square and np.linalg.norm(a - b.T) < near < np.linalg.norm(a - b):
                return name
        return ""

    def slope(self) -> str:
        at_zero = self.verdict.at_zero
        if at_zero is not None and at_zero not in SLOPES_AT_ZERO:
            return f"its slope at exactly 0 is {at_zero:.4g}; a ReLU's is 0, 0.5 or 1"
        if at_zero is None and self.right_gradient:
            return "no slope at exactly 0 explains its step from a hidden unit that is 0 everywhere"
        return ""

    # --- the whole training

    def departure(self) -> str:
        gate = self.verdict.float64
        if gate is None or gate.departs is None:
            return ""
        if text := _cut_short(gate, self.full):
            return text
        if gate.departs == 0:
            return ""
        text = f"the losses leave the band at epoch {gate.departs}"
        if not self.right_gradient:
            return text
        if gate.departs == 1:
            return f"{text}, though the gradient is right: the update itself differs"
        return f"{text}, after a first step that is right: {_drift(gate.deviations)}"

    def weights(self) -> str:
        off, bound = self.verdict.weights, self.verdict.weights_bound
        if off is None or bound is None or off <= bound:
            return ""
        if not np.isfinite(off):
            return "the final weights are not finite"
        return f"the final weights are off by {off:.1e} of the way they moved"

    def float32(self) -> str:
        gate = self.verdict.float32
        if gate is None or gate.departs is None:
            return ""
        if text := _cut_short(gate, self.single):
            return f"in float32 {text}"
        return f"in float32 the losses leave the band of rounding at epoch {gate.departs}"


def _flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def _cut_short(gate: Gate, outcome: Outcome) -> str:
    """Whether it leaves the band since its losses end there, or are no longer finite."""
    done = len(outcome.losses)
    if done == gate.departs:
        return f"it ended after {done} of {gate.epochs} steps"
    if done - 1 == gate.departs and not np.isfinite(outcome.losses[-1]):
        return f"the loss is {outcome.losses[-1]} from epoch {done - 1} on, the reference's is not"
    return ""


def _drift(deviations: list[float]) -> str:
    finite = np.array([d for d in deviations[1:] if 0 < d < 1e-2])
    if len(finite) >= 8:
        steps = np.arange(1, len(finite) + 1)
        slope = np.polyfit(np.log(steps), np.log(finite), 1)[0]
        if 0.7 < slope < 1.5:
            return "it drifts in proportion to the steps (learning rate, decay or precision)"
    return "state that is carried from step to step (momentum, moments, stale weights)"
