"""From runs to records: each in a process of its own, saved as soon as it is done."""

import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from .. import machine, packages
from ..config.plan import HostsNeeded, Run, hosts_needed
from ..errors import UserError, error_data
from ..results.record import FAILURES, Record
from ..results.store import Store
from .hosts import Hosts
from .supervisor import Job, Result, ended, make_job, perform

Submit = Callable[[Run], Future[Result]]


class Watcher(Protocol):
    """Shows how a session goes on.

    `importing` names frameworks, then none; `event` is one of a run under way (training,
    progress); a run that has `finished` is saved; `note` is for people.
    """

    def importing(self, frameworks: list[str]) -> None: ...
    def started(self, run: Run) -> None: ...
    def event(self, run: Run, event: dict[str, Any]) -> None: ...
    def finished(self, run: Run, record: Record) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass
class Session:
    """One call of `twolayer run` or `sweep`: its limits, and whether it is to stop."""

    store: Store
    watcher: Watcher
    timeout_s: float | None = None
    memory_limit: float | None = None
    fail_fast: bool = False
    jobs: int = 1  # runs under way at once
    keep_interrupted: bool = True  # whether a run that was stopped leaves a record
    stop: threading.Event = field(default_factory=threading.Event)  # begin no further run
    cancel: threading.Event = field(default_factory=threading.Event)  # stop those under way
    ended_early: bool = False  # without an interrupt
    broken: str = ""  # what outside the runs gave way, so that no more can be done
    command: str = ""
    config_file: str = ""
    beside: Counter[str] = field(default_factory=Counter)  # by run key, most others at once
    invocation: str = field(
        default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}-{os.getpid()}"
    )

    def job(self, run: Run) -> Job:
        """The training of a run, with the limits of this session."""
        return make_job(run, self.timeout_s, self.memory_limit)

    def run_here(self, runs: Iterable[Run], needed: HostsNeeded) -> Iterator[Record]:
        """Run on this machine, `jobs` at a time; yields saved records. No run, no import."""
        runs = iter(runs)
        first = next(runs, None)
        if first is None:
            return
        with Hosts(needed) as hosts, ThreadPoolExecutor(self.jobs) as executor:
            hosts.wait_ready(self.stop, self.watcher.importing)

            def submit(run: Run) -> Future[Result]:
                notify = partial(self.watcher.event, run)
                return executor.submit(perform, self.job(run), hosts, self.cancel, notify)

            yield from self.run_all(itertools.chain([first], runs), submit, lambda: self.jobs)

    def run_all(
        self, runs: Iterable[Run], submit: Submit, window: Callable[[], int]
    ) -> Iterator[Record]:
        """Keep as many runs submitted as `window` gives at the time; yields saved records.

        A run whose future is cancelled is submitted again. `runs` is only read as places come
        free.
        """
        pending: dict[Future[Result], Run] = {}
        runs = iter(runs)
        while True:
            while len(pending) < window() and not self.stop.is_set() and (run := next(runs, None)):
                self.watcher.started(run)
                if run.missing:
                    refusal = error_data("NotInstalled", run.missing)
                    yield from self.finish(run, ended("failed", refusal))
                else:
                    pending[submit(run)] = run
                    for other in pending.values():
                        self.beside[other.key] = max(self.beside[other.key], len(pending) - 1)
            if not pending:
                return
            # A short wait at a time, since a signal is only seen between waits.
            wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in [future for future in pending if future.done()]:
                run = pending.pop(future)
                if future.cancelled() and not self.stop.is_set():
                    pending[submit(run)] = run
                else:
                    yield from self.finish(run, _result(future))

    def finish(self, run: Run, result: Result) -> Iterator[Record]:
        """Save and yield what a run came to; what can't be saved ends the session."""
        record = self.record(run, result)
        if record.outcome != "interrupted" or self.keep_interrupted:
            try:
                self.store.write(record)
            except UserError as error:
                self.give_up(str(error))
                return
        self.watcher.finished(run, record)
        if self.fail_fast and record.outcome in (*FAILURES, "diverged"):
            self.ended_early = True
            self.stop.set()
        yield record

    def record(self, run: Run, result: Result) -> Record:
        """The record of a run that came back with this result."""
        implementation = run.implementation
        here: dict[str, Any] = {
            "machine": machine.describe(),
            "versions": packages.versions(implementation.imports),
            "neighbours": self.beside.pop(run.key, 0),
        }
        result = here | result | {"losses": list(map(float, result.get("losses", [])))}
        return Record(
            impl=run.name,
            config=run.config.values(),
            framework=implementation.framework,
            versions=result.pop("versions") | {"blas": result.pop("blas", "?")},
            git=machine.git_state(implementation.source.parent),
            source=implementation.module or str(implementation.source),
            source_sha256=implementation.sources.sha256,
            key=run.key,
            invocation=self.invocation,
            command=self.command,
            config_file=self.config_file,
            **result,
        )

    def give_up(self, reason: str) -> None:
        """End it all: results can't be had any more, or not be kept."""
        self.broken = self.broken or reason
        self.ended_early = True
        self.stop.set()
        self.cancel.set()

    @property
    def interrupted(self) -> bool:
        return self.stop.is_set() and not self.ended_early


def _result(future: Future[Result]) -> Result:
    """The result of a future; one that was lost with its worker is a crash."""
    if future.cancelled():
        return ended("interrupted")
    try:
        return future.result()
    except Exception as error:
        return ended("crashed", error_data(type(error).__name__, str(error)))


def perform_each(
    work: list[tuple[Run, dict[str, Any]]],
    importing: Callable[[list[str]], None],
    starting: Callable[[int], None],
    stop: threading.Event,
    **limits: float | None,
) -> Generator[Result]:
    """Do tasks, each given as a run and the task's arguments, in turn, until `stop` is set.

    `importing` is as in Watcher; `starting` gets the number of each task, from 0.
    """
    with Hosts(hosts_needed(run for run, _ in work)) as hosts:
        hosts.wait_ready(stop, importing)
        for number, (run, task) in enumerate(work):
            if stop.is_set():
                return
            starting(number)
            yield perform(make_job(run, **limits, **task), hosts)
