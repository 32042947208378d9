"""`twolayer plot`: one chart as a figure for a paper or slides."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

from typer import Option

from ..output import emit
from .inputs import condition, last_store
from .options import ALL, RESULTS, WHERE, experiment_argument, option, switch
from .printing import say
from .report import judging

Charts = Literal["losses", "parity", "steps", "scale", "sweep"]
Sizes = Literal["column", "page", "slide"]


def plot(
    out: Path = Option(
        ..., "--out", "-o", metavar="FILE", help="What to write: .png, .svg or .pdf."
    ),
    experiment: str | None = experiment_argument("the latest"),
    chart: Charts = Option("losses", help="What to draw."),
    size: Sizes = Option(
        "column", help="For a column (3.5 in) or the width (7 in) of a paper, or a slide."
    ),
    width: str | None = option("LENGTH", "Another width: 84mm, 3.3in, 246pt."),
    height: str | None = option("LENGTH", "Another height: 60mm, 2.4in."),
    legend: bool = switch("--legend", help="Name curves below the plot, not at their ends."),
    impl: list[str] | None = Option(
        None, "--impl", "-i", metavar="NAME", help="Only these. Repeat it or use commas."
    ),
    where: str | None = WHERE,
    all_runs: bool = ALL,
    results: Path = RESULTS,
) -> None:
    from ..bench import measurement
    from ..report import data
    from ..report import plot as plots

    plots.check_figure(out, f"--out {out}")
    given = {"width": width, "height": height}.items()
    lengths = {name: plots.length(text, f"--{name}") for name, text in given if text is not None}
    figure = replace(plots.SIZES[size], legend=legend, **lengths)
    named = [name.strip() for text in impl or () for name in text.split(",")]
    choice = {"where": condition(where), "impls": named, "everything": all_runs}
    store = last_store(experiment, results, measured=True)
    with judging(quiet=chart != "parity") as step:
        drawn = data.chart(chart, store, measurement.latest(store.folder), step=step, **choice)
    inches = plots.save_figure(drawn, out, figure)
    across, down = (f"{each:.2f} in ({each * 25.4:.0f} mm)" for each in inches)
    say(f"{out}: {drawn.title} of {store.folder.name}, {across} by {down}", quiet=False)
    if drawn.note:
        emit(drawn.note, sys.stderr)
