"""From runs to records: each in a process of its own, saved as soon as it is done."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from .. import machine, packages
from ..config.plan import HostsNeeded, Run, host_key, hosts_needed
from ..errors import UserError
from ..results.record import FAILURES, Record
from ..results.store import Store
from .supervisor import Hosts, Notify, supervise


class Watcher(Protocol):
    """Whoever wants to see a session go on."""

    def importing(self, modules: list[str]) -> None:
        """Frameworks are being imported; an empty list: they all are."""

    def started(self, run: Run) -> None:
        """A run begins."""

    def event(self, run: Run, event: dict[str, Any]) -> None:
        """A run said something (training, progress)."""

    def finished(self, run: Run, record: Record) -> None:
        """A run has ended and is saved."""

    def note(self, text: str) -> None:
        """Something that a person should know."""


Submit = Callable[[Run], "Future[dict[str, Any]]"]


@dataclass
class Session:
    """One call of `twolayer run` or `sweep`: its limits, and whether it has been told to stop.

    Attributes:
        stop: set, no further run begins.
        cancel: set, the runs under way are stopped; in `twolayer run` the same event.
        jobs: how many runs are under way at once.
        keep_interrupted: whether a run that was stopped leaves a record.
        broken: what outside the runs gave way, so that no more can be done; else nothing.
        command, config_file: kept in each record.
    """

    store: Store
    watcher: Watcher
    timeout_s: float | None = None
    memory_limit: int | None = None
    fail_fast: bool = False
    jobs: int = 1
    keep_interrupted: bool = True
    stop: threading.Event = field(default_factory=threading.Event)
    cancel: threading.Event | None = None
    ended_early: bool = False
    broken: str = ""
    command: str = ""
    config_file: str = ""
    invocation: str = field(
        default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}-{os.getpid()}"
    )

    def __post_init__(self) -> None:
        self.cancel = self.cancel or self.stop

    def run_here(self, runs: Iterable[Run], needed: HostsNeeded) -> Iterator[Record]:
        """Run in processes of this machine, `jobs` at a time; yields saved records.

        Nothing is imported before there is a run to do.
        """
        runs = iter(runs)
        first = next(runs, None)
        if first is None:
            return
        with Hosts(needed) as hosts, ThreadPoolExecutor(self.jobs) as executor:
            self.wait_for_imports(hosts, needed)

            def submit(run: Run) -> Future[dict[str, Any]]:
                return executor.submit(
                    perform,
                    order(run, self),
                    hosts,
                    self.cancel,
                    lambda event: self.watcher.event(run, event),
                )

            yield from self.run_all(itertools.chain([first], runs), submit, lambda: self.jobs)

    def wait_for_imports(self, hosts: Hosts, needed: HostsNeeded) -> None:
        """Let all imports overlap, and end before the first run is timed."""
        modules = {name.partition(".")[0] for names in needed.values() for name in names}
        self.watcher.importing(sorted(modules))
        hosts.wait_ready(self.stop)
        self.watcher.importing([])

    def run_all(
        self, runs: Iterable[Run], submit: Submit, window: Callable[[], int]
    ) -> Iterator[Record]:
        """Keep runs submitted, to whatever performs them, until all are done.

        `window` says how many; it is asked again and again until the last is done. Yields each
        record when it is saved. `runs` is only read as places come free.
        """
        pending: dict[Future[dict[str, Any]], Run] = {}
        runs = iter(runs)
        while True:
            while len(pending) < window() and not self.stop.is_set() and (run := next(runs, None)):
                self.watcher.started(run)
                pending[_refused(run) if run.missing else submit(run)] = run
            if not pending:
                return
            yield from self._collect(pending)

    def _collect(self, pending: dict[Future[dict[str, Any]], Run]) -> Iterator[Record]:
        # A short wait at a time, since a signal is only seen between waits.
        for future in wait(pending, timeout=0.2, return_when=FIRST_COMPLETED).done:
            run = pending.pop(future)
            finished = record(run, _result(future), self.invocation)
            finished.command, finished.config_file = self.command, self.config_file
            if finished.outcome != "interrupted" or self.keep_interrupted:
                try:
                    self.store.write(finished)
                except UserError as error:
                    self.give_up(str(error))
                    continue
            self.watcher.finished(run, finished)
            if self.fail_fast and finished.outcome in (*FAILURES, "diverged"):
                self.stop_early()
            yield finished

    def stop_early(self) -> None:
        """Begin no further run, though nobody interrupted."""
        self.ended_early = True
        self.stop.set()

    def give_up(self, reason: str) -> None:
        """End it all: what the runs come to could not be had, or not be kept."""
        self.broken = self.broken or reason
        self.stop_early()
        if self.cancel:
            self.cancel.set()

    @property
    def interrupted(self) -> bool:
        return self.stop.is_set() and not self.ended_early


def _refused(run: Run) -> Future[dict[str, Any]]:
    """The result of a run that can't start."""
    future: Future[dict[str, Any]] = Future()
    error = {"type": "NotInstalled", "message": run.missing, "traceback": None, "signal": None}
    future.set_result({"outcome": "failed", "error": error, "started_at": _now()})
    return future


def _result(future: Future[dict[str, Any]]) -> dict[str, Any]:
    """What a future came to; one that was lost with its worker is a crash."""
    try:
        return future.result()
    except Exception as error:
        kind = type(error).__name__
        lost = {"type": kind, "message": str(error), "traceback": None, "signal": None}
        return {"outcome": "crashed", "error": lost, "started_at": _now()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def order(run: Run, session: Session) -> dict[str, Any]:
    """All that whoever performs a run needs to know, as JSON."""
    frameworks, threads = host_key(run)
    return {
        "job": job(run, session.memory_limit),
        "frameworks": list(frameworks),
        "threads": threads,
        "modules": list(hosts_needed([run])[frameworks, threads]),
        "timeout_s": session.timeout_s,
        "neighbours": session.jobs - 1,
    }


def perform(
    order: dict[str, Any],
    hosts: Hosts,
    cancelled: threading.Event | None = None,
    notify: Notify = lambda _: None,
) -> dict[str, Any]:
    """Perform an order in a process forked from one of `hosts`, and return its result."""
    begun = _now()
    if cancelled is not None and cancelled.is_set():
        return {"outcome": "interrupted", "error": None, "started_at": begun}
    host = hosts.get((tuple(order["frameworks"]), order["threads"]), tuple(order["modules"]))
    host.wait_ready(cancelled)  # an import that ends the process is for the run to tell
    result = supervise(
        host, order["job"], timeout_s=order["timeout_s"], cancelled=cancelled, notify=notify
    )
    return result | {"started_at": begun, "neighbours": order["neighbours"]}


def job(run: Run, memory_limit: int | None) -> dict[str, Any]:
    """What the process that trains is told."""
    implementation = run.implementation
    return {
        "task": "twolayer.training.tasks:train",
        "source": str(implementation.source),
        "module": implementation.sources.module,
        "installed": bool(implementation.module),
        "built_in": implementation.built_in,
        "roots": {name: str(folder) for name, folder in implementation.sources.roots.items()},
        "files": [str(path) for path in implementation.sources.files],
        "sha256": implementation.sources.sha256,
        "framework": implementation.framework,
        "imports": list(implementation.imports),
        "preload": list(implementation.preload),
        "config": run.config.values(),
        "threads": run.threads,
        "memory_limit": memory_limit,
    }


def record(run: Run, result: dict[str, Any], invocation: str) -> Record:
    """The record of a run that came back with this result."""
    result = {"machine": machine.describe()} | result
    result["losses"] = [float(loss) for loss in result.get("losses", [])]
    implementation = run.implementation
    versions = result.pop("versions", None) or packages.versions(implementation.imports)
    versions = versions | {"blas": result.pop("blas", "?")}
    return Record(
        impl=run.name,
        config=run.config.values(),
        framework=implementation.framework,
        versions=versions,
        git=machine.git_state(implementation.source.parent),
        source=implementation.module or str(implementation.source),
        source_sha256=implementation.sources.sha256,
        key=run.key,
        invocation=invocation,
        **result,
    )


def perform_each(
    work: list[tuple[Run, dict[str, Any]]],
    timeout_s: float | None = None,
    memory_limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Do other work than one training, each piece in a process of its own, one after the other.

    Each piece is a run and what to change in its job (see `job`); yields the results.
    """
    with Hosts(hosts_needed(run for run, _ in work)) as hosts:
        hosts.wait_ready()
        for run, changes in work:
            changed = job(run, memory_limit) | changes
            yield supervise(hosts.get(host_key(run)), changed, timeout_s=timeout_s)
