"""Runs on the workers of a Dask cluster (the extra `dask`).

A task supervises a child process, as on one machine, and returns its outcome as data: a run
that crashes takes no worker down, and a worker that is lost costs only the runs it was at,
which Dask gives to another. Results come back through the futures and are written by the
submitting side, so no folder is shared.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import catalogue, machine, packages
from .catalogue import Implementation
from .errors import UserError
from .plan import Run
from .record import Record
from .scheduler import Session, order, perform
from .supervisor import Hosts

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 3
"""How often a run may lose its worker before it is given up as crashed."""

GPU = "GPU"
"""The worker resource that a run with `device: cuda` asks for, where any worker has it."""

CONNECT_TIMEOUT_S = 10


@contextlib.contextmanager
def connect(address: str | None, file: Path | None) -> Iterator[Cluster]:
    """Connect to a Dask scheduler.

    Raises UserError if Dask is not installed, nobody answers, there are no workers, or their
    versions are not ours.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UserError("--scheduler needs Dask; pip install 'twolayer[dask]'") from None
    if file is not None and not file.is_file():
        raise UserError(f"--scheduler-file {file}: there is no such file")
    where = address or str(file)
    try:
        client = Client(
            address=address,
            scheduler_file=str(file) if file else None,
            timeout=CONNECT_TIMEOUT_S,
            set_as_default=False,
        )
    except (OSError, TimeoutError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"--scheduler {where}: no scheduler answers there ({reason})") from None
    with client:
        yield Cluster(client, _workers(client, where))


def _workers(client: Client, where: str) -> dict[str, dict[str, Any]]:
    """What the workers are, by address."""
    workers: dict[str, dict[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise UserError(f"--scheduler {where}: has no workers; start some with `dask worker`")
    ours = here()
    for address, theirs in client.run(here).items():
        wrong = [
            f"{name} {theirs.get(name, 'missing')} (here {version})"
            for name, version in ours.items()
            if theirs.get(name) != version
        ]
        if wrong:
            raise UserError(
                f"--scheduler {where}: worker {address} has {', '.join(wrong)}; "
                "losses compare only with the same versions, so install the same everywhere"
            )
    return workers


def here() -> dict[str, str]:
    """The versions that must be the same on all machines, for the same losses."""
    versions = packages.versions(["torch", "tensorflow"])
    major_minor = versions["python"].rpartition(".")[0]
    return versions | {"python": major_minor}


@dataclass
class Cluster:
    """A connection to a Dask cluster, and its workers when it was made."""

    client: Client
    workers: dict[str, dict[str, Any]]

    @property
    def slots(self) -> int:
        """How many runs the workers can be at, together."""
        return sum(worker["nthreads"] for worker in self.workers.values())

    def words(self) -> str:
        return f"{len(self.workers)} Dask workers, {self.slots} runs at once"

    def run_all(self, session: Session, runs: Iterable[Run]) -> Iterator[Record]:
        """Run on the workers; a few more are submitted than they can be at, to keep them busy."""
        has_gpus = any(worker.get("resources", {}).get(GPU) for worker in self.workers.values())

        def submit(run: Run) -> Future[dict[str, Any]]:
            gpu = has_gpus and run.config.device.partition(":")[0] in ("cuda", "auto")
            executor = self.client.get_executor(
                pure=False, retries=RETRIES, resources={GPU: 1} if gpu else None
            )
            return executor.submit(perform_there, _portable(run, order(run, session)))  # type: ignore[no-any-return]

        yield from session.run_all(runs, submit, 2 * self.slots)


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
        files = [os.path.realpath(path) for path in there.sources.files]
        return order | {"job": job | {"source": str(there.source), "files": files}}
    folder = _own_folder() / sha256
    for name, content in order["contents"].items():
        _write(folder / name, content)
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


def _write(path: Path, content: bytes) -> None:
    """Write a file that another thread may be writing, or a run reading, just now."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{threading.get_ident()}")
    partial.write_bytes(content)
    partial.replace(path)
