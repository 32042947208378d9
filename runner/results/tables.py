"""The tables of records: losses and summary; why a run is not ok; what follows from them all."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..config.published import Published
from ..config.settings import OPTIONAL, SHOWN_ONLY
from ..errors import listed
from ..output import printable
from ..tables import Table, number, sparkline
from .record import Record
from .rows import SETTINGS, differing, labels, row, shown

_NOTEBOOK = "(notebook)"
_LOG_LINES = 8  # of the output of a run that is not ok


def losses(
    records: Sequence[Record], published: Published | None = None, *, exact: bool = False
) -> Table:
    """Epochs down, runs across, beside `published` losses; `exact`: every digit."""
    text = repr if exact else number
    header, columns, glued = ["epoch"], [], set()
    for record, label in zip(records, labels(records), strict=True):
        header.append(label)
        columns.append(dict(enumerate(record.losses)))
        if own := (published or {}).get(record.impl):
            glued.add(len(header))
            header.append(f"{label} {_NOTEBOOK}" if exact else _NOTEBOOK)
            columns.append(own)
    rows = [
        [str(epoch), *(text(losses[epoch]) if epoch in losses else "" for losses in columns)]
        for epoch in _printed_epochs(records)
    ]
    return Table(header, rows, glued=frozenset(glued))


def _printed_epochs(records: Sequence[Record]) -> list[int]:
    """The epochs that any record prints: each `log_every`th of its own, and its last."""
    longest = max((len(record.losses) for record in records), default=0)
    strides = (factor * 10**power for power in itertools.count() for factor in (1, 2, 5))
    auto = next(stride for stride in strides if stride * 10 >= longest)  # about ten rows
    epochs: set[int] = set()
    for record in records:
        every = record.config.get("log_every", "auto")
        own = range(len(record.losses))
        epochs.update(own[:: auto if every == "auto" else every], own[-1:])
    return sorted(epochs)


_MEASURED: dict[str, Callable[[Record], str]] = {
    "final loss": lambda record: number(record.final_loss),
    "log loss": lambda record: sparkline(record.losses),
    "import s": lambda record: shown("import_s", record.import_s),
    "set-up s": lambda record: shown("setup_s", record.setup_s),
    "train s": lambda record: shown("train_s", record.train_s),
    "µs/step": lambda record: shown("step_us", record.step_us_median),
    "peak MB": lambda record: f"{record.peak_bytes / 1e6:.0f}" if record.peak_bytes else "-",
    "device": lambda record: str(record.device or "-"),
    "threads": lambda record: str(record.threads or "-"),
}
_VERBOSE = ("import s", "set-up s", "device", "threads")
_OPTIONAL = ("µs/step", "train s", "log loss", "peak MB")  # as there is room, the first ones first
_WORDS = ("implementation", "outcome", "log loss", "device", "dtype", "init")


def summary(records: Sequence[Record], *, verbose: bool = False) -> Table:
    """One row a run: the settings that differ, how it ended, what it came to, what it cost."""
    columns = {"implementation": [record.impl for record in records]}
    for name in varying(records):
        columns[name] = [shown(name, value) for value in _used(records, name)]
    if verbose or any(record.outcome != "ok" for record in records):
        columns["outcome"] = [record.outcome for record in records]
    for name, text in _MEASURED.items():
        if verbose or name not in _VERBOSE:
            columns[name] = list(map(text, records))
    header = list(columns)
    left = frozenset(number for number, name in enumerate(header) if name in _WORDS)
    optional = [] if verbose else list(map(header.index, _OPTIONAL))
    return Table(header, list(zip(*columns.values(), strict=True)), left, optional=optional)


def varying(records: Sequence[Record]) -> list[str]:
    """The settings that are not the same in all runs, and `device` if they got several."""
    devices = {record.device for record in records if record.device}
    names = [*differing(list(map(row, records))), *["device"] * (len(devices) > 1)]
    return [name for name in SETTINGS if name in names]


def _used(records: Sequence[Record], name: str) -> list[Any]:
    got = name in ("device", "threads")
    return [getattr(run, name) if got else run.config.get(name) for run in records]


def common(records: Sequence[Record]) -> str:
    """`all: cpu, 2 threads, N=60, …`: what is the same in all runs and in use."""
    parts = []
    for name in dict.fromkeys(("device", "threads", *SETTINGS)):
        values = {value for value in _used(records, name) if value is not None}
        value = values.pop() if len(values) == 1 else None
        if value is None or name in SHOWN_ONLY or (name in OPTIONAL and not value):
            continue
        special = {"device": value, "threads": f"{value} thread{'s' * (value != 1)}"}
        parts.append(special.get(name) or f"{name}={shown(name, value)}")
    return f"{'all' if len(records) > 1 else 'settings'}: {', '.join(parts)}"


def verdict(records: Sequence[Record]) -> str:
    """How many runs are ok, and whether their losses and times are those of the same work."""
    ok = [r for r in records if r.outcome == "ok" and r.final_loss is not None]
    others = Counter(record.outcome for record in records if record.outcome != "ok")
    ended = "".join(f", {count} {outcome}" for outcome, count in others.items())
    ended += " (a smaller lr may help)" * ("diverged" in others)
    text = f"{len(records) - others.total()} of {len(records)} ok{ended}"
    if names := varying(records):
        differ, them = ("differs", "it") if len(names) == 1 else ("differ", "them")
        between = f"losses and times compare only between runs that agree in {them}"
        return f"{text}; {listed(names)} {differ}: {between}"
    if len(ok) > 1:
        by_loss = sorted(ok, key=lambda record: record.final_loss or 0.0)
        ends = [f"{number(record.final_loss)} ({record.impl})" for record in by_loss]
        if number(by_loss[0].final_loss) == number(by_loss[-1].final_loss):
            return f"{text}, with the same settings and final loss {number(by_loss[0].final_loss)}"
        return f"{text}, with the same settings; final losses from {ends[0]} to {ends[-1]}"
    return text


def failures(records: Sequence[Record]) -> str:
    """Why each run that is not ok is not, with the lines that tell most."""
    lines: list[str] = []
    for record, label in zip(records, labels(records), strict=True):
        if record.outcome != "ok":
            lines.append(f"{label} {record.outcome}: {record.reason}")
            lines += (f"    {printable(line)}" for line in _telling(record))
    return "\n".join(lines)


def notes(records: Sequence[Record]) -> str:
    """What the numbers of the runs don't say of themselves, a line each."""
    names = zip(labels(records), records, strict=True)
    return "\n".join(f"{label}: {note}" for label, record in names for note in record.notes)


def _telling(record: Record) -> list[str]:
    """The ends of what a run printed and of its traceback; of a crash, where it happened."""
    lines = record.log.rstrip().splitlines()
    crash = next((i for i, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    if crash is not None:
        return lines[crash : crash + _LOG_LINES]
    trace = ((record.error or {}).get("traceback") or "").rstrip().splitlines()
    if record.outcome != "failed" or (trace and lines[-1:] == trace[-1:]):
        trace = []
    trace = trace[-_LOG_LINES:]
    frames = [i for i, line in enumerate(trace) if line.lstrip().startswith("File ")]
    return [*lines[-_LOG_LINES:], *trace[frames[0] if frames else 0 :]]
