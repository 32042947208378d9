"""`twolayer report`: an experiment as one HTML file."""

import contextlib
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..output import emit, printable
from . import progress
from .inputs import last_store
from .options import ALL, RESULTS, experiment_argument, option, switch
from .printing import paragraphs, say


def report(
    experiment: str | None = experiment_argument("the latest"),
    results: Path = RESULTS,
    out: Path | None = option("FILE", "Where to write it.", "in its folder"),
    all_runs: bool = ALL,
    open_it: bool = switch("--open", help="Open it in a browser."),
    quiet: bool = switch("--quiet", "-q", help="Say nothing but where it is."),
) -> None:
    from ..bench import measurement
    from ..report import facts, page, plot
    from ..report.material import gather

    plot.check_installed("report", "report", "vl_convert", "jinja2")
    if out:
        plot.check_file(out, f"--out {out}")
    store = last_store(experiment, results, measured=True)
    with judging(quiet=quiet) as step:
        bench = measurement.latest(store.folder)
        material = gather(store, bench, everything=all_runs, step=step)
        path = page.write_report(material, out or store.folder / "report.html")
    for note in material.left_out:
        say(note, quiet)
    if open_it:
        opened = webbrowser.open(path.resolve().as_uri())
        say("opened in a browser" if opened else "there is no browser to open it in", quiet)
    emit(printable(f"report: {path}"))
    if not quiet:
        emit(paragraphs([" ".join(facts.headline(material)[1][:3])]))


@contextlib.contextmanager
def judging(*, quiet: bool) -> Iterator[Any]:
    """Show how far the training of references is, which runs are judged by."""
    with progress.watcher(transient=True, quiet=quiet) as view, progress.stoppable(quiet=quiet):
        line = "judging the runs against the reference"
        view.step(0, None, line, line)
        yield lambda done, total: view.step(done, total, line, line)
