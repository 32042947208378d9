"""Records as tables: for a terminal of any width, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .output import printable
from .record import Record

BARS = "▁▂▃▄▅▆▇█"
LOG_LINES = 8
"""Lines of the output of a run that is not ok that are shown under the summary."""

NOTEBOOK = "(notebook)"

Published = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Table:
    """Cells in rows under a header; the first column names the row and is never split off.

    `left` are the columns with words, which align left; numbers align right. `glued` are those
    that are never split from the column before them.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: frozenset[int] = frozenset()
    glued: frozenset[int] = frozenset()

    def widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]

    def blocks(self, width: int, gap: int = 2) -> list[list[int]]:
        """Column numbers, first one included, in blocks that fit into `width` characters."""
        widths = self.widths()
        blocks: list[list[int]] = [[0]]
        used = widths[0]
        for group in self._groups():
            needed = sum(gap + widths[column] for column in group)
            if used + needed > width and len(blocks[-1]) > 1:
                blocks.append([0])
                used = widths[0]
            blocks[-1] += group
            used += needed
        return blocks

    def _groups(self) -> list[list[int]]:
        """The columns after the first, those that stay together in one list."""
        groups: list[list[int]] = []
        for column in range(1, len(self.header)):
            if column in self.glued:
                groups[-1].append(column)
            else:
                groups.append([column])
        return groups

    def text(self, width: int) -> str:
        """The table for people, split into blocks where it is wider than `width`."""
        return self._cut(width)._text(width)

    def _cut(self, width: int, gap: int = 2) -> Table:
        """The table with words shortened where a column would not fit beside the first."""
        widths = self.widths()
        first = max(width // 2, width - gap - max(widths[1:], default=0))
        rest = max(1, width - gap - min(widths[0], first))

        def cut(cells: Sequence[str]) -> list[str]:
            return [
                shortened(cell, rest if column else first) if column in self.left else cell
                for column, cell in enumerate(cells)
            ]

        if all(w <= (rest if column else first) for column, w in enumerate(widths)):
            return self
        return replace(self, header=cut(self.header), rows=[cut(row) for row in self.rows])

    def _text(self, width: int) -> str:
        widths = self.widths()
        texts = []
        for block in self.blocks(width):
            lines = [self._line(self.header, block, widths)]
            lines.append("  ".join("─" * widths[column] for column in block))
            lines += [self._line(row, block, widths) for row in self.rows]
            texts.append("\n".join(lines))
        return "\n\n".join(texts)

    def _line(self, cells: Sequence[str], block: list[int], widths: list[int]) -> str:
        aligned = (
            cells[c].ljust(widths[c]) if c in self.left else cells[c].rjust(widths[c])
            for c in block
        )
        return printable("  ".join(aligned).rstrip())

    def markdown(self) -> str:
        """The table as GitHub reads it."""
        rule = [":--" if column in self.left else "--:" for column in range(len(self.header))]
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        lines = [self.header, rule, *escaped]
        return "\n".join(printable(f"| {' | '.join(line)} |") for line in lines)

    def csv(self) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue().rstrip("\n")


def shortened(text: str, width: int) -> str:
    """`an implem…` where there is not room for all of it."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def number(value: float | None, digits: int = 4) -> str:
    """`3.1911e+07`: the same width for every magnitude, so that columns line up."""
    return "-" if value is None else f"{value:.{digits}e}"


def losses(
    records: Sequence[Record], published: Published | None = None, *, exact: bool = False
) -> Table:
    """Epochs down, implementations across; `published` losses stand beside ours.

    `exact` writes every digit of a loss, else five significant ones.
    """
    published = published or {}
    header = ["epoch"]
    for record in records:
        header.append(record.impl)
        if record.impl in published:
            header.append(f"{record.impl} {NOTEBOOK}" if exact else NOTEBOOK)
    rows = []
    for epoch in _epochs(records):
        row = [str(epoch)]
        for record in records:
            row.append(_cell(_loss_at(record, epoch), exact))
            if record.impl in published:
                row.append(_cell(published[record.impl].get(epoch), exact))
        rows.append(row)
    beside = (column for column, name in enumerate(header) if name.endswith(NOTEBOOK))
    return Table(header, rows, glued=frozenset(beside))


def _epochs(records: Sequence[Record]) -> list[int]:
    """The epochs that any record prints: each `log_every`th of its own, and its last."""
    auto = _step(max((len(record.losses) for record in records), default=0))
    epochs: set[int] = set()
    for record in records:
        every = record.config.get("log_every", "auto")
        own = range(len(record.losses))
        epochs.update(own[:: auto if every == "auto" else every], own[-1:])
    return sorted(epochs)


def _step(epochs: int) -> int:
    """The first of 1, 2, 5, 10, 20, … that makes about ten rows of so many epochs."""
    steps = (int(factor * 10**power) for power in itertools.count() for factor in (1, 2, 5))
    return next(step for step in steps if step * 10 >= epochs)


def _loss_at(record: Record, epoch: int) -> float | None:
    return record.losses[epoch] if epoch < len(record.losses) else None


def _cell(loss: float | None, exact: bool) -> str:
    if loss is None:
        return ""
    return repr(loss) if exact else number(loss)


def summary(records: Sequence[Record]) -> Table:
    """One row a run: how it ended, what it came to, what it cost."""
    header = (
        *("implementation", "outcome", "final loss", "log loss", "import s", "set-up s"),
        *("train s", "µs/step", "peak MB", "device", "threads"),
    )
    return Table(header, [_summary_row(record) for record in records], frozenset({0, 1, 3, 9}))


def _summary_row(record: Record) -> list[str]:
    return [
        record.impl,
        record.outcome,
        number(record.final_loss),
        sparkline(record.losses),
        _fixed(record.import_s, 2),
        _fixed(record.setup_s, 3),
        _fixed(record.train_s, 3),
        _fixed((record.step_us or {}).get("median"), 1),
        _fixed(record.peak_bytes / 1e6 if record.peak_bytes else None, 0),
        record.device or "-",
        str(record.threads or "-"),
    ]


def _fixed(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def sparkline(values: Sequence[float], width: int = 12) -> str:
    """The logarithms of some losses as a row of bars; the lowest bar is the lowest loss."""
    logs = [math.log10(v) for v in values if math.isfinite(v) and v > 0]
    if not logs:
        return ""
    count = min(width, len(logs))
    picked = [logs[round(i * (len(logs) - 1) / max(1, count - 1))] for i in range(count)]
    low, high = min(picked), max(picked)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0
    return "".join(BARS[round((value - low) * scale)] for value in picked)


def failures(records: Sequence[Record]) -> str:
    """Why each run that is not ok is not, with the lines that tell most."""
    paragraphs = []
    for record in records:
        if record.outcome != "ok":
            lines = (f"    {printable(line)}" for line in _telling(record))
            paragraphs.append(
                "\n".join([f"{record.impl} {record.outcome}: {record.reason}", *lines])
            )
    return "\n".join(paragraphs)


def notes(records: Sequence[Record]) -> str:
    """What the numbers of the runs don't say of themselves, a line each."""
    return "\n".join(f"{record.impl}: {note}" for record in records for note in record.notes)


def _telling(record: Record) -> list[str]:
    """The ends of what a run printed and of its traceback; of a crash, where it happened."""
    lines = record.log.rstrip().splitlines()
    crash = next((i for i, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    if crash is not None:
        return lines[crash : crash + LOG_LINES]
    trace = ((record.error or {}).get("traceback") or "").rstrip().splitlines()
    if record.outcome != "failed" or (trace and lines[-1:] == trace[-1:]):
        trace = []
    return [*lines[-LOG_LINES:], *_from_a_frame(trace[-LOG_LINES:])]


def _from_a_frame(trace: list[str]) -> list[str]:
    """The end of a traceback, from a line that names a file on."""
    frames = [i for i, line in enumerate(trace) if line.lstrip().startswith("File ")]
    return trace[frames[0] :] if frames else trace
