"""Many runs, each done once: finished runs are not run again, whoever finished them."""

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
"""How long to wait before looking again at runs that another process has claimed."""

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
        """Read the folder without losses and logs; `implementations` are those of today."""
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

    def has(self, key: str, retry: bool) -> bool:
        """Whether a run need not be done; with `retry` a failed one must."""
        outcome = self.outcomes.get(key, "interrupted")
        return outcome != "interrupted" and not (retry and outcome in FAILURES)

    def elsewhere(self) -> list[str]:
        """The versions and machines of finished runs that differ from those here."""
        notes = []
        for (what, was), count in sorted(self.made_with.items()):
            here = machine.describe()["cpu"] if what == "cpu" else packages.version(what)
            if was not in (here, "?"):
                notes.append(f"{count} finished runs were made with {what} {was}; here is {here}")
        return notes

    def stale(self) -> list[str]:
        """The files that have changed since runs were made."""
        return [
            f"{listed(files)} changed since {max(files.values())} runs of {impl} were made"
            for impl, files in self.changed.items()
        ]


class Campaign:
    """The runs of a sweep, each to be done once.

    Attributes:
        planned: how many runs are requested of each implementation.
        todo: those of them that are not finished.
    """

    def __init__(
        self,
        store: Store,
        runs: Iterable[Run],
        implementations: Iterable[Implementation],
        *,
        retry: bool = False,
        fresh: bool = False,
    ) -> None:
        self.store, self.fresh = store, fresh
        self.finished = Finished.of(store, implementations)
        self.planned: Counter[str] = Counter()
        self.keys: list[str] = []
        self.todo: list[Run] = []
        for run in runs:
            self.planned[run.name] += 1
            self.keys.append(run.key)
            if fresh or not self.finished.has(run.key, retry):
                self.todo.append(run)

    def notes(self) -> list[str]:
        """What may surprise about the finished runs."""
        stale = self.finished.stale() if self.todo else []
        return [
            *(f"{note}; those do not count" for note in stale),
            *(f"{note}; --fresh runs them again" for note in self.finished.elsewhere()),
        ]

    def seconds(self) -> dict[str, float]:
        """Training time of the runs to do, of implementations with a finished run."""
        epochs: Counter[str] = Counter()
        for run in self.todo:
            epochs[run.name] += run.config.epochs
        known = {name: self.finished.step_s.get(name) for name in epochs}
        return {
            name: statistics.median(times) * epochs[name] for name, times in known.items() if times
        }

    def outcomes(self) -> Counter[str]:
        """The outcomes of all planned runs that are finished."""
        outcomes = self.finished.outcomes
        return Counter(outcomes[key] for key in self.keys if key in outcomes)

    def run(self, session: Session, run_all: RunAll) -> Iterator[Record]:
        """Do what is not finished; yields each record when it is saved.

        Runs claimed by another process are looked at again at the end: they are done here only
        if it gave them up. Raises UserError if the folder can't be written.
        """
        claims = Claims(self.store.folder)
        waiting: Iterable[Run] = self.todo
        try:
            for turn in itertools.count():
                left: list[Run] = []
                for record in run_all(self._claimed(waiting, claims, left, session)):
                    claims.release(record.key)
                    if record.outcome != "interrupted":
                        self.finished.add(record)
                    yield record
                if not left or session.stop.is_set():
                    return
                if turn == 1:  # runs claimed in the first turn may have ended long since
                    session.watcher.note(_waiting(claims, [run.key for run in left]))
                time.sleep(POLL_S if turn else 0)
                waiting = left
        finally:
            claims.close()

    def _claimed(
        self, runs: Iterable[Run], claims: Claims, left: list[Run], session: Session
    ) -> Iterator[Run]:
        """The runs that this process may do; those that another has claimed go to `left`."""
        for run in runs:
            had_locks = not claims.no_locks
            if not claims.acquire(run.key):
                left.append(run)
                continue
            if had_locks and claims.no_locks:
                session.watcher.note(
                    f"{self.store.folder}: this file system has no locks "
                    f"({claims.no_locks}), so run one sweep at a time there"
                )
            if record := self._done_meanwhile(run):
                claims.release(run.key)
                self.finished.add(record)
                session.watcher.finished(run, record)
            else:
                yield run

    def _done_meanwhile(self, run: Run) -> Record | None:
        """What another process has finished since the folder was read."""
        if self.fresh or self.finished.outcomes.get(run.key):
            return None
        for name in (run.key, *(f"{run.key}.{number}" for number in range(2, 10))):
            record = read_summary(self.store.runs / name)
            if not record or record.outcome == "interrupted":
                continue
            if not self.finished.files_changed(record):
                return record
        return None


def _waiting(claims: Claims, keys: list[str]) -> str:
    """`12 runs are being done by another sweep, process 4711 on this host; waiting`."""
    pids = [str(pid) for pid in sorted(claims.holders(keys))]
    what = "1 run is" if len(keys) == 1 else f"{len(keys)} runs are"
    where = f", process{'es' * (len(pids) > 1)} {listed(pids)} on this host" if pids else ""
    who = f"{len(pids)} other sweeps" if len(pids) > 1 else "another sweep"
    return f"{what} being done by {who}{where}; waiting"
