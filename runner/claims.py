"""Which process is at which run, so that two sweeps into one experiment never do the same.

A claim is a lock on one byte of the file `.claims`, at a place that the run's hash gives. The
system drops the locks of a process that dies, however it dies, so nothing is ever left behind
and nobody needs to decide whether a claim is stale.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Claims:
    """The claims of this process on the runs of an experiment. One per process and experiment:
    the system forgets all locks of a process on a file when any handle on it is closed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.handle = os.open(folder / ".claims", os.O_RDWR | os.O_CREAT, 0o644)

    def acquire(self, key: str) -> bool:
        """Claim a run; False if another process has."""
        try:
            fcntl.lockf(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except OSError:
            return False
        return True

    def release(self, key: str) -> None:
        """Give a claim back, after its result is on disk."""
        fcntl.lockf(self.handle, fcntl.LOCK_UN, 1, _place(key))

    def close(self) -> None:
        os.close(self.handle)


def _place(key: str) -> int:
    return int(key.rpartition("-")[2], 16)
