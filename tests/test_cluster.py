"""Sweeps on a real Dask cluster over loopback: the same losses, and nothing lost with a worker."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from command import PLANTED, environment, losses_of, processes, start, twolayer, wait_for

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
def cluster(folder, workers=2, env=None):
    """A scheduler and its workers, two runs at once each; gives the scheduler's file."""
    file = folder / "scheduler.json"
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            dask(folder, "scheduler", *LOOPBACK, "--port", "0", "--scheduler-file", file)
        )
        assert wait_for(file.is_file, 60)
        words = ("--scheduler-file", file, "--nthreads", "2", *LOOPBACK)
        for _ in range(workers):
            stack.enter_context(dask(folder, "worker", *words, env=env))
        if workers:
            assert wait_for(lambda: connected(file) == workers, 60)
        yield file


def connected(file):
    """How many workers a scheduler has."""
    from distributed import Client

    address = json.loads(file.read_text())["address"]
    with Client(address, timeout=30, set_as_default=False) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


def sweep_file(folder, text, name="s"):
    (folder / f"{name}.yaml").write_text(f"{SWEEP}{text}\n")
    return f"{name}.yaml"


def test_the_losses_are_those_of_this_machine(tmp_path):
    (tmp_path / "mine.py").write_text((PLANTED / "plain_floats.py").read_text())
    text = "impls: [numpy_manual, autograd, ./mine.py]\ngrid: {seed: {range: 4}}"
    with cluster(tmp_path) as file:
        words = ("sweep", sweep_file(tmp_path, text), "--scheduler-file", file)
        done = twolayer(*words, cwd=tmp_path)
        again = twolayer(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "12 of 12 runs finished: 12 ok\n"), done.stderr
    assert "12 finished, 0 to do" in again.stderr
    twolayer("sweep", sweep_file(tmp_path, text, "local"), cwd=tmp_path)
    assert losses_of(tmp_path, "s") == losses_of(tmp_path, "local")


def test_failures_come_back_as_data(tmp_path):
    files = ", ".join(str(PLANTED / f"{name}.py") for name in ("raises", "segfaults", "hangs"))
    text = f"timeout: 1\nimpls: [{files}, numpy_manual]"
    with cluster(tmp_path, workers=1) as file:
        words = ("sweep", sweep_file(tmp_path, text), "--scheduler-file", file)
        done = twolayer(*words, cwd=tmp_path)
    assert done.returncode == 3
    records = [json.loads(p.read_text()) for p in tmp_path.glob("results/s/runs/*/result.json")]
    assert {record["impl"]: record["outcome"] for record in records} == {
        "raises": "failed",
        "segfaults": "crashed",
        "hangs": "timeout",
        "numpy_manual": "ok",
    }
    assert wait_for(lambda: not processes(tmp_path))


def test_a_killed_worker_loses_nothing(tmp_path):
    text = f"impls: [{PLANTED / 'slow.py'}]\ngrid: {{seed: {{range: 10}}}}"
    with cluster(tmp_path) as file:
        words = ("sweep", sweep_file(tmp_path, text), "--scheduler-file", file)
        command = start(*words, cwd=tmp_path)
        assert wait_for(lambda: losses_of(tmp_path, "s"), 60)
        os.kill(worker_process(file), signal.SIGKILL)
        out, err = command.communicate(timeout=120)
    assert (command.returncode, out) == (0, "10 of 10 runs finished: 10 ok\n"), err
    assert len(losses_of(tmp_path, "s")) == 10


def worker_process(file):
    """The process of one of the workers."""
    from distributed import Client

    address = json.loads(file.read_text())["address"]
    with Client(address, timeout=30, set_as_default=False) as client:
        return next(iter(client.run(os.getpid).values()))


def test_other_versions_on_a_worker_are_refused(tmp_path):
    shadow = tmp_path / "shadow" / "torch-0.1.dist-info"
    shadow.mkdir(parents=True)
    (shadow / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.1\n")
    env = {"PYTHONPATH": str(shadow.parent)}
    with cluster(tmp_path, workers=1, env=env) as file:
        words = ("sweep", sweep_file(tmp_path, "impls: numpy_manual"), "--scheduler-file", file)
        done = twolayer(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "has torch 0.1 (here 2." in done.stderr
    assert "Traceback" not in done.stderr
    assert not losses_of(tmp_path, "s")


def test_no_workers_are_refused(tmp_path):
    with cluster(tmp_path, workers=0) as file:
        words = ("sweep", sweep_file(tmp_path, "impls: numpy_manual"), "--scheduler-file", file)
        done = twolayer(*words, cwd=tmp_path)
    assert (done.returncode, "has no workers" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scheduler", "tcp://127.0.0.1:9"), "no scheduler answers there"),
        (("--scheduler-file", "none.json"), "--scheduler-file none.json: there is no such file"),
    ],
)
def test_no_scheduler_is_a_sentence(tmp_path, words, said):
    file = sweep_file(tmp_path, "impls: numpy_manual")
    done = twolayer("sweep", file, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
