"""Stored losses held against the reference.

The bounds are those of `twolayer verify`, or narrower. The losses are those on disk, in the type
they were computed in, so only the reference is trained again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..config import catalogue
from ..config.settings import Config
from ..errors import UserError
from ..results.record import Record
from ..results.store import whole
from . import bounds
from .evidence import Gate

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
        ratios = np.asarray(self.gate.deviations) / np.asarray(self.gate.band)
        ratios = np.clip(ratios, LOWEST, HIGHEST)
        parts = np.array_split(np.arange(len(ratios)), min(POINTS, len(ratios)))
        epochs = [int(part[np.argmax(ratios[part])]) for part in parts]
        return [(float(epoch), float(ratios[epoch])) for epoch in epochs]


def judge(runs: Sequence[Record]) -> list[Judged]:
    """Hold the losses of each run to the reference, as far as that takes no more than WORK."""
    left = WORK
    paid: set[tuple[Config, str]] = set()
    judged = []
    for run in runs:
        record = whole(run)
        verdict = _settings(record)
        if not isinstance(verdict, Judged):
            config, family, changed = verdict
            work = 0.0 if (config, family) in paid else (FEW + 1) * _work(config, family)
            verdict = Judged(why_not=TOO_LONG)
            if work <= left:
                left -= work
                paid.add((config, family))
                verdict = _judged(record.losses, config, family, changed=changed)
        judged.append(verdict)
    return judged


def _settings(record: Record) -> tuple[Config, str, bool] | Judged:
    """What the reference has to do with, its family, and whether the source has changed since."""
    if not record.losses:
        return Judged(why_not="it has no losses")
    try:
        name = record.source if record.source.endswith(".py") else record.impl
        implementation = catalogue.find(name)
        changed = implementation.sources.sha256 != record.source_sha256
        config = Config(**record.config)
    except UserError:
        return Judged(why_not="its source is not here any more")
    except (TypeError, ValueError):
        return Judged(why_not="its settings are not those of this twolayer")
    try:
        family = implementation.reference
    except UserError as error:
        return Judged(why_not=str(error))
    alike = config.with_(log_every=1, device="cpu", threads="auto")  # these make no difference
    return alike.with_(epochs=len(record.losses)), family, changed


def _work(config: Config, family: str) -> float:
    """About the operations of a training: six for each example and weight in a step."""
    middle = config.H if family == "dynamic" else 0
    step = 6.0 * config.N * config.H * (config.D_in + config.D_out + middle) + STEP_WORK
    return NUMBER_WORK * config.N * (config.D_in + config.D_out) + config.epochs * step


def _judged(losses: list[float], config: Config, family: str, *, changed: bool) -> Judged:
    for permutations in (FEW, bounds.PERMUTATIONS):
        gate, at_zero = _gate(np.asarray(losses), config, family, permutations)
        if gate.inside:
            break
    if changed and not gate.inside:
        why = "its source has changed since, and with it perhaps its family"
        return Judged(family, why_not=why)
    if not gate.judged:
        return Judged(family, why_not="rounding alone decides its losses from the start")
    return Judged(family, gate, at_zero)


def _gate(
    losses: np.ndarray, config: Config, family: str, permutations: int
) -> tuple[Gate, float | None]:
    """Against the slope at 0 that fits best; only where a 0 came up does it matter."""
    gates: list[tuple[Gate, float]] = []
    met = False
    for slope in SLOPES:
        band = bounds.band(config, family, slope, permutations=permutations)
        gate = bounds.compare(band, losses)
        gates.append((gate, slope))
        met = met or any(epoch < gate.judged for epoch in band.zeros)
        if gate.inside or not any(epoch < (gate.departs or 0) for epoch in band.zeros):
            break
    gate, slope = max(gates, key=lambda each: (each[0].inside, each[0].departs or 0))
    return gate, slope if met else None
