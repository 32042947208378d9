"""Runs on the workers of a Dask cluster (the extra `dask`).

A task supervises a child process, as on one machine, and returns its outcome as data: a run
that crashes takes no worker down, and a worker that is lost costs only the runs it was at,
which Dask gives to another. Results come back through the futures and are written by the
submitting side, so no folder is shared.
"""

import contextlib
import json
import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import machine, packages
from ..config import catalogue
from ..config.plan import Run
from ..errors import UserError, no_file
from ..files import appearing
from ..results.record import Record
from .hosts import Hosts
from .scheduler import Session
from .supervisor import Job, Result, perform

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 3  # how often a run may lose all its workers; Dask has the same number
GPU = "GPU"  # the worker resource that a run on `cuda` asks for, where any worker has it
CONNECT_TIMEOUT_S = 10
LOOK_S = 1.0  # how often to look which workers have come or gone
# Runs that take less are sent ahead, so that no worker waits for its next one. Others are not:
# they would lie on a busy worker while one that has just come is idle.
SHORT_S = 0.5


@contextlib.contextmanager
def connect(
    address: str | None, file: Path | None, session: Session, wait_s: float
) -> "Iterator[Cluster]":
    """Connect to a Dask scheduler, and wait until it has a worker that can be used.

    Gives the session up if none comes within `wait_s`. Raises UserError if Dask is not installed,
    no scheduler answers, or all workers have other versions.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UserError("--scheduler needs Dask; pip install 'twolayer[dask]'") from None
    for name in ("distributed", "distributed.client", "concurrent.futures", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # errors are reported here
    origin = f"--scheduler-file {file}" if file else f"--scheduler {address}"
    try:
        where = _address(address, file, origin)
        client = Client(address=where, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:  # the last of a lack of TLS
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0]
        raise UserError(f"{origin}: no scheduler answers there ({reason})") from None
    with client:
        cluster = Cluster(client, where, session, wait_s)
        cluster.wait_for_workers()
        yield cluster


def _address(address: str | None, file: Path | None, origin: str) -> str:
    """The address of a scheduler, perhaps from its file. Raises OSError if its host is unknown."""
    form = "an address such as tcp://host:8786"
    if file:
        form = "the file that `dask scheduler --scheduler-file` writes: JSON with its address"
        if reason := no_file(file):
            raise UserError(f"{origin}: {reason}")
    try:
        where = str(json.loads(file.read_bytes())["address"] if file else address)
        parts = urlsplit(where if "://" in where else f"tcp://{where}")
        if parts.scheme not in ("tcp", "tls", "ws", "wss") or not (parts.hostname and parts.port):
            raise ValueError
    except (ValueError, TypeError, LookupError):
        raise UserError(f"{origin}: must be {form}") from None
    socket.getaddrinfo(parts.hostname, parts.port)
    return where


def here() -> dict[str, str]:
    """The versions that must be the same on all machines, for the same losses."""
    versions = packages.versions(["torch", "tensorflow"])
    return versions | {"python": versions["python"].rpartition(".")[0]}


def _unfit(address: str, answer: dict[str, str] | Exception) -> str:
    """Why a worker that gave this answer for its versions is not used; empty if it is."""
    if isinstance(answer, Exception):
        return f"worker {address} can't run twolayer ({answer})"
    wrong = [
        f"{name} {answer.get(name, 'missing')} (here {version})"
        for name, version in here().items()
        if answer.get(name) != version
    ]
    only = "losses compare only with the same versions, so install the same everywhere"
    return f"worker {address} has {', '.join(wrong)}; {only}" if wrong else ""


class Cluster:
    """A connection to a Dask cluster, whose workers come and go.

    Dask places each run on the least busy of the workers that can be used. As many are
    submitted as these have threads, so that none waits behind another while a worker is idle.
    """

    def __init__(self, client: "Client", where: str, session: Session, wait_s: float) -> None:
        self.client, self.where, self.session, self.wait_s = client, where, session, wait_s
        self.unfit: dict[str, str] = {}  # by worker, why it is not used; empty if it is
        self.usable: dict[str, int] = {}  # by worker in use, its threads
        self.gpus: dict[str, int] = {}  # by worker in use that has any
        # The key of each run under way, and the workers that it may be on.
        self.sent: dict[Future[Result], tuple[str, set[str]]] = {}
        self.lost: Counter[str] = Counter()
        self.ahead, self.all_on_gpus = 1, True
        self.looked = float("-inf")
        self.served = time.monotonic()  # when there last was a worker
        self.note, self.size = cache(session.watcher.note), ""  # a text is noted once

    def wait_for_workers(self) -> None:
        """Wait for the first worker that can be used. Raises UserError if all are unfit."""
        self.look()
        if not self.usable and (reason := next(filter(None, self.unfit.values()), "")):
            raise UserError(f"--scheduler {self.where}: {reason}")
        while self.watch() and not self.session.stop.is_set():
            time.sleep(0.05)

    def watch(self) -> bool:
        """Follow the workers; whether to wait for some. Gives the session up if that is in vain."""
        self.look()
        self.note_workers()
        if self.client.status == "closed":
            self.session.give_up(f"--scheduler {self.where}: the scheduler has gone")
        elif self.usable:
            self.served = time.monotonic()
        else:
            self.note(f"waiting for workers at {self.where}; Ctrl-C ends the wait")
            if time.monotonic() - self.served > self.wait_s:
                self.session.give_up(f"--wait: no worker came within {self.wait_s:g} s")
        return not self.usable

    def look(self) -> None:
        """Notice the workers that have come or gone, and ask the new ones for their versions."""
        if time.monotonic() - self.looked < LOOK_S:
            return
        self.looked = time.monotonic()
        workers = self.client.scheduler_info(n_workers=-1).get("workers")
        if workers is None:  # while the client connects again
            return
        new = [address for address in workers if address not in self.unfit]
        with contextlib.suppress(OSError):  # the connection was lost
            answers = self.client.run(here, workers=new, on_error="return") if new else {}
            for address, answer in answers.items():
                if not isinstance(answer, OSError):  # it has gone, or is asked again
                    self.unfit[address] = _unfit(address, answer)
        self.unfit = {a: reason for a, reason in self.unfit.items() if a in workers}
        self.usable = {a: workers[a]["nthreads"] for a, why in self.unfit.items() if not why}
        gpus = {a: int(workers[a]["resources"].get(GPU, 0)) for a in self.usable}
        self.gpus = {a: count for a, count in gpus.items() if count}
        for future, (key, addresses) in self.sent.items():
            if not addresses & self.usable.keys():
                self.repeat(future, key)

    def repeat(self, future: Future[Result], key: str) -> None:
        """Have a run submitted again, unless it has lost all its workers too often."""
        self.lost[key] += 1
        with contextlib.suppress(InvalidStateError):  # it has just ended
            if self.lost[key] > RETRIES:
                future.set_exception(RuntimeError(f"lost its worker {self.lost[key]} times"))
            future.cancel()

    def note_workers(self) -> None:
        """Note which workers are not used and why, and how many are, when that has changed."""
        for reason in filter(None, self.unfit.values()):
            self.note(f"not used: {reason}")
        count, slots = len(self.usable), sum(self.usable.values())
        size = f"{count} Dask worker{'s' * (count > 1)}, {slots} run{'s' * (slots > 1)} at once"
        if count and size != self.size:
            self.size = size
            self.session.watcher.note(size)

    def run_all(self, runs: Iterable[Run]) -> Iterator[Record]:
        """Run on the workers that there are at the time."""
        yield from self.session.run_all(runs, self.submit, self.window)

    def window(self) -> int:
        """How many runs to have submitted now. Follows the workers, and a request to stop."""
        self.sent = {future: at for future, at in self.sent.items() if not future.done()}
        self.watch()
        if self.session.cancel.is_set():
            for future in self.sent:
                future.cancel()
        slots = self.gpus if self.gpus and self.all_on_gpus else self.usable
        return max(1, self.ahead * sum(slots.values()))

    def submit(self, run: Run) -> Future[Result]:
        """Send a run to the workers. Without any, its future is cancelled, to be tried again."""
        may_use_gpu = run.config.device.partition(":")[0] in ("cuda", "auto")
        with_gpu = self.gpus if may_use_gpu else {}
        self.all_on_gpus &= bool(with_gpu)
        addresses = set(with_gpu or self.usable)
        future: Future[Result] = Future()
        if not addresses:
            time.sleep(0.05)
            future.cancel()
            return future
        executor = self.client.get_executor(
            pure=False, workers=sorted(addresses), resources={GPU: 1} if with_gpu else None
        )
        begun, job = time.monotonic(), self.session.job(run)
        files = () if job["installed"] else job["files"]  # what is installed is only named
        contents = {path: Path(path).read_bytes() for path in files}
        future = executor.submit(perform_there, job, contents, run.implementation.sha256)
        self.sent[future] = run.key, addresses

        def learn(_: object) -> None:
            self.ahead = 2 if time.monotonic() - begun < SHORT_S * self.ahead else 1

        future.add_done_callback(learn)
        return future


# --- on the workers

_lock = threading.Lock()
_hosts = Hosts({})  # they end with this process


@cache
def _scratch() -> str:
    """A folder of this process that nobody else can have made, removed at its exit."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="twolayer-"))
    # Not atexit: a worker under a nanny ends as multiprocessing's processes do.
    Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=0)
    return folder


def perform_there(job: Job, contents: dict[str, bytes], sha256: str) -> Result:
    """Do a job on a worker; `contents` are its files, by their paths where it was submitted."""
    from distributed import get_worker

    with _lock:
        own = _place_files(job, contents, sha256) if contents else _installed(job["module"], sha256)
    return perform(job | own, _hosts) | {
        "machine": machine.describe(),
        "versions": packages.versions(job["imports"]),
        "neighbours": int(get_worker().state.nthreads) - 1,
    }


@cache
def _installed(module: str, sha256: str) -> dict[str, Any]:
    """Where an installed module is on this machine, if it is the same here."""
    own = next((item for item in catalogue.installed() if item.module == module), None)
    if not own or own.sha256 != sha256:
        raise RuntimeError(f"{module} on this worker is not what was submitted")
    return {"source": str(own.source), "files": list(map(str, own.sources.files))}


def _place_files(job: Job, contents: dict[str, bytes], sha256: str) -> dict[str, Any]:
    """Where the files are on this machine, as they lay to each other; written if they are new."""
    roots, folder = job["roots"], Path(_scratch(), sha256)
    common = os.path.commonpath([*map(os.path.dirname, contents), *roots.values()])
    inside = {path: os.path.relpath(path, common) for path in (*contents, *roots.values())}
    if not folder.exists():
        with appearing(folder) as temporary:
            for path, content in contents.items():
                file = temporary / inside[path]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
    return {
        "source": str(folder / inside[job["source"]]),
        "files": [str(folder / inside[path]) for path in contents],
        "roots": {name: str(folder / inside[root]) for name, root in roots.items()},
    }
