"""Progress as lines on standard error, for pipes and logs."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

from ..config.plan import Run
from ..output import emit
from ..results.record import FAILURES, Record
from ..tables import number

HEARTBEAT_S = 10.0
"""How often a pipe is told of a long run."""

TALLY_S = 5.0
"""How often a pipe is told how many runs of a sweep are done."""


class Lines:
    """Lines on standard error, for pipes and logs; none if `quiet`.

    Sessions and benches call its methods, as their Watcher says.
    """

    def __init__(
        self, runs: Sequence[Run] = (), total: int = 0, cells: int = 0, quiet: bool = False
    ) -> None:
        self.runs, self.total, self.cells, self.quiet = runs, total or len(runs), cells, quiet
        self.outcomes: Counter[str] = Counter()
        self.begun = self.printed = self.tallied = time.monotonic()
        self.line, self.turns = "", 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the display, if there is one."""

    def note(self, text: str, style: str = "") -> None:
        """Print a line above the display, if there is one."""
        self.printed = time.monotonic()
        if not self.quiet:
            emit(text, sys.stderr)

    def importing(self, modules: list[str]) -> None:
        if modules:
            self.note(f"importing {', '.join(modules)}")
        self.begun = self.tallied = time.monotonic()

    def started(self, run: Run) -> None:
        """Nothing for a line yet."""

    def event(self, run: Run, event: dict[str, Any]) -> None:
        if event["event"] == "progress" and time.monotonic() - self.printed > HEARTBEAT_S:
            self._tell(run, f"epoch {event['epoch']}/{run.config.epochs}  loss {loss(event)}")

    def finished(self, run: Run, record: Record) -> None:
        self.outcomes[record.outcome] += 1
        if self.runs:
            self._tell(run, result_line(record))
            return
        if record.outcome in FAILURES:
            self.note(f"{run.key}  {result_line(record)}", style="red")
        if due := time.monotonic() - self.tallied > TALLY_S:
            self.tallied = time.monotonic()
        self.step(self.outcomes.total(), self.total, self.tally(), self.tally() if due else "")

    def measuring(self, number: int, of: int | None, label: str) -> None:
        line = f"round {number + 1}{f' of {of}' if of else ''}"
        self.step(self.turns, of and of * self.cells, f"{line}  {label}", line)
        self.turns += 1

    def step(self, done: int, total: int | None, title: str, line: str) -> None:
        """Show how far the whole is: a bar and its `title`, or else the `line`, if it is new."""
        if line and line != self.line:
            self.line = line
            self.note(line)

    def _tell(self, run: Run, text: str) -> None:
        name = run.name.ljust(max(len(r.name) for r in self.runs)) if self.runs else run.key
        digits = len(str(self.total))
        self.note(f"[{self.outcomes.total():{digits}}/{self.total}] {name}  {text}")

    def tally(self) -> str:
        """`3/24  2 ok, 1 diverged  63 s left`."""
        done = self.outcomes.total()
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
        left_s = (self.total - done) * (time.monotonic() - self.begun) / max(1, done)
        return f"{done}/{self.total}  {counts}  {duration(left_s)} left"


def result_line(record: Record, *, brief: bool = False) -> str:
    """How a run ended, in one line."""
    if record.outcome != "ok":
        return f"{record.outcome}: {record.reason}"
    work = f"{record.epochs_done} epochs  loss {number(record.final_loss)}  "
    return f"ok  {'' if brief else work}{record.train_s:.2f} s"


def loss(event: dict[str, Any]) -> str:
    return number(event["loss"]) if isinstance(event["loss"], float) else str(event["loss"])


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min` or `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
