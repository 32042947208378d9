"""`twolayer report`: an experiment as one HTML file."""

from pathlib import Path

from ..output import emit, printable
from .inputs import last_store
from .options import RESULTS, experiment_argument, option, switch
from .printing import patience


def report(
    experiment: str | None = experiment_argument("the latest"),
    results: Path = RESULTS,
    out: Path | None = option("FILE", "Where to write it.", "in its folder"),
    quiet: bool = switch("--quiet", "-q", help="Say nothing but where it is."),
) -> None:
    from ..report.page import write

    store = last_store(experiment, results, measured=True)
    with patience("judging the runs and drawing them, which takes a while", quiet):
        path = write(store, out)
    emit(printable(f"report: {path}"))
