"""Many runs, each done once: finished runs are not run again, whoever finished them."""

import contextlib
import fcntl
import itertools
import os
import statistics
import struct
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from .. import machine, packages
from ..config.catalogue import Implementation
from ..config.plan import Run
from ..config.sources import Sources
from ..errors import listed
from ..files import writing
from ..results.record import FAILURES, FINISHED, Record
from ..results.rows import Row, counted, row
from ..results.store import Store, read_summary
from .scheduler import Session

POLL_S = 0.5  # how long to wait before looking again at runs that another process has claimed
FLOCK = "hhqqi"  # Linux's `struct flock`: type, whence, start, length, pid

RunAll = Callable[[Iterable[Run]], Iterator[Record]]

_hash_beside = cache(Sources.hash_beside)  # many runs may have loaded the same file


class Claims:
    """File locks that keep two sweeps into one experiment from doing the same run.

    A claim is a lock on one byte of the file `.claims`, at a place given by the run's hash. The
    system drops the locks of a process that dies, so no claim is ever stale. It also drops them
    when any handle on the file is closed: there is one for both a process and an experiment.

    Some file systems have no locks (NFS and Lustre can be mounted without). There every claim
    is granted, and `note` called once. Raises UserError if the folder can't be written.
    """

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        self.folder, self.note, self.has_locks = folder, note, True
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.handle = os.open(folder / ".claims", os.O_RDWR | os.O_CREAT, 0o644)

    def acquire(self, key: str) -> bool:
        """Claim a run; False if another process has."""
        try:
            fcntl.lockf(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(key))
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES
            return False
        except OSError as error:
            if self.has_locks:
                why = f"{self.folder}: this file system has no locks ({error.strerror})"
                self.note(f"{why}, so run one sweep at a time there")
            self.has_locks = False
        return True

    def release(self, key: str) -> None:
        """Give a claim back, after its result is on disk."""
        if self.has_locks:
            fcntl.lockf(self.handle, fcntl.LOCK_UN, 1, _byte(key))

    def holding(self, keys: list[str]) -> str:
        """`12 runs are being done by another sweep, process 4711 on this host`."""
        pids = sorted(set(filter(None, map(self._holder, keys))))
        runs = "1 run is" if len(keys) == 1 else f"{len(keys)} runs are"
        where = f", process {listed(map(str, pids))} on this host" if pids else ""
        return f"{runs} being done by another sweep{where}"

    def _holder(self, key: str) -> int:
        """The process of this host that has claimed a run, where the system tells (Linux); or 0."""
        query = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _byte(key), 1, 0)
        with contextlib.suppress(OSError):
            if sys.platform == "linux":
                answer = fcntl.fcntl(self.handle, fcntl.F_GETLK, query)
                kind, *_, pid = struct.unpack(FLOCK, answer)
                return max(0, int(pid)) if kind != fcntl.F_UNLCK else 0
        return 0

    def close(self) -> None:
        os.close(self.handle)


def _byte(key: str) -> int:
    return int(key.rpartition("-")[2], 16)


class Campaign:
    """Runs of one experiment, each to be done once, and what its folder holds already."""

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
        self.implementations = {each.name: each for each in implementations}
        self.rows: dict[str, Row] = {}  # by run key, the attempt that counts, as in `newest`
        # By implementation, the seconds per epoch of finished runs, and how many were made from
        # files that have changed since.
        self.step_s: dict[str, list[float]] = defaultdict(list)
        self.changed: dict[str, Counter[str]] = defaultdict(Counter)
        # How many were made with each version of a framework and on each machine.
        self.made_with: Counter[tuple[str, str]] = Counter()
        for record in store.read()[0]:
            self.add(record)
        again = ("interrupted", *FAILURES) if retry else ("interrupted",)
        self.planned: Counter[str] = Counter()  # runs by implementation
        self.keys: list[str] = []
        self.todo: list[Run] = []
        for run in runs:
            self.planned[run.name] += 1
            self.keys.append(run.key)
            if fresh or (self.outcome(run.key) or "interrupted") in again:
                self.todo.append(run)

    def add(self, record: Record) -> None:
        """Count in a record; one that was made from other files than today's is no result."""
        if files := self.files_changed(record):
            self.changed[record.impl].update(files)
            return
        if record.outcome in FINISHED or self.outcome(record.key) not in FINISHED:
            self.rows[record.key] = row(record)
        if record.train_s and record.epochs_done:
            self.step_s[record.impl].append(record.train_s / record.epochs_done)
        self.made_with[record.framework, record.versions.get(record.framework, "?")] += 1
        self.made_with["cpu", record.machine.get("cpu", "?")] += 1

    def files_changed(self, record: Record) -> list[str]:
        """The files of a run that are no longer as it executed them."""
        if record.impl not in self.implementations:
            return []
        sources, loaded = self.implementations[record.impl].sources, record.also_loaded
        names = {name for name, _ in sources.sha256.items() ^ record.source_sha256.items()}
        # A file that is not here tells nothing: another machine may have it.
        names |= {n for n, was in loaded.items() if _hash_beside(sources, n) not in ("", was)}
        return sorted(names)

    def notes(self) -> Iterator[str]:
        """What may surprise about finished runs: other files, versions or machines than here."""
        for impl, files in self.changed.items() if self.todo else ():
            number = max(files.values())
            made = f"{counted(number, 'run', 'runs')} of {impl}"
            were, those = ("was", "it does") if number == 1 else ("were", "those do")
            yield f"{listed(files)} changed since {made} {were} made; {those} not count"
        own = {"cpu": machine.describe()["cpu"], **packages.versions([])}
        for (what, was), count in sorted(self.made_with.items()):
            here = own.get(what) or packages.version(what)
            if was not in (here, "?"):
                made = counted(count, "finished run was", "finished runs were")
                yield f"{made} made with {what} {was}; here is {here}; --fresh runs them again"

    def seconds(self) -> dict[str, float]:
        """Training time of the runs to do, of implementations with a finished run."""
        seconds: dict[str, float] = defaultdict(float)
        medians = {name: statistics.median(times) for name, times in self.step_s.items()}
        for run in self.todo:
            if run.name in medians:
                seconds[run.name] += medians[run.name] * run.config.epochs
        return seconds

    def outcome(self, key: str) -> str:
        """How a run ended; empty if it has not."""
        return str(self.rows[key]["outcome"]) if key in self.rows else ""

    def finished(self) -> list[Row]:
        """The planned runs that have ended."""
        return [self.rows[key] for key in self.keys if key in self.rows]

    def run(self, session: Session, run_all: RunAll) -> Iterator[Record]:
        """Do what is not finished; yields each record when it is saved.

        Runs claimed by another process are looked at again at the end: they are done here only
        if it gave them up. Raises UserError if the folder can't be written.
        """
        waiting, note = self.todo, session.watcher.note
        with contextlib.closing(Claims(self.store.folder, note)) as claims:
            for turn in itertools.count():
                left: list[Run] = []
                for record in run_all(self._claimed(waiting, claims, left, session)):
                    claims.release(record.key)
                    if record.outcome != "interrupted":
                        self.add(record)
                    yield record
                if not left or session.stop.is_set():
                    return
                if turn == 1:  # runs claimed in the first turn may have ended long since
                    note(f"{claims.holding([run.key for run in left])}; waiting")
                time.sleep(POLL_S if turn else 0)
                waiting = left

    def _claimed(
        self, runs: Iterable[Run], claims: Claims, left: list[Run], session: Session
    ) -> Iterator[Run]:
        """The runs that this process may do; those that another has claimed go to `left`."""
        for run in runs:
            if not claims.acquire(run.key):
                left.append(run)
            elif record := self._done_meanwhile(run):
                claims.release(run.key)
                self.add(record)
                session.watcher.finished(run, record)
            else:
                yield run

    def _done_meanwhile(self, run: Run) -> Record | None:
        """What another process has finished since the folder was read."""
        if self.fresh or self.outcome(run.key):
            return None
        for name in (run.key, *(f"{run.key}.{number}" for number in range(2, 10))):
            record = read_summary(self.store.runs / name)
            if record and record.outcome != "interrupted" and not self.files_changed(record):
                return record
        return None
