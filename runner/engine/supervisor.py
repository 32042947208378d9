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

from ..config.plan import Run, host_key, hosts_needed
from ..errors import error_data
from ..training.worker import split, write_all
from .hosts import HostProcess, Hosts

GRACE_S = 2.0  # how long a run that was asked to stop may take to do so before it is killed
LOG_LIMIT = 256 * 1024  # bytes kept of the beginning of a run's output, and as many of its end

Job = dict[str, Any]
Result = dict[str, Any]
Notify = Callable[[dict[str, Any]], None]


def make_job(
    run: Run, timeout_s: float | None = None, memory_limit: float | None = None, **task: Any
) -> Job:
    """The job to train once, all of it JSON; `task` names another, with its arguments."""
    implementation, sources, host = run.implementation, run.implementation.sources, host_key(run)
    return {
        "task": "twolayer.training.tasks:train",
        "source": str(implementation.source),
        "module": sources.module,
        "installed": bool(implementation.module),
        "built_in": implementation.origin == "built in",
        "roots": {name: str(folder) for name, folder in sources.roots.items()},
        "files": [str(path) for path in sources.files],
        "sha256": sources.sha256,
        "framework": implementation.framework,
        "imports": implementation.imports,
        "preload": implementation.preload,
        "config": run.config.values(),
        "threads": run.threads,
        "host": host,
        "modules": hosts_needed([run]).get(host, ()),
        "memory_limit": memory_limit,
        "timeout_s": timeout_s,
        **task,
    }


def ended(outcome: str, error: dict[str, Any] | None = None) -> Result:
    """The result of a run that ends now, before or without its process."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"outcome": outcome, "error": error, "started_at": now}


def perform(
    job: Job,
    hosts: Hosts,
    cancelled: threading.Event | None = None,
    notify: Notify = lambda _: None,
) -> Result:
    """Do a job in a process forked from one of `hosts`; returns its result, however it ends.

    The result has at least `outcome`, `error` and `log`. `notify` is called with each event of
    the run (such as started or progress). Setting `cancelled` stops it.
    """
    cancelled, result = cancelled or threading.Event(), ended("interrupted")
    if cancelled.is_set():
        return result
    host = hosts.get(job["host"], job["modules"])
    host.wait_ready(cancelled)  # an import that ends the process is for the run to tell
    with contextlib.closing(Supervised(host, job, notify)) as run:
        return result | run.wait(cancelled)


class Supervised:
    """A job under way, in a fork of `host`."""

    def __init__(self, host: HostProcess, job: Job, notify: Notify) -> None:
        self.host, self.job, self.notify = host, job, notify
        self.printed, self.left_out = bytearray(), 0
        self.pending, self.stopping = b"", ""
        self.heard: dict[str, dict[str, Any]] = {}  # the last message of each event
        commands, writable = os.pipe()
        self.commands = os.fdopen(writable, "wb", 0)  # its end has the run killed
        self.events, events = os.pipe()
        self.output, output = os.pipe()
        self.host.fork(commands, events, output)
        for fd in (commands, events, output):
            os.close(fd)
        write_all(writable, json.dumps(job).encode() + b"\n")
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.events, selectors.EVENT_READ, self.hear)
        self.selector.register(self.output, selectors.EVENT_READ, self.keep)
        self.count_anew()

    def close(self) -> None:
        self.selector.close()
        self.commands.close()
        os.close(self.events)
        os.close(self.output)

    def wait(self, cancelled: threading.Event) -> Result:
        """Wait for its end, stopping it when it is cancelled or has taken too long."""
        kill_at = float("inf")
        while "exited" not in self.heard:
            self.read_ready(0.05)
            clock = time.monotonic()
            if not self.stopping and (cancelled.is_set() or clock > self.deadline):
                self.stopping = "interrupted" if cancelled.is_set() else "timeout"
                write_all(self.commands.fileno(), f"{self.stopping}\n".encode())
                kill_at = clock + GRACE_S
            if clock > kill_at:
                self.commands.close()
            if "exited" not in self.heard and not self.host.alive():
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
            if data := os.read(key.fd, 1 << 16):
                key.data(data)
            else:
                self.selector.unregister(key.fd)
        return bool(ready)

    def keep(self, data: bytes) -> None:
        """Keep what the run prints: all of it if it is little, else its beginning and its end."""
        self.printed += data
        if len(self.printed) > 3 * LOG_LIMIT:
            self.left_out += len(self.printed) - 2 * LOG_LIMIT
            del self.printed[LOG_LIMIT:-LOG_LIMIT]

    def hear(self, data: bytes) -> None:
        messages, self.pending = split(self.pending + data)
        for message in messages:
            self.heard[message["event"]] = message
            if message["event"] == "anew":
                self.count_anew()
            self.notify(message)

    def kill(self) -> None:
        """End a run whose host has died."""
        self.heard["exited"] = {"status": -signal.SIGKILL}
        if "started" in self.heard:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.heard["started"]["pid"], signal.SIGKILL)

    def final(self) -> Result:
        """The result, completed by what only the supervisor knows."""
        gap = f"\n… {self.left_out} bytes left out …\n".encode() if self.left_out else b""
        output = self.printed[:LOG_LIMIT] + gap + self.printed[LOG_LIMIT:]
        log = output.decode(errors="replace")
        given = self.heard.get("result")
        result: Result = given["result"] if given else self.without_result(log)
        error = result.get("error")
        if result["outcome"] == "timeout" and not error:
            error = error_data("Timeout", f"took longer than {self.job['timeout_s']:g} s")
        elif error and error["type"] == "SystemExit" and log.strip():
            last = log.rstrip().rpartition("\n")[2]
            error = error | {"message": f"{error['message']}: {last}"}
        return result | {"error": error, "log": log}

    def without_result(self, log: str) -> Result:
        """The result of a run that ended without giving one."""
        training, progress = (self.heard.get(event, {}) for event in ("training", "progress"))
        loss = progress.get("loss")
        outcome, error = (self.stopping, None) if self.stopping else self.ending(log)
        return {
            "outcome": outcome,
            "error": error,
            "epochs_done": progress.get("epoch", 0),
            "final_loss": loss if isinstance(loss, float) else None,
            "import_s": training.get("import_s"),
            "device": training.get("device"),
        }

    def ending(self, log: str) -> tuple[str, dict[str, Any]]:
        """Outcome and error of a process that ended without a word."""
        status: int = self.heard["exited"]["status"]
        if status >= 0:
            message = f"the process exited with status {status} before training was done"
            return "failed", error_data("Exited", message)
        name = next((s.name for s in signal.Signals if s == -status), f"signal {-status}")
        if self.job["memory_limit"] and ("bad_alloc" in log or "MemoryError" in log):
            return "out_of_memory", error_data(name, "ran out of memory", signal=name)
        message = f"the process was ended by {name}"
        if name == "SIGKILL":
            message += " from outside (often the system, out of memory)"
        return "crashed", error_data(name, message, signal=name)
