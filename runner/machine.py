"""Where a run took place: the machine, the system, the state of the source tree."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any


def working_folder() -> str | None:
    """The working folder; None if it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def lacking() -> str:
    """What keeps a process from its files that any process has; empty if it is all there."""
    import tempfile

    if not working_folder():
        return "the working folder is gone; change to one that is there"
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return "no folder for temporary files can be written; set TMPDIR to one that can"
    return ""


def usable_cores() -> int:
    """The cores that this process may use: its affinity, cut to its control group's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cgroup_cores()
    return max(1, min(cores, int(quota))) if quota else cores


def _cgroup_cores() -> float | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


@cache
def memory_bytes() -> int:
    """The memory of the machine, or of this control group where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return total


@cache
def describe() -> dict[str, Any]:
    """The machine in words and numbers, as it goes into every record."""
    return {
        "host": platform.node(),
        "os": platform.platform(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_bytes": memory_bytes(),
        "cache_bytes": cache_bytes(),
    }


def cache_bytes() -> int | None:
    """The size of the last-level cache; None where the system does not tell."""
    try:
        sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
        return max(int(size.read_text().strip().removesuffix("K")) for size in sizes) * 1024
    except (OSError, ValueError):
        return None


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@cache
def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, and whether there are uncommitted changes, of the work tree at `folder`."""
    try:
        commit = git(folder, "rev-parse", "HEAD", timeout_s=10)
        changes = git(folder, "status", "--porcelain", "--untracked-files=no", timeout_s=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.decode().strip(), "dirty": bool(changes)}


_OF_A_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE"),
    *("GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_GRAFT_FILE"),
    *("GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS"),
)
"""What a hook has from its repository: `git rev-parse --local-env-vars`, less the settings."""


def git(folder: Path, *words: str, timeout_s: float | None = None) -> bytes:
    """What git says of the repository that a folder is in, whatever the environment names.

    Raises FileNotFoundError without git, CalledProcessError if it refuses.
    """
    own = {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}
    command = ["git", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=True, env=own)
    return done.stdout
