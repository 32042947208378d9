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
from .bounds import Band, Gate
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
Key = tuple[Reference, int | None]
"""One training: a reference, and the seed of its permutation, if there is one."""


def judge(runs: Sequence[Record], step: Step = lambda done, total: None) -> list[Judged]:
    """Hold the losses of each run to the reference, over as many epochs as WORK is enough for.

    `step` is told how many trainings of references are done, and of how many.
    """
    held = [_held(whole(run)) for run in runs]
    epochs = _affordable([each.reference for each in held if each.reference])
    for each in held:
        if each.reference and (count := epochs.get(_alike(each.reference))):
            each.reference = each.reference.with_(epochs=count)
        else:
            each.reference, each.why_not = None, each.why_not or TOO_LONG
    trainings = Trainings(step)
    references = [each.reference for each in held if each.reference]
    trainings.prepare(key for reference in references for key in _keys(reference, FEW))
    return [_judged(each, trainings) for each in held]


@dataclass
class Held:
    """The losses of a run and the reference they are held to; if there is none, why."""

    losses: np.ndarray
    reference: Reference | None = None
    changed: bool = False  # whether its source has, since
    why_not: str = ""


def _held(record: Record) -> Held:
    losses = np.asarray(record.losses)
    try:
        return Held(losses, *_reference(record))
    except UserError as error:
        return Held(losses, why_not=str(error))


def _judged(held: Held, trainings: "Trainings") -> Judged:
    if held.reference is None:
        return Judged(why_not=held.why_not)
    for permutations in (FEW, bounds.PERMUTATIONS):
        gate, at_zero = _gate(held.losses, held.reference, trainings, permutations)
        if gate.inside:
            break
    family = held.reference.family
    why_not = "" if gate.judged else "rounding alone decides its losses from the start"
    if held.changed and not gate.inside:
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


def _alike(reference: Reference) -> Reference:
    """The same for references whose trainings take as long, but for the number of epochs."""
    return reference.with_(epochs=1, dtype="float64")


def _affordable(references: Sequence[Reference]) -> dict[Reference, int]:
    """How many epochs each can train: equal shares of WORK, and what others leave of theirs.

    Shorter runs are judged by the beginning. A reference that is too much is left out.
    """
    longest: dict[Reference, int] = {}
    for each in references:
        longest[_alike(each)] = max(longest.get(_alike(each), 0), each.config.epochs)
    left, epochs = WORK, {}
    by_work = sorted(longest, key=lambda each: _work(each, longest[each]))
    for place, each in enumerate(by_work):
        share, start = left / (len(by_work) - place), _work(each, 0)
        count = min(longest[each], int((share - start) / (_work(each, 1) - start)))
        if count >= min(FEWEST, longest[each]):
            epochs[each] = count
            left -= _work(each, count)
    return epochs


def _work(reference: Reference, epochs: int) -> float:
    """About the operations to train a few: six for each example and weight in a step."""
    config = reference.config
    middle = config.H if reference.family == "dynamic" else 0
    step = 6.0 * config.N * config.H * (config.D_in + config.D_out + middle) + STEP_WORK
    numbers = NUMBER_WORK * config.N * (config.D_in + config.D_out)
    return (FEW + 1) * (numbers + epochs * step)


def _keys(reference: Reference, permutations: int) -> list[Key]:
    """The trainings of a band: its centre, in float64, and the permuted ones."""
    exact = reference.with_(dtype="float64")
    return [(exact, None), *((reference, seed) for seed in range(permutations))]


class Trainings:
    """The losses of trainings, and their epochs with an exact 0; each is done but once."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.done: dict[Key, tuple[np.ndarray, list[int]]] = {}

    def prepare(self, keys: Iterable[Key]) -> None:
        """Do those that are not done yet, as many at once as there are cores."""
        new = [key for key in dict.fromkeys(keys) if key not in self.done]
        total = len(self.done) + len(new)
        with threadpool_limits(1), ThreadPoolExecutor(usable_cores()) as pool:
            for key, losses in zip(new, pool.map(_trained, new), strict=True):
                self.done[key] = losses
                self.step(len(self.done), total)

    def band(self, reference: Reference, permutations: int, epochs: int) -> Band:
        """That of the first epochs."""
        keys = _keys(reference, permutations)
        self.prepare(keys)
        centre, *runs = (self.done[key][0][:epochs] for key in keys)
        deviations = [bounds.relative(losses, centre) for losses in runs]
        spread = np.maximum.accumulate(np.max(deviations, axis=0))
        zeros = sorted({zero for key in keys for zero in self.done[key][1]})
        return Band(reference.config.dtype, centre, spread, None, zeros)


def _trained(key: Key) -> tuple[np.ndarray, list[int]]:
    reference, permutation = key
    done = reference.train(permutation=permutation)
    return done.losses, done.zeros


def _gate(
    losses: np.ndarray, reference: Reference, trainings: Trainings, permutations: int
) -> tuple[Gate, float | None]:
    """Against the slope at 0 that fits best; only where a 0 came up does it matter."""
    gates, met = {}, False
    for slope in SLOPES:
        band = trainings.band(replace(reference, at_zero=slope), permutations, len(losses))
        gate = gates[slope] = Gate(band, losses)
        zero = min(band.zeros, default=gate.epochs)
        met = met or zero < gate.judged
        if gate.departs is None or gate.departs <= zero:
            break
    best = max(gates, key=lambda slope: (gates[slope].inside, gates[slope].departs or 0))
    return gates[best], best if met else None
