"""Sweeps on a real Dask cluster over loopback: the same losses, and nothing lost with a worker."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import PLANTED, environment, losses_of, processes, start, twolayer, wait_for
from twolayer.engine import cluster as engine
from twolayer.errors import UserError

SWEEP = "N: 5\nH: 4\nD_in: 6\nD_out: 3\nepochs: 5\nthreads: 1\n"
LOOPBACK = ("--host", "127.0.0.1", "--no-dashboard")


@contextlib.contextmanager
def dask(folder, *words, env=None):
    """A Dask command in the background, ended at the end."""
    log = (folder / f"{words[0]}-{time.monotonic_ns()}.log").open("w")
    command = [sys.executable, "-m", "dask", *map(str, words)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder) | (env or {}),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


@contextlib.contextmanager
def cluster(folder, *options, workers=2, env=None):
    """A scheduler and its workers, two runs at once each; gives the scheduler's file."""
    file = folder / "scheduler.json"
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            dask(folder, "scheduler", *LOOPBACK, "--port", "0", "--scheduler-file", file)
        )
        assert wait_for(lambda: address_in(file), 60)
        words = ("--scheduler-file", file, "--nthreads", "2", *LOOPBACK, *options)
        for _ in range(workers):
            stack.enter_context(dask(folder, "worker", *words, env=env))
        if workers:
            assert wait_for(lambda: connected(file) == workers, 60)
        yield file


def address_in(file):
    """The address in a scheduler's file; None as long as Dask has not written all of it."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(file.read_text())["address"]
    return None


def client(file):
    """A client of a scheduler, given by its file."""
    from distributed import Client

    return Client(address_in(file), timeout=30, set_as_default=False)


def connected(file):
    """How many workers a scheduler has."""
    with client(file) as dask_client:
        return len(dask_client.scheduler_info(n_workers=-1)["workers"])


def sweep_file(folder, text, name="s"):
    (folder / f"{name}.yaml").write_text(f"{SWEEP}{text}\n")
    return f"{name}.yaml"


LIBS = """\
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "libs"))
import helper

assert helper.SCALE == 0.5
"""


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """A folder, and the file of the scheduler of two workers, which leave nothing behind."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "tmp").mkdir()
    with cluster(folder, env={"TMPDIR": str(folder / "tmp")}) as file:
        yield folder, file
        unpacked = list((folder / "tmp").glob("twolayer-*"))
    assert unpacked
    assert wait_for(lambda: not any(path.exists() for path in unpacked))
    assert wait_for(lambda: not processes(folder))


def test_the_losses_are_those_of_this_machine(two_workers):
    """Files travel with what they import, to folders that nobody else can have made."""
    folder, file = two_workers
    (folder / "nets").mkdir()
    (folder / "nets" / "mine.py").write_text(f"{LIBS}{(PLANTED / 'plain_floats.py').read_text()}")
    (folder / "libs").mkdir()
    (folder / "libs" / "helper.py").write_text("SCALE = 0.5\n")
    text = "impls: [numpy_manual, autograd, ./nets/mine.py]\ngrid: {seed: {range: 4}}"
    words = ("sweep", sweep_file(folder, text), "--scheduler-file", file)
    done = twolayer(*words, cwd=folder)
    again = twolayer(*words, cwd=folder)
    unpacked = list((folder / "tmp").glob("twolayer-*"))
    assert {path.stat().st_mode & 0o777 for path in unpacked} == {0o700}
    assert all((each / "libs" / "helper.py").is_file() for f in unpacked for each in f.iterdir())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("12 of 12 runs finished: 12 ok\n")
    assert "12 finished, 0 to do" in again.stderr
    results = folder.glob("results/s/runs/*/result.json")
    assert {json.loads(path.read_text())["neighbours"] for path in results} == {1}
    twolayer("sweep", sweep_file(folder, text, "local"), cwd=folder)
    assert losses_of(folder, "s") == losses_of(folder, "local")


def test_failures_come_back_as_data(two_workers):
    folder, file = two_workers
    files = ", ".join(str(PLANTED / f"{name}.py") for name in ("raises", "segfaults", "hangs"))
    text = f"timeout: 1\nimpls: [{files}, numpy_manual]"
    words = ("sweep", sweep_file(folder, text, "failing"), "--scheduler-file", file)
    done = twolayer(*words, cwd=folder)
    assert done.returncode == 3
    paths = folder.glob("results/failing/runs/*/result.json")
    records = [json.loads(path.read_text()) for path in paths]
    assert {record["impl"]: record["outcome"] for record in records} == {
        "raises": "failed",
        "segfaults": "crashed",
        "hangs": "timeout",
        "numpy_manual": "ok",
    }


def test_workers_that_go_lose_nothing(tmp_path):
    text = f"impls: [{PLANTED / 'slow.py'}]\ngrid: {{seed: {{range: 20}}}}"
    with cluster(tmp_path) as file:
        settings = ("--set", "epochs=60", "--scheduler-file", file)
        words = ("sweep", sweep_file(tmp_path, text), *settings)
        command = start(*words, cwd=tmp_path)
        assert wait_for(lambda: losses_of(tmp_path, "s"), 60)
        with client(file) as dask_client:
            (retired, _), (_, killed) = dask_client.run(os.getpid).items()
            assert dask_client.retire_workers([retired])
            os.kill(killed, signal.SIGKILL)
        out, err = command.communicate(timeout=120)
    assert (command.returncode, out.partition("\n")[0]) == (0, "20 of 20 runs finished: 20 ok"), err
    assert len(losses_of(tmp_path, "s")) == 20


@pytest.mark.slow
def test_a_scheduler_that_goes_ends_it_with_what_is_finished(tmp_path):
    text = f"impls: {PLANTED / 'slow.py'}\ngrid: {{seed: {{range: 500}}}}"
    with cluster(tmp_path, workers=1) as file:
        words = ("sweep", sweep_file(tmp_path, text), "--scheduler-file", file)
        command = start(*words, cwd=tmp_path)
        assert wait_for(lambda: losses_of(tmp_path, "s"), 60)
        with client(file) as dask_client:
            dask_client.shutdown()
        out, err = command.communicate(timeout=120)
    kept = f"{len(losses_of(tmp_path, 's'))} of 500 runs finished"
    assert (command.returncode, out.partition(":")[0]) == (3, kept)
    assert err.endswith(f"the scheduler has gone; {kept} and kept\n")
    assert "Traceback" not in err


def test_other_versions_on_a_worker_are_refused(tmp_path):
    with cluster(tmp_path, "--no-nanny", workers=1, env=shadowed(tmp_path)) as file:
        words = ("sweep", sweep_file(tmp_path, "impls: numpy_manual"), "--scheduler-file", file)
        done = twolayer(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "has torch 0.1 (here 2." in done.stderr
    assert "Traceback" not in done.stderr
    assert not losses_of(tmp_path, "s")


def test_workers_that_come_late_are_used_if_they_fit(tmp_path):
    """Each run waits until three workers are at one, so that all must be, at the same time."""
    text = f"impls: {PLANTED / 'waits.py'}\ngrid: {{seed: {{range: 5}}}}"
    with cluster(tmp_path, workers=0) as file, contextlib.ExitStack() as late:

        def worker(**env):
            words = ("worker", "--scheduler-file", file, "--nthreads", "1", "--no-nanny")
            late.enter_context(dask(tmp_path, *words, *LOOPBACK, env=env))

        words = ("sweep", sweep_file(tmp_path, text), "--set", "H=3", "--scheduler-file", file)
        vain = twolayer(*words, "--wait", "0.1", cwd=tmp_path)
        ended = start(*words, cwd=tmp_path)
        heard(ended, "waiting for workers")
        ended.send_signal(signal.SIGINT)
        _, why = ended.communicate(timeout=60)
        command = start(*words, cwd=tmp_path)
        said = heard(command, "waiting for workers at tcp://127.0.0.1:")
        worker()
        said += heard(command, "1 Dask worker, 1 run at once")
        worker(**shadowed(tmp_path))
        said += heard(command, "not used: worker tcp://")
        worker()
        worker()
        out, err = command.communicate(timeout=120)
    assert (vain.returncode, vain.stdout) == (3, "0 of 5 runs finished: none\n")
    none = "--wait: no worker came within 0.1 s; 0 of 5 runs finished and kept\n"
    assert vain.stderr.endswith(none)
    assert ended.returncode == 130
    assert why.startswith(
        "finishing these runs; Ctrl-C again stops them\ninterrupted; to go on: twol"
    )
    assert "--scheduler-file" in why
    assert (command.returncode, out.partition("\n")[0]) == (0, "5 of 5 runs finished: 5 ok"), err
    assert len(list(tmp_path.glob("at-*"))) == 3
    assert (said + err).count("has torch 0.1 (here 2.") == 1


def heard(command, text):
    """What a command says up to the line with a text."""
    said = ""
    while text not in said:
        line = command.stderr.readline()
        assert line, said
        said += line
    return said


def shadowed(folder):
    """The environment in which torch is another version."""
    shadow = folder / "shadow" / "torch-0.1.dist-info"
    shadow.mkdir(parents=True)
    (shadow / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.1\n")
    return {"PYTHONPATH": str(shadow.parent)}


def test_two_schedulers_are_refused(tmp_path):
    words = ("--scheduler", "tcp://localhost:1", "--scheduler-file", "scheduler.json")
    done = twolayer("sweep", "lr-edge", *words, cwd=tmp_path)
    message = "--scheduler and --scheduler-file: choose one of them\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_a_scheduler_that_is_no_address_is_refused(tmp_path):
    file = sweep_file(tmp_path, "impls: numpy_manual")
    done = twolayer("sweep", file, "--scheduler", "localhost", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    planned, connecting, message = done.stderr.splitlines()
    assert planned.startswith("1 run: 0 finished, 1 to do")
    assert connecting == "connecting to the scheduler localhost …"
    assert "--scheduler localhost: must be an address such as tcp://" in message


@pytest.mark.parametrize(
    ("address", "file", "sentence"),
    [
        ("tcp://127.0.0.1:9", None, "--scheduler tcp://127.0.0.1:9: no scheduler answers there"),
        (None, "none.json", "--scheduler-file none.json: there is no such file"),
        (None, "s.yaml", "--scheduler-file s.yaml: must be the file that `dask"),
        (None, "small.json", "--scheduler-file small.json: must be the file that `dask"),
        ("localhost", None, "--scheduler localhost: must be an address such as tcp://"),
        ("tcp://no.invalid:8786", None, "no scheduler answers there (Name or service not known)"),
    ],
)
def test_no_scheduler_is_a_sentence(tmp_path, monkeypatch, address, file, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "CONNECT_TIMEOUT_S", 0.5)
    sweep_file(tmp_path, "impls: numpy_manual")
    (tmp_path / "small.json").write_text("{}")
    connection = engine.connect(address, file and Path(file), session=None, wait_s=1.0)
    with pytest.raises(UserError) as caught, connection:
        pass
    assert sentence in str(caught.value)
