"""Runs as flat rows: those that count, sorted, averaged over seeds, and laid out as tables."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from ..config.settings import DEFAULTS, SHOWN_ONLY
from ..errors import UserError, nearest
from ..output import printable
from ..tables import Table, exact, number
from .record import FINISHED, Record

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

_COMPARED = [name for name in SETTINGS if name not in SHOWN_ONLY]
_FORMATS = {"final_loss": ".4e", "step_us": ".1f", "import_s": ".2f"}
_FORMATS |= {"setup_s": ".3f", "train_s": ".3f"}

Item = TypeVar("Item")


def swept(run: Record) -> bool:
    return run.command.startswith("twolayer sweep ")


def selected(runs: Sequence[Record], *, everything: bool = False) -> tuple[list[Record], int]:
    """The runs to look at, in their order, and how many others of the experiment are left out.

    Those of the latest call; if that was a sweep, of all calls that made it what it is. With
    `everything` all, but those made again since.
    """
    latest = current(runs)
    if everything or not runs:
        return latest, 0
    call = max(runs, key=lambda run: run.invocation)
    if swept(call):
        return list(filter(swept, latest)), sum(not swept(run) for run in latest)
    chosen = [run for run in runs if run.invocation == call.invocation]
    return chosen, sum(run.invocation != call.invocation for run in latest)


def left_out(count: int, experiment: str) -> str:
    """What is said of the runs that `selected` leaves out."""
    runs = counted(count, f"other run of {experiment} is", f"other runs of {experiment} are")
    return f"{runs} left out; --all shows {'it' if count == 1 else 'them'}"


def counted(count: int, one: str, many: str) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{count:,} {one if count == 1 else many}"


def newest(runs: Iterable[Record], identity: Callable[[Record], object]) -> list[Record]:
    """Of attempts at the same, the newest that ended by itself, or, if none did, the newest."""
    attempts = grouped(runs, identity).values()
    counts = (max(own, key=lambda run: (run.outcome in FINISHED, run.age)) for own in attempts)
    return sorted(counts, key=lambda run: run.age)


def current(runs: Iterable[Record]) -> list[Record]:
    """Runs without those made again since: one for each implementation and settings."""
    return newest(runs, lambda run: (run.impl, settings_of(run)))


def labels(runs: Sequence[Record]) -> list[str]:
    """What runs are called side by side: `sgd`, or `sgd lr=1e-05 seed=2` among several of it."""
    rows = list(map(row, runs))
    varying = {impl: differing(own) for impl, own in by_impl(rows).items()}
    names = [label(own, varying[own["impl"]]) for own in rows]
    counts = Counter(names)
    pairs = zip(names, rows, strict=True)
    return [name if counts[name] == 1 else f"{name} ({own['folder']})" for name, own in pairs]


def label(row: Row, settings: Iterable[str]) -> str:
    return f"{printable(row['impl'])} {assigned(row, settings)}".rstrip()


def assigned(row: Row, settings: Iterable[str]) -> str:
    """`lr=1e-05 seed=2`."""
    return printable(" ".join(f"{name}={shown(name, asked(row, name))}" for name in settings))


def settings_of(run: Record) -> tuple[tuple[str, str], ...]:
    """The settings that make a difference, in a form that can be compared."""
    return tuple(sorted((k, repr(v)) for k, v in run.config.items() if k not in SHOWN_ONLY))


def grouped(items: Iterable[Item], key: Callable[[Item], Any]) -> dict[Any, list[Item]]:
    """Items by a key, in the order of their appearance."""
    groups: dict[Any, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


# --- rows


def row(run: Record) -> Row:
    """A run as one flat row of all COLUMNS, and its `config`, with `auto` where it was asked."""
    values = {
        **run.config,
        **vars(run),
        "device": run.device or run.config.get("device"),
        "threads": run.threads or run.config.get("threads"),
        "step_us": run.step_us_median,
        "version": run.versions.get(run.framework),
        "host": run.machine.get("host"),
        "folder": run.folder.name,
        "error": run.reason or None,
    }
    return {name: values.get(name) for name in (*COLUMNS, "config")}


def check_column(name: str, option: str, known: Iterable[str] = COLUMNS) -> str:
    """The name of a column as it is. Raises UserError, naming the option, if it is none."""
    if name not in known:
        hint = nearest(name, known) or f"; known are {', '.join(known)}"
        raise UserError(f"{option}: {name!r} is not a column{hint}")
    return name


def ordered(rows: Sequence[Row], column: str, *, descending: bool = False) -> list[Row]:
    """Rows by a column, numbers before words; rows that lack it come last either way."""
    by_value = sorted(rows, key=lambda row: _rank(row[column]), reverse=descending)
    return sorted(by_value, key=lambda row: row[column] is None)


def _rank(value: Any) -> tuple[bool, float, str]:
    return (False, value, "") if isinstance(value, int | float) else (True, 0, str(value))


def by_impl(rows: Iterable[Row]) -> dict[str, list[Row]]:
    return grouped(rows, lambda row: row["impl"])


def differing(*groups: Sequence[Row], among: Sequence[str] = _COMPARED) -> list[str]:
    """The settings that are not the same in all rows of a group, or of any of several."""

    def varies(name: str) -> bool:
        return any(len({repr(asked(row, name)) for row in rows}) > 1 for rows in groups)

    return list(filter(varies, among))


def asked(row: Row, name: str) -> Any:
    """A setting as it was given, perhaps `auto`."""
    return row["config"].get(name, row[name])


def default_columns(rows: Sequence[Row]) -> list[str]:
    """The settings that differ among the runs, and their results."""
    return ["impl", *differing(rows), "outcome", "final_loss", "train_s", "step_us"]


def ok_values(rows: Iterable[Row], column: str) -> list[Any]:
    """The values of a column in the runs that ended as ok."""
    return [row[column] for row in rows if row["outcome"] == "ok" and row[column] is not None]


def best(rows: Iterable[Row], count: int) -> list[Row]:
    """The rows of runs that ended as ok with the lowest final losses."""
    return ordered([row for row in rows if ok_values([row], "final_loss")], "final_loss")[:count]


# --- averages


@dataclass(frozen=True)
class Pivot:
    """Averages of a column over the runs that agree in one or two others.

    A cell has the values of these, the mean and the standard deviation (None for less than two)
    of the `n` runs that ended as ok and have a value, and the count of each outcome of the others.
    """

    down: list[Any]  # the values of the first column
    across: list[Any]  # those of the second, or `[""]`
    cells: dict[tuple[Any, Any], Row]
    over: list[str]  # the settings that differ among the runs of a cell
    table: Table


def pivot(rows: Sequence[Row], down: str, across: str | None, value: str) -> Pivot:
    """The average of a column, by two others. Raises UserError if it holds words."""
    if any(isinstance(row[value], str) for row in rows):
        raise UserError(f"--value: {value} has no mean; choose a column of numbers")
    groups = grouped(rows, lambda row: (row[down], row[across] if across else ""))
    downs, acrosses = (_once(place[axis] for place in groups) for axis in (0, 1))
    places = [(r, c) for r in downs for c in acrosses if (r, c) in groups]
    cells = {
        (r, c): {down: r} | ({across: c} if across else {}) | _average(groups[r, c], value)
        for r, c in places
    }
    over = differing(*groups.values(), among=("impl", *_COMPARED))
    prefix = "" if across == "impl" else f"{across}="
    header = [prefix + shown(across, c) if across else value for c in acrosses]
    body = [[shown(down, r), *(_cell_text(cells.get((r, c))) for c in acrosses)] for r in downs]
    first = 0 if any(isinstance(r, str) for r in downs) else 1
    left = frozenset(range(first, 1 + len(header)))
    return Pivot(downs, acrosses, cells, over, Table([down, *header], body, left))


def _once(values: Iterable[Any]) -> list[Any]:
    """Values once each: numbers in their order, words in that of their appearance, none last."""
    return sorted(dict.fromkeys(values), key=lambda v: (v is None, *(_rank(v)[:2])))


def _average(rows: list[Row], value: str) -> Row:
    values = ok_values(rows, value)
    others = Counter(row["outcome"] for row in rows if row["outcome"] != "ok")
    if lacking := len(rows) - len(values) - others.total():
        others["without it"] = lacking
    mean = statistics.fmean(values) if values else None
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": mean, "sd": sd, "n": len(values), "others": dict(others)}


def _cell_text(cell: Row | None) -> str:
    """`mean ± sd (n), 1 diverged`."""
    if cell is None:
        return ""
    deviation = "" if cell["sd"] is None else f" ± {number(cell['sd'], 1)} ({cell['n']})"
    mean = "" if cell["mean"] is None else number(cell["mean"]) + deviation
    return ", ".join(filter(None, (mean, exact(cell["others"]))))


# --- as text


def shown(column: str, value: Any) -> str:
    """A value for people: short."""
    if value is None:
        return "-"
    if column in ("started_at", "latest"):
        return _clock(value)
    if isinstance(value, float) or column in _FORMATS:
        return f"{value:{_FORMATS.get(column, '.4g')}}"
    return printable(exact(value))


def _clock(time: str) -> str:
    """`2026-11-25 17:40`, by the clock of whoever reads it."""
    try:
        return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return printable(time)


def table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Rows for people; columns with words align left."""
    cells = [[shown(name, row[name]) for name in columns] for row in rows]
    words = [any(isinstance(row[name], str | dict) for row in rows) for name in columns]
    return Table(columns, cells, frozenset(i for i, word in enumerate(words) if word))


def as_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Rows for programs: every digit."""
    return Table(columns, [[exact(row[name]) for name in columns] for row in rows]).csv()
