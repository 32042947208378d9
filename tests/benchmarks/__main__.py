"""`make bench`: what the runner costs. ARGS="startup overhead" picks some of it."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from twolayer.config.catalogue import LESSON
from twolayer.engine.hosts import thread_environment
from twolayer.machine import usable_cores
from twolayer.results.store import Store
from twolayer.tables import Table

from .measure import Ratio, ratio, show, twolayer, wall_s

HELLO = """
import typer
app = typer.Typer()
@app.command()
def main(): print("hello")
app()
"""
BARE = str(Path(__file__).with_name("bare.py"))
EPOCHS = 2000
ENVIRONMENT = os.environ | thread_environment(usable_cores())
ONE_THREAD = os.environ | thread_environment(1)
# Memory once taken is kept, by both alike: when glibc gives it back and asks for it anew depends
# on what lies where on the heap, and made either side up to 20% slower by chance.
KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "33554432"}


def startup() -> None:
    """Time to the first answer, against the smallest Typer app."""
    hello = [sys.executable, "-P", "-c", HELLO]

    def pair(name: str, ours: list[str], theirs: list[str], limit: float) -> Ratio:
        return ratio(name, lambda: wall_s(ours), lambda: wall_s(theirs), limit=limit, pairs=30)

    show(
        "start-up",
        [
            pair("--help over hello --help", twolayer("--help"), [*hello, "--help"], 1.3),
            pair("list over hello", twolayer("list"), hello, 1.5),
        ],
    )


def overhead() -> None:
    """Training time under the runner over the same loop written bare, same threads."""
    show("training, runner over bare", [_overhead(name) for name in LESSON])


def _overhead(name: str) -> Ratio:
    with tempfile.TemporaryDirectory() as results:
        # One thread: on a shared machine two that wait for each other measure the neighbours.
        words = ["run", "-q", "--impl", name, "--epochs", str(EPOCHS), "--format", "json"]
        words += ["--threads", "1"]
        command = twolayer(*words, "--results", results, "--device", "cpu")

        def ours() -> float:
            environment = os.environ | KEPT_MEMORY
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            )
            return float(json.loads(done.stdout)[0]["train_s"])

        def theirs() -> float:
            bare = [sys.executable, "-P", BARE, str(EPOCHS), name]
            environment = ONE_THREAD | KEPT_MEMORY
            done = subprocess.run(bare, check=True, capture_output=True, text=True, env=environment)
            return float(done.stdout.split()[1])

        return ratio(name, ours, theirs, limit=1.02, pairs=7, best=True)


def campaign() -> None:
    """All ten, isolated, over the ten bare cells in one process."""
    with tempfile.TemporaryDirectory() as results:
        ours = twolayer("run", "-q", "--results", results, "--device", "cpu")
        theirs = [sys.executable, "-P", BARE, "0"]
        found = ratio(
            "twolayer run over ten bare cells",
            lambda: wall_s(ours),
            lambda: wall_s(theirs, ENVIRONMENT),
            limit=1.0,
            pairs=7,
        )
    show("all ten", [found])


STORED = 20_000


def stored() -> None:
    """What looks at 20,000 stored runs, over `twolayer results` of them; lines of `show`."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        _store(results, STORED)

        def over(limit: float, *words: str, out: str = "") -> Ratio:
            def ours() -> float:
                (results / (out or "none")).unlink(missing_ok=True)
                made = ["--out", str(results / out)] if out else []
                return wall_s(twolayer(*words, *made, "--results", folder))

            listed = twolayer("results", "many", "--results", folder)
            return ratio(" ".join(words), ours, lambda: wall_s(listed), limit=limit, pairs=3)

        condition = ["--where", "lr < 1e-5 and seed < 3", "--sort=-final_loss"]
        found = [
            over(1.5, "results", "many", *condition),
            over(1.5, "results"),
            over(1.5, "show", "many"),
            over(1.5, "show", "many", "--rows", "lr"),
            over(5, "export", "many", "--to", "csv", out="many.csv"),
            over(5, "export", "many", "--to", "jsonl", out="many.jsonl"),
            over(5, "export", "many", "--to", "parquet", out="many.parquet"),
            over(9, "report", "many", out="many.html"),
        ]
        show(f"{STORED:,} runs, over `results many`", found)
        command = twolayer("show", "many", "--results", folder)
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"show many: {shown.count(chr(10))} lines\n", flush=True)


def _store(results: Path, count: int) -> None:
    """Write runs as Store does, but for syncing each to the disk: a few real ones, altered."""
    words = ["--impl", "numpy_manual,torch_manual,autograd,sgd", "--epochs", "20", "--quiet"]
    wall_s(twolayer("run", *words, "--name", "few", "--results", str(results)))
    runs, folders = Store(results, "many").runs, Store(results, "few").folders()
    runs.mkdir(parents=True)
    for number in range(count):
        real, point = folders[number % len(folders)], number // len(folders)
        record = json.loads((real / "result.json").read_text())
        record["config"] |= {"seed": point % 10, "lr": (1 + point // 10 % 50) * 1e-7}
        record["config"]["H"] = 100 + point // 500
        record["final_loss"] *= 1 + point / count
        record["outcome"] = "interrupted" if number % 100 == 0 else "ok"
        record["key"] = f"{record['impl']}-{number:010x}"
        folder = runs / record["key"]
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(record, indent=1) + "\n")
        for name in ("config.yaml", "losses.csv", "log.txt"):
            shutil.copyfile(real / name, folder / name)
    shutil.rmtree(results / "few")


SWEEP = """
N: 5
H: 4
D_in: 6
D_out: 3
epochs: 5
threads: 1
"""
RUNS, FEW, JOBS = 200, 4, 2
HYDRA = find_spec("hydra") is not None and find_spec("hydra_plugins") is not None


def sweeps() -> None:
    """What a short run costs beyond set-up and training, after imports; and Hydra's the same."""
    header = ["sweep, a run", "in all", "beyond training", "limit", "Hydra + joblib, in all"]
    rows = [_sweep(name) for name in ("numpy_manual", "autograd", "adam", "tf_graph")]
    print(Table(header, rows, frozenset({0})).text(100), end="\n\n", flush=True)


def _sweep(name: str) -> list[str]:
    """Time many runs and few, which differ in nothing but the runs, three times each."""
    own_s = _swept_own_s(name) / JOBS
    ours = statistics.median(_each_s(_swept_s, name) for _ in range(3))
    theirs = [_each_s(_hydra_s, name) for _ in range(3)] if HYDRA else []
    return [
        name,
        f"{1e3 * ours:.1f} ms",
        f"{1e3 * (ours - own_s):.1f} ms",
        "30 ms",
        f"{1e3 * statistics.median(theirs):.1f} ms" if theirs else "not installed",
    ]


def _each_s(time_s: Callable[[str, int], float], name: str) -> float:
    """Seconds that one more run takes."""
    return (time_s(name, RUNS) - time_s(name, FEW)) / (RUNS - FEW)


def _hydra_s(name: str, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        words = ["--multirun", f"seed=range({count})", f"name={name}", f"hydra.sweep.dir={folder}"]
        words += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={JOBS}"]
        script = str(Path(__file__).with_name("peer_hydra.py"))
        return wall_s([sys.executable, "-P", script, *words], ONE_THREAD)


def _swept_s(name: str, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(f"{SWEEP}impls: {name}\ngrid: {{seed: {{range: {count}}}}}\n")
        words = ("sweep", str(file), "--jobs", str(JOBS), "--results", folder, "--quiet")
        return wall_s(twolayer(*words))


def _swept_own_s(name: str) -> float:
    """Mean seconds of set-up and training of such runs, by their records."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(f"{SWEEP}impls: {name}\ngrid: {{seed: {{range: 20}}}}\n")
        words = ("sweep", str(file), "--jobs", str(JOBS), "--results", folder, "--quiet")
        wall_s(twolayer(*words))
        paths = Path(folder).glob("bench/runs/*/result.json")
        records = [json.loads(path.read_text()) for path in paths]
        return statistics.mean(r["setup_s"] + r["train_s"] for r in records)


BENCHMARKS = {
    "startup": startup,
    "campaign": campaign,
    "overhead": overhead,
    "sweeps": sweeps,
    "stored": stored,
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[chosen]()
