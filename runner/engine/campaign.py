"""Many runs, each done once: what is finished is not run again, whoever finished it."""

from __future__ import annotations

import itertools
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .. import machine, packages
from ..config.catalogue import Implementation
from ..config.plan import Run
from ..errors import listed
from ..results.record import FAILURES, Record
from ..results.store import Store, read_summary
from .claims import Claims
from .scheduler import Session

POLL_S = 0.5
"""How long to wait before looking again at a run that another process is at."""

RunAll = Callable[[Iterable[Run]], Iterator[Record]]


@dataclass
class Finished:
    """What an experiment's folder holds already.

    Attributes:
        outcomes: the outcome that counts, by run key: ok if any attempt was.
        step_s: seconds per epoch of finished runs, by implementation.
        made_with: how many were made by each version of a framework and on each machine.
        beside: the hashes of files that runs loaded besides, as they are now.
        changed: how many, by implementation, were made from files that have changed since.
    """

    implementations: Mapping[str, Implementation]

    outcomes: dict[str, str] = field(default_factory=dict)
    step_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    made_with: Counter[tuple[str, str]] = field(default_factory=Counter)
    beside: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    changed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @classmethod
    def of(cls, store: Store, implementations: Iterable[Implementation]) -> Finished:
        """Read the folder, but for losses and logs; `implementations` are those of today."""
        finished = cls({each.name: each for each in implementations})
        for folder in store.folders():
            if record := read_summary(folder):
                finished.add(record)
        return finished

    def add(self, record: Record) -> None:
        """Count in one record; one that is made from other files than today's is no result."""
        if files := self.files_changed(record):
            self.changed[record.impl].update(files)
            return
        if self.outcomes.get(record.key) != "ok":
            self.outcomes[record.key] = record.outcome
        if record.train_s and record.epochs_done:
            self.step_s[record.impl].append(record.train_s / record.epochs_done)
        self.made_with[record.framework, record.versions.get(record.framework, "?")] += 1
        self.made_with["cpu", record.machine.get("cpu", "?")] += 1

    def files_changed(self, record: Record) -> list[str]:
        """The files of a run that are not there any more as it executed them."""
        if record.impl not in self.implementations:
            return []
        sources = self.implementations[record.impl].sources
        for name in record.also_loaded.keys() - self.beside[record.impl].keys():
            self.beside[record.impl][name] = sources.hash_beside(name)
        beside, now, then = self.beside[record.impl], sources.sha256, record.source_sha256
        known = {name for name in {*now, *then} if now.get(name) != then.get(name)}
        # One that is not here is no news: another machine may have it.
        loaded = {n for n, was in record.also_loaded.items() if beside[n] not in ("", was)}
        return sorted(known | loaded)

    def has(self, key: str, retry: bool = False) -> bool:
        """Whether a run need not be done; with `retry`, one that failed is to be."""
        outcome = self.outcomes.get(key, "interrupted")
        return outcome != "interrupted" and not (retry and outcome in FAILURES)

    def elsewhere(self) -> list[str]:
        """What finished runs were made with that is not so here."""
        notes = []
        for (what, was), count in sorted(self.made_with.items()):
            here = machine.describe()["cpu"] if what == "cpu" else packages.version(what)
            if was not in (here, "?"):
                notes.append(f"{count} finished runs were made with {what} {was}; here is {here}")
        return notes

    def stale(self) -> list[str]:
        """Which files have changed since runs were made."""
        return [
            f"{listed(files)} changed since {max(files.values())} runs of {impl} were made"
            for impl, files in self.changed.items()
        ]

    def seconds(self, run: Run) -> float | None:
        """How long a run may take, by those of its implementation that are finished."""
        times = self.step_s.get(run.name)
        return statistics.median(times) * run.config.epochs if times else None


@dataclass
class Campaign:
    """Runs of one experiment to be done once each, in a session."""

    session: Session
    finished: Finished
    retry: bool = False
    fresh: bool = False

    def todo(self, runs: Iterable[Run]) -> Iterator[Run]:
        """The runs that are not finished."""
        return (run for run in runs if self.fresh or not self.finished.has(run.key, self.retry))

    def run(self, runs: Iterable[Run], run_all: RunAll) -> Iterator[Record]:
        """Do what is not finished; yields each record when it is saved.

        A run that another process is at is left to it, and looked at again at the end: done
        there, it is not done here; dropped there, it is. Raises UserError if the folder can't
        be written.
        """
        claims = Claims(self.session.store.folder)
        left: list[Run] = []
        try:
            waiting = self.todo(runs)
            for turn in itertools.count():
                for record in run_all(self.claimed(waiting, claims, left)):
                    claims.release(record.key)
                    yield record
                if not left or self.session.stop.is_set():
                    return
                if turn == 1:  # left the first time, a run may have ended long since
                    self.session.watcher.note(_waiting(claims, [run.key for run in left]))
                time.sleep(POLL_S if turn else 0)
                waiting, left = iter(left), []
        finally:
            claims.close()

    def claimed(self, runs: Iterable[Run], claims: Claims, left: list[Run]) -> Iterator[Run]:
        """Those that this process may do; those that another is at go to `left`."""
        for run in runs:
            had_locks = not claims.no_locks
            if not claims.acquire(run.key):
                left.append(run)
                continue
            if had_locks and claims.no_locks:
                self.session.watcher.note(
                    f"{self.session.store.folder}: this file system has no locks "
                    f"({claims.no_locks}), so run one sweep at a time there"
                )
            if record := self.done_meanwhile(run):
                claims.release(run.key)
                self.finished.add(record)
                self.session.watcher.finished(run, record)
            else:
                yield run

    def done_meanwhile(self, run: Run) -> Record | None:
        """What another process has finished since the folder was read."""
        if self.fresh or self.finished.outcomes.get(run.key):
            return None
        attempts = (run.key, *(f"{run.key}.{number}" for number in range(2, 10)))
        folders = (self.session.store.runs / name for name in attempts)
        records = (record for folder in folders if (record := read_summary(folder)))
        return next(
            (
                record
                for record in records
                if record.outcome != "interrupted" and not self.finished.files_changed(record)
            ),
            None,
        )


def _waiting(claims: Claims, keys: list[str]) -> str:
    """`12 runs are being done by another sweep, process 4711 on this host; waiting`."""
    pids = [str(pid) for pid in sorted(claims.holders(keys))]
    what = "1 run is" if len(keys) == 1 else f"{len(keys)} runs are"
    where = f", process{'es' * (len(pids) > 1)} {listed(pids)} on this host" if pids else ""
    who = f"{len(pids)} other sweeps" if len(pids) > 1 else "another sweep"
    return f"{what} being done by {who}{where}; waiting"
