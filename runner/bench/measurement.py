"""What `twolayer bench` measured: its rounds, what follows from them, and the file of both."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write, writing
from ..results.record import checked
from ..results.store import BENCHES

SCHEMA = 1

Blocks = Mapping[int, Sequence[float]]  # the times of blocks, by the number of their round


@dataclass(frozen=True)
class Interval:
    """A statistic and the 95 % interval that resampling gives it."""

    value: float
    low: float
    high: float


@dataclass
class Round:
    """One fresh process of one cell."""

    number: int  # of the round that it was part of
    place: int  # in the order of that round
    outcome: str = "ok"
    error: dict[str, Any] | None = None  # why the outcome is not ok
    blocks_us: list[float] = field(default_factory=list)  # step times, after warm-up
    block_steps: int = 0
    warmup_steps: int = 0  # before the first block
    settled: bool = True  # whether blocks had stopped getting faster by then
    import_s: float | None = None  # import of its frameworks
    setup_s: float | None = None  # from train(cfg) to the first step
    first_us: float | None = None  # the first step
    flops: float | None = None  # of a step, by its own flops(cfg), if it has one
    dispatch_us: float | None = None  # a step of the same code with every size 1
    cpu_share: float | None = None  # processor time over wall time; below 1 it had to wait
    others_share: float | None = None  # of the processors' time, what other processes had
    peak_bytes: int | None = None  # most memory resident at once, beyond that at its start
    device: str | None = None
    threads: int | None = None


@dataclass
class Cell:
    """One implementation with one problem: what the rounds repeat."""

    label: str  # its name in tables: `name`, or `name@revision`
    impl: str
    revision: str  # the git revision that its source comes from; empty: the work tree
    family: str  # sgd, adam or dynamic: the last two do other work in a step
    framework: str
    config: dict[str, Any]
    source_sha256: str
    size: int | None  # along `Bench.axis`; None if nothing is scaled
    flops: float  # of the matrix products in a step: by the plain formula, or its own flops(cfg)
    bytes: float  # the least memory traffic of a step
    rounds: list[Round] = field(default_factory=list)
    step_us: Interval | None = None  # the median over rounds of the median over blocks
    ratio: Interval | None = None  # `step_us` over that of `Bench.baseline`, paired by round
    rank: tuple[int, int] | None = None  # its best and worst place among those of its size
    gflops: float | None = None  # None, like `share`, if that is more than the machine can do
    limit: str | None = None  # `arithmetic` or `memory`, whichever the machine allows less of
    share: float | None = None  # of what that limit allows
    dispatch_share: float | None = None  # the part of a step that does not depend on the sizes

    @property
    def good(self) -> list[Round]:
        return [each for each in self.rounds if each.outcome == "ok" and each.blocks_us]

    def blocks(self, since: int = 0) -> Blocks:
        """The blocks of each good round from number `since` on."""
        return {each.number: each.blocks_us for each in self.good if each.number >= since}

    @property
    def failure(self) -> Round | None:
        """The first round that failed, if any did."""
        return next((each for each in self.rounds if each.outcome != "ok"), None)


@dataclass
class Fit:
    """How a step's time grows along the axis: `overhead_us + slope_us · size`."""

    label: str
    overhead_us: Interval
    slope_us: Interval
    gflops: float | None  # the rate of the part that grows; None if it is beyond the machine's


@dataclass
class Rates:
    """What the machine can do, measured in the same rounds, with the same threads and type."""

    matmul_gflops: float | None = None
    matmul_by: str = ""
    copy_gb_s: float | None = None


@dataclass
class Bench:
    """One call of `twolayer bench`."""

    name: str
    started_at: str
    baseline: str  # the label of the cell that ratios compare to
    axis: str  # the size that is scaled, such as N; empty if none is
    order_seed: int  # of the order of the cells in each round
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

    def path(self, results: Path) -> Path:
        """Its file under a results folder."""
        stamp = self.started_at.partition("+")[0].replace(":", "-")
        return results / self.name / BENCHES / f"{stamp}.json"

    def at(self, size: int | None) -> list[Cell]:
        return [cell for cell in self.cells if cell.size == size]

    @property
    def measured(self) -> bool:
        """Whether there is a step time of any cell."""
        return any(cell.good for cell in self.cells)

    @property
    def sizes(self) -> list[int | None]:
        return list(dict.fromkeys(cell.size for cell in self.cells))


def save(bench: Bench, path: Path) -> None:
    """Write the bench in place of its former state. Raises UserError if that can't be."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write(path, bench.text())


def discard(path: Path) -> None:
    """Remove a bench that measured nothing, and the folders that then hold nothing."""
    path.unlink(missing_ok=True)
    with suppress(OSError):  # others' results are in them
        path.parent.rmdir()
        path.parent.parent.rmdir()


def read_bench(path: Path) -> Bench:
    """The bench in a file, but for fields unknown here. Raises UserError if it can't be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if (schema := values["schema"]) == SCHEMA:
            bench: Bench = checked(Bench, values)
            return bench
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, OverflowError):
        raise UserError(f"{path}: is not a file of twolayer bench") from None
    raise UserError(f"{path}: has schema {schema}, this twolayer reads {SCHEMA}")


def stored(experiment: Path) -> list[Path]:
    """The files of an experiment's benches, from the oldest to the newest."""
    return sorted((experiment / BENCHES).glob("[!.]*.json"))


def latest(experiment: Path) -> Bench | None:
    """The newest bench of an experiment that measured something, if there is one."""
    benches = map(read_bench, reversed(stored(experiment)))  # a killed one may have nothing
    return next((bench for bench in benches if any(cell.rounds for cell in bench.cells)), None)
