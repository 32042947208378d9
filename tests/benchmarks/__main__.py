"""`make bench`: what the runner costs. ARGS="startup overhead" picks some of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from twolayer.catalogue import LESSON
from twolayer.machine import usable_cores
from twolayer.supervisor import thread_environment

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
        words = ["run", "-q", "--impl", name, "--epochs", str(EPOCHS), "--format", "json"]
        command = twolayer(*words, "--results", results, "--device", "cpu")

        def ours() -> float:
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            return float(json.loads(done.stdout)[0]["train_s"])

        def theirs() -> float:
            bare = [sys.executable, "-P", BARE, str(EPOCHS), name]
            done = subprocess.run(bare, check=True, capture_output=True, text=True, env=ENVIRONMENT)
            return float(done.stdout.split()[1])

        return ratio(name, ours, theirs, limit=1.02, pairs=11)


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


BENCHMARKS = {"startup": startup, "campaign": campaign, "overhead": overhead}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[chosen]()
