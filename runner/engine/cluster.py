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
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import machine, packages
from ..config import catalogue
from ..config.catalogue import Implementation
from ..config.plan import Run
from ..errors import UserError
from ..results.record import Record
from .hosts import Hosts
from .job import Job
from .scheduler import Session
from .supervisor import perform

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 3
"""How often a run may lose all its workers before it is given up; Dask has the same number."""

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
    for name in ("distributed", "distributed.client", "concurrent.futures", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # we say what went wrong
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

    def __init__(self, client: Client, where: str, session: Session, wait_s: float) -> None:
        self.client, self.where, self.session, self.wait_s = client, where, session, wait_s
        self.usable: dict[str, dict[str, Any]] = {}  # what Dask tells of each worker, by address
        self.unfit: dict[str, str] = {}  # why others are not used
        # The key of each run under way, and the workers that it may be on.
        self.sent: dict[Future[dict[str, Any]], tuple[str, set[str]]] = {}
        self.lost: Counter[str] = Counter()
        self.ahead = 1
        self.all_on_gpus = True
        self.looked = self.told = float("-inf")
        self.size = 0
        self.said: set[str] = set()
        self.without_since: float | None = None

    def wait_for_workers(self) -> None:
        """Wait for the first worker that can be used."""
        while not self.usable and not self.session.stop.is_set():
            self.look()
            if self.unfit and not self.usable and not self.said:
                raise UserError(f"--scheduler {self.where}: {next(iter(self.unfit.values()))}")
            if reason := self.in_vain():
                self.session.give_up(reason)
            time.sleep(0.05)
        self.tell()

    def look(self) -> None:
        """Notice the workers that have come or gone, and ask the new ones for their versions."""
        if time.monotonic() - self.looked < LOOK_S:
            return
        self.looked = time.monotonic()
        workers = self.client.scheduler_info(n_workers=-1).get("workers")
        if workers is None:  # while the client connects again
            return
        self.usable = {a: info for a, info in self.usable.items() if a in workers}
        self.unfit = {a: reason for a, reason in self.unfit.items() if a in workers}
        new = [a for a in workers if a not in self.usable and a not in self.unfit]
        answers: dict[str, Any] = {}
        with contextlib.suppress(OSError):  # the connection was lost
            answers = self.client.run(here, workers=new, on_error="return") if new else {}
        for address, answer in answers.items():
            if isinstance(answer, OSError):  # it has gone, or is asked again
                continue
            if reason := _unfit(address, answer):
                self.unfit[address] = reason
            else:
                self.usable[address] = workers[address]
        for future, (key, addresses) in self.sent.items():
            if not addresses & self.usable.keys():
                self.repeat(future, key)

    def repeat(self, future: Future[dict[str, Any]], key: str) -> None:
        """Have a run submitted again, unless it has lost all its workers too often."""
        self.lost[key] += 1
        with contextlib.suppress(InvalidStateError):  # it has just ended
            if self.lost[key] > RETRIES:
                future.set_exception(RuntimeError(f"lost its worker {self.lost[key]} times"))
            future.cancel()

    def tell(self) -> None:
        """Say which workers are not used and why, and how many are, when that has changed."""
        for reason in self.unfit.values():
            self.say(f"not used: {reason}")
        size = len(self.usable)
        if size and size != self.size and time.monotonic() - self.told > TELL_S:
            self.size, self.told = size, time.monotonic()
            slots = sum(info["nthreads"] for info in self.usable.values())
            workers = f"{size} Dask worker{'s' * (size > 1)}"
            self.session.watcher.note(f"{workers}, {slots} run{'s' * (slots > 1)} at once")

    def say(self, text: str) -> None:
        """Say something once."""
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
        self.without_since = self.without_since or time.monotonic()
        self.tell()
        self.say(f"waiting for workers at {self.where}; Ctrl-C ends the wait")
        in_vain = time.monotonic() - self.without_since > self.wait_s
        return f"--wait: no worker came within {self.wait_s:g} s" if in_vain else ""

    def run_all(self, runs: Iterable[Run]) -> Iterator[Record]:
        """Run on the workers that there are at the time."""
        yield from self.session.run_all(runs, self.submit, self.window)

    def window(self) -> int:
        """How many runs to have submitted now. Follows the workers, and a request to stop."""
        self.sent = {future: at for future, at in self.sent.items() if not future.done()}
        self.look()
        self.tell()
        if reason := self.in_vain():
            self.session.give_up(reason)
        if self.session.cancel.is_set():
            for future in self.sent:
                future.cancel()
        workers = self.usable.values()
        gpus = sum(_gpus(info) for info in workers) if self.all_on_gpus else 0
        return max(1, self.ahead * (gpus or sum(info["nthreads"] for info in workers)))

    def submit(self, run: Run) -> Future[dict[str, Any]]:
        """Send a run to the workers. Without any, its future is cancelled, to be tried again."""
        may_use_gpu = run.config.device.partition(":")[0] in ("cuda", "auto")
        with_gpu = {a for a, info in self.usable.items() if may_use_gpu and _gpus(info)}
        self.all_on_gpus &= bool(with_gpu)
        addresses = with_gpu or set(self.usable)
        if not addresses:
            time.sleep(0.05)
            nowhere: Future[dict[str, Any]] = Future()
            nowhere.cancel()
            return nowhere
        executor = self.client.get_executor(
            pure=False, workers=sorted(addresses), resources={GPU: 1} if with_gpu else None
        )
        begun = time.monotonic()
        job, contents = _portable(self.session.job(run), run.implementation)
        future: Future[dict[str, Any]] = executor.submit(
            perform_there, job, contents, run.implementation.sha256
        )
        self.sent[future] = run.key, addresses

        def learn(_: object) -> None:
            self.ahead = 2 if time.monotonic() - begun < SHORT_S * self.ahead else 1

        future.add_done_callback(learn)
        return future


def _gpus(info: dict[str, Any]) -> int:
    return int(info["resources"].get(GPU, 0))


def _portable(job: Job, implementation: Implementation) -> tuple[Job, dict[str, bytes]]:
    """A job with its paths from one folder, and the contents of its files there.

    What is installed is only named: it must be the same on the worker.
    """
    if implementation.module:
        return job, {}
    told = job.told
    folders = map(os.path.dirname, told["files"])
    common = os.path.commonpath([*folders, *told["roots"].values()])
    contents = {os.path.relpath(path, common): Path(path).read_bytes() for path in told["files"]}
    there = {
        "source": os.path.relpath(told["source"], common),
        "files": list(contents),
        "roots": {name: os.path.relpath(root, common) for name, root in told["roots"].items()},
    }
    return replace(job, told=told | there), contents


# --- on the workers

_state: dict[str, Any] = {}
_unpacked_before: set[str] = set()
_lock = threading.Lock()


def perform_there(job: Job, contents: dict[str, bytes], sha256: str) -> dict[str, Any]:
    """Do a job in a worker's process, in a fork of one of its hosts."""
    from distributed import get_worker

    with _lock:
        if "hosts" not in _state:
            _state["hosts"] = Hosts({})
            atexit.register(_state["hosts"].close)
    told = _unpacked(job.told, contents, sha256) if contents else _found_here(job.told, sha256)
    neighbours = int(get_worker().state.nthreads) - 1
    result = perform(replace(job, told=told, neighbours=neighbours), _state["hosts"])
    versions = packages.versions(told["imports"])
    return result | {"machine": machine.describe(), "versions": versions}


def _found_here(told: dict[str, Any], sha256: str) -> dict[str, Any]:
    """A job's words with the installed module as it is on this machine, if that is the same."""
    spec = catalogue.locate(told["module"])
    found = spec and spec.origin and Implementation("", Path(spec.origin), told["module"], "")
    if not found or found.sha256 != sha256:
        raise RuntimeError(f"{told['module']} on this worker is not what was submitted")
    files = [str(path) for path in found.sources.files]
    return told | {"source": str(found.source), "files": files}


def _unpacked(told: dict[str, Any], contents: dict[str, bytes], sha256: str) -> dict[str, Any]:
    """A job's words with its files as they are now on this machine.

    They lie in a folder of this process that nobody else can have made, removed at its exit.
    """
    with _lock:
        if "folder" not in _state:
            _state["folder"] = root = os.path.realpath(tempfile.mkdtemp(prefix="twolayer-"))
            # Not atexit: a worker under a nanny ends as multiprocessing's processes do.
            Finalize(None, shutil.rmtree, (root,), {"ignore_errors": True}, exitpriority=0)
        folder = Path(_state["folder"], sha256)
        if sha256 not in _unpacked_before:
            for name, content in contents.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            _unpacked_before.add(sha256)
    return told | {
        "source": str(folder / told["source"]),
        "files": [str(folder / name) for name in told["files"]],
        "roots": {name: str(folder / root) for name, root in told["roots"].items()},
    }
