"""What `twolayer bench` measured: its rounds, what follows from them, and the file of both."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write, writing
from ..results.store import BENCHES

SCHEMA = 1

Rounds = Mapping[int, Sequence[float]]
"""Blocks by the number of their round."""


@dataclass(frozen=True)
class Interval:
    """A statistic and the 95 % interval that resampling gives it."""

    value: float
    low: float
    high: float

    def __truediv__(self, divisor: float) -> Interval:
        return Interval(self.value / divisor, self.low / divisor, self.high / divisor)

    def overlaps(self, other: Interval) -> bool:
        return self.low <= other.high and other.low <= self.high


@dataclass
class Round:
    """One fresh process of one cell.

    Attributes:
        number: which round it was part of; `place`, its place in that round's order.
        outcome: ok, or how it ended instead; `error` says why.
        blocks_us: the mean time of a step in each block, in µs, after warm-up.
        block_steps: steps in a block; `warmup_steps`, those before the first block.
        settled: whether blocks had stopped getting faster when the first was taken.
        import_s: import of its frameworks; setup_s: from train(cfg) to the first step.
        first_us: the first step.
        flops: what its own flops(cfg) says that a step computes; None if it has none.
        dispatch_us: a step of the same code with every size 1: what it costs to say what to do.
        cpu_share: processor time over wall time in the blocks; below 1 it had to wait.
        others_share: the processors' time in the blocks that went to other processes.
        peak_bytes: most memory resident at once, over what was at the process's start.
    """

    number: int
    place: int
    outcome: str = "ok"
    error: dict[str, Any] | None = None
    blocks_us: list[float] = field(default_factory=list)
    block_steps: int = 0
    warmup_steps: int = 0
    settled: bool = True
    import_s: float | None = None
    setup_s: float | None = None
    first_us: float | None = None
    flops: float | None = None
    dispatch_us: float | None = None
    cpu_share: float | None = None
    others_share: float | None = None
    peak_bytes: int | None = None
    device: str | None = None
    threads: int | None = None


@dataclass
class Cell:
    """One implementation with one problem: what the rounds repeat.

    Attributes:
        label: how it is called in tables: its name, `name@revision`.
        revision: the git revision that its source comes from; empty: the work tree.
        family: sgd, adam or dynamic: the last two do other work in a step.
        size: the value along `Bench.axis`; None if nothing is scaled.
        flops: floating-point operations of the matrix products in a step: those that the plain
            formula has, or what the implementation says.
        bytes: the least memory traffic of a step.
        step_us: the median over rounds of the median over blocks.
        ratio: `step_us` over that of `Bench.baseline`, paired by round.
        rank: the best and the worst place it may have among those of its size.
        limit: `arithmetic` or `memory`, whichever the machine allows less of.
        share: its rate over what that limit allows; None, like `gflops`, where that is more than
            all of it, so that a step does less than `flops`.
        dispatch_share: the part of a step that does not depend on the sizes.
    """

    label: str
    impl: str
    revision: str
    family: str
    framework: str
    config: dict[str, Any]
    source_sha256: str
    size: int | None
    flops: float
    bytes: float
    rounds: list[Round] = field(default_factory=list)
    step_us: Interval | None = None
    ratio: Interval | None = None
    rank: tuple[int, int] | None = None
    gflops: float | None = None
    limit: str | None = None
    share: float | None = None
    dispatch_share: float | None = None

    @property
    def good(self) -> list[Round]:
        return [each for each in self.rounds if each.outcome == "ok" and each.blocks_us]

    def blocks(self, since: int = 0) -> Rounds:
        """The blocks of each good round from number `since` on."""
        return {each.number: each.blocks_us for each in self.good if each.number >= since}

    @property
    def failure(self) -> Round | None:
        """The first round that failed, if any did."""
        return next((each for each in self.rounds if each.outcome != "ok"), None)


@dataclass
class Fit:
    """How a step's time grows along the axis: `overhead_us + slope_us · size`.

    `gflops` is the rate of the part that grows, None if it is beyond the machine's. Intervals
    by resampling rounds.
    """

    label: str
    overhead_us: Interval
    slope_us: Interval
    gflops: float | None

    def at(self, size: float) -> float:
        """The time that the line gives a step of this size, in µs."""
        return self.overhead_us.value + self.slope_us.value * size


@dataclass
class Rates:
    """What the machine can do, measured in the same rounds, with the same threads and type."""

    matmul_gflops: float | None = None
    matmul_by: str = ""
    copy_gb_s: float | None = None


@dataclass
class Bench:
    """One call of `twolayer bench`.

    Attributes:
        baseline: the label of the cell that ratios are to.
        axis: the size that is scaled (N, H or D_in); empty if none is.
        order_seed: the seed of the order of the cells in each round.
    """

    name: str
    started_at: str
    baseline: str
    axis: str
    order_seed: int
    threads: int
    cells: list[Cell]
    rates: Rates = field(default_factory=Rates)
    fits: list[Fit] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    git: dict[str, Any] | None = None
    command: str = ""
    schema: int = SCHEMA

    def text(self) -> str:
        """The bench as JSON."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    def at(self, size: int | None) -> list[Cell]:
        return [cell for cell in self.cells if cell.size == size]

    @property
    def sizes(self) -> list[int | None]:
        return list(dict.fromkeys(cell.size for cell in self.cells))


@dataclass
class Keeper:
    """Writes a bench into an experiment's folder, whole at any moment, as often as it grows."""

    experiment: Path
    started_at: str

    @property
    def path(self) -> Path:
        stamp = self.started_at.partition("+")[0].replace(":", "-")
        return self.experiment / BENCHES / f"{stamp}.json"

    def save(self, bench: Bench) -> None:
        """Write the bench in place of its former state. Raises UserError if that can't be."""
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        write(self.path, bench.text())


def read(path: Path) -> Bench:
    """The bench in a file. Raises UserError if there is none."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UserError(f"{path}: can't be read: {why}") from None


def parse(text: str, source: str) -> Bench:
    """The bench that `Bench.text` wrote. Raises UserError, naming the source, if it is none."""
    try:
        values = json.loads(text)
        if (schema := values["schema"]) != SCHEMA:
            raise UserError(f"{source}: has schema {schema}, this twolayer reads {SCHEMA}")
        return _bench(values)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise UserError(f"{source}: is not a file of twolayer bench") from None


def _bench(values: dict[str, Any]) -> Bench:
    return Bench(
        **_known(Bench, values)
        | {
            "cells": [_cell(each) for each in values["cells"]],
            "rates": Rates(**_known(Rates, values["rates"])),
            "fits": [_fit(each) for each in values["fits"]],
        }
    )


def _cell(values: dict[str, Any]) -> Cell:
    rounds = [Round(**_known(Round, each)) for each in values["rounds"]]
    rank = values["rank"]
    return Cell(
        **_known(Cell, values)
        | {
            "rounds": rounds,
            "step_us": _interval(values["step_us"]),
            "ratio": _interval(values["ratio"]),
            "rank": (int(rank[0]), int(rank[1])) if rank else None,
        }
    )


def _fit(values: dict[str, Any]) -> Fit:
    overhead, slope = _interval(values["overhead_us"]), _interval(values["slope_us"])
    assert overhead is not None
    assert slope is not None
    gflops = values["gflops"]
    return Fit(str(values["label"]), overhead, slope, None if gflops is None else float(gflops))


def _interval(values: dict[str, Any] | None) -> Interval | None:
    if values is None:
        return None
    numbers = [float(values[name]) for name in ("value", "low", "high")]
    if not all(map(math.isfinite, numbers)):
        raise ValueError
    return Interval(*numbers)


def _known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: a newer one may have added some."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def stored(experiment: Path) -> Iterator[Path]:
    """The files of an experiment's benches, from the oldest to the newest."""
    return iter(sorted((experiment / BENCHES).glob("[!.]*.json")))


def latest(experiment: Path) -> Bench | None:
    """The newest bench kept in an experiment's folder, if there is one."""
    *_, last = (None, *stored(experiment))
    return read(last) if last else None
