"""`twolayer plot`: one chart as a figure for a paper or slides."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..output import emit
from .inputs import charted_store, experiment_argument
from .options import Results
from .printing import patience, say

Charts = Literal["losses", "parity", "steps", "scale", "sweep"]
Sizes = Literal["column", "page", "slide"]


def plot(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="What to write: .png, .svg or .pdf."),
    ],
    experiment: Annotated[str | None, experiment_argument("the latest")] = None,
    chart: Annotated[Charts, typer.Option("--chart", help="What to draw.")] = "losses",
    size: Annotated[
        Sizes,
        typer.Option(
            "--size", help="For a column (3.5 in) or the width (7 in) of a paper, or a slide."
        ),
    ] = "column",
    width: Annotated[
        str | None,
        typer.Option("--width", metavar="LENGTH", help="Another width: 84mm, 3.3in, 246pt."),
    ] = None,
    height: Annotated[
        str | None, typer.Option("--height", metavar="LENGTH", help="Another height: 60mm, 2.4in.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    from ..bench import measurement
    from ..report import data
    from ..report import plot as plots

    plots.check_figure(out, f"--out {out}")
    figure = plots.SIZES[size]
    if width is not None:
        figure = replace(figure, width=plots.length(width, "--width"))
    if height is not None:
        figure = replace(figure, height=plots.length(height, "--height"))
    store = charted_store(experiment, results)
    with patience("training the reference beside the runs, which takes a while", False):
        drawn = data.chart(chart, store, measurement.latest(store.folder))
    inches = plots.save_figure(drawn, out, figure)
    across, down = (f"{each:.2f} in ({each * 25.4:.0f} mm)" for each in inches)
    say(f"{out}: {drawn.title} of {store.folder.name}, {across} by {down}", quiet=False)
    if drawn.note:
        emit(drawn.note, sys.stderr)
