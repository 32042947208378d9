"""`twolayer run` and `twolayer show`: train, and lay the losses side by side."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from ..errors import UserError
from ..output import emit
from .common import (
    DIVERGED,
    FAILED,
    INTERRUPTED,
    OK,
    Format,
    FormatOption,
    PublishedOption,
    also_loaded,
    keep_call,
    load_experiment,
    published_beside,
    say,
    say_notes,
    show_records,
)
from .options import ConfigFile, Impls, Results, with_settings

if TYPE_CHECKING:
    import threading

    from ..config.experiment import Assignment, Experiment
    from ..config.plan import Run
    from ..engine.scheduler import Session
    from ..results.record import Record


@with_settings("name", "timeout", "memory_limit")
def run(
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: Impls = None,
    config: ConfigFile = "notebook",
    results: Results = Path("results"),
    format: FormatOption = Format.table,
    published: PublishedOption = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop after the first run that is not ok.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress, only the results.")
    ] = False,
) -> None:
    from ..config import plan
    from ..engine import scheduler
    from ..results.store import Store
    from . import progress as live

    experiment = load_experiment(config, assignments, options, impl)
    runs = plan.make(experiment)
    beside = published_beside(experiment) if published else None
    say_notes((each.implementation for each in runs), quiet)
    store = Store(results, experiment.name)
    store.prepare()
    limit = experiment.option("memory_limit")
    with live.watcher(runs, quiet=quiet) as watcher:
        session = scheduler.Session(
            store,
            watcher,
            timeout_s=experiment.option("timeout"),
            memory_limit=int(limit) if limit else None,
            fail_fast=fail_fast,
        )
        keep_call(session, experiment.path)
        with stoppable(session):
            records = list(session.run_here(runs, plan.hosts_needed(runs)))
    try:
        store.write_table(records)
    except UserError as error:
        session.give_up(str(error))
    show_records(records, format, beside)
    for warning in dict.fromkeys(chain.from_iterable(map(also_loaded, records))):
        say(warning, quiet)
    say(f"results are in {store.folder}", quiet)
    raise typer.Exit(verdict(records, experiment, session, runs))


class Stoppable(Protocol):
    """What has two ways to be told to stop, `cancel` the more urgent; see Session."""

    @property
    def stop(self) -> "threading.Event": ...

    @property
    def cancel(self) -> "threading.Event | None": ...


@contextlib.contextmanager
def stoppable(session: Stoppable) -> Iterator[None]:
    """Ctrl-C, or a request to terminate, stops the session; again, its runs; again, at once."""

    def stop(*_: object) -> None:
        if not session.stop.is_set():
            session.stop.set()
        elif session.cancel is not None and not session.cancel.is_set():
            session.cancel.set()
        else:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def verdict(
    records: "list[Record]", experiment: "Experiment", session: "Session", runs: "list[Run]"
) -> int:
    """The exit code: interrupted, else the worst that happened; says what needs saying."""
    from ..results.record import FAILURES

    outcomes = {record.outcome for record in records}
    if session.broken or session.interrupted:
        kept = sum(record.outcome != "interrupted" for record in records)
        what = f"{session.broken};" if session.broken else "interrupted:"
        emit(f"{what} {kept} of {len(runs)} runs finished and kept", sys.stderr)
        return FAILED if session.broken else INTERRUPTED
    risen = [r.impl for r in records if r.outcome == "ok" and not r.fell]
    must_fall = bool(experiment.option("loss_must_fall"))
    if must_fall and risen:
        emit(f"the loss did not fall: {', '.join(risen)}", sys.stderr)
    if outcomes & set(FAILURES):
        return FAILED
    return DIVERGED if "diverged" in outcomes or (must_fall and risen) else OK
