"""Stored losses held against the reference.

The bounds are those of `twolayer verify`, or narrower. The losses are those on disk, in the type
they were computed in, so only the reference is trained again.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from ..config import catalogue
from ..config.settings import Config
from ..errors import UserError
from ..machine import usable_cores
from ..results.record import Record
from ..results.store import whole
from . import bounds
from .bounds import Gate
from .reference import Reference

WORK = 6e10  # floating-point operations that all references may take: about a second
STEP_WORK, NUMBER_WORK = 1e6, 1e3  # the same of a step, however small, and of a number to draw
FEWEST = 20  # epochs of a longer run: to judge less says too little
FEW = 1  # permutations that are tried first: a run inside their band is inside that of all, too
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


Step = Callable[[int, int], None]


def judge_stored(runs: Sequence[Record], step: Step = lambda done, total: None) -> list[Judged]:
    """Hold the losses of each run to the reference, over as many epochs as WORK is enough for.

    `step` is told how many references are trained, and of how many.
    """
    records = list(map(whole, runs))
    found = list(map(_reference, records))
    alike = {each.with_(epochs=1, dtype="float64") for each in found if not isinstance(each, str)}
    pairs = [
        (record, each if isinstance(each, str) else _shortened(each, WORK / len(alike)))
        for record, each in zip(records, found, strict=True)
    ]
    held = [(record, each) for record, each in pairs if not isinstance(each, str)]
    _train([each for _, each in held], FEW, step)
    outside = [each for record, each in held if not _gate(record, each, FEW)[0].inside]
    _train(outside, bounds.PERMUTATIONS, step)
    return [_judged(record, each) for record, each in pairs]


def _train(references: Iterable[Reference], permutations: int, step: Step) -> None:
    """Make the bands, which are kept, as many at once as there are cores."""
    new = list(dict.fromkeys(references))
    with threadpool_limits(1), ThreadPoolExecutor(usable_cores()) as pool:
        bands = pool.map(lambda reference: bounds.band(reference, permutations), new)
        for done in range(len(new)):
            step(done, len(new))
            next(bands)


def _judged(record: Record, reference: Reference | str) -> Judged:
    if isinstance(reference, str):
        return Judged(why_not=reference)
    for permutations in (FEW, bounds.PERMUTATIONS):
        gate, at_zero = _gate(record, reference, permutations)
        if gate.inside:
            break
    why = "" if gate.judged else "rounding alone decides its losses from the start"
    if not gate.inside and _implementation(record).sources.sha256 != record.source_sha256:
        why = "its source has changed since, and with it perhaps its family"
    return Judged(reference.family, None if why else gate, None if why else at_zero, why)


def _implementation(record: Record) -> catalogue.Implementation:
    return catalogue.find(record.source if record.source.endswith(".py") else record.impl)


def reference_of(record: Record) -> str:
    """The reference that a run's implementation names; empty if its source is not here any more."""
    try:
        return _implementation(record).reference
    except UserError:
        return ""


def _reference(record: Record) -> Reference | str:
    """What a run is held to, or why it is not."""
    if not record.losses:
        return "it has no losses"
    try:
        family = _implementation(record).reference
        config = Config(**record.config)
    except UserError:
        return "its source is not here any more"
    except (TypeError, ValueError):
        return "its settings are not those of this twolayer"
    config = config.with_(epochs=len(record.losses))
    # these make no difference
    return Reference(config.with_(log_every=1, device="cpu", threads="auto"), family)


def _shortened(reference: Reference, work: float) -> Reference | str:
    """The same for as many of its epochs as `work` is enough for, unless they are too few."""
    start, epochs = _work(reference, 0), reference.config.epochs
    count = min(epochs, int((work - start) / (_work(reference, 1) - start)))
    return reference.with_(epochs=count) if count >= min(FEWEST, epochs) else TOO_LONG


def _work(reference: Reference, epochs: int) -> float:
    """About the operations to train a few: six for each example and weight in a step."""
    config = reference.config
    middle = config.H if reference.family == "dynamic" else 0
    step = 6.0 * config.N * config.H * (config.D_in + config.D_out + middle) + STEP_WORK
    numbers = NUMBER_WORK * config.N * (config.D_in + config.D_out)
    return (FEW + 1) * (numbers + epochs * step)


def _gate(record: Record, reference: Reference, permutations: int) -> tuple[Gate, float | None]:
    """Against the slope at 0 that fits best; only where a 0 came up does it matter."""
    gates, met = {}, False
    for slope in SLOPES:
        band = bounds.band(replace(reference, at_zero=slope), permutations)
        gate = gates[slope] = Gate(band, np.asarray(record.losses))
        zero = min(band.zeros, default=gate.epochs)
        met = met or zero < gate.judged
        if gate.departs is None or gate.departs <= zero:
            break
    best = max(gates, key=lambda slope: (gates[slope].inside, gates[slope].departs or 0))
    return gates[best], best if met else None
