"""The hosts of a process: started when first needed, and again when they have died."""

import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from ..config.plan import HostKey, HostsNeeded
from ..machine import working_folder

END_S = 2.0  # how long a host may take to end before it is killed


class HostProcess:
    """A process that has imported some modules and forks runs on request."""

    def __init__(self, modules: tuple[str, ...], threads: int) -> None:
        self.threads, self.lock, self.imported = threads, threading.Lock(), False
        self.start(modules)

    def start(self, modules: tuple[str, ...]) -> None:
        """Start the process; what it prints while importing goes to a file of its own."""
        self.modules = modules
        self.control, theirs = socket.socketpair()
        # A file of no name; in memory where that can be, since no folder may be writable.
        memory = os.memfd_create("twolayer") if hasattr(os, "memfd_create") else None
        self.errors = open(memory, "w+b") if memory else tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
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

        A process that dies of them is started without: the runs that need them tell of it.
        Raises RuntimeError if the process can't even start.
        """
        with self.lock:
            while not self.imported and not (stop and stop.is_set()):
                if not select.select([self.control], [], [], 0.1)[0]:
                    continue
                self.imported = bool(self.control.recv(1))
                if not self.imported:
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
            self.process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:  # in the middle of an import
            self.process.kill()
            self.process.wait()
        self.errors.close()


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that give every framework the same number of threads."""
    blas = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    names = (*blas, "TF_NUM_INTRAOP_THREADS", "NPROC")  # the last is for JAX on a CPU
    return dict.fromkeys(names, str(threads)) | {
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1"),
    }


class Hosts(AbstractContextManager["Hosts"]):
    """The hosts of this process, one per set of frameworks and thread count."""

    def __init__(self, needed: HostsNeeded) -> None:
        """Start the hosts `needed`, which import their modules all at once."""
        self.lock = threading.Lock()
        self.hosts: dict[HostKey, HostProcess] = {}
        for key, modules in needed.items():
            self.get(key, modules)

    def get(self, key: HostKey, modules: tuple[str, ...]) -> HostProcess:
        """The host for a key; started if there is none, again if it has died."""
        with self.lock:
            host = self.hosts.get(key)
            if host and not host.alive():
                host.close()
                host = None  # another object: its other runs have yet to see that it has died
            if host is None:
                host = self.hosts[key] = HostProcess(modules, key[1])
            return host

    def wait_ready(
        self,
        stop: threading.Event | None = None,
        importing: Callable[[list[str]], None] = lambda _: None,
    ) -> None:
        """Wait for all imports, or until `stop` is set; tell `importing` which, then none."""
        importing(sorted({framework for frameworks, _ in self.hosts for framework in frameworks}))
        for host in list(self.hosts.values()):
            host.wait_ready(stop)
        importing([])

    def __exit__(self, *_: object) -> None:
        """End all hosts, and with them every run they still have."""
        for host in self.hosts.values():
            host.control.close()
        for host in self.hosts.values():
            host.close()
