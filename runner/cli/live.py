"""Progress on a terminal, redrawn four times a second."""

import time
from collections.abc import Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from ..config.plan import Run
from ..output import COLOURS, MOODS, printable
from ..results.record import Record
from ..tables import number
from .progress import Lines, duration, loss, result_line


class State(ProgressColumn):
    """The loss of a run, and how it goes or ended; of the whole, the time taken and left.

    The one column that is cut where there is no room.
    """

    def render(self, task: Task) -> Text:
        loss, state = task.fields["loss"], task.fields["state"]
        if loss is None:
            loss = duration(round(task.elapsed or 0))
            if (left_s := round(task.fields["ends"] - time.monotonic())) > 0:
                state = f"{duration(left_s)} left  {state}"
        if not state and task.speed:
            state = f"{duration(task.time_remaining or 0)} left  {task.speed:,.0f} steps/s"
        styled = state, task.fields["style"]
        return Text.assemble(f"{loss:>10} ", styled, no_wrap=True, overflow="ellipsis")


class Live(Lines):
    """A bar for each of `runs`; else one for the whole, and those of runs under way."""

    def __init__(self, runs: Sequence[Run], total: int, transient: bool) -> None:
        super().__init__(runs, total)
        console, uncut = Console(stderr=True, highlight=False, markup=False), Column(no_wrap=True)
        self.display = Progress(
            TextColumn("{task.description}", markup=False, table_column=uncut),
            BarColumn(20 if console.width >= 100 else 8, table_column=uncut),
            State(),
            console=console,
            refresh_per_second=4,  # drawing takes time from a run on a small machine
            transient=transient,
        )
        self.imports: TaskID | None = None
        self.whole = None if runs else self.row("total", total or None, loss=None, ends=0)
        self.rows = {run.key: self.row(run.name, run.config.epochs) for run in runs}

    def row(self, name: str, total: int | None, **fields: Any) -> TaskID:
        fields = {"loss": "", "state": "", "style": "dim"} | fields
        return self.display.add_task(printable(name), total=total, **fields)

    def __enter__(self) -> Self:
        self.display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.importing([])
        if self.whole is not None:
            self.display.update(self.whole, ends=0)
            for key in list(self.rows):
                self.display.remove_task(self.rows.pop(key))
        self.display.stop()

    def note(self, text: str, style: str = "") -> None:
        self.display.console.print(Text(printable(text), style))

    def importing(self, modules: list[str]) -> None:
        if self.imports is not None:
            self.display.remove_task(self.imports)
        self.imports = self.row("importing", None, state=", ".join(modules)) if modules else None
        self.begun = time.monotonic()

    def started(self, run: Run) -> None:
        if run.key not in self.rows:
            self.rows[run.key] = self.row(run.key, run.config.epochs)

    def event(self, run: Run, event: dict[str, Any]) -> None:
        if event["event"] == "progress" and run.key in self.rows:
            self.display.update(self.rows[run.key], completed=event["epoch"], loss=loss(event))

    def finished(self, run: Run, record: Record) -> None:
        if not self.runs:
            if run.key in self.rows:
                self.display.remove_task(self.rows.pop(run.key))
            super().finished(run, record)
            return
        self.display.update(
            self.rows[run.key],
            completed=record.epochs_done,
            loss=number(record.final_loss),
            state=result_line(record, brief=True),
            style=f"color({COLOURS[MOODS[record.outcome]]})",
        )

    def step(self, done: float, total: float | None, title: str, line: str) -> None:
        if self.whole is not None:
            ends = time.monotonic() + self.left_s(done, total)
            what: dict[str, Any] = {"state": title, "style": "", "ends": ends}
            self.display.update(self.whole, completed=done, total=total, **what)
