"""`twolayer` as people run it: a process of its own, in a folder of its own."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from importlib import import_module
from pathlib import Path

import pexpect

COMMAND = (sys.executable, "-P", "-m", "twolayer")
PLANTED = Path(__file__).parent / "planted"
MARK = "TWOLAYER_TEST_FOLDER"
STEERING = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE")


def planted(*names):
    """The words that run planted implementations, or built-in ones where there is no such file."""
    files = {name: PLANTED / f"{name}.py" for name in names}
    return "--impl", ",".join(str(f) if f.is_file() else name for name, f in files.items())


def small(folder, **keys):
    """Write small.yaml, a config that takes milliseconds; returns the words that choose it."""
    sizes = {"N": 8, "H": 4, "D_in": 5, "D_out": 2}
    settings = sizes | {"lr": 1e-3, "epochs": 20, "log_every": 10} | keys
    (folder / "small.yaml").write_text(json.dumps(settings))  # JSON is YAML
    return "--config", "small.yaml"


def environment(cwd, **changes):
    """Our own environment, without what steers output, and marked with the folder."""
    kept = {name: value for name, value in os.environ.items() if name not in STEERING}
    return kept | {MARK: str(cwd)} | changes


HIDING = """\
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec


def without(name, path=None, target=None):
    if name.partition(".")[0] in HIDDEN:
        return None
    return find_spec(name, path, target)


PathFinder.find_spec = without
"""


def without(folder, *packages):
    """The variables of an environment in which some packages are not installed."""
    hiding = folder / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(f"HIDDEN = {packages}\n{HIDING}")
    return {"PYTHONPATH": str(hiding)}


def twolayer(*words, cwd, timeout=120, **env):
    """Run `twolayer` to its end; returns the CompletedProcess."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        env=environment(cwd, **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def look(*words, cwd, **env):
    """Run a command that starts no process, as `twolayer` does, in a fork of this process.

    That is as alone as a process of its own, and saves its start: Python and the imports.
    """
    for name in itertools.chain(*import_module("twolayer.cli.app").COMMANDS.values()):
        import_module(f"twolayer.cli.{name}")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with warnings.catch_warnings(action="ignore"):  # that this process has threads
            pid = os.fork()
        if not pid:
            _be_twolayer(list(map(str, words)), environment(cwd, **env), cwd, out, err)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        texts = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
    return subprocess.CompletedProcess(["twolayer", *words], code, *texts)


def _be_twolayer(words, env, cwd, out, err):
    """Become `twolayer` with these words, and end with it."""
    code = 70
    try:
        for fd, source in enumerate((os.open(os.devnull, os.O_RDONLY), out.fileno(), err.fileno())):
            os.dup2(source, fd)
        sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, (0, 1, 2), ("r", "w", "w"))
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        sys.argv = ["twolayer", *words]
        import_module("twolayer.__main__").main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def start(*words, cwd, **env):
    """Start `twolayer`; returns the Popen, whose standard output and error are pipes."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        env=environment(cwd, **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def on_a_terminal(*words, cwd, rows=40, columns=120, **env):
    """Start `twolayer` on a terminal of that size; returns the pexpect.spawn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forkpty, while tests have threads
        return pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *map(str, words)],
            cwd=str(cwd),
            env=environment(cwd, **{"TERM": "xterm-256color"} | env),
            dimensions=(rows, columns),
            encoding="utf-8",
            timeout=60,
        )


def wait_for(condition, seconds=60.0):
    """Poll until a condition holds; returns what it last gave, true or not."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met


def processes(folder):
    """Those alive of the processes that a command in this folder started, at any remove."""
    mark = f"{MARK}={folder}".encode()
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in numbers if mark in about(pid, "environ")]


def about(pid, what):
    """The words of /proc/PID/environ or cmdline; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes().split(b"\0")
    except OSError:
        return []


def children(pid):
    """The processes that a process has started itself."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def left_behind(folder, seconds=5.0):
    """What a command in this folder has left running after a while; ends it."""
    wait_for(lambda: not processes(folder), seconds)
    left = {pid: b" ".join(about(pid, "cmdline")).decode() for pid in processes(folder)}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return list(left.values())


def stored(folder, experiment="small"):
    """The records on disk by implementation, as in result.json, with their `folder` and `losses`.

    Fails where a run's folder is not whole, or where there is anything else.
    """
    records = {}
    for run in (folder / "results" / experiment / "runs").iterdir():
        assert {path.name for path in run.iterdir()} == FILES, run
        record = json.loads((run / "result.json").read_text())
        records[record["impl"]] = record | {"folder": run, "losses": losses(run)}
    return records


FILES = {"config.yaml", "result.json", "losses.csv", "log.txt"}


def losses(run):
    """The losses in a run's losses.csv."""
    header, *lines = (run / "losses.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines]
    assert header == "epoch,loss"
    assert [int(epoch) for epoch, _ in rows] == list(range(len(rows)))
    return [float(loss) for _, loss in rows]


def losses_of(folder, experiment):
    """The losses of every finished run as written, by the name of its folder."""
    runs = folder / "results" / experiment / "runs"
    return {path.name: (path / "losses.csv").read_text() for path in runs.glob("[!.]*")}
