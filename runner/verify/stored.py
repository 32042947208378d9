"""Stored losses held against the reference.

The bounds are those of `twolayer verify`, or narrower. The losses are those on disk, in the type
they were computed in, so only the reference is trained again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..config import catalogue
from ..config.settings import Config
from ..errors import UserError
from ..results.record import Record
from ..results.store import whole
from . import bounds
from .bounds import Gate
from .reference import Reference

WORK = 6e11  # floating-point operations that the reference may take in all: about half a minute
STEP_WORK, NUMBER_WORK = 1e6, 1e3  # the same of a step, however small, and of a number to draw
FEW = 2  # permutations that are tried first: a run inside their band is inside that of all, too
SLOPES = (1.0, 0.0, 0.5)

LOWEST, HIGHEST = 1e-4, 1e6  # deviations over their bounds are drawn within these
POINTS = 50

TOO_LONG = "the reference would take too long here; see `twolayer verify`"


@dataclass(frozen=True)
class Judged:
    """A run with its gate or, where there is none, why it was not judged.

    `at_zero` is the slope of the ReLU at 0 that fits; None if no hidden value was exactly 0.
    """

    family: str = ""
    gate: Gate | None = None
    at_zero: float | None = None
    why_not: str = ""

    @property
    def outside(self) -> bool:
        return self.gate is not None and not self.gate.inside

    def points(self) -> list[tuple[float, float]]:
        """(epoch, deviation / bound) where that is highest in each stretch of epochs."""
        if self.gate is None:
            return []
        ratios = np.clip(self.gate.ratios, LOWEST, HIGHEST)
        parts = np.array_split(np.arange(len(ratios)), min(POINTS, len(ratios)))
        epochs = [int(part[np.argmax(ratios[part])]) for part in parts]
        return [(float(epoch), float(ratios[epoch])) for epoch in epochs]


def judge(runs: Sequence[Record]) -> list[Judged]:
    """Hold the losses of each run to the reference, as far as that takes no more than WORK."""
    paid: dict[Reference, float] = {}
    return [_judged(whole(run), paid) for run in runs]


def _judged(record: Record, paid: dict[Reference, float]) -> Judged:
    try:
        reference, changed = _reference(record)
    except UserError as error:
        return Judged(why_not=str(error))
    family = reference.family
    if sum((paid | {reference: _work(reference)}).values()) > WORK:
        return Judged(why_not=TOO_LONG)
    paid[reference] = _work(reference)
    for permutations in (FEW, bounds.PERMUTATIONS):
        gate, at_zero = _gate(np.asarray(record.losses), reference, permutations)
        if gate.inside:
            break
    why_not = "" if gate.judged else "rounding alone decides its losses from the start"
    if changed and not gate.inside:
        why_not = "its source has changed since, and with it perhaps its family"
    return Judged(family, why_not=why_not) if why_not else Judged(family, gate, at_zero)


def _reference(record: Record) -> tuple[Reference, bool]:
    """What it is held to, and whether its source has changed since; UserError says why not."""
    if not record.losses:
        raise UserError("it has no losses")
    try:
        name = record.source if record.source.endswith(".py") else record.impl
        implementation = catalogue.find(name)
        changed = implementation.sources.sha256 != record.source_sha256
    except UserError as error:
        raise UserError("its source is not here any more") from error
    try:
        config = Config(**record.config)
    except (TypeError, ValueError) as error:
        raise UserError("its settings are not those of this twolayer") from error
    reference = Reference(config.with_(epochs=len(record.losses)), implementation.reference)
    alike = reference.with_(log_every=1, device="cpu", threads="auto")  # these make no difference
    return alike, changed


def _work(reference: Reference) -> float:
    """About the operations to train a few: six for each example and weight in a step."""
    config = reference.config
    middle = config.H if reference.family == "dynamic" else 0
    step = 6.0 * config.N * config.H * (config.D_in + config.D_out + middle) + STEP_WORK
    numbers = NUMBER_WORK * config.N * (config.D_in + config.D_out)
    return (FEW + 1) * (numbers + config.epochs * step)


def _gate(losses: np.ndarray, reference: Reference, permutations: int) -> tuple[Gate, float | None]:
    """Against the slope at 0 that fits best; only where a 0 came up does it matter."""
    gates, met = {}, False
    for slope in SLOPES:
        band = bounds.band(replace(reference, at_zero=slope), permutations)
        gate = gates[slope] = Gate(band, losses)
        zero = min(band.zeros, default=gate.epochs)
        met = met or zero < gate.judged
        if gate.departs is None or gate.departs <= zero:
            break
    best = max(gates, key=lambda slope: (gates[slope].inside, gates[slope].departs or 0))
    return gates[best], best if met else None
