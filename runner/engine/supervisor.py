"""The side that waits: hosts to fork runs from, and one supervised run with every way it can end.

Nothing that a run does can take its supervisor down: it is another process, in a process
group of its own, and all that it says arrives through pipes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from ..config.plan import HostKey, HostsNeeded
from ..machine import working_folder
from ..training.pipes import STOP, split

GRACE_S = 2.0
"""How long a run that was asked to stop may take to do so before it is killed."""

LOG_LIMIT = 256 * 1024
"""Bytes kept of the beginning of a run's output, and as many of its end."""

Notify = Callable[[dict[str, Any]], None]


class HostProcess:
    """A process that has imported some modules and forks runs on request."""

    def __init__(self, modules: tuple[str, ...], threads: int) -> None:
        self.threads = threads
        self.lock = threading.Lock()
        self.imported = False
        self.start(modules)

    def start(self, modules: tuple[str, ...]) -> None:
        """Start the process; what it prints while importing goes to a file of its own."""
        self.modules = modules
        self.control, theirs = socket.socketpair()
        self.errors = _scratch()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "twolayer.engine.host", *modules],
            stdin=theirs.fileno(),
            stdout=self.errors,
            stderr=self.errors,
            cwd=working_folder() or "/",  # torch can't be imported in a folder that is gone
            env=os.environ | thread_environment(self.threads),
            start_new_session=True,  # Ctrl-C is for the supervisor, which decides what to stop
        )
        theirs.close()

    def wait_ready(self, stop: threading.Event | None = None) -> None:
        """Wait for the imports, or until `stop` is set.

        An import that kills the process is left to the runs that need it: they tell of it.
        Raises RuntimeError if the process can't even start.
        """
        with self.lock:
            while not self.imported and not (stop and stop.is_set()):
                if select.select([self.control], [], [], 0.1)[0]:
                    self.imported = bool(self.control.recv(1))
                    if not self.imported:
                        self._start_without_imports()

    def _start_without_imports(self) -> None:
        self.errors.seek(0)
        tail = self.errors.read()[-2000:].decode(errors="replace").strip()
        self.close()
        if not self.modules:
            raise RuntimeError(f"the process that runs are forked from died: {tail}")
        self.start(())

    def fork(self, commands: int, events: int, log: int) -> None:
        """Start a run that talks through these pipes."""
        with self.lock:
            socket.send_fds(self.control, [b"r"], [commands, events, log])

    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        """End the process, and with it every run it still has."""
        self.control.close()
        try:
            self.process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:  # in the middle of an import
            self.process.kill()
            self.process.wait()
        self.errors.close()


def _scratch() -> IO[bytes]:
    """A file of no name; in memory where that can be, since no folder may be writable."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("twolayer"), "w+b")
    return tempfile.TemporaryFile()


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that give every framework the same number of threads."""
    count = str(threads)
    return {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "VECLIB_MAXIMUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": "1",
        "NPROC": count,  # JAX on a CPU
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1"),
    }


class Hosts:
    """The hosts of this process, one per set of frameworks and thread count.

    `needed` says, for each, which modules it imports; all start importing at once.
    """

    def __init__(self, needed: HostsNeeded) -> None:
        self.lock = threading.Lock()
        self.modules: HostsNeeded = {}
        self.hosts: dict[HostKey, HostProcess] = {}
        for key, modules in needed.items():
            self.get(key, modules)

    def get(self, key: HostKey, modules: tuple[str, ...] = ()) -> HostProcess:
        """The host for a key; started if there is none, again if it has died."""
        with self.lock:
            host = self.hosts.get(key)
            if host is None or not host.alive():
                modules = self.modules.setdefault(key, modules)
                if host is not None:
                    host.close()
                host = self.hosts[key] = HostProcess(modules, key[1])
            return host

    def wait_ready(self, stop: threading.Event | None = None) -> None:
        """Wait for all imports, or until `stop` is set."""
        for host in list(self.hosts.values()):
            host.wait_ready(stop)

    def close(self) -> None:
        """End all hosts, and with them every run they still have."""
        for host in self.hosts.values():
            host.control.close()
        for host in self.hosts.values():
            host.close()
        self.hosts.clear()

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Log:
    """The output of a run: all of it if it is short, else its beginning and its end."""

    def __init__(self) -> None:
        self.head = b""
        self.tail = b""
        self.left_out = 0

    def add(self, data: bytes) -> None:
        room = LOG_LIMIT - len(self.head)
        self.head += data[:room] if room > 0 else b""
        self.tail += data[max(room, 0) :]
        if len(self.tail) > 2 * LOG_LIMIT:
            self.left_out += len(self.tail) - LOG_LIMIT
            self.tail = self.tail[-LOG_LIMIT:]

    def text(self) -> str:
        gap = f"\n… {self.left_out} bytes left out …\n".encode() if self.left_out else b""
        return (self.head + gap + self.tail).decode(errors="replace")


def supervise(
    host: HostProcess,
    job: dict[str, Any],
    *,
    timeout_s: float | None = None,
    cancelled: threading.Event | None = None,
    notify: Notify = lambda _: None,
) -> dict[str, Any]:
    """Run a job in a fork of `host` and return its result, whatever becomes of it.

    The result has at least `outcome`, `error` and `log`. `notify` is called with each
    event of the run (started, training, progress). Setting `cancelled` stops it.
    """
    with _Supervised(host, job, notify) as run:
        return run.wait(timeout_s, cancelled or threading.Event())


class _Supervised:
    def __init__(self, host: HostProcess, job: dict[str, Any], notify: Notify) -> None:
        self.host = host
        self.notify = notify
        self.log = Log()
        self.pending = b""
        self.result: dict[str, Any] | None = None
        self.status: int | None = None
        self.pid: int | None = None
        self.progress: dict[str, Any] = {}
        self.stopping = ""
        self.job = job

    def __enter__(self) -> _Supervised:
        commands, self.commands = os.pipe()
        self.events, events = os.pipe()
        self.output, output = os.pipe()
        self.host.fork(commands, events, output)
        for fd in (commands, events, output):
            os.close(fd)
        self.say(json.dumps(self.job).encode())
        self.selector = selectors.DefaultSelector()
        for fd in (self.events, self.output):
            os.set_blocking(fd, False)
            self.selector.register(fd, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        self.selector.close()
        self.let_go()
        os.close(self.events)
        os.close(self.output)

    def say(self, line: bytes) -> None:
        data = line + b"\n"
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self.commands, data) :]

    def let_go(self) -> None:
        """Close the pipe that keeps the run alive."""
        if self.commands >= 0:
            os.close(self.commands)
            self.commands = -1

    def wait(self, timeout_s: float | None, cancelled: threading.Event) -> dict[str, Any]:
        self.timeout_s = timeout_s or float("inf")
        self.count_anew()
        kill_at = float("inf")
        while self.status is None:
            self.read_ready(0.05)
            now = time.monotonic()
            if not self.stopping and (cancelled.is_set() or now > self.deadline):
                self.stopping = "interrupted" if cancelled.is_set() else "timeout"
                self.say(STOP + self.stopping.encode())
                kill_at = now + GRACE_S
            if now > kill_at:
                self.let_go()
            if not self.host.alive():
                self.host_died()
        self.read_ready(0)
        return self.final(timeout_s)

    def count_anew(self) -> None:
        """Let the time that the run may take begin now."""
        self.deadline = time.monotonic() + self.timeout_s

    def read_ready(self, timeout: float) -> None:
        for key, _ in self.selector.select(timeout):
            try:
                data = os.read(key.fd, 1 << 16)
            except BlockingIOError:
                continue
            if not data:
                self.selector.unregister(key.fd)
            elif key.fd == self.output:
                self.log.add(data)
            else:
                self.hear(data)

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
                self.pid = message.get("pid", self.pid)
                self.progress |= message
                self.notify(message)

    def host_died(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.status = self.status if self.status is not None else -signal.SIGKILL

    def final(self, timeout_s: float | None) -> dict[str, Any]:
        while self.selector.get_map() and self.selector.select(0):
            self.read_ready(0)
        log = self.log.text()
        result = dict(self.result) if self.result else self.without_result(log)
        if result["outcome"] == "timeout" and not result.get("error"):
            message = f"took longer than {timeout_s:g} s"
            result["error"] = _error("Timeout", message)
        error, printed = result.get("error"), log.split("\n")
        if error and error["type"] == "SystemExit" and (said := list(filter(str.strip, printed))):
            result["error"] = error | {"message": f"{error['message']}: {said[-1]}"}
        return result | {"log": log}

    def without_result(self, log: str) -> dict[str, Any]:
        known = {
            "epochs_done": self.progress.get("epoch", 0),
            "final_loss": _number(self.progress.get("loss")),
            "import_s": self.progress.get("import_s"),
            "device": self.progress.get("device"),
        }
        return {**known, **self.ending(log)}

    def ending(self, log: str) -> dict[str, Any]:
        """Outcome and error of a run that ended without a word."""
        status = self.status or 0
        if self.stopping:
            return {"outcome": self.stopping, "error": None}
        if status >= 0:
            message = f"the process exited with status {status} before training was done"
            return {"outcome": "failed", "error": _error("Exited", message)}
        name = signal_name(-status)
        if self.job.get("memory_limit") and ("bad_alloc" in log or "MemoryError" in log):
            return {"outcome": "out_of_memory", "error": _error(name, "ran out of memory", name)}
        message = f"the process was ended by {name}"
        if name == "SIGKILL":
            message += " from outside (often the system, out of memory)"
        return {"outcome": "crashed", "error": _error(name, message, name)}


def _error(kind: str, message: str, signal_name: str | None = None) -> dict[str, Any]:
    return {"type": kind, "message": message, "traceback": None, "signal": signal_name}


def _number(value: Any) -> float | None:
    return value if isinstance(value, float) else None


def signal_name(number: int) -> str:
    """`SIGSEGV` for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
