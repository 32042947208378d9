"""The host: a process with the frameworks imported, forked once for each run.

A host is started as ``python -P -m twolayer.engine.host MODULE…`` with a socket as its standard
input. It imports the modules, says so, and then forks a process for each run that it is sent:
importing a framework takes seconds, forking a process that has imported it milliseconds. A
host never computes anything itself, since a process that has cannot be forked safely.

multiprocessing's forkserver does the same once per program; here there is one host per
framework and thread count, usable from a daemonic process, that reaps and reports its runs.

A run is sent as three pipes: `commands` (the job, then perhaps a request to stop; its end
means that nobody waits for the run any more, so it is killed), `events` and `log`.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import time
import warnings

from ..training.worker import send, work


def main() -> None:
    """Be a host, until the other end of standard input goes away."""
    control = socket.socket(fileno=os.dup(0))
    adopt_orphans()
    done, finish = os.pipe()
    watch = threading.Thread(target=leave_with, args=(control, done), daemon=True)
    watch.start()
    imports = import_all(sys.argv[1:])
    from ..training import tasks  # noqa: F401 (what most forks need, imported once)

    os.close(finish)
    watch.join()  # a process with threads is not to be forked
    os.close(done)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page that holds an object
    control.sendall(b"r")  # ready
    Host(control, imports).serve()
    os._exit(0)  # nothing here needs a framework's slow farewell


def adopt_orphans() -> None:
    """Become the parent of whatever a run leaves behind, detached or not (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER of <sys/prctl.h>


def leave_with(control: socket.socket, done: int) -> None:
    """End this process at once if the requester goes away, until `done` is closed."""
    poll = select.poll()
    poll.register(done, 0)
    poll.register(control, 0)  # its end, not the first request
    if any(fd != done for fd, _ in poll.poll()):
        os._exit(1)


def import_all(modules: list[str]) -> dict[str, float]:
    """Import modules; returns the seconds that each took.

    If one fails the process ends: the run that needs it imports it again, and tells why. Here
    it would fail for another reason then, since what it had imported stays.
    """
    seconds = {}
    for module in modules:
        begun = time.perf_counter()
        try:
            importlib.import_module(module)
        except (Exception, SystemExit):
            os._exit(1)
        seconds[module] = time.perf_counter() - begun
    return seconds


class Host:
    """Forks runs on request, reaps them, and kills those that nobody waits for."""

    def __init__(self, control: socket.socket, imports: dict[str, float]) -> None:
        self.control, self.imports = control, imports
        self.runs: dict[int, tuple[int, int]] = {}  # commands: (pid, events)
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)
        self.woken, wake = os.pipe()
        os.set_blocking(wake, False)
        self.poll.register(self.woken, select.POLLIN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Serve until the requester is gone."""
        while True:
            for fd, _ in self.poll.poll():
                if fd == self.woken:
                    os.read(fd, 4096)
                    self.reap()
                elif fd == self.control.fileno():
                    _, pipes, _, _ = socket.recv_fds(self.control, 1, 3)
                    if len(pipes) < 3:
                        for pid, _ in self.runs.values():
                            kill(pid)
                        end_orphans()
                        return
                    self.fork(*pipes)
                elif fd in self.runs:  # nobody waits for it any more
                    kill(self.runs[fd][0])
                    self.poll.unregister(fd)

    def fork(self, commands: int, events: int, log: int) -> None:
        """Fork a process for a run."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # BLAS threads survive a fork; see its atfork handler
            pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            self.leave()
            work(commands, events, log, self.imports)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # here as well: a kill may come before the child gets to it
        os.close(log)
        self.runs[commands] = (pid, events)
        self.poll.register(commands, 0)  # only its end is of interest here
        send(events, {"event": "started", "pid": pid})

    def leave(self) -> None:
        """In the child: let go of all that is the host's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.control.close()
        for commands, (_, events) in self.runs.items():
            os.close(commands)
            os.close(events)

    def reap(self) -> None:
        for commands, (pid, events) in list(self.runs.items()):
            done, status, _ = os.wait4(pid, os.WNOHANG)
            if done:
                kill(pid)  # what it left behind in its process group
                del self.runs[commands]
                with contextlib.suppress(KeyError):
                    self.poll.unregister(commands)
                send(events, {"event": "exited", "status": os.waitstatus_to_exitcode(status)})
                os.close(commands)
                os.close(events)
        if not self.runs:  # only then it is clear whom the orphans belong to
            end_orphans()


def kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def end_orphans() -> None:
    """Kill what runs have left behind (Linux)."""
    for _ in range(10):  # what dies may leave children of its own
        with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
            for pid in map(int, file.read().split()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
