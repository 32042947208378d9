"""Why a trajectory is not the reference's, as far as its numbers tell."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import listed
from .bounds import SLOPES_AT_ZERO, Gate, band, one_step, slope_at_zero
from .reference import Reference, Trajectory
from .tasks import unpacked


class Trained(NamedTuple):
    """The trainings of `tasks.job`."""

    full: Trajectory
    single: Trajectory
    step: Trajectory
    zero_step: Trajectory


def trajectory(result: dict[str, Any]) -> Trajectory:
    """What `tasks.train_once` returned."""
    return Trajectory(np.array(result["losses"], dtype=float), unpacked(result["weights"]))


def own_start(reference: Reference, trained: Trained, *, called: bool) -> list[str]:
    """Whether data or start are not those of `cfg.problem()`; `called` says if that ever was.

    The start is not where two starts that give the reference two losses give it the same: the
    problem's, and the one with a silenced unit.
    """
    if not called and len(trained.full.losses):
        return ["it never calls cfg.problem(): data and start are its own"]
    losses, others = trained.step.losses[:1], trained.zero_step.losses[:1]
    first, silenced = one_step(reference).loss, one_step(reference, zero_unit=True).loss
    if len(losses) and np.array_equal(losses, others) and abs(silenced / first - 1) > 1e-6:
        return ["the start is its own: its first loss does not depend on cfg.problem()'s weights"]
    return []


class Findings:
    """What was measured against a reference, and what an explanation can draw on."""

    def __init__(self, reference: Reference, trained: Trained) -> None:
        self.reference, self.config, self.trained = reference, reference.config, trained
        self.at_zero = slope_at_zero(reference, trained.zero_step.weights)
        fitted = replace(reference, at_zero=1.0 if self.at_zero is None else self.at_zero)
        exact, single = band(fitted), band(fitted.with_(dtype="float32"))
        self.float64 = Gate(exact, trained.full.losses)
        self.float32 = Gate(single, trained.single.losses)
        self.expected = exact.losses
        self.zeros = {"float64": exact.zeros, "float32": single.zeros}
        self.first = one_step(fitted)
        stepped, final = trained.step.weights, trained.full.weights
        self.gradient, self.gradient_bound = self.first.error(stepped), self.first.bound
        self.right_gradient = self.gradient <= self.gradient_bound
        moved = exact.weights
        self.weights = moved.error(final) if moved else None
        self.weights_bound = moved.bound if moved else None
        self.diverged = not np.isfinite(trained.full.losses).all()
        counts = {len(self.first.end), len(stepped), len(final or stepped)}
        self.whole = len(counts) == 1 and bool(final or self.diverged)
        if self.whole:
            start = self.first.start
            self.ours = [b - a for a, b in zip(start, stepped, strict=True)]
            self.theirs = [b - a for a, b in zip(start, self.first.end, strict=True)]

    def reasons(self) -> Iterator[str]:
        """Everything that is wrong, most telling first."""
        if not self.whole:
            yield "does not return the weights it was given"
            return
        final = self.trained.full.weights
        if final and all(map(np.array_equal, final, self.first.start)):
            yield "does not train: the final weights are the starting weights"
        yield from self.first_loss()
        yield from self.first_update()
        yield from self.departure()
        if self.weights is not None and not self.weights <= (self.weights_bound or 0):
            off = f"off by {self.weights:.1e} of the way they moved"
            yield f"the final weights are {off if np.isfinite(self.weights) else 'not finite'}"
        yield from self.in_float32()

    # --- the first step

    def first_loss(self) -> Iterator[str]:
        factor = self.loss_factor()
        if self.float64.departs == 0 and factor is not None:
            off = f"already off, by {self.float64.deviations[0]:.1e}: another start or forward pass"
            if meaning := self.meaning(factor):
                off = f"{factor:.9g} times the reference's{meaning}"
            yield f"the first loss is {off}"

    def first_update(self) -> Iterator[str]:
        if not self.right_gradient:
            what = "first update" if self.reference.family == "adam" else "gradient"
            yield f"the {what} is off by {self.gradient:.1e}{self.wrong_update()}"
        if self.at_zero is None:
            if self.right_gradient:
                unit = "a hidden unit that is 0 everywhere"
                yield f"no slope at exactly 0 explains its step from {unit}"
        elif self.at_zero not in (*SLOPES_AT_ZERO, self.reference.leak):
            yield f"its slope at exactly 0 is {self.at_zero:.4g}; a ReLU's is 0, 0.5 or 1"

    def wrong_update(self) -> str:
        """How the first update is off."""
        if (factor := self.update_factor()) is not None:
            meaning = self.meaning(factor) or " (the learning rate, or the scale of the loss)"
            return f": it is {factor:.9g} times the reference's{meaning}"
        if (decay := self.decay()) is not None:
            return f": it has {decay:.3g} times the weights added (weight decay)"
        wrong, names = [], self.reference.weights()
        for name, ours, theirs in zip(names, self.ours, self.theirs, strict=True):
            distance, size = np.linalg.norm(ours - theirs), np.linalg.norm(theirs)
            turned = theirs.T if ours.shape == theirs.T.shape else theirs
            if np.linalg.norm(ours - turned) < 1e-9 * size < distance:
                return f": that of {name} is transposed"
            if distance > min(1e-11, self.gradient / 10) * size:
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

    def clipped_to(self, order: float) -> float | None:
        """That norm of the first update, if it is less than the reference's."""
        ours, theirs = (np.linalg.norm(_flat(each), order) for each in (self.ours, self.theirs))
        return float(ours) if 0 < ours < theirs * (1 - 1e-9) else None

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


def _flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def _cut_short(gate: Gate, trained: Trajectory) -> str:
    """Whether it leaves the band since its losses end there, or are no longer finite."""
    losses = len(trained.losses)
    if losses == gate.departs:
        return f"it ended after {losses} of {gate.epochs} steps"
    if losses - 1 == gate.departs and not np.isfinite(last := trained.losses[-1]):
        return f"the loss is {last} from epoch {losses - 1} on, the reference's is not"
    return ""


def _drift(deviations: np.ndarray) -> str:
    finite = deviations[1:][(deviations[1:] > 0) & (deviations[1:] < 1e-2)]
    if len(finite) >= 8:
        steps = np.arange(1, len(finite) + 1)
        slope = np.polyfit(np.log(steps), np.log(finite), 1)[0]
        if 0.7 < slope < 1.5:
            return "it drifts in proportion to the steps (learning rate, decay or precision)"
    return "state that is carried from step to step (momentum, moments, stale weights)"
