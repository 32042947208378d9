"""The process forked for one job: its pipes, its output, its memory, and how it ends."""

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

RESCUE_AFTER_S = 1.0  # from a request to stop until a training that is stuck sends what it has


def send(fd: int, message: dict[str, Any]) -> None:
    """Write one message to a pipe: on a line of its own, since a killed writer leaves half one."""
    write_all(fd, b"\n" + json.dumps(message).encode() + b"\n")


def write_all(fd: int, data: bytes) -> None:
    """Write all of some data to a pipe. Nobody reading it is no error."""
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(fd, data) :]


def split(pending: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """The whole messages in `pending`, and what is left of an unfinished one."""
    *lines, rest = pending.split(b"\n")
    messages = []
    for line in filter(None, lines):
        with contextlib.suppress(ValueError):  # a run can write to a pipe that is not its own
            message = json.loads(line)
            if isinstance(message, dict) and isinstance(message.get("event"), str):
                messages.append(message)
    return messages, rest


class Task:
    """The job of this process, and its pipes to the supervisor.

    Down `commands` comes the job, then perhaps why it is to stop. The end of that pipe means
    that nobody waits for the job any more, and ends the process.
    """

    def __init__(self, commands: int, events: int, imports: dict[str, float]) -> None:
        self.commands, self.events = open(commands, "rb"), events  # noqa: SIM115 (open to the end)
        self.imports = imports  # the seconds that each module has taken to be imported
        self.job: dict[str, Any] = json.loads(self._line())
        self.stopped = ""
        self.clock: Any = None
        self.so_far: Callable[[str], dict[str, Any]] | None = None
        threading.Thread(target=self._await_stop, daemon=True).start()

    def send(self, event: str, **fields: Any) -> None:
        send(self.events, {"event": event, **fields})

    def stoppable(self, clock: Any, so_far: Callable[[str], dict[str, Any]]) -> None:
        """Let a request to stop, past or future, stop this clock.

        If training does not come to its next step then, `so_far` gives the result.
        """
        self.clock, self.so_far = clock, so_far
        if self.stopped:
            clock.stopped = self.stopped

    def _line(self) -> str:
        line = self.commands.readline()
        if not line:
            os.killpg(0, signal.SIGKILL)
        return line.decode().strip()

    def _await_stop(self) -> None:
        self.stopped = self._line()
        if self.clock is not None:
            self.clock.stopped = self.stopped
        time.sleep(RESCUE_AFTER_S)
        if self.so_far is not None:
            self.send("result", result=self.so_far(self.stopped))
        self._line()


def work(commands: int, events: int, log: int, imports: dict[str, float]) -> None:
    """Do the job that comes down `commands` by the function that it names; end the process."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    faulthandler.enable(all_threads=False)
    task = Task(commands, events, imports)
    try:
        if extra := task.job["memory_limit"]:  # beyond what it holds now
            limit = min(status_bytes("VmData") + int(extra), sys.maxsize)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        result = pkgutil.resolve_name(task.job["task"])(task)
    except BaseException as error:
        result = {"outcome": "failed", "error": exception_data(error)}
        print(result["error"]["traceback"] or "", end="", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or replaced, by the run
            stream.flush()
    task.send("result", result=result)
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


def exception_data(error: BaseException) -> dict[str, Any]:
    """An exception as data: with its traceback from the user's code on, unless it needs none."""
    shown, trace = error, _users_part(error)
    if trace is None and error.__cause__:  # as of a StopIteration that leaves a generator
        shown, trace = error.__cause__, _users_part(error.__cause__)
    trace = trace or shown.__traceback__  # nothing but ours: a mistake of our own
    text: str | None = "".join(traceback.format_exception(type(shown), shown, trace))
    try:
        message = str(error)
    except Exception as another:
        message = f"can't be shown: its __str__ raises {type(another).__name__}"
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
            break
        trace = trace.tb_next
    return trace


def status_bytes(field: str) -> int:
    """A memory field of /proc/self/status in bytes; 0 where there is none."""
    with contextlib.suppress(OSError), open("/proc/self/status") as status:
        sizes = (line.split()[1] for line in status if line.startswith(field))
        return int(next(sizes, 0)) * 1024
    return 0


def peak_bytes() -> int:
    """The most memory that this process has held at once (resident), in bytes."""
    # ru_maxrss of a fork can be its parent's peak, so it is only for systems without /proc.
    unit = 1 if sys.platform == "darwin" else 1024
    return status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
