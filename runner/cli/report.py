"""`twolayer report`: an experiment as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from ..output import emit, printable
from .inputs import charted_store, experiment_argument
from .options import Results
from .printing import patience


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
    from ..report.page import write

    store = charted_store(experiment, results)
    with patience("judging the runs and drawing them, which takes a while", quiet):
        path = write(store, out)
    emit(printable(f"report: {path}"))
