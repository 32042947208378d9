"""The tables of records: losses, summary, and why a run is not ok."""

import itertools
from collections.abc import Sequence

from ..config.published import Published
from ..output import printable
from ..tables import Table, number, sparkline
from .record import Record
from .rows import shown

_NOTEBOOK = "(notebook)"
_LOG_LINES = 8  # of the output of a run that is not ok


def losses(
    records: Sequence[Record], published: Published | None = None, *, exact: bool = False
) -> Table:
    """Epochs down, implementations across, beside `published` losses; `exact`: every digit."""
    text = repr if exact else number
    header, columns, glued = ["epoch"], [], set()
    for record in records:
        header.append(record.impl)
        columns.append(dict(enumerate(record.losses)))
        if own := (published or {}).get(record.impl):
            glued.add(len(header))
            header.append(f"{record.impl} {_NOTEBOOK}" if exact else _NOTEBOOK)
            columns.append(own)
    rows = [
        [str(epoch), *(text(losses[epoch]) if epoch in losses else "" for losses in columns)]
        for epoch in _epochs(records)
    ]
    return Table(header, rows, glued=frozenset(glued))


def _epochs(records: Sequence[Record]) -> list[int]:
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


def summary(records: Sequence[Record]) -> Table:
    """One row a run: how it ended, what it came to, what it cost."""
    header = (
        *("implementation", "outcome", "final loss", "log loss", "import s", "set-up s"),
        *("train s", "µs/step", "peak MB", "device", "threads"),
    )
    rows = [
        [
            *(record.impl, record.outcome, number(record.final_loss), sparkline(record.losses)),
            *(shown(name, getattr(record, name)) for name in ("import_s", "setup_s", "train_s")),
            shown("step_us", record.step_us_median),
            f"{record.peak_bytes / 1e6:.0f}" if record.peak_bytes else "-",
            *(str(value or "-") for value in (record.device, record.threads)),
        ]
        for record in records
    ]
    return Table(header, rows, frozenset({0, 1, 3, 9}))


def failures(records: Sequence[Record]) -> str:
    """Why each run that is not ok is not, with the lines that tell most."""
    lines: list[str] = []
    for record in records:
        if record.outcome != "ok":
            lines.append(f"{record.impl} {record.outcome}: {record.reason}")
            lines += (f"    {printable(line)}" for line in _telling(record))
    return "\n".join(lines)


def notes(records: Sequence[Record]) -> str:
    """What the numbers of the runs don't say of themselves, a line each."""
    return "\n".join(f"{record.impl}: {note}" for record in records for note in record.notes)


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
