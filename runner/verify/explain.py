"""Why a trajectory is not the reference's, as far as its numbers tell."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..config.settings import Config
from ..errors import listed
from .evidence import Gate, Movement, Trained, Verdict
from .reference import Trajectory

SLOPES_AT_ZERO = (0.0, 0.5, 1.0)  # the slopes at exactly 0 that frameworks give a ReLU


def own_start(trained: Trained, first: Movement, silenced: Movement) -> list[str]:
    """Whether data or start are not those of `cfg.problem()`.

    The start is not where two starts that give the reference two losses give it the same: the
    problem's, and the one with a silenced unit. `first` and `silenced` are the reference's steps.
    """
    if trained.own_problem and len(trained.full.losses):
        return ["it never calls cfg.problem(): data and start are its own"]
    losses, others = trained.step.losses[:1], trained.zero_step.losses[:1]
    alike = len(losses) and np.array_equal(losses, others)
    if alike and abs(silenced.loss / first.loss - 1) > 1e-6:
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
        self.diverged = not np.isfinite(self.trained.full.losses).all()
        counts = {len(self.first.end), len(stepped), len(self.weights or stepped)}
        self.whole = len(counts) == 1 and bool(self.weights or self.diverged)
        self.right_gradient = (self.verdict.gradient or 0) <= (self.verdict.gradient_bound or 0)
        if self.whole:
            start = self.first.start
            self.ours = [b - a for a, b in zip(start, stepped, strict=True)]
            self.theirs = [b - a for a, b in zip(start, self.first.end, strict=True)]

    def reasons(self) -> Iterator[str]:
        """Everything that is wrong, most telling first."""
        if not self.whole:
            yield "does not return the weights it was given"
            return
        same = zip(self.weights, self.first.start, strict=False)
        if self.weights and all(np.array_equal(now, before) for now, before in same):
            yield "does not train: the final weights are the starting weights"
        yield from self.first_loss()
        yield from self.first_update()
        yield from self.departure()
        off, bound = self.verdict.weights, self.verdict.weights_bound
        if off is not None and bound is not None and not off <= bound:
            far = f"off by {off:.1e} of the way they moved" if np.isfinite(off) else "not finite"
            yield f"the final weights are {far}"
        yield from self.in_float32()

    # --- the first step

    def first_loss(self) -> Iterator[str]:
        factor = self.loss_factor()
        if self.float64.departs != 0 or factor is None:
            return
        if meaning := self.meaning(factor):
            yield f"the first loss is {factor:.9g} times the reference's{meaning}"
        else:
            off = self.float64.deviations[0]
            yield f"the first loss is already off, by {off:.1e}: another start or forward pass"

    def first_update(self) -> Iterator[str]:
        at_zero = self.verdict.at_zero
        if not self.right_gradient:
            what = "first update" if self.verdict.reference == "adam" else "gradient"
            yield f"the {what} is off by {self.verdict.gradient or 0:.1e}{self.wrong_update()}"
        if at_zero is not None and at_zero not in SLOPES_AT_ZERO:
            yield f"its slope at exactly 0 is {at_zero:.4g}; a ReLU's is 0, 0.5 or 1"
        if at_zero is None and self.right_gradient:
            yield "no slope at exactly 0 explains its step from a hidden unit that is 0 everywhere"

    def wrong_update(self) -> str:
        """How the first update is off."""
        if (factor := self.update_factor()) is not None:
            meaning = self.meaning(factor) or " (the learning rate, or the scale of the loss)"
            return f": it is {factor:.9g} times the reference's{meaning}"
        if (decay := self.decay()) is not None:
            return f": it has {decay:.3g} times the weights added (weight decay)"
        layers = ["w1", "w2"] if len(self.ours) in (2, 4) else ["w1", "middle", "w2"]
        names = [n for w in layers for n in ((w, f"bias of {w}") if self.config.bias else (w,))]
        wrong = []
        for name, ours, theirs in zip(names, self.ours, self.theirs, strict=True):
            distance, size = np.linalg.norm(ours - theirs), np.linalg.norm(theirs)
            turned = theirs.T if ours.shape == theirs.T.shape else theirs
            if np.linalg.norm(ours - turned) < 1e-9 * size < distance:
                return f": that of {name} is transposed"
            if distance > min(1e-11, (self.verdict.gradient or 0) / 10) * size:
                wrong.append(name)
        return f", in {listed(wrong or ['all'])}"

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

    def departure(self) -> Iterator[str]:
        gate = self.float64
        text = f"the losses leave the band at epoch {gate.departs}"
        if cut := _cut_short(gate, self.trained.full):
            yield cut
        elif gate.departs and not self.right_gradient:
            yield text
        elif gate.departs == 1:
            yield f"{text}, though the gradient is right: the update itself differs"
        elif gate.departs:
            yield f"{text}, after a first step that is right: {_drift(gate.deviations)}"

    def in_float32(self) -> Iterator[str]:
        gate = self.float32
        if gate.departs is not None:
            left = f"the losses leave the band of rounding at epoch {gate.departs}"
            yield f"in float32 {_cut_short(gate, self.trained.single) or left}"


def _flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def _cut_short(gate: Gate, trained: Trajectory) -> str:
    """Whether it leaves the band since its losses end there, or are no longer finite."""
    losses = len(trained.losses)
    if losses == gate.departs:
        return f"it ended after {losses} of {gate.epochs} steps"
    if losses - 1 == gate.departs and not np.isfinite(last := trained.losses[-1]):
        return f"the loss is {last} from epoch {losses - 1} on, the reference's is not"
    return ""


def _drift(deviations: list[float]) -> str:
    finite = np.array([d for d in deviations[1:] if 0 < d < 1e-2])
    if len(finite) >= 8:
        steps = np.arange(1, len(finite) + 1)
        slope = np.polyfit(np.log(steps), np.log(finite), 1)[0]
        if 0.7 < slope < 1.5:
            return "it drifts in proportion to the steps (learning rate, decay or precision)"
    return "state that is carried from step to step (momentum, moments, stale weights)"
