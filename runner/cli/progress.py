"""What a person sees while runs go on: a live line for each, or plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any, Self, TextIO

from rich.console import Console, Group
from rich.live import Live as Display
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from ..config.plan import Run
from ..output import emit
from ..results.record import FAILURES, Record
from ..tables import number

STYLES = {"ok": "green", "diverged": "yellow", "interrupted": "yellow"}
HEARTBEAT_S = 10.0
TALLY_S = 5.0


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

    def note(self, text: str) -> None:
        pass

    def __enter__(self) -> Self:
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
            style = STYLES.get(task.fields["outcome"], "red")
            return Text(ending, style, no_wrap=True, overflow="ellipsis")
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

    def __enter__(self) -> Self:
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


class Tally(Quiet):
    """The progress of many runs: a line every few seconds, and one for each that fails."""

    def __init__(self, total: int, out: TextIO) -> None:
        self.total = total
        self.out = out
        self.outcomes: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self.begun = self.said = time.monotonic()
        return self

    def note(self, text: str) -> None:
        emit(text, self.out)

    def importing(self, modules: list[str]) -> None:
        if modules:
            emit(f"importing {', '.join(modules)}", self.out)
        self.begun = self.said = time.monotonic()

    def finished(self, run: Run, record: Record) -> None:
        self.outcomes[record.outcome] += 1
        if record.outcome in FAILURES:
            emit(f"{run.key}  {record.outcome}: {record.reason}", self.out)
        if time.monotonic() - self.said > TALLY_S:
            self.said = time.monotonic()
            emit(self.line(), self.out)

    def line(self) -> str:
        """So many of so many, how they ended, and the time left."""
        done = self.outcomes.total()
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
        each_s = (time.monotonic() - self.begun) / max(1, done)
        return f"{done}/{self.total}  {counts}  {duration((self.total - done) * each_s)} left"


class LiveTally(Tally):
    """The same on a terminal: one bar, the outcomes so far, and what each worker is at."""

    def __init__(self, total: int, console: Console) -> None:
        super().__init__(total, sys.stderr)
        self.bar = Progress(BarColumn(bar_width=None), TextColumn("{task.description}"))
        self.task = self.bar.add_task("", total=total)
        self.under_way: dict[str, str] = {}
        self.console = console
        self.display = Display(console=console, get_renderable=self.draw, refresh_per_second=4)

    def __enter__(self) -> Self:
        self.display.start()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self.under_way.clear()
        self.display.stop()

    def draw(self) -> Group:
        rows = list(self.under_way.values())[: max(1, self.console.height - 4)]
        return Group(
            self.bar, *(Text(row, "dim", overflow="ellipsis", no_wrap=True) for row in rows)
        )

    def note(self, text: str) -> None:
        self.console.print(text)

    def importing(self, modules: list[str]) -> None:
        self.bar.update(self.task, description=f"importing {', '.join(modules)}" if modules else "")
        self.begun = time.monotonic()

    def started(self, run: Run) -> None:
        self.under_way[run.key] = run.key

    def event(self, run: Run, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            place = f"epoch {event['epoch']}/{run.config.epochs}"
            self.under_way[run.key] = f"{run.key}  {place}  loss {_loss(event)}"

    def finished(self, run: Run, record: Record) -> None:
        self.under_way.pop(run.key, None)
        self.outcomes[record.outcome] += 1
        self.bar.update(self.task, advance=1, description=self.line())
        if record.outcome in FAILURES:
            self.console.print(f"{run.key}  {record.outcome}: {record.reason}", style="red")


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min` or `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def tally(total: int, *, quiet: bool) -> Quiet:
    """The watcher of many runs that fits where standard error goes."""
    if quiet:
        return Quiet()
    console = terminal()
    return LiveTally(total, console) if console else Tally(total, sys.stderr)


def watcher(runs: list[Run], *, quiet: bool) -> Quiet:
    """The watcher that fits where standard error goes."""
    if quiet:
        return Quiet()
    console = terminal()
    return Live(runs, console) if console else Lines(runs, sys.stderr)


def terminal() -> Console | None:
    """Standard error, if it is a terminal on which lines can be redrawn."""
    console = Console(stderr=True, highlight=False, markup=False)
    return console if console.is_terminal and not console.is_dumb_terminal else None
