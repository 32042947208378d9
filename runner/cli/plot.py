"""`twolayer plot`: one chart as a figure for a paper or slides."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..output import emit
from .inputs import charted_store, experiment_argument
from .options import Results
from .printing import patience, say

if TYPE_CHECKING:
    from ..report.drawing import Size


class Charts(StrEnum):
    """The charts that there may be; see charts.CHARTS."""

    losses = "losses"
    parity = "parity"
    steps = "steps"
    scale = "scale"
    sweep = "sweep"


class Sizes(StrEnum):
    """The sizes that figures usually have; see drawing.SIZES."""

    column = "column"
    page = "page"
    slide = "slide"


def plot(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="What to write: .png, .svg or .pdf."),
    ],
    experiment: Annotated[str | None, experiment_argument("the latest")] = None,
    chart: Annotated[Charts, typer.Option("--chart", help="What to draw.")] = Charts.losses,
    size: Annotated[
        Sizes,
        typer.Option(
            "--size", help="For a column (3.5 in) or the width (7 in) of a paper, or a slide."
        ),
    ] = Sizes.column,
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
    from ..report import data as chart_data
    from ..report import drawing
    from ..report import plot as plots

    drawing.check_file(out, "--out")
    wanted = _sized(drawing.SIZES[size], width, height)
    store = charted_store(experiment, results)
    with patience("training the reference beside the runs, which takes a while", False):
        found = chart_data.chart(chart, store, measurement.latest(store.folder))
    inches = plots.draw(found, out, wanted)
    across, down = (f"{each:.2f} in ({each * 25.4:.0f} mm)" for each in inches)
    say(f"{out}: {found.title} of {store.folder.name}, {across} by {down}", quiet=False)
    if found.note:
        emit(found.note, sys.stderr)


def _sized(size: "Size", width: str | None, height: str | None) -> "Size":
    from dataclasses import replace

    from ..report.drawing import length

    if width is not None:
        size = replace(size, width=length(width, "--width"))
    if height is not None:
        size = replace(size, height=length(height, "--height"))
    return size
