"""What is known of one implementation: its trajectories, weights and gradient, and the verdict."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass
class Gate:
    """One trajectory against its band.

    Attributes:
        dtype: what was computed in.
        deviation: the worst relative deviation of a loss in the epochs judged.
        bound: the band at that epoch.
        departs: the first epoch outside the band, or None.
        judged: how many epochs were judged; from there on the band means nothing, or the
            reference has diverged.
        epochs: how many were run.
        deviations: (judged,) the relative deviation of every judged loss.
        band: (judged,) what each was held to.
    """

    dtype: str
    deviation: float
    bound: float
    departs: int | None
    judged: int
    epochs: int
    deviations: list[float] = field(default_factory=list, repr=False)
    band: list[float] = field(default_factory=list, repr=False)

    @property
    def inside(self) -> bool:
        return self.departs is None

    @property
    def words(self) -> str:
        if not self.inside:
            return f"out at {self.departs}"
        return "inside" if self.judged == self.epochs else f"inside to {self.judged}"


@dataclass
class Verdict:
    """What is known of one implementation from one start.

    Attributes:
        reference: the family of the reference it was held to: sgd, adam or dynamic.
        start: `common` (the config's settings for all) or `configured` (with its overrides).
        float64: the trajectory that decides; float32: the one that informs.
        weights: normwise error of the final weights over how far they moved, and its bound.
        gradient: normwise error of the first gradient (Adam: of the first update).
        at_zero: the slope it gives the ReLU at exactly zero; None if none explains its step.
        zeros: epochs in which the reference met an exact zero, by dtype.
        reasons: why it is not equivalent, most telling first; empty if it is.
        cause: what explains all of it, with its parameters and the deviation that is left.
    """

    impl: str
    reference: str
    start: str
    config: dict[str, Any]
    equivalent: bool = False
    float64: Gate | None = None
    float32: Gate | None = None
    weights: float | None = None
    weights_bound: float | None = None
    gradient: float | None = None
    gradient_bound: float | None = None
    at_zero: float | None = None
    zeros: dict[str, list[int]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    cause: dict[str, Any] | None = None

    def summary(self) -> dict[str, Any]:
        """The verdict as data, without the curves."""
        values = asdict(self)
        for gate in ("float64", "float32"):
            if values[gate]:
                del values[gate]["deviations"], values[gate]["band"]
        return values


@dataclass
class Outcome:
    """Losses and weights of one training, as they came back from its process."""

    losses: np.ndarray
    weights: list[np.ndarray]


@dataclass
class Trained:
    """The trainings of `Case.requests`; `error` is the first that one of them ended with.

    `own_problem` says that it never called `cfg.problem()`.
    """

    full: Outcome
    single: Outcome
    step: Outcome
    zero_step: Outcome
    own_problem: bool
    error: dict[str, Any] | None

    @classmethod
    def of(cls, results: Sequence[dict[str, Any]]) -> Trained:
        full, single, step, zero_step = (
            Outcome(np.array([float(loss) for loss in each["losses"]]), unpack(each["weights"]))
            for each in results
        )
        errors = (each["error"] for each in results if each["outcome"] not in ("ok", "diverged"))
        own_problem = results[0]["own_problem"]
        return cls(full, single, step, zero_step, own_problem, next(errors, None))


def pack(arrays: Sequence[np.ndarray]) -> str:
    """Arrays as text, exactly."""
    file = io.BytesIO()
    np.savez(file, *arrays)
    return base64.b64encode(file.getvalue()).decode()


def unpack(packed: str) -> list[np.ndarray]:
    """The arrays that `pack` packed."""
    return [*np.load(io.BytesIO(base64.b64decode(packed))).values()]


def silence_unit(arrays: tuple[np.ndarray, ...], *, bias: bool) -> tuple[np.ndarray, ...]:
    """The same problem with the weights and the bias of the first hidden unit set to 0."""
    arrays[2][:, 0] = 0
    if bias:
        arrays[3][0] = 0
    return arrays


@dataclass(frozen=True)
class Movement:
    """From the starting weights to the reference's: what errors in weights are measured by.

    `rounding` is the error that rounding alone can make, `loss` the reference's at the start.
    """

    start: list[np.ndarray]
    end: list[np.ndarray]
    rounding: float = 0.0
    loss: float = float("nan")

    def error(self, weights: Sequence[np.ndarray]) -> float:
        """The norm of the difference in the weights over the norm of the movement."""
        moved = norm(a - b for a, b in zip(self.end, self.start, strict=True))
        if len(weights) != len(self.end):
            return float("inf")
        off = norm(a - b for a, b in zip(weights, self.end, strict=True))
        return off / moved if moved else float(off > 0)


def diverged_at(losses: np.ndarray) -> int | None:
    """The first epoch whose loss is not finite."""
    return next(iter(np.flatnonzero(~np.isfinite(losses)).tolist()), None)


def norm(arrays: Iterable[np.ndarray]) -> float:
    """The Euclidean norm of all their elements together."""
    return float(np.sqrt(sum(float(np.square(a, dtype=float).sum()) for a in arrays)))
