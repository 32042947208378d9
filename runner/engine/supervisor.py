"""Run a job in a child process, and turn every ending into a result.

Nothing that a run does can take its supervisor down: it is another process, in a process
group of its own, and all that it says arrives through pipes.
"""

import contextlib
import json
import os
import selectors
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ..errors import error_data
from ..training.worker import split, write_all
from .hosts import HostProcess, Hosts
from .job import Job

GRACE_S = 2.0
"""How long a run that was asked to stop may take to do so before it is killed."""

LOG_LIMIT = 256 * 1024
"""Bytes kept of the beginning of a run's output, and as many of its end."""


def ended(outcome: str, error: dict[str, Any] | None = None) -> dict[str, Any]:
    """The result of a run that ends now, before or without its process."""
    return {"outcome": outcome, "error": error, "started_at": now()}


def now() -> str:
    """The time, as it stands in a record."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def perform(
    job: Job,
    hosts: Hosts,
    cancelled: threading.Event | None = None,
    notify: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Do a job in a process forked from one of `hosts`; returns its result, however it ends.

    The result has at least `outcome`, `error` and `log`. `notify` is called with each event of
    the run (started, training, progress). Setting `cancelled` stops it.
    """
    begun, cancelled = now(), cancelled or threading.Event()
    if cancelled.is_set():
        return ended("interrupted")
    host = hosts.get(job["host"], job["modules"])
    host.wait_ready(cancelled)  # an import that ends the process is for the run to tell
    with contextlib.closing(Supervised(host, job, notify)) as run:
        result = run.wait(cancelled)
    return result | {"started_at": begun, "neighbours": job["neighbours"]}


class Log:
    """The output of a run: all of it if it is short, else its beginning and its end."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.left_out = 0

    def add(self, data: bytes) -> None:
        self.kept += data
        if len(self.kept) > 3 * LOG_LIMIT:
            self.left_out += len(self.kept) - 2 * LOG_LIMIT
            del self.kept[LOG_LIMIT:-LOG_LIMIT]

    def text(self) -> str:
        gap = f"\n… {self.left_out} bytes left out …\n".encode() if self.left_out else b""
        log = self.kept[:LOG_LIMIT] + gap + self.kept[LOG_LIMIT:]
        return log.decode(errors="replace")


class Supervised:
    """A job under way, in a fork of `host`."""

    def __init__(
        self, host: HostProcess, job: Job, notify: Callable[[dict[str, Any]], None]
    ) -> None:
        self.host, self.job, self.notify = host, job, notify
        self.log = Log()
        self.pending = b""
        self.result: dict[str, Any] | None = None
        self.status: int | None = None
        self.progress: dict[str, Any] = {}
        self.stopping = ""
        commands, self.commands = os.pipe()
        self.events, events = os.pipe()
        self.output, output = os.pipe()
        self.host.fork(commands, events, output)
        for fd in (commands, events, output):
            os.close(fd)
        write_all(self.commands, json.dumps(job).encode() + b"\n")
        self.selector = selectors.DefaultSelector()
        for fd in (self.events, self.output):
            self.selector.register(fd, selectors.EVENT_READ)
        self.count_anew()

    def close(self) -> None:
        self.selector.close()
        self.let_go()
        os.close(self.events)
        os.close(self.output)

    def let_go(self) -> None:
        """Close the pipe that keeps the run alive."""
        if self.commands >= 0:
            os.close(self.commands)
            self.commands = -1

    def wait(self, cancelled: threading.Event) -> dict[str, Any]:
        """Wait for its end, stopping it when it is cancelled or has taken too long."""
        kill_at = float("inf")
        while self.status is None:
            self.read_ready(0.05)
            clock = time.monotonic()
            if not self.stopping and (cancelled.is_set() or clock > self.deadline):
                self.stopping = "interrupted" if cancelled.is_set() else "timeout"
                write_all(self.commands, f"{self.stopping}\n".encode())
                kill_at = clock + GRACE_S
            if clock > kill_at:
                self.let_go()
            if not self.host.alive():
                self.kill()
        while self.read_ready(0):
            pass
        return self.final()

    def count_anew(self) -> None:
        """Let the time that the run may take begin now."""
        self.deadline = time.monotonic() + (self.job["timeout_s"] or float("inf"))

    def read_ready(self, timeout: float) -> bool:
        """Read what there is, after `timeout` seconds at most; whether there was anything."""
        ready = self.selector.select(timeout)
        for key, _ in ready:
            data = os.read(key.fd, 1 << 16)
            if not data:
                self.selector.unregister(key.fd)
            elif key.fd == self.output:
                self.log.add(data)
            else:
                self.hear(data)
        return bool(ready)

    def hear(self, data: bytes) -> None:
        messages, self.pending = split(self.pending + data)
        for message in messages:
            kind = message.get("event")
            if kind == "exited":
                self.status = message["status"]
            elif kind == "anew":
                self.count_anew()
            elif kind == "result":
                self.result = message["result"]
            else:
                self.progress |= message
                self.notify(message)

    def kill(self) -> None:
        """End a run whose host has died."""
        if "pid" in self.progress:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.progress["pid"], signal.SIGKILL)
        if self.status is None:
            self.status = -signal.SIGKILL

    def final(self) -> dict[str, Any]:
        """The result, completed by what only the supervisor knows."""
        log = self.log.text()
        result = dict(self.result) if self.result else self.without_result(log)
        error = result.get("error")
        if result["outcome"] == "timeout" and not error:
            message = f"took longer than {self.job['timeout_s']:g} s"
            result["error"] = error_data("Timeout", message)
        elif error and error["type"] == "SystemExit" and log.strip():
            last = log.rstrip().rpartition("\n")[2]
            result["error"] = error | {"message": f"{error['message']}: {last}"}
        return result | {"log": log}

    def without_result(self, log: str) -> dict[str, Any]:
        """The result of a run that ended without giving one."""
        progress, loss = self.progress, self.progress.get("loss")
        outcome, error = (self.stopping, None) if self.stopping else self.ending(log)
        return {
            "outcome": outcome,
            "error": error,
            "epochs_done": progress.get("epoch", 0),
            "final_loss": loss if isinstance(loss, float) else None,
            "import_s": progress.get("import_s"),
            "device": progress.get("device"),
        }

    def ending(self, log: str) -> tuple[str, dict[str, Any]]:
        """Outcome and error of a process that ended without a word."""
        status = self.status or 0
        if status >= 0:
            message = f"the process exited with status {status} before training was done"
            return "failed", error_data("Exited", message)
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        if self.job["memory_limit"] and ("bad_alloc" in log or "MemoryError" in log):
            return "out_of_memory", error_data(name, "ran out of memory", signal=name)
        message = f"the process was ended by {name}"
        if name == "SIGKILL":
            message += " from outside (often the system, out of memory)"
        return "crashed", error_data(name, message, signal=name)
