"""From runs to records: each in a process of its own, saved as soon as it is done."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from . import machine, packages
from .plan import Run, host_key, hosts_needed, thread_count
from .record import FAILURES, Record
from .store import Store
from .supervisor import Hosts, supervise


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


@dataclass
class Session:
    """One call of `twolayer run`: its limits, and whether it has been told to stop."""

    store: Store
    watcher: Watcher
    timeout_s: float | None = None
    memory_limit: int | None = None
    fail_fast: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    invocation: str = field(
        default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}-{os.getpid()}"
    )

    def run_all(self, runs: list[Run]) -> Iterator[Record]:
        """Run one after the other, so that no timing has a neighbour; yields saved records."""
        with Hosts(hosts_needed(runs)) as hosts:
            self.wait_for_imports(hosts)
            for run in runs:
                if self.stop.is_set():
                    return
                self.watcher.started(run)
                record = self.run(hosts, run)
                self.store.write(record)
                self.watcher.finished(run, record)
                yield record
                if self.fail_fast and record.outcome in (*FAILURES, "diverged"):
                    return

    def wait_for_imports(self, hosts: Hosts) -> None:
        """Let all imports overlap, and end before the first run is timed."""
        modules = {name.partition(".")[0] for names in hosts.needed.values() for name in names}
        self.watcher.importing(sorted(modules))
        for host in hosts.hosts.values():
            host.wait_ready(self.stop)
        self.watcher.importing([])

    def run(self, hosts: Hosts, run: Run) -> Record:
        begun = datetime.now(UTC)
        if run.missing:
            error = {"type": "NotInstalled", "message": run.missing}
            result = {"outcome": "failed", "error": error | {"traceback": None, "signal": None}}
        else:
            result = supervise(
                hosts.get(host_key(run)),
                job(run, self.memory_limit),
                timeout_s=self.timeout_s,
                cancelled=self.stop,
                notify=lambda event: self.watcher.event(run, event),
            )
        return record(run, result, begun, self.invocation)


def job(run: Run, memory_limit: int | None) -> dict[str, Any]:
    """What the process that trains is told."""
    implementation = run.implementation
    return {
        "task": "train",
        "source": str(implementation.source),
        "module": implementation.module,
        "framework": implementation.framework,
        "imports": list(implementation.imports),
        "preload": list(implementation.preload),
        "config": run.config.values(),
        "threads": thread_count(run.config),
        "memory_limit": memory_limit,
    }


def record(run: Run, result: dict[str, Any], begun: datetime, invocation: str) -> Record:
    """The record of a run that came back with this result."""
    result = dict(result)
    result["losses"] = [float(loss) for loss in result.get("losses", [])]
    implementation = run.implementation
    versions = packages.versions(implementation.imports) | {"blas": result.pop("blas", "?")}
    return Record(
        impl=run.name,
        config=run.config.values(),
        framework=implementation.framework,
        versions=versions,
        machine=machine.describe(),
        git=machine.git_state(implementation.source.parent),
        source=implementation.module or str(implementation.source),
        source_sha256=implementation.sha256,
        key=run.key,
        invocation=invocation,
        started_at=begun.isoformat(timespec="milliseconds"),
        **result,
    )


def perform_each(
    work: list[tuple[Run, dict[str, Any]]], timeout_s: float | None = None
) -> Iterator[dict[str, Any]]:
    """Do other work than one training, each piece in a process of its own, one after the other.

    Each piece is a run and what to change in its job (see `job`); yields the results.
    """
    with Hosts(hosts_needed(run for run, _ in work)) as hosts:
        for host in hosts.hosts.values():
            host.wait_ready()
        for run, changes in work:
            order = job(run, None) | changes
            yield supervise(hosts.get(host_key(run)), order, timeout_s=timeout_s)
