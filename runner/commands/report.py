"""`twolayer report`: an experiment as one HTML file."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..options import Results
from ..output import emit
from .common import charted_store, experiment_argument, say

PATIENCE_S = 3.0
"""After so long, it says what takes so long."""


def report(
    experiment: Annotated[str | None, experiment_argument("the latest")] = None,
    results: Results = Path("results"),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where to write it.", show_default="in its folder"
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing but where it is.")
    ] = False,
) -> None:
    """Write an experiment as one HTML file with charts and tables, which fetches nothing."""
    from ..report import write

    store = charted_store(experiment, results)
    with patience("training the reference beside the runs, which takes a while", quiet):
        path = write(store, out)
    emit(f"report: {path}")


@contextlib.contextmanager
def patience(text: str, quiet: bool) -> Iterator[None]:
    """Say what is being done, should it take long."""
    timer = threading.Timer(PATIENCE_S, say, (text, quiet))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
