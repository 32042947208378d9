"""Where a run took place: the machine, the system, the state of the source tree."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
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
    """What every process needs and this one has not, such as a working folder; else empty."""
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
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text().split())
    except (OSError, ValueError):  # `max` means none
        return cores
    return max(1, min(cores, quota // period))


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
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
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


def git(folder: Path, *words: str, timeout_s: float | None = None) -> bytes:
    """Output of git about the repository of a folder, also in a hook, which names its own.

    Raises FileNotFoundError without git, CalledProcessError if it refuses.
    """
    kept = ("GIT_CONFIG", "GIT_EXEC_PATH", "GIT_CEILING_", "GIT_DISCOVERY_")
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith(kept)}
    command = ["git", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=True, env=env)
    return done.stdout
