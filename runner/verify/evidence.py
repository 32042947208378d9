"""What is known of one implementation: its trajectories, weights and gradient, and the verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..results.record import FINISHED
from .reference import Trajectory
from .tasks import unpacked


@dataclass
class Trained:
    """The trainings of `tasks.requests`; `error` is the first that one of them ended with."""

    full: Trajectory
    single: Trajectory
    step: Trajectory
    zero_step: Trajectory
    own_problem: bool  # it never called cfg.problem()
    error: dict[str, Any] | None

    @classmethod
    def of(cls, results: Sequence[dict[str, Any]]) -> "Trained":
        full, single, step, zero_step = (
            Trajectory(np.array(each["losses"], dtype=float), unpacked(each["weights"]))
            for each in results
        )
        errors = (each["error"] for each in results if each["outcome"] not in FINISHED)
        own_problem = results[0]["own_problem"]
        return cls(full, single, step, zero_step, own_problem, next(errors, None))


@dataclass
class Gate:
    """One trajectory against its band."""

    dtype: str  # what was computed in
    deviation: float  # the worst relative deviation of a loss in the epochs judged
    bound: float  # the band at that epoch
    departs: int | None  # the first epoch outside the band
    judged: int  # epochs before the band means nothing, or the reference diverges
    epochs: int  # how many were run
    deviations: list[float] = field(default_factory=list, repr=False)  # of every judged loss
    band: list[float] = field(default_factory=list, repr=False)  # what each was held to

    @property
    def inside(self) -> bool:
        return self.departs is None


@dataclass
class Verdict:
    """What is known of one implementation from one start."""

    impl: str
    reference: str  # what it was held to: sgd, adam or dynamic
    start: str  # `common` (the config's settings for all) or `configured` (with its overrides)
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

    def summary(self) -> dict[str, Any]:
        """The verdict as data, without the curves."""
        values = asdict(self)
        for gate in filter(None, (values["float64"], values["float32"])):
            del gate["deviations"], gate["band"]
        return values


@dataclass(frozen=True)
class Movement:
    """From the starting weights to the reference's: what errors in weights are measured by."""

    start: list[np.ndarray]
    end: list[np.ndarray]
    rounding: float = 0.0  # the error that rounding alone can make
    loss: float = float("nan")  # the reference's at the start

    def error(self, weights: Sequence[np.ndarray]) -> float:
        """The norm of the difference in the weights over the norm of the movement."""
        if len(weights) != len(self.end):
            return float("inf")
        moved = norm(a - b for a, b in zip(self.end, self.start, strict=True))
        off = norm(a - b for a, b in zip(weights, self.end, strict=True))
        return off / moved if moved else float(off > 0)


def norm(arrays: Iterable[np.ndarray]) -> float:
    """The Euclidean norm of all their elements together."""
    return float(np.sqrt(sum(float(np.square(a, dtype=float).sum()) for a in arrays)))
