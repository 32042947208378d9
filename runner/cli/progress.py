"""What a command under way shows on standard error, and what stops it."""

import contextlib
import itertools
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from ..config.plan import Run
from ..engine.scheduler import perform_each
from ..engine.supervisor import Result
from ..output import emit
from ..results.record import FAILURES, Record
from ..tables import exact, number

Concluded = TypeVar("Concluded")

HEARTBEAT_S = 10.0  # how often a pipe is told of a long run
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
TALLY_S = 5.0  # how often it is told how many runs of a sweep are done


class Lines:
    """Lines on standard error, for pipes and logs; none if `quiet`.

    Sessions and benches call its methods, as their Watcher says.
    """

    def __init__(self, runs: Sequence[Run] = (), total: int = 0, quiet: bool = False) -> None:
        self.runs, self.total, self.quiet = runs, total or len(runs), quiet
        self.outcomes: Counter[str] = Counter()
        self.begun = self.printed = self.tallied = time.monotonic()
        self.line = ""

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
        done = self.outcomes.total()
        tally = f"{done}/{self.total}  {exact(self.outcomes)}"  # `3/24  2 ok, 1 diverged`
        self.step(done, self.total, tally, tally if due else "")

    def step(self, done: float, total: float | None, title: str, line: str) -> None:
        """Show how far the whole is, and the time left: a bar and its `title`, or a new `line`."""
        if line and line != self.line:
            self.line, left_s = line, self.left_s(done, total)
            known = left_s and time.monotonic() - self.begun > TALLY_S
            self.note(f"{line}  {duration(round(left_s))} left" if known else line)

    def left_s(self, done: float, total: float | None) -> float:
        """The time that the rest will take, going by what is done; 0 if that can't be known."""
        spent = time.monotonic() - self.begun
        return (total - done) * spent / done if done and total else 0.0

    def _tell(self, run: Run, text: str) -> None:
        name = run.name.ljust(max(len(r.name) for r in self.runs)) if self.runs else run.key
        digits = len(str(self.total))
        self.note(f"[{self.outcomes.total():{digits}}/{self.total}] {name}  {text}")


def watcher(
    runs: Sequence[Run] = (), *, total: int = 0, transient: bool = False, quiet: bool = False
) -> Lines:
    """The view that fits standard error: of `runs`, or of a whole with one bar.

    A whole may be a sweep of `total` runs; a `transient` bar is gone when it is done.
    """
    if not quiet and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        from .live import Live  # imports rich, which takes time that a pipe saves

        return Live(runs, total, transient)
    return Lines(runs, total, quiet)


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


@contextlib.contextmanager
def stoppable(*events: threading.Event, work: str = "run", quiet: bool = False) -> Iterator[None]:
    """Each Ctrl-C or SIGTERM sets the next event, the gentlest first; after the last it ends all.

    A session stops beginning runs at its first event, and stops the runs under way at its second.
    The first is acknowledged at once, even while Python waits for native code: `finishing this
    run; Ctrl-C again stops it` for the `work` "run", or without events `stopping …`. If `quiet`,
    only a terminal is told, where the line would be left as `^C`.
    """
    this, it = ("these", "them") if work.endswith("s") else ("this", "it")
    texts = [f"finishing {this} {work}; Ctrl-C again stops {it}"] * bool(events)

    def acknowledge() -> None:
        next((event for event in events if not event.is_set()), threading.Event()).set()
        text = texts.pop() if texts else "stopping …"
        if terminal := sys.stderr.isatty():
            sys.stderr.write("\r")  # over the ^C
        if terminal or not quiet:
            emit(text, sys.stderr)

    handled = itertools.count()

    def stop(*_: object) -> None:
        if next(handled) >= len(events):
            raise KeyboardInterrupt("what is finished is kept")

    with _at_once(acknowledge):
        before = {number: signal.signal(number, stop) for number in INTERRUPTS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _at_once(acknowledge: Callable[[], None]) -> Iterator[None]:
    """Call it for each Ctrl-C or SIGTERM: Python calls a handler once for some close together."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    listener = threading.Thread(target=_listen, args=(readable, acknowledge), daemon=True)
    listener.start()
    woken = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        os.write(writable, b"\0")
        listener.join()
        os.close(readable)
        os.close(writable)


def _listen(signals: int, acknowledge: Callable[[], None]) -> None:
    """Read numbers of signals from a pipe until one is 0."""
    while number := os.read(signals, 1)[0]:
        if number in INTERRUPTS:
            acknowledge()


def in_turn(
    work: list[tuple[Run, dict[str, Any]]],
    titles: Sequence[str],
    conclude: Callable[[int, Result, Callable[[str], None]], Concluded],
    *,
    quiet: bool,
    **limits: Any,
) -> list[Concluded]:
    """Do tasks (see `perform_each`), each shown by its title, until Ctrl-C; what each came to.

    `conclude` gets a task's number, its result, and what shows that it takes long itself.
    """
    progress, stop = watcher(transient=True, quiet=quiet), threading.Event()
    done: list[Concluded] = []

    def show(number: int, doing: str = "", *, line: bool = True) -> None:
        text = f"{titles[number]}{doing and ': '}{doing}"
        progress.step(number, len(work), text, f"[{number + 1}/{len(work)}] {text}" * line)

    limits |= {"importing": progress.importing, "starting": show, "stop": stop}
    results = perform_each(work, **limits)
    stopped = contextlib.suppress(KeyboardInterrupt)
    with stopped, stoppable(stop, work="case", quiet=quiet), progress, contextlib.closing(results):
        for number, result in enumerate(results):
            show(number, "judging", line=False)
            done.append(conclude(number, result, partial(show, number)))
    return done
