"""Common mistakes as alterations of the reference: one that explains everything is the cause.

An altered reference is trained in place of the plain one, with a band of rounding of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..config.settings import Config
from .explain import Findings
from .reference import BETA1, BETA2, EPSILON, SGD, Adam, Arrays, Gradients, Optimizer

USUAL_MOMENTA = (0.9, 0.99, 0.95, 0.8, 0.5, 0.0)

Betas = tuple[float, float]
Change = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From a weight, its gradient, that of the step before and the sum of all to another gradient."""


@dataclass(frozen=True)
class Hypothesis:
    """A named alteration of the reference.

    Attributes:
        name: its name in JSON.
        sentence: the mistake, in words.
        alter: makes the optimizer from the reference's.
        scale: what the reference's losses are multiplied by.
        dtype: what is computed in where float64 was asked for.
        parameters: their values.
    """

    name: str
    sentence: str
    alter: Callable[[Config, Optimizer], Optimizer] | None = None
    scale: float = 1.0
    dtype: str = "float64"
    parameters: dict[str, float] = field(default_factory=dict, hash=False)


PLAIN = Hypothesis("", "")
"""The reference as it is."""


class Changed:
    """An optimizer that is given other gradients."""

    def __init__(self, plain: Optimizer, change: Change) -> None:
        self.plain, self.change, self.lr = plain, change, plain.lr
        self.last: dict[int, np.ndarray] = {}
        self.sums: dict[int, np.ndarray] = {}

    def step(self, weights: Arrays, gradients: Gradients) -> None:
        changed: Gradients = [None] * len(gradients)
        for i, gradient in enumerate(gradients):
            if gradient is not None:
                last, total = self.last.get(i, gradient), self.sums.get(i, 0) + gradient
                self.last[i], self.sums[i] = gradient, total
                changed[i] = self.change(weights[i], gradient, last, total)
        self.plain.step(weights, changed)


class OtherAdam(Adam):
    """Adam with another epsilon, or another correction for bias: `betas`, None for no correction.

    `hat` adds epsilon before that correction, the epsilon-hat of the paper.
    """

    def __init__(self, lr: float, epsilon: float, hat: bool, betas: Betas | None) -> None:
        super().__init__(lr)
        self.epsilon, self.hat, self.betas = epsilon, hat, betas

    def direction(self, t: int, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        first, second = (1 - beta**t for beta in self.betas) if self.betas else (1.0, 1.0)
        epsilon = self.epsilon / np.sqrt(second) if self.hat else self.epsilon
        return np.asarray(m / first / (np.sqrt(v / second) + epsilon))


def _gradients(
    name: str, sentence: str, change: Change, scale: float = 1.0, **parameters: float
) -> Hypothesis:
    def alter(_: Config, plain: Optimizer) -> Optimizer:
        return Changed(plain, change)

    return Hypothesis(name, sentence, alter, scale, parameters=parameters)


def _adam(
    name: str,
    sentence: str,
    epsilon: float = EPSILON,
    hat: bool = False,
    betas: Betas | None = (BETA1, BETA2),
) -> Hypothesis:
    def alter(cfg: Config, _: Optimizer) -> Optimizer:
        return OtherAdam(cfg.lr, epsilon, hat, betas)

    return Hypothesis(name, f"its Adam {sentence}", alter, parameters={"epsilon": epsilon})


def _momentum(value: float, meant: float) -> Hypothesis:
    def alter(cfg: Config, _: Optimizer) -> Optimizer:
        return SGD(cfg.lr, value)

    sentence = f"its momentum is {value:g}, not {meant:g}"
    return Hypothesis("momentum", sentence, alter, parameters={"momentum": value})


ALWAYS = (
    _gradients("never zeroed", "it never zeroes its gradients", lambda w, g, last, total: total),
    _gradients("stale", "its gradients are of the step before", lambda w, g, last, total: last),
)

KERAS = "has epsilon 1e-7, placed as Keras documents it (epsilon-hat)"
ROUNDED = "and takes its betas in float32 where it corrects for bias"
SINGLE = float(np.float32(BETA1)), float(np.float32(BETA2))
OF_ADAM = (
    _adam("Adam of Keras", KERAS, 1e-7, hat=True),
    _adam("Adam of Keras on TensorFlow", f"{KERAS}, {ROUNDED}", 1e-7, hat=True, betas=SINGLE),
    _adam("Adam with epsilon-hat", "has its epsilon where the paper has epsilon-hat", hat=True),
    _adam("Adam with another epsilon", "has epsilon 1e-7", 1e-7),
    _adam("Adam without correction", "does not correct its moments for bias", betas=None),
)


def possible(findings: Findings) -> Iterator[Hypothesis]:
    """The hypotheses that come into question, those without a measured parameter first."""
    if all(np.array_equal(w, w.astype(np.float32)) for w in findings.full.weights):
        sentence = "it computes in float32 though float64 was asked for"
        yield Hypothesis("float32", sentence, dtype="float32")
    yield from ALWAYS
    if findings.verdict.reference == "adam":
        yield from OF_ADAM
    else:
        yield from (_momentum(value, findings.config.momentum) for value in USUAL_MOMENTA)
    if (decay := findings.decay()) is not None:
        for size in _typed(decay):
            sentence = f"it adds {size:.9g} times the weights to their gradient (weight decay)"
            yield _gradients("weight decay", sentence, _decayed(size), decay=size)
    if (factor := findings.loss_factor()) is not None:
        for each in _typed(factor):
            sentence = f"its loss is {each:.9g} times the reference's{findings.meaning(each)}"
            yield _gradients("scaled loss", sentence, _scaled(each), each, factor=each)
    if (factor := findings.update_factor()) is not None:
        for each in _typed(factor):
            sentence = f"its update is {each:.9g} times the reference's{findings.meaning(each)}"
            yield _gradients("scaled update", sentence, _scaled(each), factor=each)


def _decayed(size: float) -> Change:
    return lambda weight, gradient, *_: gradient + size * weight


def _scaled(factor: float) -> Change:
    return lambda _, gradient, *__: factor * gradient


def _typed(value: float) -> Iterator[float]:
    """A measured value as somebody may have typed it, the shortest first."""
    for tolerance in (1e-5, 1e-8, 0):
        rounded = (float(f"{value:.{digits}g}") for digits in range(1, 18))
        yield next(r for r in rounded if abs(r - value) <= tolerance * abs(value))
