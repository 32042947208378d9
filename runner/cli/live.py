"""Progress on a terminal, redrawn four times a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live as Display
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..config.plan import Run
from ..output import printable
from ..results.record import Record
from ..tables import number
from .progress import Lines, duration, loss, result_line, round_of

STYLES = {"ok": "green", "diverged": "yellow", "interrupted": "yellow"}


def terminal() -> Console | None:
    """Standard error, if it is a terminal on which lines can be redrawn."""
    console = Console(stderr=True, highlight=False, markup=False)
    return console if console.is_terminal and not console.is_dumb_terminal else None


class Row:
    """A run on the display: name, bar, loss, and the time left or how it ended."""

    def __init__(self, name: str, epochs: int, width: int) -> None:
        self.name, self.loss, self.state = Text(name), "", Text()
        self.bar = ProgressBar(epochs, 0, width=width)
        self.begun = time.monotonic()

    def update(self, epoch: int, loss: str, state: str, style: str) -> None:
        self.bar.update(epoch)
        self.loss, self.state = loss, Text(state, style, no_wrap=True, overflow="ellipsis")


class Live(Lines):
    """A bar for each of `runs`; else one for the sweep or bench, over those of runs under way."""

    def __init__(self, console: Console, runs: Sequence[Run], total: int, cells: int) -> None:
        super().__init__(runs, total, cells)
        wide = console.width >= 100
        self.console, self.width, self.status, self.turns = console, 20 if wide else 8, "", 0
        self.bar = ProgressBar(total or None, 0, width=40 if wide else 8)
        self.rows = {run.key: Row(run.name, run.config.epochs, self.width) for run in runs}
        self.display = Display(
            console=console,
            get_renderable=self.draw,
            refresh_per_second=4,  # drawing takes time from a run on a small machine
            transient=bool(cells),
        )

    def draw(self) -> Group:
        whole, rows = Table.grid(padding=(0, 1, 0, 0)), Table.grid(padding=(0, 1, 0, 0))
        for _ in ("name", "bar", "loss"):  # the state is what may be cut
            rows.add_column(no_wrap=True)
        if not self.runs:
            elapsed = duration(round(time.monotonic() - self.begun))
            title = Text(f" {self.title}", no_wrap=True, overflow="ellipsis")
            whole.add_row(self.bar, elapsed.rjust(6), title)
        for row in list(self.rows.values()):
            rows.add_row(row.name, row.bar, row.loss.rjust(10), row.state)
        parts = [part for part in (whole, rows) if part.row_count]
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
        self.rows.setdefault(run.key, Row(run.key, run.config.epochs, self.width))

    def event(self, run: Run, event: dict[str, Any]) -> None:
        if (row := self.rows.get(run.key)) is None:
            return
        if event["event"] == "training":
            row.begun = time.monotonic()
        elif event["event"] == "progress":
            speed = event["epoch"] / (time.monotonic() - row.begun)
            left_s = (run.config.epochs - event["epoch"]) / speed if speed else 0
            state = f"{left_s:.0f} s left  {speed:,.0f} steps/s"
            row.update(event["epoch"], loss(event), state, "dim")

    def finished(self, run: Run, record: Record) -> None:
        if not self.runs:
            self.rows.pop(run.key, None)
            super().finished(run, record)
            return
        style = STYLES.get(record.outcome, "red")
        state = result_line(record, brief=True)
        self.rows[run.key].update(record.epochs_done, number(record.final_loss), state, style)

    def tell(self) -> None:
        self.bar.update(self.outcomes.total())
        self.title = self.tally()

    def measuring(self, number: int, of: int | None, label: str) -> None:
        self.title = f"{round_of(number, of)}  {label}"
        self.bar.update(self.turns, of * self.cells if of else None)
        self.turns += 1
