"""Set-up and tear-down around the one job of a forked process: output, stop requests, memory."""

from __future__ import annotations

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
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ..errors import UserError, error_data
from .pipes import STOP, send

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
        self.commands, self.events = commands, events
        self.pending = b""
        self.reason = ""
        self.clock: Any = None
        self.rescue: Callable[[str], dict[str, Any]] | None = None

    def line(self) -> bytes:
        while b"\n" not in self.pending:
            data = os.read(self.commands, 65536)
            if not data:
                os.killpg(0, signal.SIGKILL)
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        return line

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
        threading.Thread(target=self.save, daemon=True).start()
        self.line()

    def save(self) -> None:
        """Send what there is, if the process still runs a while after a request to stop."""
        time.sleep(RESCUE_AFTER_S)
        if self.rescue is not None:
            send(self.events, {"event": "result", "result": self.rescue(self.reason)})


def limit_memory(extra_bytes: float | None) -> None:
    """Let this process allocate so much more than it holds now."""
    if extra_bytes:
        limit = status_bytes("VmData") + int(extra_bytes)
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


def exception_data(error: BaseException) -> dict[str, Any]:
    """An exception as data: with its traceback from the user's code on, unless it needs none."""
    shown, trace = error, _users_part(error)
    if trace is None and error.__cause__:  # as of a StopIteration that leaves a generator
        shown, trace = error.__cause__, _users_part(error.__cause__)
    trace = trace or shown.__traceback__  # nothing but ours: a mistake of our own
    text: str | None
    try:
        message = str(error)
        text = "".join(traceback.format_exception(type(shown), shown, trace))
    except Exception as another:
        message = f"can't be shown: its __str__ raises {type(another).__name__}"
        text = "".join(traceback.format_tb(trace))
    if isinstance(error, SystemExit) and trace:  # by argparse, say, which has printed why
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        message, text = f"{place} ends the process with sys.exit({error.code!r})", None
    if isinstance(error, UserError):
        text = None
    return error_data(type(error).__name__, message, traceback=text)


def _users_part(error: BaseException) -> TracebackType | None:
    """The traceback of an error without our frames at its top; None if it has no others."""
    trace = error.__traceback__
    while trace:
        top, _, rest = trace.tb_frame.f_globals.get("__name__", "").partition(".")
        ours = top == "importlib" or (top == "twolayer" and not rest.startswith("impls."))
        if not ours:
            return trace
        trace = trace.tb_next
    return None
