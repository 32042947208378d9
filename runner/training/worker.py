"""Set-up and tear-down around the one job of a forked process: output, stop requests, memory."""

import contextlib
import faulthandler
import io
import json
import os
import pkgutil
import resource
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from .pipes import STOP, exception_data, send

RESCUE_AFTER_S = 1.0
"""How long after a request to stop the losses so far are sent, if training is stuck."""

Send = Callable[[dict[str, Any]], None]


def work(commands: int, events: int, log: int, imports: dict[str, float]) -> None:
    """Do the one job that comes down `commands`, and end the process.

    The job names the function that does it, as `twolayer.training.tasks:train`.
    """
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    faulthandler.enable(all_threads=False)
    leash = Leash(commands, events)
    job = json.loads(leash.line())
    threading.Thread(target=leash.await_stop, daemon=True).start()
    try:
        limit_memory(job["memory_limit"])
        result = pkgutil.resolve_name(job["task"])(job, imports, leash, lambda m: send(events, m))
    except BaseException as error:
        result = {"outcome": "failed", "error": exception_data(error)}
        print(result["error"]["traceback"] or "", end="", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or replaced, by the run
            stream.flush()
    send(events, {"event": "result", "result": result})
    os._exit(0)  # a framework's threads would hold up, or crash, an ordinary exit


class _Unfailing(io.FileIO):
    """A file where what can't be written is dropped: no print of a run may fail it."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(data) or 0
        return len(data)


def _stream(fd: int) -> io.TextIOWrapper:
    """A stream to print to, whatever the locale and whatever becomes of the file."""
    raw = io.BufferedWriter(_Unfailing(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)


class Leash:
    """The pipe from the supervisor: first the job, then perhaps a request to stop.

    Its end means that nobody waits for the run any more, and ends the process.
    """

    def __init__(self, commands: int, events: int) -> None:
        self.commands, self.events = open(commands, "rb"), events  # noqa: SIM115 (open to the end)
        self.reason = ""
        self.clock: Any = None
        self.rescue: Callable[[str], dict[str, Any]] | None = None

    def line(self) -> bytes:
        line = self.commands.readline()
        if not line:
            os.killpg(0, signal.SIGKILL)
        return line.strip()

    def hold(self, clock: Any, rescue: Callable[[str], dict[str, Any]]) -> None:
        """Let a request to stop, past or future, stop this clock.

        If training does not come to its next step then, `rescue` gives the result so far.
        """
        self.clock, self.rescue = clock, rescue
        if self.reason:
            clock.stopped = self.reason

    def await_stop(self) -> None:
        """Wait for a request to stop, and pass it on; then for the end of the pipe."""
        self.reason = self.line().removeprefix(STOP).decode()
        if self.clock is not None:
            self.clock.stopped = self.reason
        threading.Timer(RESCUE_AFTER_S, self.save).start()
        self.line()

    def save(self) -> None:
        """Send what there is, if the process still runs a while after a request to stop."""
        if self.rescue is not None:
            send(self.events, {"event": "result", "result": self.rescue(self.reason)})


def limit_memory(extra_bytes: float | None) -> None:
    """Let this process allocate so much more than it holds now."""
    if extra_bytes:
        limit = min(status_bytes("VmData") + int(extra_bytes), sys.maxsize)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def status_bytes(field: str) -> int:
    """A memory field of /proc/self/status in bytes; 0 where there is none."""
    with contextlib.suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0


def peak_bytes() -> int:
    """The most memory that this process has held at once (resident), in bytes."""
    # ru_maxrss of a fork can be its parent's peak, so it is only for systems without /proc.
    unit = 1 if sys.platform == "darwin" else 1024
    return status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
