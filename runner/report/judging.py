"""Stored losses held against the reference: was what was run the same computation.

The bounds are those of `twolayer verify`; the losses are those on disk, in the type they were
computed in, so nothing is trained again but the reference. What it came to is kept beside the
runs, in `parity.json`: derived, so it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from ..bench.analysis import flops
from ..config import catalogue
from ..config.settings import Config
from ..errors import UserError
from ..files import write
from ..results.record import Record
from ..results.store import Store
from ..verify import bounds as verify
from ..verify.evidence import Gate
from .losses import Chosen, select
from .material import Material, whole

WORK, SAMPLE_WORK = 4e12, 3e11
"""Floating-point operations that the reference may take in all: tens of seconds, or, where the
runs are a sample of many, a few seconds."""

STEP_WORK = 1e6
"""What a step costs however small it is, in the same unit."""

LOWEST, HIGHEST = 1e-4, 1e6
"""Deviations over their bounds are kept within these."""

POINTS = 50
SLOPES = (1.0, 0.0, 0.5)

FILE = "parity.json"
METHOD = [1, verify.FACTOR, verify.FLOOR, verify.FLOOR_FLOAT32, verify.MEANINGLESS, POINTS]
"""What verdicts depend on besides the run; those kept by another method are not used."""


@dataclass(frozen=True)
class Finding:
    """How near a run came to its bound.

    Attributes:
        deviation: the largest relative deviation of a loss, compared to its `bound`.
        departs: the first epoch beyond the bound, or None.
        judged: how many epochs were judged; from there on rounding decides.
        points: (epoch, deviation / bound) where that is highest in each stretch of epochs.
        at_zero: the slope of the ReLU at 0 that fits; None if no hidden value was exactly 0.
    """

    deviation: float
    bound: float
    departs: int | None
    judged: int
    points: list[tuple[float, float]]
    at_zero: float | None

    @property
    def inside(self) -> bool:
        return self.departs is None


@dataclass(frozen=True)
class Judged:
    """A run with its finding, or, where there is none, why it was not judged."""

    chosen: Chosen
    family: str = ""
    finding: Finding | None = None
    why_not: str = ""

    @property
    def outside(self) -> bool:
        return self.finding is not None and not self.finding.inside


@dataclass
class _Case:
    chosen: Chosen
    record: Record
    config: Config
    family: str
    changed: bool

    @property
    def key(self) -> str:
        """What it is kept by: nothing else has all of these."""
        return f"{self.chosen.run.folder.name} {self.record.started_at} {self.family}"

    def found(self, finding: Finding) -> Judged:
        if self.changed and not finding.inside:
            return self.not_judged("its source has changed since, and with it perhaps its family")
        if not finding.judged:
            return self.not_judged("rounding alone decides its losses from the start")
        return Judged(self.chosen, self.family, finding)

    def not_judged(self, why: str) -> Judged:
        return Judged(self.chosen, self.family, why_not=why)


class _NotJudgedError(Exception):
    """Why a run can't be held to the reference."""


def judged(material: Material) -> list[Judged]:
    """The runs of the losses chart, each judged or with the reason why not."""
    done: dict[Path, Judged] = {}
    cases = []
    chosen, _ = select(material)
    for each in chosen:
        try:
            cases.append(_case(each))
        except _NotJudgedError as reason:
            done[each.run.folder] = Judged(each, why_not=str(reason))
    known = _kept(material.store)
    work = WORK if len(chosen) == len(material.runs) else SAMPLE_WORK
    fresh = _judge_all([case for case in cases if case.key not in known], work)
    if fresh:
        _keep(material.store, known | fresh)
    for case in cases:
        finding = (known | fresh).get(case.key)
        done[case.chosen.run.folder] = case.found(finding) if finding else case.not_judged(TOO_LONG)
    return [done[each.run.folder] for each in chosen]


TOO_LONG = "the reference would take too long here; see `twolayer verify`"


def _case(chosen: Chosen) -> _Case:
    record = whole(chosen.run)
    if not record.losses:
        raise _NotJudgedError("it has no losses")
    source = record.source if record.source.endswith(".py") else record.impl
    try:
        implementation = catalogue.find(source)
        sha256 = implementation.sources.sha256
        config = Config(**record.config)
    except UserError:
        raise _NotJudgedError("its source is not here any more") from None
    except (TypeError, ValueError):
        raise _NotJudgedError("its settings are not those of this twolayer") from None
    try:
        family = implementation.family
    except UserError as error:
        raise _NotJudgedError(str(error)) from None
    return _Case(chosen, record, config, family, sha256 != record.source_sha256)


# --- against the reference


def _judge_all(cases: Sequence[_Case], left: float) -> dict[str, Finding]:
    """The findings by the keys of the cases, as far as so much work goes."""
    done: dict[str, Finding] = {}
    with threadpool_limits(1):  # several threads gain little here, and lose much if others run
        for group in sorted(_groups(cases), key=len, reverse=True):
            config = _longest(group)
            work = (verify.PERMUTATIONS + 1) * config.epochs * _step(config, group[0].family)
            if work <= left:
                left -= work
                done |= {case.key: _finding(case, config) for case in group}
    return done


def _groups(cases: Iterable[_Case]) -> Iterator[list[_Case]]:
    """Cases that one reference serves: the same but for their length."""
    groups: dict[tuple[Config, str], list[_Case]] = {}
    for case in cases:
        groups.setdefault((_same(case.config), case.family), []).append(case)
    yield from groups.values()


def _same(config: Config) -> Config:
    """A config without what makes no difference to the reference's losses."""
    return config.with_(epochs=1, log_every=1, device="cpu", threads="auto")


def _longest(group: Sequence[_Case]) -> Config:
    return _same(group[0].config).with_(epochs=max(len(case.record.losses) for case in group))


def _step(config: Config, family: str) -> float:
    return flops(config, family) + STEP_WORK


def _finding(case: _Case, config: Config) -> Finding:
    """Against the slope at 0 that fits best; only where a 0 came up does it matter."""
    best: tuple[Gate, float] | None = None
    met = False
    for slope in SLOPES:
        band = verify.band(config, case.family, slope)
        gate = _gate(band, case.record.losses)
        met = met or any(epoch < gate.judged for epoch in band.zeros)
        if best is None or gate.inside or (gate.departs or 0) > (best[0].departs or 0):
            best = gate, slope
        if gate.inside or not any(epoch < (gate.departs or 0) for epoch in band.zeros):
            break
    assert best is not None
    gate, slope = best
    at_zero = slope if met else None
    points = _points(gate)
    return Finding(gate.deviation, gate.bound, gate.departs, gate.judged, points, at_zero)


def _gate(band: verify.Band, losses: Sequence[float]) -> Gate:
    """As many losses as there are, held against as much of the band."""
    part = replace(band, losses=band.losses[: len(losses)], spread=band.spread[: len(losses)])
    floor = verify.FLOOR if band.dtype == "float64" else verify.FLOOR_FLOAT32
    return verify.compare(part, np.asarray(losses), floor)


def _points(gate: Gate) -> list[tuple[float, float]]:
    """Of each stretch of epochs the one that comes nearest to its bound, or farthest beyond."""
    if not gate.judged:
        return []
    ratios = np.clip(np.asarray(gate.deviations) / np.asarray(gate.band), LOWEST, HIGHEST)
    parts = np.array_split(np.arange(len(ratios)), min(POINTS, len(ratios)))
    epochs = [int(part[np.argmax(ratios[part])]) for part in parts]
    return [(float(epoch), float(ratios[epoch])) for epoch in epochs]


# --- kept


def _kept(store: Store) -> dict[str, Finding]:
    """The findings of earlier calls; none if there are none, or none that can be used."""
    try:
        values = json.loads((store.folder / FILE).read_text(encoding="utf-8"))
        if values["method"] != METHOD:
            return {}
        return {key: _from_json(each) for key, each in values["findings"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _from_json(values: dict[str, object]) -> Finding:
    finding = Finding(**values)  # type: ignore[arg-type]
    return replace(finding, points=[(float(x), float(y)) for x, y in finding.points])


def _keep(store: Store, findings: dict[str, Finding]) -> None:
    """Write them down; where that can't be, they are found again next time."""
    values = {"method": METHOD, "findings": {key: asdict(each) for key, each in findings.items()}}
    with contextlib.suppress(UserError):
        write(store.folder / FILE, json.dumps(values, indent=1) + "\n")
