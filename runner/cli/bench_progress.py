"""What a person sees while a bench goes on: a bar on a terminal, a line a round in a pipe."""

from __future__ import annotations

import sys
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..output import emit
from . import progress as live


class Quiet(live.Quiet):
    """A watcher that says nothing."""

    def measuring(self, number: int, of: int | None, label: str) -> None:
        pass


class Lines(Quiet):
    """A line when imports and when a round begin."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.said = -1

    def importing(self, modules: list[str]) -> None:
        if modules:
            emit(f"importing {', '.join(modules)}", self.out)

    def measuring(self, number: int, of: int | None, label: str) -> None:
        if number != self.said:
            emit(round_of(number, of), self.out)
        self.said = number


class Bar(Quiet):
    """One line, redrawn: which round, and whose turn it is."""

    def __init__(self, cells: int, console: Console) -> None:
        self.cells = cells
        self.done = 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[label]}", style="dim"),
            console=console,
            transient=True,
        )
        self.task = self.progress.add_task("importing", total=None, label="")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def importing(self, modules: list[str]) -> None:
        self.progress.update(self.task, label=", ".join(modules))

    def measuring(self, number: int, of: int | None, label: str) -> None:
        total = of * self.cells if of else None
        text = round_of(number, of)
        self.progress.update(
            self.task, description=text, total=total, completed=self.done, label=label
        )
        self.done += 1


def round_of(number: int, of: int | None) -> str:
    return f"round {number + 1}{f' of {of}' if of else ''}"


def watcher(cells: int, *, quiet: bool) -> Quiet:
    """What suits standard error: nothing, a bar or lines."""
    if quiet:
        return Quiet()
    console = live.terminal()
    return Bar(cells, console) if console else Lines(sys.stderr)
