"""Why a trajectory is not the reference's, as far as its numbers tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config.settings import Config
from ..errors import listed
from .evidence import Gate, Movement, Outcome, Trained, Verdict, diverged_at

SLOPES_AT_ZERO = (0.0, 0.5, 1.0)
"""The slopes at exactly 0 that frameworks give a ReLU."""


def own_start(trained: Trained, first: Movement, silenced: Movement) -> list[str]:
    """Whether data or start are not those of `cfg.problem()`.

    The start is not where two starts that give the reference two losses give it the same: the
    problem's, and the one with a silenced unit. `first` and `silenced` are the reference's steps.
    """
    if trained.own_problem and len(trained.full.losses):
        return ["it never calls cfg.problem(): data and start are its own"]
    losses, others = trained.step.losses[:1], trained.zero_step.losses[:1]
    if (
        len(losses)
        and np.array_equal(losses, others)
        and abs(silenced.loss / first.loss - 1) > 1e-6
    ):
        return ["the start is its own: its first loss does not depend on cfg.problem()'s weights"]
    return []


@dataclass
class Findings:
    """What an explanation can draw on; `first` is the reference's first step, at rate 1."""

    config: Config
    verdict: Verdict
    float64: Gate
    float32: Gate
    first: Movement
    trained: Trained

    def __post_init__(self) -> None:
        self.weights, stepped = self.trained.full.weights, self.trained.step.weights
        self.diverged_at = diverged_at(self.trained.full.losses)
        counts = {len(self.first.end), len(stepped), len(self.weights or stepped)}
        self.whole = len(counts) == 1 and (bool(self.weights) or self.diverged_at is not None)
        if self.whole:
            start = self.first.start
            self.ours = [b - a for a, b in zip(start, stepped, strict=True)]
            self.theirs = [b - a for a, b in zip(start, self.first.end, strict=True)]

    def reasons(self) -> list[str]:
        """Everything that is wrong, most telling first; empty if nothing is."""
        if not self.whole:
            return ["does not return the weights it was given"]
        found = [self.not_trained(), self.first_loss(), self.first_update(), self.slope()]
        found += [self.departure(), self.final_weights(), self.in_float32()]
        return [reason for reason in found if reason]

    def not_trained(self) -> str:
        """A run that did not train is no match, however close its losses are."""
        same = zip(self.weights, self.first.start, strict=False)
        if self.weights and all(np.array_equal(now, before) for now, before in same):
            return "does not train: the final weights are the starting weights"
        return ""

    # --- the first step

    def first_loss(self) -> str:
        factor = self.loss_factor()
        if self.float64.departs != 0 or factor is None:
            return ""
        if meaning := self.meaning(factor):
            return f"the first loss is {factor:.9g} times the reference's{meaning}"
        off = self.float64.deviations[0]
        return f"the first loss is already off, by {off:.1e}: another start or forward pass"

    def first_update(self) -> str:
        error = self.verdict.gradient or 0.0
        if self.right_gradient:
            return ""
        what = "first update" if self.verdict.reference == "adam" else "gradient"
        off = f"the {what} is off by {error:.1e}"
        if (factor := self.update_factor()) is not None:
            meaning = self.meaning(factor) or " (the learning rate, or the scale of the loss)"
            return f"{off}: it is {factor:.9g} times the reference's{meaning}"
        if (decay := self.decay()) is not None:
            return f"{off}: it has {decay:.3g} times the weights added (weight decay)"
        parts = []
        for name, a, b in zip(self.names(), self.ours, self.theirs, strict=True):
            distance, size = np.linalg.norm(a - b), np.linalg.norm(b)
            square = a.ndim == 2 and a.shape[0] == a.shape[1]
            if square and np.linalg.norm(a - b.T) < 1e-9 * size < distance:
                return f"{off}: that of {name} is transposed"
            if distance > min(1e-11, error / 10) * size:
                parts.append(name)
        return f"{off}, in {listed(parts) if parts else 'all'}"

    @property
    def right_gradient(self) -> bool:
        return (self.verdict.gradient or 0) <= (self.verdict.gradient_bound or 0)

    def names(self) -> list[str]:
        layers = ["w1", "w2"] if len(self.ours) in (2, 4) else ["w1", "middle", "w2"]
        bias = self.config.bias
        return [name for w in layers for name in ((w, f"bias of {w}") if bias else (w,))]

    def slope(self) -> str:
        at_zero = self.verdict.at_zero
        if at_zero is not None and at_zero not in SLOPES_AT_ZERO:
            return f"its slope at exactly 0 is {at_zero:.4g}; a ReLU's is 0, 0.5 or 1"
        if at_zero is None and self.right_gradient:
            return "no slope at exactly 0 explains its step from a hidden unit that is 0 everywhere"
        return ""

    # --- measured on it

    def loss_factor(self) -> float | None:
        """The first loss over the reference's, if that is another."""
        losses = self.trained.full.losses
        factor = float(losses[0] / self.first.loss) if len(losses) and self.first.loss else np.nan
        return factor if np.isfinite(factor) and abs(factor - 1) > 1e-12 else None

    def update_factor(self) -> float | None:
        """What the reference's first update is multiplied by, if that is all."""
        ours, theirs = _flat(self.ours), _flat(self.theirs)
        factor = float(ours @ theirs / (theirs @ theirs)) if theirs.any() else 0.0
        alike = np.linalg.norm(ours - factor * theirs) <= 1e-11 * np.linalg.norm(ours)
        return factor if alike and abs(factor) >= 1e-15 and f"{factor:.9g}" != "1" else None

    def decay(self) -> float | None:
        """How often the weights are added to the gradient, if that is all."""
        weights, off = _flat(self.first.start), _flat(self.ours) - _flat(self.theirs)
        size = float(-off @ weights / (weights @ weights))
        alike = np.linalg.norm(off + size * weights) < 1e-3 * np.linalg.norm(off)
        return size if alike and abs(size) > 1e-12 else None

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
        if config.momentum:
            meanings[1 - config.momentum] = "momentum as an average where a sum is meant"
        near = (text for value, text in meanings.items() if abs(factor / value - 1) < 1e-9)
        return next((f" ({text})" for text in near), "")

    # --- the whole training

    def departure(self) -> str:
        gate = self.float64
        if cut := _cut_short(gate, self.trained.full):
            return cut
        if not gate.departs:
            return ""
        text = f"the losses leave the band at epoch {gate.departs}"
        if not self.right_gradient:
            return text
        if gate.departs == 1:
            return f"{text}, though the gradient is right: the update itself differs"
        return f"{text}, after a first step that is right: {_drift(gate.deviations)}"

    def final_weights(self) -> str:
        off, bound = self.verdict.weights, self.verdict.weights_bound
        if off is None or bound is None or off <= bound:
            return ""
        if not np.isfinite(off):
            return "the final weights are not finite"
        return f"the final weights are off by {off:.1e} of the way they moved"

    def in_float32(self) -> str:
        gate = self.float32
        if gate.departs is None:
            return ""
        left = f"the losses leave the band of rounding at epoch {gate.departs}"
        return f"in float32 {_cut_short(gate, self.trained.single) or left}"


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
