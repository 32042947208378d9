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
from .reference import BETA1, BETA2, EPSILON, SGD, Adam, Reference

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
    Mistake(
        "never zeroed",
        "it never zeroes its gradients",
        lambda net, _: replace(net, change=lambda at: at.total),
    ),
    Mistake(
        "stale",
        "its gradients are of the step before",
        lambda net, _: replace(net, change=lambda at: at.last),
    ),
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
        ("sgd", "dynamic"),
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
)
