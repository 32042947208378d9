"""Common mistakes as alterations of the reference: one that explains everything is the cause.

The altered reference is trained in place of the plain one, with a band of rounding of its own.
A mistake is a row of MISTAKES.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..config.catalogue import REFERENCES
from .explain import Findings
from .reference import BETA1, BETA2, EPSILON, SGD, Adam, Named, Reference

Values = Callable[[Findings], Iterable[float]]


@dataclass(frozen=True)
class Mistake:
    """A named alteration of the reference, with the values that its parameter may have.

    A mistake without a parameter has one value, of no meaning; one that can't be has none.
    One of a single family is also tried where another family is claimed.
    """

    name: str  # in JSON
    sentence: str  # {value} is the parameter, {meaning} what a factor of that comes from
    alter: Callable[[Reference, float], Reference]
    parameter: str = ""  # its name in JSON
    values: Values = lambda findings: (0.0,)
    families: tuple[str, ...] = REFERENCES


def possible(findings: Findings) -> Iterator[tuple[Reference, str, dict[str, Any]]]:
    """The altered references that come into question, each with its sentence and its cause."""
    own = findings.reference.family
    for family in sorted(REFERENCES, key=lambda family: family != own):
        plain, prefix = replace(findings.reference, family=family), ""
        if family != own:
            prefix = f'it lacks the line REFERENCE = "{family}"'
            yield plain, prefix, {"name": "another reference", "parameters": {}}
            prefix += ", and "
        elif not findings.whole:  # but another family may have as many weights
            continue
        for row in MISTAKES:
            if row.families == (family,) or (family == own and family in row.families):
                for value in row.values(findings):
                    words = {"value": value, "meaning": findings.meaning(value)}
                    sentence = prefix + row.sentence.format(**words, config=findings.config)
                    parameters = {row.parameter: value} if row.parameter else {}
                    cause = {"name": row.name, "parameters": parameters}
                    yield row.alter(plain, value), sentence, cause


# --- values that a parameter may have


def _if_single(findings: Findings) -> list[float]:
    """A value only where the final weights are all float32 numbers."""
    weights = findings.trained.full.weights
    same = [np.array_equal(weight, weight.astype(np.float32)) for weight in weights]
    return [0.0] if same and all(same) else []


def _typed(measure: Callable[[Findings], float | None]) -> Values:
    """A measured value as somebody may have typed it, the shortest first."""

    def values(findings: Findings) -> Iterator[float]:
        if (value := measure(findings)) is not None:
            shorter = [float(f"{value:.{digits}g}") for digits in range(1, 18)]
            for off in (1e-5 * abs(value), 1e-8 * abs(value), 0):
                yield next(typed for typed in shorter if abs(typed - value) <= off)

    return values


# --- the mistakes, the simplest first


def _adam(name: str, sentence: str, epsilon: float = EPSILON, **options: Any) -> Mistake:
    """Another Adam; the parameter is its epsilon."""

    def alter(net: Reference, value: float) -> Reference:
        return replace(net, optimizer=partial(Adam, epsilon=value, **options))

    return Mistake(name, f"its Adam {sentence}", alter, "epsilon", lambda _: (epsilon,), ("adam",))


def _net(name: str, sentence: str, **fields: Any) -> Mistake:
    """A reference with other fields, which have no parameter."""
    return Mistake(name, sentence, lambda net, _: replace(net, **fields))


def _slowed(name: str, sentence: str, rate: Callable[[float], float]) -> Mistake:
    """A learning rate that changes with the part of the epochs that are done."""

    def alter(net: Reference, _: float) -> Reference:
        return replace(net, rate=lambda step: float(rate(step / net.config.epochs)))

    return Mistake(name, sentence, alter)


def _norm_clipped(gradients: Named, limit: float, least: float) -> Named:
    size = np.sqrt(sum(np.square(gradient).sum() for gradient in gradients.values()))
    factor = min(1.0, limit / (float(size) + least))
    return {name: factor * gradient for name, gradient in gradients.items()}


def _clipped(name: str, sentence: str, order: float, clip: Callable[..., Named]) -> Mistake:
    def alter(net: Reference, limit: float) -> Reference:
        return replace(net, clip=partial(clip, limit=limit))

    values = _typed(lambda findings: findings.clipped_to(order))
    return Mistake(name, sentence, alter, "limit", values, GRADIENT)


GRADIENT = ("sgd", "dynamic")  # the references whose first update is the gradient
KERAS = "has epsilon 1e-7, placed as Keras documents it (epsilon-hat)"
ROUNDED = f"{KERAS}, and takes its betas in float32 where it corrects for bias"
SINGLE = float(np.float32(BETA1)), float(np.float32(BETA2))

MISTAKES = (
    Mistake(
        "float32",
        "it computes in float32 though float64 was asked for",
        lambda net, _: net.with_(dtype="float32"),
        values=_if_single,
    ),
    _net("never zeroed", "it never zeroes its gradients", change=lambda at: at.total),
    _net("stale", "its gradients are of the step before", change=lambda at: at.last),
    _adam("Adam of Keras", KERAS, 1e-7, hat=True),
    _adam("Adam of Keras on TensorFlow", ROUNDED, 1e-7, hat=True, betas=SINGLE),
    _adam("Adam with epsilon-hat", "has its epsilon where the paper has epsilon-hat", hat=True),
    _adam("Adam with another epsilon", "has epsilon 1e-7", 1e-7),
    _adam("Adam without correction", "does not correct its moments for bias", betas=(0, 0)),
    Mistake(
        "momentum",
        "its momentum is {value:g}, not {config.momentum:g}",
        lambda net, value: replace(net, optimizer=partial(SGD, momentum=value)),
        "momentum",
        lambda findings: {0.9, 0.99, 0.95, 0.8, 0.5, 0.0} - {findings.config.momentum},
        GRADIENT,
    ),
    Mistake(
        "Nesterov",
        "its momentum is Nesterov's",
        lambda net, _: replace(net, optimizer=partial(SGD, nesterov=True)),
        values=lambda findings: [0.0] * bool(findings.config.momentum),
        families=GRADIENT,
    ),
    Mistake(
        "dampening",
        "it dampens its momentum by {value:g}",
        lambda net, value: replace(net, optimizer=partial(SGD, dampening=value)),
        "dampening",
        lambda findings: (
            {findings.config.momentum, 0.9, 0.5, 0.1} if findings.config.momentum else ()
        ),
        GRADIENT,
    ),
    _net("no ReLU", "it has no ReLU", leak=1.0),
    _net(
        "no mask", "its gradient passes the ReLU where the hidden value is below 0", slopes=(1, 1)
    ),
    _net("wrong mask", "its gradient passes the ReLU only where it must not", slopes=(1, 0)),
    _net("last layer only", "it trains only the last layer", slopes=(0, 0)),
    Mistake(
        "leaky ReLU",
        "its ReLU is leaky, with slope {value:g} below 0",
        lambda net, value: replace(net, leak=value),
        "slope",
        lambda _: (0.01, 0.1, 0.2, 0.3, 0.05),
    ),
    _net("early update", "it updates w2 before it takes the gradient of w1", early=True),
    _net("late loss", "its losses are those after the update", late=True),
    Mistake(
        "AdamW",
        "it decays its weights by {value:.9g} times the learning rate (AdamW)",
        lambda net, value: replace(net, optimizer=partial(Adam, decay=value)),
        "decay",
        lambda _: (0.01, 0.1, 0.05, 0.004, 1e-3, 1e-4),
        ("adam",),
    ),
    Mistake(
        "weight decay",
        "it adds {value:.9g} times the weights to their gradient (weight decay)",
        lambda net, value: replace(net, change=lambda at: at.gradient + value * at.weight),
        "decay",
        _typed(Findings.decay),
    ),
    Mistake(
        "scaled loss",
        "its loss is {value:.9g} times the reference's{meaning}",
        lambda net, value: replace(net, change=lambda at: value * at.gradient, scale=value),
        "factor",
        _typed(Findings.loss_factor),
    ),
    Mistake(
        "scaled update",
        "its update is {value:.9g} times the reference's{meaning}",
        lambda net, value: replace(net, change=lambda at: value * at.gradient),
        "factor",
        _typed(Findings.update_factor),
    ),
    _clipped(
        "clipped values",
        "it clips the values of its gradient to {value:.9g}",
        np.inf,
        lambda gradients, limit: {k: np.clip(v, -limit, limit) for k, v in gradients.items()},
    ),
    _clipped(
        "clipped norm",
        "it clips the norm of its gradient to {value:.9g}",
        2,
        partial(_norm_clipped, least=0),
    ),
    _clipped(
        "clipped norm of PyTorch",
        "it clips the norm of its gradient to {value:.9g}, as PyTorch does (plus 1e-6)",
        2,
        partial(_norm_clipped, least=1e-6),
    ),
    Mistake(
        "decaying learning rate",
        "it multiplies its learning rate by {value:g} after each step",
        lambda net, value: replace(net, rate=lambda step: value**step),
        "factor",
        lambda _: (0.9, 0.95, 0.99, 0.995, 0.999, 0.9999),
    ),
    _slowed("linear learning rate", "its learning rate falls linearly to 0", lambda done: 1 - done),
    _slowed(
        "cosine learning rate",
        "its learning rate falls to 0 by a cosine",
        lambda done: (1 + np.cos(np.pi * done)) / 2,
    ),
)
