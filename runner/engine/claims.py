"""File locks that keep two sweeps into one experiment from doing the same run.

A claim is a lock on one byte of the file `.claims`, at a place given by the run's hash. The
system drops the locks of a process that dies, however it dies, so nothing is ever left behind
and nobody needs to decide whether a claim is stale.

Some file systems have no locks (NFS and Lustre can be mounted without). There every claim is
granted: nothing else could tell a sweep that is at work from one that was killed.
"""

import contextlib
import errno
import fcntl
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import listed
from ..files import writing

HELD = (errno.EACCES, errno.EAGAIN)
"""Errors that mean that another process has the lock; all others, that there are no locks."""

FLOCK = "hhqqi"
"""Linux's `struct flock`: type, whence, start, length, pid."""


class Claims:
    """The claims of this process on the runs of an experiment: one object for both.

    The system forgets all locks of a process on a file when any handle on it is closed. `note`
    is called if there are no locks. Raises UserError if the folder can't be written.
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
        except OSError as error:
            if error.errno in HELD:
                return False
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
