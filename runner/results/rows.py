"""Stored runs as flat rows: read, sorted, averaged over seeds, and laid out as tables."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..config.settings import DEFAULTS, SHOWN_ONLY
from ..errors import UserError, nearest
from ..output import printable
from ..tables import Table, exact, number
from .record import Record
from .store import Store, experiments, read_run, read_summary

Row = dict[str, Any]
"""One run or one group of runs: columns by name. A value that is missing is None."""

SETTINGS = tuple(DEFAULTS)
TYPES = {
    "impl": str,
    **{name: type(value) for name, value in DEFAULTS.items()},
    **dict.fromkeys(("threads", "log_every"), int),  # or `auto`
    "outcome": str,
    "final_loss": float,
    "epochs_done": int,
    **dict.fromkeys(("import_s", "setup_s", "train_s", "step_us"), float),
    **dict.fromkeys(("peak_bytes", "neighbours"), int),
    **dict.fromkeys(("framework", "version", "host", "started_at", "key", "folder", "error"), str),
}
COLUMNS = tuple(TYPES)
"""The columns of a run. `device` and `threads` are those that it got, never `auto`."""

FINISHED = ("ok", "diverged")
"""Outcomes of runs that came to their end by themselves."""

_FORMATS = {
    "final_loss": ".4e",
    "step_us": ".1f",
    "import_s": ".2f",
    "setup_s": ".3f",
    "train_s": ".3f",
}

Item = TypeVar("Item")


@dataclass(frozen=True)
class Stored:
    """A run on disk: its folder, and its record without the losses."""

    folder: Path
    record: Record

    @property
    def age(self) -> tuple[str, int, str]:
        """Sorts attempts from the oldest to the newest."""
        name = self.folder.name
        return self.record.started_at, len(name), name


def read(store: Store) -> tuple[list[Stored], int]:
    """The runs of an experiment from the oldest to the newest, and how many folders hold none."""
    folders = store.folders()
    runs = [Stored(folder, record) for folder in folders if (record := read_summary(folder))]
    return sorted(runs, key=lambda run: run.age), len(folders) - len(runs)


def whole(run: Stored) -> Record:
    """The record with its losses and log; without, if they can't be read any more."""
    return read_run(run.folder) or run.record


def named(results: Path, name: str) -> Store:
    """The store of an experiment. Raises UserError if there is none of that name."""
    known = known_experiments(results)
    if name not in known:
        hint = nearest(name, known) or f"; there are {', '.join(known)}"
        raise UserError(f"{results}: has no experiment {printable(name)}{hint}")
    return Store(results, name)


def known_experiments(results: Path) -> list[str]:
    """The names of all experiments. Raises UserError if there are none."""
    known = experiments(results)
    if not known:
        raise UserError(f"{results}: holds no experiments yet; `twolayer run` makes one")
    return known


def latest(runs: Sequence[Stored]) -> list[Stored]:
    """The runs of the latest call of `twolayer run` or `sweep`, in their order."""
    last = max((run.record.invocation for run in runs), default="")
    return [run for run in runs if run.record.invocation == last]


def newest(runs: Iterable[Stored], identity: Callable[[Record], object]) -> list[Stored]:
    """Of attempts at the same, oldest first, the one that counts.

    That is the newest that came to an end by itself, or, if none did, the newest.
    """
    attempts = grouped(runs, lambda run: identity(run.record)).values()
    counts = (
        next((run for run in reversed(own) if run.record.outcome in FINISHED), own[-1])
        for own in attempts
    )
    return sorted(counts, key=lambda run: run.age)


def current(runs: Iterable[Stored]) -> list[Stored]:
    """Runs without those made again since: one for each implementation and settings."""
    return newest(runs, lambda record: (record.impl, settings_of(record)))


def settings_of(record: Record) -> tuple[tuple[str, str], ...]:
    """The settings that make a difference, in a form that can be compared."""
    config = record.config.items()
    return tuple(sorted((k, repr(v)) for k, v in config if k not in SHOWN_ONLY))


def grouped(items: Iterable[Item], key: Callable[[Item], Any]) -> dict[Any, list[Item]]:
    """Items by a key, in the order of their appearance."""
    groups: dict[Any, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


# --- rows


def row(run: Stored) -> Row:
    """A run as one flat row of all COLUMNS."""
    record, fields, config = run.record, vars(run.record), run.record.config
    values = {name: (config if name in DEFAULTS else fields).get(name) for name in COLUMNS}
    return values | {
        "device": record.device or config.get("device"),
        "threads": record.threads or config.get("threads"),
        "step_us": (record.step_us or {}).get("median"),
        "version": record.versions.get(record.framework),
        "host": record.machine.get("host"),
        "folder": run.folder.name,
        "error": record.reason or None,
    }


def check_column(name: str, option: str, known: Iterable[str] = COLUMNS) -> str:
    """The name of a column as it is. Raises UserError, naming the option, if it is none."""
    if name not in known:
        hint = nearest(name, known) or f"; known are {', '.join(known)}"
        raise UserError(f"{option}: {name!r} is not a column{hint}")
    return name


def ordered(rows: Sequence[Row], column: str, *, descending: bool = False) -> list[Row]:
    """Rows by a column, numbers before words; rows that lack it come last either way."""
    present = [row for row in rows if row[column] is not None]
    missing = [row for row in rows if row[column] is None]
    return sorted(present, key=lambda row: _rank(row[column]), reverse=descending) + missing


def _rank(value: Any) -> tuple[bool, float, str]:
    return (False, value, "") if isinstance(value, int | float) else (True, 0, str(value))


def differing(rows: Sequence[Row]) -> list[str]:
    """The settings that are not the same in all rows."""
    names = (name for name in SETTINGS if name not in SHOWN_ONLY)
    return [name for name in names if len({repr(row[name]) for row in rows}) > 1]


def default_columns(rows: Sequence[Row]) -> list[str]:
    """The settings that differ among the runs, and their results."""
    return ["impl", *differing(rows), "outcome", "final_loss", "train_s", "step_us"]


def best(rows: Iterable[Row], count: int) -> list[Row]:
    """The rows of runs that ended as ok with the lowest final losses."""
    ok = [row for row in rows if row["outcome"] == "ok" and row["final_loss"] is not None]
    return ordered(ok, "final_loss")[:count]


def _ok_values(rows: Iterable[Row], column: str) -> list[Any]:
    """The values of a column in the runs that ended as ok."""
    return [row[column] for row in rows if row["outcome"] == "ok" and row[column] is not None]


def spread(rows: Iterable[Row]) -> Table:
    """For each implementation: its runs, and the range of losses of those that ended as ok."""
    header = ["impl", "runs", "ok", "lowest loss", "median loss", "highest loss", "median µs/step"]
    body = []
    for impl, own in grouped(rows, lambda row: row["impl"]).items():
        losses, steps = _ok_values(own, "final_loss"), _ok_values(own, "step_us")
        measures = (min, statistics.median, max)
        cells = [number(measure(losses) if losses else None) for measure in measures]
        step = shown("step_us", statistics.median(steps) if steps else None)
        body.append(
            [printable(impl), str(len(own)), str(len(_ok_values(own, "outcome"))), *cells, step]
        )
    return Table(header, body, frozenset({0}))


def overview(store: Store) -> tuple[Row, int]:
    """An experiment as a row: runs, outcomes (a count of each), latest start, bytes on disk.

    Also how many of its folders hold no run.
    """
    runs, skipped = read(store)
    outcomes = Counter(run.record.outcome for run in runs)
    return {
        "experiment": store.folder.name,
        "runs": len(runs),
        "outcomes": dict(outcomes.most_common()),
        "latest": runs[-1].record.started_at if runs else None,
        "bytes": size(store.folder),
    }, skipped


def size(path: str | os.PathLike[str]) -> int:
    """The bytes in a file, or in all files under a folder; what vanishes meanwhile is 0."""
    files = [path]
    if os.path.isdir(path) and not os.path.islink(path):
        files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in files:
        with suppress(OSError):
            total += os.lstat(file).st_size
    return total


# --- averages


@dataclass(frozen=True)
class Cell:
    """The runs that agree in the row and column of a pivot.

    `mean` and `sd` (of a sample; None for less than two) are over the `n` runs that ended as
    ok and have the value; `others` counts the outcomes of the rest.
    """

    mean: float | None
    sd: float | None
    n: int
    others: dict[str, int]

    def text(self) -> str:
        """`mean ± sd (n), 1 diverged`."""
        rest = exact(self.others)
        if self.mean is None:
            return rest
        deviation = "" if self.sd is None else f" ± {number(self.sd, 1)} ({self.n})"
        return f"{number(self.mean)}{deviation}{', ' if rest else ''}{rest}"


@dataclass(frozen=True)
class Pivot:
    """Cells by the values of a column down and of another across; without one it is all `[""]`.

    `over` are the settings that differ among the runs of a cell.
    """

    rows: str
    cols: str | None
    value: str
    down: list[Any]
    across: list[Any]
    cells: dict[tuple[Any, Any], Cell]
    over: list[str]

    def table(self) -> Table:
        prefix = "" if self.cols == "impl" else f"{self.cols}="
        header = [
            f"{prefix}{shown(self.cols, c)}" if self.cols else self.value for c in self.across
        ]
        texts = {place: cell.text() for place, cell in self.cells.items()}
        body = [
            [shown(self.rows, r), *(texts.get((r, c), "") for c in self.across)] for r in self.down
        ]
        words = any(isinstance(r, str) for r in self.down)
        left = frozenset(range(0 if words else 1, 1 + len(header)))
        return Table([self.rows, *header], body, left)

    def long(self) -> tuple[list[str], list[Row]]:
        """Column names, and one row a cell."""
        places = [name for name in (self.rows, self.cols) if name]
        rows = [
            dict(zip(places, values, strict=False)) | vars(cell)
            for values, cell in self.cells.items()
        ]
        return [*places, "mean", "sd", "n", "others"], rows

    def caption(self) -> str:
        over = f" over {' and '.join(self.over)}" if self.over else ""
        return f"{self.value} of runs that ended as ok: mean ± standard deviation (runs){over}"


def pivot(rows: Sequence[Row], down: str, across: str | None, value: str) -> Pivot:
    """The average of a column for each pair of values of two others.

    Raises UserError if the column holds words.
    """
    if any(isinstance(row[value], str) for row in rows):
        raise UserError(f"--value: {value} has no mean; choose a column of numbers")
    groups = grouped(rows, lambda row: (row[down], row[across] if across else ""))
    downs, acrosses = _once(r for r, _ in groups), _once(c for _, c in groups)
    places = [(r, c) for r in downs for c in acrosses if (r, c) in groups]
    cells = {place: _average(groups[place], value) for place in places}
    inside = {name for group in groups.values() for name in differing(group)}
    over = [name for name in SETTINGS if name in inside]
    if any(len({row["impl"] for row in group}) > 1 for group in groups.values()):
        over.insert(0, "impl")
    return Pivot(down, across, value, downs, acrosses, cells, over)


def _once(values: Iterable[Any]) -> list[Any]:
    """Values once each: numbers in their order, words in that of their appearance, none last."""
    return sorted(dict.fromkeys(values), key=lambda v: (v is None, *(_rank(v)[:2])))


def _average(rows: list[Row], value: str) -> Cell:
    values = _ok_values(rows, value)
    others = Counter(row["outcome"] for row in rows if row["outcome"] != "ok")
    if lacking := len(rows) - len(values) - others.total():
        others["without it"] = lacking
    mean = statistics.fmean(values) if values else None
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Cell(mean, sd, len(values), dict(others))


# --- as text


def shown(column: str, value: Any) -> str:
    """A value for people: short."""
    if value is None:
        return "-"
    if column in _FORMATS:
        return f"{value:{_FORMATS[column]}}"
    return f"{value:g}" if isinstance(value, float) else printable(exact(value))


def table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Rows for people; columns with words align left."""
    cells = [[shown(name, row[name]) for name in columns] for row in rows]
    words = [any(isinstance(row[name], str | dict) for row in rows) for name in columns]
    return Table(columns, cells, frozenset(i for i, word in enumerate(words) if word))


def as_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Rows for programs: every digit."""
    return Table(columns, [[exact(row[name]) for name in columns] for row in rows]).csv()
