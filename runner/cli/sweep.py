"""`twolayer sweep`: many runs from one file, each done once, resumed where they were left."""

import contextlib
import shlex
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..output import emit
from .common import (
    DIVERGED,
    FAILED,
    INTERRUPTED,
    OK,
    also_loaded,
    keep_call,
    patience,
    say,
    say_notes,
    seconds,
    table_text,
)
from .options import Impls, Results, split_names, with_settings
from .run import stoppable

if TYPE_CHECKING:
    from ..config.experiment import Assignment
    from ..config.plan import HostsNeeded
    from ..config.sweep import Sweep
    from ..engine.campaign import Campaign, Finished, RunAll
    from ..engine.scheduler import Session
    from ..results.query import Condition
    from ..tables import Table

FOLDER = "sweeps"


def complete_sweeps(incomplete: str) -> list[str]:
    """Sweeps that come with twolayer, and YAML files here."""
    from ..config.experiment import config_names
    from .options import complete_files

    names = [name for name in config_names(FOLDER) if name.startswith(incomplete)]
    return [*names, *complete_files(incomplete)]


@with_settings("name", "timeout", "memory_limit")
def sweep(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="YAML sweep, or the name of one that comes with twolayer.",
            autocompletion=complete_sweeps,
        ),
    ],
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: Impls = None,
    only: Annotated[
        str | None,
        typer.Option("--filter", metavar="CONDITION", help="Only runs such as 'lr > 1e-5'."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would run and how long it takes; run nothing.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at once.")] = 1,
    retry: Annotated[
        str | None, typer.Option("--retry", metavar="failed", help="Run again those that failed.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run all, also those that are finished.")
    ] = False,
    results: Results = Path("results"),
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler to run on."),
    ] = None,
    scheduler_file: Annotated[
        Path | None,
        typer.Option("--scheduler-file", metavar="FILE", help="Its scheduler file, instead."),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(
            "--wait",
            metavar="DURATION",
            help="How long to wait for Dask workers when there are none.",
            show_default="until they come",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress, only the summary.")
    ] = False,
) -> None:
    from ..engine.campaign import Campaign, Finished
    from ..engine.scheduler import Session
    from ..machine import usable_cores
    from ..results.store import Store
    from .progress import tally

    if retry not in (None, "failed"):
        raise UserError(f"--retry: must be failed (got {retry!r})")
    if wait is not None and scheduler is None and scheduler_file is None:
        raise UserError("--wait: needs --scheduler or --scheduler-file")
    wait_s = float("inf") if wait is None else seconds("--wait", wait)
    with patience(f"checking every combination of {file} …", quiet):
        asked = _load(file, assignments, options, impl, max(1, usable_cores() // jobs))
    wanted = _condition(only)
    store = Store(results, asked.experiment.name)
    implementations = [each for each, _ in asked.implementations]
    finished = Finished.of(store, implementations)
    limit = asked.experiment.option("memory_limit")
    session = Session(
        store,
        tally(0, quiet=True),
        timeout_s=asked.experiment.option("timeout"),
        memory_limit=int(limit) if limit else None,
        jobs=jobs,
        keep_interrupted=False,
        cancel=threading.Event(),
    )
    campaign = Campaign(session, finished, retry=retry is not None, fresh=fresh)
    with patience(f"looking which of {asked.size:,} runs are finished …", quiet):
        outlook = _Outlook(asked, wanted, campaign)
    if plan:
        emit(f"{table_text(outlook.table(jobs))}\n\n{outlook.words(jobs)}")
        return
    store.prepare()
    keep_call(session, asked.experiment.path)
    say_notes(implementations, quiet)
    for note in finished.stale() if outlook.todo else ():
        say(f"note: {note}; those do not count", quiet)
    for note in finished.elsewhere():
        say(f"note: {note}; --fresh runs them again", quiet)
    say(outlook.words(jobs), quiet)
    session.watcher = watcher = tally(outlook.todo.total(), quiet=quiet)
    performers = _performers(session, outlook.hosts, scheduler, scheduler_file, wait_s)
    remarked: dict[str, None] = {}
    with stoppable(session), performers as run_all, watcher:
        for record in campaign.run(asked.runs(wanted), run_all):
            if record.outcome != "interrupted":
                finished.add(record)
            notes = (f"note: {record.impl}: {note}" for note in record.notes)
            remarked |= dict.fromkeys([*notes, *also_loaded(record)])
    for remark in remarked:
        say(remark, quiet)
    raise typer.Exit(_end(session, outlook, finished, quiet))


def _load(
    file: str,
    assignments: "list[Assignment]",
    options: "list[Assignment]",
    impl: list[str] | None,
    cores: int,
) -> "Sweep":
    from ..config import sweep
    from ..config.experiment import find_config, load

    path = find_config(file, FOLDER, option="")
    experiment = load(path, assignments, options, split_names(impl), sweep.KEYS)
    return sweep.make(experiment, cores)


def _condition(text: str | None) -> "Condition | None":
    from ..config.settings import RULES
    from ..results.query import parse

    return parse(text, ["impl", *RULES], "--filter") if text is not None else None


class _Outlook:
    """What there is to do, by implementation, before it begins."""

    def __init__(self, sweep: "Sweep", wanted: "Condition | None", campaign: "Campaign") -> None:
        from ..config.plan import host_key, hosts_needed

        self.planned: Counter[str] = Counter()
        self.todo: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.hosts: HostsNeeded = {}
        self.keys: list[str] = []
        self.unknown = False
        for run in sweep.runs(wanted):
            self.planned[run.name] += 1
            self.keys.append(run.key)
            if next(campaign.todo([run]), None) is None:
                continue
            self.todo[run.name] += 1
            if not run.missing and host_key(run) not in self.hosts:
                self.hosts |= hosts_needed([run])
            seconds = campaign.finished.seconds(run)
            self.unknown |= seconds is None
            self.seconds[run.name] += seconds or 0  # type: ignore[assignment]
        self._complete_imports(sweep)

    def _complete_imports(self, sweep: "Sweep") -> None:
        """A host imports all that any of its runs needs."""
        from ..config.plan import Run, hosts_needed
        from ..config.settings import Config

        for implementation, missing in sweep.implementations:
            run = Run(implementation, Config(), missing, sweep.cores)
            for (frameworks, _), modules in hosts_needed([run]).items():
                for key in [key for key in self.hosts if key[0] == frameworks]:
                    self.hosts[key] = tuple(dict.fromkeys((*self.hosts[key], *modules)))

    def table(self, jobs: int) -> "Table":
        from ..tables import Table
        from .progress import duration

        rows = [
            [
                *(name, str(count), str(count - self.todo[name]), str(self.todo[name])),
                duration(self.seconds[name] / jobs) if self.seconds[name] else "-",
            ]
            for name, count in self.planned.items()
        ]
        return Table(("implementation", "runs", "finished", "to do", "time"), rows, frozenset({0}))

    def words(self, jobs: int) -> str:
        """`38 runs: 12 finished, 26 to do, about 40 s`."""
        from .progress import duration

        planned, todo = self.planned.total(), self.todo.total()
        text = f"{planned} runs: {planned - todo} finished, {todo} to do"
        if not todo:
            return text
        if self.unknown:
            return f"{text}; how long is not known before the first of each is finished"
        return f"{text}, about {duration(self.seconds.total() / jobs)} of training"


@contextlib.contextmanager
def _performers(
    session: "Session",
    needed: "HostsNeeded",
    address: str | None,
    file: Path | None,
    wait_s: float,
) -> "Iterator[RunAll]":
    """What performs the runs: processes of this machine, or the workers of a Dask cluster."""
    if address is None and file is None:
        yield lambda runs: session.run_here(runs, needed)
        return
    from ..engine.cluster import connect

    with connect(address, file, session, wait_s) as cluster:
        yield cluster.run_all


def _end(session: "Session", outlook: _Outlook, finished: "Finished", quiet: bool) -> int:
    """Say how it ended; returns the exit code."""
    from ..results.record import FAILURES

    outcomes = Counter(finished.outcomes[key] for key in outlook.keys if key in finished.outcomes)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    emit(f"{outcomes.total()} of {len(outlook.keys)} runs finished: {counts or 'none'}")
    if session.jobs > 1:
        say("taken with neighbours: times of these runs do not compare with others", quiet)
    if session.broken:
        kept = f"{outcomes.total()} of {len(outlook.keys)} runs finished and kept"
        emit(f"{session.broken}; {kept}", sys.stderr)
        return FAILED
    if session.interrupted:
        say(f"interrupted; to go on: {shlex.join(['twolayer', *sys.argv[1:]])}", quiet)
        return INTERRUPTED
    say(f"results are in {session.store.folder}", quiet)
    if set(outcomes) & set(FAILURES) or outcomes.total() < len(outlook.keys):
        return FAILED
    return DIVERGED if "diverged" in outcomes else OK
