"""Progress on a terminal, redrawn four times a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live as Display
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..config.plan import Run
from ..output import printable
from ..results.record import Record
from ..tables import number
from .progress import Lines, duration, ending, loss, round_of

STYLES = {"ok": "green", "diverged": "yellow", "interrupted": "yellow"}


def terminal() -> Console | None:
    """Standard error, if it is a terminal on which lines can be redrawn."""
    console = Console(stderr=True, highlight=False, markup=False)
    return console if console.is_terminal and not console.is_dumb_terminal else None


@dataclass
class Row:
    """A run on the display: how far it is, or how it ended."""

    name: str
    epochs: int
    done: int = 0
    speed: float = 0.0
    loss: str = ""
    ending: str = ""
    style: str = "dim"
    begun: float = 0.0

    def state(self) -> Text:
        text = self.ending
        if self.speed and not text:
            left_s = (self.epochs - self.done) / self.speed
            text = f"{left_s:.0f} s left  {self.speed:,.0f} steps/s"
        return Text(text, self.style, no_wrap=True, overflow="ellipsis")


class Live(Lines):
    """A bar for each of `runs`; else one for the sweep or bench, over those of runs under way."""

    def __init__(self, console: Console, runs: Sequence[Run], total: int, cells: int) -> None:
        super().__init__(runs, total, cells)
        self.console = console
        self.rows = {run.key: Row(run.name, run.config.epochs) for run in runs}
        self.turns: int | None = total or None
        self.done, self.measured, self.title, self.status = 0, 0, "", ""
        self.display = Display(
            console=console,
            get_renderable=self.draw,
            refresh_per_second=4,  # drawing takes time from a run on a small machine
            transient=bool(cells),
        )

    def draw(self) -> Group:
        wide = self.console.width >= 100
        whole, rows = Table.grid(padding=(0, 1, 0, 0)), Table.grid(padding=(0, 1, 0, 0))
        for _ in ("name", "bar", "loss"):  # the state is what may be cut
            rows.add_column(no_wrap=True)
        if not self.runs:
            bar = ProgressBar(self.turns, self.done, width=40 if wide else 12)
            elapsed = duration(round(time.monotonic() - self.begun))
            whole.add_row(bar, elapsed.rjust(6), Text(f" {self.title}"))
        for row in list(self.rows.values()):
            bar = ProgressBar(row.epochs, row.done, width=20 if wide else 8)
            rows.add_row(Text(row.name), bar, row.loss.rjust(10), row.state())
        parts: list[RenderableType] = [part for part in (whole, rows) if part.row_count]
        return Group(*parts, *([Text(self.status, "dim")] if self.status else []))

    def __enter__(self) -> Self:
        self.display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.status = ""
        if not self.runs:
            self.rows.clear()
        self.display.stop()

    def note(self, text: str, style: str = "") -> None:
        self.console.print(Text(printable(text), style))

    def importing(self, modules: list[str]) -> None:
        self.status = f"importing {', '.join(modules)} …" if modules else ""
        self.begun = time.monotonic()

    def started(self, run: Run) -> None:
        self.rows.setdefault(run.key, Row(run.key, run.config.epochs))

    def event(self, run: Run, event: dict[str, Any]) -> None:
        if (row := self.rows.get(run.key)) is None:
            return
        if event["event"] == "training":
            row.begun = time.monotonic()
        elif event["event"] == "progress":
            row.done, row.loss = event["epoch"], loss(event)
            row.speed = row.done / (time.monotonic() - row.begun)

    def finished(self, run: Run, record: Record) -> None:
        if not self.runs:
            self.rows.pop(run.key, None)
            super().finished(run, record)
            return
        self.rows[run.key] = Row(
            run.name,
            run.config.epochs,
            record.epochs_done,
            loss=number(record.final_loss),
            ending=ending(record, brief=True),
            style=STYLES.get(record.outcome, "red"),
        )

    def tell(self) -> None:
        self.done, self.title = self.outcomes.total(), self.tally()

    def measuring(self, number: int, of: int | None, label: str) -> None:
        self.title = f"{round_of(number, of)}  {label}"
        self.turns = of * self.cells if of else None
        self.done, self.measured = self.measured, self.measured + 1
