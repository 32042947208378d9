"""Stored losses held against the reference.

The bounds are those of `twolayer verify`, or narrower. The losses are those on disk, in the type
they were computed in, so only the reference is trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..config import catalogue
from ..config.settings import Config
from ..errors import UserError
from ..results.record import Record
from ..results.store import whole
from . import bounds
from .evidence import Gate

WORK = 6e11
"""Floating-point operations that the reference may take in all: about half a minute."""

STEP_WORK, NUMBER_WORK = 1e6, 1e3
"""In the same unit, what a step costs however small it is, and each number to draw and to hold."""

FEW = 2
"""Permutations that are tried first. A run inside their band is inside that of all, too."""

SLOPES = (1.0, 0.0, 0.5)

LOWEST, HIGHEST = 1e-4, 1e6
"""Deviations over their bounds are drawn within these."""

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


@dataclass(frozen=True)
class _Case:
    """A run and the reference it is held to: `config` is without what makes no difference."""

    losses: list[float]
    config: Config
    family: str
    changed: bool


def judge(runs: Sequence[Record]) -> list[Judged]:
    """Hold the losses of each run to the reference, as far as that takes no more than WORK."""
    judged = [Judged(why_not=TOO_LONG)] * len(runs)
    groups: dict[tuple[Config, str], list[tuple[int, _Case]]] = {}
    for number, run in enumerate(runs):
        case = _case(whole(run))
        if isinstance(case, str):
            judged[number] = Judged(why_not=case)
        else:
            groups.setdefault((case.config, case.family), []).append((number, case))
    left = WORK
    for (config, family), cases in sorted(groups.items(), key=lambda item: -len(item[1])):
        longest = config.with_(epochs=max(len(case.losses) for _, case in cases))
        work = (FEW + 1) * _work(longest, family)
        if work <= left:
            left -= work
            for number, case in cases:
                judged[number] = _judged(case, longest)
    return judged


def _case(record: Record) -> _Case | str:
    """What to hold to the reference, or why that can't be."""
    if not record.losses:
        return "it has no losses"
    try:
        found = catalogue.find(record.source if record.source.endswith(".py") else record.impl)
        changed = found.sources.sha256 != record.source_sha256
        config = Config(**record.config)
    except UserError:
        return "its source is not here any more"
    except (TypeError, ValueError):
        return "its settings are not those of this twolayer"
    try:
        family = found.reference
    except UserError as error:
        return str(error)
    same = config.with_(epochs=1, log_every=1, device="cpu", threads="auto")
    return _Case(record.losses, same, family, changed)


def _work(config: Config, family: str) -> float:
    """About the operations of a training: six for each example and weight in a step."""
    middle = config.H if family == "dynamic" else 0
    step = 6.0 * config.N * config.H * (config.D_in + config.D_out + middle) + STEP_WORK
    return NUMBER_WORK * config.N * (config.D_in + config.D_out) + config.epochs * step


def _judged(case: _Case, config: Config) -> Judged:
    gate, at_zero = _gate(case, config, FEW)
    if not gate.inside:
        gate, at_zero = _gate(case, config, bounds.PERMUTATIONS)
    if case.changed and not gate.inside:
        why = "its source has changed since, and with it perhaps its family"
        return Judged(case.family, why_not=why)
    if not gate.judged:
        return Judged(case.family, why_not="rounding alone decides its losses from the start")
    return Judged(case.family, gate, at_zero)


def _gate(case: _Case, config: Config, permutations: int) -> tuple[Gate, float | None]:
    """Against the slope at 0 that fits best; only where a 0 came up does it matter."""
    gates: list[tuple[Gate, float]] = []
    met = False
    for slope in SLOPES:
        band = bounds.band(config, case.family, slope, permutations=permutations)
        count = len(case.losses)
        part = replace(band, losses=band.losses[:count], spread=band.spread[:count])
        gate = bounds.compare(part, np.asarray(case.losses))
        gates.append((gate, slope))
        met = met or any(epoch < gate.judged for epoch in band.zeros)
        if gate.inside or not any(epoch < (gate.departs or 0) for epoch in band.zeros):
            break
    gate, slope = max(gates, key=lambda each: (each[0].inside, each[0].departs or 0))
    return gate, slope if met else None
