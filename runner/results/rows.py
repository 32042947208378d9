"""Stored runs as flat rows: read, sorted, averaged over seeds, and laid out as tables."""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.settings import DEFAULTS, SHOWN_ONLY
from ..errors import UserError, nearest
from ..output import printable
from ..tables import Table, number
from .record import Record
from .store import Store, experiments, read_summary

Row = dict[str, Any]
"""One run or one group of runs: columns by name. A value that is missing is None."""

SETTINGS = tuple(DEFAULTS)
COLUMNS = (
    *("impl", *SETTINGS, "outcome", "final_loss", "epochs_done"),
    *("import_s", "setup_s", "train_s", "step_us", "peak_bytes", "neighbours"),
    *("framework", "version", "host", "started_at", "key", "folder", "error"),
)
"""The columns of a run. `device` and `threads` are those that it got, not those asked for."""

FINISHED = ("ok", "diverged")
"""Outcomes of runs that came to their end by themselves."""

_PLACES = {"import_s": 2, "setup_s": 3, "train_s": 3, "step_us": 1}


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
    found = [Stored(each, record) for each in folders if (record := read_summary(each))]
    return sorted(found, key=lambda run: run.age), len(folders) - len(found)


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
    """Of the attempts (oldest first) at each thing the one that counts.

    That is the newest that came to an end by itself, or, if none did, the newest.
    """
    counts: dict[object, Stored] = {}
    for run in runs:
        of = identity(run.record)
        if of not in counts or run.record.outcome in FINISHED or not _finished(counts[of]):
            counts[of] = run
    return sorted(counts.values(), key=lambda run: run.age)


def current(runs: Iterable[Stored]) -> list[Stored]:
    """Runs without those made again since: one for each implementation and settings."""
    return newest(runs, lambda record: (record.impl, settings_of(record)))


def settings_of(record: Record) -> tuple[tuple[str, str], ...]:
    """The settings that make a difference, in a form that can be compared."""
    config = record.config.items()
    return tuple(sorted((k, repr(v)) for k, v in config if k not in SHOWN_ONLY))


def _finished(run: Stored) -> bool:
    return run.record.outcome in FINISHED


# --- rows


def row(run: Stored) -> Row:
    """A run as one flat row of all COLUMNS."""
    record, config = run.record, run.record.config
    return {
        "impl": record.impl,
        **{name: config.get(name) for name in SETTINGS},
        "device": record.device or config.get("device"),
        "threads": record.threads or config.get("threads"),
        "outcome": record.outcome,
        "final_loss": record.final_loss,
        "epochs_done": record.epochs_done,
        "import_s": record.import_s,
        "setup_s": record.setup_s,
        "train_s": record.train_s,
        "step_us": (record.step_us or {}).get("median"),
        "peak_bytes": record.peak_bytes,
        "neighbours": record.neighbours,
        "framework": record.framework,
        "version": record.versions.get(record.framework),
        "host": record.machine.get("host"),
        "started_at": record.started_at,
        "key": record.key,
        "folder": run.folder.name,
        "error": record.reason or None,
    }


def check_column(name: str, option: str) -> str:
    """The name of a column as it is. Raises UserError, naming the option, if it is none."""
    if name not in COLUMNS:
        hint = nearest(name, COLUMNS) or f"; known are {', '.join(COLUMNS)}"
        raise UserError(f"{option}: {name!r} is not a column{hint}")
    return name


def ordered(rows: Sequence[Row], column: str, *, descending: bool = False) -> list[Row]:
    """Rows by a column, numbers before words; rows that lack it come last either way."""
    there = [each for each in rows if each[column] is not None]
    missing = [each for each in rows if each[column] is None]
    return sorted(there, key=lambda each: _rank(each[column]), reverse=descending) + missing


def _rank(value: Any) -> tuple[bool, float, str]:
    if isinstance(value, int | float):
        return False, value, ""
    return True, 0, str(value)


def differing(rows: Sequence[Row]) -> list[str]:
    """The settings that are not the same in all rows."""
    return [
        name
        for name in SETTINGS
        if name not in SHOWN_ONLY and len({repr(each[name]) for each in rows}) > 1
    ]


def default_columns(rows: Sequence[Row]) -> list[str]:
    """What tells runs apart, and what they came to."""
    return ["impl", *differing(rows), "outcome", "final_loss", "train_s", "step_us"]


def best(rows: Iterable[Row], count: int) -> list[Row]:
    """The rows of runs that ended as ok with the lowest final losses."""
    good = [each for each in rows if each["outcome"] == "ok" and each["final_loss"] is not None]
    return ordered(good, "final_loss")[:count]


def spread(rows: Iterable[Row]) -> Table:
    """The runs of each implementation: how many, and the range of what the ok ones came to."""
    groups: dict[str, list[Row]] = {}
    for each in rows:
        groups.setdefault(each["impl"], []).append(each)
    header = ["impl", "runs", "ok", "lowest loss", "median loss", "highest loss", "median µs/step"]
    body = []
    for impl, own in groups.items():
        good = [each for each in own if each["outcome"] == "ok"]
        losses = [each["final_loss"] for each in good if each["final_loss"] is not None]
        steps = [each["step_us"] for each in good if each["step_us"] is not None]
        of = (min, statistics.median, max) if losses else ()
        cells = [number(pick(losses)) for pick in of] or ["-"] * 3
        step = shown("step_us", statistics.median(steps) if steps else None)
        body.append([printable(impl), str(len(own)), str(len(good)), *cells, step])
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


def size(path: Path) -> int:
    """The bytes in a file, or in all files under a folder; what vanishes meanwhile is 0."""
    import os

    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
        with os.scandir(path) as entries:
            return sum(
                size(Path(entry.path))
                if entry.is_dir(follow_symlinks=False)
                else entry.stat(follow_symlinks=False).st_size
                for entry in entries
            )
    except OSError:
        return 0


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
        rest = ", ".join(f"{count} {outcome}" for outcome, count in self.others.items())
        if self.mean is None:
            return rest
        spread = "" if self.sd is None else f" ± {number(self.sd, 1)} ({self.n})"
        return f"{number(self.mean)}{spread}{', ' if rest else ''}{rest}"


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
        header = [self.rows, *map(self._head, self.across)]
        body = [[shown(self.rows, r), *(self._text(r, c) for c in self.across)] for r in self.down]
        words = any(isinstance(r, str) for r in self.down)
        return Table(header, body, frozenset(range(0 if words else 1, len(header))))

    def _head(self, value: Any) -> str:
        if self.cols is None:
            return self.value
        text = shown(self.cols, value)
        return text if self.cols == "impl" else f"{self.cols}={text}"

    def _text(self, row: Any, column: Any) -> str:
        cell = self.cells.get((row, column))
        return cell.text() if cell else ""

    def long(self) -> tuple[list[str], list[Row]]:
        """Column names, and one row a cell."""
        names = [self.rows, *([self.cols] if self.cols else []), "mean", "sd", "n", "others"]
        rows = []
        for (r, c), cell in self.cells.items():
            across = {self.cols: c} if self.cols else {}
            rows.append({self.rows: r, **across, **vars(cell)})
        return names, rows

    def caption(self) -> str:
        over = f" over {' and '.join(self.over)}" if self.over else ""
        return f"{self.value} of runs that ended as ok: mean ± standard deviation (runs){over}"


def pivot(rows: Sequence[Row], down: str, across: str | None, value: str) -> Pivot:
    """What a column comes to for each pair of values of two others.

    Raises UserError if the column holds words.
    """
    if any(isinstance(each[value], str) for each in rows):
        raise UserError(f"--value: {value} has no mean; choose a column of numbers")
    groups: dict[tuple[Any, Any], list[Row]] = {}
    for each in rows:
        groups.setdefault((each[down], each[across] if across else ""), []).append(each)
    downs = _values([r for r, _ in groups])
    acrosses = _values([c for _, c in groups])
    places = [(r, c) for r in downs for c in acrosses if (r, c) in groups]
    cells = {place: _cell(groups[place], value) for place in places}
    inside = {name for group in groups.values() for name in differing(group)}
    over = [name for name in SETTINGS if name in inside]
    if any(len({each["impl"] for each in group}) > 1 for group in groups.values()):
        over.insert(0, "impl")
    return Pivot(down, across, value, downs, acrosses, cells, over)


def _values(values: list[Any]) -> list[Any]:
    """Values once each: numbers in their order, words in that of their appearance, none last."""
    once = list(dict.fromkeys(values))
    return sorted(once, key=lambda v: (v is None, *(_rank(v)[:2])))


def _cell(rows: list[Row], value: str) -> Cell:
    good = [r[value] for r in rows if r["outcome"] == "ok" and r[value] is not None]
    others = Counter(r["outcome"] for r in rows if r["outcome"] != "ok")
    if lacking := len(rows) - len(good) - others.total():
        others["without it"] = lacking
    mean = statistics.fmean(good) if good else None
    sd = statistics.stdev(good) if len(good) > 1 else None
    return Cell(mean, sd, len(good), dict(others))


# --- as text


def shown(column: str, value: Any) -> str:
    """A value for people: short."""
    if value is None:
        return "-"
    if column == "final_loss":
        return number(value)
    if column in _PLACES:
        return f"{value:.{_PLACES[column]}f}"
    return f"{value:g}" if isinstance(value, float) else printable(exact(value))


def exact(value: Any) -> str:
    """A value for programs: every digit, nothing for None, true and false in lower case."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items())
    return value if isinstance(value, str) else repr(value)


def table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Rows for people; columns with words align left."""
    cells = [[shown(name, each[name]) for name in columns] for each in rows]
    words = (
        i for i, name in enumerate(columns) if any(isinstance(r[name], str | dict) for r in rows)
    )
    return Table(columns, cells, frozenset(words))


def as_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Rows for programs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([exact(each[name]) for name in columns] for each in rows)
    return text.getvalue().rstrip("\n")
