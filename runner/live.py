"""What a person sees while runs go on: a live line for each, or plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live as Display
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from .output import emit
from .plan import Run
from .record import Record
from .tables import number

STYLES = {"ok": "green", "diverged": "yellow", "interrupted": "yellow"}
HEARTBEAT_S = 10.0


class Quiet:
    """A watcher that says nothing."""

    def importing(self, modules: list[str]) -> None:
        pass

    def started(self, run: Run) -> None:
        pass

    def event(self, run: Run, event: dict[str, Any]) -> None:
        pass

    def finished(self, run: Run, record: Record) -> None:
        pass

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Lines(Quiet):
    """A line when a run ends, and every ten seconds of a long one: for pipes and CI."""

    def __init__(self, runs: list[Run], out: TextIO) -> None:
        self.out = out
        self.total = len(runs)
        self.width = max((len(run.name) for run in runs), default=0)
        self.done = 0
        self.said = 0.0

    def say(self, text: str) -> None:
        emit(text, self.out)
        self.said = time.monotonic()

    def importing(self, modules: list[str]) -> None:
        if modules:
            self.say(f"importing {', '.join(modules)}")

    def started(self, run: Run) -> None:
        self.said = time.monotonic()

    def event(self, run: Run, event: dict[str, Any]) -> None:
        if event["event"] == "progress" and time.monotonic() - self.said > HEARTBEAT_S:
            place = f"epoch {event['epoch']}/{run.config.epochs}"
            self.say(f"{self.count()} {run.name.ljust(self.width)}  {place}  loss {_loss(event)}")

    def finished(self, run: Run, record: Record) -> None:
        self.done += 1
        self.say(f"{self.count()} {run.name.ljust(self.width)}  {ending(record)}")

    def count(self) -> str:
        digits = len(str(self.total))
        return f"[{self.done:{digits}}/{self.total}]"


def ending(record: Record) -> str:
    """How a run ended, in one line."""
    if record.outcome != "ok":
        return f"{record.outcome}: {record.reason}"
    return (
        f"ok  {record.epochs_done} epochs  loss {number(record.final_loss)}  {record.train_s:.2f} s"
    )


def _loss(event: dict[str, Any]) -> str:
    return number(event["loss"]) if isinstance(event["loss"], float) else str(event["loss"])


class _Ending(ProgressColumn):
    """Steps a second and time left, or how the run ended."""

    def render(self, task: Task) -> Text:
        if ending := task.fields["ending"]:
            return Text(ending, STYLES.get(task.fields["outcome"], "red"))
        if not task.speed or task.total is None:
            return Text("")
        left_s = (task.total - task.completed) / task.speed
        return Text(f"{task.speed:,.0f} steps/s  {left_s:.0f} s left", "dim")


class Live(Quiet):
    """One line per implementation, redrawn four times a second."""

    def __init__(self, runs: list[Run], console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20 if console.width >= 100 else 8),
            TextColumn("{task.fields[loss]:>10}"),
            _Ending(),
        )
        self.status = Text("", "dim")
        self.display = Display(
            Group(self.progress, self.status),
            console=console,
            refresh_per_second=4,  # drawing takes time from a run on a small machine
        )
        self.tasks = {run.name: self._task(run) for run in runs}

    def _task(self, run: Run) -> TaskID:
        return self.progress.add_task(
            run.name, total=run.config.epochs, start=False, loss="", ending="", outcome=""
        )

    def __enter__(self) -> Live:
        self.display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.status.plain = ""
        self.display.stop()

    def importing(self, modules: list[str]) -> None:
        self.status.plain = f"importing {', '.join(modules)} …" if modules else ""

    def started(self, run: Run) -> None:
        self.progress.start_task(self.tasks[run.name])

    def event(self, run: Run, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            task = self.tasks[run.name]
            self.progress.update(task, completed=event["epoch"], loss=_loss(event))

    def finished(self, run: Run, record: Record) -> None:
        time_s = f"{record.train_s:.2f} s" if record.train_s is not None else ""
        words = f"ok  {time_s}" if record.outcome == "ok" else f"{record.outcome}: {record.reason}"
        self.progress.update(
            self.tasks[run.name],
            completed=record.epochs_done,
            loss=number(record.final_loss),
            ending=words,
            outcome=record.outcome,
        )
        self.progress.stop_task(self.tasks[run.name])


def watcher(runs: list[Run], *, quiet: bool) -> Quiet:
    """The watcher that fits where standard error goes."""
    if quiet:
        return Quiet()
    console = Console(stderr=True, highlight=False, markup=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return Live(runs, console)
    return Lines(runs, sys.stderr)
