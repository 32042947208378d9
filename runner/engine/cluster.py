"""Runs on the workers of a Dask cluster (the extra `dask`).

A task supervises a child process, as on one machine, and returns its outcome as data: a run
that crashes takes no worker down, and a worker that is lost costs only the runs it was at,
which Dask gives to another. Results come back through the futures and are written by the
submitting side, so no folder is shared.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import machine, packages
from ..config import catalogue
from ..config.catalogue import Implementation
from ..config.plan import Run
from ..errors import UserError
from ..files import write
from ..results.record import Record
from .scheduler import Session, order, perform
from .supervisor import Hosts

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 3
"""How often a run may lose its worker before it is given up as crashed."""

GPU = "GPU"
"""The worker resource that a run with `device: cuda` asks for, where any worker has it."""

CONNECT_TIMEOUT_S = 10


LOOK_S = 1.0
"""How often to look which workers have come or gone."""

TELL_S = 5.0
"""How often to say how many there are, and after what time that none has answered."""

SHORT_S = 0.5
"""Runs that take less are sent ahead, so that no worker waits for its next one.

Others are not: they would lie on a busy worker while one that has just come is idle.
"""


@contextlib.contextmanager
def connect(
    address: str | None, file: Path | None, session: Session, wait_s: float
) -> Iterator[Cluster]:
    """Connect to a Dask scheduler, and wait until it has a worker that can be used.

    Gives the session up if none comes within `wait_s`. Raises UserError if Dask is not installed,
    nobody answers, or the workers that are there have other versions.
    """
    try:
        from distributed import Client, Security
    except ImportError:
        raise UserError("--scheduler needs Dask; pip install 'twolayer[dask]'") from None
    where = _address(address, file)
    for name in ("distributed", "distributed.client", "concurrent.futures"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # we say ourselves what went wrong
    try:
        tls = where.startswith(("tls:", "wss:"))
        if tls and not Security().get_connection_args("client")["ssl_context"]:
            raise ValueError("Dask's configuration names no files for TLS: distributed.comm.tls")
        client = Client(address=where, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"--scheduler {where}: no scheduler answers there ({reason})") from None
    with client:
        cluster = Cluster(client, where, session, wait_s)
        cluster.wait_for_workers()
        yield cluster


def _address(address: str | None, file: Path | None) -> str:
    """The address of a scheduler, perhaps from its file. Raises UserError if it can't be one."""
    if address and file:
        raise UserError("--scheduler and --scheduler-file: give only one of them")
    origin = f"--scheduler-file {file}" if file else f"--scheduler {address}"
    try:
        where = str(json.loads(file.read_bytes())["address"] if file else address)
    except FileNotFoundError:
        raise UserError(f"{origin}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{origin}: can't be read: {error.strerror}") from None
    except (ValueError, TypeError, LookupError):
        raise UserError(
            f"{origin}: must be the file that `dask scheduler --scheduler-file` writes: JSON "
            "with the scheduler's address"
        ) from None
    try:
        parts = urlsplit(where if "://" in where else f"tcp://{where}")
        if parts.scheme not in ("tcp", "tls", "ws", "wss") or not (parts.hostname and parts.port):
            raise ValueError
        socket.getaddrinfo(parts.hostname, parts.port)
    except OSError as error:
        raise UserError(f"{origin}: there is no host {parts.hostname}: {error.strerror}") from None
    except ValueError:
        got = f" (got {where!r})" if file else ""
        raise UserError(f"{origin}: must be an address such as tcp://host:8786{got}") from None
    return where


def here() -> dict[str, str]:
    """The versions that must be the same on all machines, for the same losses."""
    versions = packages.versions(["torch", "tensorflow"])
    major_minor = versions["python"].rpartition(".")[0]
    return versions | {"python": major_minor}


@dataclass(eq=False)
class Task:
    """A run that a worker is to do.

    Attributes:
        promise: what becomes of it in the end.
        future: what becomes of it on the worker that it is sent to.
        gone: whether Dask has given that up: the worker or the connection was lost.
        lost: how often that was so.
    """

    order: dict[str, Any]
    may_use_gpu: bool
    gpu: bool = False
    sent: float = 0.0
    promise: Future[dict[str, Any]] = field(default_factory=Future)
    future: Future[dict[str, Any]] | None = None
    gone: bool = False
    lost: int = 0

    def settle(self, future: Future[dict[str, Any]]) -> None:
        """Pass on how it ended, unless it was taken back or has lost its worker."""
        if future is not self.future:  # of an earlier attempt
            return
        if future.cancelled() or type(future.exception()).__name__ == "KilledWorker":
            self.gone = True
        else:
            self.end(future.exception() or future.result())

    def end(self, result: dict[str, Any] | BaseException) -> None:
        with contextlib.suppress(InvalidStateError):  # it has ended already
            if isinstance(result, BaseException):
                self.promise.set_exception(result)
            else:
                self.promise.set_result(result)

    def take_back(self) -> None:
        if self.future:
            self.future.cancel()


@dataclass(eq=False)
class Worker:
    """A worker of the cluster.

    Attributes:
        answer: its versions.
        unfit: what keeps it from being used; None before it has answered.
    """

    address: str
    threads: int
    gpus: float
    answer: Future[dict[str, str]]
    unfit: str | None = None
    tasks: list[Task] = field(default_factory=list)

    def has_place(self, gpu: bool, ahead: int) -> bool:
        on_gpu = sum(task.gpu for task in self.tasks)
        return len(self.tasks) < ahead * self.threads and not (gpu and on_gpu >= ahead * self.gpus)

    def judge(self) -> None:
        """Find whether it can be used, once it has answered."""
        if self.unfit is not None or not self.answer.done() or self.answer.cancelled():
            return
        if error := self.answer.exception():
            self.unfit = f"worker {self.address} can't run twolayer ({error})"
            return
        theirs = self.answer.result()
        wrong = [
            f"{name} {theirs.get(name, 'missing')} (here {version})"
            for name, version in here().items()
            if theirs.get(name) != version
        ]
        self.unfit = ""
        if wrong:
            self.unfit = (
                f"worker {self.address} has {', '.join(wrong)}; losses compare only with the same "
                "versions, so install the same everywhere"
            )


class Cluster:
    """A connection to a Dask cluster, whose workers come and go.

    Each run is sent to one worker, by its address. So it is known which worker is at what, no
    run gets to one that does not fit, and none waits behind another while a worker is idle.
    """

    def __init__(self, client: Client, where: str, session: Session, wait_s: float) -> None:
        self.client, self.where, self.session, self.wait_s = client, where, session, wait_s
        self.workers: dict[str, Worker] = {}
        self.queue: list[Task] = []
        self.ahead = 1
        self.looked = self.told = float("-inf")
        self.size = 0
        self.said: set[str] = set()
        self.without_since: float | None = None

    # --- which workers there are

    @property
    def usable(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.unfit == ""]

    def wait_for_workers(self) -> None:
        """Wait for the first worker that can be used."""
        while not self.usable and not self.session.stop.is_set():
            self.look()
            unfit = [worker.unfit for worker in self.workers.values() if worker.unfit]
            if unfit and len(unfit) == len(self.workers) and not self.said:
                raise UserError(f"--scheduler {self.where}: {unfit[0]}")
            if reason := self.in_vain():
                self.session.give_up(reason)
            time.sleep(0.05)
        self.tell()

    def look(self) -> None:
        """Notice the workers that have come or gone; what these were at goes to others."""
        if time.monotonic() - self.looked > LOOK_S:
            self.looked = time.monotonic()
            there = self.client.scheduler_info(n_workers=-1).get("workers")
            if there is None:  # while the client connects again
                return
            for address in self.workers.keys() - there.keys():
                self.forget(self.workers.pop(address))
            for address in there.keys() - self.workers.keys():
                self.workers[address] = self.ask(address, there[address])
        for worker in self.workers.values():
            worker.judge()

    def ask(self, address: str, info: dict[str, Any]) -> Worker:
        """Ask a new worker for its versions."""
        answer = self.client.get_executor(pure=False, workers=[address]).submit(here)
        return Worker(address, info["nthreads"], info["resources"].get(GPU, 0), answer)

    def forget(self, worker: Worker) -> None:
        worker.answer.cancel()
        for task in worker.tasks:
            task.take_back()
            self.repeat(task)

    def repeat(self, task: Task) -> None:
        """Have a run done by another worker, unless it has lost too many."""
        task.lost += 1
        if task.lost > RETRIES:
            task.end(RuntimeError(f"lost its worker {task.lost} times"))
        self.queue.append(task)

    def tell(self) -> None:
        """Say which workers are not used and why, and how many are, when that has changed."""
        for worker in self.workers.values():
            if worker.unfit:
                self.say(f"not used: {worker.unfit}")
        size = len(self.usable)
        if size and size != self.size and time.monotonic() - self.told > TELL_S:
            self.size, self.told = size, time.monotonic()
            slots = sum(worker.threads for worker in self.usable)
            workers = f"{size} Dask worker{'s' * (size > 1)}"
            self.session.watcher.note(f"{workers}, {slots} run{'s' * (slots > 1)} at once")

    def say(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.session.watcher.note(text)

    def in_vain(self) -> str:
        """Why not to wait for workers any longer. Says so when a wait begins."""
        if self.client.status == "closed":
            return f"--scheduler {self.where}: the scheduler has gone"
        if self.usable:
            self.without_since = None
            return ""
        now = time.monotonic()
        self.without_since = self.without_since or now
        waited_s = now - self.without_since
        if waited_s > TELL_S or all(worker.unfit for worker in self.workers.values()):
            self.tell()
            self.say(f"waiting for workers at {self.where}; Ctrl-C ends the wait")
        return f"--wait: no worker came within {self.wait_s:g} s" if waited_s > self.wait_s else ""

    # --- which of them does what

    def run_all(self, runs: Iterable[Run]) -> Iterator[Record]:
        """Run on the workers that there are at the time."""
        yield from self.session.run_all(runs, self.submit, self.window)

    def submit(self, run: Run) -> Future[dict[str, Any]]:
        may_use_gpu = run.config.device.partition(":")[0] in ("cuda", "auto")
        task = Task(_portable(run, order(run, self.session)), may_use_gpu)
        self.queue.append(task)
        self.send()
        return task.promise

    def window(self) -> int:
        """How many runs to have submitted now; keeps all in motion."""
        self.look()
        self.tell()
        if reason := self.in_vain():
            self.session.give_up(reason)
        if self.session.stop.is_set():
            self.drop(self.queue)
        if self.session.cancel and self.session.cancel.is_set():
            self.drop([task for worker in self.workers.values() for task in worker.tasks])
        self.send()
        return max(1, self.ahead * sum(worker.threads for worker in self.usable))

    def drop(self, tasks: list[Task]) -> None:
        for task in tasks:
            task.take_back()
            task.end({"outcome": "interrupted", "error": None, "started_at": ""})

    def send(self) -> None:
        """Give waiting runs to the least busy workers, as far as they have places."""
        for worker in self.workers.values():
            for task in [task for task in worker.tasks if task.promise.done()]:
                worker.tasks.remove(task)
                short = time.monotonic() - task.sent < SHORT_S * self.ahead
                self.ahead = 2 if short else 1
            for task in [task for task in worker.tasks if task.gone]:
                worker.tasks.remove(task)
                self.repeat(task)
        with_gpu = [worker for worker in self.workers.values() if worker.gpus and not worker.unfit]
        waiting, self.queue = self.queue, []
        for task in waiting:
            if task.promise.done():
                continue
            task.gpu = task.may_use_gpu and bool(with_gpu)
            free = [worker for worker in self.usable if worker.has_place(task.gpu, self.ahead)]
            if not free:
                self.queue.append(task)
                continue
            worker = min(free, key=lambda worker: len(worker.tasks) / worker.threads)
            worker.tasks.append(task)
            task.sent, task.gone = time.monotonic(), False
            executor = self.client.get_executor(
                pure=False,
                workers=[worker.address],
                resources={GPU: 1} if task.gpu else None,
            )
            task.future = executor.submit(perform_there, task.order)
            task.future.add_done_callback(task.settle)


def _portable(run: Run, order: dict[str, Any]) -> dict[str, Any]:
    """An order with what another machine needs: the local files, or what they must be."""
    implementation, job = run.implementation, order["job"]
    order = order | {"source_sha256": implementation.sha256}
    if implementation.module:
        return order
    folders = (os.path.dirname(path) for path in job["files"])
    common = os.path.commonpath([*folders, *job["roots"].values()])
    contents = {os.path.relpath(path, common): Path(path).read_bytes() for path in job["files"]}
    job = job | {
        "source": os.path.relpath(job["source"], common),
        "files": list(contents),
        "roots": {name: os.path.relpath(root, common) for name, root in job["roots"].items()},
    }
    return order | {"contents": contents, "job": job}


# --- on the workers

_state: dict[str, Any] = {}
_lock = threading.Lock()


def perform_there(order: dict[str, Any]) -> dict[str, Any]:
    """Perform an order in a worker's process, in a fork of one of its hosts."""
    order = _with_sources(order)
    with _lock:
        if "hosts" not in _state:
            _state["hosts"] = Hosts({})
            atexit.register(_state["hosts"].close)
    neighbours = _threads_of_worker() - 1
    result = perform(order | {"neighbours": neighbours}, _state["hosts"])
    versions = packages.versions(order["job"]["imports"])
    return result | {"machine": machine.describe(), "versions": versions}


def _threads_of_worker() -> int:
    from distributed import get_worker

    return int(get_worker().state.nthreads)


def _with_sources(order: dict[str, Any]) -> dict[str, Any]:
    """The order with the local files as they are on this machine, and are meant to be."""
    job, sha256 = dict(order["job"]), order["source_sha256"]
    if "contents" not in order:
        spec = catalogue.locate(job["module"])
        there = spec and spec.origin and Implementation("", Path(spec.origin), job["module"], "")
        if not there or there.sha256 != sha256:
            raise RuntimeError(f"{job['module']} on this worker is not what was submitted")
        files = [str(path) for path in there.sources.files]
        return order | {"job": job | {"source": str(there.source), "files": files}}
    folder = _own_folder() / sha256
    for name, content in order["contents"].items():
        if not (folder / name).exists():  # another thread may be writing it, or a run reading it
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(folder / name, content)
    job["source"] = str(folder / job["source"])
    job["files"] = [str(folder / name) for name in job["files"]]
    job["roots"] = {name: str(folder / root) for name, root in job["roots"].items()}
    return order | {"job": job}


def _own_folder() -> Path:
    """A folder of this process that nobody else can have made, removed at its exit."""
    with _lock:
        if "folder" not in _state:
            _state["folder"] = folder = os.path.realpath(tempfile.mkdtemp(prefix="twolayer-"))
            # Not atexit: a worker under a nanny ends as multiprocessing's processes do.
            Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=0)
        return Path(_state["folder"])
