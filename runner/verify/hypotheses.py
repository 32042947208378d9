"""Common mistakes as alterations of the reference: one that explains everything is the cause.

An altered reference is trained in place of the plain one, with a band of rounding of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..config.catalogue import REFERENCES
from ..config.settings import Config
from .explain import Findings
from .reference import BETA1, BETA2, EPSILON, SGD, Adam, Optimizer

USUAL_MOMENTA = (0.9, 0.99, 0.95, 0.8, 0.5, 0.0)

Change = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From a weight, its gradient, that of the step before and the sum of all to another gradient."""


@dataclass(frozen=True)
class Hypothesis:
    """A named alteration of the reference."""

    name: str = ""  # in JSON
    sentence: str = ""  # the mistake
    alter: Callable[[Config, Optimizer], Optimizer] | None = None  # another for its optimizer
    scale: float = 1.0  # what the losses are multiplied by
    dtype: str = "float64"  # what is computed in where float64 was asked for
    parameters: dict[str, float] = field(default_factory=dict, hash=False)


PLAIN = Hypothesis()  # the reference as it is


class Changed(Optimizer):
    """An optimizer that is given other gradients."""

    def __init__(self, plain: Optimizer, change: Change) -> None:
        self.plain, self.change = plain, change
        self.last: dict[int, np.ndarray] = {}
        self.sums: dict[int, np.ndarray] = {}

    def updated(self, i: int, weight: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        last, total = self.last.get(i, gradient), self.sums.get(i, 0) + gradient
        self.last[i], self.sums[i] = gradient, total
        return self.plain.updated(i, weight, self.change(weight, gradient, last, total))


def _adam(name: str, sentence: str, **other: Any) -> Hypothesis:
    def alter(cfg: Config, plain: Optimizer) -> Optimizer:
        return Adam(cfg.lr, **other)

    parameters = {"epsilon": other.get("epsilon", EPSILON)}
    return Hypothesis(name, f"its Adam {sentence}", alter, parameters=parameters)


def _changed(name: str, sentence: str, change: Change, **more: Any) -> Hypothesis:
    return Hypothesis(name, sentence, lambda cfg, plain: Changed(plain, change), **more)


SUMS = "it never zeroes its gradients"
STALE = "its gradients are of the step before"
ANY = (
    _changed("never zeroed", SUMS, lambda weight, gradient, last, total: total),
    _changed("stale", STALE, lambda weight, gradient, last, total: last),
)

KERAS = "has epsilon 1e-7, placed as Keras documents it (epsilon-hat)"
ROUNDED = f"{KERAS}, and takes its betas in float32 where it corrects for bias"
SINGLE = float(np.float32(BETA1)), float(np.float32(BETA2))
OF_ADAM = (
    _adam("Adam of Keras", KERAS, epsilon=1e-7, hat=True),
    _adam("Adam of Keras on TensorFlow", ROUNDED, epsilon=1e-7, hat=True, betas=SINGLE),
    _adam("Adam with epsilon-hat", "has its epsilon where the paper has epsilon-hat", hat=True),
    _adam("Adam with another epsilon", "has epsilon 1e-7", epsilon=1e-7),
    _adam("Adam without correction", "does not correct its moments for bias", betas=(0, 0)),
)


def possible(findings: Findings) -> Iterator[tuple[str, Hypothesis]]:
    """The hypotheses that come into question, each with its family, the simplest first."""
    own = findings.verdict.reference
    if findings.whole:  # else another family may have as many weights
        yield from ((own, each) for each in _of_family(own, findings))
    for family in REFERENCES:
        if family != own:
            lacks = f'it lacks the line REFERENCE = "{family}"'
            yield family, Hypothesis("another reference", lacks)
            for each in OF_ADAM if family == "adam" else ():
                yield family, replace(each, sentence=f"{lacks}, and {each.sentence}")


def _of_family(family: str, findings: Findings) -> Iterator[Hypothesis]:
    weights = findings.weights
    if weights and all(np.array_equal(w, w.astype(np.float32)) for w in weights):
        sentence = "it computes in float32 though float64 was asked for"
        yield Hypothesis("float32", sentence, dtype="float32")
    yield from ANY
    if family == "adam":
        yield from OF_ADAM
    else:
        meant = findings.config.momentum
        yield from (_momentum(value, meant) for value in USUAL_MOMENTA if value != meant)
    for size in _typed(findings.decay()):
        sentence = f"it adds {size:.9g} times the weights to their gradient (weight decay)"
        yield _changed("weight decay", sentence, _decayed(size), parameters={"decay": size})
    for what, measured in (("loss", findings.loss_factor()), ("update", findings.update_factor())):
        for factor in _typed(measured):
            sentence = f"its {what} is {factor:.9g} times the reference's{findings.meaning(factor)}"
            scale, parameters = factor if what == "loss" else 1.0, {"factor": factor}
            change = _decayed(0.0, factor)
            yield _changed(f"scaled {what}", sentence, change, scale=scale, parameters=parameters)


def _momentum(value: float, meant: float) -> Hypothesis:
    return Hypothesis(
        "momentum",
        f"its momentum is {value:g}, not {meant:g}",
        lambda cfg, plain: SGD(cfg.lr, value),
        parameters={"momentum": value},
    )


def _decayed(size: float, factor: float = 1.0) -> Change:
    return lambda weight, gradient, last, total: factor * gradient + size * weight


def _typed(value: float | None) -> list[float]:
    """A measured value as somebody may have typed it, the shortest first."""
    if value is None:
        return []
    shorter = [float(f"{value:.{digits}g}") for digits in range(1, 18)]
    return [
        next(typed for typed in shorter if abs(typed - value) <= tolerance * abs(value))
        for tolerance in (1e-5, 1e-8, 0)
    ]
